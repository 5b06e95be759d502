"""Bidirectional Mamba-2 mixer: one selective scan each way, the big projections shared (Vision Mamba's layout).

Shapes: B batch, L places, M d_model, I inner width, H heads, P head width (I / H), N state size; a leading 2 is the
direction, forward and backward.
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
        d_conv: taps of the causal convolution before each scan.
        scan_name: which scan runs: ``auto``, ``chunked``, ``reference`` or ``mamba_ssm``.
    """

    def __init__(self, d_model: int, *, d_state: int, expand: int, head_width: int, d_conv: int, scan_name: str):
        super().__init__()
        inner = expand * d_model
        heads = inner // head_width
        self.sizes = (inner, inner, 4 * d_state, 2 * heads)
        self.d_state, self.heads, self.d_conv = d_state, heads, d_conv
        self.scan = choose_scan(scan_name)
        self.in_proj = nn.Linear(d_model, sum(self.sizes), bias=False)
        self.out_proj = nn.Linear(inner, d_model, bias=False)
        self.norm = nn.RMSNorm(inner, eps=1e-5)
        channels = inner + 2 * d_state
        bound = 1 / math.sqrt(d_conv)
        self.conv_weight = nn.Parameter(torch.empty(2, d_conv, channels).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.zeros(2, channels))
        # Step sizes start between 0.001 and 0.1 and decay rates between 1 and 16, as in Mamba-2.
        step = torch.exp(torch.empty(2, heads).uniform_(math.log(0.001), math.log(0.1)))
        self.step_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        self.log_rate = nn.Parameter(torch.empty(2, heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(2, heads))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """``valid`` [B, L] marks what is not padding; padding must come last in a row."""
        gate, inner, bc, step = self.in_proj(x).split(self.sizes, dim=-1)
        bc = rearrange(bc, "b l (way n) -> way b l n", way=2)
        step = rearrange(step, "b l (way h) -> way b l h", way=2)
        both = torch.cat([inner.expand(2, *inner.shape), bc], dim=-1) * valid[..., None]
        both, step = _turn_backward(both), _turn_backward(step * valid[..., None])
        keep = _turn_backward(valid[..., None].expand(2, *valid.shape, 1))
        both = functional.silu(self._convolve(both)) * keep
        inner, b, c = both.split((self.sizes[0], self.d_state, self.d_state), dim=-1)
        step = functional.softplus(step.float() + self.step_bias[:, None, None]) * keep
        log_decay = -self.log_rate.exp()[:, None, None] * step
        heads = rearrange(inner, "way b l (h p) -> way b l h p", h=self.heads)
        y = self.scan(
            (heads * step[..., None]).flatten(0, 1).to(heads.dtype),
            log_decay.flatten(0, 1),
            b.flatten(0, 1),
            c.flatten(0, 1),
        ).view_as(heads)
        y = y + self.skip[:, None, None, :, None].to(heads.dtype) * heads
        y = rearrange(_turn_backward(y), "way b l h p -> way b l (h p)").sum(0)
        return self.out_proj(self.norm(y * functional.silu(gate)))

    def _convolve(self, x: Tensor) -> Tensor:
        """Causal depthwise convolution. [2, B, L, channels]. A few shifted products beat conv1d on a CPU."""
        length = x.shape[2]
        padded = functional.pad(x, (0, 0, self.d_conv - 1, 0))
        weight = self.conv_weight.to(x.dtype)
        result = self.conv_bias[:, None, None].to(x.dtype)
        for tap in range(self.d_conv):
            result = result + padded[:, :, tap : tap + length] * weight[:, tap][:, None, None]
        return result


def _turn_backward(x: Tensor) -> Tensor:
    """Reverses time for the backward half. [2, B, L, ...]; applying it twice changes nothing."""
    return torch.stack([x[0], x[1].flip(1)])
