"""The generator's input: each prompt's motion tokens, then its text token. Defines the mask and padding ids.

``[walk walk walk TEXT(walk) wave wave TEXT(wave)]``: the text token is last, as in KMM's Figure 2, so that the
backward scan reads a prompt before the motion it describes. A timeline is one such sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MASK_ID = -1  # a motion token to be predicted
PAD_ID = -2  # padding: the unused end of a row of the batch


@dataclass
class SequenceLayout:
    """Where motion and text stand in each row. L = the longest row's motion tokens + its prompts.

    Attributes:
        is_motion: [B, L] bool.
        is_text: [B, L] bool.
        prompt: which prompt of the row each place belongs to, [B, L] int64; 0 in padding.
    """

    is_motion: Tensor
    is_text: Tensor
    prompt: Tensor

    @property
    def valid(self) -> Tensor:
        """Everything but padding. [B, L] bool."""
        return self.is_motion | self.is_text

    def place(self, values: Tensor, fill: int = PAD_ID) -> Tensor:
        """Puts motion tokens [B, T, ...], T in time order and padded at the end, at their places [B, L, ...]."""
        shape = (*self.is_motion.shape, *values.shape[2:])
        placed = values.new_full(shape, fill)
        source = _real_tokens(self.is_motion.sum(-1), values.shape[1])
        placed[self.is_motion] = values[source]
        return placed

    def of_prompts(self, values: Tensor) -> Tensor:
        """Copies one vector per prompt [B, S, M] to all places of that prompt [B, L, M]."""
        return values.gather(1, self.prompt[..., None].expand(-1, -1, values.shape[-1]))

    def pick(self, values: Tensor) -> Tensor:
        """The inverse of ``place``: [B, L, ...] -> motion tokens in time order [B, T, ...], zero padded."""
        counts = self.is_motion.sum(-1)
        longest = int(counts.max())
        picked = values.new_zeros((len(values), longest, *values.shape[2:]))
        picked[_real_tokens(counts, longest)] = values[self.is_motion]
        return picked

    def first(self, count: int) -> SequenceLayout:
        """The layout of the first rows alone; L does not change."""
        return SequenceLayout(self.is_motion[:count], self.is_text[:count], self.prompt[:count])

    def to(self, device: torch.device) -> SequenceLayout:
        return SequenceLayout(self.is_motion.to(device), self.is_text.to(device), self.prompt.to(device))


def _real_tokens(counts: Tensor, longest: int) -> Tensor:
    return torch.arange(longest, device=counts.device)[None] < counts[:, None]


def layout(lengths: Sequence[Sequence[int]]) -> SequenceLayout:
    """The layout for rows of prompts.

    Args:
        lengths: for each row, the motion tokens of each prompt; each at least 1.
    """
    longest = max(sum(row) + len(row) for row in lengths)
    is_motion = torch.zeros(len(lengths), longest, dtype=torch.bool)
    is_text = torch.zeros_like(is_motion)
    prompt = torch.zeros(len(lengths), longest, dtype=torch.long)
    for index, row in enumerate(lengths):
        start = 0
        for number, length in enumerate(row):
            end = start + length
            is_motion[index, start:end] = True
            is_text[index, end] = True
            prompt[index, start : end + 1] = number
            start = end + 1
    return SequenceLayout(is_motion, is_text, prompt)
