"""Short actions that geometry finds in any take: an arm raised, a turn on the spot, sitting down, standing still."""

from __future__ import annotations

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.evaluate import geometry
from kmm_core.evaluate.verdicts import PUNCH_SPEED
from kmm_core.skeleton import JOINT_INDEX

from ..captions import write_captions
from ..data_checks import Sides, heading
from . import phrases
from .arms import arm_raises, is_straight, raise_clauses, wrist_height
from .locomotion import Description
from .recipe import Cut

_UPRIGHT = 0.8
# Height of the neck over the pelvis: a trunk within 23 degrees of upright. More lean is not how anybody asks to stand.
_TRUNK = 0.47

# Who is asked to stand still lets the arms hang, and both feet are near and flat: not the guard of a fight, not a
# dancer's pose with a heel up. Taught by these as well, a third of the plain stands were crouched or on the toes.
_HANDS = 0.2  # metres over the pelvis, the higher one
_FEET = 0.35  # metres apart
_FLAT = 0.05  # metres that one ankle is higher than the other
_HANDS_TURNING = 0.3  # on average: arms swing; but some takes turn while they reach up or dance

# Punches nearer than this are one cut; a fist goes back and comes again. Seconds; before the first and after the last one.
_NEXT_PUNCH, _BEFORE_PUNCH, _AFTER_PUNCH = 0.8, 0.5, 0.6


def standing(clip: MotionClip) -> np.ndarray:
    """Frames in which the body is upright on its legs, [F] bool."""
    positions = clip.joint_positions()
    pelvis, neck = positions[:, JOINT_INDEX["pelvis"]], positions[:, JOINT_INDEX["neck"]]
    return (pelvis[:, 1] > _UPRIGHT) & (neck[:, 1] - pelvis[:, 1] > _TRUNK)


def find_events(take_id: str, clip: MotionClip, *, arms: bool = False, seats: bool = False) -> list[Cut]:
    """Cuts for every such action in the take.

    Args:
        take_id: seeds the captions.
        clip: 30 fps, on the floor.
        arms: whether raised arms may be called so (in a take of window washing they may not).
        seats: whether going down to the height of a seat means sitting down (in a karate kata it does not).
    """
    found: list[tuple[int, int, Description]] = []
    upright = standing(clip)
    floor_way = clip.root_positions[:, [0, 2]]
    if arms:
        for event in arm_raises(clip):
            moved = np.linalg.norm(floor_way[event.stop - 1] - floor_way[event.start])
            raised = clip.slice(event.start, event.stop)
            if upright[event.start : event.stop].all() and moved < 0.6 and is_straight(raised, event.side):
                top = wrist_height(raised, event.side).max()
                clauses = raise_clauses(top, comes_down=event.comes_down)
                found.append((event.start, event.stop, Description(clauses, "raise_arm", side=event.side)))
    found += _turns_on_the_spot(clip, upright)
    found += _seat_changes(clip) if seats else []
    found += _still(clip, upright)
    return [
        Cut(
            start,
            stop,
            write_captions(item.clauses, seed=f"{take_id}_event_{start}", style=item.pace, side=item.named),
            item.labels(),
        )
        for start, stop, item in found
    ]


def punches(clip: MotionClip) -> list[tuple[int, int]]:
    """Where a fight is punches, one after the other; two thirds of boxing are guard, steps and ducking.

    Returns:
        first and last frame (exclusive) of each stretch, a second or more.
    """
    drive = np.max(list(geometry.punch_drives(clip).values()), axis=0)
    hits = np.flatnonzero(drive >= PUNCH_SPEED)
    found = []
    for together in np.split(hits, np.flatnonzero(np.diff(hits) > _NEXT_PUNCH * clip.fps) + 1):
        if len(together):
            start = max(0, int(together[0] - _BEFORE_PUNCH * clip.fps))
            stop = min(clip.num_frames, int(together[-1] + _AFTER_PUNCH * clip.fps) + 2)
            if stop - start >= clip.fps:
                found.append((start, stop))
    return found


