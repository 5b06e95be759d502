"""Mamba 1's selective scan, in plain PyTorch: one decay for each channel and state.

Source: Gu & Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", Algorithm 2 and Section 3.3.
Decays differ by channel, so the scan is no matrix product as Mamba-2's is. Ours: two levels, to take about 2 sqrt(T)
steps one after the other instead of T: all chunks are scanned side by side from an empty state, then the states at
their ends are handed on.

Shapes: B batch, T tokens, I channels, N state size, Q tokens a chunk, K chunks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

# Tokens whose states are in memory at once: a state is N numbers for each channel.
BLOCK = 256


def reference_selective_scan(x: Tensor, step: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Runs ``h_t = exp(step_t A) h_{t-1} + step_t B_t x_t`` and reads ``y_t = C_t h_t``, from h = 0. The specification.

    Args:
        x: inputs, [B, T, I].
        step: step size dt of each channel, not negative; 0 at padding, where the state stays as it is. [B, T, I].
        A: decay rates, negative; [I, N], or [B, I, N] where they differ over the batch.
        B: how an input enters the state, shared by the channels. [B, T, N].
        C: how the state is read, shared by the channels. [B, T, N].

    Returns:
        y: [B, T, I].
    """
    state = x.new_zeros(len(x), x.shape[-1], A.shape[-1])
    outputs = []
    for token in range(x.shape[1]):
        now = step[:, token, :, None]
        state = torch.exp(now * A) * state + now * B[:, token, None] * x[:, token, :, None]
        outputs.append((state * C[:, token, None]).sum(-1))
    return torch.stack(outputs, dim=1)


def selective_scan(x: Tensor, step: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """What ``reference_selective_scan`` computes, several times faster. Same arguments, same result.

    States are float32 (or float64) under autocast too.
    """
    kind = torch.promote_types(step.dtype, torch.float32)
    rates = A.to(kind).expand(len(x), -1, -1)
    state, outputs = None, []
    with torch.autocast(x.device.type, enabled=False):
        for start in range(0, x.shape[1], BLOCK):
            part = (each[:, start : start + BLOCK].to(kind) for each in (x, step, B, C))
            y, state = _scan_block(*part, rates, state)
            outputs.append(y)
    return torch.cat(outputs, dim=1).to(x.dtype)


def _scan_block(
    x: Tensor, step: Tensor, B: Tensor, C: Tensor, A: Tensor, before: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One block from the state [B, I, N] that the block before left: y [B, T, I] and the state after it."""
    tokens = x.shape[1]
    size = max(1, math.isqrt(tokens))
    padding = -tokens % size
    if padding:
        x, step, B, C = (functional.pad(part, (0, 0, 0, padding)) for part in (x, step, B, C))
    x, step, B, C = (part.unflatten(1, (-1, size)) for part in (x, step, B, C))  # [B, K, Q, ...]

    log_decay = step.unsqueeze(-1) * A[:, None, None]  # [B, K, Q, I, N]
    entering = (step * x).unsqueeze(-1) * B.unsqueeze(-2)
    states = [entering[:, :, 0]]
    decays = log_decay.exp()
    for token in range(1, size):
        states.append(torch.addcmul(entering[:, :, token], decays[:, :, token], states[-1]))
    alone = torch.stack(states, dim=2)

    from_start = log_decay.cumsum(2).exp()
    state = torch.zeros_like(A) if before is None else before
    starts = []
    for kept, added in zip(from_start[:, :, -1].unbind(1), alone[:, :, -1].unbind(1), strict=True):
        starts.append(state)
        state = torch.addcmul(added, kept, state)
    whole = torch.addcmul(alone, from_start, torch.stack(starts, dim=1).unsqueeze(2))
    # Padding has step 0, so it leaves the last state as it is.
    y = (whole @ C.unsqueeze(-1)).squeeze(-1)  # [B, K, Q, I]
    return y.flatten(1, 2)[:, :tokens], state
