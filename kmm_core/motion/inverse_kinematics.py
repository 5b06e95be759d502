"""Joint rotations from joint positions alone, in closed form for all frames at once. Light zone: no torch.

Positions fix the direction of every bone but not its twist about itself. The twist comes from what the body
does: pelvis and chest are rigid groups of joints; a bent knee or elbow shows its hinge axis; a straight one
keeps the twist of the frames around it, fading toward a natural pose of the hip or shoulder. Our own method.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..clip import MotionClip
from ..errors import KmmError
from ..skeleton import JOINT_INDEX, NUM_JOINTS, PARENTS, REST_OFFSETS
from . import kinematics, placement, rotations
from .rotations import Array
from .smpl_rest import SMPL_REST_OFFSETS, rest_pose

# A hinge axis counts fully where the limb is bent by more than the second angle, not at all below the first.
_HINGE_BENDS = (np.radians(15), np.radians(40))
# An axis opposed to the natural one must be seen at this much more bend: straight limbs often look
# overstretched, by up to 16 degrees in UI-PRMD: an error of the joint centres, not a limb turned round.
_OVERSTRETCH = np.radians(20)
# How long a straight limb remembers the twist it had when bent, and how strongly the natural pose pulls.
_TWIST_MEMORY_S = 0.3
_NATURAL_PULL = 0.02
# A raised arm turns outward: by this much, from hanging down to a little over the horizontal (elevation angles).
# Mean over straight and bent arms of CMU, Bandai Namco and HDM05, where rotations were captured.
_RAISED_ARM_TWIST = np.radians(75)
_RAISED_ARM_ELEVATIONS = (np.radians(-80), np.radians(15))
# The twist is smoothed over this time: what a limb shows in the frame in which it becomes bent is noisy.
_TWIST_SMOOTHING_S = 0.02
# A sole is made level fully / not at all: when its ball is this far over the floor, ...
_LEVEL_FOOT_HEIGHTS_M = (0.03, 0.08)
# ... where levelling rolls it by this much, ...
_LEVEL_FOOT_ROLLS = (np.radians(20), np.radians(50))
# ... and where the toes point down by this much (a flat foot's by 27 degrees: ankle to ball).
_LEVEL_FOOT_PITCHES = (np.radians(35), np.radians(65))
# Difference of foot heights at which the lower foot carries e times more of the body than the other.
_SUPPORT_HEIGHT_M = 0.03
# Bone lengths within 2 % of ours, up to scale, mean that the positions come from our own skeleton.
_OWN_PROPORTIONS = 1.02


def clip_from_positions(positions: ArrayLike, fps: float) -> MotionClip:
    """The motion of the canonical skeleton whose limbs point where the given joints point.

    Directions of upper arms, forearms, thighs, shins and feet are exact; bone lengths are the canonical ones.
    The pelvis is placed so that the supporting foot stays where it was, scaled by the ratio of leg lengths,
    and the clip is put on the floor. The source's T-pose is taken to be our own skeleton's where the bone lengths match
    it, and SMPL's otherwise (HumanML3D, UI-PRMD).

    Args:
        positions: world positions of the 22 joints, Y up, [F, 22, 3] m; any person's size.
        fps: frames a second.

    Raises:
        KmmError: ``bad_positions`` where the shape is wrong, a number is not finite, a leg has no length or
            ``fps`` is not positive.
    """
    positions = _checked(positions)
    if not (np.isfinite(fps) and fps > 0):
        raise KmmError(
            "bad_positions", f"fps={fps} is not a positive number.", "Give the frame rate, such as 30."
        )
    lengths = np.median(np.linalg.norm(_bones(positions), axis=-1), axis=0)
    positions = positions * _scale(lengths)
    rest_offsets = _recognised_rest(lengths)
    # Solved as rotations of the source's own T-pose, then given to our skeleton posed like that T-pose.
    world = _torso(positions, rest_offsets)
    for side in ("left_", "right_"):
        _solve_leg(world, positions, side, rest_offsets, fps)
        _solve_arm(world, positions, side, rest_offsets, fps)
    local = kinematics.local_rotations(rotations.multiply(world, rest_pose(rest_offsets)))
    local = rotations.make_continuous(np.where(local[:1, :, :1] < 0, -local, local))
    return placement.put_on_floor(MotionClip(_root_positions(positions, local), local, float(fps)))


def _checked(positions: ArrayLike) -> Array:
    positions = np.asarray(positions, dtype=float)
    if positions.ndim != 3 or positions.shape[1:] != (NUM_JOINTS, 3) or len(positions) == 0:
        raise KmmError(
            "bad_positions",
            f"Joint positions have shape {positions.shape}; expected [F, {NUM_JOINTS}, 3], F at least 1.",
            "Give the 22 SMPL joints in metres, Y up.",
        )
    if not np.isfinite(positions).all():
        frame = int(np.argwhere(~np.isfinite(positions).all(axis=(1, 2)))[0, 0])
        raise KmmError(
            "bad_positions",
            f"Joint positions are not finite (NaN or infinity) from frame {frame} on.",
            "Repair or drop those frames.",
        )
    return positions


def _bones(positions: Array) -> Array:
    """Vector from each joint's parent to the joint; zero for the pelvis. Same shape."""
    return positions - positions[:, [max(parent, 0) for parent in PARENTS]]


