"""``kmm-train ablate``: loads what it needs, runs the ablation, and keeps its page up to date."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from kmm_core.atomic_write import check_writable
from kmm_core.errors import KmmError
from kmm_core.evaluate.evaluator import load_evaluator
from kmm_core.evaluate.starter_set import starter_set
from kmm_core.text.encoder import load_text_encoder

from . import config as configs
from .ablate import ablate, read_runs
from .ablation_page import write_page
from .ablation_scores import Ruler
from .runs import data_now


def run_ablation(
    config: str,
    overrides: Iterable[str],
    *,
    folder: Path,
    tokenizer_from: str,
    evaluator: Path,
    seeds: Sequence[int],
    variants: Sequence[str],
    clips: int,
    out: Path,
    images: Path,
    name: str,
    title: str,
) -> bool:
    """Runs what is not finished; the page is written anew after each run, with all runs in ``folder`` that are measured alike.

    Returns:
        False where it was asked to stop.

    Raises:
        KmmError: ``no_evaluator``, and whatever training, measuring and writing raise.
    """
    settings = configs.load(config, overrides)
    if not evaluator.is_file():
        raise KmmError(
            "no_evaluator", f"{evaluator} does not exist.", "Train one: kmm-train evaluator CONFIG."
        )

    for file in (out / f"{name}.md", images / f"{name}.png"):
        check_writable(file)

    def ruler() -> Ruler:
        encoder = load_text_encoder(settings.text)
        data = starter_set(
            settings.data.prepared,
            sources=settings.data.sources,
            representation=settings.data.representation,
        )
        return Ruler(load_evaluator(evaluator, encoder, data.representation), data, clips)

    # Other clips are another measure, as another evaluator is.
    key = json.dumps([hashlib.sha256(evaluator.read_bytes()).hexdigest(), clips, data_now(settings)])
    started = time.perf_counter()

    def note(text: str) -> None:
        print(f"[{time.perf_counter() - started:.0f} s] {text}", file=sys.stderr, flush=True)
        write_page(read_runs(folder, key), out, images, name, title)

    finished = ablate(
        settings,
        folder,
        tokenizer_from=tokenizer_from,
        ruler=ruler,
        ruler_key=key,
        seeds=seeds,
        variants=variants,
        note=note,
    )
    if finished:
        print(f"Wrote {write_page(read_runs(folder, key), out, images, name, title)}.")
    return finished
