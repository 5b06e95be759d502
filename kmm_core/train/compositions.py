"""Timelines for training: clips joined by cross-fades, because few recordings show several captions in a row (ours).

Shapes: F frames, D features.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..motion.representation import Representation
from ..skeleton import JOINT_INDEX

OVERLAP_FRAMES = 24  # 0.8 s at 30 fps: long enough to lower a raised arm without a jolt
HALF_OVERLAP = OVERLAP_FRAMES // 2
CANDIDATES = 12  # clips tried as the next one; the one whose start is most like the end so far wins

# A body stands where neither pelvis nor feet move faster, over so many frames; its arms may.
STANDING_JOINTS = [
    JOINT_INDEX[name] for name in ("pelvis", "left_ankle", "right_ankle", "left_foot", "right_foot")
]
STANDING_METRES_A_SECOND, STANDING_FRAMES = 0.5, 5
LARGEST_RISE = 0.25  # metres of the pelvis in a fade: more, and somebody springs up from a seat, or drops
EASE = 0.75  # share of the speed that is left after each frame of coming to rest

Features = NDArray[np.float32]


def join(first: Features, second: Features, form: Representation) -> tuple[Features, int, int]:
    """Joins two motions, and tells how many frames the fade took from the end of the first and the start of the second.

    If the body stands still at that end, frames in which it comes to rest are added for its half of the fade, so that
    the whole motion is shown: an arm raised half a second after the start is raised in a timeline, too. A body in
    motion, such as a walk, cannot stop there and loses its half.

    Args:
        first: [Fa, D], at least OVERLAP_FRAMES.
        second: [Fb, D], likewise.
        form: see ``cross_fade``.

    Returns:
        The joined features, [Fa + Fb - frames lost, D]; frames lost by the first, by the second: 0 or HALF_OVERLAP.
    """
    lost_first = lost_second = HALF_OVERLAP
    if stands(first[-STANDING_FRAMES:], form):
        first, lost_first = come_to_rest(first), 0
    if stands(second[:STANDING_FRAMES], form):
        second, lost_second = come_to_rest(second[::-1])[::-1], 0
    return cross_fade(first, second, form), lost_first, lost_second


def stands(rows: Features, form: Representation) -> bool:
    """Whether pelvis and feet hardly move in these few rows [n, D]."""
    joints = form.decode(rows, form.fps).joint_positions()[:, STANDING_JOINTS]
    return bool(np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() * form.fps < STANDING_METRES_A_SECOND)


def come_to_rest(rows: Features) -> Features:
    """HALF_OVERLAP rows more, in which what changed in the last one changes ever less. [F, D] -> [F + HALF_OVERLAP, D]."""
    reach = np.cumsum(EASE ** (1 + np.arange(HALF_OVERLAP)), dtype=np.float32)
    return np.concatenate([rows, rows[-1] + reach[:, None] * (rows[-1] - rows[-2])])


def cross_fade(first: Features, second: Features, form: Representation) -> Features:
    """Two motions as one, the end of the first faded into the start of the second.

    Args:
        first: [Fa, D], at least OVERLAP_FRAMES.
        second: [Fb, D], likewise.
        form: the representation; features are re-made from the faded motion, so that all columns agree.

    Returns:
        [Fa + Fb - OVERLAP_FRAMES, D]; the prompt changes in the middle of the fade.
    """
    return remade(faded(first, second, OVERLAP_FRAMES), form)


def faded(first: Features, second: Features, overlap: int) -> Features:
    """The rows of ``cross_fade`` before they are re-made: several may be joined first, [Fa + Fb - overlap, D]."""
    t = (np.arange(overlap) + 1) / (overlap + 1)
    weight = (t * t * (3 - 2 * t))[:, None].astype(np.float32)
    middle = first[-overlap:] * (1 - weight) + second[:overlap] * weight
    return np.concatenate([first[:-overlap], middle, second[overlap:]])


def remade(rows: Features, form: Representation) -> Features:
    """The features [F, D] of the motion that ``rows`` [F, D] describe, so that all columns agree; 263 loses a row."""
    features = form.encode(form.decode(rows, form.fps)).astype(np.float32)
    if len(features) == len(rows):
        features[0] = rows[0]  # its velocities, which a first frame cannot know
    return features


def starting_at(rows: Features, frame: int, form: Representation) -> Features:
    """The features of the same motion, [F, D], from ``frame`` on, [F - frame, D]."""
    first = form.encode(form.decode(rows[frame : frame + 2], form.fps)).astype(np.float32)
    if len(first) < 2:  # 263: velocities look ahead
        return rows[frame:]
    return form.as_window(np.concatenate([first[:1], rows[frame + 1 :]]))


def pelvis_heights(rows: Features, form: Representation) -> tuple[float, float]:
    """In the first and in the last frame of a motion [F, D], metres over the floor."""
    first, last = (form.decode(part, form.fps).root_positions[-1, 1] for part in (rows[:2], rows[-2:]))
    return float(first), float(last)


def closest_start(last: Features, starts: list[Features]) -> int:
    """Which of the motions starts in the pose and speed most like the last frames. ``last`` and each start: [n, D]."""
    distances = [float(np.square((start.mean(0) - last.mean(0)).astype(float)).sum()) for start in starts]
    return int(np.argmin(distances))


def pick_next(last: Features, candidates: list[Features], rng: torch.Generator) -> int:
    """Index of the candidate to follow; mostly the closest, sometimes any, so that hard changes are met too."""
    if torch.rand((), generator=rng) < 0.25:
        return int(torch.randint(len(candidates), (), generator=rng))
    return closest_start(last[-OVERLAP_FRAMES:], [rows[:OVERLAP_FRAMES] for rows in candidates])
