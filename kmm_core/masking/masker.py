"""Chooses which motion tokens training hides: key frames first (KMM section 3.2, Figure 2a)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import KmmError
from .key_frames import key_frame_scores
from .schedule import random_mask_ratio


@dataclass(frozen=True)
class MaskingSettings:
    """How tokens are hidden in training.

    Attributes:
        strategy: ``key_frame`` is the paper's; ``random`` and ``confidence`` are its ablations. ``confidence`` hides
            the tokens that the model itself is least sure of, see ``train.confidence``.
        ratio: above 0, this share of every sample is hidden, all of it key frames; the paper's is 0.3. At 0, each
            sample's share is drawn from the mask schedule.

    Raises:
        KmmError: ``bad_settings`` where the ratio is not a share.
    """

    strategy: Literal["key_frame", "random", "confidence"] = "key_frame"
    ratio: float = 0.0

    def __post_init__(self):
        if not 0 <= self.ratio <= 1:
            raise KmmError(
                "bad_settings",
                f"masking.ratio={self.ratio} is not a share of the tokens.",
                "Give a number from 0 (drawn from the schedule) to 1.",
            )


class KeyFrameMasker:
    """Masks the key frames themselves, at a ratio drawn from the mask schedule.

    Ours: generation starts with all tokens masked, which training at a fixed ratio of 30 % never shows. So the ratio r
    of each sample is drawn from the schedule. Of the masked tokens, the share ``1 - r^2`` are the highest-scoring key
    frames and the others are picked at random, so that at high ratios the visible tokens are not always the least
    important ones.
    """

    def __init__(self, settings: MaskingSettings):
        self.settings = settings

    def __call__(self, latents: Tensor, valid: Tensor, rng: torch.Generator) -> Tensor:
        """Which tokens to hide.

        Args:
            latents: latents before quantization, [B, T, C]; for ``confidence`` the model's uncertainty, [B, T, 1].
            valid: which tokens are real, [B, T] bool.
            rng: CPU generator.

        Returns:
            [B, T] bool; at least one real token of every sample, never padding.

        Raises:
            KmmError: ``no_confidence`` if ``confidence`` is given latents.
        """
        batch, length = valid.shape
        fixed = self.settings.ratio
        ratio = torch.full((batch,), fixed) if fixed else random_mask_ratio(batch, rng)
        noise = torch.rand(batch, length, generator=rng).to(valid.device)
        count = valid.sum(-1)
        masked = (ratio.to(valid.device) * count).ceil().long().clamp(min=1)
        priority = noise
        if self.settings.strategy != "random":
            share = (torch.ones(batch) if fixed else 1 - ratio.square()).to(valid.device)
            rank = _rank(self._scores(latents, valid))
            is_key = rank < (share * masked).round()[:, None]
            priority = noise + is_key  # key frames rank above all random picks
        rank = _rank(priority.masked_fill(~valid, -torch.inf))
        return (rank < masked[:, None]) & valid

    def _scores(self, latents: Tensor, valid: Tensor) -> Tensor:
        """How early to hide each token: the highest score first. [B, T]."""
        if self.settings.strategy == "key_frame":
            return key_frame_scores(latents, valid)
        if latents.shape[-1] != 1:
            raise KmmError(
                "no_confidence",
                f'strategy="confidence" got latents of {latents.shape[-1]} numbers; expected 1, '
                "the model's uncertainty.",
                "Call mask_by_confidence on the objective.",
            )
        return latents[..., 0].masked_fill(~valid, -torch.inf)


def _rank(scores: Tensor) -> Tensor:
    """0 for the largest score of each row, 1 for the next, ... [B, T]."""
    return scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
