"""Times the three scans on lengths from 64 to 16,384 tokens, and Mamba-1's two on training batches, forward and backward.

python -m benchmarks.scan -o docs/benchmarks/scan.md
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.measuring import machine, markdown_table, median_seconds, write_page
from kmm_core.generator.scan import choose_scan
from kmm_core.generator.scan_mamba import mamba_ssm_available
from kmm_core.generator.scan_selective import reference_selective_scan, selective_scan

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
BATCH, HEADS, WIDTH, STATE = 1, 12, 64, 16
# Mamba-1, as the ablation trains it: rows, channels.
SELECTIVE_LENGTHS = (24, 48, 96)
SELECTIVE_BATCH, CHANNELS = 32, 384
SELECTIVE = {"reference": reference_selective_scan, "selective": selective_scan}


def _draw(tokens: int, device: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    step, rate = torch.rand(2, BATCH, tokens, 2, HEADS, generator=generator)
    parts = (
        draw(BATCH, tokens, HEADS, WIDTH),
        step,
        -rate,
        draw(BATCH, tokens, 2, STATE),
        draw(BATCH, tokens, 2, STATE),
    )
    return [part.to(device).requires_grad_() for part in parts]


def _draw_selective(tokens: int, device: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    row = (SELECTIVE_BATCH, tokens)
    parts = (
        draw(*row, CHANNELS),
        draw(*row, CHANNELS),
        -draw(CHANNELS, STATE),
        draw(*row, STATE),
        draw(*row, STATE),
    )
    return [part.to(device).requires_grad_() for part in parts]


def measure(
    scan: Callable[..., torch.Tensor], inputs: list[torch.Tensor], device: str, repeats: int
) -> tuple[float, float]:
    """Median seconds of a forward pass (nothing kept) and of a forward with backward."""
    upstream = torch.randn_like(inputs[0])

    def forward() -> None:
        with torch.inference_mode():
            scan(*inputs)

    def both() -> None:
        torch.autograd.grad(scan(*inputs), inputs, upstream)

    cuda = device == "cuda"
    return (
        median_seconds(forward, repeats=repeats, cuda=cuda),
        median_seconds(both, repeats=repeats, cuda=cuda),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()

    names = ["reference", "chunked"]
    if mamba_ssm_available() and arguments.device == "cuda":
        names.append("mamba_ssm")
        note = ""
    else:
        note = "The mamba_ssm scan was not measured: it needs the package mamba-ssm and a CUDA device.\n\n"

    def table(scans: dict[str, Callable[..., torch.Tensor]], lengths, draw) -> str:
        rows = []
        for tokens in lengths:
            row = [f"{tokens:,}"]
            for scan in scans.values():
                times = measure(scan, draw(tokens, arguments.device), arguments.device, arguments.repeats)
                row += [f"{seconds * 1e3:.2f}" for seconds in times]
            rows.append(row)
            print("  ".join(row), flush=True)
        parts = ("forward", "forward + backward")
        return markdown_table(["tokens", *(f"{name}, {part}" for name in scans for part in parts)], rows)

    mamba_2 = table({name: choose_scan(name) for name in names}, arguments.lengths, _draw)
    mamba_1 = table(SELECTIVE, SELECTIVE_LENGTHS, _draw_selective)
    text = (
        "# Scan\n\n"
        f"Milliseconds a call, median of up to {arguments.repeats}; batch {BATCH}, {HEADS} heads of {WIDTH}, "
        f"state {STATE}, float32, on {arguments.device}. Smaller is better. A token is 4 frames.\n\n"
        f"{machine()}.\n\n{note}{mamba_2}\n\n"
        "## Mamba-1, in the ablation\n\n"
        f"{SELECTIVE_BATCH} rows of {CHANNELS} channels, state {STATE}; in the same run.\n\n{mamba_1}\n"
    )
    write_page(text, arguments.output)


if __name__ == "__main__":
    main()
