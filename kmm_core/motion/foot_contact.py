"""Foot contact: when feet stand on the floor, how much they slide there, and a clean-up that stops it. No torch.

The clean-up (ours, in the spirit of Kovar et al., "Footskate Cleanup for Motion Capture Editing", 2002): while a foot
is planted its slide is summed up and taken back by moving the ankle; between two plants the correction is carried
over by a cubic with matching speeds, so that nothing pops; legs follow by two-bone inverse kinematics with the knee
pointing where it did, and the pelvis sinks a little where a leg would not reach. A frame that needs no correction is
left untouched. The floor is y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..clip import MotionClip
from ..skeleton import JOINT_INDEX, REST_OFFSETS, SOLE_THICKNESS
from . import rotations
from .rotations import Array

CONTACT_JOINTS = tuple(JOINT_INDEX[name] for name in ("left_ankle", "left_foot", "right_ankle", "right_foot"))

_HIPS, _KNEES, _ANKLES, _BALLS = (
    [JOINT_INDEX[f"left_{name}"], JOINT_INDEX[f"right_{name}"]] for name in ("hip", "knee", "ankle", "foot")
)
_THIGH, _SHIN = (float(np.linalg.norm(REST_OFFSETS[joints[0]])) for joints in (_KNEES, _ANKLES))

# A contact begins where a joint is lower and slower than the first numbers and lasts until it passes the second.
# Metres over the joint's height when standing, and metres a second.
_STANDING_HEIGHTS = SOLE_THICKNESS - REST_OFFSETS[_BALLS[0]][1] * np.array([1.0, 0.0])
_ENTER_HEIGHT, _LEAVE_HEIGHT = 0.03, 0.05
_ENTER_SPEED, _LEAVE_SPEED = 0.25, 0.45
# Speeds are measured over this time on either side, so that jitter does not count as motion; shorter contacts are
# accidents. Seconds.
_SPEED_SPAN = 0.05
_SHORTEST_CONTACT = 0.1

# Correction of a foot: eases in and out over this time (s), and never exceeds these (m).
_BLEND = 0.25
_MAX_SHIFT = 0.12
_MAX_RAISE = 0.06
_MAX_DROP = 0.06
# A leg is stretched to this part of its length at most, unless it was longer already.
_REACH = 0.998
# Half width in seconds of the envelope over raises and drops.
_ENVELOPE = 0.07


@dataclass(frozen=True)
class _Legs:
    """Both legs in the world, left then right: rotations of bones [F, 2, 4] and positions of joints [F, 2, 3]."""

    pelvis: Array
    thigh: Array
    shin: Array
    foot: Array
    hip: Array
    knee: Array
    ankle: Array
    ball: Array


def detect_contacts(clip: MotionClip) -> Array:
    """Which foot joints rest on the floor: low and slow, with hysteresis.

    Returns:
        [F, 4] bool: left ankle, left foot, right ankle, right foot (``CONTACT_JOINTS``).
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

    The number of frames, the pelvis's horizontal path and every joint above the hips stay as they are; the pelvis is
    lowered by at most a few centimetres.
    """
    legs = _legs(clip)
    contacts = _contacts(legs, clip.fps)
    shift = _shift(legs, contacts, clip.fps)
    shift[..., 1] = _raise(legs, clip.fps)
    ankle = legs.ankle + shift

    root = clip.root_positions.copy()
    drop = _drop(legs, ankle, contacts.any(axis=2), clip.fps)
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


def _contacts(legs: _Legs, fps: float) -> Array:
    """[F, 2, 2] bool: left and right; ankle and ball."""
    joints = np.stack([legs.ankle, legs.ball], axis=2)
    height = joints[..., 1] - _STANDING_HEIGHTS
    speed = np.linalg.norm(_velocity(joints, fps), axis=-1)
    low_and_slow = (height < _LEAVE_HEIGHT) & (speed < _LEAVE_SPEED)
    surely = (height < _ENTER_HEIGHT) & (speed < _ENTER_SPEED)

    # Number the stretches of low_and_slow along time, joint after joint, and keep those that count.
    inside = low_and_slow.reshape(len(height), -1).T
    begins = inside.copy()
    begins[:, 1:] &= ~inside[:, :-1]
    stretch = np.where(inside, np.cumsum(begins).reshape(inside.shape), 0)
    lengths = np.bincount(stretch.ravel())
    sure = np.bincount(stretch.ravel(), weights=surely.reshape(len(height), -1).T.ravel())
    counts = (sure > 0) & (lengths >= _SHORTEST_CONTACT * fps)
    counts[0] = False
    return counts[stretch].T.reshape(height.shape)


def _shift(legs: _Legs, contacts: Array, fps: float) -> Array:
    """Horizontal correction of each foot, [F, 2, 3] m: takes back the slide of plants, eases over in between."""
    frames = len(contacts)
    planted = contacts.any(axis=2)
    # The foot pivots about its ball where that rests on the floor, about the ankle otherwise.
    on_ball = contacts[..., 1:]
    velocity = np.where(on_ball, _velocity(legs.ball, fps), _velocity(legs.ankle, fps)) * [1, 0, 1] / fps
    on_ball = on_ball[1:] & on_ball[:-1]
    slide = np.zeros((frames, 2, 3))
    slide[1:] = np.where(on_ball, np.diff(legs.ball, axis=0), np.diff(legs.ankle, axis=0)) * [1, 0, 1]
    slid = np.cumsum(slide, axis=0)

    # Each plant is held where it is on average, so that corrections stay small.
    begins = planted.copy()
    begins[1:] &= ~planted[:-1]
    plant = np.where(planted, np.cumsum(begins.T).reshape(2, frames).T, 0)
    count = np.maximum(np.bincount(plant.ravel()), 1)
    mean = np.stack([np.bincount(plant.ravel(), slid[..., axis].ravel()) / count for axis in range(3)], axis=-1)
    shift = _limited(mean[plant] - slid, _MAX_SHIFT)

    # In between: cubic Hermite curves, straight to the next plant if it is near, otherwise by way of zero.
    now = np.arange(frames)[:, None]
    before = np.maximum.accumulate(np.where(planted, now, -1), axis=0)
    after = np.minimum.accumulate(np.where(planted, now, frames)[::-1], axis=0)[::-1]
    blend = max(1.0, _BLEND * fps)
    foot = np.arange(2)
    start, start_velocity = shift[before, foot], -velocity[before, foot]
    end = np.minimum(after, frames - 1)
    stop, stop_velocity = shift[end, foot], -velocity[end, foot]
    out = _hermite(np.minimum((now - before) / blend, 1), blend, start, start_velocity, 0, 0)
    into = _hermite(np.maximum(1 - (after - now) / blend, 0), blend, 0, 0, stop, stop_velocity)
    gap = np.maximum(after - before, 1)
    over = _hermite((now - before) / gap, gap[..., None], start, start_velocity, stop, stop_velocity)
    has_before, has_after = (before >= 0)[..., None], (after < frames)[..., None]
    apart = np.where(has_before, out, 0) + np.where(has_after, into, 0)
    near = has_before & has_after & (gap <= 2 * blend)[..., None]
    return np.where(planted[..., None], shift, np.where(near, over, apart))


def _hermite(t: Array, length, start, start_velocity, stop, stop_velocity) -> Array:
    """Cubic from start to stop for t in [0, 1]; velocities a frame, length in frames. [F, 2] -> [F, 2, 3]"""
    t = t[..., None]
    rest = 1 - t
    return (
        rest**2 * ((1 + 2 * t) * start + t * length * start_velocity)
        + t**2 * ((1 + 2 * rest) * stop - rest * length * stop_velocity)
    )


def _limited(vectors: Array, limit: float) -> Array:
    """Vectors shortened smoothly so that none is longer than ``limit``."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True) / limit
    return vectors * np.where(length > 1e-6, np.tanh(length) / np.maximum(length, 1e-6), 1)


