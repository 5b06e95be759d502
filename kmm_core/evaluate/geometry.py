"""What a body does, measured from joint positions alone: no network, so nothing a network could fool.

Every function takes a ``MotionClip`` (Y up, metres, the floor at y = 0) and reads its joints, nothing that
a model says about itself. Left is +X of a body that faces +Z, and a turn to the left is positive. The thresholds were set on real
recordings; docs/results.md reports how often they agree with the labels of clips that were held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..clip import MotionClip
from ..motion import kinematics, rotations
from ..motion.placement import facing, sole_heights
from ..motion.rotations import Array, normalize
from ..skeleton import JOINT_INDEX, SOLE_THICKNESS

SIDES = ("left", "right")

# A pose counts once it was held this long, so that one bad frame decides nothing. Seconds.
HOLD = 0.2

# Arm elevation: -1 hangs straight down, 0 is level with the shoulder, +1 is straight up.
RAISED_ARM = -0.2
# The wrist 0.3 m over the shoulder is over the head; under 0.2 m it is before the face at most.
HIGH_ARM, LOW_ARM = 0.59, 0.4
ARM_RISE = 0.45
HELD_ARM = 0.2
# An arm that went up at least this much less than the other one does not count beside it.
OTHER_ARM = 0.5
# A wave: the hand is at least this high and within this much of its highest; swings of this many metres, this often,
# faster than this period in seconds.
WAVING_ARM = -0.35
WAVE_PLATEAU = 0.3
WAVE_SWING = 0.03
WAVE_SWINGS = 3
WAVE_PERIOD = 0.6
# Metres a second, below which somebody who goes somewhere has stopped.
SLOWEST_WAY = 0.2
# From the wrist to the tip of the hand, m.
HAND = 0.12
# Of getting up, as a part of the pelvis' height when standing: a step or a crouch does not count.
LEAST_RISE = 0.2
# Thigh or shin elevation of a lifted leg: 0 hangs straight down, 1 is level. Height of its ankle over the floor, m.
RAISED_THIGH = 0.45
RAISED_ANKLE = 0.20
# Height of the ankle joint over the sole of a flat foot, m.
ANKLE_HEIGHT = 0.065 + SOLE_THICKNESS
OFF_FLOOR = 0.03


@dataclass(frozen=True)
class Travel:
    """Where the pelvis went, in the body's own directions at every moment.

    Attributes:
        forward: metres forward (negative: backward).
        left: metres to the left (negative: to the right).
        path: metres along the ground.
        net: metres from the first place to the last.
    """

    forward: float
    left: float
    path: float
    net: float


def _joint(positions: Array, name: str) -> Array:
    return positions[:, JOINT_INDEX[name]]


def _smooth(values: Array, window: int) -> Array:
    """Moving average over ``window`` frames along axis 0, ends padded with themselves."""
    window = max(1, min(window, len(values)))
    before, after = window // 2, window - 1 - window // 2
    padded = np.concatenate([np.repeat(values[:1], before, 0), values, np.repeat(values[-1:], after, 0)])
    return np.lib.stride_tricks.sliding_window_view(padded, window, axis=0).mean(-1)


def held_peak(values: Array, fps: float, seconds: float = HOLD) -> float:
    """The highest level that ``values`` [F] stay at or above for ``seconds`` on end."""
    window = min(len(values), max(1, round(seconds * fps)))
    return float(np.lib.stride_tricks.sliding_window_view(values, window).min(-1).max())


def held_low(values: Array, fps: float, seconds: float = HOLD) -> float:
    """The lowest level that ``values`` [F] stay at or below for ``seconds`` on end."""
    return -held_peak(-values, fps, seconds)


# -- the whole body ---------------------------------------------------------------------------------------------


def heading(clip: MotionClip) -> Array:
    """Direction the hips and shoulders face, [F] radians, unwrapped; to the left is positive."""
    return np.unwrap(facing(clip))


def turn_angle(clip: MotionClip) -> float:
    """Change of heading from the first 0.2 s to the last 0.2 s, radians; a turn to the left is positive."""
    angle = heading(clip)
    end = max(1, min(round(HOLD * clip.fps), clip.num_frames // 3))
    return float(angle[-end:].mean() - angle[:end].mean())


def travel(clip: MotionClip) -> Travel:
    """Where the pelvis went; see ``Travel``."""
    positions = clip.joint_positions()
    # 0.3 s of smoothing takes out the sway of each step, which is no travel.
    ground = _smooth(_joint(positions, "pelvis")[:, [0, 2]], round(0.3 * clip.fps))
    steps = np.diff(ground, axis=0)
    yaw = _smooth(heading(clip), round(0.3 * clip.fps))
    yaw = (yaw[1:] + yaw[:-1]) / 2
    forward = steps[:, 0] * np.sin(yaw) + steps[:, 1] * np.cos(yaw)
    left = steps[:, 0] * np.cos(yaw) - steps[:, 1] * np.sin(yaw)
    return Travel(
        forward=float(forward.sum()),
        left=float(left.sum()),
        path=float(np.linalg.norm(steps, axis=-1).sum()),
        net=float(np.linalg.norm(ground[-1] - ground[0])),
    )


def wander(clip: MotionClip) -> float:
    """How far the way over the ground turns from a straight line, radians: the largest angle between where the pelvis goes in a
    second and where it goes in all. Pi where it stands for a second."""
    ground = _joint(clip.joint_positions(), "pelvis")[:, [0, 2]]
    second = min(round(clip.fps), clip.num_frames - 1)
    ways = ground[second:] - ground[: clip.num_frames - second]
    if np.linalg.norm(ways, axis=-1).min() * clip.fps / max(second, 1) < SLOWEST_WAY:
        return float(np.pi)
    directions = ways @ np.array([1, 1j])
    return float(np.abs(np.angle(directions * np.conj((ground[-1] - ground[0]) @ np.array([1, 1j])))).max())


def speed(clip: MotionClip) -> float:
    """Mean speed of the pelvis along the ground, m/s."""
    return travel(clip).path / max((clip.num_frames - 1) / clip.fps, 1e-9)


def pace(clip: MotionClip) -> float:
    """How fast it moves when it moves, m/s: of every frame's fastest joint, what a tenth of the frames exceed."""
    if clip.num_frames < 2:
        return 0.0
    moved = np.linalg.norm(np.diff(clip.joint_positions(), axis=0), axis=-1).max(axis=1)
    return float(np.quantile(moved, 0.9)) * clip.fps


