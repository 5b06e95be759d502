"""Who turns while walking or running goes straight on after it (ours): few recordings show more of the way than the turn.

Shapes: F frames, D features.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from ..motion.representation import Representation
from .compositions import Features, faded, remade
from .made_clips import alike, between, comparable, made_from, without
from .motion_data import FeatureClip

TURNING_ACTIONS = {"walk_turn": "walk", "run_turn": "run"}  # and what goes straight on
SECONDS = (3.0, 6.0)  # that the made clips last
# Of the fade, and what may jump in it, as in ``made_clips``: two clips are never as alike as two moments of one. Jerk at these
# joints is that of the recordings (docs/decisions/0042).
JOINT_SECONDS, LARGEST_JUMP = 0.4, 3.5
SEARCHED_SECONDS = 1.0  # of each straight clip's beginning: all poses of a step
LEAST_SECONDS = 1.0  # that it goes on
# Said of all of the way, or of how many steps it takes.
_ALL_THE_WAY = re.compile(
    r"\b(curv\w*|circl\w*|ring|arc|loop\w*|bend|stop\w*|halt\w*|steps?|once|twice|two|three|four|few|several|couple)\b",
    re.IGNORECASE,
)


def walked_on(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    """Turning clips shorter than ``SECONDS``, each followed by somebody of the same style who goes straight."""
    for clip in clips:
        straight_action = TURNING_ACTIONS.get(clip.about.labels.get("action", ""))
        said = without(clip, _ALL_THE_WAY)
        room = round(between(clip, *SECONDS) * form.fps) - len(clip.features)
        if straight_action is None or not said["captions"] or room < LEAST_SECONDS * form.fps:
            continue
        straight = [
            other.features
            for other in clips
            if other.about.labels.get("action") == straight_action
            and other.about.labels.get("style") == clip.about.labels.get("style")
        ]
        features = followed_by(clip.features, straight, form, room)
        if features is not None:
            yield made_from(clip, features, "walked_on", **said)


def followed_by(
    features: Features, others: Sequence[Features], form: Representation, room: int
) -> Features | None:
    """The motion, then one of the others from the moment on that is most like its end.

    Args:
        features: [F, D].
        others: motions, [each any number, D].
        form: "272" or "263".
        room: how many frames to add at most.

    Returns:
        [up to F + room, D], at least ``LEAST_SECONDS`` longer; None where no moment is like the motion's end.
    """
    overlap, least = round(JOINT_SECONDS * form.fps), round(LEAST_SECONDS * form.fps)
    if len(features) < 2 * overlap:
        return None
    end = comparable(features[-overlap:], form)
    usual = float(np.median(np.linalg.norm(np.diff(comparable(features, form), axis=0), axis=-1)))
    nearest, best = np.inf, None
    for other in others:
        starts = min(round(SEARCHED_SECONDS * form.fps), len(other) - overlap - least)
        if starts < 1:
            continue
        rows = comparable(other[: starts + overlap - 1], form)
        moments = np.lib.stride_tricks.sliding_window_view(
            rows, overlap, axis=0
        )  # [starts, columns, overlap]
        apart = np.linalg.norm(moments.transpose(0, 2, 1) - end, axis=-1).mean(axis=-1)
        if apart.min() < nearest:
            nearest, best = float(apart.min()), other[int(apart.argmin()) :]
    if best is None or not alike(nearest, usual, LARGEST_JUMP):
        return None
    return remade(faded(features, best[: overlap + room], overlap), form)
