"""Where training writes what it measures: metrics.jsonl, TensorBoard, a progress bar with the time left."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.tensorboard import SummaryWriter

from ..atomic_write import atomic_write, write_error


class Recorder:
    """Writes the rows of one training run; use as a context manager.

    Args:
        folder: holds ``metrics.jsonl`` (one JSON object a row, with ``step``) and ``tensorboard/``.
        name: shown in front of the progress bar.
        step: steps already done; later rows left over from a run that was cut off are dropped.
        steps: steps in all.
        line_every: steps between printed lines where the output is not a terminal.

    Raises:
        KmmError: ``disk_full``, ``no_folder``, ``no_permission`` or ``cannot_write``.
    """

    def __init__(self, folder: Path, name: str, step: int, steps: int, *, line_every: int):
        self._folder, self._name, self._steps, self._line_every = folder, name, steps, line_every
        self._file = folder / "metrics.jsonl"
        self._first_step, self._started = step, time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._drop_rows_after(step)
            self._tensorboard = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        except OSError as error:
            raise write_error(folder, error) from error
        self._console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
        )
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task(name, total=steps, completed=step, status="")

    def __enter__(self) -> Recorder:
        self._bar.start()
        return self

    def __exit__(self, *exception) -> None:
        self._bar.stop()
        with suppress(OSError):  # A full disk is reported by whatever led here.
            self._tensorboard.close()

    def row(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add one row to every log: ``step`` steps are done."""
        line = json.dumps({"step": step, **metrics}) + "\n"
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(descriptor, line.encode())  # One write: a reader never sees half a row.
            finally:
                os.close(descriptor)
            for key, value in metrics.items():
                self._tensorboard.add_scalar(key, value, step)
        except OSError as error:
            raise write_error(self._file, error) from error

    def pictures(self, step: int, folder: Path) -> None:
        """Show the PNG files of ``folder`` in TensorBoard."""
        try:
            for path in sorted(folder.glob("*.png")):
                with Image.open(path) as image:
                    pixels = np.asarray(image.convert("RGB"))
                self._tensorboard.add_image(path.stem, pixels, step, dataformats="HWC")
        except OSError as error:
            raise write_error(self._folder, error) from error

    def advance(self, step: int, status: str) -> None:
        """Move the progress bar, or print a line every ``line_every`` steps where there is no terminal."""
        self._bar.update(self._task, completed=step, status=status)
        if self._bar.disable and (step % self._line_every == 0 or step == self._steps):
            rate = (step - self._first_step) / (time.monotonic() - self._started)
            left = time.strftime("%H:%M:%S", time.gmtime((self._steps - step) / rate)) if rate else "unknown"
            self.note(f"{self._name} {step}/{self._steps}  {rate:.2f} steps/s  {left} left  {status}")

    def note(self, text: str) -> None:
        """Print a line above the progress bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _drop_rows_after(self, step: int) -> None:
        if not self._file.is_file():
            return
        kept = []
        for line in self._file.read_text().splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue  # A torn row.
        with atomic_write(self._file) as temporary:
            temporary.write_text("".join(kept))
