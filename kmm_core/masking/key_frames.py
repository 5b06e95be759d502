"""Key-frame scores by density peaks (KMM v2 Eq 4, 9, 10; Rodriguez & Laio, Science 2014). Exact, batched, padded.

Ours, where the paper is silent: distances are divided by the clip's median distance (with raw latents exp(-D^2)
underflows and every density is its self term); a tie in density goes to the earlier token; the densest token gets
the largest of its distances, as Rodriguez & Laio do.
"""

from __future__ import annotations

import torch
from torch import Tensor


def key_frame_scores(latents: Tensor, valid: Tensor) -> Tensor:
    """Gamma = density x distance to the nearest denser token; the highest scores are the key frames.

    Args:
        latents: latents before quantization (repeated codes would tie), [B, T, C].
        valid: which tokens are real, not padding, [B, T] bool.

    Returns:
        [B, T]; padding gets -inf.
    """
    length = latents.shape[1]
    distance = torch.cdist(latents.float(), latents.float(), compute_mode="donot_use_mm_for_euclid_dist")
    pairs = valid[:, :, None] & valid[:, None, :]
    distance = distance / _median_distance(distance, pairs)
    density = torch.where(pairs, torch.exp(-distance.square()), 0.0).sum(-1)
    earlier = torch.ones(length, length, dtype=torch.bool, device=latents.device).tril(-1)
    mine, theirs = density[:, :, None], density[:, None, :]
    denser = ((theirs > mine) | ((theirs == mine) & earlier)) & pairs
    nearest_denser = distance.masked_fill(~denser, torch.inf).amin(-1)
    farthest = distance.masked_fill(~pairs, 0.0).amax(-1)
    separation = torch.where(denser.any(-1), nearest_denser, farthest)
    return (density * separation).masked_fill(~valid, -torch.inf)


def _median_distance(distance: Tensor, pairs: Tensor) -> Tensor:
    """Median distance over pairs of different real tokens, [B, 1, 1]; 1 if there is no such pair or all coincide."""
    different = pairs & ~torch.eye(distance.shape[-1], dtype=torch.bool, device=distance.device)
    values = distance.masked_fill(~different, torch.nan).flatten(1)
    median = values.nanmedian(dim=1).values
    return torch.where(median > 0, median, 1.0)[:, None, None]
