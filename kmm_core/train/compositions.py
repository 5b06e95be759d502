"""Timelines for training: clips joined by cross-fades, since few recordings hold several captions in a row (ours).

Shapes: F frames, D features.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..motion.representation import Representation

OVERLAP_FRAMES = 24  # 0.8 s at 30 fps: long enough to lower a raised arm without a jolt
CANDIDATES = 12  # clips tried as the next one; the one whose start is most like the end so far wins

Features = NDArray[np.float32]


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


def closest_start(last: Features, starts: list[Features], form: Representation) -> int:
    """Which of the motions starts in the pose and speed most like the last frames. ``last`` and each start: [n, D]."""
    scale = np.concatenate([np.full(group.stop - group.start, 1.0) for group in form.groups])
    distances = [float(np.square((start.mean(0) - last.mean(0)) * scale).sum()) for start in starts]
    return int(np.argmin(distances))


def pick_next(last: Features, candidates: list[Features], form: Representation, rng: torch.Generator) -> int:
    """Index of the candidate to follow; mostly the closest, sometimes any, so that hard changes are met too."""
    if torch.rand((), generator=rng) < 0.25:
        return int(torch.randint(len(candidates), (), generator=rng))
    return closest_start(last[-OVERLAP_FRAMES:], [rows[:OVERLAP_FRAMES] for rows in candidates], form)
