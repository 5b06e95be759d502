"""The state space recurrence written out, one token at a time: the specification of the other scans.

Source: Dao & Gu, "Transformers are SSMs" (Mamba-2), Section 2.1, with one scalar decay for each head and one
group of B and C shared by all heads; both ways at once is ours. Slow; it is here to be read and compared with.

Shapes: B batch, T tokens, 2 ways (forward, backward), H heads, P head width, N state size.
"""

from __future__ import annotations

import torch
from torch import Tensor


def reference_scan(x: Tensor, step: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Two scans over the same inputs, one from each end, added up.

    Forward: ``h_t = exp(log_decay_t) h_{t-1} + step_t B_t x_t``, read as ``C_t h_t``, from h = 0. Backward is the same with
    ``h_{t+1}``. Each reads the token's own input.

    Args:
        x: inputs. [B, T, H, P].
        step: step size dt, not negative. [B, T, 2, H]. At padding give 0 here and in log_decay: the state stays as it is.
        log_decay: dt * A, zero or negative. [B, T, 2, H].
        B: how an input enters the state, shared by the heads. [B, T, 2, N].
        C: how the state is read, shared by the heads. [B, T, 2, N].

    Returns:
        y: [B, T, H, P].
    """
    forward, backward = zip(*(part.unbind(2) for part in (step, log_decay, B, C)), strict=True)
    backward = (part.flip(1) for part in backward)
    return one_way_scan(x, *forward) + one_way_scan(x.flip(1), *backward).flip(1)


def one_way_scan(x: Tensor, step: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """The forward scan alone: arguments without the axis of ways."""
    batch, _, heads, width = x.shape
    state = x.new_zeros(batch, heads, width, B.shape[-1])
    outputs = []
    parts = (part.unbind(1) for part in (x, step, log_decay, B, C))
    for x_t, step_t, log_decay_t, b_t, c_t in zip(*parts, strict=True):
        entering = (step_t[..., None] * x_t)[..., None] * b_t[:, None, None]
        state = torch.exp(log_decay_t)[..., None, None] * state + entering
        outputs.append((state * c_t[:, None, None]).sum(-1))
    return torch.stack(outputs, dim=1)
