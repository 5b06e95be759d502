"""The page, the plot and the JSON of a memory-decay measurement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..atomic_write import atomic_write, make_folder_of
from .decay import Decay
from .metrics import POOL
from .results_page import link_from

NAME = "memory_decay"
TITLE = "Memory decay"
WITHIN = 0.10  # how much worse the last places may be than the first
# Figure -> its name, and whether more of it is better. MM-Dist is in the JSON.
SHOWN = {
    "fid": ("FID", False),
    "r_precision_3": ("R-precision 3", True),
    "direction": ("direction", True),
}


@dataclass(frozen=True)
class Loss:
    """How much worse the last bin is than an earlier one, as a share of the earlier one; negative where it is better."""

    method: str
    figure: str
    against: int
    share: float


def _shown(decay: Decay) -> dict[str, tuple[str, bool]]:
    """Those of ``SHOWN`` that could be measured."""
    return {figure: about for figure, about in SHOWN.items() if figure in decay.real}


def losses(decay: Decay) -> list[Loss]:
    """The last bin against the first, and against the second: from there on every prompt has one before it."""
    found = []
    for method, figures in decay.scores.items():
        for figure, (_, higher) in _shown(decay).items():
            means = [float(np.mean(values)) for values in figures[figure]]
            for against in range(min(2, len(means) - 1)):
                worse = means[against] - means[-1] if higher else means[-1] - means[against]
                found.append(
                    Loss(method, figure, against, worse / means[against] if means[against] else float("nan"))
                )
    return found


def write_decay(
    decay: Decay,
    out: Path,
    images: Path,
    *,
    about: dict[str, str],
    seconds: float,
    name: str = NAME,
    title: str = TITLE,
) -> Path:
    """``<name>.md`` and ``.json`` in ``out``, ``<name>.png`` in ``images``. Returns the page.

    Args:
        decay: what was measured.
        out: folder of the page.
        images: folder of the plot.
        about: see ``results_page.machine``, and what else the page shall name.
        seconds: that it took.
        name: of the files, without suffix.
        title: of the page.

    Raises:
        KmmError: where they can't be written.
    """
    picture, page = images / f"{name}.png", out / f"{name}.md"
    make_folder_of(picture)
    make_folder_of(page)
    plot(decay, picture)
    link = link_from(out, picture)
    found = losses(decay)
    content = {
        "about": about,
        "seconds": seconds,
        "plan": asdict(decay.plan),
        "scores": decay.scores,
        "real": decay.real,
        "losses": [asdict(loss) for loss in found],
    }
    bodies = {
        page: _page(decay, found, title, link, about, seconds),
        page.with_suffix(".json"): json.dumps(content, indent=1) + "\n",
    }
    for path, body in bodies.items():
        with atomic_write(path) as temporary:
            temporary.write_text(body, encoding="utf-8")
    return page


def plot(decay: Decay, path: Path) -> None:
    """One panel a figure: a line for each method over the bins, with the range of the repetitions; real motion dashed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [_bin(first, last) for first, last in decay.plan.bins]
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    shown = _shown(decay)
    for panel, (score, (label, higher)) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        for method, figures in decay.scores.items():
            values = np.array(figures[score])
            (line,) = panel.plot(names, values.mean(1), marker="o", markersize=4, label=method)
            panel.fill_between(names, values.min(1), values.max(1), color=line.get_color(), alpha=0.15)
        if score != "fid":  # that of recordings against themselves says nothing
            panel.axhline(np.mean(decay.real[score]), color="grey", linestyle="--", label="recordings")
            panel.set_ylim(0, 1)
        else:
            panel.set_ylim(bottom=0)
        panel.set_title(f"{label} ({'more' if higher else 'less'} is better)")
        panel.set_xlabel("place in the timeline")
        panel.grid(alpha=0.3)
    figure.axes[1].legend(fontsize=8)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90)


def _bin(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _page(
    decay: Decay, found: Sequence[Loss], title: str, picture: str, about: dict[str, str], seconds: float
) -> str:
    plan = decay.plan
    repetitions = f"{plan.repetitions} repetition{'s' if plan.repetitions > 1 else ''}"
    parts = [
        f"# {title}",
        "Written by `kmm-train decay`; do not edit. "
        + "; ".join(f"{key} {value}" for key, value in about.items())
        + ".",
        f"Sub-sequences by their place in timelines of {', '.join(str(last) for _, last in plan.bins)} prompts; each length is "
        f"scored at its last places. {plan.count} sub-sequences a bin, the same prompts in each, {repetitions}; "
        f"R-precision in pools of {POOL}. FID depends on the number of clips and compares with all held-out recordings: only "
        "rows of this page are comparable. Direction: share of the captions that name a side whose motion is nearer to them "
        "than to the same words with left and right swapped. Mean (lowest to highest repetition).",
        f"![Quality by place in the timeline]({picture})",
    ]
    for score, (label, _) in _shown(decay).items():
        parts += [f"## {label}", _table(decay, score)]
    first, second, last = (_bin(*plan.bins[place]) for place in (0, min(1, len(plan.bins) - 1), -1))
    rows = []
    for method in decay.scores:
        for score, (label, _) in _shown(decay).items():
            mine = {
                loss.against: loss.share for loss in found if (loss.method, loss.figure) == (method, score)
            }
            reached = "pass" if mine.get(0, 0) <= WITHIN else "**miss**"
            rows.append([method, label, *(f"{share:+.1%}" for share in mine.values()), reached])
    parts += [
        "## The last places against the first",
        f"How much worse a figure is at places {last} than at place {first}, and than at places {second}; the latter, like all "
        "later ones, start from the motion before them. The figure to reach: at most 10 % worse than at the first.",
        _markdown(
            ["method", "figure", f"against {first}", f"against {second}", f"within {WITHIN:.0%} of {first}"],
            rows,
        ),
        f"Measured in {seconds:.0f} s.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(decay: Decay, score: str) -> str:
    def cell(values: Sequence[float]) -> str:
        spread = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
        return f"{np.mean(values):.3g}{spread}"

    rows = [[method, *map(cell, figures[score])] for method, figures in decay.scores.items()]
    if score != "fid":
        rows.append(["recordings", cell(decay.real[score]), *[""] * (len(decay.plan.bins) - 1)])
    return _markdown(["method", *(_bin(*places) for places in decay.plan.bins)], rows)


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
