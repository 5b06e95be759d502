"""The learned text layers: they turn a frozen encoder's token outputs into one embedding per prompt.

KMM learns its text encoding by the alignment loss. A frozen sentence vector hardly tells left from right (cosine 0.98),
but the token outputs do, and these layers learn to use that. With ``layers = 0`` nothing is learned: the embedding is
the frozen encoder's own sentence vector, as a baseline. Shapes: B prompts, L text length, W encoder width, E width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import KmmError
from .encoder import TextSettings, TokenOutputs


class PromptHead(nn.Module):
    """[B, L, W] -> [B, E]: a few transformer layers, then attention pooling by a learned query.

    Raises:
        KmmError: ``text_width`` if ``layers`` is 0 and E differs from W.
    """

    def __init__(self, encoder_width: int, settings: TextSettings):
        super().__init__()
        self.frozen = settings.layers == 0
        if self.frozen:
            if settings.width != encoder_width:
                raise KmmError(
                    "text_width",
                    f"[text] layers = 0 keeps the encoder's own {encoder_width} numbers, but width = {settings.width}.",
                    f"Set width = {encoder_width}, or layers to at least 1.",
                )
            return
        self.project = nn.Linear(encoder_width, settings.width)
        layer = nn.TransformerEncoderLayer(
            settings.width, settings.heads, 2 * settings.width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)
        self.query = nn.Parameter(torch.randn(1, 1, settings.width) * 0.02)
        self.pool = nn.MultiheadAttention(settings.width, settings.heads, batch_first=True)
        self.norm = nn.LayerNorm(settings.width)

    def forward(self, outputs: TokenOutputs) -> Tensor:
        if self.frozen:
            real = outputs.mask[..., None].to(outputs.vectors.dtype)
            mean = (outputs.vectors * real).sum(1) / real.sum(1).clamp(min=1)
            return nn.functional.layer_norm(mean, mean.shape[-1:])
        padding = ~outputs.mask
        x = self.layers(self.project(outputs.vectors), src_key_padding_mask=padding)
        query = self.query.expand(len(x), -1, -1)
        pooled, _ = self.pool(query, x, x, key_padding_mask=padding, need_weights=False)
        return self.norm(pooled[:, 0])