def liveliness(clip: MotionClip) -> float:
    """Mean speed of all joints against the pelvis, m/s."""
    positions = clip.joint_positions()
    if len(positions) < 2:
        return 0.0
    inside = positions - positions[:, :1]
    return float(np.linalg.norm(np.diff(inside, axis=0), axis=-1).mean() * clip.fps)


def pelvis_height(clip: MotionClip) -> Array:
    """Height of the pelvis over the floor as a part of its height when standing straight, [F]."""
    positions = clip.joint_positions()
    leg = sum(
        np.median(np.linalg.norm(_joint(positions, f"left_{a}") - _joint(positions, f"left_{b}"), axis=-1))
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    )
    return _joint(positions, "pelvis")[:, 1] / (leg + 0.08 + ANKLE_HEIGHT)


def rise_seconds(clip: MotionClip) -> float | None:
    """How long the pelvis takes for the middle half of its way up from its lowest place; None where it comes up by less than a
    fifth of standing."""
    height = pelvis_height(clip)
    up = height[height.argmin() :] - height.min()
    if up.max() < LEAST_RISE:
        return None
    quarter, three_quarters = (int((up >= share * up.max()).argmax()) for share in (0.25, 0.75))
    return (three_quarters - quarter) / clip.fps


def trunk_pitch(clip: MotionClip) -> Array:
    """Lean of the trunk (pelvis to neck) out of the vertical toward the front, [F] radians; backward is negative."""
    positions = clip.joint_positions()
    trunk = normalize(_joint(positions, "neck") - _joint(positions, "pelvis"))
    yaw = heading(clip)
    ahead = trunk[:, 0] * np.sin(yaw) + trunk[:, 2] * np.cos(yaw)
    return np.arctan2(ahead, trunk[:, 1])


def trunk_tilt(clip: MotionClip) -> Array:
    """Angle of the trunk against the vertical, whichever way, [F] radians."""
    positions = clip.joint_positions()
    return np.arccos(np.clip(normalize(_joint(positions, "neck") - _joint(positions, "pelvis"))[:, 1], -1, 1))


