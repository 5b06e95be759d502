"""The scan as matrix products, in plain PyTorch: the default on every device.

Source: Dao & Gu, "Transformers are SSMs" (Mamba-2), Section 6: inside a chunk the recurrence is a masked
attention-like product; from chunk to chunk only the state is carried on. Ours: inside a chunk one product serves both
ways, its lower triangle the forward one and its upper triangle the backward one, so nothing is turned around; sizes;
and blocks, which keep the work in the cache.

Shapes: B batch, T tokens, 2 ways, H heads, P head width, N state size, Q tokens a chunk, K chunks, R = B K rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Up to here one product over all pairs of tokens is fastest (measured: benchmarks/scan.py).
LONGEST_SINGLE_CHUNK = 96
CHUNK = 48
BLOCK = 8  # chunks

# exp(-30) = 1e-13: all is forgotten. The floor keeps differences of running sums exact enough in float32.
LOG_DECAY_FLOOR = -30.0


def chunked_scan(x: Tensor, step: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """What ``reference_scan`` computes, many times faster. Same arguments, same result.

    Decays are computed in float32 (or float64) under autocast too, and only ever as exp of a number that is not
    positive.

    Args:
        x: inputs. [B, T, H, P].
        step: step size dt. [B, T, 2, H].
        log_decay: dt * A, zero or negative. [B, T, 2, H].
        B: how an input enters the state, shared by the heads. [B, T, 2, N].
        C: how the state is read, shared by the heads. [B, T, 2, N].

    Returns:
        y: [B, T, H, P].
    """
    batch, tokens, heads, width = x.shape
    kind = torch.promote_types(log_decay.dtype, torch.float32)
    log_decay = log_decay.to(kind).clamp(min=LOG_DECAY_FLOOR)
    size = tokens if tokens <= LONGEST_SINGLE_CHUNK else CHUNK
    if padding := -tokens % size:
        x, step, log_decay, B, C = (
            functional.pad(part, (0, 0, 0, 0, 0, padding)) for part in (x, step, log_decay, B, C)
        )
    # Chunks become rows: x [R, H, Q, P], step and log_decay [R, 2, H, Q], B and C [R, 2, Q, N].
    x = x.reshape(-1, size, heads, width).transpose(1, 2).contiguous()
    step, log_decay = (
        part.reshape(-1, size, 2, heads).permute(0, 2, 3, 1) for part in (step.to(kind), log_decay)
    )
    B, C = (part.reshape(-1, size, 2, part.shape[-1]).transpose(1, 2) for part in (B, C))
    forward, backward = log_decay.unbind(1)
    sums = torch.stack((forward.cumsum(-1), backward.flip(-1).cumsum(-1).flip(-1)), dim=1)

    if tokens == size:
        y = _pair_weights(sums, step, B, C).to(x.dtype) @ x
    else:
        y = _with_states(x, step, sums, B, C, batch)
    return y.transpose(1, 2).reshape(batch, -1, heads, width)[:, :tokens]


def _pair_weights(sums: Tensor, step: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """How much of token s is read at token t: decay_ts C_t . B_s step_s, forward for s <= t plus backward for s >= t.

    Args:
        sums: running sums of log_decay from each way's own end of the chunk. [R, 2, H, Q].
        step: [R, 2, H, Q].
        B, C: [R, 2, Q, N].

    Returns:
        [R, H, Q, Q], target t before source s.
    """
    size = sums.shape[-1]
    # Each way's differences on its own side: on the other they are positive, and exp could overflow.
    looks_back = torch.ones(size, size, dtype=torch.bool, device=sums.device).tril()
    decays = torch.where(looks_back, *(sums[..., :, None] - sums[..., None, :]).unbind(1)).exp()
    forward, backward = (C @ B.transpose(-1, -2)).unbind(1)
    forward, backward = forward.tril().unsqueeze(1), backward.triu().unsqueeze(1)
    # One dtype: under autocast products are bfloat16, and mixed ones take torch's slow path on a CPU.
    step = step.to(forward.dtype).unsqueeze(-2)
    return decays.to(forward.dtype) * torch.addcmul(forward * step[:, 0], backward, step[:, 1])


def _with_states(x: Tensor, step: Tensor, sums: Tensor, B: Tensor, C: Tensor, batch: int) -> Tensor:
    """Chunks that hand their states on, forward to the next and backward to the one before. [R, H, Q, P] -> the same."""
    ends = torch.stack((sums[:, 0, :, -1], sums[:, 1, :, 0]), dim=1)  # a whole chunk's decay, [R, 2, H]
    # What each chunk alone adds to the states, then the states in which each chunk is entered.
    to_end = (ends.unsqueeze(-1) - sums).exp() * step
    entering = B.transpose(-1, -2).unsqueeze(1) * to_end.transpose(1, 2).unsqueeze(-2)  # [R, H, 2, N, Q]
    added = (entering.to(x.dtype).flatten(2, 3) @ x).to(sums.dtype)
    added = added.unflatten(2, (2, -1)).unflatten(0, (batch, -1))  # [B, K, H, 2, N, P]
    kept = ends.exp().unflatten(0, (batch, -1))[..., None, None]  # [B, K, 2, H, 1, 1]
    chunks = range(added.shape[1])
    states = [
        _states(added[:, :, :, way], kept[:, :, way], order)
        for way, order in enumerate((chunks, chunks[::-1]))
    ]

    reading = C.unsqueeze(2) * sums.exp().unsqueeze(-1)  # [R, 2, H, Q, N]
    outputs = []
    for start in range(0, len(x), BLOCK):
        block = slice(start, start + BLOCK)
        weights = _pair_weights(sums[block], step[block], B[block], C[block])
        y = torch.bmm(weights.to(x.dtype).flatten(0, 1), x[block].flatten(0, 1))
        for way in (0, 1):
            y = y.baddbmm_(
                reading[block, way].to(y.dtype).flatten(0, 1), states[way][block].to(y.dtype).flatten(0, 1)
            )
        outputs.append(y)
    return torch.cat(outputs).view_as(x)


def _states(added: Tensor, kept: Tensor, order: range) -> Tensor:
    """One way's state as each chunk is entered, the chunks taken in that order: [B, K, H, N, P] -> [R, H, N, P]."""
    state, entered = torch.zeros_like(added[:, 0]), {}
    for chunk in order:
        entered[chunk] = state
        state = torch.addcmul(added[:, chunk], state, kept[:, chunk])
    return torch.stack([entered[chunk] for chunk in sorted(order)], dim=1).flatten(0, 1)
