"""Times the three scans on lengths from 64 to 16,384 tokens, forward and backward.

python -m benchmarks.scan -o docs/benchmarks/scan.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.measuring import machine, markdown_table, median_seconds
from kmm_core.generator.scan import Scan, choose_scan
from kmm_core.generator.scan_mamba import mamba_ssm_available

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
BATCH, HEADS, WIDTH, STATE = 1, 12, 64, 16


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


def measure(scan: Scan, tokens: int, device: str, repeats: int) -> tuple[float, float]:
    """Median seconds of a forward pass (nothing kept) and of a forward with backward."""
    inputs = _draw(tokens, device)
    upstream = torch.randn(BATCH, tokens, HEADS, WIDTH, device=device)

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

    rows = []
    for tokens in arguments.lengths:
        row = [f"{tokens:,}"]
        for name in names:
            forward, both = measure(choose_scan(name), tokens, arguments.device, arguments.repeats)
            row += [f"{forward * 1e3:.2f}", f"{both * 1e3:.2f}"]
        rows.append(row)
        print("  ".join(row), flush=True)
    header = ["tokens"] + [f"{name}, {part}" for name in names for part in ("forward", "forward + backward")]
    text = (
        "# Scan\n\n"
        f"Milliseconds a call, median of up to {arguments.repeats}; batch {BATCH}, {HEADS} heads of {WIDTH}, "
        f"state {STATE}, float32, on {arguments.device}. Smaller is better. A token is 4 frames.\n\n"
        f"{machine()}.\n\n{note}{markdown_table(header, rows)}\n"
    )
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
