"""More training clips out of recorded ones (ours): rare actions at other tempos, curves made straight, short actions made longer by
going on (waves to and fro) or by standing before and after, arms raised slowly, both arms raised where one was, and arms raised or
waved while walking.

A model that has seen kicks of 1.1 to 2.2 s only kicks in 1.5 s, but not in 3 s. Few recordings show a run of more than two
seconds, somebody who walks backward straight on, or an arm that takes its time, and hardly any both arms going up, or one while somebody walks.

Shapes: F frames, D features.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..evaluate.prompt_sets import not_held_out
from ..evaluate.verdicts import goes_straight
from ..motion import representation_263, representation_272, rotations
from ..motion.representation import Representation
from ..skeleton import ARM_JOINTS, JOINT_INDEX
from ..text.sentence_forms import form_of, without_subject
from .compositions import Features, come_to_rest, faded, remade
from .motion_data import FeatureClip, MotionData, clip_features
from .straighten import straightened

LOOPED_ACTIONS = {
    *("run", "run_turn", "run_back", "sidestep_run", "dribble", "sneak"),
    *("walk", "walk_turn", "walk_back", "walk_diagonal", "sidestep_walk", "zombie_walk"),
}
# What goes straight on unless a sentence says otherwise: also made much longer.
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
# What somebody who is given time does once, and then stands or stays as they are.
FAR_ACTIONS = RESTED_ACTIONS | {
    *("raise_arm", "lower_arm", "arm_back", "rotate_forearm", "arm_circles"),
    *(
        "lift_leg",
        "lunge",
        "side_lunge",
        "elbow_to_knee",
        "sit_down",
        "stand_up",
        "sit_and_stand",
        "lie_down",
    ),
}
SHORT_SECONDS = 3.5  # longer clips are not made longer
LONG_SECONDS = (3.0, 6.0)  # what shorter ones are made to last
FAR_SECONDS = (6.0, 12.0)  # and those that go straight on or are done once, besides
FAR_CLIPS = 24  # of each action that is done once
FAR_SHARE = 0.3  # of the weight of its recordings, for all of them together
FAR_BEFORE = (0.2, 1.2)  # seconds that somebody stands before

COMMON_CLIPS = 200  # long recordings of an action, from which on nothing is made longer: they show how it begins and ends
RARE_CLIPS = 24  # recordings of an action, below which tempos are made of it
TEMPOS = (0.8, 1.2)  # times as long as recorded
NEVER_SLOWER = {"throw"}  # of the slower throws six of ten were none any more

JOINT_SECONDS = 0.2  # of the fade: a run's cycle lasts 0.7 s, so a longer one would blur its steps
SHORTEST_CYCLE = 0.5  # seconds of two steps of a sprint
TRAVELS = 0.4  # m/s of the pelvis
END_SECONDS = 0.3  # the clip must travel in its first and last ones, too: nobody starts or stops within a run
LARGEST_JUMP = (
    1.5  # at a joint, in the clip's own changes from frame to frame: from 2 on, joints jerk visibly more
)
SMALL_JUMP = 0.1  # over all joints, metres: 2 cm each. Who stands changes less than that from frame to frame.

WAVING = -0.1  # metres over its shoulder, the hand that is up
TURNS = 0.8  # m/s, the fastest joint where a wave turns around
SWING = 0.3  # metres that the hand goes between two turns

REST_JOINT_SECONDS = 0.4
STILL = 0.6  # m/s, the fastest joint of somebody who stands
HANGING = 1.1  # metres over the floor, the wrists of somebody who stands
LARGEST_REST_JUMP = 0.5  # metres that the farthest joint is off, between a stand and the action

ARMS_CLIPS = 120  # of each kind of raised arms: slow ones, both arms
ARMS_SHARE = 0.02  # of the weight of all clips, for each kind
SLOW_SECONDS = (3.0, 5.0)
SLOWEST = 2.2  # times as long as recorded; beyond, it looks like slow motion
HANDS_APART = 0.15  # metres: an arm that crosses the body would meet its mirror image

WALKING_CLIPS = 300  # of arms raised or waved while walking
WALKING_SHARE = 0.05  # of the weight of all clips
WALKING_ACTIONS = {"walk", "walk_back", "walk_turn", "walk_diagonal", "sidestep_walk", "run"}
WAVES_AMONG = 3  # every third of them waves
WALKING_SENTENCES = 8  # of each
OVER_SECONDS = 0.3  # in which the walk's own swing goes over into the raised arm, and back
AFTER_SECONDS = 1.5  # that the walk goes on at most, after an arm came down


def variants(data: MotionData, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    """Clips to train on beside ``clips``: tempos, loops and rests, then arms raised slowly, both arms, and arms of who walks. The same ones every time."""
    form = data.representation
    tempos = list(_tempos(form, clips))
    known = _seldom_long([*clips, *tempos])
    on_the_spot = _loops(form, known, LOOPED_ON_THE_SPOT, travels=False)
    waves = list(_waves(form, known))
    yield from _as_heavy([*tempos, *on_the_spot, *waves, *_rested(form, known)], clips)
    yield from _as_heavy(_for_long(form, clips, known), clips, FAR_SHARE)
    straight = list(_straightened(form, clips))
    yield from straight
    walks = list(_loops(form, [*clips, *straight], LOOPED_ACTIONS, travels=True))
    yield from walks
    yield from _loops(form, [*clips, *straight], STRAIGHT_ACTIONS, travels=True, far=True)
    raised = _raised_arms(clips)
    yield from _rare(_slow_arms(data, raised), clips)
    yield from _rare(_pairs_of_arms(data, raised), clips)
    waved = _by_turns([*waves, *clips], "wave")
    walking = _arms_of_who_walks(data, raised, waved, [*walks, *clips])
    yield from _rare(walking, clips, WALKING_CLIPS, WALKING_SHARE)


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
        yield FeatureClip(replace(clip.about, weight=weight), clip.features)


def _weights(clips: Sequence[FeatureClip]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for clip in clips:
        action = clip.about.labels.get("action", "")
        weights[action] = weights.get(action, 0.0) + clip.about.weight
    return weights


def _between(clip: FeatureClip, low: float, high: float) -> float:
    """A number between the two that is the clip's own."""
    return low + (high - low) * zlib.crc32(f"{clip.about.source}/{clip.about.id}".encode()) / 2**32


