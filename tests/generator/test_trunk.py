"""The trunks that can be chosen: equal size, the same contract, and old settings still mean what they meant."""

import math
from dataclasses import asdict, replace

import pytest
import torch

from kmm_core.errors import KmmError
from kmm_core.generator.attention import TransformerBlock, rotary_angles, rotate
from kmm_core.generator.mixer_mamba1 import BidirectionalMamba1
from kmm_core.generator.motion_generator import GeneratorSettings, MotionGenerator
from kmm_core.generator.sequence import MASK_ID, layout
from kmm_core.generator.trunk import count, make_trunk

TRUNKS = ("mamba2", "mamba1", "transformer")
SMALL = GeneratorSettings(d_model=32, layers=2, d_state=8, head_width=16)


def small_generator(trunk: str) -> MotionGenerator:
    torch.manual_seed(0)
    return MotionGenerator(torch.randn(3, 16, 8), 12, replace(SMALL, trunk=trunk)).eval()


@pytest.mark.parametrize("d_model", [96, 128, 288, 384])
def test_trunks_are_of_equal_size(d_model):
    sizes = {}
    with torch.device("meta"):
        for trunk in TRUNKS:
            settings = GeneratorSettings(d_model=d_model, head_width=32, trunk=trunk)
            sizes[trunk] = count(make_trunk(settings))
            generator = MotionGenerator(torch.zeros(6, 512, 128), 256, settings)
            print(f"d_model {d_model}, {trunk}: trunk {sizes[trunk]:,}, generator {count(generator):,}")
    for trunk in TRUNKS[1:]:
        assert sizes[trunk] == pytest.approx(sizes["mamba2"], rel=0.03)


@pytest.mark.parametrize("trunk", TRUNKS)
@torch.no_grad()
def test_every_token_reads_every_prompt_and_padding_changes_nothing(trunk):
    generator = small_generator(trunk)
    places = layout([[4, 3]])
    tokens = places.place(torch.full((1, 7), MASK_ID))
    text = torch.randn(1, 2, 12)
    alone = places.pick(generator.restore(tokens, text, places))
    for prompt in range(2):
        other = text.clone()
        other[0, prompt] += 1
        changed = places.pick(generator.restore(tokens, other, places))
        assert ((changed - alone).abs().amax(-1) > 1e-7).all()
    padded = layout([[4, 3], [9, 2]])
    both = padded.place(torch.full((2, 11), MASK_ID))
    together = padded.pick(generator.restore(both, text.expand(2, -1, -1), padded))
    torch.testing.assert_close(together[:1, :7], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_every_parameter_of_the_trunk_gets_a_gradient(trunk):
    blocks = small_generator(trunk).blocks
    x = torch.randn(2, 6, 32)
    for block in blocks:
        x = block(x, torch.ones(2, 6, dtype=torch.bool))
    x.square().sum().backward()
    assert [name for name, weight in blocks.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("trunk", TRUNKS)
def test_bfloat16_autocast_trains(trunk):
    generator = small_generator(trunk).train()
    places = layout([[4, 3], [9, 2]])
    tokens = places.place(torch.full((2, 11), MASK_ID))
    with torch.autocast("cpu", torch.bfloat16):
        hidden = generator.restore(tokens, torch.randn(2, 2, 12), places)
    hidden.float().square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in generator.blocks.parameters())


@torch.no_grad()
def test_mamba1_fast_and_slow_agree():
    torch.manual_seed(0)
    sizes = {"inner": 24, "d_state": 4, "d_conv": 5}
    fast = BidirectionalMamba1(16, scan_name="auto", **sizes)
    slow = BidirectionalMamba1(16, scan_name="reference", **sizes)
    slow.load_state_dict(fast.state_dict())
    x, valid = torch.randn(2, 9, 16), torch.arange(9) < torch.tensor([[9], [5]])
    torch.testing.assert_close(fast(x, valid), slow(x, valid), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_mamba1_treats_both_directions_alike():
    """With the parameters of the two ways exchanged, the reversed row gives the reversed result."""
    torch.manual_seed(0)
    mixer = BidirectionalMamba1(16, inner=24, d_state=4, d_conv=5, scan_name="auto")
    x, valid = torch.randn(1, 9, 16), torch.ones(1, 9, dtype=torch.bool)
    expected = mixer(x, valid)
    for name in ("step_weight", "step_bias", "log_rate"):
        weight = getattr(mixer, name)
        weight.copy_(weight.flip(0).clone())
    mixer.scan_proj.weight.copy_(mixer.scan_proj.weight.unflatten(0, (2, -1)).flip(0).flatten(0, 1).clone())
    mixer.conv_weight.copy_(mixer.conv_weight.flip(0).clone())
    torch.testing.assert_close(mixer(x.flip(1), valid).flip(1), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_attention_is_what_its_formula_says():
    torch.manual_seed(0)
    block = TransformerBlock(8, heads=2, feed_forward=12, dropout=0.0).eval()
    x, valid = torch.randn(1, 5, 8), torch.tensor([[True, True, True, True, False]])
    query, key, value = block.in_proj(x)[0].split(8, dim=-1)
    expected = torch.zeros(5, 8)
    for head in range(2):
        columns = slice(4 * head, 4 * head + 4)
        for i in range(4):
            scores = []
            for j in range(4):
                # Turning both by their places leaves only the difference: complex numbers say it in one line.
                speed = torch.tensor([1.0, 10_000**-0.5])
                q = torch.complex(query[i, columns][:2], query[i, columns][2:])
                k = torch.complex(key[j, columns][:2], key[j, columns][2:])
                scores.append((q * k.conj() * torch.polar(torch.ones(2), (i - j) * speed)).real.sum() / 2)
            expected[i, columns] = torch.stack(scores).softmax(0) @ value[:4, columns]
    actual = block._attend(x, valid)[0]
    torch.testing.assert_close(actual[:4], block.out_proj(expected)[:4], rtol=1e-4, atol=1e-5)


def test_rotary_turns_keep_lengths():
    x = torch.randn(7, 6)
    turned = rotate(x, *rotary_angles(7, 6))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[0], x[0])
    assert math.isclose(float(rotary_angles(2, 6)[1][1, 0]), math.sin(1.0), rel_tol=1e-6)


def test_heads_that_do_not_fit_are_an_error():
    with pytest.raises(KmmError, match="d_model=100 cannot be split into attention_heads=3") as caught:
        GeneratorSettings(d_model=100, trunk="transformer", attention_heads=3)
    assert caught.value.code == "bad_generator"
    GeneratorSettings(d_model=96, attention_heads=5)  # Mamba has no such heads


def test_settings_and_weights_of_old_models_still_fit():
    old = {key: value for key, value in asdict(SMALL).items() if key not in ("trunk", "attention_heads")}
    assert GeneratorSettings(**old).trunk == "mamba2"
    mixer = {"in_proj.weight", "out_proj.weight", "norm.weight", "conv_weight", "conv_bias", "step_bias"}
    expected = {f"blocks.0.mixer.{name}" for name in mixer | {"log_rate", "skip"}} | {"blocks.0.norm.weight"}
    names = {name for name in small_generator("mamba2").state_dict() if name.startswith("blocks.0.")}
    assert names == expected
