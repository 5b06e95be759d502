"""MotionClip: what every reader returns, every writer takes, and the generator ends with. Light zone: no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .errors import KmmError
from .motion import kinematics, rotations
from .motion.rotations import Array
from .skeleton import MIRROR, NUM_JOINTS


@dataclass(frozen=True)
class MotionClip:
    """Motion of the canonical skeleton. Y up, metres, quaternions wxyz.

    Attributes:
        root_positions: pelvis in the world, [F, 3] metres.
        local_rotations: every joint against its parent (the pelvis against the world), [F, 22, 4].
        fps: frames a second.

    Raises:
        KmmError: ``bad_motion`` where shapes disagree, there is no frame, or a number is not finite.
    """

    root_positions: Array
    local_rotations: Array
    fps: float

    def __post_init__(self):
        frames = (*self.root_positions.shape, 0)[0]  # a single number has no frames
        expected = ((frames, 3), (frames, NUM_JOINTS, 4))
        if (self.root_positions.shape, self.local_rotations.shape) != expected or frames == 0:
            raise KmmError(
                "bad_motion",
                f"Got root_positions {self.root_positions.shape} and local_rotations "
                f"{self.local_rotations.shape}; expected [F, 3] and [F, {NUM_JOINTS}, 4] with F of at least 1.",
            )
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise KmmError("bad_motion", f"fps={self.fps} is not a positive number.")
        if not (np.isfinite(self.root_positions).all() and np.isfinite(self.local_rotations).all()):
            raise KmmError(
                "bad_motion",
                "The motion holds numbers that are not finite (NaN or infinity).",
                "Repair or drop those frames.",
            )

    @property
    def num_frames(self) -> int:
        """F."""
        return len(self.root_positions)

    @property
    def seconds(self) -> float:
        """Length in seconds: F frames last F / fps."""
        return self.num_frames / self.fps

    def joint_positions(self) -> Array:
        """World positions of the joints, [F, 22, 3] metres."""
        return kinematics.joint_positions(self.root_positions, self.local_rotations)

    def slice(self, start: int, stop: int) -> MotionClip:
        """Frames start to stop, stop exclusive."""
        return replace(
            self,
            root_positions=self.root_positions[start:stop],
            local_rotations=self.local_rotations[start:stop],
        )

    def resample(self, fps: float, num_frames: int | None = None) -> MotionClip:
        """The same motion at another frame rate: rotations by slerp, the root by linear interpolation.

        Args:
            fps: frames a second wanted.
            num_frames: exact length wanted; past the end, the last pose is held. By default as many frames as fit.
        """
        if num_frames is None:
            num_frames = max(1, int(np.floor((self.num_frames - 1) * fps / self.fps + 1e-6)) + 1)
        times = np.clip(np.arange(num_frames) * (self.fps / fps), 0, self.num_frames - 1)
        before = np.floor(times).astype(int)
        after = np.minimum(before + 1, self.num_frames - 1)
        t = times - before
        root = self.root_positions
        return MotionClip(
            root_positions=root[before] * (1 - t[:, None]) + root[after] * t[:, None],
            local_rotations=rotations.slerp(
                self.local_rotations[before], self.local_rotations[after], t[:, None]
            ),
            fps=fps,
        )

    def mirrored(self) -> MotionClip:
        """Left and right swapped: the reflection in the plane x = 0."""
        # A reflection in x keeps the x part of a rotation's axis and turns the y and z parts around.
        order = list(MIRROR)
        return replace(
            self,
            root_positions=self.root_positions * np.array([-1.0, 1.0, 1.0]),
            local_rotations=self.local_rotations[:, order] * np.array([1.0, 1.0, -1.0, -1.0]),
        )

    def moved(self, yaw: float = 0.0, translation=(0.0, 0.0, 0.0)) -> MotionClip:
        """Turned by ``yaw`` radians about the world's Y axis, then moved by ``translation`` metres."""
        turn = rotations.from_yaw(yaw)
        local = self.local_rotations.copy()
        local[:, 0] = rotations.multiply(turn, local[:, 0])
        root = rotations.rotate(turn, self.root_positions) + np.asarray(translation)
        return replace(self, root_positions=root, local_rotations=local)
