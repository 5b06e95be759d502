"""More training clips out of recorded ones (ours): curves made straight, and short actions made longer
by going on (waves to and fro) or by standing before and after; and those of ``tempo_variants``, ``rising`` and ``arm_variants``.

A model that has seen kicks of 1.1 to 2.2 s only kicks in 1.5 s, but not in 3 s. Few recordings show a run of more than two
seconds, or somebody who walks backward straight on.

Shapes: F frames, D features.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from ..evaluate.prompt_sets import not_held_out
from ..evaluate.verdicts import goes_straight
from ..motion import representation_263, representation_272
from ..motion.representation import Representation
from ..skeleton import ARM_JOINTS, JOINT_INDEX
from .arm_variants import arm_variants, arms_lowered
from .compositions import Features, faded, remade
from .made_clips import (
    JOINT_SECONDS,
    POSE_AND_MOTION,
    alike,
    between,
    comparable,
    in_order,
    made_from,
    without,
)
from .motion_data import FeatureClip, MotionData, clip_features
from .rising import rising
from .straighten import straightened
from .tempo_variants import paced, tempos
from .walk_on import TURNING_ACTIONS, walked_on

LOOPED_ACTIONS = {
    *("run", "run_turn", "run_back", "sidestep_run", "dribble", "sneak"),
    *("walk", "walk_turn", "walk_back", "walk_diagonal", "sidestep_walk", "zombie_walk"),
}
# What goes straight on unless a sentence says otherwise.
STRAIGHT_ACTIONS = {"walk", "walk_back", "walk_diagonal", "sidestep_walk", "run", "run_back", "sidestep_run"}
LOOPED_ON_THE_SPOT = {
    "arm_circles",
    "elbow_to_knee",
    "hop",
    "jump",
    "kick",
    "punch",
    "squat",
    "stand",
}
RESTED_ACTIONS = {
    "bend_down",
    "bow",
    "hop",
    "jump",
    "kick",
    "pick_up",
    "punch",
    "reach_up",
    "squat",
    "throw",
    "turn",
}
LASTING_ACTIONS = LOOPED_ACTIONS | {"stand"}  # also made much longer
SHORT_SECONDS = 3.5  # longer clips are not made longer
LONG_SECONDS = (3.0, 6.0)  # what shorter ones are made to last
FAR_SECONDS = (6.0, 12.0)  # and those that last, besides
FAR_SHARE = 0.15  # of the weight of their action's recordings, together
PACED_SHARE = 0.4  # of those that are slower and quicker and say so
# Longer prompts are decoded as several: ``SamplingSettings.longest_seconds`` of the shipped models.
PIECE_SECONDS = 6.0

COMMON_CLIPS = 200  # long recordings of an action, from which on nothing is made longer: they show how it begins and ends

SHORTEST_CYCLE = 0.5  # seconds of two steps of a sprint
TRAVELS = 0.4  # m/s of the pelvis
END_SECONDS = 0.3  # the clip must travel in its first and last ones, too: nobody starts or stops within a run
WAVING = -0.1  # metres over its shoulder, the hand that is up
TURNS = 0.8  # m/s, the fastest joint where a wave turns around
SWING = 0.3  # metres that the hand goes between two turns

REST_JOINT_SECONDS = 0.4
STILL = 0.6  # m/s, the fastest joint of somebody who stands
HANGING = 1.1  # metres over the floor, the wrists of somebody who stands
LARGEST_REST_JUMP = 0.5  # metres that the farthest joint is off, between a stand and the action


def variants(data: MotionData, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    """Clips to train on beside ``clips``. The same ones every time."""
    form = data.representation
    stands = _stands(form, clips)
    lowered = list(arms_lowered(form, clips, stands))
    yield from lowered
    clips = [*clips, *lowered]
    faster_or_slower = list(tempos(form, clips))
    said_so = list(_as_heavy(list(paced(form, clips)), clips, PACED_SHARE))
    yield from said_so
    known = _seldom_long([*clips, *faster_or_slower, *said_so])
    on_the_spot = _loops(form, known, LOOPED_ON_THE_SPOT, travels=False)
    waves = list(_waves(form, known))
    yield from _as_heavy([*faster_or_slower, *on_the_spot, *waves, *_rested(form, known)], clips)
    straight = list(_straightened(form, clips))
    yield from straight
    yield from _rising(form, clips)
    yield from _as_heavy(list(walked_on(form, clips)), clips)
    lasting = [*clips, *straight, *said_so]
    walks = list(_loops(form, lasting, LOOPED_ACTIONS, travels=True))
    yield from walks
    yield from _as_heavy(list(_for_long(form, lasting)), [*clips, *straight], FAR_SHARE)
    yield from arm_variants(data, clips, waves, walks, stands)


def _seldom_long(clips: Sequence[FeatureClip]) -> list[FeatureClip]:
    """Those of actions that fewer than COMMON_CLIPS of them show for SHORT_SECONDS."""
    long = Counter(
        clip.about.labels.get("action", "") for clip in clips if clip.about.seconds >= SHORT_SECONDS
    )
    return [clip for clip in clips if long[clip.about.labels.get("action", "")] < COMMON_CLIPS]


def _as_heavy(
    made: Sequence[FeatureClip], clips: Sequence[FeatureClip], share: float | None = None
) -> Iterator[FeatureClip]:
    """The made clips of each action, which together weigh at most as much as its recordings do, or ``share`` of that."""
    own, other = _weights(clips), _weights(made)
    for clip in made:
        action = clip.about.labels["action"]
        heavy = own[action] / max(other[action], 1e-12)
        weight = clip.about.weight * (min(1.0, heavy) if share is None else share * heavy)
        yield replace(clip, about=replace(clip.about, weight=weight))


def _weights(clips: Sequence[FeatureClip]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for clip in clips:
        action = clip.about.labels.get("action", "")
        weights[action] = weights.get(action, 0.0) + clip.about.weight
    return weights


# -- curves made straight --------------------------------------------------------------------------------------

# What recipes add to a sentence about somebody who goes backward or sideways round a bend.
CURVED, _IN_A_CURVE = "_curve", re.compile(r" (in|along) a curve\b")


def _straightened(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    """Those of CURVED actions, straight, and without what their captions say of the curve."""
    for clip in clips:
        action = clip.about.labels.get("action", "")
        features = _if_straight(clip.features, form) if action.endswith(CURVED) else None
        if features is None:
            continue
        said, mirrored = (
            not_held_out(_IN_A_CURVE.sub("", caption) for caption in captions)
            for captions in (clip.about.captions, clip.about.mirrored_captions)
        )
        labels = {**clip.about.labels, "action": action.removesuffix(CURVED)}
        changes = {"labels": labels, "captions": said, "mirrored_captions": mirrored}
        yield made_from(clip, features, "straight", **changes)


def _if_straight(features: Features, form: Representation) -> Features | None:
    """The motion made straight; None where it does not go straight even then."""
    clip = straightened(form.decode(features, form.fps))
    return clip_features(clip, form) if goes_straight(clip).correct else None


# -- actions that go on -----------------------------------------------------------------------------------------


def looped(
    features: Features, form: Representation, seconds: float, *, travels: bool = True
) -> Features | None:
    """A longer clip of a continuing action: the clip joined to itself where two of its moments are most alike.

    Args:
        features: [F, D].
        form: "272" or "263"; others are not looped.
        seconds: about how long the result lasts, to half a cycle.
        travels: whether the body goes somewhere all the time, as who walks or runs does.

    Returns:
        [more than F, D]; None where the clip is that long already, does not travel, or never comes back to a pose.
    """
    if (
        form.name not in POSE_AND_MOTION
        or len(features) >= seconds * form.fps
        or (travels and not _travels(features, form))
    ):
        return None
    overlap = round(JOINT_SECONDS * form.fps)
    cycle = _cycle(comparable(features, form), overlap, round(SHORTEST_CYCLE * form.fps))
    if cycle is None:
        return None
    start, end = cycle
    times = max(1, round((seconds * form.fps - len(features)) / (end - start)))
    rows = features[: end + overlap]
    for _ in range(times - 1):
        rows = faded(rows, features[start : end + overlap], overlap)
    return remade(faded(rows, features[start:], overlap), form)


_ROOT_VELOCITY = {"272": representation_272.ROOT_VELOCITY, "263": representation_263.ROOT_VELOCITY}


def _travels(features: Features, form: Representation) -> bool:
    """Whether the pelvis moves along the ground from the first frame to the last."""
    speed = np.linalg.norm(features[:, _ROOT_VELOCITY[form.name]], axis=-1) * form.fps
    end = round(END_SECONDS * form.fps)
    return min(speed.mean(), speed[:end].mean(), speed[-end:].mean()) > TRAVELS


def _cycle(frames: Features, overlap: int, shortest: int) -> tuple[int, int] | None:
    """The two frames (start, end) from which the next ``overlap`` frames are most alike; None if they never are.

    The start lies in the first half and the end in the second, at least ``shortest`` frames apart.
    """
    distances = np.linalg.norm(frames[:, None] - frames[None], axis=-1)
    count = len(frames) - overlap + 1
    if count <= shortest:
        return None
    apart = sum(distances[k : k + count, k : k + count] for k in range(overlap)) / overlap
    start, end = np.indices(apart.shape)
    allowed = (start <= count // 2) & (end >= count // 2) & (end - start >= shortest)
    apart = np.where(allowed, apart, np.inf)
    best = np.unravel_index(apart.argmin(), apart.shape)
    usual = np.median(np.diagonal(distances, offset=1))
    return (int(best[0]), int(best[1])) if alike(apart[best], usual) else None


# What is said of a clip's end, or of a number of steps, is not true of a longer one.
_ONCE = re.compile(
    r"\b(then|before|after|once|twice|one|two|three|four|five|six|seven|eight|few|several|couple|half|quarter"
    r"|begin\w*|start\w*|stop\w*|slow(?:s|ed|ing)|slow down|halt\w*|step|degrees?|around|u-turn|\d+)\b",
    re.IGNORECASE,
)


# Who turns is round the corner before long; only a curve or a circle goes on.
_TURNS_ONCE = re.compile(rf"{_ONCE.pattern}|^(?!.*\b(?:curv\w*|circl\w*|ring|arc|loop\w*)\b)", re.IGNORECASE)


def _loops(
    form: Representation,
    clips: Sequence[FeatureClip],
    actions: set[str],
    *,
    travels: bool,
    lasting: tuple[float, float] = LONG_SECONDS,
    what: str = "looped",
) -> Iterator[FeatureClip]:
    for clip in clips:
        action = clip.about.labels.get("action")
        if action not in actions or clip.about.seconds >= max(SHORT_SECONDS, lasting[0]):
            continue
        said = without(clip, _TURNS_ONCE if action in TURNING_ACTIONS else _ONCE)
        if not said["captions"]:
            continue
        features = looped(clip.features, form, between(clip, *lasting), travels=travels)
        if features is not None and action in STRAIGHT_ACTIONS:
            # A degree a second is nothing in three seconds, but a curve in ten.
            features = _if_straight(features, form)
        elif features is not None and action == "stand":
            features = clip_features(straightened(form.decode(features, form.fps)), form)
        if features is not None:
            yield made_from(clip, features, what, **said)


def _for_long(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    """What lasts, for longer than a piece: told in several prompts that mean the same, as such prompts are decoded."""
    for clip in clips:
        travels = clip.about.labels.get("action") != "stand"
        for loop in _loops(
            form, [clip], LASTING_ACTIONS, travels=travels, lasting=FAR_SECONDS, what="for_long"
        ):
            pieces, frames = ceil(loop.about.seconds / PIECE_SECONDS), len(loop.features)
            yield replace(
                loop,
                parts=tuple((loop.about, round(piece * frames / pieces)) for piece in range(1, pieces + 1)),
            )


def to_and_fro(features: Features, form: Representation, seconds: float) -> Features | None:
    """A longer wave: played forward, backward and forward again between two moments at which the raised hand reverses.

    There it rests, so nothing jumps; and a hand on its way back looks like one that goes. (Short waves seldom come back to a
    pose, so ``looped`` does not find where.)

    Args:
        features: [F, D].
        form: of the features.
        seconds: about how long the result lasts.

    Returns:
        [more than F, D]; None where the clip is that long already or the hand does not turn around twice while it is up.
    """
    clip = form.decode(features, form.fps)
    positions = clip.joint_positions()
    speed = np.linalg.norm(np.gradient(positions, axis=0), axis=-1).max(axis=-1) * form.fps
    heights = [
        positions[:, JOINT_INDEX[f"{side}_wrist"], 1] - positions[:, JOINT_INDEX[f"{side}_shoulder"], 1]
        for side in ARM_JOINTS
    ]
    slowest = (speed[1:-1] <= speed[:-2]) & (speed[1:-1] <= speed[2:]) & (speed[1:-1] < TURNS)
    turns = 1 + np.flatnonzero(slowest & (np.maximum(*heights) > WAVING)[1:-1])
    if len(features) >= seconds * form.fps or len(turns) < 2:
        return None
    start, end = int(turns[0]), int(turns[-1])
    swung = np.linalg.norm(np.diff(positions[start : end + 1], axis=0), axis=-1).sum(axis=0).max()
    if swung < SWING:
        return None
    times = max(1, round((seconds * form.fps - len(features)) / (2 * (end - start))))
    back_and_there = [*range(end, start, -1), *range(start, end)]
    order = [*range(end), *back_and_there * times, *range(end, clip.num_frames)]
    return clip_features(in_order(clip, order), form)


def _waves(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    for clip in clips:
        if clip.about.labels.get("action") != "wave" or clip.about.seconds >= SHORT_SECONDS:
            continue
        said = without(clip, _ONCE)
        features = to_and_fro(clip.features, form, between(clip, *LONG_SECONDS)) if said["captions"] else None
        if features is not None:
            yield made_from(clip, features, "to_and_fro", **said)


# -- actions between two rests ----------------------------------------------------------------------------------


def rested(
    features: Features, stands: Sequence[Features], form: Representation, room: int, *, before: bool = True
) -> Features | None:
    """The motion with somebody standing before and after it.

    Args:
        features: [F, D].
        stands: motions of people who stand still, [each at least the joint's frames, D].
        form: "272" or "263".
        room: how many frames to add at most; less where the stands are short.
        before: whether half of them come before the motion, or all after it.

    Returns:
        [up to F + room, D]; None where no stand is like the motion's start, or none like its end, or the motion is too short to join.
    """
    overlap = round(REST_JOINT_SECONDS * form.fps)
    columns = POSE_AND_MOTION[form.name][0]
    if len(features) < 2 * overlap:
        return None
    rows, left = features, room
    if before:
        first = _most_alike(features[:overlap], [stand[-overlap:] for stand in stands], columns)
        if first is None:
            return None
        ahead = stands[first][-(overlap + room // 2) :]
        rows, left = faded(ahead, features, overlap), room - (len(ahead) - overlap)
    last = _most_alike(features[-overlap:], [stand[:overlap] for stand in stands], columns)
    if last is None:
        return None
    return remade(faded(rows, stands[last][: overlap + left], overlap), form)


def _most_alike(rows: Features, others: Sequence[Features], columns: slice) -> int | None:
    """Which of the other rows have their joints nearest on average; None if a joint of theirs is far off."""
    apart = np.array(
        [
            np.linalg.norm((rows[:, columns] - other[:, columns]).reshape(len(rows), -1, 3), axis=-1).mean(
                axis=0
            )
            for other in others
        ]
    )  # [number of others, joints]
    if not len(apart):
        return None
    best = int(apart.mean(axis=1).argmin())
    return best if apart[best].max() < LARGEST_REST_JUMP else None


def _rested(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    stands = _stands(form, clips)
    for clip in clips:
        about = clip.about
        if about.labels.get("action") not in RESTED_ACTIONS or about.seconds >= SHORT_SECONDS:
            continue
        room = round((between(clip, *LONG_SECONDS) - about.seconds) * form.fps)
        features = rested(clip.features, stands, form, room) if room > 0 else None
        if features is not None:
            yield made_from(clip, features, "rested")


def _rising(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    stands = _stands(form, clips)

    def and_stand(features: Features, clip: FeatureClip) -> Features | None:
        room = round(between(clip, *LONG_SECONDS) * form.fps) - len(features)
        return rested(features, stands, form, room, before=False) if room > 0 else None

    return rising(form, clips, and_stand)


def _stands(form: Representation, clips: Sequence[FeatureClip]) -> list[Features]:
    """Motions of people who stand still, with hanging hands: some stand with their arms held out."""
    found = []
    for clip in clips:
        if clip.about.labels.get("action") != "stand":
            continue
        positions = clip.features[:, POSE_AND_MOTION[form.name][0]].reshape(len(clip.features), -1, 3)
        hanging = positions[:, -2:, 1].max() < HANGING  # the wrists are the last joints of both forms
        speed = float(np.linalg.norm(_velocities(clip.features, form), axis=-1).max()) * form.fps
        if len(clip.features) >= form.fps and hanging and speed < STILL:
            found.append(clip.features)
    return found


def _velocities(features: Features, form: Representation) -> Features:
    """Of every joint, metres a frame, [F, joints, 3]."""
    return features[:, POSE_AND_MOTION[form.name][1]].reshape(len(features), -1, 3)
