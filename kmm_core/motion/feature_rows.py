"""Checks of feature rows, shared by all representations. Light zone: no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import KmmError
from .rotations import Array


def checked_rows(features: ArrayLike, num_features: int, hint: str) -> Array:
    """The features as an array [F, num_features], F at least 1.

    Raises:
        KmmError: ``bad_features`` where the shape is wrong, with ``hint``, or a number is not finite.
    """
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] != num_features or len(features) == 0:
        raise KmmError(
            "bad_features",
            f"Got features of shape {features.shape}; expected [F, {num_features}] with F of at least 1.",
            hint,
        )
    if not np.isfinite(features).all():
        raise KmmError(
            "bad_features",
            "The features hold numbers that are not finite (NaN or infinity).",
            "Repair or drop those rows.",
        )
    return features
