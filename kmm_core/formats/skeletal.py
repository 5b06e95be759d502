"""SourceMotion: what a skeletal file (BVH, ASF/AMC) holds, in its own joints, axes and units. Light zone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..motion import rotations
from ..motion.rotations import Array


@dataclass(frozen=True)
class SourceMotion:
    """Motion of a file's own skeleton of J joints; ``motion.retarget.to_canonical`` brings it onto ours.

    Attributes:
        joint_names: J names as written in the file.
        parents: index of each joint's parent, -1 for a root; every parent comes before its children.
        offsets: each joint against its parent in the pose of zero rotations, [J, 3] file units.
        end_offsets: tip of each joint's bone where the file has an End Site, else NaN, [J, 3] file units.
        local_rotations: each joint against its parent (roots: the world), [F, J, 4] wxyz.
        local_translations: each joint in its parent's frame (roots: the world), [F, J, 3] file units.
        fps: frames a second.
        name: the file's name, for messages.
    """

    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array
    end_offsets: Array
    local_rotations: Array
    local_translations: Array
    fps: float
    name: str = ""

    @property
    def num_frames(self) -> int:
        """F."""
        return len(self.local_rotations)

    def slice(self, start: int, stop: int) -> SourceMotion:
        """Frames start to stop, stop exclusive. The skeleton stays."""
        return replace(
            self,
            local_rotations=self.local_rotations[start:stop],
            local_translations=self.local_translations[start:stop],
        )

    def forward_kinematics(self) -> tuple[Array, Array]:
        """World rotations [F, J, 4] wxyz and world positions [F, J, 3] in file units and file axes."""
        return forward_kinematics(self.parents, self.local_rotations, self.local_translations)

    def zero_pose(self) -> Array:
        """World positions of the joints where every rotation is zero and the root at its offset, [J, 3]."""
        result = np.zeros_like(self.offsets)
        for joint, parent in enumerate(self.parents):
            result[joint] = self.offsets[joint] + (result[parent] if parent >= 0 else 0)
        return result


def forward_kinematics(parents, local_rotations: Array, local_translations: Array) -> tuple[Array, Array]:
    """World rotations [..., J, 4] and positions [..., J, 3] of any skeleton whose parents come first."""
    world = np.empty_like(local_rotations)
    positions = np.empty_like(local_translations)
    for joint, parent in enumerate(parents):
        if parent < 0:
            world[..., joint, :] = local_rotations[..., joint, :]
            positions[..., joint, :] = local_translations[..., joint, :]
        else:
            up = world[..., parent, :]
            world[..., joint, :] = rotations.multiply(up, local_rotations[..., joint, :])
            moved = rotations.rotate(up, local_translations[..., joint, :])
            positions[..., joint, :] = positions[..., parent, :] + moved
    return world, positions
