"""Foreign skeletons onto the canonical one, by rotation. Light zone: no torch.

For every canonical joint there is one constant rotation K (the correction) with

    canonical world rotation = axes * source world rotation * K,

where ``axes`` turns the file's world into ours (Y up). K holds the difference of the rest poses. It is found
from the file: from the pose of zero rotations where that is a person; else from a T-pose in the first frame;
else, bone by bone, from the offsets in each joint's own frame and the axis about which elbows and knees bend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..clip import MotionClip
from ..errors import KmmError
from ..formats.skeletal import SourceMotion
from ..skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS, REST_OFFSETS
from . import kinematics, placement, rotations
from .bone_names import find_bone_map
from .rotations import Array

SIDES = ("left", "right")
_LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
# Mean speed of the eight fastest joints, radians a second: more than any body reaches, and calm again.
_IMPOSSIBLE_SPEED, _CALM_SPEED = np.deg2rad(1000.0), np.deg2rad(300.0)
_LONGEST_LEAD = 16
# Both ends of a foot that rests on the floor move slower than this, leg lengths a second.
_STILL = 0.15
# Seconds of stillness that tell how a foot stands; pitch that is flat, and too much for a fitting error.
_ENOUGH_STILL, _FLAT, _MAX_PITCH = 0.5, np.deg2rad(2.0), np.deg2rad(16.0)
# Heels are lifted at times but never pressed into the floor, so the lower ones count. Percentile of the pitch.
_HEELS_DOWN = 75
# Sine of a bend that shows its axis clearly; twist beyond which the axis is not believed.
_CLEAR_BEND, _MAX_TWIST = 0.05, np.deg2rad(60.0)


@dataclass(frozen=True)
class _Skeleton:
    """The joints that matter. ``bones`` maps our names to joints; spine and neck are chains, lowest first."""

    source: SourceMotion
    bones: dict[str, int]
    spine: tuple[int, ...]
    neck: tuple[int, ...]

    @property
    def chest(self) -> int:
        return self.spine[-1]

    def leg_length(self, positions: Array) -> float:
        """Thigh and shin, mean of both sides, in file units, from positions [..., J, 3]."""
        total = np.zeros(positions.shape[:-2])
        for side in SIDES:
            hip, knee, ankle = (
                positions[..., self.bones[f"{side}_{part}"], :] for part in ("hip", "knee", "ankle")
            )
            total += np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
        return float(np.median(total) / 2)


@dataclass(frozen=True)
class _Corrections:
    """``axes``: file world to ours, one quaternion. ``by_joint``: K for each source joint in use."""

    axes: Array
    by_joint: dict[int, Array]


def to_canonical(source: SourceMotion, *, place: bool = True) -> MotionClip:
    """The motion on the canonical skeleton, in metres, Y up, at the source's own frame rate.

    A leading rest pose (``_leading_rest_frames``) is dropped.

    Args:
        source: what a reader returned.
        place: put the clip on the floor, its first frame facing +Z at x = z = 0.

    Raises:
        KmmError: ``unknown_skeleton`` where needed bones are not found or do not form a body.
    """
    skeleton = _find_skeleton(source)
    lead = _leading_rest_frames(source, skeleton)
    world, positions = source.slice(lead, source.num_frames).forward_kinematics()
    corrections = _find_corrections(skeleton, lead, world, positions)

    ours = np.tile(rotations.IDENTITY, (len(world), len(JOINT_NAMES), 1))

    def corrected(joint: int) -> Array:
        turn = rotations.multiply(world[:, joint], corrections.by_joint[joint])
        return rotations.multiply(corrections.axes, turn)

    bones = skeleton.bones
    pelvis = corrected(bones["pelvis"])
    ours[:, 0] = pelvis
    torso = [corrected(joint) for joint in skeleton.spine]
    heights = _chain_heights(skeleton, (bones["pelvis"], *skeleton.spine), bones["neck"])
    for name, (low, high) in _CANONICAL_SPINE.items():
        ours[:, JOINT_INDEX[name]] = _mean_over_span([pelvis, *torso], heights, low, high)
    ours[:, JOINT_INDEX["spine3"]] = torso[-1]
    neck = [corrected(joint) for joint in skeleton.neck]
    head = corrected(bones["head"])
    if neck:
        heights = _chain_heights(skeleton, skeleton.neck, bones["head"])
        ours[:, JOINT_INDEX["neck"]] = _mean_over_span(neck, heights, 0.0, 1.0)
    else:
        ours[:, JOINT_INDEX["neck"]] = rotations.slerp(torso[-1], head, 0.5)
    ours[:, JOINT_INDEX["head"]] = head
    for side in SIDES:
        for part in ("collar", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "foot"):
            name = f"{side}_{part}"
            if name in bones:
                ours[:, JOINT_INDEX[name]] = corrected(bones[name])
            elif part == "collar":  # a joint that is missing in the file does not move against its parent
                ours[:, JOINT_INDEX[name]] = torso[-1]
            else:
                ours[:, JOINT_INDEX[name]] = ours[:, JOINT_INDEX[f"{side}_ankle"]]

    # Both skeletons share the hip joints' middle; where the pelvis joint sits inside the body differs.
    middle = (positions[:, bones["left_hip"]] + positions[:, bones["right_hip"]]) / 2
    scale = _canonical_leg_length() / skeleton.leg_length(positions)
    down = (REST_OFFSETS[JOINT_INDEX["left_hip"]] + REST_OFFSETS[JOINT_INDEX["right_hip"]]) / 2
    root = rotations.rotate(corrections.axes, middle) * scale - rotations.rotate(pelvis, down)
    local = rotations.make_continuous(rotations.normalize(kinematics.local_rotations(ours)))
    clip = MotionClip(root, local, source.fps)
    return placement.face_forward(placement.put_on_floor(clip)) if place else clip


def as_it_is(source: SourceMotion) -> MotionClip | None:
    """The motion unchanged if the skeleton is the canonical one, in any unit; None for any other skeleton.

    A file that KMM wrote is read back exactly, up to the file's digits; ``to_canonical`` would move and correct it.
    """
    names = source.joint_names
    if sorted(names) != sorted(JOINT_NAMES):
        return None
    order = [names.index(name) for name in JOINT_NAMES]
    parents = [order.index(source.parents[joint]) if source.parents[joint] >= 0 else -1 for joint in order]
    offsets = source.offsets[order[1:]]
    scale = float(np.linalg.norm(offsets, axis=-1).sum() / np.linalg.norm(REST_OFFSETS[1:], axis=-1).sum())
    ours = scale > 0 and np.allclose(offsets / scale, REST_OFFSETS[1:], atol=1e-4)
    stiff = np.allclose(source.local_translations[:, order[1:]], offsets, atol=1e-4 * scale)
    if parents != list(PARENTS) or not (ours and stiff):
        return None
    return MotionClip(
        source.local_translations[:, order[0]] / scale, source.local_rotations[:, order], source.fps
    )


def _leading_rest_frames(source: SourceMotion, skeleton: _Skeleton) -> int:
    """How many frames at the start are a rest pose, and the jump from it, that exporters put before the motion.

    Such a first frame is a person standing upright, and the body leaves it faster than anybody moves.
    """
    first = source.slice(0, _LONGEST_LEAD + 1)
    steps = rotations.angle_between(first.local_rotations[1:], first.local_rotations[:-1]) * source.fps
    if source.num_frames <= len(first.local_rotations):
        return 0
    speed = np.sort(steps, axis=1)[:, -8:].mean(axis=1)
    if speed[0] < _IMPOSSIBLE_SPEED or not _is_person(skeleton, first.slice(0, 1).forward_kinematics()[1][0]):
        return 0
    settled = speed < max(_CALM_SPEED, speed[0] / 10)
    return int(np.argmax(settled)) if settled.any() else 0


def _canonical_spans() -> dict[str, tuple[float, float]]:
    """Where the bones of spine1 and spine2 begin and end, on the way from pelvis (0) to neck (1)."""
    names = ("spine1", "spine2", "spine3", "neck")
    heights = np.cumsum([REST_OFFSETS[JOINT_INDEX[name], 1] for name in names])
    starts = [float(height / heights[-1]) for height in heights]
    return {names[i]: (starts[i], starts[i + 1]) for i in range(2)}


_CANONICAL_SPINE = _canonical_spans()


def _canonical_leg_length() -> float:
    return float(sum(np.linalg.norm(REST_OFFSETS[JOINT_INDEX[name]]) for name in ("left_knee", "left_ankle")))


def _canonical_direction(name: str) -> Array:
    """Direction in which the bone of a limb joint points in our rest pose."""
    child = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist", "ankle": "foot"}
    side, part = name.split("_")
    return rotations.normalize(REST_OFFSETS[JOINT_INDEX[f"{side}_{child[part]}"]])


def _find_skeleton(source: SourceMotion) -> _Skeleton:
    names = source.joint_names
    bones = find_bone_map(names, source.name)
    ways = {name: _way_to_root(source.parents, joint) for name, joint in bones.items()}
    pelvis = _common(ways["left_hip"], ways["right_hip"])
    turns = source.local_rotations[:, pelvis]
    if source.parents[pelvis] >= 0 and rotations.angle_between(turns, turns[0]).max() < 1e-3:
        # The joint never moves against its parent, which then is the pelvis (Character Creator).
        pelvis = source.parents[pelvis]
    arms = [f"{side}_collar" if f"{side}_collar" in bones else f"{side}_shoulder" for side in SIDES]
    chest = _common(*(ways[arm] for arm in arms))
    # In some rigs spine and pelvis hang side by side from a common root.
    spine = [joint for joint in reversed(ways["head"]) if joint not in ways["left_hip"] and joint != pelvis]
    if chest not in spine:
        raise KmmError(
            "unknown_skeleton",
            f"{source.name or 'The skeleton'} has no joint between hips and arms that can serve as a spine.",
            "Check that its joints are connected as a person's are.",
        )
    zero_pose = source.zero_pose()
    for side in SIDES:
        for part, child in _LIMBS:
            a, b = bones[f"{side}_{part}"], bones[f"{side}_{child}"]
            if np.linalg.norm(zero_pose[a] - zero_pose[b]) < 1e-6 * (1 + np.abs(zero_pose).max()):
                raise KmmError(
                    "unknown_skeleton",
                    f"{source.name or 'The skeleton'} has {names[a]!r} and {names[b]!r} at the same place; "
                    "expected a bone with a length between them.",
                    "Export the skeleton with its offsets.",
                )
    above = spine[spine.index(chest) + 1 : -1]
    spine = spine[: spine.index(chest) + 1]
    bones = {**bones, "pelvis": pelvis, "neck": above[0] if above else bones["head"]}
    return _Skeleton(source, bones, tuple(spine), tuple(above))


def _way_to_root(parents, joint: int) -> list[int]:
    way = []
    while joint >= 0:
        way.append(joint)
        joint = parents[joint]
    return way


def _common(way_a: list[int], way_b: list[int]) -> int:
    """The lowest joint that both ways to the root pass, other than the starts."""
    return next((joint for joint in way_a[1:] if joint in way_b[1:]), way_a[-1])


def _chain_heights(skeleton: _Skeleton, chain: tuple[int, ...], end: int) -> Array:
    """Where along the chain each joint begins, by bone length, from 0 to the end's 1. [joints + 1]."""
    positions = skeleton.source.zero_pose()
    points = positions[[*chain, end]]
    total = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return total / total[-1] if total[-1] > 0 else np.linspace(0, 1, len(points))


