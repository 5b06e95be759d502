"""More training clips out of recorded ones (ours): short runs and walks made longer, arms raised slowly, and both arms
raised where one was.

Few recordings show a run of more than two seconds or an arm that takes its time, and hardly any both arms going up.

Shapes: F frames, D features.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..motion import representation_263, representation_272
from ..motion.representation import Representation
from ..skeleton import JOINT_INDEX
from .compositions import Features, faded, remade
from .motion_data import FeatureClip, MotionData, clip_features

LOOPED_ACTIONS = {
    *("run", "run_turn", "run_back", "sidestep_run", "dribble", "sneak"),
    *("walk", "walk_turn", "walk_back", "walk_diagonal", "sidestep_walk", "zombie_walk"),
}
SHORT_SECONDS = 3.0  # longer clips need no loop
LOOP_SECONDS = (3.0, 5.0)

JOINT_SECONDS = 0.2  # of the fade: a run's cycle lasts 0.7 s, so a longer one would blur its steps
SHORTEST_CYCLE = 0.5  # seconds of two steps of a sprint
TRAVELS = 0.4  # m/s of the pelvis
END_SECONDS = 0.3  # the clip must travel in its first and last ones, too: nobody starts or stops within a run
LARGEST_JUMP = (
    1.5  # at a joint, in the clip's own changes from frame to frame: from 2 on, joints jerk visibly more
)

ARMS_CLIPS = 120  # of each kind of raised arms: slow ones, both arms
ARMS_SHARE = 0.02  # of the weight of all clips, for each kind
SLOW_SECONDS = (3.0, 5.0)
SLOWEST = 2.2  # times as long as recorded; beyond, it looks like slow motion
HANDS_APART = 0.15  # metres: an arm that crosses the body would meet its mirror image

_ARMS = {
    side: [JOINT_INDEX[f"{side}_{part}"] for part in ("collar", "shoulder", "elbow", "wrist")]
    for side in ("left", "right")
}


def variants(data: MotionData, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    """Clips to train on beside ``clips``: their loops, then arms raised slowly and both arms. The same ones every time."""
    yield from _loops(data.representation, clips)
    raised = _raised_arms(clips)
    yield from _rare(_slow_arms(data, raised), clips)
    yield from _rare(_pairs_of_arms(data, raised), clips)


# -- longer runs and walks --------------------------------------------------------------------------------------


def looped(features: Features, form: Representation, seconds: float) -> Features | None:
    """A clip of walking or running that goes on, joined to itself where two of its moments are most alike.

    Args:
        features: [F, D].
        form: "272" or "263"; others are not looped.
        seconds: about how long the result lasts, to half a cycle.

    Returns:
        [more than F, D]; None where the clip is that long already, does not travel, or never comes back to a pose.
    """
    columns = _POSE_AND_MOTION.get(form.name)
    if columns is None or len(features) >= seconds * form.fps or not _travels(features, form):
        return None
    overlap = round(JOINT_SECONDS * form.fps)
    cycle = _cycle(_comparable(features, *columns, form.fps), overlap, round(SHORTEST_CYCLE * form.fps))
    if cycle is None:
        return None
    start, end = cycle
    times = max(1, round((seconds * form.fps - len(features)) / (end - start)))
    rows = features[: end + overlap]
    for _ in range(times - 1):
        rows = faded(rows, features[start : end + overlap], overlap)
    return remade(faded(rows, features[start:], overlap), form)


# Columns of the joints' positions (metres) and velocities (metres a frame), in the heading's frame.
_POSE_AND_MOTION = {
    "272": (representation_272.POSITIONS, representation_272.VELOCITIES),
    "263": (representation_263.POSITIONS, representation_263.VELOCITIES),
}
_ROOT_VELOCITY = {"272": representation_272.ROOT_VELOCITY, "263": representation_263.ROOT_VELOCITY}


def _travels(features: Features, form: Representation) -> bool:
    """Whether the pelvis moves along the ground from the first frame to the last."""
    speed = np.linalg.norm(features[:, _ROOT_VELOCITY[form.name]], axis=-1) * form.fps
    end = round(END_SECONDS * form.fps)
    return min(speed.mean(), speed[:end].mean(), speed[-end:].mean()) > TRAVELS


def _comparable(features: Features, positions: slice, velocities: slice, fps: float) -> Features:
    """Positions, and how far they move in 0.1 s: [F, ...] metres. A run passes each pose twice, up and down."""
    return np.concatenate([features[:, positions], features[:, velocities] * (0.1 * fps)], axis=-1)


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
    return (int(best[0]), int(best[1])) if apart[best] < LARGEST_JUMP * usual else None


# What is said of a clip's end, or of a number of steps, is not true of a longer one.
_ONCE = re.compile(
    r"\b(then|before|after|once|twice|one|two|three|four|five|six|seven|eight|few|several|couple|half|quarter"
    r"|begin\w*|start\w*|stop\w*|slow\w*|halt\w*|step|degrees?|around|u-turn|\d+)\b"
)


def _loops(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    for clip in clips:
        about = clip.about
        if about.labels.get("action") not in LOOPED_ACTIONS or about.seconds >= SHORT_SECONDS:
            continue
        captions = tuple(caption for caption in about.captions if not _ONCE.search(caption))
        mirrored = tuple(caption for caption in about.mirrored_captions if not _ONCE.search(caption))
        low, high = LOOP_SECONDS
        chance = zlib.crc32(f"{about.source}/{about.id}".encode()) / 2**32
        features = looped(clip.features, form, low + (high - low) * chance) if captions else None
        if features is not None:
            yield _made_from(clip, features, "looped", captions=captions, mirrored_captions=mirrored)


def _made_from(clip: FeatureClip, features: Features, what: str, **changes) -> FeatureClip:
    # 30 frames a second whatever the representation: see PreparedClip.
    frames = round(clip.about.frames * len(features) / len(clip.features))
    return FeatureClip(replace(clip.about, id=f"{clip.about.id}_{what}", frames=frames, **changes), features)


# -- raised arms ------------------------------------------------------------------------------------------------


def slowed(features: Features, form: Representation, times: float) -> Features:
    """The motion at ``1 / times`` of its speed: [F, D] becomes [about times F, D]."""
    clip = form.decode(features, form.fps)
    return clip_features(replace(clip.resample(form.fps * times), fps=form.fps), form)


def both_arms(features: Features, data: MotionData) -> Features:
    """The motion with the arm that goes higher also mirrored onto the other side, [F, D] (263 loses a row)."""
    form = data.representation
    clip = form.decode(features, form.fps)
    heights = clip.joint_positions()[:, :, 1].max(axis=0)
    left_is_higher = heights[JOINT_INDEX["left_wrist"]] > heights[JOINT_INDEX["right_wrist"]]
    other = _ARMS["right" if left_is_higher else "left"]
    local = clip.local_rotations.copy()
    local[:, other] = clip.mirrored().local_rotations[:, other]
    return clip_features(replace(clip, local_rotations=local), form)


_ONE_ARM = re.compile(
    r"\b(?:(?:the|a|an|his|her|their|your|its) )?((?:slightly bent |straight |bent |extended |outstretched )?)"
    r"(?:left|right) (arm|hand)\b(?! side)"
)
_SINGULAR = {"is": "are", "was": "were", "rises": "rise", "comes": "come", "moves": "move", "goes": "go"}
_SUBJECT = re.compile(rf"(both [\w ]*?(?:arms|hands)) ({'|'.join(_SINGULAR)})\b")
_OBJECT_IT = re.compile(r"\b((?:rais|lower|lift|bring|put|pull|drop)\w*) it\b")
# Left over, these speak of one arm still, or of another side. A sentence that begins with arms has a verb of its own.
_UNCLEAR = re.compile(r"\b(left|right|one|other|another|single|it|arm|hand|while|elbow|wrist)\b")
_NO_VERB = re.compile(rf"^both [\w ]*?(?:arms|hands) (?!{'|'.join(_SINGULAR.values())})")


def both_arms_captions(captions: Sequence[str]) -> tuple[str, ...]:
    """Sentences about one named arm or hand, made to say both; those that cannot be are left out.

    ``raises their right hand and lowers it`` becomes ``raises both hands and lowers them``.
    """
    result = []
    for caption in captions:
        if len(_ONE_ARM.findall(caption)) != 1:
            continue
        said = _ONE_ARM.sub(r"both \1\2s", caption)
        said = _SUBJECT.sub(lambda match: f"{match[1]} {_SINGULAR[match[2]]}", said)
        said = _OBJECT_IT.sub(r"\1 them", said).replace("until it is", "until they are")
        said = re.sub(r"\b(to|at) (the|their|his|her|your|its) side\b", r"\1 \2 sides", said)
        if not _UNCLEAR.search(said) and not _NO_VERB.search(said):
            result.append(said)
    return tuple(dict.fromkeys(result))


def _raised_arms(clips: Sequence[FeatureClip]) -> list[FeatureClip]:
    """Those that raise one named arm, from all recordings by turns, so that none is used up first."""
    seen: dict[tuple[str, str], int] = {}
    by_turns = []
    for clip in clips:
        labels = clip.about.labels
        if labels.get("action") == "raise_arm" and labels.get("side") in _ARMS:
            recording = (clip.about.source, clip.about.recording)
            seen[recording] = seen.get(recording, -1) + 1
            by_turns.append((seen[recording], clip))
    return [clip for _, clip in sorted(by_turns, key=lambda item: item[0])]


def _rare(made: Iterator[FeatureClip], clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    """The first ARMS_CLIPS of ``made``, which weigh ARMS_SHARE of ``clips`` together."""
    chosen = list(itertools.islice(made, ARMS_CLIPS))
    weight = ARMS_SHARE * sum(clip.about.weight for clip in clips) / max(1, len(chosen))
    for clip in chosen:
        yield FeatureClip(replace(clip.about, weight=weight), clip.features)


_FAST = re.compile(r"\b(quick|fast|rapid|swift|sudden|brisk|sharp)\w*")


def _slow_arms(data: MotionData, raised: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    low, high = SLOW_SECONDS
    for clip in raised:
        about = clip.about
        captions = tuple(caption for caption in about.captions if not _FAST.search(caption))
        mirrored = tuple(caption for caption in about.mirrored_captions if not _FAST.search(caption))
        chance = zlib.crc32(f"{about.source}/{about.id}".encode()) / 2**32
        times = (low + (high - low) * chance) / about.seconds
        if captions and 1.2 < times <= SLOWEST:
            features = slowed(clip.features, data.representation, times)
            yield _made_from(clip, features, "slow", captions=captions, mirrored_captions=mirrored)


def _pairs_of_arms(data: MotionData, raised: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    for clip in raised:
        captions = both_arms_captions(clip.about.captions)
        features = both_arms(clip.features, data) if captions else None
        if features is not None and _hands_apart(features, data.representation) > HANDS_APART:
            labels = {**clip.about.labels, "side": "both"}
            said = {"captions": captions, "mirrored_captions": captions}
            yield _made_from(clip, features, "both_arms", labels=labels, **said)


def _hands_apart(features: Features, form: Representation) -> float:
    """Smallest distance between the wrists, metres."""
    positions = form.decode(features, form.fps).joint_positions()
    wrists = positions[:, JOINT_INDEX["left_wrist"]] - positions[:, JOINT_INDEX["right_wrist"]]
    return float(np.linalg.norm(wrists, axis=-1).min())
