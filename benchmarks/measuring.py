"""What every benchmark shares: the machine's name, the median of repeats, and a Markdown table."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch


def machine() -> str:
    """Processor, cores, threads, Python and torch in one line, so that a figure is never without its machine."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        processor = names[0] if names else processor
    parts = [
        f"{processor}, {os.cpu_count()} cores",
        f"{torch.get_num_threads()} torch threads",
        f"Python {platform.python_version()}",
        f"torch {torch.__version__}",
        platform.system(),
    ]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def median_seconds(
    call: Callable[[], object], *, repeats: int, budget: float = 10.0, cuda: bool = False
) -> float:
    """Median wall time of ``call``, after one call to warm up.

    Args:
        call: what is timed.
        repeats: how often.
        budget: stop repeating after this many seconds (at least one repeat counts).
        cuda: wait for the device before each clock reading.
    """

    def once() -> float:
        started = time.perf_counter()
        call()
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - started

    spent = once()
    times: list[float] = []
    while not times or (len(times) < repeats and spent < budget):
        times.append(once())
        spent += times[-1]
    return statistics.median(times)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, figures to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def write_page(text: str, path: Path | None) -> None:
    """Prints a page, and writes it where ``path`` is given; its folder is made."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(text)
