"""Long sequences: their sub-sequences scored like single clips, and the transitions between them (FlowMDM's protocol).

Barquero et al. 2024, section 4: compositions of 32 prompts; of every boundary a window (``Spans``), of which FID, Diversity,
peak jerk (PJ) and area under the jerk (AUJ) are taken. Beside the pass through the model stands stitching: every prompt
generated alone, and the pieces joined (ours: with a cross-fade, and without).
Shapes: F frames, D features, J joints, W windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..clip import MotionClip
from ..errors import KmmError
from ..motion import rotations
from ..motion.representation_272 import headings
from ..pipeline import TextToMotion
from . import metrics
from .evaluation_set import EvaluationClip, EvaluationSet, Features
from .evaluator import FrozenEvaluator
from .metrics import Array
from .scores import generate_clips, motion_diversity

COMPOSITION = 32
# As long as the cross-fades of the training timelines.
FADE_SECONDS = 0.8


@dataclass(frozen=True)
class Spans:
    """Seconds of a window around a boundary, and of a prompt: shorter clips are not used, longer ones are cut."""

    window: float = 1.0
    shortest: float = 1.0
    longest: float = 200 / 30


# FlowMDM's: windows of 30 frames and prompts of 30 to 200 at BABEL's 30 fps; of 60, and of 70 to 200, at HumanML3D's 20.
_SPANS = {"humanml3d": Spans(3.0, 3.5, 10.0)}


def spans_of(data: EvaluationSet) -> Spans:
    """Those of that kind of data."""
    return _SPANS.get(data.kind, Spans())


@dataclass(frozen=True)
class Composition:
    """Prompts in a row: whose captions and lengths they have, and the frames of each."""

    clips: tuple[EvaluationClip, ...]
    texts: tuple[str, ...]
    frames: tuple[int, ...]


@dataclass(frozen=True)
class MadeSequence:
    """A made sequence and where its prompts change."""

    clip: MotionClip
    boundaries: tuple[int, ...]


def compositions(
    clips: Sequence[EvaluationClip],
    fps: float,
    count: int,
    rng: np.random.Generator,
    prompts: int = COMPOSITION,
    spans: Spans = Spans(),
) -> list[Composition]:
    """Held-out clips in a random order, ``prompts`` per composition; no clip is in two of them.

    Args:
        clips: held-out ones.
        fps: of their features.
        count: largest number of compositions.
        rng: draws the clips and the caption of each.
        prompts: number per composition; fewer if there are not enough clips.
        spans: how long clips must be, and are asked for at most.

    Raises:
        KmmError: ``too_few_clips`` where there are not two usable clips.
    """
    usable = [clip for clip in clips if len(clip.features) >= spans.shortest * fps]
    if len(usable) < 2:
        raise KmmError(
            "too_few_clips",
            f"A sequence needs 2 clips of at least {spans.shortest:g} s; there are {len(usable)}.",
            "Evaluate on more.",
        )
    prompts = min(prompts, len(usable))
    order = rng.permutation(len(usable))
    made = []
    for start in range(0, min(len(usable) - prompts + 1, count * prompts), prompts):
        chosen = tuple(usable[index] for index in order[start : start + prompts])
        texts = tuple(clip.captions[rng.integers(len(clip.captions))] for clip in chosen)
        frames = tuple(min(len(clip.features), round(spans.longest * fps)) for clip in chosen)
        made.append(Composition(chosen, texts, frames))
    return made


def pieces(
    pipeline: TextToMotion,
    texts: Sequence[str],
    frames: Sequence[int],
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
    *,
    fps: float = 30.0,
    fade: int = 0,
) -> list[MotionClip]:
    """Every prompt generated alone, each as much longer than shown as ``stitch`` needs to join them.

    Args:
        pipeline: the model.
        texts: prompts.
        frames: that are shown of each.
        seed: as ``generate_clips`` takes it.
        progress: called after each piece.
        fps: of the clips.
        fade: frames around each boundary in which one piece fades into the next, even; 0 joins them end to end.
    """
    half, last = fade // 2, len(frames) - 1
    lengths = [count + half * (place > 0) + (half + 1) * (place < last) for place, count in enumerate(frames)]
    return generate_clips(pipeline, texts, lengths, seed, progress, fps=fps)


def unfaded(pieces: Sequence[MotionClip], fade: int) -> list[MotionClip]:
    """Pieces that were made for a cross-fade, cut so that they join end to end."""
    half, last = fade // 2, len(pieces) - 1
    return [
        piece.slice(half * (place > 0), piece.num_frames - half * (place < last))
        for place, piece in enumerate(pieces)
    ]


def stitch(pieces: Sequence[MotionClip], fade: int = 0) -> MotionClip:
    """Pieces as one clip, each set down where the one before it has come to.

    Args:
        pieces: with half a fade more than is shown at each inner end, and but for the last one frame more at the end: it
            stands on the boundary, and the next piece is fitted to it.
        fade: frames of each cross-fade; even.

    Raises:
        KmmError: ``too_few_frames`` for a piece that is shorter than the fades at its ends.
    """
    half = fade // 2
    made = pieces[0]
    for piece in pieces[1:]:
        if min(made.num_frames, piece.num_frames) < 2 * half + 1:
            raise KmmError(
                "too_few_frames",
                f"A piece of {piece.num_frames} frames is shorter than its cross-fade of {2 * half + 1}.",
                "Use longer prompts, or a shorter fade.",
            )
        boundary = made.num_frames - 1 - half
        piece = _set_down(piece, half, made, boundary)
        start, faded = boundary - half, slice(boundary - half, boundary + half)
        weight = (np.arange(2 * half) + 1) / (2 * half + 1)
        weight = (weight * weight * (3 - 2 * weight))[:, None]
        root = made.root_positions[faded] * (1 - weight) + piece.root_positions[: 2 * half] * weight
        local = rotations.slerp(made.local_rotations[faded], piece.local_rotations[: 2 * half], weight)
        made = MotionClip(
            np.concatenate([made.root_positions[:start], root, piece.root_positions[2 * half :]]),
            np.concatenate([made.local_rotations[:start], local, piece.local_rotations[2 * half :]]),
            made.fps,
        )
    return made


def _set_down(piece: MotionClip, frame: int, onto: MotionClip, at: int) -> MotionClip:
    """``piece`` turned and moved along the floor, so that its ``frame`` stands and faces as ``onto`` does ``at``."""
    turn = _heading(onto, at) - _heading(piece, frame)
    piece = piece.moved(yaw=turn)
    way = onto.root_positions[at] - piece.root_positions[frame]
    return piece.moved(translation=way * np.array([1.0, 0.0, 1.0]))


def _heading(clip: MotionClip, frame: int) -> float:
    return float(headings(clip.local_rotations[frame : frame + 1, 0])[0])


def sub_sequences(made: MadeSequence, following: int = 0) -> list[MotionClip]:
    """The clip cut at its boundaries, each piece with so many ``following`` frames of the next one.

    Features that lose a frame (263) need one, to be as long as those of the recording.
    """
    edges, end = [0, *made.boundaries, made.clip.num_frames], made.clip.num_frames
    return [made.clip.slice(start, min(stop + following, end)) for start, stop in pairwise(edges)]


def transitions(made: MadeSequence, frames: int) -> list[MotionClip]:
    """Windows of ``frames`` centred on the boundaries; a boundary too near to an end has none."""
    starts = [boundary - frames // 2 for boundary in made.boundaries]
    return [
        made.clip.slice(start, start + frames)
        for start in starts
        if 0 <= start <= made.clip.num_frames - frames
    ]


def real_windows(data: EvaluationSet, rng: np.random.Generator) -> list[Features]:
    """Windows of real motion: centred on the real boundaries where the set has timelines, else anywhere in its clips.

    Raises:
        KmmError: ``too_few_clips`` where no clip is as long as a window.
    """
    seconds = spans_of(data).window
    frames = round(seconds * data.fps)
    if data.timelines:
        places = [
            (timeline, boundary - frames // 2)
            for timeline in data.timelines
            for boundary in timeline.boundaries
        ]
        windows = [
            timeline.part(start, start + frames)
            for timeline, start in places
            if 0 <= start <= sum(timeline.frames) - frames
        ]
    else:
        long = [clip.features for clip in data.clips if len(clip.features) >= frames]
        starts = [int(rng.integers(len(rows) - frames + 1)) for rows in long]
        windows = [rows[start : start + frames] for rows, start in zip(long, starts, strict=True)]
    if len(windows) < 2:
        raise KmmError(
            "too_few_clips",
            f"Transitions need 2 windows of {seconds:g} s of real motion; there are {len(windows)}.",
            "Evaluate on more and longer clips.",
        )
    return windows


@dataclass(frozen=True)
class RealTransitions:
    """What made transitions are compared with: embeddings [W, C], and the jerk curve [F - 3] of the same windows."""

    embeddings: Array
    curve: Array

    @property
    def mean_jerk(self) -> float:
        """What AUJ is measured against, metres a frame cubed."""
        return float(self.curve.mean())


def jerk_curve_of(data: EvaluationSet, windows: Sequence[Features]) -> Array:
    """Mean jerk at each frame of windows of equal length, [F - 3] metres a frame cubed."""
    return metrics.jerk_curve(np.stack([data.positions(rows) for rows in windows]))


def transition_scores(
    evaluator: FrozenEvaluator,
    data: EvaluationSet,
    windows: Sequence[Features],
    real: RealTransitions,
    rng: np.random.Generator,
) -> dict[str, float]:
    """One repetition of FID, diversity, peak jerk and area under jerk; jerk in metres a frame cubed at the set's fps."""
    embeddings, curve = evaluator.embed_motions(windows), jerk_curve_of(data, windows)
    return {
        "fid": metrics.fid(real.embeddings, embeddings),
        "diversity": motion_diversity(embeddings, rng),
        "peak_jerk": metrics.peak_jerk(curve),
        "area_under_jerk": metrics.area_under_jerk(curve, real.mean_jerk),
    }
