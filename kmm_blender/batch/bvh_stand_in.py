"""What is exported as BVH in the armature's place: Blender writes its bones without its object, and only roots that move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import bpy
import numpy as np
from mathutils import Matrix, Quaternion

from kmm_core.motion import rotations
from kmm_core.motion.rotations import Array

from ..scene.action_writer import assign, write_action
from ..scene.pose_keys import PoseKeys
from ..scene.rig import Pose, Rig, read_pose, read_rig, rotation_of
from ..ui.properties import metre, true_fps

# A bone that is pushed by less than this does not leave its parent. Metres.
_MOVED = 1e-4


@contextmanager
def bvh_stand_in(
    scene: bpy.types.Scene, armature: bpy.types.Object, frames: tuple[int, int]
) -> Iterator[bool]:
    """An armature at the origin as the active object, whose bones are in the frames where the world sees the other's.

    Its rest pose is upright and as large as the other's in the world, in metres whatever unit the scene has;
    constraints, parents and drivers are played out.

    Args:
        scene: the context's.
        armature: visible in it.
        frames: first and last.

    Yields:
        Whether only roots move and all other bones just turn.

    Raises:
        KmmError: as ``read_rig``.
    """
    now, layer = (scene.frame_current, scene.frame_subframe), bpy.context.view_layer
    rig = read_rig(armature)
    bones = armature.data.copy()
    figure = bpy.data.objects.new(armature.name, bones)
    try:
        pose = _in_world(_play(scene, armature, rig, frames))
        pose = replace(pose, heads=pose.heads / metre(scene))
        upright = _upright(pose.worlds[0])
        bones.animation_data_clear()
        bones.pose_position = "POSE"
        size = Matrix.Scale(rig.scale / metre(scene), 4)
        bones.transform(Quaternion(upright).to_matrix().to_4x4() @ size)
        for bone in bones.bones:
            bone.use_inherit_rotation = bone.use_local_location = True
            bone.inherit_scale = "FULL"
        scene.collection.objects.link(figure)
        layer.objects.active = figure
        layer.update()
        for bone in figure.pose.bones:
            bone.rotation_mode = armature.pose.bones[bone.name].rotation_mode
        keys = _keys(pose, read_rig(figure), true_fps(scene))
        assign(figure, write_action(armature.name, figure, keys, frames[0]))
        yield not any(figure.data.bones[name].parent for name in keys.locations)
    finally:
        action = figure.animation_data.action if figure.animation_data else None
        bpy.data.objects.remove(figure)
        bpy.data.armatures.remove(bones)
        if action is not None:
            bpy.data.actions.remove(action)
        scene.frame_set(now[0], subframe=now[1])


def _play(
    scene: bpy.types.Scene, armature: bpy.types.Object, rig: Rig, frames: tuple[int, int]
) -> list[Pose]:
    """The armature's pose in each frame."""
    poses = []
    for frame in range(frames[0], frames[1] + 1):
        scene.frame_set(frame)
        poses.append(read_pose(armature, rig, bpy.context.evaluated_depsgraph_get()))
    return poses


def _in_world(poses: list[Pose]) -> Pose:
    """Poses of one frame each as one, with its bones in the world."""
    joined = Pose(
        *(
            np.concatenate([getattr(pose, name) for pose in poses])
            for name in ("rotations", "heads", "worlds")
        )
    )
    turn, place = joined.worlds[:, :3, :3], joined.worlds[:, None, :3, 3]
    return replace(
        joined,
        rotations=rotations.multiply(rotation_of(joined.worlds)[:, None], joined.rotations),
        heads=np.einsum("fij,fbj->fbi", turn, joined.heads) + place,
    )


def _upright(world: Array) -> Array:
    """How an object is turned, [4], without its heading: what makes the bones of a Y-up rig stand."""
    turn = rotation_of(world)
    heading = turn * [1.0, 0.0, 0.0, 1.0]
    if np.linalg.norm(heading) < 1e-6:  # head down
        return turn
    return rotations.multiply(rotations.conjugate(rotations.normalize(heading)), turn)


def _keys(pose: Pose, rig: Rig, fps: float) -> PoseKeys:
    """Channels that bring the bones of ``rig`` to a pose in the world, where all bones follow their parents in full."""
    basis, locations = [], {}
    for bone, (name, parent) in enumerate(zip(rig.bone_names, rig.parents, strict=True)):
        # Where the parent takes the bone.
        carried, head = rig.rest_rotations[bone][None], rig.heads[bone][None]
        if parent >= 0:
            turn = rotations.multiply(
                pose.rotations[:, parent], rotations.conjugate(rig.rest_rotations[parent])
            )
            carried = rotations.multiply(turn, carried)
            head = pose.heads[:, parent] + rotations.rotate(turn, head - rig.heads[parent])
        back = rotations.conjugate(carried)
        basis.append(rotations.multiply(back, pose.rotations[:, bone]))
        shift = pose.heads[:, bone] - head
        if parent < 0 or (rig.moves[bone] and np.linalg.norm(shift, axis=-1).max() > _MOVED):
            locations[name] = rotations.rotate(back, shift)
    turns = rotations.make_continuous(rotations.normalize(np.stack(basis, axis=1)))
    return PoseKeys(rig.bone_names, turns, fps, locations)
