"""Bidirectional Mamba-2 mixer: one selective scan each way, with shared projections (Vision Mamba's layout).

Ours: the short convolution is centred and shared by both directions too, which halves the work outside the matrix
products. Shapes: B batch, L places, M d_model, I inner width, H heads, P head width (I / H), N state size.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from .scan import choose_scan


class BidirectionalMamba(nn.Module):
    """[B, L, M] -> [B, L, M]; every place sees the whole row.

    Args:
        d_model: M.
        d_state: N.
        expand: I / M.
        head_width: P.
        d_conv: taps of the convolution before the scans.
        scan_name: which scan runs: ``auto``, ``chunked``, ``reference`` or ``mamba_ssm``.
    """

    def __init__(
        self, d_model: int, *, d_state: int, expand: int, head_width: int, d_conv: int, scan_name: str
    ):
        super().__init__()
        inner = expand * d_model
        heads = inner // head_width
        self.sizes = (inner, inner + 4 * d_state, 2 * heads)
        self.inner, self.d_state, self.heads = inner, d_state, heads
        self.scan = choose_scan(scan_name)
        self.in_proj = nn.Linear(d_model, sum(self.sizes), bias=False)
        self.out_proj = nn.Linear(inner, d_model, bias=False)
        self.norm = RMSNorm(inner)
        bound = 1 / math.sqrt(d_conv)
        self.conv_weight = nn.Parameter(torch.empty(d_conv, inner + 4 * d_state).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.zeros(inner + 4 * d_state))
        # Step sizes start between 0.001 and 0.1 and decay rates between 1 and 16, as in Mamba-2.
        step = torch.exp(torch.empty(2 * heads).uniform_(math.log(0.001), math.log(0.1)))
        self.step_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        self.log_rate = nn.Parameter(torch.empty(2 * heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(heads))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """``valid`` [B, L] marks what is not padding; padding must come last in a row."""
        real = valid[..., None].to(x.dtype)
        gate, mixed, step = self.in_proj(x).split(self.sizes, dim=-1)
        mixed = functional.silu(centred_convolution(mixed * real, self.conv_weight, self.conv_bias)) * real
        inner, bc = mixed.split((self.inner, 4 * self.d_state), dim=-1)
        b, c = rearrange(bc, "b l (which way n) -> which b l way n", which=2, way=2)
        step = functional.softplus(step.float() + self.step_bias) * real
        log_decay = -self.log_rate.exp() * step
        step, log_decay = (rearrange(part, "b l (way h) -> b l way h", way=2) for part in (step, log_decay))
        heads = rearrange(inner, "b l (h p) -> b l h p", h=self.heads)
        y = torch.addcmul(self.scan(heads, step, log_decay, b, c), heads, self.skip[:, None].to(heads.dtype))
        return self.out_proj(self.norm(y.flatten(2) * functional.silu(gate)))


class RMSNorm(nn.Module):
    """Root-mean-square norm, written out: six times faster on a CPU than torch's, which is not fused there."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-5)
        return x * scale.to(x.dtype) * self.weight.to(x.dtype)


def centred_convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Depthwise convolution over time. Shifted products beat conv1d on a CPU.

    Args:
        x: [B, L, channels].
        weight: [taps, channels].
        bias: [channels].
    """
    taps, length = len(weight), x.shape[1]
    before = taps // 2
    padded = functional.pad(x, (0, 0, before, taps - 1 - before))
    weight = weight.to(x.dtype)
    result = torch.addcmul(bias.to(x.dtype), padded[:, :length], weight[0])
    for tap in range(1, taps):
        result.addcmul_(padded[:, tap : tap + length], weight[tap])
    return result
