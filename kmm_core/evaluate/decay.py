"""Memory decay: is the 64th prompt of a timeline served as well as the first? (KMM's claim, section 1.)

Sub-sequences are scored by their place in timelines of 1, 4, 16, 32 and 64 prompts. Each length is scored at its last places
(33 to 64 in timelines of 64), which no shorter timeline has. Every bin of places gets the same prompts, in another order, so
that bins differ in nothing but the place. Shapes: F frames, D features, C embedding width.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from ..clip import MotionClip
from ..errors import KmmError
from ..motion.representation import Representation
from ..pipeline import TextToMotion
from ..train.compositions import join
from . import metrics
from .directional import directions
from .evaluation_set import EvaluationSet, Features
from .evaluator import FrozenEvaluator
from .scores import Embedded, embedded_scores, generate_timeline
from .sequences import FADE_SECONDS, MadeSequence, pieces, stitch, sub_sequences

# First and last place, counted from 1; the last is also the length of the timelines.
BINS = ((1, 1), (2, 4), (5, 16), (17, 32), (33, 64))
MIN_SECONDS, MAX_SECONDS = 2.0, 5.0  # of a prompt; what is longer is cut
SCORES = ("r_precision_3", "fid", "mm_dist", "direction")
ORDERS = 10  # of the pools of R-precision


@dataclass(frozen=True)
class Asked:
    """Prompts: the text for the model, the text for the evaluator, their meanings, and the recordings of ``frames`` each."""

    texts: tuple[str, ...]
    tagged: tuple[str, ...]
    frames: tuple[int, ...]
    meanings: tuple[str, ...]
    recorded: tuple[Features, ...]

    def pick(self, chosen: Sequence[int]) -> Asked:
        """Some of them, in that order."""
        return Asked(*(tuple(getattr(self, part.name)[index] for index in chosen) for part in fields(self)))


@dataclass(frozen=True)
class Method:
    """A way to make timelines.

    Attributes:
        make: prompts in order, seed -> the sub-sequences, one a prompt.
        alone: whether a prompt is made without those before its neighbour; they need not be made then.
    """

    make: Callable[[Asked, int], list[MotionClip]]
    alone: bool = False


@dataclass(frozen=True)
class DecayPlan:
    """How much is measured.

    Attributes:
        count: sub-sequences in each bin; every bin's number of places must divide it.
        repetitions: each with other prompts and seeds.
        bins: see ``BINS``.
        seed: of all random draws.
    """

    count: int = 192
    repetitions: int = 2
    bins: tuple[tuple[int, int], ...] = BINS
    seed: int = 0

    def __post_init__(self):
        step = math.lcm(*(last - first + 1 for first, last in self.bins))
        if self.count < metrics.POOL or self.count % step or self.repetitions < 1:
            least = -(-metrics.POOL // step) * step
            raise KmmError(
                "bad_settings",
                f"count={self.count}, repetitions={self.repetitions}: count must be a multiple of {step}, "
                f"{least} or more, and repetitions at least 1.",
                f"Use a count of {least} or {2 * least}.",
            )


@dataclass(frozen=True)
class Decay:
    """What was measured.

    Attributes:
        plan: how much.
        scores: method -> figure of ``SCORES`` -> one row a bin of one value a repetition.
        real: the recordings of the same prompts, figure -> one value a repetition. ``direction`` is missing in both where
            the captions of a repetition name no side.
    """

    plan: DecayPlan
    scores: dict[str, dict[str, list[list[float]]]]
    real: dict[str, list[float]]


def one_pass(pipeline: TextToMotion, fps: float, lost: int = 0) -> Method:
    """All prompts of a timeline through the model at once; each ``lost`` frames longer than asked, which features lose."""

    def make(asked: Asked, seed: int) -> list[MotionClip]:
        frames = (*asked.frames[:-1], asked.frames[-1] + lost)
        clip, boundaries = generate_timeline(pipeline, asked.texts, frames, seed, fps=fps)
        return sub_sequences(MadeSequence(clip, tuple(boundaries)), lost)

    return Method(make)


def piece_by_piece(pipeline: TextToMotion, fps: float, lost: int = 0) -> Method:
    """Every prompt alone, the pieces cross-faded; ``lost`` as for ``one_pass``."""
    fade = 2 * round(FADE_SECONDS * fps / 2)

    def make(asked: Asked, seed: int) -> list[MotionClip]:
        frames = (*asked.frames[:-1], asked.frames[-1] + lost)
        clip = stitch(pieces(pipeline, asked.texts, frames, seed, fps=fps, fade=fade), fade)
        return sub_sequences(MadeSequence(clip, tuple(np.cumsum(frames)[:-1].tolist())), lost)

    return Method(make, alone=True)


def recordings_joined(form: Representation, lost: int = 0) -> Method:
    """The recordings of the prompts, joined as training timelines are: what a figure loses by the joins alone; ``lost`` as
    for ``one_pass``, but for the last."""

    def make(asked: Asked, seed: int) -> list[MotionClip]:
        rows, boundaries = asked.recorded[0], []
        for following in asked.recorded[1:]:
            end = len(rows)
            rows, faded, _ = join(rows, following, form)
            boundaries.append(end - faded)
        return sub_sequences(MadeSequence(form.decode(rows, form.fps), tuple(boundaries)), lost)

    return Method(make, alone=True)


def measure_decay(
    methods: dict[str, Method],
    data: EvaluationSet,
    evaluator: FrozenEvaluator,
    plan: DecayPlan,
    report: Callable[[str, int], Callable[[], None]] = lambda stage, total: lambda: None,
) -> Decay:
    """Scores of every bin for every method.

    Args:
        methods: by name.
        data: held-out clips, whose captions and lengths are asked for.
        evaluator: that of their features.
        plan: how much.
        report: is told of every stage and its number of timelines; what it returns is called after each.

    Raises:
        KmmError: ``too_few_clips`` where no clip is long enough.
    """
    everything = evaluator.embed_motions([clip.features for clip in data.clips])
    found: dict[str, dict[str, list[list[float]]]] = {
        name: {score: [[] for _ in plan.bins] for score in SCORES} for name in methods
    }
    real: dict[str, list[float]] = {score: [] for score in SCORES}
    for repetition in range(plan.repetitions):
        rng = np.random.default_rng([plan.seed, repetition])
        asked = draw_prompts(data, plan.count, rng)
        score = partial(_scores, evaluator=evaluator, asked=asked, everything=everything)
        _append(real, score(evaluator.embed_motions(asked.recorded)))
        for place, (first, last) in enumerate(plan.bins):
            timelines = plan_timelines(plan.count, first, last, rng)
            for name, method in methods.items():
                advance = report(f"{name}: {last} prompts, repetition {repetition + 1}", len(timelines))
                motions: dict[int, np.ndarray] = {}
                for number, timeline in enumerate(timelines):
                    seed = plan.seed + 1000 * (repetition * len(plan.bins) + place) + number
                    before = min(first - 1, 1) if method.alone else first - 1
                    chosen = timeline[first - 1 - before :]
                    clips = method.make(asked.pick(chosen), seed)
                    for index, clip in list(zip(chosen, clips, strict=True))[before:]:
                        motions[index] = data.encode(clip)
                    advance()
                embedded = evaluator.embed_motions([motions[index] for index in range(plan.count)])
                for figure, value in score(embedded).items():
                    found[name][figure][place].append(value)
    if np.isnan(real["direction"]).any():
        for figures in (real, *found.values()):
            del figures["direction"]
    return Decay(plan, found, real)


def draw_prompts(data: EvaluationSet, count: int, rng: np.random.Generator) -> Asked:
    """``count`` held-out clips with a caption of each; clips come again where there are fewer.

    Raises:
        KmmError: ``too_few_clips``.
    """
    usable = [clip for clip in data.clips if len(clip.features) >= MIN_SECONDS * data.fps]
    if not usable:
        raise KmmError(
            "too_few_clips",
            f"No held-out clip lasts {MIN_SECONDS:g} s.",
            "Evaluate on more and longer clips.",
        )
    rounds = -(-count // len(usable))
    order = np.concatenate([rng.permutation(len(usable)) for _ in range(rounds)])[:count]
    clips = [usable[index] for index in order]
    picks = [int(rng.integers(len(clip.captions))) for clip in clips]
    frames = [min(len(clip.features), round(MAX_SECONDS * data.fps)) for clip in clips]
    return Asked(
        tuple(clip.captions[pick] for clip, pick in zip(clips, picks, strict=True)),
        tuple(clip.tagged[pick] for clip, pick in zip(clips, picks, strict=True)),
        tuple(frames),
        tuple(clip.meaning for clip in clips),
        tuple(clip.features[:length] for clip, length in zip(clips, frames, strict=True)),
    )


def plan_timelines(count: int, first: int, last: int, rng: np.random.Generator) -> list[list[int]]:
    """Timelines of ``last`` prompts whose places ``first`` to ``last`` hold every prompt 0 to ``count - 1`` once.

    What stands before is drawn at random.
    """
    order = rng.permutation(count).reshape(-1, last - first + 1)
    return [rng.integers(count, size=first - 1).tolist() + row.tolist() for row in order]


def swap_sides(text: str) -> str:
    """The text with left and right, clockwise and counterclockwise, in each other's place."""
    other = {"left": "right", "right": "left", "clockwise": "counterclockwise"}

    def swapped(match: re.Match[str]) -> str:
        return other.get(match[0].lower(), "clockwise")

    return re.sub(
        r"\b(?:left|right|(?:counter|anti)[- ]?clockwise|clockwise)", swapped, text, flags=re.IGNORECASE
    )


