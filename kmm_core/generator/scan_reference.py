"""The state space recurrence written out, one frame at a time: the specification of the other scans.

Source: Dao & Gu, "Transformers are SSMs" (Mamba-2), Section 2.1, with one scalar decay for each head and one
group of B and C shared by all heads. Slow; it is here to be read and compared with.
"""

from __future__ import annotations

import torch
from torch import Tensor


def reference_scan(x: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Runs ``h_t = exp(log_decay_t) h_{t-1} + B_t x_t`` and reads ``y_t = C_t h_t``, from h = 0.

    Args:
        x: inputs, already multiplied by the step size dt. [B, T, H, P] (H heads of width P).
        log_decay: dt * A, zero or negative. [B, T, H]. At padding give 0, with x = 0: the state stays as it is.
        B: how an input enters the state, shared by the heads. [B, T, N].
        C: how the state is read, shared by the heads. [B, T, N].

    Returns:
        y: [B, T, H, P].
    """
    batch, _, heads, width = x.shape
    state = x.new_zeros(batch, heads, width, B.shape[-1])
    outputs = []
    for x_t, log_decay_t, b_t, c_t in zip(
        x.unbind(1), log_decay.unbind(1), B.unbind(1), C.unbind(1), strict=True
    ):
        entering = x_t[:, :, :, None] * b_t[:, None, None, :]
        state = torch.exp(log_decay_t)[:, :, None, None] * state + entering
        outputs.append((state * c_t[:, None, None, :]).sum(-1))
    return torch.stack(outputs, dim=1)
