"""The figures of the text-to-motion literature, as pure functions of embeddings and joint positions.

Retrieval, FID, diversity and multimodality as in Guo et al. 2022 (Generating Diverse and Natural 3D Human Motions from
Text, section 6); peak jerk and area under the jerk as in FlowMDM (Barquero et al. 2024, section 4).
Shapes: N clips, C embedding width, W windows, F frames, J joints, P prompts, S samples of a prompt, R repetitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import KmmError

POOL = 32
TOP = 3
DIVERSITY_PAIRS = 300
MULTIMODALITY_PAIRS = 10

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with the half width of its interval as published tables have it: mean +- 1.96 sd / sqrt(R).

    That is 95 % of the time for many repetitions; 93 % for 20 and 75 % for 3, by Student's t.
    """

    mean: float
    half_width: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half_width:.3f}"


def interval(values: ArrayLike) -> Interval:
    """Mean and interval over repetitions.

    Args:
        values: one figure a repetition, [R]. The deviation divides by R, as the published tables do.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise _too_few("An interval", len(values), 1, "repetitions")
    return Interval(float(values.mean()), float(1.96 * values.std() / np.sqrt(len(values))))


def distances(first: ArrayLike, second: ArrayLike) -> Array:
    """Euclidean distance of every pair: [N, C] and [M, C] -> [N, M]."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    squares = (first**2).sum(-1)[:, None] + (second**2).sum(-1)[None] - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0))


def r_precision(
    text: ArrayLike,
    motion: ArrayLike,
    *,
    meanings: Sequence[str] | None = None,
    pool: int = POOL,
) -> Array:
    """How often a text's own motion is among the nearest 1, 2, ... ``TOP`` of its pool. Incomplete pools are dropped.

    Pools are taken in the order given, so shuffle before. Ties count as errors: embeddings that are all alike
    shall not look perfect.

    Args:
        text: [N, C].
        motion: the motion of each text, [N, C].
        meanings: what each text says, N of them. Of those that say the same in one pool all but the first are
            removed, and each pool counts the same, whatever is left (FlowMDM). Without it nothing is removed.
        pool: texts ranked against each other.

    Returns:
        Shares in [0, 1], [TOP].

    Raises:
        KmmError: ``too_few_clips`` for less than one pool.
    """
    text, motion = np.asarray(text), np.asarray(motion)
    if len(text) < pool:
        raise _too_few("R-precision", len(text), pool)
    shares = []
    for start in range(0, len(text) - pool + 1, pool):
        chosen = np.arange(start, start + pool)
        if meanings is not None:
            _, first = np.unique([meanings[index] for index in chosen], return_index=True)
            chosen = chosen[np.sort(first)]
        table = distances(text[chosen], motion[chosen])
        own = np.diag(table).copy()
        np.fill_diagonal(table, np.inf)
        rank = (table <= own[:, None]).sum(axis=1)
        shares.append([(rank < places).mean() for places in range(1, TOP + 1)])
    return np.mean(shares, axis=0)


def matching_distance(text: ArrayLike, motion: ArrayLike) -> float:
    """MM-Dist: mean distance of each text to its own motion. Both [N, C]."""
    difference = np.asarray(text, dtype=np.float64) - np.asarray(motion, dtype=np.float64)
    return float(np.linalg.norm(difference, axis=-1).mean())


def fid(real: ArrayLike, made: ArrayLike) -> float:
    """Frechet distance of two sets of embeddings, each taken as a Gaussian.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). The trace of the root is found from S1^(1/2) S2 S1^(1/2), which has the
    same eigenvalues and is symmetric, so that rounding brings no complex numbers.

    Args:
        real: [N, C].
        made: [M, C].

    Raises:
        KmmError: ``too_few_clips`` for less than two embeddings. Far more than C are needed for a full-rank estimate.
    """
    means, covariances = [], []
    for embeddings in (real, made):
        embeddings = np.asarray(embeddings, dtype=np.float64)
        if len(embeddings) < 2:
            raise _too_few("FID", len(embeddings), 2)
        means.append(embeddings.mean(axis=0))
        covariances.append(np.atleast_2d(np.cov(embeddings, rowvar=False)))
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariances[1] @ root), 0)).sum()
    offset = np.square(means[0] - means[1]).sum()
    return float(max(offset + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * shared, 0.0))


