"""Measures a released bundle against the figures to reach: nothing here is typed in, everything is measured.

``measure_bundle`` returns ``BundleFigures``; ``results_page`` writes them down. Geometry judges the motion.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from math import degrees
from pathlib import Path
from typing import Any

import numpy as np

from ..clip import MotionClip
from ..errors import KmmError
from ..motion.foot_contact import detect_contacts, foot_slide
from ..timeline import Prompt, Timeline
from . import geometry
from .prompt_sets import (
    PACES,
    PromptSpec,
    action_prompts,
    arm_prompts,
    at_once_prompts,
    captions_among,
    every_prompt,
    pace_prompts,
    side_prompts,
    stop_prompts,
    straight_prompts,
    together_prompts,
    unfamiliar_prompts,
    up_again_prompts,
)
from .verdicts import JUDGES, Verdict, goes_straight, judge, stands_still, stays_down

FPS = 30.0
# Seconds of each prompt where prompts follow one another, and how many timelines of how many prompts.
SEGMENT_SECONDS, SEQUENCES, SEQUENCE_PROMPTS = 4.0, 12, 6
# Lengths in seconds that the cost is measured at.
LENGTHS = (10, 30, 60, 150, 300, 600)
ODD_FRAMES = (8, 9, 10, 11, 13, 31, 61, 149, 301)


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        what: what was measured.
        target: what was to be reached, "" for rows that only inform.
        measured: the numbers, in words.
        passed: whether the target is reached; None without one.
        values: the numbers for programs.
    """

    what: str
    target: str
    measured: str
    passed: bool | None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """A prompt, its motion and the verdict. ``side_alone``: the named side is right, whatever the action."""

    spec: PromptSpec
    seed: int
    clip: MotionClip
    verdict: Verdict
    side_alone: bool


@dataclass(frozen=True)
class BundleFigures:
    """Everything measured on one bundle."""

    name: str
    info: dict[str, Any]
    figures: list[Figure]
    judged: list[Judged]
    sequences: list[tuple[Timeline, MotionClip]]


@dataclass(frozen=True)
class RealMotion:
    """Measured on recordings: jerk in m/s^3, slide in m/s, depth in m, contact as a part of all frames."""

    jerk: float
    slide: float
    contact: float
    depth: float


def timeline_of(texts: Sequence[str], seconds: Sequence[float]) -> Timeline:
    """Prompts one after the other."""
    ends = np.cumsum([round(length * FPS) for length in seconds]).tolist()
    return Timeline(
        fps=FPS, prompts=tuple(Prompt(text, a, b) for text, (a, b) in zip(texts, pairwise([0, *ends])))
    )


def real_motion(clips: Sequence[MotionClip]) -> RealMotion:
    """Measures recordings: the mean jerk of every 1 s window inside them, foot slide, depth under the floor."""
    windows = [
        geometry.windowed_jerk(clip, frame)
        for clip in clips
        for frame in range(round(FPS / 2), clip.num_frames - round(FPS / 2), round(FPS / 2))
    ]
    if not windows:
        raise KmmError(
            "no_real_motion",
            f"None of the {len(clips)} held-out clips is longer than 1 s, so there is nothing to compare with.",
            "Prepare the data again with `kmm-train prepare`.",
        )
    return RealMotion(
        jerk=float(np.mean(windows)),
        slide=_mean_slide(clips),
        contact=_contact_share(clips),
        depth=float(np.mean([geometry.floor_penetration(clip) for clip in clips])),
    )


def _mean_slide(clips: Sequence[MotionClip]) -> float:
    """Mean over clips in which a foot stands at all, m/s."""
    slides = [slide for clip in clips if (slide := foot_slide(clip)) > 0]
    return float(np.mean(slides)) if slides else 0.0


def _contact_share(clips: Sequence[MotionClip]) -> float:
    """Part of the frames in which some foot stands."""
    return float(np.mean(np.concatenate([detect_contacts(clip).any(-1) for clip in clips])))


def judge_prompts(pipeline, specs: Sequence[PromptSpec], progress: Callable[[], None]) -> list[Judged]:
    """Generates every prompt by itself, seeded by its place in the list, and judges it."""
    result = []
    for seed, spec in enumerate(specs):
        clip = pipeline.generate(timeline_of([spec.text], [spec.seconds]), seed=seed).clips[0]
        verdict = judge(spec, clip)
        # A hand that goes up without a wave is the wrong action on the right side.
        alone = verdict.correct or (
            spec.judge == "waves" and judge(replace(spec, judge="raises hand"), clip).correct
        )
        result.append(Judged(spec, seed, clip, verdict, alone))
        progress()
    return result


def _share(judged: Sequence[Judged]) -> float:
    return float(np.mean([item.verdict.correct for item in judged])) if judged else 0.0


def _by_family(judged: Sequence[Judged]) -> dict[str, str]:
    families = dict.fromkeys(item.spec.judge for item in judged)
    return {
        name: f"{sum(item.verdict.correct for item in judged if item.spec.judge == name)} of "
        f"{sum(item.spec.judge == name for item in judged)}"
        for name in families
    }


