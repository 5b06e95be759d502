"""The scan by the fused CUDA kernel of the mamba-ssm package (extra ``[cuda]``)."""

from __future__ import annotations

from torch import Tensor

from ..errors import KmmError

CHUNK = 64

# The kernel multiplies x by dt; ours is multiplied already, so it is divided by dt first. Where log_decay is
# nearer to 0 than this (padding), the state fades by one in ten thousand a token instead of not at all.
SMALLEST_STEP = 1e-4


def mamba_ssm_available() -> bool:
    """Whether the fused kernel can be imported here."""
    try:
        from mamba_ssm.ops.triton import ssd_combined  # noqa: F401
    except ImportError:
        return False
    return True


def mamba_ssm_scan(x: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """What ``reference_scan`` computes, by ``mamba_chunk_scan_combined``. Same arguments, same result.

    Args:
        x: inputs, already multiplied by the step size dt. [B, T, H, P], on a CUDA device.
        log_decay: dt * A, zero or negative. [B, T, H].
        B: how an input enters the state, shared by the heads. [B, T, N].
        C: how the state is read, shared by the heads. [B, T, N].

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
    return _by_kernel(mamba_chunk_scan_combined, x, log_decay, B, C)


def _by_kernel(kernel, x: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Says our recurrence in the kernel's terms: dt = -log_decay, A = -1, and one group of B and C."""
    dt = (-log_decay.float()).clamp(min=SMALLEST_STEP)
    A = dt.new_full((x.shape[2],), -1.0)
    return kernel(
        (x / dt.unsqueeze(-1)).to(x.dtype),
        dt,
        A,
        B.to(x.dtype).unsqueeze(2),
        C.to(x.dtype).unsqueeze(2),
        CHUNK,
    )
