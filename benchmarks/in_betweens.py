"""Measures in-betweens: of held-out recordings the middle is made anew, and what is made meets what is kept.

python -m benchmarks.in_betweens --prepared PREPARED -o docs/benchmarks/in_betweens.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.measuring import machine, markdown_table, write_page
from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion.representation_263 import CONTACT_JOINTS
from kmm_core.pipeline import Keep, TextToMotion
from kmm_core.timeline import Prompt, Timeline
from kmm_core.train.prepared import load_clip, read_manifest

BUNDLES = ("starter", "starter-nc")
SHORTEST, LONGEST = 90, 180  # frames of a recording; longer ones are cut
GAPS = (20, 36, 60)  # frames made anew, by turns
NEAR = 4  # frames on either side of a join
LOW = np.array([0.10, 0.05, 0.10, 0.05])  # ankles and balls of feet that stand are lower, metres


def middles(recording: MotionClip, gap: int) -> np.ndarray:
    """Which frames to keep: all but ``gap`` in the middle."""
    kept = np.ones(recording.num_frames, dtype=bool)
    start = (recording.num_frames - gap) // 2
    kept[start : start + gap] = False
    return kept


def figures(clip: MotionClip, kept: np.ndarray) -> dict[str, float]:
    """Peak jerk of any joint near the joins and between them, m/s^3; speed of foot joints near the floor, mm/s."""
    positions = clip.joint_positions()
    jerk = np.linalg.norm(np.diff(positions, 3, axis=0), axis=-1).max(axis=1) * clip.fps**3
    start, stop = np.flatnonzero(~kept)[[0, -1]] + np.array([0, 1])
    feet = positions[start - 1 : stop + 1, list(CONTACT_JOINTS)]
    speed = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1) * clip.fps
    low = feet[:-1, :, 1] < LOW
    return {
        "joins": float(np.mean([jerk[join - NEAR : join + 1].max() for join in (start, stop)])),
        "between": float(jerk[start + NEAR - 2 : stop - NEAR - 1].max()),
        "feet": 1000 * float((speed * low).sum() / max(1, low.sum())),
    }


def measure(pipeline: TextToMotion, prepared: Path, count: int) -> list[list[str]]:
    """Rows of the table: recorded, and made by ``pipeline``."""
    rows = [
        row
        for row in read_manifest(prepared)
        if row.split != "train"
        and row.frames >= SHORTEST
        and (pipeline.info.model != "starter" or not row.noncommercial)
    ]
    np.random.default_rng(0).shuffle(rows)
    found: dict[str, list[dict[str, float]]] = {"recorded": [], "made": []}
    for number, row in enumerate(rows[:count]):
        recording = load_clip(prepared, row)
        recording = recording.slice(0, min(recording.num_frames, LONGEST))
        kept = middles(recording, GAPS[number % len(GAPS)])
        timeline = Timeline(recording.fps, (Prompt(row.captions[0], 0, recording.num_frames),))
        made = pipeline.generate(timeline, keep=Keep(recording, kept)).clips[0]
        assert np.array_equal(made.local_rotations[kept], recording.local_rotations[kept])
        found["recorded"].append(figures(recording, kept))
        found["made"].append(figures(made, kept))
    return [
        [
            f"{pipeline.info.model}, {len(values)} clips: {name}",
            *(
                f"{np.median([v[key] for v in values]):.0f}; {np.mean([v[key] for v in values]):.0f}"
                for key in ("joins", "between", "feet")
            ),
        ]
        for name, values in found.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, required=True, help="what kmm-train prepare wrote")
    parser.add_argument("--count", type=int, default=150, help="recordings a model")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    rows = []
    try:
        for bundle in BUNDLES:
            rows += measure(TextToMotion.load(bundle, device="cpu"), arguments.prepared, arguments.count)
    except KmmError as error:
        print(f"benchmarks.in_betweens: {error}", file=sys.stderr)
        return 1
    text = (
        "# In-betweens\n\n"
        f"The middle ({', '.join(map(str, GAPS[:-1]))} or {GAPS[-1]} frames, by turns) of held-out recordings of {SHORTEST} to "
        f"{LONGEST} frames is made anew from their caption; all else is kept. Median; mean over the clips. Less is better, "
        f"down to what was recorded.\n\n{machine()}.\n\n"
        + markdown_table(
            [
                "",
                f"peak jerk within {NEAR} frames of a join, m/s³",
                "peak jerk between",
                "feet near the floor, mm/s",
            ],
            rows,
        )
        + "\n\nThe mean of the feet is that of the clips in which the generated middle goes another way than it has to: it is "
        "stretched and turned to end where the recording goes on, and feet glide.\n"
    )
    write_page(text, arguments.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
