"""The generator and the layout of its sequences."""

import torch

from kmm_core.generator.motion_generator import GeneratorSettings, MotionGenerator
from kmm_core.generator.sequence import MASK_ID, PAD_ID, layout

SMALL = GeneratorSettings(d_model=32, layers=2, d_state=8, head_width=16)


def small_generator() -> MotionGenerator:
    torch.manual_seed(0)
    return MotionGenerator(torch.randn(3, 16, 8), 12, SMALL).eval()


def test_layout_puts_each_prompt_behind_its_motion():
    places = layout([[3, 2], [1]])
    assert places.is_text[0].tolist() == [False, False, False, True, False, False, True]
    assert places.prompt[0].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert places.valid[1].tolist() == [True, True, False, False, False, False, False]


def test_place_and_pick_are_inverse():
    places = layout([[3, 2], [1], [4]])
    tokens = torch.tensor([[1, 2, 3, 4, 5], [6, 0, 0, 0, 0], [7, 8, 9, 10, 0]])
    placed = places.place(tokens)
    assert placed[0].tolist() == [1, 2, 3, PAD_ID, 4, 5, PAD_ID]
    assert torch.equal(places.pick(placed), tokens)


def test_default_size_is_at_most_the_papers():
    generator = MotionGenerator(torch.zeros(6, 512, 128), 256, GeneratorSettings())
    assert sum(parameter.numel() for parameter in generator.parameters()) <= 5_300_000


@torch.no_grad()
def test_every_token_reads_every_prompt_and_padding_changes_nothing():
    generator = small_generator()
    places = layout([[4, 3]])
    tokens = places.place(torch.full((1, 7), MASK_ID))
    text = torch.randn(1, 2, 12)
    alone = places.pick(generator.restore(tokens, text, places))
    for prompt in range(2):
        other = text.clone()
        other[0, prompt] += 1
        changed = places.pick(generator.restore(tokens, other, places))
        assert ((changed - alone).abs().amax(-1) > 1e-6).all()
    padded = layout([[4, 3], [9, 2]])
    both = padded.place(torch.full((2, 11), MASK_ID))
    together = padded.pick(generator.restore(both, text.expand(2, -1, -1), padded))
    torch.testing.assert_close(together[:1, :7], alone, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_both_directions_carry_information():
    generator = small_generator()
    places = layout([[9]])
    tokens = places.place(torch.randint(16, (1, 9)))
    text = torch.zeros(1, 1, 12)
    before = generator.restore(tokens, text, places)
    changed = tokens.clone()
    changed[0, 4] = (changed[0, 4] + 1) % 16
    difference = (generator.restore(changed, text, places) - before).abs().amax(-1)[0]
    assert difference[0] > 1e-7 and difference[9] > 1e-7


def test_every_parameter_gets_a_gradient():
    generator = small_generator().train()
    places = layout([[4, 3]])
    tokens = torch.randint(16, (1, 7))
    tokens[0, 2] = MASK_ID
    text = torch.randn(1, 2, 12)
    hidden = places.pick(generator.restore(places.place(tokens), text, places))
    total = generator.base_logits(hidden).logsumexp(-1).sum()
    levels = torch.randint(16, (1, 7, 3))
    for level in (1, 2):
        total = (
            total
            + generator.residual(levels, torch.tensor([level]), text, places).logsumexp(-1).square().sum()
        )
    total.backward()
    missing = [name for name, parameter in generator.named_parameters() if parameter.grad is None]
    assert missing == ["no_prompt"]  # only the training stage and the sampler put it in
