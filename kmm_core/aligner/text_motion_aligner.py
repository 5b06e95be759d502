"""Contrastive text-motion alignment, sentence and segment level (KMM section 3.4, Eq 13 and 14).

Shapes: R rows (timelines), S prompts (segments) in all, C code width, E text width, A alignment width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..setting_ranges import check_ranges


@dataclass(frozen=True)
class AlignerSettings:
    """The alignment loss.

    Attributes:
        level: ``none``, ``sentence`` (whole rows), or ``segment`` (whole rows and each prompt; v2).
        weight: how much this loss counts beside the token loss: lambda in Eq 14.
        width: A.
        start_temperature: the softmax temperature to start from; it is learned.

    Raises:
        KmmError: ``bad_settings`` out of range.
    """

    level: Literal["none", "sentence", "segment"] = "segment"
    weight: float = 0.5
    width: int = 256
    start_temperature: float = 0.07

    def __post_init__(self):
        check_ranges(self, weight=(0, math.inf), width=(1, math.inf), start_temperature=(0.001, 100))


class TextMotionAligner(nn.Module):
    """Brings each prompt's embedding close to that of its restored motion, and away from those of other motions.

    The motion side reads restored latents (masked tokens by their expected code vectors), not the generator's
    hidden states: those have seen the text token, so matching them with the text would prove nothing (ours).
    """

    def __init__(self, code_width: int, text_width: int, settings: AlignerSettings):
        super().__init__()
        self.settings = settings
        self.text = nn.Linear(text_width, settings.width)
        self.motion = nn.Sequential(
            nn.Conv1d(code_width, settings.width, 5, padding=2),
            nn.SiLU(),
            nn.Conv1d(settings.width, settings.width, 5, padding=2),
            nn.SiLU(),
        )
        # Mean and maximum over time: the maximum keeps a short event in a long segment.
        self.pooled = nn.Linear(2 * settings.width, settings.width)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(settings.start_temperature)))

    def embed_text(self, text: Tensor) -> Tensor:
        """[..., E] -> unit vectors [..., A]."""
        return functional.normalize(self.text(text), dim=-1)

    def embed_motion(self, latents: Tensor, owner: Tensor, count: int) -> Tensor:
        """Turns restored latents into one unit vector per group.

        Args:
            latents: [R, T, C].
            owner: which group (prompt or row) each token belongs to, [R, T]; ``count`` for padding.
            count: number of groups.

        Returns:
            [count, A].
        """
        owned = (owner < count)[:, None]
        x = latents.mT
        for layer in self.motion:  # each convolution reads zeros in padding, as beyond the end of a row
            x = layer(x * owned)
        x = x.mT
        flat, index = x.reshape(-1, x.shape[-1]).float(), owner.reshape(-1)
        sums = flat.new_zeros(count + 1, flat.shape[-1]).index_add(0, index, flat)
        sizes = flat.new_zeros(count + 1).index_add(0, index, torch.ones_like(flat[:, 0])).clamp(min=1)
        spread = index[:, None].expand_as(flat)
        peaks = flat.new_full((count + 1, flat.shape[-1]), -30.0).scatter_reduce(0, spread, flat, "amax")
        pooled = torch.cat([sums / sizes[:, None], peaks], dim=-1)[:count]
        return functional.normalize(self.pooled(pooled), dim=-1)

    def loss(self, text: Tensor, motion: Tensor, meaning: Tensor) -> Tensor:
        """Symmetric InfoNCE over unit vectors.

        Args:
            text: [S, A].
            motion: [S, A].
            meaning: N numbers for each text, [S, N]. Two texts that share any of them mean the same, and such pairs
                don't count as errors.

        Returns:
            The sum of both directions, as in Eq 14.
        """
        similarity = (text @ motion.T).float() * torch.exp(-self.log_temperature).clamp(max=100)
        same = (meaning[:, None] == meaning[None]).any(-1)
        same.fill_diagonal_(False)
        similarity = similarity.masked_fill(same, -torch.inf)
        target = torch.arange(len(text), device=text.device)
        return functional.cross_entropy(similarity, target) + functional.cross_entropy(similarity.T, target)
