"""A MotionClip onto any humanoid rig, and a rig's pose back into a MotionClip, by rotation. No bpy.

    armature-space rotation = object^-1 * C * canonical world rotation * K^-1 * A^-1 * rest

C turns the core's axes into Blender's; A turns them into the axes of the rig's own body at rest; K is the rotation
that brings our T-pose to the rig's rest pose (arms down for an A-pose). So a rest pose of any shape and bones of any
roll show the same person. The path is scaled by the length of the legs, and the hips go where thighs and shins of the
rig's own proportions need them: feet that stand do not float.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import kinematics, rotations
from kmm_core.motion.representation_272 import headings
from kmm_core.motion.rotations import Array
from kmm_core.skeleton import JOINT_INDEX, JOINT_NAMES, REST_OFFSETS, REST_PELVIS_HEIGHT

from .axes import vectors_to_blender, vectors_to_core
from .bone_map import BoneMap
from .pose_keys import PoseKeys
from .rig import UNEVEN_SCALE, Pose, Rig, rotation_of

Root = Literal["bone", "object"]

_SIDES = ("left", "right")
_SPINE = ("spine1", "spine2", "spine3")
_KNEE, _ANKLE = (REST_OFFSETS[JOINT_INDEX[name]] for name in ("left_knee", "left_ankle"))
# From our pelvis to the middle between our hip joints; our leg; the height of our ankles when standing. Metres.
_TO_HIPS = (REST_OFFSETS[JOINT_INDEX["left_hip"]] + REST_OFFSETS[JOINT_INDEX["right_hip"]]) / 2
_LEG = -float(_KNEE[1] + _ANKLE[1])
_ANKLE_HEIGHT = REST_PELVIS_HEIGHT + float(_TO_HIPS[1]) - _LEG
_TOE_HEIGHT = _ANKLE_HEIGHT + float(REST_OFFSETS[JOINT_INDEX["left_foot"]][1])
# The core's +Y and +Z turned into Blender's: a quarter turn about X.
_TO_BLENDER = rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), np.pi / 2)
# A body axis this near to a coordinate axis is meant to be that axis.
_NEARLY = np.cos(np.deg2rad(15))
# Trunk and legs lean by less than 60 degrees at rest.
_UPRIGHT = 0.5
# A pose may have its legs longer or shorter than at rest by this part.
_STRETCHED = 0.1
# A foot so much higher than the other one, in metres, matters e times less for where the hips are. With less, the hips of
# a runner jerk where the feet pass each other in the air; with more, standing feet slide.
_LIFTED = 0.05
# A pose whose lowest joint is farther than this from where it is when standing, in metres of our skeleton, stands elsewhere.
_ELSEWHERE = 0.15
# An armature's origin is its floor where the ankles are not farther from it, in leg lengths.
_AT_ORIGIN = 0.25
# Frames that are retargeted at once: about 15 ms.
_SLICE_FRAMES = 1000


def retarget_steps(
    clip: MotionClip, rig: Rig, bone_map: BoneMap, *, root: Root = "bone", floor: float = 0.0
) -> Iterator[PoseKeys | None]:
    """The motion as values of the rig's own channels, at the clip's frame rate; the clip's origin is the world's.

    In slices, for a timer that may not hold Blender up: yields None after each; the last is the keys.

    Args:
        clip: the motion.
        rig: what ``read_rig`` returned.
        bone_map: what ``find_bone_map`` returned.
        root: "bone" has the pelvis bone carry everything and leaves the object alone; "object" has the object carry
            the way over the floor and the heading, and the pelvis bone the rest.
        floor: height in the world that the clip's y = 0 stands at; ``ground_height`` is the character's own.

    Raises:
        KmmError: ``unknown_rig`` where the rest pose is not that of a person; what ``check_object_root`` raises.
    """
    if root == "object":
        check_object_root(rig)
    body = _read_body(rig, bone_map)
    heading = headings(clip.local_rotations[:, 0]) if root == "object" else None
    slices = []
    for start in range(0, clip.num_frames, _SLICE_FRAMES):
        stop = min(start + _SLICE_FRAMES, clip.num_frames)
        faced = None if heading is None else heading[start:stop]
        slices.append(_retarget(clip.slice(start, stop), rig, bone_map, body, faced, floor))
        yield None
    if len(slices) == 1:
        yield slices[0]
    else:
        yield from _joined_steps(slices)


def pose_to_clip(
    pose: Pose, rig: Rig, bone_map: BoneMap, *, fps: float = 30.0, floor: float | None = None
) -> MotionClip:
    """The pose as a clip of the canonical skeleton, where it stands in the world: the inverse of ``retarget_steps``.

    Args:
        pose: what ``read_pose`` returned.
        rig: what ``read_rig`` returned.
        bone_map: what ``find_bone_map`` returned.
        fps: of the clip.
        floor: height in the world that becomes y = 0; by default the character's own, ``ground_height``.

    Raises:
        KmmError: ``unknown_rig`` where the rest pose is not that of a person; ``scaled_pose`` where bones are scaled.
    """
    bone_map = bone_map.shown or bone_map
    body = _read_body(rig, bone_map)
    size = _leg_length(pose.heads[0], rig, bone_map) / _leg_length(rig.heads, rig, bone_map)
    if abs(size - 1) > _STRETCHED:
        raise KmmError(
            "scaled_pose",
            f"The legs of '{rig.name}' are {size:.2f} times as long in its pose as at rest: a bone is "
            "scaled or stretched.",
            "Clear the bone's scale (Alt+S) and scale the object instead, or start from the world's origin.",
        )
    back = rotations.multiply(rotations.conjugate(_TO_BLENDER), rotation_of(pose.worlds))

    def turned(name: str) -> Array:
        """The bone against its rest pose, in the core's axes, [F, 4]."""
        bone = rig.index(name)
        delta = rotations.multiply(pose.rotations[:, bone], rotations.conjugate(rig.rest_rotations[bone]))
        return rotations.multiply(rotations.multiply(back, delta), body.axes)

    canonical = _canonical_rotations({name: turned(name) for name in bone_map.driven}, body, bone_map)
    thighs = [rig.index(bone_map.joints[f"{side}_hip"]) for side in _SIDES]
    hips = pose.heads[:, thighs].mean(axis=1)
    hips = np.einsum("fij,fj->fi", pose.worlds[:, :3, :3], hips) + pose.worlds[:, :3, 3]
    unit = body.scale * rig.scale
    lift = (ground_height(rig, bone_map) if floor is None else floor) + rig.scale * body.ankles
    hips = vectors_to_core(hips - np.array([0.0, 0.0, lift])) / unit + np.array([0.0, _ANKLE_HEIGHT, 0.0])
    hips = hips - _to_feet(canonical, body)
    root = hips - rotations.rotate(canonical[:, 0], _TO_HIPS)
    local = rotations.make_continuous(rotations.normalize(kinematics.local_rotations(canonical)))
    return MotionClip(root, local, fps)


