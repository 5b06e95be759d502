"""``kmm-train decay``: loads the models, measures them along long timelines, and writes the page."""

from __future__ import annotations

import time
from pathlib import Path

from kmm_core.atomic_write import check_writable
from kmm_core.evaluate import results_page
from kmm_core.evaluate.decay import DecayPlan, measure_decay, one_pass, piece_by_piece, recordings_joined
from kmm_core.evaluate.decay_page import NAME, TITLE, write_decay
from kmm_core.evaluate.evaluator import load_evaluator, named_on_pages

from .evaluate import evaluation_data, load_model, stage_bars


def run_decay(
    model: str,
    *,
    baseline: str,
    evaluator: Path,
    folder: Path,
    plan: DecayPlan,
    out: Path,
    images: Path,
    device: str = "auto",
    name: str = NAME,
    title: str = TITLE,
) -> Path:
    """Measures a model in one pass and piece by piece, a baseline in one pass, and joined recordings.

    Args:
        model: see ``evaluate.load_model``.
        baseline: another model; "" for none.
        evaluator: what ``kmm-train evaluator`` left.
        folder: prepared clips.
        plan: how much to measure.
        out: folder of the page.
        images: folder of its plot.
        device: for generating and for the evaluator.
        name: of the page's files.
        title: of the page.

    Returns:
        The page.

    Raises:
        KmmError: whatever loading, measuring and writing raise.
    """
    for file in (out / f"{name}.md", images / f"{name}.png"):
        check_writable(file)
    started = time.perf_counter()
    measured, pipeline = load_model(model, device)
    measuring = load_evaluator(
        evaluator, pipeline.bundle.encoder, pipeline.representation.name, pipeline.device
    )
    data = evaluation_data("starter", folder, pipeline, tagged=False)
    lost = data.lost_frames
    methods = {f"{measured}, one pass": one_pass(pipeline, data.fps, lost)}
    if baseline:
        other, reference = load_model(baseline, device)
        methods[f"{other} (baseline), one pass"] = one_pass(reference, data.fps, lost)
    methods[f"{measured}, piece by piece"] = piece_by_piece(pipeline, data.fps, lost)
    methods["recordings, joined"] = recordings_joined(pipeline.representation, lost)
    with stage_bars() as report:
        decay = measure_decay(methods, data, measuring, plan, report)
    about = results_page.machine() | {
        "evaluator": named_on_pages(evaluator),
        "held-out clips": str(len(data.clips)),
    }
    return write_decay(
        decay, out, images, about=about, seconds=time.perf_counter() - started, name=name, title=title
    )
