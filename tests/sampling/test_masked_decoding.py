"""Iterative decoding: all tokens settled, known ones kept, seeds honoured, cancel at once."""

import math
from dataclasses import replace

import pytest
import torch

from kmm_core.errors import KmmError
from kmm_core.generator.motion_generator import GeneratorSettings, MotionGenerator
from kmm_core.generator.sequence import MASK_ID, layout
from kmm_core.sampling.masked_decoding import SamplingSettings, _draw, _least_sure, decode

SETTINGS = SamplingSettings(steps=4)


@pytest.fixture
def generator() -> MotionGenerator:
    torch.manual_seed(0)
    return MotionGenerator(
        torch.randn(3, 16, 8), 12, GeneratorSettings(d_model=32, layers=2, head_width=16)
    ).eval()


def run(generator, seed=0, **changes):
    rng = torch.Generator().manual_seed(seed)
    text = torch.randn(2, 2, 12, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        return decode(
            generator, text, layout([[6, 5], [3, 8]]), changes.pop("settings", SETTINGS), rng, **changes
        )


def test_all_tokens_are_settled_and_seeds_are_honoured(generator):
    tokens = run(generator)
    assert tokens.shape == (2, 11, 3) and tokens.min() >= 0 and tokens.max() < 16
    assert torch.equal(tokens, run(generator)) and not torch.equal(tokens, run(generator, seed=1))


def test_so_many_tokens_of_each_prompt_are_settled_a_step_as_the_schedule_says(generator, monkeypatch):
    masked, restore = [], generator.restore

    def seen(placed, text, places):
        masked.append(
            [
                int(((placed[row] == MASK_ID) & (places.prompt[row] == prompt)).sum())
                for row in range(2)
                for prompt in range(2)
            ]
        )
        return restore(placed, text, places)

    monkeypatch.setattr(generator, "restore", seen)
    run(generator, settings=replace(SETTINGS, guidance_scale=1))
    assert masked == [[int(n * math.cos(math.pi / 2 * step / 4)) for n in (6, 5, 3, 8)] for step in range(4)]


def test_the_last_codebooks_may_be_left_out(generator):
    whole = run(generator)
    assert torch.equal(run(generator, settings=replace(SETTINGS, codebooks=2)), whole[..., :2])
    assert torch.equal(run(generator, settings=replace(SETTINGS, codebooks=9)), whole)


def test_known_tokens_are_kept(generator):
    known = torch.full((2, 11), MASK_ID)
    known[:, 2:5] = 7
    assert (run(generator, known=known)[:, 2:5, 0] == 7).all()
    assert torch.equal(run(generator, known=torch.full((2, 11), 3))[..., 0], torch.full((2, 11), 3))


def test_progress_counts_to_the_end_and_cancel_stops_between_steps(generator):
    seen = []
    run(generator, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(step, 5) for step in range(1, 6)]
    seen.clear()
    with pytest.raises(KmmError, match="cancelled") as error:
        run(generator, progress=lambda done, total: seen.append(done), cancel=lambda: len(seen) == 2)
    assert error.value.code == "cancelled" and seen == [1, 2]


def test_cancel_stops_between_residual_codebooks(generator):
    """They take as long as the steps before them."""
    asked = []
    run(generator, cancel=lambda: asked.append(len(asked)) or False)
    assert len(asked) == 4 + 2
    with pytest.raises(KmmError, match="cancelled"):
        run(generator, cancel=lambda: asked.append(0) or len(asked) == 6 + 6)


@pytest.mark.parametrize("trunk", ["mamba2", "mamba1", "transformer"])
def test_a_timeline_is_decoded_the_same_alone_and_beside_a_longer_one(trunk):
    """Padding says nothing, in rows of one scanned chunk and of several; without noise nothing else differs."""
    torch.manual_seed(0)
    settings = GeneratorSettings(d_model=32, layers=2, head_width=16, trunk=trunk)
    generator = MotionGenerator(torch.randn(3, 16, 8), 12, settings).eval()
    certain = SamplingSettings(steps=4, guidance_scale=2.0, temperature=0, choice_noise=0)
    lengths = [[6, 5], [1], [30, 1, 9], [110, 20]]
    text = torch.randn(len(lengths), 3, 12)

    def decoded(rows: list[int]) -> torch.Tensor:
        places = layout([lengths[row] for row in rows])
        with torch.inference_mode():
            return decode(generator, text[rows], places, certain, torch.Generator())

    together = decoded([0, 1, 2, 3])
    for row, length in enumerate(map(sum, lengths)):
        assert torch.equal(together[row, :length], decoded([row])[0])
        assert (together[row, length:] == 0).all()


def test_guidance_of_one_is_the_model_itself(generator):
    """Without guidance no unprompted pass is made, so another "no prompt" changes nothing; with it, it does."""
    plain = SamplingSettings(steps=2, guidance_scale=1, temperature=0)
    guided = SamplingSettings(steps=2, guidance_scale=6, temperature=0)
    before = [run(generator, settings=settings) for settings in (plain, guided)]
    with torch.no_grad():
        generator.no_prompt += 3
    after = [run(generator, settings=settings) for settings in (plain, guided)]
    assert torch.equal(before[0], after[0]) and not torch.equal(before[1], after[1])


def test_each_prompt_is_settled_at_its_own_pace():
    confidence = torch.tensor([[5.0, 1.0, 4.0, 2.0, 9.0, 8.0, 7.0, 6.0]])
    prompt = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]])
    again = _least_sure(confidence, torch.ones(1, 8, dtype=torch.bool), prompt, 0.5)
    assert again.tolist() == [[False, True, False, True, False, False, True, True]]
    settled = torch.tensor([[True, False, True, True, True, True, True, True]])
    assert not _least_sure(confidence, settled, prompt, 1.0)[0, 1]


def test_what_is_masked_again_equals_the_slow_version():
    rng = torch.Generator().manual_seed(0)
    for _ in range(30):
        lengths = torch.randint(1, 21, (3, 1), generator=rng)
        starts = torch.rand(3, 20, generator=rng) < 0.2
        starts[:, 0] = False
        prompt = starts.cumsum(-1).masked_fill(torch.arange(20) >= lengths, -1)
        masked = (torch.rand(3, 20, generator=rng) < 0.6) & (prompt >= 0)
        confidence = torch.randn(3, 20, generator=rng)
        ratio = float(torch.rand((), generator=rng))
        expected = torch.zeros_like(masked)
        for row, prompts in enumerate(prompt.tolist()):
            for number in set(prompts) - {-1}:
                own = [place for place in range(20) if prompts[place] == number]
                least = sorted(
                    (place for place in own if masked[row, place]), key=confidence[row].tolist().__getitem__
                )
                expected[row, least[: int(ratio * len(own))]] = True
        assert torch.equal(_least_sure(confidence, masked, prompt, ratio), expected)


def test_top_p_never_draws_outside_and_temperature_zero_is_the_likeliest():
    logits = torch.tensor([[[3.0, 2.9, -2.0, -3.0]]]).expand(1, 2000, 4)
    chosen, confidence = _draw(logits, 1.0, 0.9, torch.Generator().manual_seed(0))
    assert set(chosen.unique().tolist()) == {0, 1}
    torch.testing.assert_close(confidence[0, 0], logits.log_softmax(-1)[0, 0, chosen[0, 0]])
    assert (_draw(logits, 0, 0.9, torch.Generator())[0] == 0).all()