def _envelope(values: Array, fps: float) -> Array:
    """A smooth curve over ``values`` that is nowhere below them: moving maximum, then moving mean. [F, ...]"""
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


def _drop(legs: _Legs, ankle: Array, planted: Array, fps: float) -> Array:
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
    """Two-bone inverse kinematics: knees for the wanted ankles, and the ankles that can be reached. [F, 2, 3] each"""
    old_leg = legs.ankle - legs.hip
    old_along, old_length = rotations.normalize(old_leg), np.linalg.norm(old_leg, axis=-1, keepdims=True)
    leg = ankle - hip
    along = rotations.normalize(leg)
    longest = np.maximum(old_length, _REACH * (_THIGH + _SHIN))
    length = np.clip(np.linalg.norm(leg, axis=-1, keepdims=True), abs(_THIGH - _SHIN) + 0.01, longest)

    # The knee's place beside the line from hip to ankle, carried along as that line turns.
    turn = rotations.between(old_along, along)
    aside = legs.knee - legs.hip
    aside = rotations.rotate(turn, aside - np.sum(aside * old_along, axis=-1, keepdims=True) * old_along)
    old_height = np.linalg.norm(aside, axis=-1, keepdims=True)
    cosine = (_THIGH**2 + length**2 - _SHIN**2) / (2 * _THIGH * length)
    height = _THIGH * np.sqrt(np.maximum(1 - cosine**2, 0))
    # A straight leg does not show where its knee points: then it is where the thigh's front points.
    front = rotations.rotate(rotations.multiply(turn, legs.thigh), np.array([0.0, 0.0, 1.0]))
    front -= np.sum(front * along, axis=-1, keepdims=True) * along
    pointing = rotations.normalize(aside / _THIGH + 0.05 * front)
    aside = height * rotations.normalize(aside + (height - old_height) * pointing)
    return hip + _THIGH * cosine * along + aside, hip + length * along