def check_rest_pose(rig: Rig, bone_map: BoneMap) -> None:
    """Says before any motion is made that ``retarget_steps`` can't use the rig.

    Raises:
        KmmError: ``unknown_rig`` where the rest pose is not that of a person.
    """
    _read_body(rig, bone_map)


def check_object_root(rig: Rig) -> None:
    """Says before any motion is made that the object can't carry the way (root "object").

    Raises:
        KmmError: ``bad_scale`` where what is above the object would stretch or mirror it in another way as it turns.
    """
    turn = rig.parent_world[:3, :3]
    sides = np.linalg.norm(turn, axis=0)
    if sides.max() > sides.min() * (1 + UNEVEN_SCALE) or np.linalg.det(turn) < 0:
        raise KmmError(
            "bad_scale",
            f"The parent of '{rig.name}' is stretched or mirrored, so the object cannot be rotated "
            "without distorting it.",
            "Set Root Motion to Pelvis Bone, or apply the parent's scale (Ctrl+A).",
        )


def ground_height(rig: Rig, bone_map: BoneMap) -> float:
    """Height in the world of the floor under the rig's rest pose: world units."""
    return float((rig.world[:3, :3] @ _read_body(rig, bone_map).ground + rig.world[:3, 3])[2])


def floor_under(pose: Pose, rig: Rig, bone_map: BoneMap) -> float:
    """Height in the world of the floor under a pose: ``ground_height``, unless its lowest joint is well above or below that.

    Who was keyed onto a platform, or generated for another height than the object's, goes on there.

    Raises:
        KmmError: as ``pose_to_clip``.
    """
    floor = ground_height(rig, bone_map)
    heights = pose_to_clip(pose, rig, bone_map, floor=floor).joint_positions()[0, :, 1]
    lift = float(heights.min()) - _TOE_HEIGHT
    return floor + lift * _read_body(rig, bone_map).scale * rig.scale if abs(lift) > _ELSEWHERE else floor