def side_figure(judged: Sequence[Judged], bundle: str, noncommercial: bool) -> Figure:
    """Named side over the 200 prompts, and over those that the bundle's own data cover."""
    covered = [item for item in judged if bundle in item.spec.covered]
    everything, on_covered = _share(judged), _share(covered)
    alone = float(np.mean([item.side_alone for item in judged]))
    counted, target = (everything, 0.97) if noncommercial else (on_covered, 0.90)
    families = _by_family(judged)
    return Figure(
        "named side and action, 200 prompts",
        f">= {target:.0%}" + ("" if noncommercial else " on what its data cover"),
        f"{everything:.1%} of {len(judged)}; {on_covered:.1%} of the {len(covered)} its data cover; side alone {alone:.1%} "
        f"({', '.join(f'{name} {value}' for name, value in families.items())})",
        counted >= target,
        {"all": everything, "covered": on_covered, "side_alone": alone, "families": families},
    )


def action_figure(judged: Sequence[Judged], bundle: str) -> Figure:
    """Action asked is action shown."""
    covered = [item for item in judged if bundle in item.spec.covered]
    families = _by_family(judged)
    return Figure(
        "action asked is action shown, 100 paraphrases",
        ">= 90%",
        f"{_share(judged):.0%} of {len(judged)}; {_share(covered):.1%} of the {len(covered)} its data cover "
        f"({', '.join(f'{name} {value}' for name, value in families.items())})",
        _share(judged) >= 0.9,
        {"all": _share(judged), "covered": _share(covered), "families": families},
    )


# Times the length that the paraphrases are asked for elsewhere.
OTHER_LENGTHS = (0.5, 2.0, 5.0)


def other_lengths_figure(pipeline, specs: Sequence[PromptSpec], bundle: str) -> Figure:
    """Action asked is action shown, at lengths that the recordings of an action may not have."""
    shares, said = {}, []
    for times in OTHER_LENGTHS:
        judged = judge_prompts(
            pipeline, [replace(spec, seconds=spec.seconds * times) for spec in specs], lambda: None
        )
        covered = [item for item in judged if bundle in item.spec.covered]
        wrong = Counter(item.spec.judge for item in judged if not item.verdict.correct)
        most = ", ".join(f"{name} {count}" for name, count in wrong.most_common(4))
        said.append(
            f"{times:g} times as long: {_share(judged):.0%}, {_share(covered):.1%} of what its data cover (most often wrong: {most})"
        )
        shares[f"{times:g}"] = {"all": _share(judged), "covered": _share(covered), "wrong": dict(wrong)}
    return Figure("the same paraphrases at other lengths", "", "; ".join(said), None, shares)


def _right_by_judge(pipeline, specs: Sequence[PromptSpec], samples: int) -> dict[str, list[bool]]:
    """Whether each sample of each prompt, made by itself, is what was asked; by judge."""
    right: dict[str, list[bool]] = {}
    for seed, spec in enumerate(specs):
        made = pipeline.generate(timeline_of([spec.text], [spec.seconds]), seed=seed, samples=samples)
        right.setdefault(spec.judge, []).extend(judge(spec, clip).correct for clip in made.clips)
    return right


ACTION_SAMPLES = 8  # of each paraphrase


def many_samples_figure(pipeline, specs: Sequence[PromptSpec]) -> Figure:
    """Action asked is action shown, in many samples of each paraphrase: one of each says little of a single action."""
    right = _right_by_judge(pipeline, specs, ACTION_SAMPLES)
    shares = {name: float(np.mean(found)) for name, found in right.items()}
    seldom = ", ".join(
        f"{name} {share:.0%} of {len(right[name])}"
        for name, share in sorted(shares.items(), key=lambda item: item[1])
        if share < 0.9
    )
    together = [correct for found in right.values() for correct in found]
    return Figure(
        f"the same paraphrases, {ACTION_SAMPLES} samples each",
        "",
        f"{np.mean(together):.1%} of {len(together)}; below 90%: {seldom or 'none'}",
        None,
        {"all": float(np.mean(together)), **shares},
    )


ARM_SAMPLES = 8  # of each prompt
LONG_ARM_SECONDS = 4.0  # longer than recorded raises; each side by itself (docs/decisions/0040)
# What stands before a raised arm: the demo's timeline, in which weights differed that did not alone (docs/decisions/0023).
BEFORE = (("a person walks forward", 4.0), ("a person turns left", 3.0))


