"""Steps a second of the training stages, at a config's sizes, on clips made by code.

python -m benchmarks.training -o docs/benchmarks/training.md
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measuring import machine, markdown_table, write_page
from training import config, runs
from training.config import RunSettings
from training.prepare import prepare

FEW = 5


def seconds_a_step(stage: str, settings: RunSettings, folder: Path, steps: int) -> float:
    """From a short and a longer run of the real loop: the difference is without start-up, validation and checkpoints."""
    train = {
        "tokenizer": runs.train_tokenizer,
        "decoder": runs.train_decoder,
        "generator": runs.train_generator,
    }[stage]
    took = []
    for number in (FEW, FEW + steps):
        how = replace(
            getattr(settings.train, stage),
            steps=number,
            validate_every=10**9,
            checkpoint_every=10**9,
            log_every=10**9,
        )
        changed = replace(settings, train=replace(settings.train, **{stage: how}))
        shutil.rmtree(folder / stage, ignore_errors=True)
        started = time.perf_counter()
        train(changed, folder, resume=False)
        took.append(time.perf_counter() - started)
    return (took[1] - took[0]) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="starter", help="whose sizes and batch")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare("synthetic", data=folder, out=folder / "prepared")
        settings = config.load(arguments.config)
        data = replace(settings.data, prepared=str(folder / "prepared"), sources=("synthetic",))
        settings = replace(
            settings, data=data, rows=replace(settings.rows, compositions=100), tokenizer_run=""
        )
        # The generator's first, uncounted run fills the cache of token rows.
        for stage in ("tokenizer", "decoder", "generator"):
            seconds_a_step(stage, settings, folder / "run", 1)
            times = [
                seconds_a_step(stage, settings, folder / "run", arguments.steps)
                for _ in range(arguments.repeats)
            ]
            seconds = statistics.median(times)
            how = getattr(settings.train, stage)
            rows.append(
                [
                    stage,
                    str(how.batch_size),
                    how.mixed_precision,
                    f"{1 / seconds:.2f}",
                    f"{seconds * 1e3:.0f}",
                ]
            )
    header = ["stage", "batch", "mixed precision", "steps a second", "ms a step"]
    text = (
        "# Training\n\n"
        f"The real loop with the sizes and batches of the config `{arguments.config}`, on clips made by code; "
        f"median of {arguments.repeats} times {arguments.steps} steps, start-up and validation apart.\n\n"
        f"{machine()}.\n\n{markdown_table(header, rows)}\n"
    )
    write_page(text, arguments.output)


if __name__ == "__main__":
    main()