def _leg_length(heads: Array, rig: Rig, bone_map: BoneMap) -> float:
    """From hip over knee to ankle, both legs together, with the bones' ``heads`` [B, 3]."""
    ways = (
        (f"{side}_{a}", f"{side}_{b}") for side in _SIDES for a, b in (("hip", "knee"), ("knee", "ankle"))
    )
    at = {ours: heads[rig.index(bone)] for ours, bone in bone_map.joints.items()}
    return float(sum(np.linalg.norm(at[end] - at[start]) for start, end in ways))


@dataclass(frozen=True, eq=False)
class _Body:
    """A rig's rest pose as that of a person; armature space and units.

    Attributes:
        axes: A, the core's axes (left, up, forward) into the body's, [4].
        rest_pose: K of each of our joints, in the core's axes, [4] each.
        scale: armature units a canonical metre, by the length of the legs.
        hips: middle between the thighs' heads, [3].
        ground: the point on the floor under it, [3].
        ankles: height of the ankles over the floor.
        bones: the limbs' bones by our joints at their heads: to the next joint, in the core's axes, [3] each.
        heights: where along the way from pelvis (0) to neck (1) the spine's bones begin, and 1. [spine + 2].
    """

    axes: Array
    rest_pose: dict[str, Array]
    scale: float
    hips: Array
    ground: Array
    ankles: float
    bones: dict[str, Array]
    heights: Array


def _read_body(rig: Rig, bone_map: BoneMap) -> _Body:
    joints = bone_map.joints
    at = {ours: rig.heads[rig.index(bone)] for ours, bone in joints.items()}
    neck = rig.heads[rig.index(bone_map.neck[0])] if bone_map.neck else at["head"]
    axes = _body_axes(rig, at, neck)
    bones = {
        name: rotations.rotate(rotations.conjugate(axes), at[end] - at[name])
        for name, end in _limbs(at).items()
    }
    for name, bone in bones.items():
        if np.linalg.norm(bone) < 1e-6 * np.linalg.norm(neck - at["left_ankle"]):
            raise KmmError(
                "unknown_rig",
                f"'{rig.name}' has {joints[name]} and the next bone at the same place.",
                "Give the bone between them a length in Edit Mode.",
            )
    up = rotations.rotate(axes, np.array([0.0, 1.0, 0.0]))
    leg = (
        sum(float(np.linalg.norm(bones[f"{side}_{part}"])) for side in _SIDES for part in ("hip", "knee")) / 2
    )
    scale = leg / _LEG
    ankles = float((at["left_ankle"] + at["right_ankle"]) @ up / 2)
    # Makers put the origin on the floor; where it is elsewhere, the feet tell where the floor is.
    level = 0.0 if abs(ankles) < _AT_ORIGIN * leg else ankles - _ANKLE_HEIGHT * scale
    hips = (at["left_hip"] + at["right_hip"]) / 2
    trunk = [at["pelvis"], *(rig.heads[rig.index(name)] for name in bone_map.spine), neck]
    lengths = np.cumsum([0.0, *np.linalg.norm(np.diff(trunk, axis=0), axis=1)])
    return _Body(
        axes=axes,
        rest_pose=_rest_pose(bones),
        scale=scale,
        hips=hips,
        ground=hips - (hips @ up - level) * up,
        ankles=ankles - level,
        bones=bones,
        heights=lengths / lengths[-1],
    )