def _mean_over_span(world: list[Array], heights: Array, low: float, high: float) -> Array:
    """Mean rotation of a chain from one height to another; joint i turns what lies above heights[i]."""
    weights = np.clip(np.minimum(heights[1:], high) - np.maximum(heights[:-1], low), 0, None)
    reference = world[int(np.argmax(weights))]
    total = np.zeros_like(reference)
    for weight, q in zip(weights, world):
        sign = np.where(np.sum(q * reference, axis=-1, keepdims=True) < 0, -1.0, 1.0)
        total += weight * sign * q
    return rotations.normalize(total)


def _find_corrections(skeleton: _Skeleton, lead: int, world: Array, positions: Array) -> _Corrections:
    source = skeleton.source
    zero = np.tile(rotations.IDENTITY, (len(source.joint_names), 1))
    if _is_person(skeleton, source.zero_pose()):
        found = _from_pose(skeleton, zero, source.zero_pose())
    elif lead:
        first_world, first_positions = source.slice(0, 1).forward_kinematics()
        found = _from_pose(skeleton, first_world[0], first_positions[0])
    else:
        return _from_offsets(skeleton, world, positions)
    _refine_from_motion(skeleton, found, world, positions)
    return found


def _body_vectors(skeleton: _Skeleton, positions: Array) -> tuple[Array, Array]:
    """Unit vectors up (ankles to neck) and left (hips and shoulders) of a pose or of each frame, [..., 3]."""
    at = {name: positions[..., joint, :] for name, joint in skeleton.bones.items()}
    up = rotations.normalize(at["neck"] - (at["left_ankle"] + at["right_ankle"]) / 2)
    left = rotations.normalize(at["left_hip"] - at["right_hip"])
    left = left + rotations.normalize(at["left_shoulder"] - at["right_shoulder"])
    return up, rotations.normalize(left)


