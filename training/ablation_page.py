"""The page of an ablation: means and spreads over seeds, a plot, and which of the paper's orderings hold."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kmm_core.atomic_write import atomic_write, make_folder_of
from kmm_core.evaluate.results_page import link_from

from .ablate import DEFAULT, VARIANTS, Run
from .ablation_scores import METRICS

NAME = "ablation_table"
TITLE = "Ablations"

# What stands before is expected to be better: by the paper, or, for the last, by this project.
EXPECTED = {
    "masking": (DEFAULT, "confidence-masks", "random-masks"),
    "masking at 30 %": ("key-frame-30", "random-30"),
    "mask ratio": (DEFAULT, "key-frame-30"),
    "alignment": (DEFAULT, "sentence-alignment", "no-alignment"),
    "trunk": (DEFAULT, "mamba-1", "transformer"),
    "text encoder": (DEFAULT, "frozen-text"),
    "text tokens": (DEFAULT, "sentence-token"),
}
# What the default is called among the variants of one factor.
DEFAULT_PART = {
    "masking": "key-frame masks",
    "mask ratio": "key-frame masks at the ratios of the schedule",
    "alignment": "segment alignment",
    "trunk": "Mamba-2",
    "text encoder": "learned text layers",
    "text tokens": "one token a prompt",
}


@dataclass(frozen=True)
class Ordering:
    """One expected ordering, in one figure.

    Attributes:
        factor: see ``EXPECTED``.
        better, worse: which variant is expected to be better than which.
        metric: a name in ``METRICS``.
        gain: how much better the first one is, in the metric's unit; negative where it is worse.
        pooled_sd: root of the mean of both variances over seeds; 0 where there is one seed.
        verdict: "holds" and "reversed" where the gain is beyond one pooled sd, "open" where it is not, or where a
            variant has one seed only.
    """

    factor: str
    better: str
    worse: str
    metric: str
    gain: float
    pooled_sd: float
    verdict: str


def orderings(runs: Sequence[Run]) -> list[Ordering]:
    """Every expected ordering of two variants that were both run, in every figure."""
    found = []
    for factor, order in EXPECTED.items():
        for place, better in enumerate(order):
            for worse in order[place + 1 :]:
                for metric in METRICS:
                    pair = [_values(runs, name, metric) for name in (better, worse)]
                    if all(pair):
                        found.append(_ordering(factor, better, worse, metric, *pair))
    return found


def _ordering(
    factor: str, better: str, worse: str, metric: str, first: list[float], second: list[float]
) -> Ordering:
    gain = statistics.mean(first) - statistics.mean(second)
    gain = gain if METRICS[metric].higher else -gain
    if min(len(first), len(second)) < 2:
        return Ordering(factor, better, worse, metric, gain, 0.0, "open")
    pooled = ((statistics.variance(first) + statistics.variance(second)) / 2) ** 0.5
    verdict = "open" if abs(gain) <= pooled else "holds" if gain > 0 else "reversed"
    return Ordering(factor, better, worse, metric, gain, pooled, verdict)


def write_page(runs: Sequence[Run], out: Path, images: Path, name: str = NAME, title: str = TITLE) -> Path:
    """``<name>.md`` and ``.json`` in ``out``, ``<name>.png`` in ``images``.

    Returns:
        The page.

    Raises:
        KmmError: where they can't be written.
    """
    picture, page = images / f"{name}.png", out / f"{name}.md"
    make_folder_of(picture)
    make_folder_of(page)
    _plot(runs, picture)
    link = link_from(out, picture)
    found = orderings(runs)
    content = {"runs": [asdict(run) for run in runs], "orderings": [asdict(item) for item in found]}
    bodies = {
        page: _page(runs, found, title, link),
        page.with_suffix(".json"): json.dumps(content, indent=1) + "\n",
    }
    for path, body in bodies.items():
        with atomic_write(path) as temporary:
            temporary.write_text(body, encoding="utf-8")
    return page


def _page(runs: Sequence[Run], found: Sequence[Ordering], title: str, picture: str) -> str:
    present = [name for name in VARIANTS if any(run.variant == name for run in runs)]
    budgets = "; ".join(dict.fromkeys(run.budget for run in runs))
    heads = ["variant", "seeds", "parameters", *(metric.label for metric in METRICS.values())]
    rows = []
    for name in present:
        mine = [run for run in runs if run.variant == name]
        cells = [_cell(_values(runs, name, metric)) for metric in METRICS]
        rows.append([VARIANTS[name].label, str(len(mine)), f"{mine[0].parameters / 1e6:.2f} M", *cells])
    return "\n\n".join(
        [
            f"# {title}",
            f"Written by `kmm-train ablate`; do not edit. Small generators at equal budget: {budgets}. Each variant differs "
            "from the default in one setting. Mean ± standard deviation over seeds; of losses, FID and MM-Dist less is "
            "better, of the rest more. Token loss and restored tokens: held-out rows, hidden at random, the same for all. "
            "Named side: by geometry, on sentences kept for tuning. Timelines: four prompts in one pass.",
            _table(heads, rows),
            f"![Every run of the ablation]({picture})",
            "## Which expected orderings hold",
            "An ordering counts where the means differ by more than one pooled standard deviation of the seeds; `open` means "
            "that they don't, so these runs cannot tell.",
            *_verdicts(found),
        ]
    ) + ("\n")


def _verdicts(found: Sequence[Ordering]) -> list[str]:
    if not found:
        return ["No pair of variants has been run yet."]
    rows, sentences = [], []
    for factor in EXPECTED:
        pairs = dict.fromkeys((item.better, item.worse) for item in found if item.factor == factor)
        for better, worse in pairs:
            mine = [
                item for item in found if (item.factor, item.better, item.worse) == (factor, better, worse)
            ]
            by_metric = {item.metric: item for item in mine}
            name = f"{_called(factor, better)} over {_called(factor, worse)}"
            rows.append([factor, name, *(_sign(by_metric.get(metric)) for metric in METRICS)])
            sentences.append(f"* {name[0].upper()}{name[1:]}: {_sentence(mine)}.")
    heads = ["factor", "expected", *(metric.label for metric in METRICS.values())]
    return [_table(heads, rows), "\n".join(sentences)]


def _sentence(mine: Sequence[Ordering]) -> str:
    parts = []
    for verdict, word in (("holds", "holds in"), ("reversed", "reversed in"), ("open", "open in")):
        labels = [METRICS[item.metric].label for item in mine if item.verdict == verdict]
        if labels:
            parts.append(f"{word} {len(labels)} of {len(mine)} figures ({', '.join(labels)})")
    return "; ".join(parts)


def _sign(item: Ordering | None) -> str:
    """The verdict, with the gain in pooled standard deviations where there are any."""
    if item is None:
        return ""
    return f"{item.verdict} ({item.gain / item.pooled_sd:+.1f} sd)" if item.pooled_sd else item.verdict


def _called(factor: str, name: str) -> str:
    return DEFAULT_PART[factor] if name == DEFAULT else VARIANTS[name].label


def _values(runs: Sequence[Run], name: str, metric: str) -> list[float]:
    return [run.scores[metric] for run in runs if run.variant == name and metric in run.scores]


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3g}{spread}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _plot(runs: Sequence[Run], path: Path) -> None:
    """One panel a figure: a dot for each run, a bar for each mean, a line at the default's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    present = [name for name in VARIANTS if any(run.variant == name for run in runs)]
    columns = 5
    figure = Figure(figsize=(15, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(-(-len(METRICS) // columns), columns, sharey=True).ravel()
    for panel, (metric, about) in zip(axes, METRICS.items(), strict=False):
        for row, name in enumerate(present):
            values = _values(runs, name, metric)
            if values:
                panel.scatter(values, [row] * len(values), s=18, color="tab:blue", alpha=0.6)
                panel.plot([statistics.mean(values)] * 2, [row - 0.3, row + 0.3], color="tab:blue")
                if name == DEFAULT:
                    panel.axvline(statistics.mean(values), color="grey", linewidth=0.8)
        panel.set_title(f"{about.label} ({'more' if about.higher else 'less'} is better)", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.locator_params(axis="x", nbins=4)
    axes[0].set_yticks(range(len(present)), present)
    axes[0].invert_yaxis()
    for panel in axes[len(METRICS) :]:
        panel.set_visible(False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80)
