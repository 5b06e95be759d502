"""Key-frame selection against a slow, obvious version, and the masker's promises."""

import math

import pytest
import torch

from kmm_core.errors import KmmError
from kmm_core.masking.key_frames import key_frame_scores
from kmm_core.masking.masker import KeyFrameMasker, MaskingSettings
from kmm_core.masking.schedule import mask_ratio, random_mask_ratio


def slow_scores(latents: torch.Tensor) -> list[float]:
    """Eq 4, 9 and 10 for one clip, word by word."""
    n = len(latents)
    distance = [[math.dist(a.tolist(), b.tolist()) for b in latents] for a in latents]
    others = sorted(distance[i][j] for i in range(n) for j in range(n) if i != j)
    median = others[(len(others) - 1) // 2] if others else 1.0
    distance = [[value / (median or 1.0) for value in row] for row in distance]
    density = [sum(math.exp(-(value**2)) for value in row) for row in distance]
    scores = []
    for i in range(n):
        denser = [j for j in range(n) if density[j] > density[i] or (density[j] == density[i] and j < i)]
        reach = min(distance[i][j] for j in denser) if denser else max(distance[i])
        scores.append(density[i] * reach)
    return scores


def test_scores_equal_the_slow_version_with_padding():
    rng = torch.Generator().manual_seed(0)
    lengths = [1, 2, 5, 17, 30]
    latents = torch.randn(len(lengths), max(lengths), 8, generator=rng)
    valid = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    scores = key_frame_scores(latents, valid)
    for row, length in enumerate(lengths):
        expected = torch.tensor(slow_scores(latents[row, :length]))
        torch.testing.assert_close(scores[row, :length], expected, rtol=1e-4, atol=1e-5)
        assert (scores[row, length:] == -torch.inf).all()


def test_one_token_stands_for_a_held_pose():
    """Six tokens of a held pose and two of other poses: the held pose gives one key frame, not six."""
    held = torch.tensor([[0.0, 0.0], [0.11, 0.0], [-0.1, 0.0], [0.0, 0.23], [0.0, -0.21], [0.05, 0.05]])
    others = torch.tensor([[3.0, 0.0], [0.0, -4.0]])
    scores = key_frame_scores(torch.cat([held, others])[None], torch.ones(1, 8, dtype=torch.bool))[0]
    chosen = scores.topk(3).indices.tolist()
    assert chosen[0] < 6 and set(chosen[1:]) == {6, 7}


def test_scores_do_not_degenerate_on_wide_latents():
    """Raw distances of 512 channels underflow exp(-D^2): every density would be its self term."""
    latents = 20 * torch.randn(1, 40, 512, generator=torch.Generator().manual_seed(1))
    scores = key_frame_scores(latents, torch.ones(1, 40, dtype=torch.bool))[0]
    assert scores.isfinite().all() and len(scores.unique()) == 40


def test_equal_tokens_are_ranked_without_nan():
    scores = key_frame_scores(torch.zeros(1, 6, 4), torch.ones(1, 6, dtype=torch.bool))
    assert scores.isfinite().all()


def test_schedule_goes_from_all_to_none():
    assert mask_ratio(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    ratios = random_mask_ratio(1000, torch.Generator().manual_seed(0))
    assert 0 < ratios.min() and ratios.max() <= 1 and 0.6 < ratios.mean() < 0.68  # mean of cos is 2 / pi


@pytest.mark.parametrize("strategy", ["key_frame", "random"])
def test_masker_hides_real_tokens_only_and_at_least_one(strategy):
    lengths = torch.tensor([1, 3, 20, 20] * 8)
    latents = torch.randn(32, 20, 8, generator=torch.Generator().manual_seed(0))
    valid = torch.arange(20)[None] < lengths[:, None]
    masked, again = (
        KeyFrameMasker(MaskingSettings(strategy))(latents, valid, torch.Generator().manual_seed(1))
        for _ in range(2)
    )
    assert torch.equal(masked, again)
    assert not (masked & ~valid).any()
    assert (masked.sum(-1) >= 1).all()


def test_key_frames_are_masked_more_often_than_the_rest():
    """Figure 2a: the key frames themselves are hidden."""
    latents = torch.randn(1, 20, 8, generator=torch.Generator().manual_seed(0)).expand(400, -1, -1)
    valid = torch.ones(400, 20, dtype=torch.bool)
    top = key_frame_scores(latents[:1], valid[:1])[0].topk(4).indices

    def share(strategy):
        masked = KeyFrameMasker(MaskingSettings(strategy))(latents, valid, torch.Generator().manual_seed(1))
        return (masked[:, top].float().mean() - masked.float().mean()).item()

    assert share("key_frame") > 0.15
    assert abs(share("random")) < 0.05


@pytest.mark.parametrize("strategy", ["key_frame", "random", "confidence"])
def test_a_fixed_ratio_hides_that_share_of_every_sample(strategy):
    valid = torch.arange(20)[None] < torch.tensor([[1], [11], [20]])
    width = 1 if strategy == "confidence" else 8
    latents = torch.randn(3, 20, width, generator=torch.Generator().manual_seed(0))
    masked = KeyFrameMasker(MaskingSettings(strategy, 0.3))(latents, valid, torch.Generator().manual_seed(0))
    assert masked.sum(-1).tolist() == [1, 4, 6]
    doubt = latents[..., 0].masked_fill(~valid, -torch.inf)
    scores = doubt if strategy == "confidence" else key_frame_scores(latents, valid)
    best = torch.stack([row >= row.topk(n).values[-1] for row, n in zip(scores, (1, 4, 6), strict=True)])
    assert (masked == best).all() == (strategy != "random")


def test_latents_are_not_taken_for_doubt():
    with pytest.raises(KmmError, match="got latents of 8 numbers; expected 1") as caught:
        KeyFrameMasker(MaskingSettings("confidence"))(
            torch.zeros(1, 5, 8), torch.ones(1, 5, dtype=torch.bool), torch.Generator()
        )
    assert caught.value.code == "no_confidence"


@pytest.mark.parametrize("ratio", [-0.1, 1.5, float("nan")])
def test_a_ratio_that_is_no_share_is_refused(ratio):
    with pytest.raises(KmmError, match=r"masking\.ratio=.* is not a share"):
        MaskingSettings(ratio=ratio)


def test_of_the_masked_tokens_the_share_without_the_squared_ratio_are_key_frames(monkeypatch):
    """Half of 40 tokens: 15 of the 20 are the highest-scoring ones, the others may be any."""
    monkeypatch.setattr(
        "kmm_core.masking.masker.random_mask_ratio", lambda count, rng: torch.full((count,), 0.5)
    )
    rng = torch.Generator().manual_seed(0)
    latents, valid = torch.randn(1, 40, 8, generator=rng), torch.ones(1, 40, dtype=torch.bool)
    order = key_frame_scores(latents, valid)[0].argsort(descending=True)
    masker = KeyFrameMasker(MaskingSettings())
    often = torch.stack([masker(latents, valid, rng)[0] for _ in range(100)]).float().mean(0)[order]
    assert (often[:15] == 1).all() and (often[15:] > 0).all() and (often[15:] < 0.5).all()
