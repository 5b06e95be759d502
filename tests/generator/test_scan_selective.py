"""Mamba 1's scan: the fast one against the slow one, and the slow one against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from kmm_core.generator.scan_reference import one_way_scan
from kmm_core.generator.scan_selective import reference_selective_scan, selective_scan


def _inputs(tokens: int, dtype=torch.float64, grad: bool = False):
    rng = torch.Generator().manual_seed(tokens)

    def draw(*shape):
        return torch.randn(*shape, generator=rng, dtype=dtype)

    parts = [draw(2, tokens, 3), draw(2, tokens, 3).abs(), -draw(3, 4).exp(), draw(2, tokens, 4)]
    return [part.requires_grad_(grad) for part in (*parts, draw(2, tokens, 4))]


def test_reference_follows_the_recurrence_by_hand():
    x = torch.tensor([2.0, 1.0]).view(1, 2, 1)
    step = torch.tensor([1.0, 0.5]).view(1, 2, 1)
    A = torch.tensor([[0.25, 0.0625]]).log()  # over half a step: 0.5 and 0.25
    B = torch.tensor([[1.0, 3.0], [2.0, 4.0]])[None]
    C = torch.tensor([[1.0, 1.0], [1.0, 10.0]])[None]
    # h: (2, 6); then (0.5 * 2 + 0.5 * 2, 0.25 * 6 + 0.5 * 4) = (2, 3.5).
    torch.testing.assert_close(
        reference_selective_scan(x, step, A, B, C).flatten(), torch.tensor([8.0, 37.0])
    )


def test_with_one_rate_it_is_mamba_2s_recurrence():
    x, step, _, B, C = _inputs(9)
    step = step[..., :1].expand_as(x)
    A = torch.full((3, 4), -0.7, dtype=x.dtype)
    expected = one_way_scan(x[:, :, None], step[..., :1], -0.7 * step[..., :1], B, C)[:, :, 0]
    torch.testing.assert_close(reference_selective_scan(x, step, A, B, C), expected)


@pytest.mark.parametrize("tokens", [1, 2, 3, 7, 16, 50, 256, 257])
def test_fast_agrees_with_the_reference(tokens):
    inputs = _inputs(tokens, grad=True)
    results = []
    for scan in (reference_selective_scan, selective_scan):
        y = scan(*inputs)
        weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
        results.append((y, *torch.autograd.grad((y * weights).sum(), inputs)))
    for actual, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def test_rates_may_differ_over_the_batch():
    x, step, A, B, C = _inputs(11)
    both = torch.stack([A, 2 * A])
    expected = torch.cat(
        [
            reference_selective_scan(x[n : n + 1], step[n : n + 1], both[n], B[n : n + 1], C[n : n + 1])
            for n in range(2)
        ]
    )
    for scan in (reference_selective_scan, selective_scan):
        torch.testing.assert_close(scan(x, step, both, B, C), expected)


def test_strong_decay_gives_finite_float32_gradients():
    inputs = _inputs(40, dtype=torch.float32)
    inputs[1] *= 1e4
    inputs = [part.requires_grad_() for part in inputs]
    gradients = torch.autograd.grad(selective_scan(*inputs).sum(), inputs)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_states_stay_float32_under_autocast():
    inputs = _inputs(30, dtype=torch.float32)
    expected = selective_scan(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        actual = selective_scan(inputs[0].bfloat16(), *inputs[1:])
    assert actual.dtype == torch.bfloat16
    assert (actual.float() - expected).abs().mean() < 0.02 * expected.abs().mean()
