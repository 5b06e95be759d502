"""Everything that ``kmm-train evaluate`` measures on one model, its baselines, real motion and reconstructions.

``Measurement`` holds what is shared: the clips, their captions, the evaluator's embeddings. Each of its methods measures one
thing; ``measure`` calls them all. ``evaluation_report`` writes the results down.
Shapes: N clips, F frames, D features, C embedding width.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from math import degrees
from typing import Any

import numpy as np

from ..clip import MotionClip
from ..errors import KmmError
from ..motion.foot_contact import detect_contacts, foot_slide
from ..motion.representation import representation
from ..pipeline import MAX_SAMPLES, TextToMotion
from . import copying, geometry, metrics, scores, sequences
from .copying import Nearest
from .damage import DAMAGES, Damage
from .directional import directional_captions, directional_set
from .evaluation_set import EvaluationClip, EvaluationSet, Features
from .evaluator import FrozenEvaluator
from .metrics import Array, Interval
from .prompt_sets import action_prompts, side_prompts
from .scores import Embedded
from .starter_report import Judged, judge_prompts

REAL, RECONSTRUCTION = "real", "reconstruction"
OTHERS = "other recordings, reconstructed"
FADED, SPLICED = "stitched, cross-faded", "stitched, end to end"
BASELINES = "baselines"  # the stage that holds the time of all of them
# Repetitions of two seeds share no noise: of the generator's, so many belong to each seed of an evaluation.
_SEEDS_EACH = 1_000_000
# From here on they begin anew: ``scores`` makes a million seeds of each, and the generator's end at 2^63.
_NOISES = 9 * 10**12

# Opens a stage of so many steps; what it returns is called after each step.
Report = Callable[[str, int], Callable[[], None]]
Table = dict[str, dict[str, Interval]]


@dataclass(frozen=True)
class EvaluationPlan:
    """How much is measured.

    Attributes:
        repetitions: how often everything is generated and measured (published: 20, and 10 for sequences).
        clips: largest number of held-out clips, drawn at random; None takes all.
        directional: largest number of clips whose captions name a side or a turn.
        compositions: largest number of sequences of 32 prompts in each repetition.
        samples: number of samples of each prompt, for MultiModality (published: 30).
        prompts: number of prompts sampled for MultiModality (published: 100).
        copies: largest number of samples, and of recordings, in the search for copies.
        geometry: largest number of clips of each row that geometry judges.
        seed: of all random draws.
    """

    repetitions: int = 3
    clips: int | None = None
    directional: int | None = 256
    compositions: int = 9
    samples: int = 12
    prompts: int = 16
    copies: int = 400
    geometry: int = 300
    seed: int = 0

    def __post_init__(self):
        lowest = {
            "repetitions": 1,
            "clips": metrics.POOL,
            "directional": metrics.POOL,
            "compositions": 1,
            "samples": metrics.MULTIMODALITY_PAIRS,
            "prompts": 1,
            "copies": 2,
            "geometry": 1,
            "seed": 0,
        }
        for name, least in lowest.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise KmmError("bad_settings", f"{name}={value} is too small; expected at least {least}.")
        if self.samples > MAX_SAMPLES:
            raise KmmError(
                "bad_settings", f"samples={self.samples} is too large; expected at most {MAX_SAMPLES}."
            )


@dataclass
class Evaluation:
    """What was measured; rows are named REAL, RECONSTRUCTION, OTHERS, or as the model, a baseline, or a way of stitching.

    Attributes:
        name: of the model.
        info: of the model, see ``pipeline.PipelineInfo``.
        data: what it was measured on: kind, clips, frames a second, clips left out.
        plan: how much was measured.
        text: row -> figure -> interval, on single clips; OTHERS among the rows.
        sampling_fid: FID that newly generated motion gets from the number of clips alone, see
            ``metrics.fid_of_sampling``.
        damaged: as ``text``, for damaged held-out clips, see ``damage``; empty for features that don't hold the whole
            motion.
        directional: the same on captions that name a side or a turn; empty where there are too few.
        subsequences: the same on parts of sequences.
        transitions: the same on windows around the boundaries.
        curves: row -> mean jerk at each frame of these windows, metres a frame cubed.
        geometry: row -> figure -> number.
        actions: action -> row -> mean distance of text and motion.
        nearest: space -> distances to the nearest training clip.
        seconds: by stage; the baselines' time is under BASELINES.
        notes: what could not be measured, and why.
    """

    name: str
    info: dict[str, Any]
    data: dict[str, Any]
    plan: EvaluationPlan
    text: Table = field(default_factory=dict)
    sampling_fid: Interval | None = None
    damaged: Table = field(default_factory=dict)
    directional: Table = field(default_factory=dict)
    subsequences: Table = field(default_factory=dict)
    transitions: Table = field(default_factory=dict)
    curves: dict[str, Array] = field(default_factory=dict)
    geometry: dict[str, dict[str, float]] = field(default_factory=dict)
    actions: dict[str, dict[str, float]] = field(default_factory=dict)
    nearest: dict[str, Nearest] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Prompted:
    """Held-out clips with one caption each, and both in the evaluator's space.

    Attributes:
        clips: N.
        captions: for the model, N.
        text: embeddings of the captions, [N, C].
        motion: embeddings of the clips, [N, C].
    """

    clips: Sequence[EvaluationClip]
    captions: tuple[str, ...]
    text: Array
    motion: Array

    @property
    def meanings(self) -> list[str]:
        return [clip.meaning for clip in self.clips]

    def scored(self, motion: Array, rng: np.random.Generator) -> dict[str, float]:
        """One repetition for other motion of the same captions, [N, C]; FID is against the clips."""
        return scores.embedded_scores(Embedded(self.text, motion, self.motion, self.meanings), rng)


class Measurement:
    """The clips to measure on, their captions drawn and embedded once.

    Args:
        data: the evaluation set.
        evaluator: that of its features.
        plan: how much to measure.
        report: is told of every stage.
    """

    def __init__(self, data: EvaluationSet, evaluator: FrozenEvaluator, plan: EvaluationPlan, report: Report):
        self.evaluator, self.plan, self.report = evaluator, plan, report
        rng = np.random.default_rng(plan.seed)
        if plan.clips and plan.clips < len(data.clips):
            chosen = np.sort(rng.choice(len(data.clips), plan.clips, replace=False))
            data = data.with_clips([data.clips[index] for index in chosen])
        self.data = data
        self.lost = data.lost_frames
        self.prompted = self.prompt(data.clips, rng)
        self._train_embeddings: Array | None = None

    def rng(self, *numbers: int) -> np.random.Generator:
        """Random numbers of their own for each repetition and purpose."""
        return np.random.default_rng([self.plan.seed, *numbers])

    def noise(self, number: int) -> int:
        """The seed of generated motion for each repetition and purpose; see ``_SEEDS_EACH``."""
        return (self.plan.seed * _SEEDS_EACH + number) % _NOISES

    def prompt(self, clips: Sequence[EvaluationClip], rng: np.random.Generator) -> Prompted:
        """One caption of each clip, drawn, and the embeddings."""
        picks = [int(rng.integers(len(clip.captions))) for clip in clips]
        return Prompted(
            clips,
            tuple(clip.captions[pick] for clip, pick in zip(clips, picks, strict=True)),
            self.evaluator.embed_texts([clip.tagged[pick] for clip, pick in zip(clips, picks, strict=True)]),
            self.evaluator.embed_motions([clip.features for clip in clips]),
        )

    @property
    def train_embeddings(self) -> Array:
        """Embeddings of the training clips, [M, C]."""
        if self._train_embeddings is None:
            self._train_embeddings = self.evaluator.embed_motions([clip.features for clip in self.data.train])
        return self._train_embeddings

    def generate(self, pipeline: TextToMotion, prompted: Prompted, seed: int, stage: str) -> list[MotionClip]:
        """A clip for each caption, as long as the recording."""
        frames = [len(clip.features) + self.lost for clip in prompted.clips]
        advance = self.report(stage, len(frames))
        return scores.generate_clips(
            pipeline, prompted.captions, frames, self.noise(seed), advance, fps=self.data.fps
        )

    def encode(self, clips: Sequence[MotionClip]) -> list[Features]:
        """Features as the set has them."""
        return [self.data.encode(clip) for clip in clips]

    def embed(self, clips: Sequence[MotionClip]) -> Array:
        """[N, C]."""
        return self.evaluator.embed_motions(self.encode(clips))

    # -- one kind of figure each ------------------------------------------------------------------------------------

    def real_scores(self) -> dict[str, Interval]:
        """Held-out clips with their own captions; FID between them and as many training clips that show the same."""
        found = []
        for repetition in range(self.plan.repetitions):
            rng = self.rng(1, repetition)
            drawn = self._alike(rng)
            one = self.prompted.scored(self.prompted.motion, rng)
            one["fid"] = metrics.fid(self.prompted.motion, self.train_embeddings[drawn])
            found.append(one)
        return scores.intervals(found)

    def _alike(self, rng: np.random.Generator) -> list[int]:
        """For each held-out clip a training clip that shows the same, or one of the same source; their numbers."""
        train = self.data.train
        by_meaning, by_source = defaultdict(list), defaultdict(list)
        for index, clip in enumerate(train):
            by_meaning[_source(clip), clip.meaning].append(index)
            by_source[_source(clip)].append(index)
        return [
            rng.choice(
                by_meaning[_source(clip), clip.meaning] or by_source[_source(clip)] or range(len(train))
            )
            for clip in self.prompted.clips
        ]

    def others(self, pipeline: TextToMotion) -> dict[str, Interval]:
        """Training clips that show the same as the held-out ones, through the model's tokenizer and back: recorded
        motion that differs from them in what made motion cannot avoid. One draw.

        Raises:
            KmmError: as ``reconstructions``.
        """
        rng = self.rng(1, 0)  # the first draw of ``real_scores``
        drawn = [self.data.train[index] for index in self._alike(rng)]
        return scores.intervals(
            [self.prompted.scored(self.embed(self.reconstructions(pipeline, drawn)), rng)]
        )

    def reconstructions(self, pipeline: TextToMotion, recorded: Sequence[EvaluationClip]) -> list[MotionClip]:
        """Recordings through the model's tokenizer and back.

        Raises:
            KmmError: ``other_representation`` where the model was trained on other features than the set has.
        """
        import torch

        form = pipeline.representation
        if form.name != self.data.representation:
            raise KmmError(
                "other_representation",
                f"The model's features are {form.name}, the set's {self.data.representation}.",
                "Evaluate a model of these features to see its tokenizer's reconstructions.",
            )
        tokenizer = pipeline.bundle.tokenizer
        step = tokenizer.settings.frames_per_token
        advance = self.report("reconstruction", len(recorded))
        clips = []
        for clip in recorded:
            rows = np.ascontiguousarray(clip.features[: max(len(clip.features) // step, 1) * step])
            with torch.inference_mode():
                tokens = tokenizer.encode(torch.from_numpy(rows)[None].to(pipeline.device))
                decoded = tokenizer.decode(tokens)[0].float().cpu().numpy()
            clips.append(form.decode(decoded, form.fps))
            advance()
        return clips

    def damaged(self, spoil: Damage) -> list[MotionClip]:
        """The held-out clips, each spoiled in that way."""
        form = representation(self.data.representation)
        return [
            spoil(form.decode(clip.features, form.fps), self.rng(11, number))
            for number, clip in enumerate(self.data.clips)
        ]

    def repeated(self, motion: Array, number: int) -> dict[str, Interval]:
        """Scores of motion that is the same in every repetition; only pools and pairs are drawn again."""
        return scores.intervals(
            [
                self.prompted.scored(motion, self.rng(number, repetition))
                for repetition in range(self.plan.repetitions)
            ]
        )

    def multimodality(self, pipeline: TextToMotion, name: str, repetition: int) -> tuple[float, float]:
        """MultiModality, and the mean distance of the joints of two samples of a prompt, metres."""
        rng = self.rng(3, repetition)
        count = min(self.plan.prompts, len(self.prompted.clips))
        chosen = rng.choice(len(self.prompted.clips), count, replace=False)
        made = scores.generate_samples(
            pipeline,
            [self.prompted.captions[index] for index in chosen],
            [len(self.prompted.clips[index].features) + self.lost for index in chosen],
            self.plan.samples,
            self.noise(repetition),
            self.report(f"{name}: samples of one prompt", count),
            fps=self.data.fps,
        )
        embedded = np.stack([self.embed(clips) for clips in made])
        return metrics.multimodality(embedded, rng), float(np.mean([spread(clips) for clips in made]))

    def sequence_scores(
        self,
        make: Callable[[sequences.Composition, int], MotionClip],
        number: int,
        real: sequences.RealTransitions,
        rng: np.random.Generator,
    ) -> tuple[dict[str, float], dict[str, float], list[sequences.MadeSequence], Array]:
        """One repetition of made sequences.

        Args:
            make: (composition, seed) -> motion.
            number: of the repetition.
            real: real windows.
            rng: draws the pools.

        Returns:
            Scores of the sub-sequences, of the transitions, the sequences, and the jerk curve.
        """
        data, made, captions, clips = self.data, [], [], []
        for place, composition in enumerate(self.compositions(number)):
            ends = np.cumsum(composition.frames).tolist()
            clip = make(composition, number * self.plan.compositions + place)
            made.append(sequences.MadeSequence(clip, tuple(ends[:-1])))
            captions += composition.texts
            clips += composition.clips
        pieces = [piece for sequence in made for piece in sequences.sub_sequences(sequence, self.lost)]
        tagged = [clip.tagged[clip.captions.index(text)] for clip, text in zip(clips, captions, strict=True)]
        spans = sequences.spans_of(data)
        long = [len(clip.features) >= spans.shortest * data.fps for clip in data.clips]
        embedded = Embedded(
            self.evaluator.embed_texts(tagged),
            self.embed(pieces),
            self.prompted.motion[long],
            [clip.meaning for clip in clips],
        )
        frames = round(spans.window * data.fps) + self.lost
        windows = self.encode(
            [window for sequence in made for window in sequences.transitions(sequence, frames)]
        )
        return (
            scores.embedded_scores(embedded, rng),
            sequences.transition_scores(self.evaluator, data, windows, real, rng),
            made,
            sequences.jerk_curve_of(data, windows),
        )

    def compositions(self, repetition: int) -> list[sequences.Composition]:
        """The same for every model. The last prompt of each is longer by the frame that features lose."""
        drawn = sequences.compositions(
            self.data.clips,
            self.data.fps,
            self.plan.compositions,
            self.rng(4, repetition),
            spans=sequences.spans_of(self.data),
        )
        return [replace(one, frames=(*one.frames[:-1], one.frames[-1] + self.lost)) for one in drawn]

    def real_transitions(self) -> sequences.RealTransitions:
        """Windows of real motion."""
        windows = sequences.real_windows(self.data, self.rng(5))
        return sequences.RealTransitions(
            self.evaluator.embed_motions(windows), sequences.jerk_curve_of(self.data, windows)
        )

    def real_clips(self) -> list[MotionClip]:
        """The held-out clips as motion; none where the set's features hold no rotations that geometry could read."""
        if self.data.representation != "272":
            return []
        form = representation(self.data.representation)
        return [form.decode(clip.features, form.fps) for clip in self.data.clips]

    def copies(self, made: Sequence[MotionClip]) -> dict[str, Nearest]:
        """Distances of samples and of held-out clips to the nearest training clip."""
        count = min(self.plan.copies, len(self.data.clips))
        chosen = self.rng(6).choice(len(self.data.clips), count, replace=False)
        samples = self.encode([made[index] for index in chosen])
        held_out = [self.data.clips[index].features for index in chosen]
        train = [clip.features for clip in self.data.train]
        advance = self.report("copying", 2 * (1 + len(train) // 400))
        in_metres = [
            copying.nearest_window(queries, train, self.data.positions, self.data.fps, advance)
            for queries in (samples, held_out)
        ]
        embedded = [
            copying.nearest_embedding(queries, self.train_embeddings)
            for queries in (self.evaluator.embed_motions(samples), self.prompted.motion[chosen])
        ]
        return {
            "joint positions": Nearest(in_metres[0], in_metres[1], "m"),
            "the evaluator's space": Nearest(embedded[0], embedded[1], ""),
        }


def spread(clips: Sequence[MotionClip]) -> float:
    """Mean distance of the joints between two clips of equal length, seen from the body, metres."""
    poses = [copying.aligned_poses(clip.joint_positions()) for clip in clips]
    return float(
        np.mean([np.linalg.norm(first - second, axis=-1).mean() for first, second in combinations(poses, 2)])
    )


def _source(clip: EvaluationClip) -> str:
    return clip.name.rpartition("/")[0]


def geometry_row(clips: Sequence[MotionClip], labelled: Sequence[EvaluationClip]) -> dict[str, float]:
    """Feet, floor, jerk, and turns of motion that was made for, or is, the labelled clips."""
    if not clips:
        return {}
    slides = [slide for clip in clips if (slide := foot_slide(clip)) > 0]
    contacts = np.concatenate([detect_contacts(clip).any(-1) for clip in clips])
    row = {
        # Feet that never stand don't slide.
        "foot_slide": float(np.mean(slides)) if slides else 0.0,
        "contact": float(contacts.mean()),
        "floor_penetration": float(np.mean([geometry.floor_penetration(clip) for clip in clips])),
        "jerk": float(
            np.mean(np.concatenate([geometry.jerk(clip).mean(-1) for clip in clips if clip.num_frames > 3]))
        ),
    }
    angles = [
        (1 if clip.labels["turn"] == "left" else -1) * degrees(geometry.turn_angle(motion))
        for clip, motion in zip(labelled, clips, strict=True)
        if clip.labels.get("turn") in geometry.SIDES
    ]
    if angles:
        row |= {
            "turns": float(len(angles)),
            "turn_direction": float(np.mean(np.array(angles) > 0)),
            "turn_angle": float(np.median(angles)),
        }
    return row


def judged_row(sides: Sequence[Judged], actions: Sequence[Judged], bundle: str) -> dict[str, float]:
    """Shares of prompts that geometry finds acted as asked: all, and those that the bundle's data cover."""
    row = {"side_prompts": float(len(sides))}
    for name, judged in (("named_side", sides), ("action", actions)):
        covered = [item for item in judged if bundle in item.spec.covered]
        row[name] = float(np.mean([item.verdict.correct for item in judged]))
        row[f"{name}_covered"] = float(np.mean([item.verdict.correct for item in covered]))
    return row


def measure(
    models: dict[str, TextToMotion],
    data: EvaluationSet,
    evaluator: FrozenEvaluator,
    plan: EvaluationPlan = EvaluationPlan(),
    report: Report = lambda stage, total: lambda: None,
) -> Evaluation:
    """Measures everything.

    Args:
        models: name -> pipeline; the first is the model to evaluate, the others are baselines.
        data: held-out clips.
        evaluator: of the set's features.
        plan: how much.
        report: is told of every stage.

    Raises:
        KmmError: ``too_few_clips`` for less than 32 clips; whatever generating raises.
    """
    names = list(models)
    measurement = Measurement(data, evaluator, plan, report)
    data = measurement.data
    result = Evaluation(
        names[0],
        asdict(models[names[0]].info),
        {
            "kind": data.kind,
            "representation": data.representation,
            "fps": data.fps,
            "clips": len(data.clips),
            "minutes": sum(len(clip.features) for clip in data.clips) / data.fps / 60,
            "left_out": data.left_out,
        },
        plan,
    )
    clock = _Clock(result.seconds, result.name)
    first = _measure_clips(measurement, models, result, clock)
    _measure_directional(measurement, models, result, clock)
    made = {}
    with _noted(result, "sequences"):
        made = _measure_sequences(measurement, models, result, clock)
    _measure_geometry(measurement, models, result, first, made, clock)
    with _noted(result, "search for copies"):
        result.nearest = measurement.copies(first[names[0]])
    clock.lap("copying")
    return result


@contextmanager
def _noted(result: Evaluation, what: str) -> Iterator[None]:
    """Too few clips for one thing are no reason to lose the others."""
    try:
        yield
    except KmmError as error:
        if error.code != "too_few_clips":
            raise
        result.notes.append(f"No {what}: {error.message}")


class _Clock:
    """Seconds by stage, from one lap to the next; those of the baselines are summed up as one."""

    def __init__(self, seconds: dict[str, float], model: str):
        self.seconds, self.model, self.last = seconds, model, time.perf_counter()

    def lap(self, stage: str, model: str = "") -> None:
        now = time.perf_counter()
        stage = stage if model in ("", self.model) else BASELINES
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.last
        self.last = now


def _measure_clips(
    measurement: Measurement, models: dict[str, TextToMotion], result: Evaluation, clock: _Clock
) -> dict[str, list[MotionClip]]:
    """Single clips. Returns those of the first repetition by row, reconstructions among them."""
    plan, prompted = measurement.plan, measurement.prompted
    result.text[REAL] = measurement.real_scores()
    result.sampling_fid = metrics.interval(
        [
            metrics.fid_of_sampling(prompted.motion, measurement.rng(12, repetition))
            for repetition in range(plan.repetitions)
        ]
    )
    matched = {REAL: prompted.motion}
    first: dict[str, list[MotionClip]] = {}
    clock.lap("real motion")
    try:
        model = next(iter(models.values()))
        first[RECONSTRUCTION] = measurement.reconstructions(model, measurement.data.clips)
        matched[RECONSTRUCTION] = measurement.embed(first[RECONSTRUCTION])
        result.text[RECONSTRUCTION] = measurement.repeated(matched[RECONSTRUCTION], 2)
        result.text[OTHERS] = measurement.others(model)
    except KmmError as error:
        if error.code != "other_representation":
            raise
        result.notes.append(f"No reconstructions: {error.message}")
    clock.lap("reconstruction")
    if measurement.data.representation == "272":  # the one from which a clip comes back as it was
        advance = measurement.report("damaged recordings", len(DAMAGES))
        for number, (name, spoil) in enumerate(DAMAGES.items(), 20):
            result.damaged[name] = measurement.repeated(measurement.embed(measurement.damaged(spoil)), number)
            advance()
        clock.lap("damaged recordings")
    for name, pipeline in models.items():
        found, spreads = [], []
        for repetition in range(plan.repetitions):
            stage = f"{name}: clips, repetition {repetition + 1} of {plan.repetitions}"
            clips = measurement.generate(pipeline, prompted, repetition, stage)
            motion = measurement.embed(clips)
            one = prompted.scored(motion, measurement.rng(2, repetition))
            one["multimodality"], metres = measurement.multimodality(pipeline, name, repetition)
            found.append(one)
            spreads.append(metres)
            if repetition == 0:
                first[name], matched[name] = clips, motion
        result.text[name] = scores.intervals(found)
        result.geometry.setdefault(name, {})["sample_spread"] = float(np.mean(spreads))
        clock.lap(f"{name}: clips", name)
    result.actions = _by_action(prompted, matched)
    return first


def _by_action(prompted: Prompted, matched: dict[str, Array]) -> dict[str, dict[str, float]]:
    """Mean distance of text and motion for each action that at least five clips show."""
    members = defaultdict(list)
    for index, clip in enumerate(prompted.clips):
        if clip.labels.get("action"):
            members[clip.labels["action"]].append(index)
    return {
        action: {"clips": float(len(chosen))}
        | {
            row: metrics.matching_distance(prompted.text[chosen], motion[chosen])
            for row, motion in matched.items()
        }
        for action, chosen in sorted(members.items())
        if len(chosen) >= 5
    }


def _measure_directional(
    measurement: Measurement, models: dict[str, TextToMotion], result: Evaluation, clock: _Clock
) -> None:
    """The same figures on the captions that name a side or a turn."""
    subset = [clip for clip in measurement.data.clips if directional_captions(clip)]
    if len(subset) < metrics.POOL:
        result.notes.append(
            f"No directional benchmark: {len(subset)} clips have a caption that names a side or a turn; "
            f"{metrics.POOL} are needed."
        )
        return
    rng = measurement.rng(7)
    clips = directional_set(measurement.data).clips
    result.data["directional_clips"] = len(clips)
    if measurement.plan.directional and measurement.plan.directional < len(clips):
        chosen = np.sort(rng.choice(len(clips), measurement.plan.directional, replace=False))
        clips = [clips[index] for index in chosen]
    result.data["directional_measured"] = len(clips)
    prompted = measurement.prompt(clips, rng)
    repetitions = range(measurement.plan.repetitions)
    result.directional[REAL] = scores.intervals(
        [prompted.scored(prompted.motion, measurement.rng(8, repetition)) for repetition in repetitions]
    )
    for name, pipeline in models.items():
        found = []
        for repetition in repetitions:
            stage = f"{name}: directions, repetition {repetition + 1} of {len(repetitions)}"
            motion = measurement.embed(measurement.generate(pipeline, prompted, 100 + repetition, stage))
            found.append(prompted.scored(motion, measurement.rng(8, repetition)))
        result.directional[name] = scores.intervals(found)
        clock.lap("directional benchmark", name)


def _measure_sequences(
    measurement: Measurement, models: dict[str, TextToMotion], result: Evaluation, clock: _Clock
) -> dict[str, list[sequences.MadeSequence]]:
    """Sequences in one pass and stitched. Returns those of the first repetition by row."""
    plan, fps = measurement.plan, measurement.data.fps
    compositions = measurement.compositions(0)
    count, prompts = len(compositions), len(compositions[0].texts)
    if count * prompts < metrics.POOL:
        shortest = sequences.spans_of(measurement.data).shortest
        result.notes.append(f"No sequences: fewer than 32 held-out clips last {shortest:g} s.")
        return {}
    real = measurement.real_transitions()
    result.curves[REAL] = real.curve
    result.transitions[REAL] = {
        "diversity": metrics.interval([scores.motion_diversity(real.embeddings, measurement.rng(9))]),
        "peak_jerk": metrics.interval([metrics.peak_jerk(real.curve)]),
        "area_under_jerk": metrics.interval([metrics.area_under_jerk(real.curve, real.mean_jerk)]),
    }
    result.data["mean_jerk"] = real.mean_jerk
    result.data["window_seconds"] = sequences.spans_of(measurement.data).window
    result.data["compositions"] = [prompts] * count
    fade = 2 * round(sequences.FADE_SECONDS * fps / 2)
    first: dict[str, list[sequences.MadeSequence]] = {}

    def in_one_pass(pipeline: TextToMotion, advance: Callable[[], None]):
        def make(composition: sequences.Composition, seed: int) -> MotionClip:
            clip, _ = scores.generate_timeline(
                pipeline, composition.texts, composition.frames, measurement.noise(seed), fps=fps
            )
            advance()
            return clip

        return make

    def measured(name: str, make, repetition: int) -> None:
        parts, seams, made, curve = measurement.sequence_scores(
            make, repetition, real, measurement.rng(10, repetition)
        )
        found[name].append((parts, seams))
        curves[name].append(curve)
        if repetition == 0:
            first[name] = made

    found, curves = defaultdict(list), defaultdict(list)
    for repetition in range(plan.repetitions):
        for name, pipeline in models.items():
            measured(name, in_one_pass(pipeline, measurement.report(f"{name}: sequences", count)), repetition)
            clock.lap("sequences", name)
        pipeline = next(iter(models.values()))
        pieces = _pieces(measurement, pipeline, repetition, fade)
        faded = [sequences.stitch(own, fade) for own in pieces]
        spliced = [sequences.stitch(sequences.unfaded(own, fade)) for own in pieces]
        for name, clips in ((FADED, faded), (SPLICED, spliced)):
            measured(name, _in_turn(clips), repetition)
        clock.lap("sequences")
    for name, repetitions in found.items():
        result.subsequences[name] = scores.intervals([parts for parts, _ in repetitions])
        result.transitions[name] = scores.intervals([seams for _, seams in repetitions])
        result.curves[name] = np.mean(curves[name], axis=0)
    return first


def _in_turn(clips: Sequence[MotionClip]) -> Callable[..., MotionClip]:
    """Gives one after the other, in the order in which compositions are asked for."""
    rest = iter(clips)
    return lambda *_: next(rest)


def _pieces(
    measurement: Measurement, pipeline: TextToMotion, repetition: int, fade: int
) -> list[list[MotionClip]]:
    """The prompts of each composition generated alone."""
    made = measurement.compositions(repetition)
    advance = measurement.report("stitching: single prompts", sum(len(c.texts) for c in made))
    return [
        sequences.pieces(
            pipeline,
            composition.texts,
            composition.frames,
            measurement.noise(1000 * (repetition + 1) + place),
            advance,
            fps=measurement.data.fps,
            fade=fade,
        )
        for place, composition in enumerate(made)
    ]


def _measure_geometry(
    measurement: Measurement,
    models: dict[str, TextToMotion],
    result: Evaluation,
    first: dict[str, list[MotionClip]],
    sequences_made: dict[str, list[sequences.MadeSequence]],
    clock: _Clock,
) -> None:
    """What bodies do, without a network."""
    clips = measurement.data.clips
    count = min(measurement.plan.geometry, len(clips))
    chosen = measurement.rng(11).choice(len(clips), count, replace=False)
    result.data["geometry_clips"] = count
    recorded = measurement.real_clips()
    rows = ({REAL: recorded} if recorded else {}) | first
    for name, motion in rows.items():
        row = geometry_row([motion[index] for index in chosen], [clips[index] for index in chosen])
        result.geometry.setdefault(name, {}).update(row)
    half = round(measurement.data.fps / 2)
    for name, made in sequences_made.items():
        # Jerk needs four frames, the first three of which are no value of it.
        seams = [
            geometry.jerk(sequence.clip.slice(max(boundary - half - 1, 0), boundary + half + 2)).mean()
            for sequence in made
            for boundary in sequence.boundaries
        ]
        result.geometry.setdefault(name, {})["seam_jerk"] = float(np.mean(seams))
    for name, pipeline in models.items():
        prompts = (side_prompts(), action_prompts())
        advance = measurement.report(f"{name}: prompts judged by geometry", sum(map(len, prompts)))
        sides, actions = (judge_prompts(pipeline, specs, advance) for specs in prompts)
        free = "NC" not in pipeline.info.licence
        result.geometry[name] |= judged_row(sides, actions, "starter" if free else "starter-nc")
        clock.lap("geometry", name)
    order = [*result.text, *result.geometry]
    result.geometry = {
        name: result.geometry[name] for name in dict.fromkeys(order) if name in result.geometry
    }