# -- arms -------------------------------------------------------------------------------------------------------


def arm_elevation(clip: MotionClip) -> dict[str, Array]:
    """Height of each wrist against its shoulder in arm lengths, [F]: -1 hangs, 0 is level, +1 is straight up.

    Up is the world's or the trunk's own, whichever says less: neither the arms of somebody who lies flat nor those
    that hang from somebody who bends over are raised.
    """
    positions = clip.joint_positions()
    trunk = normalize(_joint(positions, "neck") - _joint(positions, "pelvis"))
    result = {}
    for side in SIDES:
        shoulder, elbow, wrist = (
            _joint(positions, f"{side}_{part}") for part in ("shoulder", "elbow", "wrist")
        )
        length = np.median(np.linalg.norm(elbow - shoulder, axis=-1) + np.linalg.norm(wrist - elbow, axis=-1))
        reach = wrist - shoulder
        result[side] = np.minimum(reach[:, 1], np.sum(reach * trunk, axis=-1)) / length
    return result


def arm_rise(clip: MotionClip) -> dict[str, tuple[float, float]]:
    """For each side the highest held arm elevation, and how far that is over its lowest one in the clip."""
    result = {}
    for side, elevation in arm_elevation(clip).items():
        peak = held_peak(elevation, clip.fps)
        result[side] = (peak, peak - held_low(elevation, clip.fps))
    return result


def raised_hands(clip: MotionClip) -> frozenset[str]:
    """The sides whose wrist is up, near the shoulder or higher: it rises during the clip, or is held up all along."""
    lifts = {}
    for side, (peak, rise) in arm_rise(clip).items():
        # An arm that never comes down was raised before the clip began.
        lift = rise if peak - rise < HELD_ARM else peak + 1
        if peak >= RAISED_ARM and lift >= ARM_RISE:
            lifts[side] = lift
    return frozenset(side for side, lift in lifts.items() if lift >= OTHER_ARM * max(lifts.values()))


def swings(values: Array, amplitude: float) -> int:
    """How many times ``values`` [F] move by at least ``amplitude`` one way before they turn back."""
    count, direction = 0, 0
    low = high = values[0]
    for value in values:
        low, high = min(low, value), max(high, value)
        if direction <= 0 and value - low >= amplitude:
            count, direction, high = count + 1, 1, value
        elif direction >= 0 and high - value >= amplitude:
            count, direction, low = count + 1, -1, value
    return count


def wave_swings(clip: MotionClip) -> dict[str, int]:
    """For each side, how often the hand swings to the side or front and back while it is up."""
    positions = clip.joint_positions()
    yaw = heading(clip)
    window = round(WAVE_PERIOD * clip.fps)
    result = {}
    world = kinematics.global_rotations(clip.local_rotations)
    elevations = arm_elevation(clip)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        elevation = elevations[side]
        # The tip of the hand, for some wave from the wrist alone.
        tip = rotations.rotate(world[:, JOINT_INDEX[f"{side}_wrist"]], HAND * np.array([sign, 0.0, 0.0]))
        reach = _joint(positions, f"{side}_wrist") + tip - _joint(positions, f"{side}_shoulder")
        level = np.stack(
            [
                reach[:, 0] * np.cos(yaw) - reach[:, 2] * np.sin(yaw),
                reach[:, 0] * np.sin(yaw) + reach[:, 2] * np.cos(yaw),
            ],
            axis=-1,
        )
        # Only while the hand is up and only what is fast: the way up and the way down are no wave.
        smooth = _smooth(elevation, window)
        up = smooth > max(WAVING_ARM, smooth.max() - WAVE_PLATEAU)
        fast = (level - _smooth(level, window))[up]
        if len(fast) < HOLD * clip.fps:
            result[side] = 0
            continue
        axis = np.linalg.eigh(fast.T @ fast)[1][:, -1]
        result[side] = swings(fast @ axis, WAVE_SWING)
    return result


def waving_hands(clip: MotionClip) -> frozenset[str]:
    """The sides whose lifted hand swings back and forth."""
    return frozenset(side for side, count in wave_swings(clip).items() if count >= WAVE_SWINGS)


def punching_hands(clip: MotionClip) -> dict[str, float]:
    """For each side the highest speed, m/s, at which the wrist drives away from its shoulder near shoulder height."""
    return {side: float(drive.max(initial=0.0)) for side, drive in punch_drives(clip).items()}


