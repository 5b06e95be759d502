"""Writes an ``Evaluation`` to files: the targets, a Markdown page with plots, and JSON.

``results_page`` appends the page to docs/results.md. No number in it is typed by hand; no caption of the data is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..atomic_write import atomic_write, make_folder_of
from . import plots
from .copying import Nearest
from .evaluation import BASELINES, FADED, OTHERS, REAL, RECONSTRUCTION, SPLICED, Evaluation, Table
from .metrics import Interval
from .published import Benchmark, published_rows
from .starter_report import Figure

MINUTES = 10.0
_HEADS = {
    "r_precision_1": "R-precision 1",
    "r_precision_2": "R-precision 2",
    "r_precision_3": "R-precision 3",
    "fid": "FID",
    "mm_dist": "MM-Dist",
    "diversity": "Diversity",
    "multimodality": "MultiModality",
    "peak_jerk": "PJ",
    "area_under_jerk": "AUJ",
}
_CLIP_SCORES = ("r_precision_1", "r_precision_2", "r_precision_3", "fid", "mm_dist", "diversity")
_PUBLISHED: dict[str, Benchmark] = {"starter": "babel", "humanml3d": "humanml3d"}
_BENCHMARKS: dict[Benchmark, str] = {"babel": "BABEL", "babel-d": "BABEL-D", "humanml3d": "HumanML3D"}
# Figure -> (heading, factor, digits).
_GEOMETRY = {
    "named_side": ("named side and action, %", 100, 1),
    "named_side_covered": ("of those that its data cover, %", 100, 1),
    "action": ("action, paraphrases, %", 100, 1),
    "action_covered": ("of those that its data cover, %", 100, 1),
    "turn_direction": ("turns the way the caption says, %", 100, 1),
    "turn_angle": ("median angle of these turns, degrees", 1, 0),
    "foot_slide": ("foot slide while in contact, mm/s", 1000, 0),
    "contact": ("frames in which a foot stands, %", 100, 0),
    "floor_penetration": ("depth of the feet under the floor, mm", 1000, 1),
    "jerk": ("mean jerk, m/s³", 1, 0),
    "seam_jerk": ("mean jerk in the 1 s around boundaries, m/s³", 1, 0),
    "sample_spread": ("distance of the joints, two samples of a prompt, m", 1, 3),
}


def figures(result: Evaluation) -> list[Figure]:
    """The targets, and whether they are reached; those that could not be measured are left out."""
    found = [
        *_clip_figures(result),
        *_direction_figures(result),
        *_transition_figures(result),
        *_copying_figures(result),
    ]
    of_baselines = result.seconds.get(BASELINES, 0.0)
    seconds = sum(result.seconds.values()) - of_baselines
    found.append(
        Figure(
            "time of the whole evaluation",
            f"<= {MINUTES:g} min",
            f"{seconds / 60:.1f} min"
            + (f", the baselines' {of_baselines / 60:.1f} apart" if of_baselines else ""),
            seconds <= 60 * MINUTES,
            {"seconds": seconds},
        )
    )
    return found


def _clip_figures(result: Evaluation) -> list[Figure]:
    model, real = result.text[result.name], result.text[REAL]
    found = []
    if RECONSTRUCTION in result.text:
        fid, ceiling, others = model["fid"], result.text[RECONSTRUCTION]["fid"], result.text[OTHERS]["fid"]
        recorded = others.mean / max(ceiling.mean, 1e-9)
        found.append(
            Figure(
                "FID against held-out motion",
                "<= 2 x its tokenizer's reconstructions",
                f"{_shown(fid)} against {_shown(ceiling)} ({fid.mean / max(ceiling.mean, 1e-9):.1f} x); other recordings that "
                f"show the same, reconstructed: {_shown(others)} ({recorded:.1f} x)",
                fid.mean <= 2 * ceiling.mean,
                {"fid": fid.mean, "reconstruction": ceiling.mean, "others": others.mean},
            )
        )
    share = model["r_precision_3"].mean / max(real["r_precision_3"].mean, 1e-9)
    found.append(
        Figure(
            "R-precision top-3",
            ">= 0.9 x real motion's",
            f"{share:.2f} x ({_shown(model['r_precision_3'])} against {_shown(real['r_precision_3'])})",
            share >= 0.9,
            {"share": share},
        )
    )
    return found


def _direction_figures(result: Evaluation) -> list[Figure]:
    found = []
    if result.directional:
        own, real = (result.directional[row]["r_precision_3"] for row in (result.name, REAL))
        share = own.mean / max(real.mean, 1e-9)
        found.append(
            Figure(
                "directional benchmark, R-precision top-3",
                ">= 0.95 x real motion's",
                f"{share:.2f} x ({_shown(own)} against {_shown(real)})",
                share >= 0.95,
                {"share": share},
            )
        )
    sides = result.geometry.get(result.name, {})
    if "named_side" in sides:
        found.append(
            Figure(
                "named side and action, by geometry",
                ">= 97%",
                f"{sides['named_side']:.1%} of {sides['side_prompts']:.0f} prompts; {sides['named_side_covered']:.1%} of those its data cover",
                sides["named_side"] >= 0.97,
                {"all": sides["named_side"], "covered": sides["named_side_covered"]},
            )
        )
    return found


def _transition_figures(result: Evaluation) -> list[Figure]:
    table = result.transitions
    if result.name not in table:
        return []
    own, real = table[result.name], table[REAL]
    ratio = own["peak_jerk"].mean / max(real["peak_jerk"].mean, 1e-12)
    ways = {row: table[row]["area_under_jerk"] for row in (FADED, SPLICED)}
    area = own["area_under_jerk"]
    return [
        Figure(
            "peak jerk at transitions (PJ)",
            "<= 1.5 x real motion's",
            f"{ratio:.2f} x ({_small(own['peak_jerk'])} against {_small(real['peak_jerk'])})",
            ratio <= 1.5,
            {"ratio": ratio},
        ),
        Figure(
            "area under the jerk at transitions (AUJ)",
            "below stitching's, either way",
            f"{_small(area)}; " + ", ".join(f"{row} {_small(value)}" for row, value in ways.items()),
            all(area.mean < value.mean for value in ways.values()),
            {"own": area.mean} | {row: value.mean for row, value in ways.items()},
        ),
    ]


def _copying_figures(result: Evaluation) -> list[Figure]:
    return [
        Figure(
            f"copying: distance to the nearest training clip, {space}",
            "not below held-out recordings'",
            ", ".join(f"{share} quantile {own:.3g} against {real:.3g}" for share, (own, real) in q.items())
            + f"; {found.nearer:.1%} are nearer than the nearest 5% of recordings",
            not any(map(found.below, (0.05, 0.5))),
            {"quantiles": q, "nearer": found.nearer},
        )
        for space, found in result.nearest.items()
        for q in (found.quantiles(),)
    ]


def _shown(value: Interval, digits: int = 3) -> str:
    """The interval too, but not where there is none: one repetition, or a figure that never changes."""
    spread = f" ± {value.half_width:.{digits}f}" if value.half_width else ""
    return f"{value.mean:.{digits}f}{spread}"


def _small(value: Interval) -> str:
    return _shown(value, 4)


# -- the page ---------------------------------------------------------------------------------------------------


def write_evaluation(
    result: Evaluation, out: Path, *, about: Mapping[str, str], evaluator: str, released: bool = False
) -> list[Path]:
    """Writes ``evaluation_NAME.md`` (``evaluation_NAME_babel.md`` on BABEL, and so on; ``_released`` behind it for HumanML3D's
    released evaluator), its JSON beside it, and plots into ``images`` beside ``out``.

    Args:
        result: what was measured.
        out: folder.
        about: see ``results_page.machine``.
        evaluator: where the evaluator came from, for the page.
        released: whether it is the one that the published figures were measured with.

    Returns:
        The files, the page first.

    Raises:
        KmmError: ``no_matplotlib``, or where a file can't be written.
    """
    name = _file_name(result, released)
    page, data = out / f"{name}.md", out / f"{name}.json"
    found = figures(result)
    make_folder_of(page)
    _write(data, json.dumps(_as_json(result, found, about, evaluator), indent=1))
    drawn = _draw(result, out.parent / "images", name)
    _write(page, _page(result, found, drawn, about, evaluator, released))
    return [page, data, *drawn.values()]


def _file_name(result: Evaluation, released: bool) -> str:
    """Of the page, without suffix; pages of one model on two kinds of data, or by two evaluators, stand side by side."""
    kind = result.data["kind"]
    on = "" if kind == "starter" else f"_{kind}"
    return f"evaluation_{result.name}{on}" + ("_released" if released and kind == "humanml3d" else "")


def _write(path: Path, body: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(body + "\n", encoding="utf-8")


def _draw(result: Evaluation, images: Path, name: str) -> dict[str, Path]:
    """What is drawn -> its picture."""
    drawn = {"text": images / f"{name}_scores.png"}
    plots.plot_scores(
        result.text,
        [("r_precision_3", "R-precision top-3"), ("fid", "FID (less is better)"), ("diversity", "Diversity")],
        drawn["text"],
    )
    if result.curves:
        drawn["jerk"] = images / f"{name}_transitions.png"
        real = "of label" if result.data["kind"] == "babel" else "from any frame"
        plots.plot_jerk(result.curves, result.data["fps"], drawn["jerk"], real)
    if result.nearest:
        drawn["nearest"] = images / f"{name}_nearest.png"
        plots.plot_nearest(result.nearest, drawn["nearest"])
    if result.actions:
        drawn["actions"] = images / f"{name}_actions.png"
        plots.plot_actions(result.actions, result.name, drawn["actions"])
    return drawn


def _page(
    result: Evaluation,
    found: Sequence[Figure],
    drawn: Mapping[str, Path],
    about: Mapping[str, str],
    evaluator: str,
    released: bool,
) -> str:
    plan, data = result.plan, result.data
    words = {True: "pass", False: "**miss**", None: ""}
    picture = {what: f"![{what}](../images/{path.name})" for what, path in drawn.items()}
    command = f"kmm-train evaluate {result.name} --data {data['kind']}"
    parts = [
        f"# Evaluation of {result.name}" + ("" if data["kind"] == "starter" else f" on {data['kind']}"),
        f"Written by `{command}`; do not edit. " + "; ".join(f"{k} {v}" for k, v in about.items()) + ".",
        f"Measured on {data['clips']} held-out clips ({data['minutes']:.0f} min at {data['fps']:g} fps, features "
        f"{data['representation']}), one caption of each; {_repetitions(plan.repetitions)}; "
        f"seed {plan.seed}. Evaluator: {evaluator}. Pools of 32; clips that show the same count "
        "once in a pool.",
        _table(
            ["what", "target", "measured", ""],
            [[f.what, f.target, f.measured, words[f.passed]] for f in found],
        ),
        *(f"Not measured: {note}" for note in result.notes),
        "## Single clips",
        _scores(result.text, (*_CLIP_SCORES, "multimodality")),
        "FID of made motion is against the held-out clips; that of real motion is between the held-out clips and as many "
        "training clips that show the same, so it holds the difference of the recordings as well as that of the sample. "
        f"Reconstructions are the held-out clips through the tokenizer and back{_others(result)}. {_sampling(result)}MultiModality: "
        f"{plan.samples} samples of {plan.prompts} prompts in each repetition.",
        picture["text"],
        *_damage_section(result),
        # BABEL's published figures are of sub-sequences.
        *(
            []
            if data["kind"] == "babel"
            else _published_section(_PUBLISHED[data["kind"]], released, plan.clips)
        ),
    ]
    if result.directional:
        parts += [
            "## Directional benchmark",
            f"{data['directional_measured']} of the {data['directional_clips']} clips with captions that name a side or a "
            "turn, each with such a caption; FID against these clips alone.",
            _scores(result.directional, _CLIP_SCORES),
            *_published_section("babel-d", False),
        ]
    if result.subsequences:
        parts += _sequence_section(result, picture, released)
    if result.geometry:
        parts += ["## Geometry", *_geometry_section(result)]
    if result.actions:
        parts += [
            "## By action",
            "Distance of text and motion for each action that at least five clips show; the actions on which the model is "
            "furthest behind real motion stand on top.",
            picture["actions"],
        ]
    if result.nearest:
        parts += ["## Copying", *_copying_section(result.nearest), picture["nearest"]]
    times = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in result.seconds.items())
    parts.append(f"Time: {times}; {sum(result.seconds.values()):.0f} s in all.")
    return "\n\n".join(parts)


def _others(result: Evaluation) -> str:
    if OTHERS not in result.text:
        return ""
    return (
        "; other recordings are one draw of those training clips, likewise through the tokenizer: recorded motion that differs "
        "from the held-out clips in what made motion cannot avoid"
    )


def _sampling(result: Evaluation) -> str:
    if result.sampling_fid is None:
        return ""
    return (
        "Two draws of as many from a normal distribution of the held-out clips' mean and covariance have FID "
        f"{_shown(result.sampling_fid)} by chance alone: a rough measure of what so few clips cost motion that is made anew. "
        "It leaves out that made motion has the recordings' captions, so a model may come below it. Reconstructions are of "
        "the clips themselves, and don't pay it. "
    )


def _repetitions(count: int) -> str:
    if count == 1:
        return "one repetition, so without intervals"
    return f"{count} repetitions, each generated anew, with intervals of 1.96 sd / √{count} over them, as published"


def _damage_section(result: Evaluation) -> list[str]:
    if not result.damaged:
        return []
    own = result.text[result.name]["fid"].mean
    unseen = [name for name, row in result.damaged.items() if row["fid"].mean < own]
    return [
        "What the evaluator notices: the held-out clips themselves, spoiled.",
        _scores(result.damaged, _CLIP_SCORES),
        f"A FID above the model's, {own:.3f}, is damage that this evaluator minds more than all that the model does otherwise. "
        + (f"It minds less: {', '.join(unseen)}." if unseen else "All of these are."),
    ]


def _sequence_section(result: Evaluation, picture: Mapping[str, str], released: bool) -> list[str]:
    sizes = result.data["compositions"]
    # Published is the whole set, but for the rest that makes no composition.
    part = bool(result.plan.clips) or result.data["clips"] - sum(sizes) >= max(sizes)
    return [
        "## Sequences",
        f"{len(sizes)} compositions of {max(sizes)} prompts in each repetition, captions and lengths of held-out "
        "clips in a random order. Stitching: every prompt generated alone, each piece set down where the one before it "
        "has come to, with a cross-fade of 0.8 s or end to end.",
        "Sub-sequences, against the held-out clips"
        + (" of 3.5 s and more:" if result.data["kind"] == "humanml3d" else ":"),
        _scores(result.subsequences, _CLIP_SCORES),
        *(
            _published_section("babel", released, sum(sizes) if part else None)
            if result.data["kind"] == "babel"
            else []
        ),
        f"Transitions, windows of {result.data['window_seconds']:g} s around the boundaries, against windows of real motion"
        + (
            " around real boundaries"
            if result.data["kind"] == "babel"
            else " (anywhere in clips: these data hold no real transitions)"
        )
        + f"; jerk in m/frame³, AUJ against the real mean of {result.data['mean_jerk']:.4f}:",
        _scores(result.transitions, ("fid", "diversity", "peak_jerk", "area_under_jerk"), digits=4),
        picture["jerk"],
    ]


def _geometry_section(result: Evaluation) -> list[str]:
    rows = list(result.geometry)
    body = []
    for name, (heading, factor, digits) in _GEOMETRY.items():
        if any(name in result.geometry[row] for row in rows):
            cells = [
                f"{factor * result.geometry[row][name]:.{digits}f}" if name in result.geometry[row] else ""
                for row in rows
            ]
            body.append([heading, *cells])
    text = [_table(["what", *rows], body)]
    turns = result.geometry.get(result.name, {}).get("turns")
    if turns:
        text.append(
            f"Turns: the {turns:.0f} held-out clips whose labels name a turn, and what was made from their captions; a "
            "negative angle is a turn the other way."
        )
    return text


def _copying_section(nearest: Mapping[str, Nearest]) -> list[str]:
    rows = [
        [space, share, f"{own:.3g}", f"{real:.3g}"]
        for space, found in nearest.items()
        for share, (own, real) in found.quantiles().items()
    ]
    found = next(iter(nearest.values()))
    return [
        f"How far {len(found.samples)} samples, and {len(found.held_out)} held-out recordings, are from the nearest "
        "training clip. Joint positions: the middle second against every second of every training clip and of its "
        "mirror image, root mean square distance of the joints seen from the body, metres. A model that copies "
        "has samples nearer than new recordings are; one whose motion is smoother and more typical than any "
        "recording has them too. The target counts as missed where the 5% or the 50% quantile is below by more than chance.",
        _table(["space", "quantile", "samples", "held-out recordings"], rows),
    ]


def _published_section(benchmark: Benchmark, compares: bool, clips: int | None = None) -> list[str]:
    """The published rows of one benchmark; ``compares`` says whether ours were measured as they were, ``clips`` on how many."""
    names = ("r_precision_3", "fid", "diversity", "mm_dist")
    rows = [
        [
            row.method,
            *("" if value is None else f"{value:g}" for value in map(row.__getattribute__, names)),
            row.source,
        ]
        for row in published_rows(benchmark)
    ]
    note = (
        "measured with the same released evaluator on the same data"
        + (f", but on all of it: FID of {clips} clips is higher, and does not compare" if clips else "")
        if compares
        else "measured on other data with another evaluator: orderings compare, numbers do not"
    )
    heads = ["", *(_HEADS[name] for name in names), "source"]
    return [f"Published figures of {_BENCHMARKS[benchmark]}, {note}:", _table(heads, rows)]


def _scores(table: Table, names: Sequence[str], digits: int = 3) -> str:
    names = [name for name in names if any(name in row for row in table.values())]
    rows = []
    for row, values in table.items():
        cells = [_shown(values[name], digits) if name in values else "" for name in names]
        rows.append([row, *cells])
    return _table(["", *(_HEADS[name] for name in names)], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _as_json(
    result: Evaluation, found: Sequence[Figure], about: Mapping[str, str], evaluator: str
) -> dict[str, Any]:
    def table(rows: Table) -> dict[str, Any]:
        return {row: {name: asdict(value) for name, value in values.items()} for row, values in rows.items()}

    return {
        "about": dict(about),
        "evaluator": evaluator,
        "model": result.info,
        "data": result.data,
        "plan": asdict(result.plan),
        "figures": [vars(figure) for figure in found],
        "text": table(result.text),
        "sampling_fid": asdict(result.sampling_fid) if result.sampling_fid else None,
        "damaged": table(result.damaged),
        "directional": table(result.directional),
        "subsequences": table(result.subsequences),
        "transitions": table(result.transitions),
        "curves": {row: [float(value) for value in curve] for row, curve in result.curves.items()},
        "geometry": result.geometry,
        "actions": result.actions,
        "copying": {
            space: {"quantiles": found.quantiles(), "nearer": found.nearer}
            for space, found in result.nearest.items()
        },
        "seconds": result.seconds,
        "notes": result.notes,
    }
