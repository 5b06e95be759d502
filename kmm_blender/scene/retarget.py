"""A MotionClip onto any humanoid rig, and a rig's pose back into a MotionClip, by rotation. No bpy.

    armature-space rotation = object^-1 * C * canonical world rotation * K^-1 * A^-1 * rest

C turns the core's axes into Blender's; A turns them into the axes of the rig's own body at rest; K is the rotation
that brings our T-pose to the rig's rest pose (arms down for an A-pose). So a rest pose of any shape and bones of any
roll show the same person. The path is scaled by the length of the legs: feet that stand, stand.
"""

from __future__ import annotations

from typing import Literal

from kmm_core.clip import MotionClip

from .bone_map import BoneMap
from .pose_keys import PoseKeys
from .rig import Pose, Rig

Root = Literal["bone", "object"]


def retarget(
    clip: MotionClip, rig: Rig, bone_map: BoneMap, *, root: Root = "bone", floor: float = 0.0
) -> PoseKeys:
    """The motion as values of the rig's own channels, at the clip's frame rate.

    The clip's origin is the world's, and its +Z is Blender's -Y: use ``start_at`` to begin where the character stands.

    Args:
        clip: the motion.
        rig: what ``read_rig`` returned.
        bone_map: what ``find_bone_map`` returned.
        root: "bone" has the pelvis bone carry everything and leaves the object alone; "object" has the object carry
            the way over the floor and the heading, and the pelvis bone the rest.
        floor: height in the world that the clip's y = 0 stands at; ``ground_height`` is the character's own.
    """
    raise NotImplementedError


def pose_to_clip(
    pose: Pose, rig: Rig, bone_map: BoneMap, *, fps: float = 30.0, floor: float | None = None
) -> MotionClip:
    """The pose as a clip of the canonical skeleton, where it stands in the world: the inverse of ``retarget``.

    Args:
        pose: what ``read_pose`` returned.
        rig: what ``read_rig`` returned.
        bone_map: what ``find_bone_map`` returned.
        fps: of the clip.
        floor: height in the world that becomes y = 0; by default the character's own, ``ground_height``.
    """
    raise NotImplementedError


def start_at(clip: MotionClip, pose: MotionClip) -> MotionClip:
    """The clip turned and moved over the floor so that it begins where ``pose`` (its first frame) stands and faces."""
    raise NotImplementedError


def ground_height(rig: Rig, bone_map: BoneMap) -> float:
    """Height in the world of the floor under the rig's rest pose: world units."""
    raise NotImplementedError
