"""One repetition of the text-to-motion figures, and the generated motion they are measured on.

Protocol of Guo et al. 2022 (section 6): one caption and the length of every held-out clip, pools of 32 in a random order.
Shapes: N clips, F frames, D features, C embedding width, P prompts, S samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..clip import MotionClip
from ..pipeline import TextToMotion
from ..timeline import Prompt, Timeline
from . import metrics
from .metrics import Array, Interval

SCORES = ("r_precision_1", "r_precision_2", "r_precision_3", "fid", "mm_dist", "diversity")

# Every call of the generator gets a seed of its own; so many of them for each seed of the evaluation.
_SEEDS_EACH = 1_000_000


@dataclass(frozen=True)
class Embedded:
    """Texts with their motion, and the real motion to compare with, in the evaluator's space.

    Attributes:
        text: [N, C].
        motion: the motion of each text, [N, C].
        real: any number of real clips, [M, C].
        meanings: what each text says, N of them; equal meanings are no mismatch.
    """

    text: Array
    motion: Array
    real: Array
    meanings: Sequence[str]


def embedded_scores(embedded: Embedded, rng: np.random.Generator) -> dict[str, float]:
    """One repetition of ``SCORES``; ``rng`` orders the pools and draws the pairs.

    Raises:
        KmmError: ``too_few_clips`` for less than one pool of 32.
    """
    order = rng.permutation(len(embedded.text))
    text, motion = np.asarray(embedded.text)[order], np.asarray(embedded.motion)[order]
    meanings = [embedded.meanings[index] for index in order]
    precision = metrics.r_precision(text, motion, meanings=meanings)
    return {
        **{f"r_precision_{rank}": float(share) for rank, share in enumerate(precision, 1)},
        "fid": metrics.fid(embedded.real, motion),
        "mm_dist": metrics.matching_distance(text, motion),
        "diversity": motion_diversity(motion, rng),
    }


def motion_diversity(motion: Array, rng: np.random.Generator) -> float:
    """Diversity of 300 pairs, or of as many as there are clips where they are fewer."""
    return metrics.diversity(motion, rng, min(metrics.DIVERSITY_PAIRS, len(motion)))


def intervals(repetitions: Sequence[dict[str, float]]) -> dict[str, Interval]:
    """Mean and interval of every figure over repetitions."""
    return {
        name: metrics.interval([repetition[name] for repetition in repetitions]) for name in repetitions[0]
    }


def generate_clips(
    pipeline: TextToMotion,
    texts: Sequence[str],
    frames: Sequence[int],
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
    *,
    fps: float = 30.0,
) -> list[MotionClip]:
    """Each prompt by itself, as long as asked.

    Args:
        pipeline: the model.
        texts: prompts.
        frames: length of each at ``fps``.
        seed: another one gives other motion for every prompt.
        progress: called after each clip.
        fps: of the clips.
    """
    clips = []
    for number, (text, length) in enumerate(zip(texts, frames, strict=True)):
        timeline = Timeline(fps=fps, prompts=(Prompt(text, 0, length),))
        clips += pipeline.generate(timeline, seed=seed * _SEEDS_EACH + number).clips
        progress()
    return clips


def generate_samples(
    pipeline: TextToMotion,
    texts: Sequence[str],
    frames: Sequence[int],
    samples: int,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
    *,
    fps: float = 30.0,
) -> list[list[MotionClip]]:
    """``samples`` clips of each prompt, P lists; otherwise as ``generate_clips``."""
    made = []
    for number, (text, length) in enumerate(zip(texts, frames, strict=True)):
        timeline = Timeline(fps=fps, prompts=(Prompt(text, 0, length),))
        made.append(pipeline.generate(timeline, seed=seed * _SEEDS_EACH + number, samples=samples).clips)
        progress()
    return made


def generate_timeline(
    pipeline: TextToMotion, texts: Sequence[str], frames: Sequence[int], seed: int = 0, *, fps: float = 30.0
) -> tuple[MotionClip, list[int]]:
    """All prompts in one pass.

    Returns:
        The clip, and its boundaries: the first frame of every prompt but the first.
    """
    ends = np.cumsum(frames).tolist()
    prompts = tuple(
        Prompt(text, start, end) for text, start, end in zip(texts, [0, *ends], ends, strict=False)
    )
    made = pipeline.generate(Timeline(fps=fps, prompts=prompts), seed=seed * _SEEDS_EACH)
    return made.clips[0], ends[:-1]
