"""The scan as matrix products, in plain PyTorch: the default on every device.

Source: Dao & Gu, "Transformers are SSMs" (Mamba-2), Section 6: inside a chunk the recurrence is a masked
attention-like product; from chunk to chunk only the state is carried on. Sizes and the blocks are ours: on a CPU
short chunks win because the state is small (N = 16 or 32), and blocks keep the work in the cache and memory linear.

Shapes: B batch, T tokens, H heads, P head width, N state size, Q tokens a chunk, K chunks in a block.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Up to here one product over all pairs of tokens is fastest (measured: benchmarks/scan.py).
LONGEST_SINGLE_CHUNK = 96
CHUNK = 32
BLOCK = 128

# exp(-30) = 1e-13: all is forgotten. The floor keeps differences of running sums exact enough in float32.
LOG_DECAY_FLOOR = -30.0


def chunked_scan(x: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """What ``reference_scan`` computes, many times faster. Same arguments, same result.

    Decays are computed in float32 (or float64) under autocast too, and only ever as exp of a number that is not
    positive.

    Args:
        x: inputs, already multiplied by the step size dt. [B, T, H, P].
        log_decay: dt * A, zero or negative. [B, T, H].
        B: how an input enters the state, shared by the heads. [B, T, N].
        C: how the state is read, shared by the heads. [B, T, N].

    Returns:
        y: [B, T, H, P].
    """
    tokens = x.shape[1]
    log_decay = log_decay.to(torch.promote_types(log_decay.dtype, torch.float32)).clamp(min=LOG_DECAY_FLOOR)
    if tokens <= LONGEST_SINGLE_CHUNK:
        weights = _pair_weights(log_decay.transpose(1, 2).cumsum(-1), B, C)
        return (weights.to(x.dtype) @ x.transpose(1, 2)).transpose(1, 2)

    padding = -tokens % CHUNK
    if padding:
        x = functional.pad(x, (0, 0, 0, 0, 0, padding))
        log_decay, B, C = (functional.pad(part, (0, 0, 0, padding)) for part in (log_decay, B, C))
    state, outputs = None, []
    for start in range(0, tokens, BLOCK):
        block = (part[:, start : start + BLOCK].unflatten(1, (-1, CHUNK)) for part in (x, log_decay, B, C))
        y, state = _scan_block(*block, state)
        outputs.append(y)
    return torch.cat(outputs, dim=1)[:, :tokens]


def _pair_weights(decay_sums: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """How much of token s is read at token t: exp(a_t - a_s) C_t . B_s for s <= t, else 0.

    Args:
        decay_sums: a, running sums of log_decay along the chunk. [..., H, Q].
        B, C: [..., Q, N].

    Returns:
        [..., H, Q, Q], target t before source s.
    """
    # In the future the difference is positive: clamped so that exp cannot overflow, then dropped by the triangle,
    # which costs less on C . B (shared by the heads) than on the decays.
    decays = (decay_sums[..., :, None] - decay_sums[..., None, :]).clamp_(max=0).exp_()
    pairs = (C @ B.transpose(-1, -2)).tril().unsqueeze(-3)
    # One dtype: under autocast pairs are bfloat16, and a mixed product takes torch's slow path on a CPU.
    return decays.to(pairs.dtype) * pairs


def _scan_block(
    x: Tensor, log_decay: Tensor, B: Tensor, C: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Scans K chunks from the state that the block before left.

    Args:
        x: [B, K, Q, H, P].
        log_decay: [B, K, Q, H].
        B, C: [B, K, Q, N].
        state: [B, H, N, P], or None for zero.

    Returns:
        y [B, K * Q, H, P] and the state after the block.
    """
    x = x.transpose(2, 3)  # [B, K, H, Q, P]
    sums = log_decay.transpose(2, 3).cumsum(-1)  # [B, K, H, Q]
    from_start = sums.exp()
    to_end = (sums[..., -1:] - sums).exp()

    # What each chunk alone adds to the state, then the state at the start of each chunk.
    entering = B.transpose(2, 3).unsqueeze(2) * to_end.unsqueeze(-2)  # [B, K, H, N, Q]
    added = (entering.to(x.dtype) @ x).to(sums.dtype)  # [B, K, H, N, P]
    if state is None:
        state = torch.zeros_like(added[:, 0])
    before = []
    for added_here, kept in zip(added.unbind(1), from_start[..., -1, None, None].unbind(1), strict=True):
        before.append(state)
        state = torch.addcmul(added_here, state, kept)

    # One product for both: the chunk's own tokens and the state it started from.
    weights = torch.cat((_pair_weights(sums, B, C), C.unsqueeze(2) * from_start.unsqueeze(-1)), dim=-1)
    sources = torch.cat((x, torch.stack(before, dim=1).to(x.dtype)), dim=-2)  # [B, K, H, Q + N, P]
    y = weights.to(x.dtype) @ sources
    return y.transpose(2, 3).flatten(1, 2), state
