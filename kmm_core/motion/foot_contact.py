"""Foot contact: when feet stand on the floor, how much they slide, and a clean-up. Light zone: no torch.

The clean-up (ours, in the spirit of Kovar et al., "Footskate Cleanup for Motion Capture Editing", 2002):
while a foot is planted its slide is summed up and taken back by moving the ankle, and while it is planted flat
its twist is taken back by turning it; between two plants the correction is carried over by a cubic with matching
speeds, so that nothing pops; legs follow by two-bone inverse kinematics with the knee pointing where it did, and
the pelvis sinks a little where a leg would not reach. A frame that needs no correction is left untouched. The
floor is y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..clip import MotionClip
from ..skeleton import JOINT_INDEX, REST_OFFSETS, SOLE_THICKNESS
from . import rotations
from .rotations import Array

Mask = NDArray[np.bool_]

_HIPS, _KNEES, _ANKLES, _BALLS = (
    [JOINT_INDEX[f"left_{name}"], JOINT_INDEX[f"right_{name}"]] for name in ("hip", "knee", "ankle", "foot")
)
_THIGH, _SHIN = (float(np.linalg.norm(REST_OFFSETS[joints[0]])) for joints in (_KNEES, _ANKLES))

_LEVEL = np.array([1.0, 0.0, 1.0])
# A contact begins where a joint is lower and slower than the first numbers and lasts until it passes the
# second. Metres over the joint's height when standing, and metres a second.
_STANDING_HEIGHTS = SOLE_THICKNESS - REST_OFFSETS[_BALLS[0]][1] * np.array([1.0, 0.0])
_ENTER_HEIGHT, _LEAVE_HEIGHT = 0.03, 0.05
_ENTER_SPEED, _LEAVE_SPEED, _STEP_SPEED = 0.25, 0.45, 0.6
# Speeds are measured over this time on either side, so that jitter does not count as motion; contacts and
# pauses shorter than the second number are accidents. Seconds.
_SPEED_SPAN = 0.05
_SHORTEST = 0.1

# Correction of a foot: eases in and out over this time (s), and never exceeds these (rad, m).
_BLEND = 0.25
_MAX_TURN = 0.35
_MAX_SHIFT = 0.18
_MAX_RAISE = 0.15
_MAX_DROP = 0.06
# A pause between plants this long is enough to carry a foot from one correction to the next. Seconds.
_PAUSE = 0.25
# A leg is stretched to at most this share of its length, unless it was stretched further already.
_REACH = 0.998
# Metres; see _bend.
_SOFT_BEND = 0.003
# Half width in seconds of the envelope over raises and drops.
_ENVELOPE = 0.1


@dataclass(frozen=True)
class _Legs:
    """Both legs in the world, left then right: bone rotations [F, 2, 4] and joint positions [F, 2, 3]."""

    pelvis: Array
    thigh: Array
    shin: Array
    foot: Array
    hip: Array
    knee: Array
    ankle: Array
    ball: Array


def detect_contacts(clip: MotionClip) -> Mask:
    """Which foot joints rest on the floor: low and slow, with hysteresis.

    Returns:
        [F, 4] bool: left ankle, left foot, right ankle, right foot.
    """
    return _contacts(_legs(clip), clip.fps).reshape(clip.num_frames, 4)


def foot_slide(clip: MotionClip) -> float:
    """Mean horizontal speed of foot joints while they are in contact, m/s; 0 where there is no contact."""
    legs = _legs(clip)
    joints = np.stack([legs.ankle, legs.ball], axis=2)
    contacts = _contacts(legs, clip.fps)
    both = contacts[1:] & contacts[:-1]
    speeds = np.linalg.norm(np.diff(joints[..., [0, 2]], axis=0), axis=-1) * clip.fps
    return float(speeds[both].mean()) if both.any() else 0.0


def clean_feet(clip: MotionClip) -> MotionClip:
    """The same motion with planted feet held still and no foot joint under the floor.

    The number of frames, the pelvis's horizontal path and every joint above the hips stay as they are; the
    pelvis is lowered by at most a few centimetres.
    """
    legs = _legs(clip)
    contacts = _contacts(legs, clip.fps)
    legs = _untwisted(legs, contacts, clip.fps)
    shift = _shift(legs, contacts, clip.fps)
    shift[..., 1] = _raise(legs, clip.fps)
    ankle = legs.ankle + shift

    root = clip.root_positions.copy()
    drop = _drop(legs, ankle, contacts[..., 0] | contacts[..., 1], clip.fps)
    root[:, 1] -= drop
    hip = legs.hip - drop[:, None, None] * rotations.Y_AXIS
    knee, ankle = _bend(legs, hip, ankle)

    thigh = rotations.multiply(rotations.between(legs.knee - legs.hip, knee - hip), legs.thigh)
    shin = rotations.multiply(rotations.between(legs.ankle - legs.knee, ankle - knee), legs.shin)
    local = clip.local_rotations.copy()
    local[:, _HIPS] = rotations.multiply(rotations.conjugate(legs.pelvis), thigh)
    local[:, _KNEES] = rotations.multiply(rotations.conjugate(thigh), shin)
    local[:, _ANKLES] = rotations.multiply(rotations.conjugate(shin), legs.foot)
    return replace(clip, root_positions=root, local_rotations=local)


def _legs(clip: MotionClip) -> _Legs:
    local = clip.local_rotations
    pelvis = local[:, :1]
    thigh = rotations.multiply(pelvis, local[:, _HIPS])
    shin = rotations.multiply(thigh, local[:, _KNEES])
    foot = rotations.multiply(shin, local[:, _ANKLES])
    hip = clip.root_positions[:, None] + rotations.rotate(pelvis, REST_OFFSETS[_HIPS])
    knee = hip + rotations.rotate(thigh, REST_OFFSETS[_KNEES])
    ankle = knee + rotations.rotate(shin, REST_OFFSETS[_ANKLES])
    ball = ankle + rotations.rotate(foot, REST_OFFSETS[_BALLS])
    return _Legs(pelvis, thigh, shin, foot, hip, knee, ankle, ball)


def _velocity(positions: Array, fps: float) -> Array:
    """Velocity over a short span around each frame, m/s. [F, ...] -> [F, ...]"""
    span = max(1, round(_SPEED_SPAN * fps))
    last = len(positions) - 1
    before = np.maximum(np.arange(last + 1) - span, 0)
    after = np.minimum(np.arange(last + 1) + span, last)
    frames = np.maximum(after - before, 1).reshape(-1, *[1] * (positions.ndim - 1))
    return (positions[after] - positions[before]) * (fps / frames)


def _contacts(legs: _Legs, fps: float) -> Mask:
    """[F, 2, 2] bool: left and right; ankle and ball."""
    joints = np.stack([legs.ankle, legs.ball], axis=2)
    height = joints[..., 1] - _STANDING_HEIGHTS
    speed = np.linalg.norm(_velocity(joints, fps), axis=-1)
    low = height < _LEAVE_HEIGHT
    stretch = _stretches(low & (speed < _LEAVE_SPEED))
    length = np.bincount(stretch.ravel())
    sure = np.bincount(stretch.ravel(), ((height < _ENTER_HEIGHT) & (speed < _ENTER_SPEED)).ravel())
    contacts = (stretch > 0) & ((sure > 0) & (length >= _SHORTEST * fps))[stretch]
    # A foot that stays low does not leave the floor for an instant, unless it takes a quick step.
    gap = _stretches(~contacts)
    length = np.bincount(gap.ravel())
    stays = np.bincount(gap.ravel(), low.ravel()) == length
    stays &= (np.bincount(gap.ravel(), speed.ravel()) <= _STEP_SPEED * length) & (length <= _SHORTEST * fps)
    return contacts | ((gap > 0) & stays[gap])


def _stretches(mask: Mask) -> NDArray[np.intp]:
    """Numbers the runs of True along time, from 1; 0 where False. [F, 2, 2] -> the same shape."""
    by_joint = mask.reshape(len(mask), -1).T
    begins = by_joint.copy()
    begins[:, 1:] &= ~by_joint[:, :-1]
    return np.where(by_joint, np.cumsum(begins).reshape(begins.shape), 0).T.reshape(mask.shape)


def _untwisted(legs: _Legs, contacts: Mask, fps: float) -> _Legs:
    """The legs with feet turned about the vertical through the ankle so that they don't twist while they stand flat."""
    flat = contacts[..., 0] & contacts[..., 1]
    along = legs.ball - legs.ankle
    heading = np.unwrap(np.arctan2(along[..., 0], along[..., 2]), axis=0)[..., None]
    turn = _correction(heading, _velocity(heading, fps) / fps, flat, _MAX_TURN, fps)
    rotation = rotations.from_yaw(turn[..., 0])
    foot = rotations.multiply(rotation, legs.foot)
    return replace(legs, foot=foot, ball=legs.ankle + rotations.rotate(rotation, along))


