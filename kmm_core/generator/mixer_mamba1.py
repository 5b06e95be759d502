"""Bidirectional Mamba-1 mixer: as ``mixer``, with a decay for each channel and state instead of one for each head.

Source: Gu & Dao, "Mamba", Section 3.4 (block) and 3.5 (low-rank step sizes, initial values). Both ways share the big
projections, the convolution and the skip, as the Mamba-2 mixer's do, so that only the recurrence differs.
Shapes: B batch, L places, M d_model, I inner width, N state size, R rank of the step sizes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .mixer import RMSNorm, centred_convolution
from .scan_selective import reference_selective_scan, selective_scan


class BidirectionalMamba1(nn.Module):
    """[B, L, M] -> [B, L, M]; every place sees the whole row.

    Args:
        d_model: M.
        inner: I.
        d_state: N.
        d_conv: taps of the convolution before the scans.
        scan_name: ``reference`` runs the slow scan, anything else the fast one.
    """

    def __init__(self, d_model: int, *, inner: int, d_state: int, d_conv: int, scan_name: str):
        super().__init__()
        self.inner, self.d_state = inner, d_state
        self.rank = step_rank(d_model)
        self.scan = reference_selective_scan if scan_name == "reference" else selective_scan
        self.in_proj = nn.Linear(d_model, 2 * inner, bias=False)
        self.out_proj = nn.Linear(inner, d_model, bias=False)
        self.norm = RMSNorm(inner)
        bound = 1 / math.sqrt(d_conv)
        self.conv_weight = nn.Parameter(torch.empty(d_conv, inner).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.zeros(inner))
        self.scan_proj = nn.Linear(inner, 2 * (self.rank + 2 * d_state), bias=False)
        bound = 1 / math.sqrt(self.rank)
        self.step_weight = nn.Parameter(torch.empty(2, self.rank, inner).uniform_(-bound, bound))
        step = torch.exp(torch.empty(2, inner).uniform_(math.log(0.001), math.log(0.1)))
        self.step_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
        # Rates 1 to N for every channel: S4D-Real, as Mamba starts.
        rates = torch.arange(1, d_state + 1).float().log()
        self.log_rate = nn.Parameter(rates.repeat(2, inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """``valid`` [B, L] marks what is not padding; padding must come last in a row."""
        real = valid[..., None].to(x.dtype)
        gate, inner = self.in_proj(x).chunk(2, dim=-1)
        inner = functional.silu(centred_convolution(inner * real, self.conv_weight, self.conv_bias)) * real
        low, b, c = (
            self.scan_proj(inner)
            .unflatten(-1, (2, -1))
            .movedim(-2, 0)
            .split((self.rank, self.d_state, self.d_state), dim=-1)
        )
        raised = torch.einsum("wblr,wri->wbli", low, self.step_weight.to(low.dtype)).float()
        step = functional.softplus(raised + self.step_bias[:, None, None]) * real
        rates = -self.log_rate.exp().repeat_interleave(len(x), dim=0)  # [2 B, I, N]
        scanned = self.scan(both_ways(inner, inner), both_ways(*step), rates, both_ways(*b), both_ways(*c))
        forward, backward = scanned.chunk(2)
        y = torch.addcmul(forward + backward.flip(1), inner, self.skip.to(inner.dtype))
        return self.out_proj(self.norm(y * functional.silu(gate)))


def step_rank(d_model: int) -> int:
    """R, as Mamba has it."""
    return math.ceil(d_model / 16)


def both_ways(forward: Tensor, backward: Tensor) -> Tensor:
    """Two halves of a batch, the second with time reversed. [B, L, ...] twice -> [2 B, L, ...]."""
    return torch.cat([forward, backward.flip(1)])