def punch_drives(clip: MotionClip) -> dict[str, Array]:
    """For each side that speed from frame to frame, [F - 1]; 0 where the arm is not near shoulder height."""
    positions = clip.joint_positions()
    result = {}
    for side, elevation in arm_elevation(clip).items():
        reach = np.linalg.norm(
            _joint(positions, f"{side}_wrist") - _joint(positions, f"{side}_shoulder"), axis=-1
        )
        drive = np.diff(reach) * clip.fps
        result[side] = np.where(np.abs(elevation[1:]) < 0.5, drive, 0.0)
    return result


def hand_speed(clip: MotionClip) -> dict[str, float]:
    """For each side the highest speed of the wrist against the pelvis, m/s, kept for 0.1 s."""
    positions = clip.joint_positions()
    return {side: _limb_speed(positions, f"{side}_wrist", clip.fps) for side in SIDES}


def forward_drive(clip: MotionClip) -> float:
    """The highest speed, m/s, kept for 0.1 s, at which a hand that is up moves to the front against the pelvis."""
    positions = clip.joint_positions()
    if len(positions) < 2:
        return 0.0
    yaw, best = heading(clip)[1:], 0.0
    for side, elevation in arm_elevation(clip).items():
        moved = np.diff(_joint(positions, f"{side}_wrist") - _joint(positions, "pelvis"), axis=0) * clip.fps
        ahead = moved[:, 0] * np.sin(yaw) + moved[:, 2] * np.cos(yaw)
        best = max(best, held_peak(ahead * (elevation[1:] > RAISED_ARM), clip.fps, 0.1))
    return best


def hand_height(clip: MotionClip) -> float:
    """How near to the floor the lower hand gets, metres."""
    positions = clip.joint_positions()
    return min(held_low(_joint(positions, f"{side}_wrist")[:, 1], clip.fps) for side in SIDES)


def _limb_speed(positions: Array, joint: str, fps: float) -> float:
    inside = _joint(positions, joint) - _joint(positions, "pelvis")
    if len(inside) < 2:
        return 0.0
    return held_peak(np.linalg.norm(np.diff(inside, axis=0), axis=-1) * fps, fps, 0.1)


# -- legs -------------------------------------------------------------------------------------------------------


def leg_lift(clip: MotionClip) -> dict[str, tuple[float, float]]:
    """For each side the highest held lift of the leg: elevation of the hip-to-ankle line or the thigh, and ankle height.

    Returns:
        side -> (elevation, height). Elevation: 1 - cosine of the larger angle out of the vertical, of the thigh or
        of the whole leg: 0 hangs straight down, 1 is level. Height of the ankle over the floor it stands on, m.
    """
    positions = clip.joint_positions()
    result = {}
    for side in SIDES:
        hip, knee, ankle = (_joint(positions, f"{side}_{part}") for part in ("hip", "knee", "ankle"))
        thigh = 1 + normalize(knee - hip)[:, 1]
        leg = 1 + normalize(ankle - hip)[:, 1]
        height = ankle[:, 1] - ANKLE_HEIGHT
        # Both must hold at one moment: a deep squat has level thighs, a running heel is high behind a hanging thigh.
        both = np.minimum(np.maximum(thigh, leg) / RAISED_THIGH, height / RAISED_ANKLE)
        window = min(len(both), max(1, round(HOLD * clip.fps)))
        held = np.lib.stride_tricks.sliding_window_view(both, window).min(-1)
        at = slice(int(held.argmax()), int(held.argmax()) + window)
        result[side] = (float(np.maximum(thigh, leg)[at].min()), float(height[at].min()))
    return result


def raised_legs(clip: MotionClip) -> frozenset[str]:
    """The sides whose leg is lifted off the floor, to the front or side, knee bent or straight."""
    return frozenset(
        side
        for side, (elevation, height) in leg_lift(clip).items()
        if elevation >= RAISED_THIGH and height >= RAISED_ANKLE
    )


def foot_speed(clip: MotionClip) -> dict[str, float]:
    """For each side the highest speed of the ankle against the pelvis, m/s, kept for 0.1 s."""
    positions = clip.joint_positions()
    return {side: _limb_speed(positions, f"{side}_ankle", clip.fps) for side in SIDES}


