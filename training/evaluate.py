"""``kmm-train evaluate``: loads the set, the evaluator and the models, measures, and writes the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kmm_core.atomic_write import check_writable
from kmm_core.errors import KmmError
from kmm_core.evaluate import results_page
from kmm_core.evaluate.babel_set import babel_set, spacy_tagger
from kmm_core.evaluate.evaluation import EvaluationPlan, Report, measure
from kmm_core.evaluate.evaluation_report import figures, write_evaluation
from kmm_core.evaluate.evaluation_set import EvaluationSet
from kmm_core.evaluate.evaluator import FrozenEvaluator, load_evaluator, named_on_pages
from kmm_core.evaluate.humanml3d_set import humanml3d_set
from kmm_core.evaluate.released_evaluator import load_released_evaluator
from kmm_core.evaluate.starter_set import starter_set
from kmm_core.pipeline import TextToMotion

from .export import load_generator
from .runs import generator_checkpoint, load_tokenizer, settings_of, settings_of_stage, tokenizer_of

KINDS = ("starter", "humanml3d", "babel")


def evaluate(
    model: str,
    *,
    kind: str,
    folder: Path,
    evaluator: Path,
    released: bool,
    baselines: Sequence[str],
    plan: EvaluationPlan,
    out: Path,
    device: str = "auto",
) -> list[Path]:
    """Measures one model and writes its page; prints the figures to reach.

    Args:
        model: see ``load_model``; so are the baselines.
        kind: "starter", "humanml3d" or "babel".
        folder: prepared clips, or the data set's folder.
        evaluator: file of ours, or the folder of the released one.
        released: which of the two.
        baselines: models to compare with.
        plan: how much to measure.
        out: folder for the page.
        device: for generating and for the evaluator.

    Returns:
        The files written, the page first.

    Raises:
        KmmError: ``bad_data`` for another kind, ``bad_evaluator`` for a released evaluator of the starter's data or one of
            ours for BABEL (there is none), and whatever loading, measuring and writing raise.
    """
    if kind not in KINDS:
        raise KmmError("bad_data", f"--data {kind} is not known; expected one of {', '.join(KINDS)}.")
    if kind == "babel" and not released:
        raise KmmError(
            "bad_evaluator",
            "Only BABEL's released evaluator reads its 135-column features; kmm-train evaluator "
            "trains on the models' features.",
            "Add --released --evaluator FOLDER; or measure prepared clips with one of yours: --data "
            "starter --folder "
            "prepared/babel --evaluator FILE.",
        )
    for file in (out / "page.md", out.parent / "images" / "plot.png"):
        check_writable(file)
    started = time.perf_counter()
    models: dict[str, TextToMotion] = {}
    for given in (model, *baselines):
        name, pipeline = load_model(given, device)
        # A baseline may have the model's name in another folder.
        while name in models:
            name += "'"
        models[name] = pipeline
    first = next(iter(models.values()))
    if released:
        measuring = _released(evaluator, kind, str(first.device))
        described = f"the released one of {kind}"
    else:
        form = "263" if kind == "humanml3d" else first.representation.name
        measuring = load_evaluator(evaluator, first.bundle.encoder, form, first.device)
        described = f"{named_on_pages(evaluator)}, trained on the training split by `kmm-train evaluator`"
    data = evaluation_data(kind, folder, first, released)
    with stage_bars() as report:
        result = measure(models, data, measuring, plan, report)
    measured = sum(result.seconds.values())
    result.seconds["loading"] = time.perf_counter() - started - measured
    written = write_evaluation(
        result, out, about=results_page.machine(), evaluator=described, released=released
    )
    for figure in figures(result):
        mark = {True: "pass", False: "miss", None: "    "}[figure.passed]
        print(f"{mark}  {figure.what}: {figure.measured} (target {figure.target})")
    return written


def load_model(given: str, device: str = "auto") -> tuple[str, TextToMotion]:
    """A name to show, and the model: a bundle by name or folder, a run's folder, one of the runs of an ablation, or a
    checkpoint of a generator.

    Raises:
        KmmError: whatever loading raises.
    """
    path = Path(given)
    if path.is_dir():
        last = path / "last.safetensors"  # of an ablation, where the last weights are measured
        checkpoint = last if last.is_file() else generator_checkpoint(path)
    else:
        checkpoint = path
    if not checkpoint.is_file():
        folder = path.resolve()
        if folder.name == "bundle":  # kmm-train export writes <run>/bundle
            folder = folder.parent
        return folder.name if path.is_dir() else path.name, TextToMotion.load(given, device)
    run = checkpoint.resolve().parent.parent
    if (run / "tokenizer").is_dir():
        settings, tokenizer = settings_of(run), load_tokenizer(run)
    else:  # the runs of an ablation, <folder>/<variant>/seed-<n>, share one
        settings = settings_of_stage(checkpoint.parent, checkpoint.stem)
        tokenizer = tokenizer_of(settings.tokenizer_run)
    return run.name, TextToMotion(load_generator(settings, tokenizer, checkpoint), device)


def evaluation_data(kind: str, folder: Path, pipeline: TextToMotion, tagged: bool) -> EvaluationSet:
    if kind == "humanml3d":
        return humanml3d_set(folder, tagged=tagged)
    if kind == "babel":
        return babel_set(folder, tagger=spacy_tagger() if tagged else None)
    return starter_set(
        folder,
        # A bundle for any use has seen no non-commercial clip, and is not measured on any.
        noncommercial="NC" in pipeline.info.licence,
        representation=pipeline.representation.name,
    )


def _released(folder: Path, kind: str, device: str) -> FrozenEvaluator:
    """The released evaluator in a folder: text_mot_match/model/finest.tar somewhere in it, glove/, mean.npy, std.npy."""
    if kind == "starter":
        raise KmmError(
            "bad_evaluator",
            "There is no released evaluator of the starter's data.",
            "Train one with kmm-train evaluator, and leave --released out.",
        )
    return load_released_evaluator(
        _within(folder, "text_mot_match/model/finest.tar"),
        _within(folder, "mean.npy").parent,
        _within(folder, "our_vab_data.npy").parent,
        release=kind,
        device=device,
    )


def _within(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"**/{name}"))
    if len(found) != 1:
        raise KmmError(
            "no_evaluator",
            f"{folder} holds {len(found)} files {name}; expected one.",
            "Name a folder with text_mot_match/model/finest.tar, mean.npy, std.npy and the GloVe "
            "files of one release.",
        )
    return found[0]


@contextmanager
def stage_bars() -> Iterator[Report]:
    """A bar for each stage, with the time left."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    )

    def report(stage: str, total: int) -> Callable[[], None]:
        for task in bar.tasks:
            bar.update(task.id, completed=task.total)
        task = bar.add_task(stage, total=total)
        return lambda: bar.advance(task)

    with bar:
        yield report
