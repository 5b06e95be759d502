"""A text encoder without weights: one vector for each letter."""

from __future__ import annotations

import torch

from kmm_core.text.encoder import TokenOutputs


class LetterEncoder:
    """Stands in for MiniLM where only shapes and differences matter."""

    name, width, num_parameters = "letters", 4, 0

    def encode(self, prompts):
        length = max(map(len, prompts))
        codes = torch.tensor([[ord(letter) for letter in prompt.ljust(length)] for prompt in prompts])
        mask = torch.arange(length) < torch.tensor([[len(prompt)] for prompt in prompts])
        return TokenOutputs(torch.sin(codes[..., None] * torch.arange(1, self.width + 1)), mask)