def _limbs(at: Mapping[str, Array]) -> dict[str, str]:
    """Each joint of a limb and the next one, upper before lower; the ankle only where the rig has toes."""
    chains = (("hip", "knee", "ankle", "foot"), ("shoulder", "elbow", "wrist"))
    pairs = (
        (f"{side}_{a}", f"{side}_{b}") for side in _SIDES for chain in chains for a, b in pairwise(chain)
    )
    return {start: end for start, end in pairs if end in at}


def _rest_pose(bones: dict[str, Array]) -> dict[str, Array]:
    """K of each of our joints: turns it from the T-pose to where the limbs' ``bones`` (core's axes) point."""
    result: dict[str, Array] = dict.fromkeys(JOINT_NAMES, rotations.IDENTITY)
    for upper, lower, end in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
        for side in _SIDES:
            first = rotations.between(REST_OFFSETS[JOINT_INDEX[f"{side}_{lower}"]], bones[f"{side}_{upper}"])
            # The lower bone turns on from the upper one, about the joint alone: no twist at rest.
            straight = rotations.rotate(first, REST_OFFSETS[JOINT_INDEX[f"{side}_{end}"]])
            second = rotations.multiply(rotations.between(straight, bones[f"{side}_{lower}"]), first)
            result |= {f"{side}_{upper}": first, f"{side}_{lower}": second, f"{side}_{end}": second}
    for side in _SIDES:
        # However high the heel, a foot at rest stands flat, turned as far outward as it is.
        forward = bones.get(f"{side}_ankle", np.array([0.0, 0.0, 1.0]))
        flat = rotations.from_yaw(np.arctan2(forward[0], forward[2]))
        result |= {f"{side}_ankle": flat, f"{side}_foot": flat}
    return result


def _body_axes(rig: Rig, at: dict[str, Array], neck: Array) -> Array:
    """A: what turns the core's axes into the left, up and forward of the rest pose. [4]"""
    ankles, hips = ((at[f"left_{joint}"] + at[f"right_{joint}"]) / 2 for joint in ("ankle", "hip"))
    up = _onto_axis(neck - ankles)
    if min(rotations.normalize(part) @ up for part in (neck - hips, hips - ankles)) < _UPRIGHT:
        raise KmmError(
            "unknown_rig",
            f"The rest pose of '{rig.name}' is not a standing person: its hips are not between its "
            "neck and its feet.",
            "Pose it in a T-pose, then Pose > Apply > Apply Pose as Rest Pose.",
        )
    left = rotations.normalize(at["left_hip"] - at["right_hip"])
    left = left + rotations.normalize(at["left_shoulder"] - at["right_shoulder"])
    left = _onto_axis(left - (left @ up) * up)
    left = rotations.normalize(left - (left @ up) * up)
    if np.linalg.norm(up) == 0 or np.linalg.norm(left) == 0:
        raise KmmError(
            "unknown_rig",
            f"The rest pose of '{rig.name}' is not a standing person: its left and right sides are at "
            "the same place.",
            "Check in Edit Mode that its legs and arms are apart.",
        )
    return rotations.from_matrix(np.stack([left, up, np.cross(left, up)], axis=-1))