def in_flight(clip: MotionClip) -> Array:
    """Frames in which both feet are off the floor, [F] bool."""
    clearance = sole_heights(clip).min(-1)
    # The floor is where the feet of this clip stand, even if that is a centimetre off zero. Feet that are up while
    # the pelvis is down belong to somebody who sits or lies.
    return (clearance - np.percentile(clearance, 10) > OFF_FLOOR) & (pelvis_height(clip) > 0.7)


def longest_flight(clip: MotionClip) -> float:
    """Longest time that both feet are off the floor on end, seconds."""
    longest = run = 0
    for flying in in_flight(clip):
        run = run + 1 if flying else 0
        longest = max(longest, run)
    return longest / clip.fps


def jump_height(clip: MotionClip) -> float:
    """How far the lowest point of both feet gets off the floor, metres."""
    clearance = sole_heights(clip).min(-1)
    return held_peak(clearance - np.percentile(clearance, 10), clip.fps, 0.07)


def foot_spread(clip: MotionClip) -> Array:
    """Distance between the ankles along the ground, [F] metres."""
    positions = clip.joint_positions()
    gap = _joint(positions, "left_ankle") - _joint(positions, "right_ankle")
    return np.linalg.norm(gap[:, [0, 2]], axis=-1)


def seat_depth(clip: MotionClip) -> float:
    """How far the pelvis is behind the ankles where it is lowest, metres: somebody who sits needs a seat there."""
    positions = clip.joint_positions()
    frame = int(pelvis_height(clip).argmin())
    yaw = heading(clip)[frame]
    ankles = (_joint(positions, "left_ankle")[frame] + _joint(positions, "right_ankle")[frame]) / 2
    x, _, z = ankles - _joint(positions, "pelvis")[frame]
    return float(x * np.sin(yaw) + z * np.cos(yaw))


def steps(clip: MotionClip) -> int:
    """How many times a foot passes the other one (or opens and closes beside it) in the clip."""
    positions = clip.joint_positions()
    gap = (_joint(positions, "left_ankle") - _joint(positions, "right_ankle"))[:, [0, 2]]
    yaw = heading(clip)
    ahead = gap[:, 0] * np.sin(yaw) + gap[:, 1] * np.cos(yaw)
    beside = gap[:, 0] * np.cos(yaw) - gap[:, 1] * np.sin(yaw)
    return max(swings(ahead, 0.15), swings(beside, 0.12))


def knee_bend(clip: MotionClip) -> Array:
    """Angle by which each knee is bent, [F, 2] radians (left, right); 0 is a straight leg."""
    positions = clip.joint_positions()
    angles = []
    for side in SIDES:
        hip, knee, ankle = (_joint(positions, f"{side}_{part}") for part in ("hip", "knee", "ankle"))
        cosine = np.sum(normalize(knee - hip) * normalize(ankle - knee), axis=-1)
        angles.append(np.arccos(np.clip(cosine, -1, 1)))
    return np.stack(angles, axis=-1)


# -- quality ----------------------------------------------------------------------------------------------------


def jerk(clip: MotionClip) -> Array:
    """Third difference of the joint positions, [F-3, 22] m/s^3 (length of the vector)."""
    return np.linalg.norm(np.diff(clip.joint_positions(), n=3, axis=0), axis=-1) * clip.fps**3


def windowed_jerk(clip: MotionClip, centre: int) -> float:
    """Mean jerk over all joints in the 1 s around frame ``centre``, m/s^3."""
    values = jerk(clip)
    half = round(clip.fps / 2)
    # Row i of the third difference spans frames i to i + 3, so its middle is frame i + 1.5.
    start = max(0, min(len(values) - 1, centre - half - 1))
    return float(values[start : max(start + 1, centre + half - 2)].mean())


def seam_jerk(clip: MotionClip, boundaries: list[int], real: float) -> float:
    """Mean jerk in the 1 s around prompt boundaries (frame numbers) as a multiple of ``real`` (m/s^3)."""
    return float(np.mean([windowed_jerk(clip, frame) for frame in boundaries]) / real)


def floor_penetration(clip: MotionClip) -> float:
    """Mean depth of the lowest part of the feet under the floor, metres (0 where they are over it)."""
    return float(np.maximum(0, -sole_heights(clip).min(-1)).mean())
