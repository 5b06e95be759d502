"""A running average of a model's weights. It is steadier than the latest weights, so it is what is validated and
exported.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """A copy of a module whose trained weights follow the module's as an exponential average.

    Buffers and frozen weights are copied as they are. The average starts fast, (1 + step) / (10 + step), so
    that the first random weights are soon forgotten.

    Args:
        module: the module to follow, on its device, not yet wrapped for several processes.
        decay: share of the old average kept at each step, in [0, 1); 0 copies the module.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.module = copy.deepcopy(module).eval()
        trained = [
            (mine, theirs)
            for mine, theirs in zip(self.module.parameters(), module.parameters(), strict=True)
            if theirs.requires_grad
        ]
        self._averages = [mine.detach() for mine, _ in trained]
        self._weights = [theirs for _, theirs in trained]
        self._source = module
        self.module.requires_grad_(False)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the module's weights after ``step`` (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        if self._averages:
            torch._foreach_lerp_(self._averages, [weight.detach() for weight in self._weights], 1 - decay)
        for mine, theirs in zip(self.module.buffers(), self._source.buffers(), strict=True):
            mine.copy_(theirs)