def _scale(lengths: Array) -> float:
    """Length of our legs over that of the source's; ``lengths`` of the bones [22]."""
    legs = [_at(name) for name in ("left_knee", "right_knee", "left_ankle", "right_ankle")]
    if not lengths[legs].min() > 0:
        raise KmmError(
            "bad_positions",
            "A thigh or shin in the joint positions has no length.",
            "Check the order of the joints: SMPL's 22.",
        )
    return float(np.linalg.norm(REST_OFFSETS[legs], axis=-1).sum() / lengths[legs].sum())


def _recognised_rest(lengths: Array) -> Array:
    ratios = lengths[1:] / np.linalg.norm(REST_OFFSETS[1:], axis=-1)
    own = ratios.min() > 0 and ratios.max() / ratios.min() < _OWN_PROPORTIONS
    return REST_OFFSETS if own else SMPL_REST_OFFSETS


def _at(joint: str) -> int:
    return JOINT_INDEX[joint]


def _frame(x: Array, y: Array) -> Array:
    """Rotation whose X axis is ``x`` and whose Y axis lies nearest to ``y``. [F, 3] twice -> [F, 4]."""
    x = rotations.normalize(x)
    z = rotations.normalize(np.cross(x, y))
    return rotations.from_matrix(np.stack([x, np.cross(z, x), z], axis=-1))


def _swing(reference: Array, rest: Array, direction: Array) -> Array:
    """``reference`` turned the shortest way so that its ``rest`` vector points in ``direction``."""
    return rotations.multiply(rotations.between(rotations.rotate(reference, rest), direction), reference)


def _smoothstep(values: Array, start: float, stop: float) -> Array:
    t = np.clip((values - start) / (stop - start), 0, 1)
    return t * t * (3 - 2 * t)


def _torso(positions: Array, rest_offsets: Array) -> Array:
    """World rotations [F, 22, 4] with pelvis, spine, neck and head solved and the limbs still unset."""
    bones, rest = _bones(positions), rest_offsets[None]
    pelvis = _relative_frame(_pelvis_axes(bones), _pelvis_axes(rest))
    chest = _relative_frame(_chest_axes(bones), _chest_axes(rest))

    middle = rotations.slerp(pelvis, chest, np.array(0.5))
    lower = rotations.slerp(pelvis, chest, np.array(1 / 3))
    upper = rotations.slerp(pelvis, chest, np.array(2 / 3))
    # The even bend gives spine1 -> spine3 one direction; turn both joints so that it is the given one.
    spine2, spine3 = _at("spine2"), _at("spine3")
    given = bones[:, spine2] + bones[:, spine3]
    rest_chord = rest_offsets[spine2] + rest_offsets[spine3]
    own_chord = REST_OFFSETS[spine2] + REST_OFFSETS[spine3]
    aim = rotations.rotate(_swing(middle, rest_chord, given), own_chord)
    even = rotations.rotate(lower, REST_OFFSETS[spine2]) + rotations.rotate(upper, REST_OFFSETS[spine3])
    correction = rotations.between(even, aim)

    world = np.empty((*positions.shape[:2], 4))
    world[:] = chest[:, None]
    world[:, _at("pelvis")] = pelvis
    world[:, _at("spine1")] = rotations.multiply(correction, lower)
    world[:, _at("spine2")] = rotations.multiply(correction, upper)
    neck = _swing(chest, rest_offsets[_at("head")], bones[:, _at("head")])
    world[:, _at("neck")] = world[:, _at("head")] = neck
    return world


def _relative_frame(axes: tuple[Array, Array], rest_axes: tuple[Array, Array]) -> Array:
    return rotations.multiply(_frame(*axes), rotations.conjugate(_frame(*rest_axes)))


def _pelvis_axes(bones: Array) -> tuple[Array, Array]:
    left, right = bones[:, _at("left_hip")], bones[:, _at("right_hip")]
    return left - right, bones[:, _at("spine1")] - (left + right) / 2