def _shift(legs: _Legs, contacts: Mask, fps: float) -> Array:
    """Horizontal correction of each foot, [F, 2, 3] m: takes back slides, eases over between plants."""
    planted = contacts[..., 0] | contacts[..., 1]
    # The foot pivots about its ball where that rests on the floor, about the ankle otherwise.
    on_ball = contacts[..., 1:]
    velocity = np.where(on_ball, _velocity(legs.ball, fps), _velocity(legs.ankle, fps)) * _LEVEL / fps
    on_ball = on_ball[1:] & on_ball[:-1]
    slide = np.where(on_ball, np.diff(legs.ball, axis=0), np.diff(legs.ankle, axis=0)) * _LEVEL
    slid = np.concatenate([np.zeros((1, 2, 3)), np.cumsum(slide, axis=0)])
    return _correction(slid, velocity, planted, _MAX_SHIFT, fps)


def _correction(moved: Array, velocity: Array, planted: Mask, limit: float, fps: float) -> Array:
    """What keeps each foot where it is planted, and eases over between plants.

    Args:
        moved: how far the foot has moved up to each frame, [F, 2, C].
        velocity: of that, a frame. [F, 2, C].
        planted: [F, 2] bool.
        limit: no correction is longer.
        fps: frames a second.

    Returns:
        [F, 2, C].
    """
    frames = len(planted)
    held = [_hold(moved[:, side], planted[:, side], fps) for side in range(2)]
    shift = _limited(np.stack(held, axis=1), limit)

    # In between: cubic Hermite curves, straight to the next plant if it is near, otherwise by way of zero.
    now = np.arange(frames)[:, None]
    before = np.maximum.accumulate(np.where(planted, now, -1), axis=0)
    after = np.minimum.accumulate(np.where(planted, now, frames)[::-1], axis=0)[::-1]
    sides = np.arange(2)
    start, start_velocity = shift[before, sides], -velocity[before, sides]
    end = np.minimum(after, frames - 1)
    stop, stop_velocity = shift[end, sides], -velocity[end, sides]
    blend = max(1.0, _BLEND * fps)
    gap = np.maximum(after - before, 1)
    across = _hermite((now - before) / gap, gap[..., None], start, start_velocity, stop, stop_velocity)
    out = _hermite(np.minimum((now - before) / blend, 1), blend, start, start_velocity, 0, 0)
    into = _hermite(np.maximum(1 - (after - now) / blend, 0), blend, 0, 0, stop, stop_velocity)
    has_before, has_after = (before >= 0)[..., None], (after < frames)[..., None]
    near = has_before & has_after & (gap <= 2 * blend)[..., None]
    between = np.where(near, across, np.where(has_before, out, 0) + np.where(has_after, into, 0))
    return np.where(planted[..., None], shift, between)