def punching_hand(speeds: Sides) -> str:
    """The side of the only hand that punches, by ``Measurements.punch``; "none" where both do."""
    return speeds.larger if min(speeds.left, speeds.right) < PUNCH_SPEED else "none"


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _turns_on_the_spot(clip: MotionClip, upright: np.ndarray) -> list[tuple[int, int, Description]]:
    positions = clip.joint_positions()
    angle, hand = heading(positions), _higher_hand(positions)
    rate = np.gradient(_smooth(angle, 9)) * clip.fps if len(angle) > 9 else np.zeros_like(angle)
    found = []
    for start, stop in _runs(np.abs(rate) > np.radians(25)):
        start, stop = max(0, start - 8), min(len(angle), stop + 8)
        turn = angle[stop - 1] - angle[start]
        way = np.linalg.norm(np.diff(clip.root_positions[start:stop, [0, 2]], axis=0), axis=1).sum()
        calm = np.ptp(clip.root_positions[start:stop, 1]) < 0.12
        short = clip.fps <= stop - start <= 4 * clip.fps
        if (
            short
            and calm
            and np.radians(50) < abs(turn) < np.radians(220)
            and way < 0.7
            and upright[start:stop].all()
            and hand[start:stop].mean() < _HANDS_TURNING
        ):
            side = "left" if turn > 0 else "right"
            clauses = phrases.TURN_IN_PLACE + (phrases.HALF_TURN if abs(turn) > np.radians(150) else ())
            found.append((start, stop, Description(clauses, "turn", turn=side)))
    return found


def _seat_changes(clip: MotionClip) -> list[tuple[int, int, Description]]:
    height = _smooth(clip.root_positions[:, 1], 7)
    seated = (height > 0.35) & (height < 0.7)
    found = []
    for start, stop in _runs(seated):
        if stop - start < 0.8 * clip.fps:
            continue
        # From the last upright frame before the seat to a little after reaching it, and the other way round.
        before = np.flatnonzero(height[:start] > 0.88)
        if len(before) and start - before[-1] < 2.5 * clip.fps:
            first = max(0, int(before[-1]) - 12)
            reached = min(stop, max(start + 15, first + 32))
            found.append((first, reached, Description(phrases.SIT_DOWN, "sit_down")))
            # Who is asked to sit for longer stays seated; shown the way down alone, a model went on down to the floor.
            if stop - reached >= clip.fps / 2:
                found.append((first, min(stop, reached + 75), Description(phrases.SIT_DOWN, "sit_down")))
        after = np.flatnonzero(height[stop:] > 0.88)
        if len(after) and after[0] < 2.5 * clip.fps:
            last = min(len(height), stop + int(after[0]) + 12)
            found.append(
                (max(start, min(stop - 15, last - 32)), last, Description(phrases.STAND_UP, "stand_up"))
            )
    return found


def _still(clip: MotionClip, upright: np.ndarray) -> list[tuple[int, int, Description]]:
    positions = clip.joint_positions()
    speed = np.linalg.norm(np.diff(positions, axis=0, prepend=positions[:1]), axis=-1).max(axis=1) * clip.fps
    hanging = _higher_hand(positions) < _HANDS
    ankles = positions[:, JOINT_INDEX["left_ankle"]] - positions[:, JOINT_INDEX["right_ankle"]]
    near = (np.linalg.norm(ankles, axis=-1) < _FEET) & (np.abs(ankles[:, 1]) < _FLAT)
    return [
        (start, min(stop, start + 180), Description(phrases.IDLE, "stand"))
        for start, stop in _runs((_smooth(speed, 5) < 0.35) & upright & hanging & near)
        if stop - start >= 1.1 * clip.fps
    ]


def _higher_hand(positions: np.ndarray) -> np.ndarray:
    """Height of the higher wrist over the pelvis, [F] metres."""
    wrists = positions[:, [JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"]], 1]
    return wrists.max(axis=1) - positions[:, JOINT_INDEX["pelvis"], 1]


def _smooth(values: np.ndarray, width: int) -> np.ndarray:
    width = min(width, len(values))
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.ones(width) / width, "valid")
