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
from .smpl_rest import SMPL_REST_OFFSETS, rest_pose_local

# A hinge axis counts fully where the limb is bent by more than the second angle, not at all below the first.
_HINGE_BENDS = (np.radians(10), np.radians(30))
# An axis opposed to the natural one must be seen at this much more bend: straight limbs often look
# overstretched, by up to 16 degrees in UI-PRMD: an error of the joint centres, not a limb turned round.
_OVERSTRETCH = np.radians(20)
# How long a straight limb remembers the twist it had when bent, and how strongly the natural pose pulls.
_TWIST_MEMORY_S = 0.3
_NATURAL_PULL = 0.02
# A sole is made level fully / not at all: when its ball is this far over its lowest height, ...
_LEVEL_FOOT_HEIGHTS_M = (0.03, 0.08)
# ... where levelling rolls it by this much, ...
_LEVEL_FOOT_ROLLS = (np.radians(20), np.radians(50))
# ... and where the toes point down by this much (a flat foot's by 27 degrees: ankle to ball).
_LEVEL_FOOT_PITCHES = (np.radians(35), np.radians(65))
# Difference of foot heights at which the lower foot carries e times more of the body than the other.
_SUPPORT_HEIGHT_M = 0.03
# Bone lengths within 2 % of ours, up to scale, mean that the positions come from our own skeleton.
_OWN_PROPORTIONS = 1.02


def clip_from_positions(positions: ArrayLike, fps: float, *, rest_offsets: Array | None = None) -> MotionClip:
    """The motion of the canonical skeleton whose limbs point where the given joints point.

    Directions of upper arms, forearms, thighs, shins and feet are exact; bone lengths are the canonical ones.
    The pelvis is placed so that the supporting foot stays where it was, scaled by the ratio of leg lengths,
    and the clip is put on the floor.

    Args:
        positions: world positions of the 22 joints, Y up, [F, 22, 3] m; any person's size.
        fps: frames a second.
        rest_offsets: the source's own T-pose, offset of each joint from its parent, [22, 3]. By default our
            own skeleton's where the bone lengths match it, and SMPL's otherwise (HumanML3D, UI-PRMD).

    Raises:
        KmmError: ``bad_positions`` where the shape is wrong, a number is not finite, or a leg has no length.
    """
    positions = _checked(positions)
    lengths = np.median(np.linalg.norm(_bones(positions), axis=-1), axis=0)
    positions = positions * _scale(lengths)
    if rest_offsets is None:
        rest_offsets = _recognised_rest(lengths)
    world = _torso(positions, rest_offsets)
    for side in ("left_", "right_"):
        _solve_leg(world, positions, side, rest_offsets, fps)
        _solve_arm(world, positions, side, rest_offsets, fps)
    local = kinematics.local_rotations(world)
    local = rotations.make_continuous(np.where(local[:1, :, :1] < 0, -local, local))
    return placement.put_on_floor(MotionClip(_root_positions(positions, local), local, float(fps)))


