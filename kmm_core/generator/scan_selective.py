"""Mamba 1's selective scan, in plain PyTorch: one decay for each channel and state.

Source: Gu & Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", Algorithm 2 and Section 3.3.
Decays differ by channel, so the scan is no matrix product as Mamba-2's is. Ours: token after token, with the gradients
written out. One token's states stay in the processor's cache; automatic differentiation would keep four tensors
as large for every token, and scanning chunks side by side would move them all through memory.

Shapes: B batch, T tokens, I channels, N state size.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
    """What ``reference_selective_scan`` computes, faster where gradients are asked for. Same arguments, same result.

    States are float32 (or float64) under autocast too.
    """
    kind = torch.promote_types(step.dtype, torch.float32)
    parts = (part.to(kind) for part in (x, step, A.expand(len(x), -1, -1), B, C))
    with torch.autocast(x.device.type, enabled=False):
        return _SelectiveScan.apply(*parts).to(x.dtype)


class _SelectiveScan(torch.autograd.Function):
    """The recurrence and its gradients. h: states [B, I, N]; g: the loss's gradient by h."""

    @staticmethod
    def forward(ctx, x: Tensor, step: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        entering = step * x
        state = torch.zeros_like(A)
        keep = any(ctx.needs_input_grad)
        states, outputs = [], []
        for token in range(x.shape[1]):
            decay = (step[:, token, :, None] * A).exp_()
            state = decay.mul_(state).addcmul_(entering[:, token, :, None], B[:, token, None])
            outputs.append((state @ C[:, token, :, None]).squeeze(-1))
            if keep:
                states.append(state)
        ctx.save_for_backward(x, step, A, B, C, *states)
        return torch.stack(outputs, dim=1)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, ...]:
        x, step, A, B, C, *states = ctx.saved_tensors
        entering = step * x
        g, by_A = torch.zeros_like(A), torch.zeros_like(A)
        by_step, by_entering, by_B, by_C = (torch.zeros_like(part) for part in (step, x, B, C))
        with torch.autocast(x.device.type, enabled=False):
            for token in reversed(range(x.shape[1])):
                g.addcmul_(upstream[:, token, :, None], C[:, token, None])
                by_C[:, token] = (upstream[:, token, None] @ states[token]).squeeze(1)
                by_entering[:, token] = (g @ B[:, token, :, None]).squeeze(-1)
                by_B[:, token] = (entering[:, token, None] @ g).squeeze(1)
                if not token:
                    break  # Before the first token the state is 0, whatever the decay.
                now = step[:, token, :, None]
                g *= (now * A).exp_()
                by_exponent = g * states[token - 1]
                by_A.addcmul_(by_exponent, now)
                by_step[:, token] = by_exponent.mul_(A).sum(-1)
        return by_entering * step, by_step + by_entering * x, by_A, by_B, by_C