def _scores(
    motion: np.ndarray, *, evaluator: FrozenEvaluator, asked: Asked, everything: np.ndarray
) -> dict[str, float]:
    """``SCORES`` of the motion of all prompts, [N, C]. ``direction``: share of the captions with a side that are nearer to
    their motion than the same caption with the sides swapped."""
    text = evaluator.embed_texts(asked.tagged)
    embedded = Embedded(text, motion, everything, asked.meanings)
    made = [embedded_scores(embedded, np.random.default_rng(number)) for number in range(ORDERS)]
    result = {name: float(np.mean([one[name] for one in made])) for name in SCORES if name != "direction"}
    sided = [number for number, caption in enumerate(asked.texts) if "side" in directions(caption)]
    sided = [number for number in sided if swap_sides(asked.tagged[number]) != asked.tagged[number]]
    if sided:
        wrong = evaluator.embed_texts([swap_sides(asked.tagged[number]) for number in sided])
        own = np.linalg.norm(text[sided] - motion[sided], axis=-1)
        result["direction"] = float((own < np.linalg.norm(wrong - motion[sided], axis=-1)).mean())
    else:
        result["direction"] = float("nan")
    return result


def _append(columns: dict[str, list[float]], row: dict[str, float]) -> None:
    for name, value in row.items():
        columns[name].append(value)