def _is_person(skeleton: _Skeleton, positions: Array) -> bool:
    """Whether a pose stands upright: legs down, spine up, both hands on their own sides, hips level."""
    up, left = _body_vectors(skeleton, positions)
    at = {name: positions[joint] for name, joint in skeleton.bones.items()}
    middle = (at["left_hip"] + at["right_hip"]) / 2
    spine = rotations.normalize(at["neck"] - middle)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        hip, knee, ankle = (at[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
        thigh, shin = rotations.normalize(knee - hip), rotations.normalize(ankle - knee)
        arm = at[f"{side}_wrist"] - at[f"{side}_shoulder"]
        # cos 45 degrees for the legs, cos 25 for straight knees; a hand may hang down but not cross over.
        if thigh @ spine > -0.7 or thigh @ shin < 0.9 or sign * (arm @ left) < -0.1 * np.linalg.norm(arm):
            return False
        if sign * ((at[f"{side}_hip"] - middle) @ left) <= 0:
            return False
    return bool(abs(up @ left) < 0.3 and up @ spine > 0.9)


def _nearest_axis(vector: Array) -> Array:
    """The coordinate axis, with its sign, that lies nearest to a vector."""
    axis = int(np.argmax(np.abs(vector)))
    return np.sign(vector[axis]) * np.eye(3)[axis]


def _onto_axis(vector: Array) -> Array:
    """The nearest coordinate axis where it lies within 15 degrees, else the vector."""
    axis = _nearest_axis(vector)
    return axis if axis @ rotations.normalize(vector) > 0.966 else vector


def _from_pose(skeleton: _Skeleton, world: Array, positions: Array) -> _Corrections:
    """Corrections from a rest pose of a person: world rotations [J, 4] and positions [J, 3]."""
    up, left = _body_vectors(skeleton, positions)
    up = _nearest_axis(up)
    left = _nearest_axis(left - (left @ up) * up)
    axes = rotations.from_matrix(np.stack([left, up, np.cross(left, up)]))
    positions = rotations.rotate(axes, positions)
    world = rotations.multiply(axes, world)
    bones = skeleton.bones

    poses: dict[str, Array] = {"pelvis": rotations.IDENTITY, "head": rotations.IDENTITY}
    for side in SIDES:
        for part, child in _LIMBS:
            bone = positions[bones[f"{side}_{child}"]] - positions[bones[f"{side}_{part}"]]
            poses[f"{side}_{part}"] = rotations.between(_canonical_direction(f"{side}_{part}"), bone)
        poses[f"{side}_collar"] = rotations.IDENTITY
        poses[f"{side}_wrist"] = poses[f"{side}_elbow"]
        foot = _rest_foot(skeleton, world, positions, side, poses[f"{side}_knee"])
        poses[f"{side}_ankle"] = poses[f"{side}_foot"] = foot
    by_joint = {joint: rotations.conjugate(world[joint]) for joint in (*skeleton.spine, *skeleton.neck)}
    for name, pose in poses.items():
        if name in bones:
            joint = bones[name]
            by_joint[joint] = rotations.multiply(rotations.conjugate(world[joint]), pose)
    return _Corrections(axes, by_joint)


def _refine_from_motion(skeleton: _Skeleton, found: _Corrections, world: Array, positions: Array) -> None:
    """Corrects what a rest pose does not show: the twist of the arms about their bones, and the height of the heels.

    Elbows bend about one axis, which in our rest pose is vertical; rest poses of the same look differ in it
    by 30 degrees. And feet stand flat, though not every skeleton was fitted so that its rest pose shows it.
    """
    bones, by_joint = skeleton.bones, found.by_joint
    for side in SIDES:
        shoulder, elbow, wrist = (bones[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
        axes = _bend_axes(world, positions, shoulder, elbow, wrist)
        amount = np.linalg.norm(axes, axis=-1)
        axes = axes[amount > _CLEAR_BEND]
        bone = _canonical_direction(f"{side}_shoulder")
        if len(axes) and np.linalg.norm(axes.sum(axis=0)) > 0.9 * amount[amount > _CLEAR_BEND].sum():
            hinge = -bone[0] * rotations.Y_AXIS
            seen = rotations.rotate(rotations.conjugate(by_joint[shoulder]), axes.sum(axis=0))
            angle = np.arctan2(np.cross(hinge, seen) @ bone, hinge @ seen)
            if abs(angle) < _MAX_TWIST:
                twist = rotations.from_axis_angle(bone, angle)
                for joint in (shoulder, elbow):
                    by_joint[joint] = rotations.multiply(by_joint[joint], twist)

    pitches = []
    for side in SIDES:
        ankle, toes = bones[f"{side}_ankle"], bones.get(f"{side}_foot")
        if toes is not None:
            still = _foot_speed(skeleton, positions, ankle, toes) < _STILL
            foot = rotations.multiply(found.axes, rotations.multiply(world[still, ankle], by_joint[ankle]))
            pitches.append(np.arcsin(rotations.rotate(foot, np.array([0.0, 0.0, 1.0]))[:, 1]))
    if sum(map(len, pitches)) <= _ENOUGH_STILL * skeleton.source.fps:
        return
    # One correction for both feet: one foot alone may be on tiptoe throughout.
    pitch = np.percentile(np.concatenate(pitches), _HEELS_DOWN)
    if _FLAT < abs(pitch) < _MAX_PITCH:
        tilt = rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), pitch)
        for side in SIDES:
            ankle = bones[f"{side}_ankle"]
            by_joint[ankle] = rotations.multiply(by_joint[ankle], tilt)


def _bend_axes(world: Array, positions: Array, a: int, b: int, c: int) -> Array:
    """The axis about which joint b between a and c bends, in a's frame, as long as its sine. [F, 3]."""
    upper = rotations.normalize(positions[:, b] - positions[:, a])
    lower = rotations.normalize(positions[:, c] - positions[:, b])
    return rotations.rotate(rotations.conjugate(world[:, a]), np.cross(upper, lower))


def _foot_speed(skeleton: _Skeleton, positions: Array, ankle: int, toes: int) -> Array:
    """Speed of the faster end of a foot in leg lengths a second, [F]."""
    if len(positions) < 2:
        return np.zeros(len(positions))
    velocity = np.gradient(positions[:, [ankle, toes]], axis=0) * skeleton.source.fps
    return np.linalg.norm(velocity, axis=-1).max(axis=1) / skeleton.leg_length(positions)


def _rest_foot(skeleton: _Skeleton, world: Array, positions: Array, side: str, shin: Array) -> Array:
    """Our foot's rotation in the source's rest pose, given in our axes: flat, turned outward as far as theirs is.

    Where the foot leans sideways with a spread leg (Acclaim skeletons), it leans along.
    """
    ankle, toes = skeleton.bones[f"{side}_ankle"], skeleton.bones.get(f"{side}_foot")
    tip = _bone_tip(skeleton, f"{side}_ankle")
    if toes is not None:
        foot = positions[toes] - positions[ankle]
    elif tip is not None:
        foot = rotations.rotate(world[ankle], tip)
    else:
        return rotations.IDENTITY
    sideways = np.arctan2(2 * shin[3] * shin[0], 1 - 2 * (shin[2] ** 2 + shin[3] ** 2))
    lean = rotations.from_axis_angle(np.array([0.0, 0.0, 1.0]), sideways)
    straightened = rotations.rotate(rotations.conjugate(lean), foot)
    yaw, straight_yaw = (np.arctan2(v[0], v[2]) for v in (foot, straightened))
    if abs(straight_yaw) < abs(yaw) and abs(sideways) > np.deg2rad(8):
        return rotations.multiply(lean, rotations.from_yaw(straight_yaw))
    return rotations.from_yaw(yaw)


def _bone_tip(skeleton: _Skeleton, name: str) -> Array | None:
    """From a limb joint to the next, in the joint's own frame at zero rotations; None where unknown."""
    source, bones = skeleton.source, skeleton.bones
    side, part = name.split("_")
    following = {"ankle": "foot", "collar": "shoulder", **dict(_LIMBS)}
    child = bones.get(f"{side}_{following.get(part, '')}")
    joint = bones[name]
    if child is not None:
        tip, way = np.zeros(3), child
        while way != joint and way >= 0:
            tip = tip + source.offsets[way]
            way = source.parents[way]
    else:
        tip = source.end_offsets[joint]
    return tip if np.isfinite(tip).all() and np.linalg.norm(tip) > 1e-6 else None


def _from_offsets(skeleton: _Skeleton, world: Array, positions: Array) -> _Corrections:
    """Corrections where the file shows no rest pose: bones from their own frames, hinges from the motion."""
    source, bones = skeleton.source, skeleton.bones
    up, _ = _body_vectors(skeleton, positions)
    axes = rotations.between(_nearest_axis(up.mean(axis=0)), rotations.Y_AXIS)
    by_joint: dict[int, Array] = {}

    def torso(joint: int, upper: int, left: int, right: int) -> Array:
        # Makers of rigs put the trunk's joints along the axes; the next joint may lie a little off.
        spread = _onto_axis(_seen_from(source, joint, left) - _seen_from(source, joint, right))
        upward = _onto_axis(_seen_from(source, joint, upper))
        return _frame_to_frame(upward, spread, rotations.Y_AXIS, np.array([1.0, 0, 0]))

    arms = [bones.get(f"{side}_collar", bones[f"{side}_shoulder"]) for side in SIDES]
    by_joint[bones["pelvis"]] = torso(
        bones["pelvis"], skeleton.spine[0], bones["left_hip"], bones["right_hip"]
    )
    by_joint[skeleton.chest] = torso(skeleton.chest, bones["neck"], *arms)
    pelvis, chest = (rotations.multiply(world[:, j], by_joint[j]) for j in (bones["pelvis"], skeleton.chest))
    heights = _chain_heights(skeleton, (bones["pelvis"], *skeleton.spine), bones["neck"])
    for index, joint in enumerate(skeleton.spine[:-1], start=1):
        between = rotations.slerp(pelvis, chest, np.full(len(world), heights[index] / heights[-2]))
        by_joint[joint] = _mean_rotation(rotations.multiply(rotations.conjugate(world[:, joint]), between))
    # Bones that lie in one line with their parent at zero rotation share its frame.
    for joint in (*skeleton.neck, bones["head"]):
        by_joint[joint] = by_joint[skeleton.chest]
    standing_foot = _standing_foot(skeleton, positions, axes)
    for side in SIDES:
        outward = _canonical_direction(f"{side}_shoulder")
        for upper, lower, end, hinge in (
            ("shoulder", "elbow", "wrist", -outward[0] * rotations.Y_AXIS),
            ("hip", "knee", "ankle", np.array([1.0, 0.0, 0.0])),
        ):
            a, b, c = (bones[f"{side}_{part}"] for part in (upper, lower, end))
            axis = rotations.normalize(_bend_axes(world, positions, a, b, c).sum(axis=0))
            for part, joint in ((upper, a), (lower, b)):
                tip = _bone_tip(skeleton, f"{side}_{part}")
                assert tip is not None, "a limb's bone has both ends"
                by_joint[joint] = _frame_to_frame(tip, axis, _canonical_direction(f"{side}_{part}"), hinge)
            by_joint[c] = by_joint[b]
            if end == "ankle":
                tip, toes = _bone_tip(skeleton, f"{side}_ankle"), bones.get(f"{side}_foot", c)
                by_joint[toes] = by_joint[b]
                if tip is not None:
                    by_joint[toes] = _frame_to_frame(tip, axis, np.array([0.0, 0.0, 1.0]), hinge)
                    by_joint[c] = _frame_to_frame(tip, axis, standing_foot, hinge)
        collar = bones.get(f"{side}_collar")
        if collar is not None:
            follows = _mean_rotation(rotations.multiply(rotations.conjugate(world[:, collar]), chest))
            # Our collars rise to the shoulders; most rigs' lie level at rest, and rest is what has to agree.
            ours = rotations.rotate(follows, outward)
            tip = _bone_tip(skeleton, f"{side}_collar")
            # A collar without length, its shoulder in the same place, has no direction of its own.
            swing = rotations.IDENTITY if tip is None else rotations.between(ours, tip)
            by_joint[collar] = rotations.multiply(swing, follows)
    return _Corrections(axes, by_joint)


def _standing_foot(skeleton: _Skeleton, positions: Array, axes: Array) -> Array:
    """Direction from ankle to toes of a foot that stands flat, in our axes for a foot that points along +Z.

    Both feet are looked at together, for one may be on tiptoe throughout.
    """
    pitches = []
    for side in SIDES:
        ankle, toes = skeleton.bones[f"{side}_ankle"], skeleton.bones.get(f"{side}_foot")
        if toes is None:
            continue
        bone = rotations.rotate(axes, rotations.normalize(positions[:, toes] - positions[:, ankle]))
        speed = _foot_speed(skeleton, positions, ankle, toes)
        # A runner's feet hardly rest: then the slowest frames.
        still = speed <= max(_STILL, np.percentile(speed, 5))
        pitches.append(np.arcsin(bone[still, 1]))
    if not pitches:
        return _canonical_direction("left_ankle")
    pitch = np.percentile(np.concatenate(pitches), _HEELS_DOWN)
    return np.array([0.0, np.sin(pitch), np.cos(pitch)])


def _seen_from(source: SourceMotion, joint: int, other: int) -> Array:
    """Where ``other`` lies in the frame of ``joint`` at zero rotations."""
    positions = source.zero_pose()
    return positions[other] - positions[joint]


def _frame_to_frame(bone: Array, second: Array, our_bone: Array, our_second: Array) -> Array:
    """The rotation that takes our bone and second axis onto theirs; the bones coincide exactly."""

    def frame(first, other):
        first = rotations.normalize(first)
        other = rotations.normalize(other - (other @ first) * first)
        return np.stack([first, other, np.cross(first, other)], axis=-1)

    return rotations.from_matrix(frame(bone, second) @ frame(our_bone, our_second).T)


def _mean_rotation(q: Array) -> Array:
    """The mean of rotations [F, 4]: the main axis of their outer products."""
    return np.linalg.eigh(q.T @ q)[1][:, -1]
