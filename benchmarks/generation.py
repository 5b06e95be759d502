"""Times text to clip, warm, from 10 seconds to 10 minutes of motion, by stage, and the memory it takes.

python -m benchmarks.generation -o docs/benchmarks/generation.md
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from benchmarks.measuring import machine, markdown_table, write_page
from kmm_core.errors import KmmError
from kmm_core.pipeline import TextToMotion
from kmm_core.timeline import Prompt, Timeline

SECONDS = (10, 30, 60, 150, 300, 600)
PROMPTS = ("a person walks forward", "a person turns left", "a person raises the right arm", "someone waves")
PROMPT_SECONDS = 5
STAGES = ("text", "tokens", "motion", "clean-up")


def timeline(seconds: int, fps: int = 30) -> Timeline:
    """Prompts of 5 s each, one behind the other."""
    step = PROMPT_SECONDS * fps
    starts = range(0, seconds * fps, step)
    return Timeline(fps, tuple(Prompt(PROMPTS[i % len(PROMPTS)], s, s + step) for i, s in enumerate(starts)))


def memory_mb(field: str = "VmRSS") -> float:
    """Memory of this process in MB (``VmHWM``: the most so far); nan where /proc is not."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1000


def measure(pipeline: TextToMotion, seconds: int, repeats: int) -> dict[str, float]:
    """Median seconds by stage and in all, after one generation to warm up."""
    prompts = timeline(seconds)
    runs = []
    for seed in range(repeats + 1):
        started = time.perf_counter()
        by_stage = pipeline.generate(prompts, seed=seed).seconds
        runs.append({**by_stage, "total": time.perf_counter() - started})
    return {name: statistics.median(run[name] for run in runs[1:]) for name in runs[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="starter")
    parser.add_argument("--seconds", type=int, nargs="+", default=SECONDS)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()

    started = time.perf_counter()
    try:
        pipeline = TextToMotion.load(arguments.bundle, device=arguments.device)
    except KmmError as error:
        print(f"benchmarks.generation: {error}", file=sys.stderr)
        return 1
    load_seconds, loaded_mb = time.perf_counter() - started, memory_mb()

    rows, cost = [], {}
    for seconds in arguments.seconds:
        found = measure(pipeline, seconds, arguments.repeats)
        cost[seconds] = found["total"] / seconds
        row = [f"{seconds} s", *(f"{found[stage]:.3f}" for stage in STAGES), f"{found['total']:.3f}"]
        rows.append([*row, f"{cost[seconds] * 1e3:.2f}"])
        print("  ".join(rows[-1]), flush=True)
    spread = max(cost.values()) / min(cost.values()) - 1
    info = pipeline.info
    sampling = pipeline.bundle.config.sampling
    text = (
        "# Generation\n\n"
        f"Seconds from text to a finished clip, warm, median of {arguments.repeats}; one sample, a prompt every "
        f"{PROMPT_SECONDS} s, float32, on {info.device}. Smaller is better.\n\n"
        f"Model {info.model} {info.version} with {sampling.steps} decoding steps at guidance {sampling.guidance_scale:g}; "
        f"parameters: {', '.join(f'{name} {count:,}' for name, count in info.parameters.items())}.\n\n"
        f"{machine()}.\n\n"
        + markdown_table(["motion", *STAGES, "in all", "ms a second of motion"], rows)
        + f"\n\nThe dearest second of motion costs {spread:.0%} more than the cheapest. Loading takes "
        f"{load_seconds:.2f} s (torch's import apart). Memory (RSS): {loaded_mb:.0f} MB with the model loaded, "
        f"{memory_mb('VmHWM'):.0f} MB at most while generating up to {max(arguments.seconds)} s.\n"
    )
    write_page(text, arguments.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