# -- rare actions, faster and slower ----------------------------------------------------------------------------

_FAST = re.compile(r"\b(quick|fast|rapid|swift|sudden|brisk|sharp|hard)\w*")
_SLOW = re.compile(r"\b(slow|gentl|calm|leisure|careful)\w*")


def slowed(features: Features, form: Representation, times: float) -> Features:
    """The motion at ``1 / times`` of its speed: [F, D] becomes [about times F, D]."""
    clip = form.decode(features, form.fps)
    return clip_features(replace(clip.resample(form.fps * times), fps=form.fps), form)


def _tempos(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    recordings = Counter(clip.about.labels.get("action", "") for clip in clips)
    for clip in clips:
        action = clip.about.labels.get("action", "")
        if not action or recordings[action] >= RARE_CLIPS:
            continue
        for times, untrue in zip(TEMPOS, (_SLOW, _FAST), strict=True):
            if times > 1 and action in NEVER_SLOWER:
                continue
            said = _without(clip, untrue)
            if said["captions"]:
                yield _made_from(clip, slowed(clip.features, form, times), f"times_{times:g}", **said)


def _without(clip: FeatureClip, untrue: re.Pattern[str]) -> dict[str, tuple[str, ...]]:
    """The captions and the mirrored ones that do not say what a made clip no longer shows."""
    about = clip.about
    return {
        "captions": tuple(caption for caption in about.captions if not untrue.search(caption)),
        "mirrored_captions": tuple(
            caption for caption in about.mirrored_captions if not untrue.search(caption)
        ),
    }


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
        yield _made_from(clip, features, "straight", **changes)


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
    columns = _POSE_AND_MOTION.get(form.name)
    if columns is None or len(features) >= seconds * form.fps or (travels and not _travels(features, form)):
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
    alike = apart[best] < max(LARGEST_JUMP * usual, SMALL_JUMP)
    return (int(best[0]), int(best[1])) if alike else None


# What is said of a clip's end, or of a number of steps, is not true of a longer one.
_ONCE = re.compile(
    r"\b(then|before|after|once|twice|one|two|three|four|five|six|seven|eight|few|several|couple|half|quarter"
    r"|begin\w*|start\w*|stop\w*|slow\w*|halt\w*|step|degrees?|around|u-turn|\d+)\b"
)


def _loops(
    form: Representation,
    clips: Sequence[FeatureClip],
    actions: set[str],
    *,
    travels: bool,
    far: bool = False,
) -> Iterator[FeatureClip]:
    lasting = FAR_SECONDS if far else LONG_SECONDS
    for clip in clips:
        action = clip.about.labels.get("action")
        if action not in actions or clip.about.seconds >= max(SHORT_SECONDS, lasting[0]):
            continue
        said = _without(clip, _ONCE)
        if not said["captions"]:
            continue
        features = looped(clip.features, form, _between(clip, *lasting), travels=travels)
        if features is not None and action in STRAIGHT_ACTIONS:
            # A degree a second is nothing in three seconds, but a curve in ten.
            features = _if_straight(features, form)
        elif features is not None and action == "stand":
            features = clip_features(straightened(form.decode(features, form.fps)), form)
        if features is not None:
            yield _made_from(clip, features, "looped_far" if far else "looped", **said)


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
    there_and_back = [*range(end, start, -1), *range(start, end)]
    order = [*range(end), *there_and_back * times, *range(end, clip.num_frames)]
    return clip_features(
        replace(clip, root_positions=clip.root_positions[order], local_rotations=clip.local_rotations[order]),
        form,
    )


def _waves(form: Representation, clips: Sequence[FeatureClip], *, far: bool = False) -> Iterator[FeatureClip]:
    for clip in clips:
        if clip.about.labels.get("action") != "wave" or clip.about.seconds >= SHORT_SECONDS:
            continue
        said = _without(clip, _ONCE)
        features = (
            to_and_fro(clip.features, form, _between(clip, *(FAR_SECONDS if far else LONG_SECONDS)))
            if said["captions"]
            else None
        )
        if features is not None:
            yield _made_from(clip, features, "to_and_fro_far" if far else "to_and_fro", **said)


# -- actions between two rests ----------------------------------------------------------------------------------


def rested(
    features: Features,
    stands: Sequence[Features],
    form: Representation,
    room: int,
    *,
    before: int | None = None,
) -> Features | None:
    """The motion with somebody standing before and after it.

    Args:
        features: [F, D].
        stands: motions of people who stand still, [each at least the joint's frames, D].
        form: "272" or "263".
        room: how many frames to add at most; less where the stands are short.
        before: how many of them before the motion; half if not given.

    Returns:
        [up to F + room, D]; None where no stand is like the motion's start, or none like its end, or the motion is too short to join.
    """
    overlap = round(REST_JOINT_SECONDS * form.fps)
    columns = _POSE_AND_MOTION[form.name][0]
    if len(features) < 2 * overlap:
        return None
    first = _most_alike(features[:overlap], [stand[-overlap:] for stand in stands], columns)
    last = _most_alike(features[-overlap:], [stand[:overlap] for stand in stands], columns)
    if first is None or last is None:
        return None
    ahead = stands[first][-(overlap + (room // 2 if before is None else before)) :]
    behind = stands[last][: overlap + room - (len(ahead) - overlap)]
    return remade(faded(faded(ahead, features, overlap), behind, overlap), form)


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


def held(features: Features, form: Representation, room: int) -> Features | None:
    """The motion [F, D] with somebody staying as they are at its end for ``room`` more frames; None if they move there."""
    end = features[-round(END_SECONDS * form.fps) :]
    if float(np.linalg.norm(_velocities(end, form), axis=-1).max()) * form.fps > STILL:
        return None
    clip = form.decode(come_to_rest(features), form.fps)
    order = np.minimum(np.arange(len(features) + room), clip.num_frames - 1)
    return clip_features(
        replace(clip, root_positions=clip.root_positions[order], local_rotations=clip.local_rotations[order]),
        form,
    )


def _for_long(
    form: Representation, clips: Sequence[FeatureClip], known: Sequence[FeatureClip]
) -> list[FeatureClip]:
    """Stands, waves and repeated actions that go on for long, and actions that are done once in all that time."""
    made = [*_loops(form, known, LOOPED_ON_THE_SPOT, travels=False, far=True), *_waves(form, known, far=True)]
    stands = [clip.features for clip in made if clip.about.labels["action"] == "stand"]
    for action in sorted(FAR_ACTIONS):
        able = (
            clip
            for clip in _by_turns(clips, action, sides=False)
            if clip.about.seconds < FAR_SECONDS[0] and clip.about.captions
        )
        done = (_done_once(form, clip, stands) for clip in able)
        made += itertools.islice((clip for clip in done if clip is not None), FAR_CLIPS)
    return made


def _done_once(form: Representation, clip: FeatureClip, stands: Sequence[Features]) -> FeatureClip | None:
    room = round((_between(clip, *FAR_SECONDS) - clip.about.seconds) * form.fps)
    before = round(_between(clip, *FAR_BEFORE) * form.fps)
    features = rested(clip.features, stands, form, room, before=before)
    if features is None:
        features = held(clip.features, form, room)
    return None if features is None else _made_from(clip, features, "for_long")


def _rested(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    stands = [
        clip.features
        for clip in clips
        if clip.about.labels.get("action") == "stand" and _stands(clip.features, form)
    ]
    for clip in clips:
        about = clip.about
        if about.labels.get("action") not in RESTED_ACTIONS or about.seconds >= SHORT_SECONDS:
            continue
        room = round((_between(clip, *LONG_SECONDS) - about.seconds) * form.fps)
        features = rested(clip.features, stands, form, room) if room > 0 else None
        if features is not None:
            yield _made_from(clip, features, "rested")


def _stands(features: Features, form: Representation) -> bool:
    """Still, and with hanging hands: some stand with their arms held out."""
    positions = features[:, _POSE_AND_MOTION[form.name][0]].reshape(len(features), -1, 3)
    hanging = positions[:, -2:, 1].max() < HANGING  # the wrists are the last joints of both forms
    speed = float(np.linalg.norm(_velocities(features, form), axis=-1).max()) * form.fps
    return len(features) >= form.fps and hanging and speed < STILL


def _velocities(features: Features, form: Representation) -> Features:
    """Of every joint, metres a frame, [F, joints, 3]."""
    return features[:, _POSE_AND_MOTION[form.name][1]].reshape(len(features), -1, 3)


def _made_from(clip: FeatureClip, features: Features, what: str, **changes) -> FeatureClip:
    # 30 frames a second whatever the representation: see PreparedClip.
    frames = round(clip.about.frames * len(features) / len(clip.features))
    return FeatureClip(replace(clip.about, id=f"{clip.about.id}_{what}", frames=frames, **changes), features)


# -- raised arms ------------------------------------------------------------------------------------------------


def both_arms(features: Features, data: MotionData) -> Features:
    """The motion with the arm that goes higher also mirrored onto the other side, [F, D] (263 loses a row)."""
    form = data.representation
    clip = form.decode(features, form.fps)
    heights = clip.joint_positions()[:, :, 1].max(axis=0)
    left_is_higher = heights[JOINT_INDEX["left_wrist"]] > heights[JOINT_INDEX["right_wrist"]]
    other = ARM_JOINTS["right" if left_is_higher else "left"]
    local = clip.local_rotations.copy()
    local[:, other] = clip.mirrored().local_rotations[:, other]
    return clip_features(replace(clip, local_rotations=local), form)


_ONE_ARM = re.compile(
    r"\b(?:(the|a|an|his|her|their|your|its) )?((?:slightly bent |straight |bent |extended |outstretched )?)"
    r"(?:left|right) (arm|hand)\b(?! side)"
)
_SINGULAR = {"is": "are", "was": "were", "rises": "rise", "comes": "come", "moves": "move", "goes": "go"}
_ARMS = r"(?:both|the|his|her|their|your|its) [\w ]*?(?:arms|hands)"
_SUBJECT = re.compile(rf"\b({_ARMS}) ({'|'.join(_SINGULAR)})\b")
_OBJECT_IT = re.compile(r"\b((?:rais|lower|lift|bring|put|pull|drop)\w*) it\b")
# Left over, these speak of one arm still, or of another side. A sentence that begins with arms has a verb of its own.
_UNCLEAR = re.compile(r"\b(left|right|one|other|another|single|it|arm|hand|while|elbow|wrist)\b")
_NO_VERB = re.compile(rf"^{_ARMS} (?!{'|'.join(_SINGULAR.values())})")


def both_arms_captions(captions: Sequence[str]) -> tuple[str, ...]:
    """Sentences about one named arm or hand, made to say both; those that cannot be are left out.

    ``raises their right hand and lowers it`` becomes ``raises both hands and lowers them``, and ``raises their hands and
    lowers them``: who puts their hands up puts up both.
    """
    result = []
    for caption in captions:
        found = _ONE_ARM.findall(caption)
        if len(found) != 1:
            continue
        whose = ("both",) if found[0][0] in ("", "a", "an") else ("both", found[0][0])
        result += [said for word in whose if (said := _of_both(caption, word))]
    return tuple(dict.fromkeys(result))


def _of_both(caption: str, whose: str) -> str:
    """The sentence about one arm with ``whose`` arms in its place; "" where that is no sentence or still speaks of one."""
    said = _ONE_ARM.sub(rf"{whose} \2\3s", caption)
    said = _SUBJECT.sub(lambda match: f"{match[1]} {_SINGULAR[match[2]]}", said)
    said = _OBJECT_IT.sub(r"\1 them", said).replace("until it is", "until they are")
    said = re.sub(r"\b(to|at) (the|their|his|her|your|its) side\b", r"\1 \2 sides", said)
    return "" if _UNCLEAR.search(said) or _NO_VERB.search(said) else said


def _raised_arms(clips: Sequence[FeatureClip]) -> list[FeatureClip]:
    """Those that raise one named arm, by turns."""
    return _by_turns(clips, "raise_arm")


def _by_turns(clips: Sequence[FeatureClip], action: str, *, sides: bool = True) -> list[FeatureClip]:
    """Those that do this, where ``sides`` with one named arm, from all recordings by turns, so that none is used up first."""
    seen: dict[tuple[str, str], int] = {}
    by_turns = []
    for clip in clips:
        labels = clip.about.labels
        if labels.get("action") == action and (not sides or labels.get("side") in ARM_JOINTS):
            recording = (clip.about.source, clip.about.recording)
            seen[recording] = seen.get(recording, -1) + 1
            by_turns.append((seen[recording], clip))
    return [clip for _, clip in sorted(by_turns, key=lambda item: item[0])]


def _rare(
    made: Iterator[FeatureClip],
    clips: Sequence[FeatureClip],
    count: int = ARMS_CLIPS,
    share: float = ARMS_SHARE,
) -> Iterator[FeatureClip]:
    """The first ``count`` of ``made``, which weigh ``share`` of ``clips`` together."""
    chosen = list(itertools.islice(made, count))
    weight = share * sum(clip.about.weight for clip in clips) / max(1, len(chosen))
    for clip in chosen:
        yield FeatureClip(replace(clip.about, weight=weight), clip.features)


def _slow_arms(data: MotionData, raised: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    for clip in raised:
        said = _without(clip, _FAST)
        times = _between(clip, *SLOW_SECONDS) / clip.about.seconds
        if said["captions"] and 1.2 < times <= SLOWEST:
            features = slowed(clip.features, data.representation, times)
            yield _made_from(clip, features, "slow", **said)


def _pairs_of_arms(data: MotionData, raised: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    for clip in raised:
        captions = not_held_out(both_arms_captions(clip.about.captions))
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


# -- raised and waved arms of who walks -------------------------------------------------------------------------

# Walks whose arms, or whose way of leaning, belong to the style: another arm would make it another style.
_ABOUT_ARMS = re.compile(
    r"\b(arm|hand|elbow|wing|fist|karate|chop|wav|carry|hold|(?:aero|air)?plane|chicken|bird|drunk)\w*"
)
_POSSESSIVE = re.compile(r"\b(his|her|their|your)\b")
_NOT_WALKING = re.compile(r"\b(stand\w*|still|spot|place|then|before|after|sit\w*|squat\w*)\b")


def with_arm_of(walk: Features, arm: Features, side: str, form: Representation) -> Features | None:
    """The walk of one clip with the arm motion of the other, from its start.

    Args:
        walk: [F, D].
        arm: [at most F, D].
        side: "left" or "right".
        form: of both.

    Returns:
        [up to F, D]; an arm that is up at its clip's end stays up, one that came down swings on with the walk.
        None where the walk is shorter than the arm's clip.
    """
    body, raising = form.decode(walk, form.fps), form.decode(arm, form.fps)
    if raising.num_frames > body.num_frames:
        return None
    positions = raising.joint_positions()
    up = positions[:, JOINT_INDEX[f"{side}_wrist"], 1] > positions[:, JOINT_INDEX[f"{side}_shoulder"], 1]
    body = body.slice(0, min(body.num_frames, raising.num_frames + round(AFTER_SECONDS * form.fps)))
    place = np.minimum(np.arange(body.num_frames), raising.num_frames - 1)
    over = max(1, round(OVER_SECONDS * form.fps))
    share = np.ones(body.num_frames)
    if not up[0]:
        share = np.minimum(share, np.arange(body.num_frames) / over)
    if not up[-1]:
        share = np.minimum(share, np.clip((raising.num_frames - np.arange(body.num_frames)) / over, 0, 1))
    share = (share**2 * (3 - 2 * share))[:, None]
    local, joints = body.local_rotations.copy(), ARM_JOINTS[side]
    local[:, joints] = rotations.slerp(local[:, joints], raising.local_rotations[place][:, joints], share)
    return clip_features(replace(body, local_rotations=local), form)


def while_walking_captions(walk: str, arm: str) -> tuple[str, ...]:
    """What says both at once: "he walks" and "waving" make "he walks while waving"; none where the forms do not fit."""
    first = form_of(walk)
    arm = _POSSESSIVE.sub("the", without_subject(arm) if first == "whole" else arm)  # it is one person
    second = form_of(arm)
    if second == "participle":
        return (f"{walk} while {arm}", f"{walk} and {arm}") if first == second else (f"{walk} while {arm}",)
    if second == {"whole": "third"}.get(first, first):
        return (f"{walk} and {arm}", f"{walk} and {arm} at the same time")
    return ()


def _arms_of_who_walks(
    data: MotionData,
    raised: Sequence[FeatureClip],
    waves: Sequence[FeatureClip],
    clips: Sequence[FeatureClip],
) -> Iterator[FeatureClip]:
    form = data.representation
    walks = [
        clip
        for clip in clips
        if clip.about.labels.get("action") in WALKING_ACTIONS
        and not any(_ABOUT_ARMS.search(caption) for caption in clip.about.captions)
    ]
    straight = [clip for clip in walks if clip.about.labels["action"] == "walk"]
    if not walks or not raised:
        return
    paired = set()
    for number in range(2 * WALKING_CLIPS):
        if waves and number % WAVES_AMONG == 0:
            arm = waves[number // WAVES_AMONG % len(waves)]
        else:
            arm = raised[number % len(raised)]
        draw = np.random.default_rng(number)
        among = straight if straight and number % 2 else walks
        walk = among[int(draw.integers(len(among)))]
        pair = walk.about.source, walk.about.id, arm.about.source, arm.about.id
        if pair in paired:
            continue
        paired.add(pair)
        side = arm.about.labels["side"]
        features = with_arm_of(walk.features, arm.features, side, form)
        said = _said_of_both(walk, arm, draw)
        if features is None or not said[0]:
            continue
        labels = {
            "action": f"{walk.about.labels['action']}_and_{arm.about.labels['action']}",
            "side": side,
            "turn": walk.about.labels.get("turn", "none"),
        }
        changes = {"labels": labels, "captions": said[0], "mirrored_captions": said[1]}
        yield _made_from(walk, features, f"and_{arm.about.id}", **changes)


def _said_of_both(
    walk: FeatureClip, arm: FeatureClip, draw: np.random.Generator
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """At most WALKING_SENTENCES captions, and the same of the mirror image."""
    found: dict[str, str] = {}
    walks = list(zip(walk.about.captions, walk.about.mirrored_captions, strict=False))
    arms = [
        pair
        for pair in zip(arm.about.captions, arm.about.mirrored_captions, strict=False)
        if not _NOT_WALKING.search(pair[0])
    ]
    # "While waving" says it most clearly, but few captions are participles.
    participles = [pair for pair in arms if form_of(pair[0]) == "participle"] or arms
    for number in range(8 * WALKING_SENTENCES if walks and arms else 0):
        among = participles if number % 2 else arms
        first, second = walks[draw.integers(len(walks))], among[draw.integers(len(among))]
        made = [while_walking_captions(*said) for said in zip(first, second, strict=True)]
        if made[0] and len(made[0]) == len(made[1]) and len(found) < WALKING_SENTENCES:
            way = int(draw.integers(len(made[0])))
            said, mirrored = made[0][way], made[1][way]
            if not_held_out([said, mirrored]) == (said, mirrored):
                found[said] = mirrored
    return tuple(found), tuple(found.values())
