"""Arms that go up and down, found in a take: windows in which exactly one arm, or both, is raised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.skeleton import JOINT_INDEX

from . import phrases

# A wrist that stays this low (metres over the shoulder) is before the face at most: an arm held out, or a bent elbow.
LOW_RAISE = 0.18
HIGH_RAISE = 0.3  # over the head
# An arm that goes up by itself reaches nearly its whole length. One with a bent elbow does something else: salutes, guards, mimes.
STRAIGHT = 0.9

# By height: of an arm that stays up, of one that comes down again.
_RAISE_ONE = {
    "low": (phrases.RAISE_ONE_LOW, phrases.RAISE_ONE_LOW_AND_LOWER),
    "": (phrases.RAISE_ONE, phrases.RAISE_ONE_AND_LOWER),
    "high": (phrases.RAISE_ONE_HIGH, phrases.RAISE_ONE_HIGH_AND_LOWER),
}
_RAISE_BOTH = {
    "low": (phrases.RAISE_BOTH_LOW, phrases.RAISE_BOTH_LOW_AND_LOWER),
    "": (phrases.RAISE_BOTH, phrases.RAISE_BOTH_AND_LOWER),
    "high": (phrases.RAISE_BOTH_HIGH, phrases.RAISE_BOTH_HIGH_AND_LOWER),
}


@dataclass(frozen=True)
class ArmRaise:
    """Frames ``start`` to ``stop`` (exclusive) in which the arm of ``side`` goes up and, where it does, down again."""

    start: int
    stop: int
    side: str
    comes_down: bool


def wrist_heights(clip: MotionClip) -> np.ndarray:
    """Height of the wrists over their shoulders, [F, 2] metres: left, right."""
    height = clip.joint_positions()[..., 1]
    names = [(JOINT_INDEX[f"{side}_wrist"], JOINT_INDEX[f"{side}_shoulder"]) for side in ("left", "right")]
    return np.stack([height[:, wrist] - height[:, shoulder] for wrist, shoulder in names], axis=1)


def wrist_height(clip: MotionClip, side: str) -> np.ndarray:
    """``wrist_heights`` of side "left" or "right", or the lower one's of "both", [F] metres."""
    heights = wrist_heights(clip)
    return heights.min(axis=1) if side == "both" else heights[:, 0 if side == "left" else 1]


def is_straight(clip: MotionClip, side: str) -> bool:
    """Whether the arm of side "left" or "right" is, where its wrist is highest."""
    frame = int(wrist_height(clip, side).argmax())
    shoulder, elbow, wrist = (
        clip.joint_positions()[frame, JOINT_INDEX[f"{side}_{name}"]]
        for name in ("shoulder", "elbow", "wrist")
    )
    length = np.linalg.norm(elbow - shoulder) + np.linalg.norm(wrist - elbow)
    return bool(np.linalg.norm(wrist - shoulder) > STRAIGHT * length)


def raise_clauses(
    top: float, *, both: bool = False, comes_down: bool = False, bent: bool = False
) -> tuple[str, ...]:
    """Templates for a raised arm, or both, that say how high it rises and whether it stays.

    Args:
        top: the highest that the wrist comes over its shoulder, metres; of both arms, the lower one's.
        both: both arms rise.
        comes_down: it is lowered again. Asked for a raised arm, nobody expects it down at the end: who lowers it is said to.
        bent: arms that stay low have a bent elbow.
    """
    stays, lowered = (_RAISE_BOTH if both else _RAISE_ONE)[
        "high" if top > HIGH_RAISE else "low" if top < LOW_RAISE else ""
    ]
    if comes_down:
        return lowered
    if bent and top < LOW_RAISE:
        return phrases.RAISE_BOTH_BENT if both else phrases.RAISE_ONE_BENT
    return stays


def arm_raises(
    clip: MotionClip, *, low: float = -0.3, high: float = 0.05, longest: float = 5.0
) -> list[ArmRaise]:
    """Where one arm rises from hanging to over the shoulder while the other one stays down.

    Args:
        clip: any take, upright.
        low: a wrist this far below its shoulder hangs.
        high: a wrist this far above its shoulder is raised.
        longest: seconds; an arm that stays up longer is followed until then.
    """
    heights = wrist_heights(clip)
    limit = round(longest * clip.fps)
    pad = round(0.25 * clip.fps)
    found = []
    for index, side in enumerate(("left", "right")):
        ours, other = heights[:, index], heights[:, 1 - index]
        frame = 0
        while frame < len(ours):
            up = np.flatnonzero(ours[frame:] > high)
            if len(up) == 0:
                break
            peak = frame + int(up[0])
            hanging = np.flatnonzero(ours[frame:peak] < low)
            down = np.flatnonzero(ours[peak:] < low)
            stop = peak + int(down[0]) + 1 if len(down) else len(ours)
            if len(hanging):
                start = max(0, frame + int(hanging[-1]) - pad)
                end = min(stop + pad, start + limit, len(ours))
                if peak < end and end - start >= clip.fps and other[start:end].max() < -0.15:
                    found.append(ArmRaise(start, end, side, comes_down=end > stop))
            frame = stop
    return sorted(found, key=lambda item: item.start)
