"""Smooths the motion a little where one prompt of a timeline ends and the next begins, and nowhere else.

Shapes: F frames, D features.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# Seconds each way from the boundary in which the smoothing fades out (docs/decisions/0013).
REACH_SECONDS = 0.27
# Default width of the bell curve that weighs the average, in seconds (docs/decisions/0019).
BELL_SECONDS = 0.022


def soften_seams(
    features: NDArray[np.floating], boundaries: Iterable[int], fps: float, bell_seconds: float = BELL_SECONDS
) -> NDArray[np.floating]:
    """The features with the jolts at prompt boundaries smoothed out (ours).

    Args:
        features: [F, D], of a representation whose columns may be averaged over time.
        boundaries: first frames of all prompts but the first.
        fps: of the features.
        bell_seconds: width of the average at the boundary itself; 0 changes nothing.

    Returns:
        [F, D]; frames farther than REACH_SECONDS from every boundary are as they were.
    """
    if bell_seconds <= 0:
        return features
    reach, half = max(1, round(REACH_SECONDS * fps)), max(1, round(4 * bell_seconds * fps))
    bell = np.exp(-0.5 * (np.arange(-half, half + 1) / (bell_seconds * fps)) ** 2)
    bell /= bell.sum()
    share = np.zeros(len(features))
    for boundary in boundaries:
        start, stop = max(0, boundary - reach), min(len(features), boundary + reach + 1)
        near = 1 - np.abs(np.arange(start, stop) - boundary) / (reach + 1)
        share[start:stop] = np.maximum(share[start:stop], near * near * (3 - 2 * near))
    changed = np.flatnonzero(share)
    if not len(changed):
        return features
    neighbours = np.clip(changed[:, None] + np.arange(-half, half + 1), 0, len(features) - 1)
    smooth = np.zeros((len(changed), features.shape[1]), features.dtype)
    for weight, places in zip(bell.astype(features.dtype), neighbours.T, strict=True):
        smooth += weight * features[places]
    weights = share[changed, None].astype(features.dtype)
    softened = features.copy()
    softened[changed] += weights * (smooth - features[changed])
    return softened
