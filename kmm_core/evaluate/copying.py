"""Does the model copy? Compares how far its samples are from the nearest training clip with how far new recordings are.

Measured twice: in the evaluator's space, and in joint positions, which depend on no network.
Ours. Shapes: N clips, M training clips, C embedding width, F frames, J joints, R rows of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import KmmError
from ..skeleton import JOINT_INDEX, MIRROR
from . import metrics
from .evaluation_set import Features
from .metrics import Array

WINDOW_SECONDS = 1.0
# Poses are compared ten times a second, and windows start as often.
STEP_SECONDS = 0.1
QUANTILES = (0.05, 0.25, 0.5, 0.75)
_TRAIN_CLIPS_AT_ONCE = 400
_RESAMPLES = 1000

Positions = Callable[[Features], NDArray[np.floating]]


@dataclass(frozen=True)
class Nearest:
    """Distance of each sample and of each held-out recording to the nearest training clip.

    Attributes:
        samples: [N].
        held_out: [N'].
        unit: "m", or "" in the evaluator's space.
    """

    samples: Array
    held_out: Array
    unit: str

    def quantiles(self) -> dict[str, tuple[float, float]]:
        """For each of ``QUANTILES``: that of the samples, and that of the recordings."""
        return {
            f"{share:.0%}": (
                float(np.quantile(self.samples, share)),
                float(np.quantile(self.held_out, share)),
            )
            for share in QUANTILES
        }

    def below(self, share: float) -> bool:
        """Whether that quantile of the samples is below the recordings', by more than chance: 95 %, bootstrap."""
        rng = np.random.default_rng(0)
        drawn = [
            np.quantile(rng.choice(values, (_RESAMPLES, len(values))), share, axis=1)
            for values in (self.samples, self.held_out)
        ]
        return bool(np.quantile(drawn[0] - drawn[1], 0.975) < 0)

    @property
    def nearer(self) -> float:
        """Share of samples nearer than the nearest 5 % of recordings; 5 % where nothing is copied."""
        return float((self.samples < np.quantile(self.held_out, 0.05)).mean())


def nearest_embedding(queries: Array, train: Array) -> Array:
    """Distance of each query [N, C] to the nearest of ``train`` [M, C]. [N]."""
    return metrics.distances(queries, train).min(axis=1)


def aligned_poses(positions: NDArray[np.floating]) -> Array:
    """Joints seen from the body: the pelvis over the origin, hips and shoulders facing +Z in every frame.

    Args:
        positions: [F, J, 3] metres, Y up.

    Returns:
        [F, J, 3] metres; heights stay.
    """
    positions = np.asarray(positions, dtype=np.float64)
    local = positions - positions[:, :1] * np.array([1.0, 0.0, 1.0])
    across = sum(
        positions[:, JOINT_INDEX[f"left_{part}"]] - positions[:, JOINT_INDEX[f"right_{part}"]]
        for part in ("hip", "shoulder")
    )
    across = across[:, [0, 2]]
    # Somebody whose left is not to be told (lying on the side) keeps the axes of the world.
    length = np.linalg.norm(across, axis=-1, keepdims=True)
    x, z = np.where(length > 1e-6, across / np.maximum(length, 1e-6), [1.0, 0.0]).T[..., None]
    return np.stack(
        [
            local[..., 0] * x + local[..., 2] * z,
            local[..., 1],
            local[..., 2] * x - local[..., 0] * z,
        ],
        axis=-1,
    )


def nearest_window(
    queries: Sequence[Features],
    train: Sequence[Features],
    positions: Positions,
    fps: float,
    progress: Callable[[], None] = lambda: None,
) -> Array:
    """Distance of the middle second of each query to the nearest second of any training clip, mirrored or not.

    Args:
        queries: clips [F, D]; those of less than a second are left out.
        train: clips [F, D].
        positions: features -> joint positions.
        fps: of the features.
        progress: called now and then.

    Returns:
        Root mean square distance of the joints, metres, one for each query of at least a second.

    Raises:
        KmmError: ``too_few_clips`` where no query, or no training clip, lasts a second.
    """
    step = max(1, round(STEP_SECONDS * fps))
    rows = round(WINDOW_SECONDS * fps) // step
    long = [query for query in queries if len(query) >= rows * step]
    middles = [query[(len(query) - rows * step) // 2 :][: rows * step : step] for query in long]
    usable = [clip for clip in train if len(clip) >= rows * step]
    if not middles or not usable:
        raise KmmError(
            "too_few_clips",
            f"The search for copies needs clips of at least {WINDOW_SECONDS:g} s; there are "
            f"{len(middles)} samples "
            f"and {len(usable)} training clips of that length.",
            "Evaluate on longer clips.",
        )
    poses = aligned_poses(positions(np.concatenate(middles))).reshape(len(middles), rows, -1, 3)
    # Training shows every clip mirrored too. The mirror image of a query is as far from a clip as the query from the
    # mirror image of that clip.
    asked = np.concatenate([_flat(poses), _flat(_mirrored(poses))])
    best = np.full(len(asked), np.inf)
    for start in range(0, len(usable), _TRAIN_CLIPS_AT_ONCE):
        windows = _windows(usable[start : start + _TRAIN_CLIPS_AT_ONCE], positions, step, rows)
        best = np.minimum(best, _nearest_square(asked, windows))
        progress()
    square = np.minimum(best[: len(middles)], best[len(middles) :])
    return np.sqrt(np.maximum(square, 0) / (rows * poses.shape[2]))


def _windows(clips: Sequence[Features], positions: Positions, step: int, rows: int) -> NDArray[np.float32]:
    """Every window of these clips, flat: [windows, R * J * 3]."""
    # Poses are read frame by frame, so rows of any clips may stand one behind the other.
    thinned = [clip[::step] for clip in clips]
    poses = aligned_poses(positions(np.concatenate(thinned))).astype(np.float32)
    found, start = [], 0
    for clip in thinned:
        own = poses[start : start + len(clip)].reshape(len(clip), -1)
        start += len(clip)
        windows = np.lib.stride_tricks.sliding_window_view(own, rows, axis=0)
        found.append(windows.transpose(0, 2, 1).reshape(len(windows), -1))
    return np.concatenate(found)


def _nearest_square(asked: NDArray[np.float32], windows: NDArray[np.float32]) -> Array:
    """Squared distance of each of ``asked`` to the nearest window."""
    squares = np.square(windows).sum(-1)[None] - 2 * asked @ windows.T
    return squares.min(-1) + np.square(asked).sum(-1)


def _flat(poses: Array) -> NDArray[np.float32]:
    return poses.reshape(len(poses), -1).astype(np.float32)


def _mirrored(poses: Array) -> Array:
    return poses[..., list(MIRROR), :] * np.array([-1.0, 1.0, 1.0])