def _onto_axis(vector: Array) -> Array:
    """The direction of a vector, or the coordinate axis that it nearly has."""
    vector = rotations.normalize(vector)
    axis = int(np.argmax(np.abs(vector)))
    return np.sign(vector[axis]) * np.eye(3)[axis] if abs(vector[axis]) > _NEARLY else vector


def _retarget(
    clip: MotionClip, rig: Rig, bone_map: BoneMap, body: _Body, heading: Array | None, floor: float
) -> PoseKeys:
    """``retarget_steps``; the object carries the way and ``heading`` [F] where that is given."""
    canonical = kinematics.global_rotations(clip.local_rotations)
    hips = _hips_in_world(clip, canonical, rig, body, floor)
    if heading is None:
        turn, place = rotation_of(rig.world)[None], rig.world[None, :3, 3]
    else:
        turn = rotations.from_axis_angle(np.array([0.0, 0.0, 1.0]), heading)
        turn = rotations.multiply(turn, rotations.multiply(_TO_BLENDER, rotations.conjugate(body.axes)))
        place = hips * np.array([1.0, 1.0, 0.0]) + np.array([0.0, 0.0, floor])
        place = place - rig.scale * rotations.rotate(turn, body.ground)

    back = rotations.multiply(rotations.conjugate(turn), _TO_BLENDER)
    posed: dict[int, Array] = {}
    for name, rotation in _bone_rotations(canonical, body, bone_map).items():
        bone = rig.index(name)
        delta = rotations.multiply(back, rotations.multiply(rotation, rotations.conjugate(body.axes)))
        posed[bone] = rotations.multiply(delta, rig.rest_rotations[bone])

    hips = rotations.rotate(rotations.conjugate(turn), hips - place) / rig.scale
    pelvis = rig.index(bone_map.joints["pelvis"])
    delta = rotations.multiply(posed[pelvis], rotations.conjugate(rig.rest_rotations[pelvis]))
    lever = body.hips - rig.heads[pelvis]
    return PoseKeys(
        bone_names=tuple(rig.bone_names[bone] for bone in posed) + bone_map.still,
        rotations=_basis_rotations(rig, posed, len(bone_map.still)),
        fps=clip.fps,
        locations=_basis_locations(rig, bone_map, hips - body.hips + lever - rotations.rotate(delta, lever)),
        **({} if heading is None else _object_channels(rig, turn, place)),
    )


def _joined_steps(slices: list[PoseKeys]) -> Iterator[PoseKeys | None]:
    """One motion of several that follow each other, in slices as ``retarget_steps``."""
    frames = sum(len(keys.rotations) for keys in slices)
    turns: dict[str, Array | None] = {"rotations": None, "object_rotations": None}
    for name in turns:
        first = getattr(slices[0], name)
        if first is None:
            continue
        whole, start = np.empty((frames, *first.shape[1:])), 0
        for keys in slices:
            part = getattr(keys, name)
            if start:  # signs go on from the frame before
                part = rotations.make_continuous(np.concatenate([whole[start - 1 : start], part]))[1:]
            whole[start : start + len(part)] = part
            start += len(part)
            yield None
        turns[name] = whole
    places = [keys.object_locations for keys in slices if keys.object_locations is not None]
    yield replace(
        slices[0],
        locations={
            name: np.concatenate([keys.locations[name] for keys in slices]) for name in slices[0].locations
        },
        object_locations=np.concatenate(places) if places else None,
        **turns,
    )


def _hips_in_world(clip: MotionClip, canonical: Array, rig: Rig, body: _Body, floor: float) -> Array:
    """Where the middle between the hips is to be in Blender's world, [F, 3]."""
    hips = clip.root_positions + rotations.rotate(canonical[:, 0], _TO_HIPS)
    # Ankles of a person who stands go to the ankles' height of the rig, whatever its shoes.
    hips = hips + _to_feet(canonical, body) - np.array([0.0, _ANKLE_HEIGHT, 0.0])
    hips = hips * body.scale * rig.scale
    return vectors_to_blender(hips) + np.array([0.0, 0.0, floor + rig.scale * body.ankles])