def arm_figure(pipeline, specs: Sequence[PromptSpec]) -> Figure:
    """How often an arm goes as high as asked or is the one that punches, and how often it goes up high after other prompts."""
    right = _right_by_judge(pipeline, specs, ARM_SAMPLES)
    texts, seconds = zip(*BEFORE)
    for seed, side in enumerate(geometry.SIDES):
        spec = PromptSpec(f"a person raises the {side} arm", "raises high", 3.0, side)
        timeline = timeline_of([*texts, spec.text], [*seconds, spec.seconds])
        made = pipeline.generate(timeline, seed=seed, samples=2 * ARM_SAMPLES)
        last = (clip.slice(timeline.prompts[-1].start, timeline.num_frames) for clip in made.clips)
        right.setdefault("last of three prompts, no height named: high", []).extend(
            judge(spec, clip).correct for clip in last
        )
        alone = pipeline.generate(
            timeline_of([spec.text], [LONG_ARM_SECONDS]), seed=seed, samples=2 * ARM_SAMPLES
        )
        right[f"{side} arm for {LONG_ARM_SECONDS:g} s, no height named: high"] = [
            judge(spec, clip).correct for clip in alone.clips
        ]
    return Figure(
        "the named arm does as asked",
        "",
        "; ".join(f"{name} {np.mean(found):.0%} of {len(found)} samples" for name, found in right.items()),
        None,
        {name: float(np.mean(found)) for name, found in right.items()},
    )


STRAIGHT_SAMPLES = 4  # of each sentence
STRAIGHT_SECONDS = (4.0, 10.0, 20.0)


def straight_figure(pipeline, specs: Sequence[PromptSpec]) -> Figure:
    """How often who is to go on in one direction does what was asked in a straight line, without a stop."""
    said, shares = [], {}
    for seconds in STRAIGHT_SECONDS:
        right: dict[str, list[bool]] = {}
        for seed, spec in enumerate(specs):
            made = pipeline.generate(timeline_of([spec.text], [seconds]), seed=seed, samples=STRAIGHT_SAMPLES)
            right.setdefault(spec.judge, []).extend(
                judge(spec, clip).correct and goes_straight(clip).correct for clip in made.clips
            )
        together = [correct for found in right.values() for correct in found]
        found = ", ".join(f"{name} {sum(found)} of {len(found)}" for name, found in right.items())
        said.append(f"{seconds:g} s: {np.mean(together):.0%} ({found})")
        shares[f"{seconds:g}"] = {
            "all": float(np.mean(together)),
            "families": {name: float(np.mean(found)) for name, found in right.items()},
        }
    return Figure("goes straight on as asked, for", "", "; ".join(said), None, shares)


TURN_SECONDS = (4.0, 6.0)
TURN_SAMPLES = 2
# Degrees of one turn: from a corner to one that goes a little beyond the way back.
ONE_TURN = (45.0, 200.0)


def turn_figure(pipeline, specs: Sequence[PromptSpec]) -> Figure:
    """How far who is to turn once turns, to the named side: a turn that lasts as long as its prompt goes round and round."""
    said, values = [], {}
    for seconds in TURN_SECONDS:
        angles = np.array(
            [
                (1 if spec.side == "left" else -1) * degrees(geometry.turn_angle(clip))
                for seed, spec in enumerate(specs)
                for clip in pipeline.generate(
                    timeline_of([spec.text], [seconds]), seed=seed, samples=TURN_SAMPLES
                ).clips
            ]
        )
        share = float(np.mean((angles > ONE_TURN[0]) & (angles < ONE_TURN[1])))
        low, middle, high = np.quantile(angles, (0.1, 0.5, 0.9))
        said.append(
            f"{seconds:g} s: {middle:.0f} degrees (median; a tenth under {low:.0f}, a tenth over {high:.0f}), "
            f"{share:.0%} of {len(angles)} samples between {ONE_TURN[0]:g} and {ONE_TURN[1]:g}"
        )
        values[f"{seconds:g}"] = {
            "median": float(middle),
            "low": float(low),
            "high": float(high),
            "once": share,
        }
    return Figure("turns once, and how far, when given", "", "; ".join(said), None, values)


PACE_SAMPLES = 8  # of each sentence
ON_THE_WAY = ("walks forward", "walks backward", "side-steps", "turns either way")


def pace_figure(pipeline, specs: Sequence[Mapping[str, PromptSpec]]) -> Figure:
    """How fast what is asked "slowly" and "quickly" moves against the same sentence without, of those who go somewhere and of
    those who do something once, and how often it is still shown."""
    found: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for seed, said in enumerate(specs):
        made = {
            pace: pipeline.generate(
                timeline_of([spec.text], [spec.seconds]), seed=seed, samples=PACE_SAMPLES
            ).clips
            for pace, spec in said.items()
        }
        usual = np.median([geometry.pace(clip) for clip in made[""]])
        kind = "who goes somewhere" if said[""].judge in ON_THE_WAY else "who does something once"
        for pace in PACES:
            found.setdefault((kind, pace), []).extend(
                (geometry.pace(clip) / usual, judge(said[pace], clip).correct) for clip in made[pace]
            )
    shares: dict[str, dict[str, dict[str, float]]] = {}
    for (kind, pace), samples in found.items():
        shares.setdefault(kind, {})[pace] = {
            "times": float(np.median([times for times, _ in samples])),
            "as asked": float(
                np.mean([times > 1 if pace == "quickly" else times < 1 for times, _ in samples])
            ),
            "shown": float(np.mean([correct for _, correct in samples])),
        }
    said_of = (
        f"{kind}: "
        + ", ".join(
            f"{pace} {share['times']:.2f} x as fast ({share['as asked']:.0%} are {'quicker' if pace == 'quickly' else 'slower'}; "
            f"action shown {share['shown']:.0%})"
            for pace, share in paces.items()
        )
        + f" of {len(found[kind, PACES[0]])} samples each"
        for kind, paces in shares.items()
    )
    return Figure(
        "slowly and quickly, against the same sentence without", "", "; ".join(said_of), None, shares
    )


