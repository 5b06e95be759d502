"""The scan by the fused CUDA kernel of the mamba-ssm package (extra ``[cuda]``)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import KmmError

CHUNK = 64

# The kernel has one dt for the decay and for the input; ours are two, so the input is divided by the decay's. Where
# log_decay is nearer to 0 than this (padding), the state fades by one in ten thousand a token instead of not at all.
SMALLEST_STEP = 1e-4


def mamba_ssm_available() -> bool:
    """Whether the fused kernel can be imported here."""
    try:
        from mamba_ssm.ops.triton import ssd_combined  # noqa: F401
    except ImportError:
        return False
    return True


def mamba_ssm_scan(x: Tensor, step: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """What ``reference_scan`` computes, by ``mamba_chunk_scan_combined``. Same arguments, same result.

    Args:
        x: inputs, on a CUDA device. [B, T, H, P].
        step: step size dt. [B, T, 2, H].
        log_decay: dt * A, zero or negative. [B, T, 2, H].
        B: how an input enters the state, shared by the heads. [B, T, 2, N].
        C: how the state is read, shared by the heads. [B, T, 2, N].

    Returns:
        y: [B, T, H, P].

    Raises:
        KmmError: ``no_mamba_ssm`` where the package is missing, ``scan_device`` where x is not on a CUDA device.
    """
    try:
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined
    except ImportError as error:
        raise KmmError(
            "no_mamba_ssm",
            f'scan="mamba_ssm" needs the package mamba-ssm, which cannot be imported here ({error}).',
            'Install it on Linux with CUDA by pip install "kmm-core[cuda]", or choose scan="chunked".',
        ) from error
    if not x.is_cuda:
        raise KmmError(
            "scan_device",
            f'scan="mamba_ssm" got tensors on "{x.device}"; its kernel runs on CUDA devices only.',
            'Move the model to a CUDA device or choose scan="chunked".',
        )
    return _by_kernel(mamba_chunk_scan_combined, x, step, log_decay, B, C)


def _by_kernel(kernel, x: Tensor, step: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Says our recurrence in the kernel's terms: both ways as one batch, dt = -log_decay, A = -1, one group of B and C."""
    step, log_decay, B, C = (_as_batch(part) for part in (step, log_decay, B, C))
    dt = (-log_decay.float()).clamp(min=SMALLEST_STEP)
    A = dt.new_full((x.shape[2],), -1.0)
    x = torch.cat([x, x.flip(1)])
    forward, backward = kernel(
        (x * (step / dt).unsqueeze(-1)).to(x.dtype),
        dt,
        A,
        B.to(x.dtype).unsqueeze(2),
        C.to(x.dtype).unsqueeze(2),
        CHUNK,
    ).chunk(2)
    return forward + backward.flip(1)


def _as_batch(part: Tensor) -> Tensor:
    """The ways one after the other, the backward one with time reversed. [B, T, 2, ...] -> [2 B, T, ...]."""
    forward, backward = part.unbind(2)
    return torch.cat([forward, backward.flip(1)])