def _chest_axes(bones: Array) -> tuple[Array, Array]:
    return bones[:, _at("left_collar")] - bones[:, _at("right_collar")], bones[:, _at("neck")]


def _solve_leg(world: Array, positions: Array, side: str, rest: Array, fps: float) -> None:
    """Sets hip, knee, ankle and foot of one side in ``world``."""
    hip, knee, ankle, foot = (_at(side + name) for name in ("hip", "knee", "ankle", "foot"))
    ends = ((hip, knee), (knee, ankle), (ankle, foot))
    thigh, shin, sole = (positions[:, end] - positions[:, start] for start, end in ends)
    flexion = np.array([1.0, 0.0, 0.0])
    untwisted = _swing(world[:, _at("pelvis")], rest[knee], thigh)
    # A straight leg's kneecap points between where the pelvis and the toes (less their turn-out at rest) do.
    down = rotations.normalize(shin)
    turn_out = np.arctan2(rest[foot, 0], rest[foot, 2])
    toes = rotations.rotate(rotations.from_axis_angle(down, turn_out), rotations.normalize(sole))
    natural = 0.6 + 0.4 * _twist_toward(np.cross(toes, down), untwisted, thigh, flexion)
    axis = _hinge_axis(thigh, shin, rest[knee], rest[ankle], flexion)
    seen = _twist_toward(axis, untwisted, thigh, flexion)
    world[:, hip] = _twisted(untwisted, thigh, shin, seen, natural, fps)
    world[:, knee] = _hinged(world[:, hip], rest[ankle], shin, flexion)
    tilted = _swing(world[:, knee], rest[foot], sole)
    floor = positions[:, [_at("left_foot"), _at("right_foot")], 1].min()
    world[:, ankle] = world[:, foot] = _with_level_sole(tilted, rest[foot], positions[:, foot, 1] - floor)


def _solve_arm(world: Array, positions: Array, side: str, rest: Array, fps: float) -> None:
    """Sets collar, shoulder, elbow and wrist of one side in ``world``."""
    collar, shoulder, elbow, wrist = (_at(side + name) for name in ("collar", "shoulder", "elbow", "wrist"))
    ends = ((collar, shoulder), (shoulder, elbow), (elbow, wrist))
    clavicle, upper, lower = (positions[:, end] - positions[:, start] for start, end in ends)
    chest = world[:, _at("spine3")]
    world[:, collar] = _swing(chest, rest[shoulder], clavicle)
    # In T-pose, palms down, both elbows flex forward: about -Y on the left, about +Y on the right.
    flexion = np.array([0.0, -np.sign(rest[elbow, 0]), 0.0])
    untwisted = _swing(chest, rest[elbow], upper)
    axis = _hinge_axis(upper, lower, rest[elbow], rest[wrist], flexion)
    seen = _twist_toward(axis, untwisted, upper, flexion)
    up = rotations.rotate(chest, rotations.Y_AXIS)
    elevation = np.arcsin(np.clip(np.sum(rotations.normalize(upper) * up, axis=-1), -1, 1))
    outward = _RAISED_ARM_TWIST * _smoothstep(elevation, *_RAISED_ARM_ELEVATIONS)
    natural = np.exp(1j * np.sign(flexion[1]) * outward)
    world[:, shoulder] = _twisted(untwisted, upper, lower, seen, natural, fps)
    world[:, elbow] = world[:, wrist] = _hinged(world[:, shoulder], rest[wrist], lower, flexion)


def _hinged(upper: Array, rest_lower: Array, lower: Array, flexion: Array) -> Array:
    """Rotation [F, 4] of the lower bone that points it at ``lower`` and keeps the upper bone's hinge axis."""
    axis = rotations.rotate(upper, flexion)
    return _relative_frame((lower, axis), (rest_lower[None], flexion[None]))


def _hinge_axis(upper: Array, lower: Array, rest_upper: Array, rest_lower: Array, flexion: Array) -> Array:
    """The axis about which the two bones are bent, in the world, [F, 3].

    It keeps the angles with both bones that ``flexion``, the axis in the rest pose, has with them there: legs
    that are a little knock-kneed at rest, as SMPL's are, must not seem twisted when bent.
    """
    upper, lower = rotations.normalize(upper), rotations.normalize(lower)
    along_upper = rotations.normalize(rest_upper) @ flexion
    along_lower = rotations.normalize(rest_lower) @ flexion
    cosine = np.sum(upper * lower, axis=-1)
    sine_squared = np.maximum(1 - cosine**2, 1e-6)
    a = (along_upper - along_lower * cosine) / sine_squared
    b = (along_lower - along_upper * cosine) / sine_squared
    normal_part = np.sqrt(np.maximum(1 - a * along_upper - b * along_lower, 0))
    normal = rotations.normalize(np.cross(upper, lower))
    return a[:, None] * upper + b[:, None] * lower + normal_part[:, None] * normal


