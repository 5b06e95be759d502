"""Masked Transformer block: the baseline generator's, after MMM (Pinyoanuntapong et al., "MMM", arXiv 2312.03596, 3.2).

Every place attends to every other one; padding is left out. Ours: rotary positions (Su et al., "RoFormer", Section
3.2.2) instead of learned ones, so that timelines may be longer than any row in training; norms come first, as in the
trunks that it is compared with. Shapes: B batch, L places, M d_model, H heads, P head width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .mixer import RMSNorm

# Wavelengths go from 2 pi places to this many times as much.
LONGEST = 10_000.0


class TransformerBlock(nn.Module):
    """[B, L, M] -> [B, L, M]: attention, then two linear layers, each with a residual connection.

    Args:
        d_model: M.
        heads: H; they share M evenly, P = M / H is even.
        feed_forward: width between the two linear layers.
        dropout: of both outputs, in training.
    """

    def __init__(self, d_model: int, *, heads: int, feed_forward: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm = RMSNorm(d_model)
        self.in_proj = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)
        self.feed_norm = RMSNorm(d_model)
        self.feed_in = nn.Linear(d_model, feed_forward)
        self.feed_out = nn.Linear(feed_forward, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """``valid`` [B, L] marks what is not padding."""
        x = x + self.dropout(self._attend(self.norm(x), valid))
        fed = self.feed_out(functional.gelu(self.feed_in(self.feed_norm(x))))
        return x + self.dropout(fed)

    def _attend(self, x: Tensor, valid: Tensor) -> Tensor:
        query, key, value = self.in_proj(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        cosine, sine = rotary_angles(x.shape[1], query.shape[-1], x.device)
        query, key = (rotate(part, cosine, sine) for part in (query, key))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=valid[:, None, None])
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def rotary_angles(length: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle by which each pair of a head's numbers is turned at each place, [L, P / 2] each."""
    speed = LONGEST ** (-torch.arange(0, width, 2, device=device).float() / width)
    angle = torch.arange(length, device=device).float()[:, None] * speed
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns number i together with number i + P / 2. [..., L, P]."""
    first, second = x.chunk(2, dim=-1)
    cosine, sine = cosine.to(x.dtype), sine.to(x.dtype)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
