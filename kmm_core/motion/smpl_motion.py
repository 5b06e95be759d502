"""Motion as AMASS stores it: parameters of an SMPL body in a world with Z up. Light zone: no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from . import kinematics
from .rotations import Array
from .smpl_rest import SMPL_REST_OFFSETS, SMPL_REST_PELVIS


@dataclass(frozen=True)
class SmplMotion:
    """Rotations against SMPL's rest pose and the body's translation (which is not the pelvis's position).

    Attributes:
        rotations: every joint against its parent (the root against the world), [F, 22, 4] wxyz.
        translation: [F, 3] m, Z up; the pelvis is at its rest position plus this.
        fps: frames a second.
    """

    rotations: Array
    translation: Array
    fps: float

    def __len__(self) -> int:
        return len(self.rotations)

    def frames(self, chosen: slice | ArrayLike) -> SmplMotion:
        """The chosen frames (a slice, or their numbers)."""
        chosen = chosen if isinstance(chosen, slice) else np.asarray(chosen)
        return replace(self, rotations=self.rotations[chosen], translation=self.translation[chosen])

    def joint_positions(self) -> Array:
        """Joints of the mean shape, [F, 22, 3] m, Y up as in the rest of this package."""
        z_up = kinematics.joint_positions(
            self.translation + SMPL_REST_PELVIS, self.rotations, SMPL_REST_OFFSETS
        )
        return np.stack([z_up[..., 0], z_up[..., 2], -z_up[..., 1]], axis=-1)
