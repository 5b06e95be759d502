"""Chooses a scan by name. All have one signature; ``scan_reference`` says what they compute."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..errors import KmmError
from .scan_chunked import chunked_scan
from .scan_mamba import mamba_ssm_available, mamba_ssm_scan
from .scan_reference import reference_scan

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def automatic_scan(x: Tensor, step: Tensor, log_decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """The fused kernel for tensors on a CUDA device where mamba-ssm is installed, else the chunked scan."""
    scan = mamba_ssm_scan if x.is_cuda and mamba_ssm_available() else chunked_scan
    return scan(x, step, log_decay, B, C)


SCANS: dict[str, Scan] = {
    "auto": automatic_scan,
    "chunked": chunked_scan,
    "mamba_ssm": mamba_ssm_scan,
    "reference": reference_scan,
}


def choose_scan(name: str) -> Scan:
    """The scan of that name: ``scan(x, step, log_decay, B, C) -> y``.

    Raises:
        KmmError: ``unknown_scan``.
    """
    if name not in SCANS:
        raise KmmError("unknown_scan", f'scan="{name}" is not known.', f"Choose one of: {', '.join(SCANS)}.")
    return SCANS[name]
