"""PoseKeys: the result of retargeting and the input of the action writer. No bpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kmm_core.errors import KmmError
from kmm_core.motion.rotations import Array


@dataclass(frozen=True)
class PoseKeys:
    """A motion of one armature as the values of its own channels, one row a frame.

    Basis means what Blender's channels hold: the bone against its rest pose and parent, in the bone's own axes
    (``pose_bone.matrix_basis``), in the armature's units. Object values are the armature object's own channels.

    Attributes:
        bone_names: the B bones that turn.
        rotations: basis rotations, [F, B, 4] wxyz of unit length, whatever the bone's rotation mode.
        locations: basis locations of the bones that also move (usually the pelvis alone), each [F, 3].
        object_locations: the object's location channels, [F, 3], where the root moves the object.
        object_rotations: the object's rotation channels, [F, 4] wxyz, where the root turns the object.
        fps: frames a second the motion was sampled at: the scene's.

    Raises:
        KmmError: ``bad_pose_keys`` where shapes disagree, there is no frame, or a number is not finite.
    """

    bone_names: tuple[str, ...]
    rotations: Array
    fps: float
    locations: Mapping[str, Array] = field(default_factory=dict)
    object_locations: Array | None = None
    object_rotations: Array | None = None

    def __post_init__(self):
        frames, bones = len(self.rotations), len(self.bone_names)
        wanted = {"rotations": (self.rotations, (frames, bones, 4))}
        wanted |= {f"locations[{name!r}]": (value, (frames, 3)) for name, value in self.locations.items()}
        if self.object_locations is not None:
            wanted["object_locations"] = (self.object_locations, (frames, 3))
        if self.object_rotations is not None:
            wanted["object_rotations"] = (self.object_rotations, (frames, 4))
        for name, (value, shape) in wanted.items():
            if value.shape != shape or frames == 0:
                raise KmmError(
                    "bad_pose_keys",
                    f"{name} has shape {value.shape}; expected {shape} with at least one frame.",
                )
            if not np.isfinite(value).all():
                raise KmmError(
                    "bad_pose_keys",
                    f"{name} holds numbers that are not finite (NaN or infinity).",
                    "Check the scale and the rest pose of the armature for zeros.",
                )
        if len(set(self.bone_names)) != bones:
            raise KmmError("bad_pose_keys", "A bone is named twice; expected each bone once.")
        unturned = sorted(set(self.locations) - set(self.bone_names))
        if unturned:
            raise KmmError("bad_pose_keys", f"{unturned[0]} has locations without rotations; expected both.")

    @property
    def num_frames(self) -> int:
        """F."""
        return len(self.rotations)