def _checked(positions: ArrayLike) -> Array:
    positions = np.asarray(positions, dtype=float)
    if positions.ndim != 3 or positions.shape[1:] != (NUM_JOINTS, 3) or len(positions) == 0:
        raise KmmError(
            "bad_positions",
            f"Joint positions have shape {positions.shape}; expected [F, {NUM_JOINTS}, 3] with F of at least 1.",
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


def _between_joints(positions: Array, start: int, end: int) -> Array:
    return positions[:, end] - positions[:, start]


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


def _solve_leg(world: Array, positions: Array, side: str, rest_offsets: Array, fps: float) -> None:
    """Sets hip, knee, ankle and foot of one side in ``world``."""
    hip, knee, ankle, foot = (_at(side + name) for name in ("hip", "knee", "ankle", "foot"))
    thigh, shin, sole = (
        _between_joints(positions, *ends) for ends in ((hip, knee), (knee, ankle), (ankle, foot))
    )
    rest = rest_pose_local(rest_offsets)
    hinge = np.array([1.0, 0.0, 0.0])
    swing = _swing(rotations.multiply(world[:, _at("pelvis")], rest[hip]), REST_OFFSETS[knee], thigh)
    # A straight leg's kneecap points between where the pelvis and the toes (less their turn-out at rest) do.
    down = rotations.normalize(shin)
    turn_out = np.arctan2(rest_offsets[foot, 0], rest_offsets[foot, 2])
    toes = rotations.rotate(rotations.from_axis_angle(down, turn_out), rotations.normalize(sole))
    natural = 0.6 + 0.4 * _phase(swing, REST_OFFSETS[knee], hinge, np.cross(toes, down))
    world[:, hip] = _twisted(swing, REST_OFFSETS[knee], hinge, thigh, shin, natural, fps)
    world[:, knee] = _swing(rotations.multiply(world[:, hip], rest[knee]), REST_OFFSETS[ankle], shin)
    tilted = _swing(rotations.multiply(world[:, knee], rest[ankle]), REST_OFFSETS[foot], sole)
    world[:, ankle] = world[:, foot] = _with_level_sole(tilted, positions[:, foot, 1])


def _solve_arm(world: Array, positions: Array, side: str, rest_offsets: Array, fps: float) -> None:
    """Sets collar, shoulder, elbow and wrist of one side in ``world``."""
    collar, shoulder, elbow, wrist = (_at(side + name) for name in ("collar", "shoulder", "elbow", "wrist"))
    clavicle, upper, lower = (
        _between_joints(positions, *ends) for ends in ((collar, shoulder), (shoulder, elbow), (elbow, wrist))
    )
    rest = rest_pose_local(rest_offsets)
    chest = world[:, _at("spine3")]
    world[:, collar] = _swing(chest, rest_offsets[shoulder], clavicle)
    # In T-pose, palms down, both elbows flex forward: about -Y on the left, about +Y on the right.
    hinge = np.array([0.0, -np.sign(REST_OFFSETS[elbow, 0]), 0.0])
    swing = _swing(rotations.multiply(chest, rest[shoulder]), REST_OFFSETS[elbow], upper)
    world[:, shoulder] = _twisted(swing, REST_OFFSETS[elbow], hinge, upper, lower, np.ones(len(upper)), fps)
    world[:, elbow] = _swing(rotations.multiply(world[:, shoulder], rest[elbow]), REST_OFFSETS[wrist], lower)
    world[:, wrist] = world[:, elbow]


def _phase(swing: Array, rest: Array, hinge: Array, axis: Array) -> Array:
    """``axis`` seen along the bone: a complex number whose angle is the twist that aims the hinge at it. [F]."""
    across = np.cross(rotations.normalize(rest), hinge)
    return np.sum(axis * rotations.rotate(swing, hinge), axis=-1) + 1j * np.sum(
        axis * rotations.rotate(swing, across), axis=-1
    )


def _twisted(
    swing: Array, rest: Array, hinge: Array, upper: Array, lower: Array, natural: Array, fps: float
) -> Array:
    """``swing`` with the twist about the upper bone that the bend, its memory and the natural pose give.

    Args:
        swing: world rotation of the upper bone without twist, [F, 4].
        rest: the upper bone in the rest pose, [3].
        hinge: axis in the rest pose about which the joint below flexes, [3].
        upper, lower: the two bones, [F, 3].
        natural: twist of a straight limb as a complex number, [F].
        fps: frames a second.
    """
    axis = np.cross(rotations.normalize(upper), rotations.normalize(lower))
    seen = _phase(swing, rest, hinge, axis)
    sine = np.abs(seen)
    seen = seen / np.where(sine > 0, sine, 1)
    natural = natural / np.abs(natural)
    opposed = (1 - np.real(seen * np.conj(natural))) / 2
    weight = _smoothstep(np.arcsin(np.minimum(sine, 1)) - _OVERSTRETCH * opposed, *_HINGE_BENDS)
    seen = weight * seen

    reach = min(len(upper) - 1, int(10 * fps * _TWIST_MEMORY_S))
    memory = fps * _TWIST_MEMORY_S
    kernel = np.exp(-np.abs(np.arange(-reach, reach + 1)) / memory) / (2 * memory)
    remembered = np.convolve(seen, kernel)[reach : reach + len(upper)] + _NATURAL_PULL * natural
    remembered = remembered / np.maximum(np.abs(remembered), 1e-9)
    twist = np.angle(seen + (1 - weight) * remembered)
    return rotations.multiply(rotations.from_axis_angle(rotations.normalize(upper), twist), swing)


def _with_level_sole(ankle: Array, ball_height: Array) -> Array:
    """Rolls a foot on the floor about its own length until the sole is level. [F, 4] and [F] m -> [F, 4]."""
    toe = rotations.rotate(ankle, rotations.normalize(REST_OFFSETS[_at("left_foot")]))
    side = rotations.rotate(ankle, np.array([1.0, 0.0, 0.0]))
    level = np.cross(rotations.Y_AXIS, toe)
    roll = np.arctan2(np.sum(np.cross(side, level) * toe, axis=-1), np.sum(side * level, axis=-1))
    height = ball_height - ball_height.min()
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