def _hold(slid: Array, planted: Mask, fps: float) -> Array:
    """Correction of one foot while planted: what it has slid, taken back, plus one constant a plant.

    The constants make corrections small, and nearly equal where the pause between two plants is too short to
    carry the foot from one to the other: least squares, a tridiagonal system over the plants.

    Args:
        slid: how far the foot moved up to each frame, [F, C].
        planted: [F] bool.
        fps: frames a second.

    Returns:
        [F, C]; 0 where the foot is not planted.
    """
    if not planted.any():
        return np.zeros_like(slid)
    edges = np.diff(np.concatenate([[0], planted.astype(int), [0]]))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    plant = np.maximum(np.cumsum(edges[:-1] == 1) - 1, 0)
    length = last - first + 1.0
    # One row a plant: constant * diagonal - neighbours * stiffness = right.
    stiffness = length.mean() * (_PAUSE * fps / (first[1:] - last[:-1])) ** 3
    step = stiffness[:, None] * (slid[first[1:]] - slid[last[:-1]])
    diagonal = length + np.append(stiffness, 0) + np.append(0, stiffness)
    right = np.stack(
        [np.bincount(plant[planted], slid[planted, axis]) for axis in range(slid.shape[1])], axis=-1
    )
    right[:-1] -= step
    right[1:] += step
    for k in range(1, len(first)):
        factor = stiffness[k - 1] / diagonal[k - 1]
        diagonal[k] -= factor * stiffness[k - 1]
        right[k] += factor * right[k - 1]
    constant = right / diagonal[:, None]
    for k in range(len(first) - 2, -1, -1):
        constant[k] += stiffness[k] / diagonal[k] * constant[k + 1]
    return np.where(planted[:, None], constant[plant] - slid, 0)


def _hermite(t: Array, length, start, start_velocity, stop, stop_velocity) -> Array:
    """Cubic from start to stop for t in [0, 1]; velocities a frame, length in frames. [F, 2] -> [F, 2, C]"""
    t = t[..., None]
    rest = 1 - t
    return rest**2 * ((1 + 2 * t) * start + t * length * start_velocity) + t**2 * (
        (1 + 2 * rest) * stop - rest * length * stop_velocity
    )


