"""Rig: what retargeting needs to know of an armature object, as arrays; and the pose it is in. Imports no bpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kmm_core.errors import KmmError
from kmm_core.motion import rotations
from kmm_core.motion.rotations import Array

from .rotation_channels import property_name

if TYPE_CHECKING:
    import bpy

# The longest side of an object's scale may exceed the shortest by this part.
UNEVEN_SCALE = 1e-3


@dataclass(frozen=True, eq=False)
class Rig:
    """An armature object in its rest pose. B bones, every parent before its children; armature space unless said otherwise.

    Attributes:
        name: the object's.
        bone_names: [B] names.
        parents: [B] index of each bone's parent, -1 for a root.
        rest_rotations: [B, 4] wxyz.
        heads: [B, 3] armature units.
        inherits_rotation: [B] whether the bone turns with its parent.
        moves: [B] whether location channels have an effect (the bone is not connected to its parent).
        local_location: [B] whether location channels are in the bone's own axes, else in its parent's.
        deforms: [B] whether the bone moves the mesh.
        constrained: [B] whether a constraint on the bone, or a driver of its rotation, has a say.
        copies: [B] index of the bone that a constraint makes it a copy of, -1 for none.
        shows_rest: whether the armature is switched to its rest position, so that no pose shows.
        settings: custom properties that are numbers: (bone name, property) to value.
        world: the object's matrix in the world, [4, 4].
        scale: world units an armature unit.
        parent_world: what the object's own channels are relative to (its parent, as a rule), [4, 4].
        delta_location: the object's delta transform, [3].
        delta_rotation: the same, [4] wxyz.
    """

    name: str
    bone_names: tuple[str, ...]
    parents: tuple[int, ...]
    rest_rotations: Array
    heads: Array
    inherits_rotation: NDArray[np.bool_]
    moves: NDArray[np.bool_]
    local_location: NDArray[np.bool_]
    deforms: NDArray[np.bool_]
    constrained: NDArray[np.bool_]
    copies: tuple[int, ...]
    shows_rest: bool
    settings: dict[tuple[str, str], float]
    world: Array
    scale: float
    parent_world: Array
    delta_location: Array
    delta_rotation: Array

    def index(self, bone: str) -> int:
        """Index of a bone by its name."""
        return self.bone_names.index(bone)

    def way_to_root(self, bone: int) -> list[int]:
        """The bone, its parent, and so on up to a root."""
        way = []
        while bone >= 0:
            way.append(bone)
            bone = self.parents[bone]
        return way


@dataclass(frozen=True, eq=False)
class Pose:
    """A rig's pose in F frames as Blender shows it, constraints and drivers included.

    Attributes:
        rotations: bones in armature space, [F, B, 4] wxyz in the order of ``Rig.bone_names``.
        heads: [F, B, 3] armature units.
        worlds: the object's matrix in the world, [F, 4, 4].
    """

    rotations: Array
    heads: Array
    worlds: Array


def read_rig(armature: bpy.types.Object | None) -> Rig:
    """The rig of an armature object, where its object stands now (as of Blender's last update).

    Raises:
        KmmError: ``no_armature`` where nothing is chosen, ``missing_library``, ``not_an_armature``, ``linked_armature`` where it can't be
            animated, ``edit_mode``, ``no_bones``, ``never_shown``, ``bad_scale`` where the object is mirrored, flat or stretched.
    """
    if armature is None:
        raise KmmError(
            "no_armature",
            "No character is chosen.",
            "Choose an armature in the KMM tab, or add a KMM Character.",
        )
    _check_usable(armature)
    bones = sorted(armature.data.bones, key=lambda bone: len(bone.parent_recursive))
    index = {bone.name: i for i, bone in enumerate(bones)}
    rest = np.array([bone.matrix_local for bone in bones], dtype=float)
    world = np.array(armature.matrix_world, dtype=float)
    basis = np.array(armature.matrix_basis, dtype=float)
    scale = _even_scale(armature.name, world)
    pose_bones = [armature.pose.bones[bone.name] for bone in bones]
    data = armature.animation_data
    drivers = {curve.data_path for curve in data.drivers if not curve.mute} if data else set()
    turned = rotations.multiply(rotation_of(basis), rotations.conjugate(_rotation_channels(armature)))
    return Rig(
        name=armature.name,
        bone_names=tuple(index),
        parents=tuple(index[bone.parent.name] if bone.parent else -1 for bone in bones),
        rest_rotations=rotation_of(rest),
        heads=rest[:, :3, 3],
        inherits_rotation=np.array([bone.use_inherit_rotation for bone in bones]),
        moves=np.array([not (bone.use_connect and bone.parent) for bone in bones]),
        local_location=np.array([bone.use_local_location for bone in bones]),
        deforms=np.array([bone.use_deform for bone in bones]),
        constrained=np.array(
            [
                bool(_active_constraints(bone))
                or bone.path_from_id(property_name(bone.rotation_mode)) in drivers
                for bone in pose_bones
            ]
        ),
        copies=tuple(_copied(armature, bone, index) for bone in pose_bones),
        shows_rest=armature.data.pose_position == "REST",
        settings={
            (bone.name, key): float(value)
            for bone in pose_bones
            for key, value in bone.items()
            if isinstance(value, (int, float))
        },
        world=world,
        scale=scale,
        parent_world=world @ np.linalg.inv(basis),
        delta_location=np.array(armature.delta_location, dtype=float),
        delta_rotation=turned,
    )


def read_pose(armature: bpy.types.Object, rig: Rig, depsgraph: bpy.types.Depsgraph) -> Pose:
    """The pose that Blender shows now, one frame; ``depsgraph`` is ``context.evaluated_depsgraph_get()``.

    Raises:
        KmmError: ``changed_armature`` where bones were renamed or removed after ``rig`` was read.
    """
    evaluated = armature.evaluated_get(depsgraph)
    bones = evaluated.pose.bones
    missing = [name for name in rig.bone_names if name not in bones]
    if missing:
        raise KmmError(
            "changed_armature",
            f"'{rig.name}' has no bone '{missing[0]}' any more; it had one when the motion was requested.",
            "Undo the change of the armature, or generate again.",
        )
    matrices = np.array([bones[name].matrix for name in rig.bone_names], dtype=float)
    return Pose(
        rotations=rotation_of(matrices)[None],
        heads=matrices[None, :, :3, 3],
        worlds=np.array(evaluated.matrix_world, dtype=float)[None],
    )


def rotation_of(matrices: Array) -> Array:
    """The rotation of matrices with scale [..., 4, 4], as quaternions [..., 4] wxyz."""
    turn = matrices[..., :3, :3]
    return rotations.from_matrix(turn / np.linalg.norm(turn, axis=-2, keepdims=True))


def _active_constraints(bone: bpy.types.PoseBone) -> list[bpy.types.Constraint]:
    return [constraint for constraint in bone.constraints if constraint.influence > 0 and not constraint.mute]


def _copied(armature: bpy.types.Object, bone: bpy.types.PoseBone, index: dict[str, int]) -> int:
    for constraint in _active_constraints(bone):
        if (
            constraint.type == "COPY_TRANSFORMS"
            and constraint.influence == 1
            and constraint.target == armature
        ):
            return index.get(constraint.subtarget, -1)
    return -1


def in_edit_mode(armature: bpy.types.Object) -> bool:
    """Whether its bones are being edited, be it by another object that shares them."""
    return getattr(armature.data, "is_editmode", False)


def _check_usable(armature: bpy.types.Object) -> None:
    name = armature.name
    for linked in filter(None, (armature, armature.data)):
        if linked.is_missing:
            raise KmmError(
                "missing_library",
                f"'{name}' is linked from {linked.library.filepath}, which was not found when this "
                "file was opened.",
                "Put that file back, or relocate the library in the Outliner (Blender File), and "
                "open this one again.",
            )
    if armature.type != "ARMATURE":
        raise KmmError(
            "not_an_armature",
            f"'{name}' is an object of type {armature.type}; expected ARMATURE.",
            "Choose the armature that moves the character.",
        )
    if armature.library is not None:
        raise KmmError(
            "linked_armature",
            f"'{name}' is linked from {armature.library.filepath} and can't be animated here.",
            "Make a library override of it: Object > Library Override > Make.",
        )
    override = armature.override_library
    if override is not None and override.is_system_override:
        raise KmmError(
            "linked_armature",
            f"'{name}' is a library override that is not editable, so it can't be animated.",
            "Right-click it in the Outliner: Library Override > Make > Selected.",
        )
    if in_edit_mode(armature):
        raise KmmError(
            "edit_mode", f"'{name}' is in Edit Mode; its bones may still change.", "Leave Edit Mode (Tab)."
        )
    if not armature.data.bones:
        raise KmmError("no_bones", f"'{name}' has no bones.", "Choose the armature that moves the character.")
    if armature.pose is None:
        raise KmmError(
            "never_shown",
            f"'{name}' has not been shown since it was made, so it has no pose yet.",
            "Put it into a collection that is switched on, once.",
        )


def _even_scale(name: str, world: Array) -> float:
    sides = np.linalg.norm(world[:3, :3], axis=0)
    shown = ", ".join(f"{side:.3g}" for side in sides)
    if sides.min() <= 1e-9 or sides.max() > sides.min() * (1 + UNEVEN_SCALE):
        raise KmmError(
            "bad_scale",
            f"'{name}' is scaled by {shown}; expected the same scale above 0 along all axes.",
            "Apply its scale (Ctrl+A), or set one number for all axes.",
        )
    if np.linalg.det(world[:3, :3]) < 0:
        raise KmmError(
            "bad_scale",
            f"'{name}' is mirrored by a negative scale.",
            "Apply its scale (Ctrl+A), or make it positive.",
        )
    return float(sides.mean())


def _rotation_channels(thing: bpy.types.Object) -> Array:
    """What the object's rotation channels say, without its deltas. [4] wxyz."""
    if thing.rotation_mode == "QUATERNION":
        return rotations.normalize(np.array(thing.rotation_quaternion, dtype=float))
    if thing.rotation_mode == "AXIS_ANGLE":
        angle, *axis = thing.rotation_axis_angle
        return rotations.from_axis_angle(rotations.normalize(np.array(axis)), angle)
    return np.array(thing.rotation_euler.to_quaternion(), dtype=float)
