"""Times what Blender's worker takes with one thread and with all, on a quiet machine and beside other work.

The worker's threads sleep while they wait (OMP_WAIT_POLICY=PASSIVE), so that Blender keeps the processor.

python -m benchmarks.worker_threads -o docs/benchmarks/worker_threads.md
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.generation import timeline
from benchmarks.measuring import machine, markdown_table, write_page
from kmm_core.pipeline import TextToMotion
from kmm_core.worker import ONE_THREAD_SECONDS

SECONDS = (5, 10, 20, 30, 60, 150)
BUSY = "while True: pass"


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """``count`` processes that do nothing but compute."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(pipeline: TextToMotion, seconds: int, threads: tuple[int, ...], repeats: int) -> list[float]:
    """Median seconds with each number of threads, by turns, after one generation each to warm up."""
    times: dict[int, list[float]] = {count: [] for count in threads}
    for _ in range(repeats + 1):
        for count in threads:
            torch.set_num_threads(count)
            started = time.perf_counter()
            pipeline.generate(timeline(seconds))
            times[count].append(time.perf_counter() - started)
    return [statistics.median(times[count][1:]) for count in threads]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="starter")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if os.environ.get("OMP_WAIT_POLICY") != "PASSIVE":  # read when torch is loaded
        command = [sys.executable, "-m", "benchmarks.worker_threads", *sys.argv[1:]]
        return subprocess.call(command, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})

    pipeline = TextToMotion.load(arguments.bundle, device="cpu")
    every, cores = torch.get_num_threads(), os.cpu_count() or 1
    about, rows = machine(), []
    for seconds in SECONDS:
        quiet = measure(pipeline, seconds, (1, every), arguments.repeats)
        with busy_processes(cores):
            busy = measure(pipeline, seconds, (1, every), arguments.repeats)
        rows.append([f"{seconds} s", *(f"{value:.3f}" for value in (*quiet, *busy))])
        print("  ".join(rows[-1]), flush=True)
    text = (
        "# Threads of Blender's worker\n\n"
        f"Seconds from text to a finished clip, warm, median of {arguments.repeats}, by turns; model {arguments.bundle}, one sample. "
        f"Busy: beside {cores} other processes that only compute. Smaller is better.\n\n"
        f"{about}.\n\n"
        + markdown_table(
            ["motion", "quiet: 1 thread", f"{every} threads", "busy: 1 thread", f"{every} threads"], rows
        )
        + f"\n\nSo the worker uses one thread for up to {ONE_THREAD_SECONDS} s of motion (all takes together), and all for more.\n"
    )
    write_page(text, arguments.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