def _limited(vectors: Array, limit: float) -> Array:
    """Vectors shortened smoothly so that none is longer than ``limit``."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / (1 + (length / limit) ** 4) ** 0.25


def _envelope(values: Array, fps: float) -> Array:
    """A smooth curve nowhere below ``values`` ([F, ...]): moving maximum, then moving mean."""
    half = max(1, round(_ENVELOPE * fps))
    for function in (np.max, np.mean):
        padded = np.pad(values, [(half, half)] + [(0, 0)] * (values.ndim - 1), mode="edge")
        values = function(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0), axis=-1)
    return values


def _raise(legs: _Legs, fps: float) -> Array:
    """How far each foot must come up so that ankle and ball stay over the floor, [F, 2] m."""
    lowest = np.minimum(legs.ankle[..., 1], legs.ball[..., 1])
    under = np.clip(SOLE_THICKNESS - lowest, 0, _MAX_RAISE)
    return _envelope(under, fps) if under.any() else under


def _drop(legs: _Legs, ankle: Array, planted: Mask, fps: float) -> Array:
    """How far the pelvis must sink so that planted feet can be reached, [F] m."""
    to_ankle = ankle - legs.hip
    reach = np.maximum(np.linalg.norm(legs.ankle - legs.hip, axis=-1), _REACH * (_THIGH + _SHIN))
    level = np.sum(to_ankle[..., [0, 2]] ** 2, axis=-1)
    height = -to_ankle[..., 1]
    needed = height - np.sqrt(np.maximum(reach**2 - level, 0))
    # Sinking helps a leg that stands, not one that lies or sits.
    stands = np.clip(height / reach / 0.3 - 4 / 3, 0, 1)
    needed = np.where(planted, np.clip(needed * stands, 0, _MAX_DROP), 0).max(axis=1)
    return _envelope(needed, fps) if needed.any() else needed


def _bend(legs: _Legs, hip: Array, ankle: Array) -> tuple[Array, Array]:
    """Two-bone inverse kinematics: knees for the wanted ankles, and the ankles in reach. [F, 2, 3] each"""
    old_leg = legs.ankle - legs.hip
    old_along, old_length = rotations.normalize(old_leg), np.linalg.norm(old_leg, axis=-1, keepdims=True)
    leg = ankle - hip
    along = rotations.normalize(leg)
    # A leg may bend further, but straightens ever more slowly the straighter it is: no knee snaps straight. Nor does one snap
    # bent: of the first millimetres that bring a straight knee centimetres forward, a part stays undone.
    old_slack = np.maximum(_THIGH + _SHIN - old_length, 1e-9)
    growth = _THIGH + _SHIN - np.linalg.norm(leg, axis=-1, keepdims=True) - old_slack
    bend, soft = np.maximum(growth, 0), _SOFT_BEND**2 / (_SOFT_BEND + old_slack)
    slack = np.where(
        growth > 0,
        old_slack + bend**2 / (bend + soft),
        old_slack**2 / (old_slack - np.minimum(growth, 0)),
    )
    length = np.maximum(_THIGH + _SHIN - slack, abs(_THIGH - _SHIN) + 0.01)

    # The knee's place beside the line from hip to ankle, carried along as that line turns.
    turn = rotations.between(old_along, along)
    aside = legs.knee - legs.hip
    aside = rotations.rotate(turn, aside - np.sum(aside * old_along, axis=-1, keepdims=True) * old_along)
    old_height = np.linalg.norm(aside, axis=-1, keepdims=True)
    cosine = (_THIGH**2 + length**2 - _SHIN**2) / (2 * _THIGH * length)
    height = _THIGH * np.sqrt(np.maximum(1 - cosine**2, 0))
    # A straight leg does not show where its knee points; then the front of the thigh decides.
    front = rotations.rotate(rotations.multiply(turn, legs.thigh), np.array([0.0, 0.0, 1.0]))
    front -= np.sum(front * along, axis=-1, keepdims=True) * along
    pointing = rotations.normalize(aside / _THIGH + 0.2 * front)
    grown = height - old_height
    # A knee that was stretched beyond straight comes forward around the outside, instead of from one frame to the next.
    behind = np.maximum(-np.sum(aside * front, axis=-1, keepdims=True), 0)
    around = np.minimum(np.maximum(grown, 0), behind**2 / np.maximum(grown, 1e-9))
    outward = np.array([[1.0], [-1.0]]) * np.cross(front, along)
    aside = height * rotations.normalize(aside + grown * pointing + around * outward)
    return hip + _THIGH * cosine * along + aside, hip + length * along
