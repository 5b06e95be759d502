"""Fewer keys with the same motion, within a tolerance. No bpy.

Between keys runs the cubic that a Bezier F-curve draws with handles a third of the way to the next key (cubic
Hermite). Keys are added where a stretch strays most, then every second key that isn't missed is taken out again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmm_core.errors import KmmError
from kmm_core.motion.rotations import Array

# How far off reduced channels are, frame by frame: two arrays [N, C] in, [N] out, in the tolerance's unit.
Distance = Callable[[Array, Array], Array]

# Keys start this far apart. Frames.
_FIRST_SPACING = 16


@dataclass(frozen=True)
class Reduction:
    """How far reduced keys may stray from the motion at any frame.

    Attributes:
        degrees: a bone may turn this far off.
        millimetres: a bone may move this far off, and its turning may carry whatever hangs below it this far.

    Raises:
        KmmError: ``bad_reduction`` for a tolerance that is not positive.
    """

    degrees: float = 1.0
    millimetres: float = 5.0

    def __post_init__(self):
        for name in ("degrees", "millimetres"):
            value = getattr(self, name)
            if not value > 0:
                raise KmmError(
                    "bad_reduction",
                    f"Key reduction was set to {value} {name}; expected a number above 0.",
                    "Switch key reduction off to keep every frame.",
                )


def slopes_of(channels: Array) -> Array:
    """Change of each channel a frame, [F, C]: what the handles of a key at any frame follow."""
    return np.gradient(channels, axis=0) if len(channels) > 1 else np.zeros_like(channels)


def reduce_keys(
    channels: Array, slopes: Array, distance: Distance, tolerance: float, always: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Which frames must hold a key so that the cubic through them strays by at most ``tolerance`` at every frame.

    Args:
        channels: values on every frame, continuous, [F, C].
        slopes: of ``slopes_of``, [F, C].
        distance: how far off values are.
        tolerance: in the unit of ``distance``.
        always: [F] frames that keep their key; the first and the last always do.

    Returns:
        Rows with a key, rising, [K].
    """
    frames = len(channels)
    if frames < 3:
        return np.arange(frames)
    fixed = always.copy()
    fixed[[0, -1]] = True
    keyed = fixed.copy()
    keyed[::_FIRST_SPACING] = True

    _add_missed(keyed, channels, slopes, distance, tolerance)
    while _drop_needless(keyed, fixed, channels, slopes, distance, tolerance):
        pass
    return np.flatnonzero(keyed)


def _add_missed(
    keyed: NDArray[np.bool_], channels: Array, slopes: Array, distance: Distance, tolerance: float
) -> None:
    """Keys the worst frame of each stretch between keys until no frame strays too far."""
    unsure = np.arange(len(keyed))  # frames of stretches that are new
    while len(unsure):
        rows = np.flatnonzero(keyed)
        error = distance(interpolate(channels, slopes, rows, unsure), channels[unsure])
        stretch = np.searchsorted(rows, unsure, side="right")
        # The worst frame of each stretch stands last where stretches, then errors, are sorted.
        order = np.lexsort((error, stretch))
        worst = order[np.flatnonzero(np.diff(stretch[order], append=-1))]
        missed = worst[error[worst] > tolerance]
        keyed[unsure[missed]] = True
        unsure = unsure[np.isin(stretch, stretch[missed])]


def _drop_needless(
    keyed: NDArray[np.bool_],
    fixed: NDArray[np.bool_],
    channels: Array,
    slopes: Array,
    distance: Distance,
    tolerance: float,
) -> bool:
    """Takes out each key, every other one at a time, without which nothing strays too far; whether any went."""
    frames = np.arange(len(keyed))
    dropped = False
    for first in (1, 2):
        rows = np.flatnonzero(keyed)
        candidates = rows[first::2]
        candidates = candidates[~fixed[candidates]]
        if not len(candidates):
            continue
        without = np.setdiff1d(rows, candidates)
        error = distance(interpolate(channels, slopes, without, frames), channels)
        worst = np.maximum.reduceat(error, without)  # of the stretch after each key
        needless = candidates[worst[np.searchsorted(without, candidates) - 1] <= tolerance]
        keyed[needless] = False
        dropped |= len(needless) > 0
    return dropped


def interpolate(channels: Array, slopes: Array, rows: NDArray[np.int64], frames: NDArray[np.int64]) -> Array:
    """What F-curves give at ``frames`` [N] with keys at ``rows`` of ``channels`` and ``slopes`` [F, C]: [N, C]."""
    after = np.clip(np.searchsorted(rows, frames, side="right"), 1, len(rows) - 1)
    a, b = rows[after - 1], rows[after]
    span = (b - a).astype(float)[:, None]
    t = (frames - a)[:, None] / span
    s = 1 - t
    # Cubic Hermite basis.
    return (
        (1 + 2 * t) * s * s * channels[a]
        + t * s * s * span * slopes[a]
        + t * t * (3 - 2 * t) * channels[b]
        - t * t * s * span * slopes[b]
    )
