"""The fast scans against the slow one: values, gradients, stability, and the choice by name."""

from __future__ import annotations

import pytest
import torch

from kmm_core.errors import KmmError
from kmm_core.generator import scan_chunked, scan_mamba
from kmm_core.generator.scan import choose_scan
from kmm_core.generator.scan_chunked import BLOCK, CHUNK, LONGEST_SINGLE_CHUNK, chunked_scan
from kmm_core.generator.scan_reference import one_way_scan, reference_scan

LENGTHS = (
    1,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    LONGEST_SINGLE_CHUNK,
    LONGEST_SINGLE_CHUNK + 1,
    BLOCK * CHUNK - 1,
    BLOCK * CHUNK,
    BLOCK * CHUNK + 1,
    1000,
)


def _inputs(tokens: int, *, decay: float = 1.0, dtype=torch.float64, grad: bool = False, batch: int = 2):
    generator = torch.Generator().manual_seed(tokens)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    x, B, C = draw(batch, tokens, 3, 5), draw(batch, tokens, 2, 4), draw(batch, tokens, 2, 4)
    step, rate = torch.rand(2, batch, tokens, 2, 3, generator=generator, dtype=dtype)
    return [part.requires_grad_(grad) for part in (x, step, -decay * rate, B, C)]


def _values_and_gradients(scan, inputs):
    y = scan(*inputs)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    return y, torch.autograd.grad((y * weights).sum(), inputs)


def test_reference_follows_the_recurrence_by_hand():
    x = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)
    step = torch.tensor([[1.0, 2.0], [1.0, 1.0], [1.0, 0.5]]).view(1, 3, 2, 1)
    log_decay = torch.tensor([[0.5, 0.5], [0.5, 0.25], [0.25, 1.0]]).log().view(1, 3, 2, 1)
    B = torch.tensor([[1.0, 1.0], [3.0, 1.0], [1.0, 2.0]]).view(1, 3, 2, 1)
    C = torch.tensor([[1.0, 1.0], [1.0, 3.0], [2.0, 1.0]]).view(1, 3, 2, 1)
    # Forward, h: 1; 0.5 + 6 = 6.5; 6.5 / 4 + 4 = 5.625. Backward, from the end: 4; 4 / 4 + 2 = 3; 3 / 2 + 2 = 3.5.
    expected = torch.tensor([1.0 + 3.5, 6.5 + 9.0, 11.25 + 4.0])
    torch.testing.assert_close(reference_scan(x, step, log_decay, B, C).flatten(), expected)


@pytest.mark.parametrize("decay", [0.0, 0.05, 1.0, 50.0, 1e4])
@pytest.mark.parametrize("tokens", LENGTHS)
def test_chunked_agrees_with_the_reference(tokens, decay):
    inputs = _inputs(tokens, decay=decay, grad=True)
    expected, expected_gradients = _values_and_gradients(reference_scan, inputs)
    actual, gradients = _values_and_gradients(chunked_scan, inputs)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("decay", [1e-3, 1.0, 100.0])
def test_float32_stays_near_float64_over_a_long_motion(decay):
    exact = _inputs(3000, decay=decay, batch=1)
    expected = chunked_scan(*exact)
    actual = chunked_scan(*(part.float() for part in exact))
    assert torch.isfinite(actual).all()
    assert (actual - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("tokens", [40, 300])
def test_strong_decay_gives_finite_float32_gradients(tokens):
    inputs = _inputs(tokens, dtype=torch.float32)
    inputs[2][:, ::7] = -torch.inf  # a state that is wiped out
    inputs = [part.requires_grad_() for part in inputs]
    y, gradients = _values_and_gradients(chunked_scan, inputs)
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    torch.testing.assert_close(y, reference_scan(*inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tokens", [50, 300])
def test_padding_after_a_motion_changes_nothing_before_it(tokens):
    x, step, log_decay, B, C = _inputs(tokens)
    expected = chunked_scan(x, step, log_decay, B, C)
    noise = torch.randn(2, 9, 2, 4, dtype=x.dtype)
    padded = (
        torch.cat((x, x.new_zeros(2, 9, 3, 5)), 1),
        torch.cat((step, x.new_zeros(2, 9, 2, 3)), 1),
        torch.cat((log_decay, x.new_zeros(2, 9, 2, 3)), 1),
        torch.cat((B, noise), 1),
        torch.cat((C, noise), 1),
    )
    torch.testing.assert_close(chunked_scan(*padded)[:, :tokens], expected)


@pytest.mark.parametrize("tokens", [50, 300])
def test_bfloat16_autocast_trains(tokens):
    inputs = _inputs(tokens, dtype=torch.float32, grad=True)
    expected = reference_scan(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        y = chunked_scan(*inputs)
    assert (y - expected).abs().mean() < 0.02 * expected.abs().mean()
    gradients = torch.autograd.grad(y.float().sum(), inputs)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("tokens", [50, 300])
def test_bfloat16_tensors_keep_their_type(tokens):
    x, step, log_decay, B, C = _inputs(tokens, dtype=torch.float32)
    y = chunked_scan(x.bfloat16(), step, log_decay, B.bfloat16(), C.bfloat16())
    assert y.dtype == torch.bfloat16


def test_mamba_ssm_kernel_is_asked_for_our_recurrence():
    """The kernel needs CUDA, so its published definition stands in: h = exp(dt A) h + dt B x, y = C h."""

    def kernel(x, dt, A, B, C, chunk_size):
        return one_way_scan(x, dt, dt * A, B.squeeze(2), C.squeeze(2))

    x, step, log_decay, B, C = _inputs(70, dtype=torch.float32)
    inputs = (x, step, log_decay.clamp(max=-1e-3), B, C)
    actual = scan_mamba._by_kernel(kernel, *inputs)
    torch.testing.assert_close(actual, reference_scan(*inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.skipif(not scan_mamba.mamba_ssm_available(), reason="mamba-ssm is not installed")
def test_mamba_ssm_agrees_with_the_reference_on_cuda():
    inputs = [part.cuda() for part in _inputs(300, dtype=torch.float32)]
    torch.testing.assert_close(
        choose_scan("mamba_ssm")(*inputs), reference_scan(*inputs), rtol=1e-2, atol=1e-2
    )


@pytest.mark.skipif(scan_mamba.mamba_ssm_available(), reason="mamba-ssm is installed")
def test_mamba_ssm_says_how_to_install_it():
    with pytest.raises(KmmError, match=r'mamba-ssm.*pip install "kmm-core\[cuda\]"') as caught:
        choose_scan("mamba_ssm")(*_inputs(4))
    assert caught.value.code == "no_mamba_ssm"


def test_mamba_ssm_says_that_it_needs_cuda(monkeypatch):
    import sys
    import types

    module = types.ModuleType("mamba_ssm.ops.triton.ssd_combined")
    module.mamba_chunk_scan_combined = lambda *_: None
    for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(KmmError, match='"cpu".*CUDA devices only') as caught:
        choose_scan("mamba_ssm")(*_inputs(4))
    assert caught.value.code == "scan_device"


def test_scans_are_chosen_by_name():
    inputs = _inputs(20)
    assert choose_scan("reference") is reference_scan
    assert choose_scan("chunked") is scan_chunked.chunked_scan
    torch.testing.assert_close(choose_scan("auto")(*inputs), reference_scan(*inputs))
    with pytest.raises(KmmError, match='"flash" is not known. Choose one of: auto, chunked') as caught:
        choose_scan("flash")
    assert caught.value.code == "unknown_scan"
