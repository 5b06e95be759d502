"""The contrastive loss against a slow version, and grouping of tokens by prompt."""

import math

import torch

from kmm_core.aligner.text_motion_aligner import AlignerSettings, TextMotionAligner


def aligner() -> TextMotionAligner:
    torch.manual_seed(0)
    return TextMotionAligner(8, 12, AlignerSettings(width=16))


def slow_loss(text, motion, meaning, temperature) -> float:
    total = 0.0
    for a, b in ((text, motion), (motion, text)):
        for i in range(len(a)):
            others = [
                j
                for j in range(len(a))
                if j == i or all(mine != other for mine, other in zip(meaning[i], meaning[j], strict=True))
            ]
            scores = [float(a[i] @ b[j]) / temperature for j in others]
            total += math.log(sum(map(math.exp, scores))) - float(a[i] @ b[i]) / temperature
    return total / len(text)


def test_loss_equals_the_slow_version_and_ignores_equal_meanings():
    text, motion = (torch.nn.functional.normalize(torch.randn(5, 16), dim=-1) for _ in range(2))
    # The second and third mean the same, the last two say the same words.
    meaning = torch.tensor([[0, 0], [1, 1], [1, 2], [2, 3], [3, 3]])
    expected = slow_loss(text, motion, meaning.tolist(), 0.07)
    assert abs(float(aligner().loss(text, motion, meaning)) - expected) < 1e-4


def test_temperature_learns():
    made = aligner()
    text = made.embed_text(torch.randn(4, 12))
    made.loss(text, text.detach().roll(1, 0), torch.arange(4)[:, None]).backward()
    assert made.log_temperature.grad.abs() > 0


def test_a_prompts_motion_is_embedded_from_its_own_tokens():
    made = aligner().eval()
    latents = torch.randn(1, 30, 8)
    owner = torch.tensor([[0] * 10 + [1] * 10 + [2] * 10])  # 2 = padding of two groups
    first = made.embed_motion(latents, owner, 2)
    far = latents.clone()
    far[0, 20:] += 5
    torch.testing.assert_close(made.embed_motion(far, owner, 2), first)
    near = latents.clone()
    near[0, 15] += 5
    changed = made.embed_motion(near, owner, 2)
    assert (changed[1] - first[1]).abs().max() > 1e-3


def test_padding_changes_nothing():
    """A row is embedded the same alone and beside a longer one."""
    made = aligner().eval()
    latents = torch.randn(2, 25, 8)
    owner = torch.tensor([[0] * 10 + [2] * 15, [1] * 25])
    alone = made.embed_motion(latents[:1, :10], owner[:1, :10], 1)
    torch.testing.assert_close(made.embed_motion(latents, owner, 2)[:1], alone)