def _to_feet(canonical: Array, body: _Body) -> Array:
    """From our hips to where the rig's must be for the foot that stands to be where ours is, canonical metres [F, 3].

    Thighs and shins of other proportions than ours bend to another place, though straight legs are as long.
    It follows from ``canonical``, the world rotations [F, 22, 4], alone, so that it can be taken back.
    """
    heights, ways = [], []
    for side in _SIDES:
        ankle = way = np.zeros((len(canonical), 3))
        for upper, lower in (("hip", "knee"), ("knee", "ankle")):
            ours = REST_OFFSETS[JOINT_INDEX[f"{side}_{lower}"]]
            bone = rotations.rotate(canonical[:, JOINT_INDEX[f"{side}_{upper}"]], ours)
            longer = np.linalg.norm(body.bones[f"{side}_{upper}"]) / (np.linalg.norm(ours) * body.scale)
            ankle = ankle + bone
            way = way + bone * (1 - longer)
        heights.append(ankle[:, 1])
        ways.append(way)
    # The lower foot stands; weighted, because from step to step the hips must not jerk.
    weights = np.exp((np.min(heights, axis=0) - heights) / _LIFTED)[..., None]
    return np.sum(weights * ways, axis=0) / weights.sum(axis=0)


def _bone_rotations(canonical: Array, body: _Body, bone_map: BoneMap) -> dict[str, Array]:
    """W K^-1 of every driven bone: its turn against the rest pose, in the core's axes, [F, 4] each."""

    def turned(joint: str) -> Array:
        return rotations.multiply(
            canonical[:, JOINT_INDEX[joint]], rotations.conjugate(body.rest_pose[joint])
        )

    result = {bone: turned(joint) for joint, bone in bone_map.joints.items()}
    trunk = [turned(joint) for joint in ("pelvis", *_SPINE)]
    result |= zip(bone_map.spine, _spread(trunk, _CANONICAL_HEIGHTS, body.heights), strict=True)
    result |= {bone: turned("neck") for bone in bone_map.neck}
    return result


def _canonical_rotations(turned: dict[str, Array], body: _Body, bone_map: BoneMap) -> Array:
    """World rotations of our joints from the bones' turns against their rest pose: [F, 22, 4]."""
    joints = {ours: turned[bone] for ours, bone in bone_map.joints.items()}
    trunk = [joints["pelvis"], *(turned[bone] for bone in bone_map.spine)]
    joints |= zip(_SPINE, _spread(trunk, body.heights, _CANONICAL_HEIGHTS), strict=True)
    chest, neck = trunk[-1], [turned[bone] for bone in bone_map.neck]
    joints["neck"] = _mean(neck, np.ones(len(neck))) if neck else rotations.slerp(chest, joints["head"], 0.5)
    result = np.empty((len(chest), len(JOINT_NAMES), 4))
    for index, ours in enumerate(JOINT_NAMES):
        # A bone that the rig lacks keeps still against its parent.
        lacking = chest if ours.endswith("collar") else joints[ours.replace("foot", "ankle")]
        result[:, index] = rotations.multiply(joints.get(ours, lacking), body.rest_pose[ours])
    return result


def _canonical_heights() -> Array:
    lengths = np.cumsum(
        [0.0] + [float(np.linalg.norm(REST_OFFSETS[JOINT_INDEX[name]])) for name in (*_SPINE, "neck")]
    )
    return lengths / lengths[-1]


# Where along the way from pelvis (0) to neck (1) our spine's joints are, and 1.
_CANONICAL_HEIGHTS = _canonical_heights()