UP_AGAIN_SAMPLES = 8  # of each pair


def up_again_figure(pipeline, pairs: Sequence[tuple[PromptSpec, PromptSpec]]) -> Figure:
    """How often who sits down or lies down after one prompt gets up after the next, and stays up."""
    found: dict[str, list[tuple[bool, bool]]] = {}
    for seed, (down, up) in enumerate(pairs):
        timeline = timeline_of([down.text, up.text], [down.seconds, up.seconds])
        told = timeline.prompts[1].start
        for clip in pipeline.generate(timeline, seed=seed, samples=UP_AGAIN_SAMPLES).clips:
            parts = judge(down, clip.slice(0, told)), judge(up, clip.slice(told, clip.num_frames))
            found.setdefault(down.judge, []).append((parts[0].correct, parts[1].correct))
    shares = {
        name: {
            "both": float(np.mean([all(pair) for pair in samples])),
            "down": float(np.mean([down for down, _ in samples])),
            "up": float(np.mean([up for _, up in samples])),
        }
        for name, samples in found.items()
    }
    return Figure(
        "two prompts, down and up again",
        "",
        "; ".join(
            f"{name} {share['down']:.0%}, then gets up {share['up']:.0%}, both {share['both']:.0%} of {len(found[name])} samples"
            for name, share in shares.items()
        ),
        None,
        shares,
    )


GAP_SECONDS, GAP_SAMPLES = (2.0, 4.0, 8.0), 8
GAP_EDGE = 0.7  # seconds at both ends of a gap, in which the body comes to rest or sets off
DOWN_BEFORE = (("stays sitting", "a person sits down", 3.0), ("stays lying", "a person lies down", 6.0))


def gap_figure(pipeline) -> Figure:
    """How often somebody stands still where no prompt asks for anything, between a walk and a raised arm; and stays down
    there after sitting or lying down."""
    shares = {}
    edge = round(GAP_EDGE * FPS)
    for seconds in GAP_SECONDS:
        right = []
        for seed, side in enumerate(geometry.SIDES):
            gaps = _gaps(pipeline, "a person walks forward", 3.0, seconds, side, seed)
            right += [stands_still(gap.slice(edge, gap.num_frames - edge)).correct for gap in gaps]
        shares[f"{seconds:g}"] = float(np.mean(right))
    said = ", ".join(f"{share:.0%} in {seconds} s" for seconds, share in shares.items())
    for name, text, lasts in DOWN_BEFORE:
        gaps = [
            gap
            for seed, side in enumerate(geometry.SIDES)
            for gap in _gaps(pipeline, text, lasts, GAP_SECONDS[1], side, seed)
        ]
        shares[name] = float(
            np.mean([stays_down(gap.slice(0, gap.num_frames - edge)).correct for gap in gaps])
        )
        said += f", {name} {shares[name]:.0%} in {GAP_SECONDS[1]:g} s"
    return Figure(
        "stands still in a gap between two prompts, or stays down",
        "",
        f"{said}, of {len(right)} samples each",
        None,
        shares,
    )


def _gaps(pipeline, text: str, lasts: float, seconds: float, side: str, seed: int) -> list[MotionClip]:
    """What somebody does in a gap of so many seconds after the text and before an arm is raised."""
    first = Prompt(text, 0, round(lasts * FPS))
    start = first.end + round(seconds * FPS)
    arm = Prompt(f"a person raises the {side} arm", start, start + round(3 * FPS))
    made = pipeline.generate(Timeline(FPS, (first, arm)), seed=seed, samples=GAP_SAMPLES)
    return [clip.slice(first.end, arm.start) for clip in made.clips]


AFTER_DOWN = (
    PromptSpec("a person walks forward", "walks forward", 5.0),
    *(PromptSpec(f"a person raises the {side} arm", "raises hand", 5.0, side) for side in geometry.SIDES),
)


def rise_figure(pipeline) -> Figure:
    """How long who sat or lay down takes to come up where the next prompt asks for something else and not for getting up, and
    how often that is shown."""
    shares, said = {}, []
    for name, down, lasts in (("a seat", *DOWN_BEFORE[0][1:]), ("the floor", *DOWN_BEFORE[1][1:])):
        right, seconds = [], []
        for seed, spec in enumerate(AFTER_DOWN):
            timeline = timeline_of([down, spec.text], [lasts, spec.seconds])
            for clip in pipeline.generate(timeline, seed=seed, samples=GAP_SAMPLES).clips:
                then = clip.slice(timeline.prompts[1].start, timeline.num_frames)
                right.append(judge(spec, then).correct)
                seconds.append(geometry.rise_seconds(then))
        risen = [value for value in seconds if value is not None]
        took = float(np.median(risen)) if risen else None
        shares[name] = {"seconds": took, "risen": len(risen) / len(seconds), "shown": float(np.mean(right))}
        how = "never" if took is None else f"{took:.2f} s for the middle half of the way"
        said.append(
            f"from {name} {how} ({len(risen)} of {len(seconds)} samples), what was asked shown {np.mean(right):.0%}"
        )
    return Figure(
        "who sat or lay down and is told to do something else comes up in", "", "; ".join(said), None, shares
    )