def _twist_toward(axis: Array, untwisted: Array, bone: Array, flexion: Array) -> Array:
    """The twist about ``bone`` that turns the hinge of ``untwisted`` toward ``axis``, [F].

    It is the angle of a complex number; the number's size is how far ``axis`` stands off the bone, up to 1.
    """
    bone = rotations.normalize(bone)
    across = rotations.normalize(np.cross(bone, rotations.rotate(untwisted, flexion)))
    return np.sum(axis * np.cross(across, bone), axis=-1) + 1j * np.sum(axis * across, axis=-1)


def _twisted(untwisted: Array, upper: Array, lower: Array, seen: Array, natural: Array, fps: float) -> Array:
    """``untwisted`` with the twist about the upper bone that the bend, its memory and the natural pose give.

    Args:
        untwisted: world rotation of the upper bone turned the shortest way, [F, 4].
        upper, lower: the two bones, [F, 3].
        seen: twist that the bend shows, as the angle of a complex number, [F].
        natural: twist of a straight limb, likewise, [F].
        fps: frames a second.
    """
    seen = seen / np.maximum(np.abs(seen), 1e-9)
    natural = natural / np.abs(natural)
    sine = np.linalg.norm(np.cross(rotations.normalize(upper), rotations.normalize(lower)), axis=-1)
    opposed = (1 - np.real(seen * np.conj(natural))) / 2
    weight = _smoothstep(np.arcsin(np.minimum(sine, 1)) - _OVERSTRETCH * opposed, *_HINGE_BENDS)
    seen = weight * seen

    remembered = _spread(seen, _TWIST_MEMORY_S * fps) + _NATURAL_PULL * natural
    remembered = remembered / np.maximum(np.abs(remembered), 1e-9)
    twist = seen + (1 - weight) * remembered
    twist = np.angle(_spread(twist / np.maximum(np.abs(twist), 1e-9), _TWIST_SMOOTHING_S * fps))
    return rotations.multiply(rotations.from_axis_angle(rotations.normalize(upper), twist), untwisted)


def _spread(values: Array, frames: float) -> Array:
    """``values`` [F] averaged over time with weights that fall off by e every ``frames`` to both sides."""
    reach = min(len(values) - 1, int(10 * frames))
    weights = np.exp(-np.abs(np.arange(-reach, reach + 1)) / frames)
    return np.convolve(values, weights / weights.sum())[reach : reach + len(values)]


def _with_level_sole(ankle: Array, rest_sole: Array, height: Array) -> Array:
    """Rolls a foot on the floor about its own length until the sole is level.

    Args:
        ankle: world rotation, [F, 4].
        rest_sole: from ankle to ball in the rest pose, where the sole is level, [3].
        height: of the ball over its lowest, [F] m.
    """
    toe = rotations.rotate(ankle, rotations.normalize(rest_sole))
    side = rotations.rotate(ankle, rotations.normalize(np.cross(rotations.Y_AXIS, rest_sole)))
    level = np.cross(rotations.Y_AXIS, toe)
    roll = np.arctan2(np.sum(np.cross(side, level) * toe, axis=-1), np.sum(side * level, axis=-1))
    near = 1 - _smoothstep(height, *_LEVEL_FOOT_HEIGHTS_M)
    small = 1 - _smoothstep(np.abs(roll), *_LEVEL_FOOT_ROLLS)
    flat = 1 - _smoothstep(np.arcsin(np.clip(np.abs(toe[:, 1]), 0, 1)), *_LEVEL_FOOT_PITCHES)
    return rotations.multiply(rotations.from_axis_angle(toe, roll * near * small * flat), ankle)


def _root_positions(positions: Array, local: Array) -> Array:
    """Pelvis [F, 3] m that keeps the supporting foot where ``positions``, already in our size, have it."""
    feet = [_at("left_foot"), _at("right_foot")]
    given = positions[:, feet]
    own = kinematics.joint_positions(np.zeros((len(positions), 3)), local)[:, feet]
    support = np.exp((given[..., 1].min(axis=1, keepdims=True) - given[..., 1]) / _SUPPORT_HEIGHT_M)
    support /= support.sum(axis=1, keepdims=True)
    return np.sum(support[..., None] * (given - own), axis=1)
