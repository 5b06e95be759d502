"""Recordings damaged in known ways: how the evaluator scores them shows what its figures can detect.

FID has no unit. So the model's FID is shown beside that of recordings that tremble, hardly move, drag or slide. A model
with a higher FID is worse than such damage, for this evaluator; and damage with a small FID is damage that it does not
detect. Shapes: F frames, J joints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..clip import MotionClip
from ..motion import rotations

Damage = Callable[[MotionClip, np.random.Generator], MotionClip]

TREMBLE_DEGREES = 5.0
MOVEMENT_KEPT = 0.6
TIMES_AS_SLOW = 1.4
SLIDE_SPEED = 0.3  # m/s


def trembling(clip: MotionClip, rng: np.random.Generator) -> MotionClip:
    """Every joint off by ``TREMBLE_DEGREES`` (root mean square), another way in every frame."""
    axes = rng.normal(size=(*clip.local_rotations.shape[:-1], 3)) * np.radians(TREMBLE_DEGREES) / np.sqrt(3)
    turned = rotations.multiply(clip.local_rotations, rotations.from_rotation_vector(axes))
    return replace(clip, local_rotations=turned)


def stiff(clip: MotionClip, rng: np.random.Generator) -> MotionClip:
    """Joints go only ``MOVEMENT_KEPT`` of the way from their mean rotation; the pelvis keeps its path and heading."""
    local = rotations.make_continuous(clip.local_rotations)
    mean = rotations.normalize(local.mean(0))
    local[:, 1:] = rotations.slerp(mean[None, 1:], local[:, 1:], np.asarray(MOVEMENT_KEPT))
    return replace(clip, local_rotations=local)


def dragging(clip: MotionClip, rng: np.random.Generator) -> MotionClip:
    """``TIMES_AS_SLOW``, and cut to the recording's length."""
    return replace(clip.resample(clip.fps * TIMES_AS_SLOW, clip.num_frames), fps=clip.fps)


def sliding(clip: MotionClip, rng: np.random.Generator) -> MotionClip:
    """Moved sideways at ``SLIDE_SPEED`` all the while, whatever the feet do."""
    away = np.zeros_like(clip.root_positions)
    away[:, 0] = SLIDE_SPEED * np.arange(clip.num_frames) / clip.fps
    return replace(clip, root_positions=clip.root_positions + away)


DAMAGES: dict[str, Damage] = {
    f"trembling by {TREMBLE_DEGREES:g}°": trembling,
    f"{MOVEMENT_KEPT * 100:g}% of their movement": stiff,
    f"{TIMES_AS_SLOW:g} times as slow": dragging,
    f"sliding at {SLIDE_SPEED:g} m/s": sliding,
}