TOGETHER_SAMPLES = 4  # of each sentence
AT_ONCE = "at once"


def together_figure(
    pipeline, pairs: Sequence[tuple[PromptSpec, PromptSpec]], how: str = "one after the other"
) -> Figure:
    """How often one sentence with two actions shows both, one in each half or, where ``how`` is AT_ONCE, in the whole."""
    found = []
    for seed, (first, second) in enumerate(pairs):
        timeline = timeline_of([first.text], [first.seconds])
        for clip in pipeline.generate(timeline, seed=seed, samples=TOGETHER_SAMPLES).clips:
            half = clip.num_frames // 2
            parts = (
                (clip, clip) if how == AT_ONCE else (clip.slice(0, half), clip.slice(half, clip.num_frames))
            )
            found.append([judge(spec, part).correct for spec, part in zip((first, second), parts)])
    firsts, seconds = np.array(found).T
    shares = {"both": firsts & seconds, "the first": firsts, "the second": seconds}
    return Figure(
        f"two actions in one sentence, {how}",
        "",
        ", ".join(f"{name} {share.mean():.0%}" for name, share in shares.items())
        + f" of {len(found)} samples",
        None,
        {name: float(share.mean()) for name, share in shares.items()},
    )


def tokenizer_figure(pipeline, clips: Sequence[MotionClip]) -> list[Figure]:
    """Mean joint error after encoding and decoding held-out clips, and how much of each codebook they use.

    Half of the codes stand for motion of the other handedness, as training sees every clip mirrored too; so use is counted on
    the clips and their mirror images, and told for the clips alone.
    """
    import torch

    tokenizer = pipeline.bundle.tokenizer
    step, settings = tokenizer.settings.frames_per_token, tokenizer.settings
    alone = np.zeros((settings.num_codebooks, settings.codebook_size), dtype=bool)
    mirrored = np.zeros_like(alone)
    errors, path_errors, frames, count = 0.0, 0.0, 0, 0
    for clip in clips:
        clip = clip.slice(0, clip.num_frames // step * step)
        if clip.num_frames < 2 * step:
            continue
        features = torch.from_numpy(pipeline.representation.encode(clip)).float()[None]
        other = torch.from_numpy(pipeline.representation.mirror(features[0].numpy()))[None]
        with torch.inference_mode():
            tokens = tokenizer.encode(features)
            _mark(alone, tokens)
            _mark(mirrored, tokenizer.encode(other))
            decoded = pipeline.representation.decode(tokenizer.decode(tokens)[0].numpy(), FPS)
        # The features themselves, decoded: they do not say where a clip begins to face, so that is no error of tokens.
        clip = pipeline.representation.decode(features[0].numpy(), FPS)
        gap = decoded.joint_positions() - clip.joint_positions()
        path_errors += np.linalg.norm(gap, axis=-1).mean(-1).sum()
        # Every frame's pelvis over the same point of the floor, as a drift of the path is no error of the pose.
        gap = gap - gap[:, :1] * np.array([1.0, 0.0, 1.0])
        errors += np.linalg.norm(gap, axis=-1).mean(-1).sum()
        frames, count = frames + clip.num_frames, count + 1
    share, share_alone = (alone | mirrored).mean(-1), alone.mean(-1)
    error, path_error = 1000 * float(errors / frames), 1000 * float(path_errors / frames)
    return [
        Figure(
            "tokenizer, mean joint error of reconstruction",
            "<= 25 mm",
            f"{error:.1f} mm with the pelvis over the same floor point in every frame; {path_error:.1f} mm with the "
            f"path as it drifts; {count} held-out clips",
            error <= 25,
            {"error_mm": error, "path_error_mm": path_error, "clips": count},
        ),
        Figure(
            "codebook usage",
            ">= 80% of each",
            f"{_percents(share)} (first to last codebook, on the same clips and their mirror images; on the clips alone "
            f"{_percents(share_alone)})",
            bool((share >= 0.8).all()),
            {"share": share.tolist(), "share_alone": share_alone.tolist()},
        ),
    ]


def _mark(used: np.ndarray, tokens) -> None:
    for book, row in enumerate(used):
        row[tokens[0, :, book].numpy()] = True


def _percents(shares: np.ndarray) -> str:
    return ", ".join(f"{value:.0%}" for value in shares)


def sequences(pipeline, specs: Sequence[PromptSpec]) -> list[tuple[Timeline, MotionClip]]:
    """Timelines of prompts in a row, drawn from ``specs`` with a fixed seed."""
    rng = np.random.default_rng(0)
    # Nobody gets from the floor or a chair into the next action without a prompt for it.
    usable = [spec for spec in specs if spec.judge not in ("lies down", "sits")]
    made = []
    for index in range(SEQUENCES):
        chosen = rng.choice(len(usable), SEQUENCE_PROMPTS, replace=False)
        timeline = timeline_of([usable[i].text for i in chosen], [SEGMENT_SECONDS] * SEQUENCE_PROMPTS)
        made.append((timeline, pipeline.generate(timeline, seed=index).clips[0]))
    return made


def seam_figure(made: Sequence[tuple[Timeline, MotionClip]], real: RealMotion) -> Figure:
    """Jerk in the 1 s around prompt boundaries against 1 s windows inside recordings."""
    ratios = [
        geometry.seam_jerk(clip, [prompt.start], real.jerk)
        for timeline, clip in made
        for prompt in timeline.prompts[1:]
    ]
    inside = [
        geometry.seam_jerk(clip, [(prompt.start + prompt.end) // 2], real.jerk)
        for timeline, clip in made
        for prompt in timeline.prompts
    ]
    mean = float(np.mean(ratios))
    return Figure(
        "jerk in the 1 s around prompt boundaries",
        "<= 1.2 x inside real clips",
        f"{mean:.2f} x ({mean * real.jerk:.0f} against {real.jerk:.0f} m/s^3; 95th percentile "
        f"{np.percentile(ratios, 95):.2f} x; {len(ratios)} boundaries; in the middle of the same prompts "
        f"{np.mean(inside):.2f} x)",
        mean <= 1.2,
        {
            "ratio": mean,
            "inside": float(np.mean(inside)),
            "percentile_95": float(np.percentile(ratios, 95)),
            "real": real.jerk,
        },
    )


def feet_figures(
    clips: Sequence[MotionClip], uncleaned: Sequence[MotionClip], real: RealMotion
) -> list[Figure]:
    """Slide while in contact, and depth under the floor, with the clean-up."""
    slide, before, contact = _mean_slide(clips), _mean_slide(uncleaned), _contact_share(clips)
    depth = float(np.mean([geometry.floor_penetration(clip) for clip in clips]))
    return [
        Figure(
            "foot slide while in contact, after clean-up",
            f"<= real motion's {1000 * real.slide:.0f} mm/s",
            f"{1000 * slide:.0f} mm/s ({1000 * before:.0f} before clean-up; a foot stands in {contact:.0%} of the "
            f"frames, in recordings in {real.contact:.0%})",
            # Feet that never stand never slide: that is no success.
            slide <= real.slide and contact >= 0.5 * real.contact,
            {
                "slide": slide,
                "before": before,
                "real": real.slide,
                "contact": contact,
                "real_contact": real.contact,
            },
        ),
        Figure(
            "depth of the feet under the floor",
            "",
            f"{1000 * depth:.1f} mm on average (real motion {1000 * real.depth:.1f} mm)",
            None,
            {"depth": depth, "real": real.depth},
        ),
    ]


def length_figure(pipeline, judged: Sequence[Judged], made: Sequence[tuple[Timeline, MotionClip]]) -> Figure:
    """Every clip made so far, and odd lengths, against the frames asked for."""
    wrong = [item.spec.text for item in judged if item.clip.num_frames != round(item.spec.seconds * FPS)] + [
        timeline.prompts[0].text for timeline, clip in made if clip.num_frames != timeline.num_frames
    ]
    for frames in ODD_FRAMES:
        timeline = Timeline(fps=FPS, prompts=(Prompt("a person walks", 0, frames),))
        if pipeline.generate(timeline, seed=0).clips[0].num_frames != frames:
            wrong.append(f"{frames} frames")
    total = len(judged) + len(made) + len(ODD_FRAMES)
    return Figure("lengths", "exact", f"{total - len(wrong)} of {total} exact", not wrong, {"wrong": wrong})


def time_figures(pipeline) -> list[Figure]:
    """Warm wall-clock time from text to clip, clean-up included, on two threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    texts = [spec.text for spec in action_prompts()]
    seconds = {}
    try:
        for length in LENGTHS:
            pieces = max(1, round(length / 5))
            timeline = timeline_of([texts[i % len(texts)] for i in range(pieces)], [length / pieces] * pieces)
            # The first run also encodes sentences that the encoder may keep; it is not counted.
            runs = []
            for _ in range(6 if length <= 30 else 3):
                start = time.perf_counter()
                pipeline.generate(timeline, seed=0)
                runs.append(time.perf_counter() - start)
            seconds[length] = float(np.median(runs[1:]))
    finally:
        torch.set_num_threads(threads)
    cost = [seconds[length] / length for length in LENGTHS]
    spread = max(cost) / min(cost) - 1
    figures = [
        Figure(
            f"text to clip, warm, {length} s of motion",
            f"<= {limit} s",
            f"{seconds[length]:.3f} s",
            seconds[length] <= limit,
            {"seconds": seconds[length]},
        )
        for length, limit in ((10, 0.15), (150, 1.0))
    ]
    figures.append(
        Figure(
            "cost of a second of motion, 10 s to 10 min",
            "constant to within 25%",
            ", ".join(f"{length} s: {1000 * c:.1f} ms" for length, c in zip(LENGTHS, cost))
            + f"; spread {spread:.0%}",
            spread <= 0.25,
            {"ms_per_second": {str(length): 1000 * c for length, c in zip(LENGTHS, cost)}},
        )
    )
    return figures


_MEMORY_PROBE = """
import sys
from kmm_core.evaluate.starter_report import timeline_of
from kmm_core.pipeline import TextToMotion
from kmm_core.process_memory import resident_bytes
pipeline = TextToMotion.load(sys.argv[1], device="cpu")
loaded = resident_bytes()
pipeline.generate(timeline_of(["a person walks"] * 2, [5, 5]), seed=0)
print(loaded / 1e6, resident_bytes() / 1e6)
"""


def memory_figure(bundle: str) -> Figure:
    """Resident memory of a fresh process that loads the bundle, before and after it generated 10 s."""
    loaded, after = (float(value) for value in _fresh_python(_MEMORY_PROBE, bundle).split())
    return Figure(
        "worker memory (RSS) with the bundle loaded",
        "<= 900 MB",
        f"{loaded:.0f} MB, {after:.0f} MB after generating 10 s",
        max(loaded, after) <= 900,
        {"loaded_mb": loaded, "after_mb": after},
    )


_LIGHT_PROBE = """
import time
from collections import Counter
import numpy
start = time.perf_counter()
import kmm_core.clip, kmm_core.errors, kmm_core.skeleton, kmm_core.timeline
seconds = time.perf_counter() - start
import sys
print(seconds, int(any(name in sys.modules for name in ("torch", "scipy", "PIL"))))
"""


def light_zone_figure() -> Figure:
    """Import of the light zone in a fresh interpreter, best of five; NumPy's own import is not ours and not counted."""
    runs = [_fresh_python(_LIGHT_PROBE).split() for _ in range(5)]
    seconds, heavy = min(float(run[0]) for run in runs), any(run[1] == "1" for run in runs)
    return Figure(
        "import of the light zone",
        "no torch, < 0.1 s",
        f"{seconds:.3f} s beyond NumPy, {'loads torch, scipy or PIL' if heavy else 'no torch'}",
        seconds < 0.1 and not heavy,
        {"seconds": seconds, "heavy": heavy},
    )


def _fresh_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise KmmError("probe_failed", f"A probe in a fresh Python ended with {done.returncode}: {reason}")
    return done.stdout


def text_figure(pipeline) -> Figure:
    """Cosine of the learned sentence vectors of left / right pairs against that of two sentences for one side."""
    import torch

    specs = side_prompts()
    with torch.inference_mode():
        encoded = pipeline.bundle.encoder.encode([spec.text for spec in specs])
        vectors = pipeline.bundle.prompt_head(encoded).double().numpy()
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    cosine = vectors @ vectors.T
    # Left and right of one sentence stand side by side in the list.
    opposite = np.array([cosine[i, i + 1] for i in range(0, len(specs), 2)])
    same = np.array(
        [
            np.mean(
                [
                    cosine[i, j]
                    for j, other in enumerate(specs)
                    if j != i and (other.judge, other.side) == (spec.judge, spec.side)
                ]
            )
            for i, spec in enumerate(specs)
        ]
    )
    return Figure(
        "learned text vectors: cosine of one sentence for left and for right",
        "below that of two sentences for one side",
        f"{opposite.mean():.2f} (other sentences for the same side {same.mean():.2f})",
        bool(opposite.mean() < same.mean()),
        {"opposite": float(opposite.mean()), "same": float(same.mean())},
    )


def familiar_figure(pipeline) -> Figure:
    """How often the user is told that a prompt is like nothing recorded: of prompts that are, and of the others."""
    asked = [spec.text for spec in (*side_prompts(), *action_prompts())]
    other = unfamiliar_prompts()
    told_of = [len(pipeline.unfamiliar(prompts)) / len(prompts) for prompts in (other, asked)]
    return Figure(
        "the user is told where nothing like the prompt was recorded",
        "",
        f"of {told_of[0]:.0%} of {len(other)} such prompts (clapping, swimming, playing an instrument), and, wrongly, of "
        f"{told_of[1]:.1%} of the {len(asked)} others",
        None,
        {"unfamiliar": told_of[0], "others": told_of[1]},
    )


# Which judge looks for what the "action" label of a prepared clip says: labels that geometry can see.
LABEL_JUDGES = {
    "raise_arm": "raises hand",
    "reach_up": "raises hand",
    "wave": "waves",
    "lift_leg": "raises leg",
    "elbow_to_knee": "raises leg",
    "walk": "walks forward",
    "sneak": "walks forward",
    "walk_back": "walks backward",
    "walk_back_curve": "walks backward",
    "sidestep_walk": "side-steps",
    "sidestep_walk_curve": "side-steps",
    "sidestep_run": "side-steps",
    "sidestep_run_curve": "side-steps",
    "run": "runs",
    "run_turn": "runs",
    "jump": "jumps",
    "hop": "jumps",
    "kick": "kicks",
    "punch": "punches",
    "bow": "bows",
    "bend_down": "bends down",
    "squat": "squats",
    "lunge": "lunges",
    "side_lunge": "lunges",
    "sit_and_stand": "sits",
    "sit_down": "sits",
    "lie_down": "lies down",
    "throw": "throws",
    "dance": "by eye: dances",
    "stand": "stands still",
}


SIDE_JUDGES = ("raises hand", "waves", "raises leg", "kicks")


def judges_figure(prepared: Sequence[tuple[dict[str, str], MotionClip]]) -> Figure | None:
    """How often the judges agree with the labels of held-out recordings: the judges are measured as well."""
    tally: dict[str, list[bool]] = {}
    for labels, clip in prepared:
        name = LABEL_JUDGES.get(labels.get("action", ""))
        side = labels.get("side", "")
        if name == "raises hand" and side == "both":
            name = "raises both arms"
        if name:
            named = side if side in geometry.SIDES and name in SIDE_JUDGES else ""
            tally.setdefault(name, []).append(JUDGES[name](clip, named).correct)
        if labels.get("turn") in geometry.SIDES:
            tally.setdefault("turns", []).append(JUDGES["turns"](clip, labels["turn"]).correct)
    if not tally:
        return None
    agree = sum(map(sum, tally.values())) / sum(map(len, tally.values()))
    return Figure(
        "the judges themselves, on held-out recordings with labels",
        "",
        f"agree with {agree:.1%} ({', '.join(f'{name} {sum(v)} of {len(v)}' for name, v in tally.items())})",
        None,
        {name: [sum(v), len(v)] for name, v in tally.items()},
    )


def measure_bundle(
    bundle: str,
    held_out: Sequence[tuple[dict[str, str], MotionClip]],
    captions: Sequence[str],
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> BundleFigures:
    """Every figure of one bundle.

    Args:
        bundle: "starter", "starter-nc" or a folder.
        held_out: labels and clips of the test and validation splits that this bundle may use.
        captions: all training captions; a prompt that is among them is an error.
        progress: called with a few words between measurements.

    Raises:
        KmmError: ``prompt_is_caption`` where a prompt is a caption; whatever loading and generating raise.
    """
    known = captions_among(every_prompt(), captions)
    if known:
        raise KmmError(
            "prompt_is_caption",
            f"{len(known)} prompts are training captions, for example {known[0]!r}.",
            "Reword them in kmm_core/evaluate/report_prompts.py, or prepare the data anew.",
        )
    from ..pipeline import TextToMotion

    pipeline = TextToMotion.load(bundle, device="cpu")
    info = asdict(pipeline.info)
    name = Path(bundle).name
    clips = [clip for _, clip in held_out]
    real = real_motion(clips)
    progress(f"{name}: tokenizer")
    figures = tokenizer_figure(pipeline, clips)
    progress(f"{name}: 300 prompts")
    sides = judge_prompts(pipeline, side_prompts(), lambda: None)
    actions = judge_prompts(pipeline, action_prompts(), lambda: None)
    # A non-commercial bundle has seen all the data.
    covers = "starter-nc" if _noncommercial(info) else "starter"
    figures.append(side_figure(sides, covers, _noncommercial(info)))
    figures.append(action_figure(actions, covers))
    progress(f"{name}: other lengths")
    figures.append(many_samples_figure(pipeline, action_prompts()))
    figures.append(other_lengths_figure(pipeline, action_prompts(), covers))
    figures.append(straight_figure(pipeline, straight_prompts()))
    figures.append(turn_figure(pipeline, [spec for spec in side_prompts() if spec.judge == "turns"]))
    figures.append(pace_figure(pipeline, pace_prompts()))
    figures.append(up_again_figure(pipeline, up_again_prompts()))
    figures.append(gap_figure(pipeline))
    figures.append(rise_figure(pipeline))
    figures.append(arm_figure(pipeline, arm_prompts()))
    figures.append(together_figure(pipeline, together_prompts()))
    figures.append(together_figure(pipeline, stop_prompts(), "a walk that ends"))
    figures.append(together_figure(pipeline, at_once_prompts(), AT_ONCE))
    progress(f"{name}: sequences")
    made = sequences(pipeline, [*side_prompts(), *action_prompts()])
    uncleaned = [
        pipeline.generate(timeline, seed=i, foot_cleanup=False).clips[0]
        for i, (timeline, _) in enumerate(made)
    ]
    figures.append(length_figure(pipeline, [*sides, *actions], made))
    figures.append(seam_figure(made, real))
    figures += feet_figures([clip for _, clip in made], uncleaned, real)
    progress(f"{name}: time and memory")
    figures += time_figures(pipeline)
    figures.append(memory_figure(bundle))
    figures.append(light_zone_figure())
    figures.append(text_figure(pipeline))
    if pipeline.bundle.familiar is not None:
        figures.append(familiar_figure(pipeline))
    figures += [figure for figure in [judges_figure(held_out)] if figure]
    return BundleFigures(name, info, figures, [*sides, *actions], made)


def _noncommercial(info: dict[str, Any]) -> bool:
    return "NC" in str(info.get("licence", ""))
