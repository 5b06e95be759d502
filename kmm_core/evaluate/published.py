"""Published figures, to be printed beside ours. Only rows measured with the same evaluator's file compare.

BABEL: FlowMDM's protocol, rows as in KMM's tables (arXiv 2411.06481). BABEL-D: the 560 clips of KMM, whose list is not
published. HumanML3D: the papers' own tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Benchmark = Literal["babel", "babel-d", "humanml3d"]


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table; None where the paper gives no such figure, or we have not got it.

    Attributes:
        benchmark: which table.
        method: as its paper calls it; "real motion" for the ground truth.
        source: where it was published.
        r_precision_3: top 3, share in [0, 1].
        fid: Frechet distance.
        diversity: mean distance of pairs.
        mm_dist: mean distance of text and motion.
    """

    benchmark: Benchmark
    method: str
    source: str
    r_precision_3: float | None = None
    fid: float | None = None
    diversity: float | None = None
    mm_dist: float | None = None


_KMM, _MMM, _MOTION_MAMBA, _MOMASK = (
    "arXiv 2411.06481",
    "arXiv 2312.03596",
    "arXiv 2403.07487",
    "arXiv 2312.00063",
)

ROWS = (
    PublishedRow("babel", "real motion", _KMM, 0.715, 0.0, 8.42, 3.36),
    PublishedRow("babel", "KMM", _KMM, 0.666, 0.34, 8.67, 3.11),
    PublishedRow("babel", "KMM, random masking", _KMM, 0.649, 0.48, 8.80, 3.30),
    PublishedRow("babel", "KMM, no alignment", _KMM, 0.671, 0.40, 8.57, 3.21),
    PublishedRow("babel", "FlowMDM", _KMM, 0.702, 0.99, 8.36, 3.45),
    PublishedRow("babel", "T2LM", _KMM, 0.589, 0.66, 8.99, 3.81),
    PublishedRow("babel", "TEACH without SLI", _KMM, 0.703, 1.71, 8.18, 3.43),
    PublishedRow("babel", "Motion Mamba", _KMM, 0.490, 0.76, 8.39, 4.97),
    PublishedRow("babel-d", "real motion", _KMM, 0.438, 0.02, 8.46, 3.71),
    PublishedRow("babel-d", "KMM", _KMM, 0.538, 3.86, 8.04, 2.72),
    PublishedRow("babel-d", "KMM, no alignment", _KMM, 0.484, 5.50, 8.44, 3.48),
    PublishedRow("babel-d", "PriorMDM", _KMM, 0.334, 6.82, 7.27, 7.44),
    PublishedRow("humanml3d", "MMM", _MMM, fid=0.080),
    PublishedRow("humanml3d", "Motion Mamba", _MOTION_MAMBA, 0.792, 0.281),
    PublishedRow("humanml3d", "MoMask", _MOMASK, fid=0.045),
)


def published_rows(benchmark: Benchmark) -> tuple[PublishedRow, ...]:
    """The rows of one table, real motion first where it was published."""
    return tuple(row for row in ROWS if row.benchmark == benchmark)
