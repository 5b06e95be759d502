"""Plots of an evaluation. Needs matplotlib, from the train extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..atomic_write import atomic_write, make_folder_of
from ..errors import KmmError
from .copying import Nearest
from .metrics import Array, Interval

# Colours that stay apart for the colour-blind (Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#000000")
_SKY = "#56B4E9"
_GREY = "#999999"


def _pyplot():
    try:
        import matplotlib
    except ImportError as error:
        raise KmmError(
            "no_matplotlib", "Plots need matplotlib.", "Install it: pip install 'kmm-core[train]'."
        ) from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _save(figure, path: Path) -> None:
    make_folder_of(path)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    _pyplot().close(figure)


def _colours(rows: Sequence[str]) -> dict[str, str]:
    """Real motion is grey, reconstructions are pale; the others have a colour each, the same in every plot."""
    fixed = {"real": _GREY, "reconstruction": _SKY}
    others = [row for row in rows if row not in fixed]
    return fixed | {row: _COLOURS[i % len(_COLOURS)] for i, row in enumerate(others)}


def plot_scores(
    table: Mapping[str, Mapping[str, Interval]], figures: Sequence[tuple[str, str]], path: Path
) -> None:
    """One panel a figure, one bar a row, with intervals.

    Args:
        table: row -> figure -> interval.
        figures: (name, title) of each panel; rows without that figure have no bar in it.
        path: the PNG.
    """
    plt = _pyplot()
    colours = _colours(list(table))
    drawn, axes = plt.subplots(
        1,
        len(figures),
        figsize=(3 * len(figures), 0.6 + 0.42 * len(table)),
        layout="constrained",
        squeeze=False,
    )
    for place, (axis, (name, title)) in enumerate(zip(axes[0], figures, strict=True)):
        rows = [row for row in table if name in table[row]]
        places = [list(table).index(row) for row in rows]
        values = [table[row][name] for row in rows]
        axis.barh(
            places,
            [value.mean for value in values],
            xerr=[value.half_width for value in values],
            color=[colours[row] for row in rows],
            error_kw={"elinewidth": 1},
        )
        axis.set_yticks(range(len(table)), list(table) if place == 0 else [""] * len(table))
        axis.set_ylim(len(table) - 0.5, -0.5)
        axis.set_xlim(left=0)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    _save(drawn, path)


def plot_jerk(curves: Mapping[str, Array], fps: float, path: Path, real: str = "from any frame") -> None:
    """Mean jerk around a change of prompt, one line a row; curves in metres a frame cubed; ``real``: where real motion's lies."""
    plt = _pyplot()
    colours = _colours(list(curves))
    drawn, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for row, curve in curves.items():
        # Value i is of frames i to i + 3; the windows have three frames more than the curve has values.
        seconds = (np.arange(len(curve)) + 1.5 - (len(curve) + 3) / 2) / fps
        axis.plot(seconds, curve, label=row, color=colours[row], linewidth=2 if row == "real" else 1.4)
    axis.axvline(0, color="#cccccc", zorder=0)
    axis.set_yscale("log")
    axis.set_xlabel(f"seconds from the change of prompt (real motion: {real})")
    axis.set_ylabel("jerk of the worst joint, m / frame³")
    axis.spines[["top", "right"]].set_visible(False)
    drawn.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    _save(drawn, path)


def plot_nearest(nearest: Mapping[str, Nearest], path: Path) -> None:
    """Share of clips whose nearest training clip is at most so far away: samples and held-out recordings."""
    plt = _pyplot()
    drawn, axes = plt.subplots(
        1, len(nearest), figsize=(4.5 * len(nearest), 3.4), layout="constrained", squeeze=False
    )
    for axis, (space, found) in zip(axes[0], nearest.items(), strict=True):
        for values, label, colour in (
            (found.held_out, "held-out recordings", _GREY),
            (found.samples, "samples", _COLOURS[0]),
        ):
            ordered = np.sort(values)
            axis.step(
                ordered, (np.arange(len(ordered)) + 1) / len(ordered), label=label, color=colour, where="post"
            )
        axis.set_xlim(left=0)
        axis.set_ylim(0, 1)
        axis.set_title(space, fontsize=10)
        axis.set_xlabel(f"distance to the nearest training clip{f', {found.unit}' if found.unit else ''}")
        axis.set_ylabel("share of clips at most so far")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8, loc="lower right")
    _save(drawn, path)


def plot_actions(actions: Mapping[str, Mapping[str, float]], model: str, path: Path) -> None:
    """Mean distance of text and motion of each action, one mark a row; on top where ``model`` is furthest behind real."""
    plt = _pyplot()
    rows = [row for row in next(iter(actions.values())) if row != "clips"]
    colours = _colours(rows)
    order = sorted(actions, key=lambda action: actions[action]["real"] - actions[action][model])
    drawn, axis = plt.subplots(figsize=(7, 0.8 + 0.24 * len(actions)), layout="constrained")
    for place, row in enumerate(rows):
        axis.scatter(
            [actions[action][row] for action in order],
            range(len(order)),
            label=row,
            color=colours[row],
            marker="os^Dv"[place % 5],
            s=26,
        )
    labels = [f"{action.replace('_', ' ')} ({actions[action]['clips']:.0f})" for action in order]
    axis.set_yticks(range(len(order)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel("mean distance of text and motion in the evaluator's space (clips in brackets)")
    axis.grid(axis="y", color="#eeeeee")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    drawn.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    _save(drawn, path)