def _spread(trunk: list[Array], heights: Array, wanted: Array) -> list[Array]:
    """The bend of one spine on another with more or fewer joints: rotations above the pelvis, lowest first.

    Args:
        trunk: rotations of pelvis and spine, [F, 4] each; each turns what lies between its height and the next.
        heights: where they begin, and the end, [len(trunk) + 1].
        wanted: the same for the other spine.
    """
    if len(wanted) == len(heights):
        return trunk[1:]
    result = []
    for bone in range(1, len(wanted) - 2):
        low, high = wanted[bone], wanted[bone + 1]
        result.append(
            _mean(trunk, np.clip(np.minimum(heights[1:], high) - np.maximum(heights[:-1], low), 0, None))
        )
    # Arms and head hang from the last.
    return [*result, trunk[-1]] if len(wanted) > 2 else []


def _mean(turns: list[Array], weights: Array) -> Array:
    """Weighted mean of rotations that differ little, [F, 4] each."""
    reference = turns[int(np.argmax(weights))]
    total = np.zeros_like(reference)
    for weight, turn in zip(weights + 1e-9, turns, strict=True):
        total += weight * np.where(np.sum(turn * reference, axis=-1, keepdims=True) < 0, -turn, turn)
    return rotations.normalize(total)


def _basis_rotations(rig: Rig, posed: dict[int, Array], still: int) -> Array:
    """Basis rotations that put bones at ``posed`` [F, 4] (armature space), then ``still`` at rest: [F, B, 4]."""
    places: dict[int, Array] = {}

    def place(bone: int) -> Array:
        if bone not in places:
            copied = rig.copies[bone]
            places[bone] = posed[bone] if bone in posed else place(copied) if copied >= 0 else carried(bone)
        return places[bone]

    def carried(bone: int) -> Array:
        """Where parents take the bone with its own channels at zero."""
        rest, parent = rig.rest_rotations[bone], rig.parents[bone]
        if parent < 0 or not rig.inherits_rotation[bone]:
            return rest
        offset = rotations.multiply(rotations.conjugate(rig.rest_rotations[parent]), rest)
        return rotations.multiply(place(parent), offset)

    basis = [rotations.multiply(rotations.conjugate(carried(bone)), turn) for bone, turn in posed.items()]
    basis += [np.broadcast_to(rotations.IDENTITY, basis[0].shape)] * still
    return rotations.make_continuous(rotations.normalize(np.stack(basis, axis=1)))


def _basis_locations(rig: Rig, bone_map: BoneMap, shift: Array) -> dict[str, Array]:
    """Location channels of the pelvis (or the next bone above it that can move): ``shift`` [F, 3] in armature space."""
    way = rig.way_to_root(rig.index(bone_map.joints["pelvis"]))
    carrier = next(bone for bone in way if rig.moves[bone])
    result = {name: np.zeros_like(shift) for name in bone_map.still if rig.moves[rig.index(name)]}
    # Channels are in the bone's own axes, else in its parent's, which is at rest.
    axes = carrier if rig.local_location[carrier] else rig.parents[carrier]
    if axes >= 0:
        shift = rotations.rotate(rotations.conjugate(rig.rest_rotations[axes]), shift)
    result[rig.bone_names[carrier]] = shift
    return result


def _object_channels(rig: Rig, turn: Array, place: Array) -> dict[str, Array]:
    """The object's own channels that put it at ``place`` [F, 3] turned by ``turn`` [F, 4] in the world."""
    before = np.linalg.inv(rig.parent_world)
    turn = rotations.multiply(rotations.conjugate(rotation_of(rig.parent_world)), turn)
    turn = rotations.multiply(rotations.conjugate(rig.delta_rotation), turn)
    return {
        "object_locations": place @ before[:3, :3].T + before[:3, 3] - rig.delta_location,
        "object_rotations": rotations.make_continuous(rotations.normalize(turn)),
    }
