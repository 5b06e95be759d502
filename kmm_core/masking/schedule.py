"""The mask schedule, one function for training and sampling (cosine, MaskGIT; Chang et al. 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mask_ratio(progress: Tensor) -> Tensor:
    """Share of the tokens that is still masked at ``progress`` (0 to 1) of decoding: 1 at 0, 0 at 1."""
    return torch.cos(progress * (math.pi / 2))


def random_mask_ratio(batch: int, rng: torch.Generator) -> Tensor:
    """One ratio per sample: that of a uniformly drawn moment of decoding. [B] in (0, 1]."""
    return mask_ratio(torch.rand(batch, generator=rng))