def fid_of_sampling(real: ArrayLike, rng: np.random.Generator) -> float:
    """FID between two draws, each of as many as there are, from a normal distribution of the embeddings' mean and covariance (ours).

    Nothing but chance tells one draw from the other: a rough measure of what the number of clips costs motion that is made
    anew. It leaves out that such motion has the recordings' captions, so a model may come below it. What comes from the
    clips themselves, as reconstructions do, does not pay it.

    Args:
        real: [N, C].
        rng: draws the embeddings.

    Raises:
        KmmError: ``too_few_clips``, as ``fid`` does.
    """
    real = np.asarray(real, dtype=np.float64)
    count = len(real)
    if count < 2:
        raise _too_few("FID", count, 2)
    # Along the clips' own directions, so also where there are fewer clips than columns.
    _, scale, directions = np.linalg.svd(real - real.mean(axis=0), full_matrices=False)
    first, second = rng.normal(size=(2, count, len(scale))) @ (
        scale[:, None] * directions / np.sqrt(count - 1)
    )
    return fid(first, second)


def diversity(embeddings: ArrayLike, rng: np.random.Generator, pairs: int = DIVERSITY_PAIRS) -> float:
    """Mean distance of random pairs; each half of the pairs is drawn without repeats.

    Args:
        embeddings: [N, C], N at least ``pairs``.
        rng: draws the pairs.
        pairs: how many.

    Raises:
        KmmError: ``too_few_clips``.
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if len(embeddings) < pairs:
        raise _too_few(f"Diversity of {pairs} pairs", len(embeddings), pairs)
    first, second = (rng.choice(len(embeddings), pairs, replace=False) for _ in range(2))
    return float(np.linalg.norm(embeddings[first] - embeddings[second], axis=-1).mean())


def multimodality(embeddings: ArrayLike, rng: np.random.Generator, pairs: int = MULTIMODALITY_PAIRS) -> float:
    """Mean distance of random pairs of samples for one prompt, over all prompts.

    Args:
        embeddings: [P, S, C], S at least ``pairs``.
        rng: draws the pairs, the same ones for each prompt.
        pairs: how many of each prompt.

    Raises:
        KmmError: ``too_few_clips``.
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    samples = embeddings.shape[1]
    if samples < pairs:
        raise _too_few(f"Multimodality of {pairs} pairs", samples, pairs, "samples of each prompt")
    first, second = (rng.choice(samples, pairs, replace=False) for _ in range(2))
    return float(np.linalg.norm(embeddings[:, first] - embeddings[:, second], axis=-1).mean())


def jerk(positions: ArrayLike) -> Array:
    """Third difference of joint positions, absolute values summed over xyz, the worst joint of each frame.

    Args:
        positions: [..., F, J, 3] metres, F at least 4.

    Returns:
        [..., F - 3] metres a frame cubed (not a second: so the published figures are, at 30 or 20 fps).

    Raises:
        KmmError: ``too_few_frames``.
    """
    positions = np.asarray(positions, dtype=np.float64)
    frames = positions.shape[-3]
    if frames < 4:
        raise KmmError(
            "too_few_frames", f"Jerk of {frames} frames is not defined.", "Give windows of at least 4 frames."
        )
    return np.abs(np.diff(positions, n=3, axis=-3)).sum(-1).max(-1)


def jerk_curve(windows: ArrayLike) -> Array:
    """Mean jerk at each frame of windows centred on transitions, [W, F, J, 3] -> [F - 3]."""
    return jerk(windows).mean(axis=0)


def peak_jerk(curve: ArrayLike) -> float:
    """PJ: the highest value of a ``jerk_curve``."""
    return float(np.max(curve))


def area_under_jerk(curve: ArrayLike, real_mean: float) -> float:
    """AUJ: how far a ``jerk_curve`` strays from the mean jerk of real motion, summed over its frames."""
    return float(np.abs(np.asarray(curve) - real_mean).sum())


def _too_few(what: str, given: int, needed: int, unit: str = "clips") -> KmmError:
    return KmmError(
        "too_few_clips", f"{what} needs at least {needed} {unit}; there are {given}.", "Evaluate on more."
    )
