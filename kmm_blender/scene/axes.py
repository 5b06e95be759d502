"""Converts between the core's axes and Blender's: the only place that knows both. No bpy.

Core: Y up, the person faces +Z, +X is the person's left. Blender: Z up, characters face -Y, +X is still the
person's left. So a core (x, y, z) is a Blender (x, -z, y): a turn of 90 degrees about X.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kmm_core.motion.rotations import Array


def vectors_to_blender(vectors: ArrayLike) -> Array:
    """Core vectors ``[..., 3]`` in Blender's axes, in the same unit."""
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=float), -1, 0)
    return np.stack([x, -z, y], axis=-1)


def vectors_to_core(vectors: ArrayLike) -> Array:
    """Blender vectors ``[..., 3]`` in the core's axes; the inverse of ``vectors_to_blender``."""
    x, y, z = np.moveaxis(np.asarray(vectors, dtype=float), -1, 0)
    return np.stack([x, z, -y], axis=-1)
