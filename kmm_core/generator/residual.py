"""The residual codebooks of finished motion: one pass for each, over the whole row (after MoMask's residual transformer,
Guo et al. 2024, arXiv 2312.00063, 3.3; ours has the generator's own blocks).

Shapes: B rows, L places, T motion tokens, K codebooks, V codes, C code width, E text width, M d_model.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from .mixer import RMSNorm
from .sequence import SequenceLayout
from .settings import GeneratorSettings
from .trunk import make_trunk


class ResidualPredictor(nn.Module):
    """Predicts codebook ``level`` of every token from all tokens' codebooks before it, and the prompts.

    A token's own base code says little about its residual; the motion around it says more. So a few blocks, the same
    for every level, read the sum of the codes so far.

    Args:
        codes: the tokenizer's code vectors, [K, V, C].
        text_width: E.
        settings: sizes; ``residual_layers`` blocks of the generator's kind.
    """

    codes: Tensor

    def __init__(self, codes: Tensor, text_width: int, settings: GeneratorSettings):
        super().__init__()
        levels, codebook_size, code_width = codes.shape
        width = settings.d_model
        self.register_buffer("codes", codes, persistent=False)
        self.base_projection = nn.Linear(code_width, width)
        self.sum_projection = nn.Linear(code_width, width, bias=False)
        self.text_projection = nn.Linear(text_width, width)
        self.level_embedding = nn.Parameter(torch.randn(levels - 1, width) * 0.02)
        self.blocks = make_trunk(replace(settings, layers=settings.residual_layers))
        self.norm = RMSNorm(width)
        # One head per level: logits from the similarity to the code vectors learned much more slowly (decisions/0002).
        self.heads = nn.Parameter(torch.randn(levels - 1, width, codebook_size) * 0.5 * width**-0.5)
        self.biases = nn.Parameter(torch.zeros(levels - 1, codebook_size))

    def forward(self, tokens: Tensor, levels: Tensor, text: Tensor, places: SequenceLayout) -> Tensor:
        """Logits of one codebook a row.

        Args:
            tokens: [B, T, K] in [0, V); codebooks from the row's level on are not read.
            levels: which codebook, 1 to K - 1, [B].
            text: embedding of each prompt of each row, [B, S, E].
            places: where motion and text stand.

        Returns:
            [B, T, V].
        """
        base = self.codes[0][tokens[..., 0]]
        total = base
        for level in range(1, int(levels.max())):
            known = (levels > level)[:, None, None]
            total = total + self.codes[level][tokens[..., level]] * known
        vectors = self.base_projection(base) + self.sum_projection(total)
        prompts = places.of_prompts(self.text_projection(text))
        # Each motion token gets its prompt directly, so that the few blocks need not carry it there.
        x = places.place(vectors, 0) + prompts + self.level_embedding[levels - 1][:, None]
        valid = places.valid
        for block in self.blocks:
            x = block(x, valid)
        return places.pick(self.norm(x)) @ self.heads[levels - 1] + self.biases[levels - 1][:, None]
