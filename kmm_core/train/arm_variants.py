"""Training clips of arms out of recorded ones (ours): raised slowly or for long, both where one was, and raised or waved while walking.

Few recordings show an arm that takes its time, hardly any last more than three seconds, show both arms going up, or one while
somebody walks.

Shapes: F frames, D features.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..clip import MotionClip
from ..evaluate.prompt_sets import not_held_out
from ..evaluate.verdicts import raises_high
from ..motion import rotations
from ..motion.kinematics import global_rotations
from ..motion.placement import facing
from ..motion.representation import Representation
from ..skeleton import ARM_JOINTS, JOINT_INDEX
from ..text.sentence_forms import form_of, without_subject
from .compositions import Features
from .made_clips import FAST, between, by_turns, in_order, made_from, slowed, there_and_back, without
from .motion_data import FeatureClip, MotionData, clip_features

ARMS_CLIPS = 120  # of each kind of raised arms: slow ones, both arms
ARMS_SHARE = 0.02  # of the weight of all clips, for each kind
SLOW_SECONDS = (3.0, 5.0)
SLOWEST = 2.2  # times as long as recorded; beyond, it looks like slow motion
HELD_SECONDS = (3.0, 6.0)  # that who raised an arm is shown for
UPRIGHT = 0.15  # metres, the head from over the pelvis: some stand like drunks
HANDS_APART = 0.15  # metres: an arm that crosses the body would meet its mirror image

HANDS_FROM_LEGS = (
    0.07  # metres, a wrist from the axis of a thigh or shin: nearer, the hand would be in the leg
)

WALKING_CLIPS = 300  # of arms raised or waved while walking
WALKING_SHARE = 0.05  # of the weight of all clips
WALKING_ACTIONS = {"walk", "walk_back", "walk_turn", "walk_diagonal", "sidestep_walk", "run"}
WAVES_AMONG = 3  # every third of them waves
WALKING_SENTENCES = 8  # of each
OVER_SECONDS = 0.3  # in which the walk's own swing goes over into the raised arm, and back
AFTER_SECONDS = 1.5  # that the walk goes on at most, after the arm's motion


def arm_variants(
    data: MotionData,
    clips: Sequence[FeatureClip],
    waves: Sequence[FeatureClip],
    walks: Sequence[FeatureClip],
    stands: Sequence[Features],
) -> Iterator[FeatureClip]:
    """Clips of arms made out of ``clips``; ``waves`` and ``walks`` are longer ones that were made out of them before, and in
    ``stands`` somebody stands with hanging arms."""
    raised = by_turns(clips, "raise_arm")
    yield from _rare(_slow_arms(data, raised), clips)
    yield from _rare(_held_arms(data, raised, stands), clips)
    yield from _rare(_pairs_of_arms(data, raised), clips)
    yield from _rare(_pairs_of_arms(data, by_turns(clips, "lower_arm")), clips)
    waved = by_turns([*waves, *clips], "wave")
    walking = _arms_of_who_walks(data, raised, waved, [*walks, *clips])
    yield from _rare(walking, clips, WALKING_CLIPS, WALKING_SHARE)


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
_UNCLEAR = re.compile(r"\b(left|right|one|other|another|single|it|arm|hand|while|elbow|wrist|raised both)\b")
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
        yield replace(clip, about=replace(clip.about, weight=weight))


def _slow_arms(data: MotionData, raised: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    for clip in raised:
        said = without(clip, FAST)
        times = between(clip, *SLOW_SECONDS) / clip.about.seconds
        if said["captions"] and 1.2 < times <= SLOWEST:
            features = slowed(clip.features, data.representation, times)
            yield made_from(clip, features, "slow", **said)


_OTHER_ARM = r"\bwhile\b.*\b(arm|hand)\b"
_HEIGHT = r"shoulder|chest|waist|head|half|part|level|high|sky|top|straight up"
# Who is told to raise an arm and not how high, mostly means over the head.
_NO_HEIGHT = rf"^(?!.*\b({_HEIGHT}))"


def _held_arms(
    data: MotionData, raised: Sequence[FeatureClip], stands: Sequence[Features]
) -> Iterator[FeatureClip]:
    """Who stands for longer than the arm takes: it stays up to the end, or hangs once it has come down. Of an arm that does not
    go high only what names the height is said."""
    form = data.representation
    decoded = [form.decode(stand, form.fps) for stand in stands]
    upright = [stand for stand in decoded if _leans(stand) < UPRIGHT]
    for clip in raised if upright else ():
        stand = upright[zlib.crc32(clip.about.id.encode()) % len(upright)]
        frames = round(between(clip, *HELD_SECONDS) * form.fps)
        standing = clip_features(in_order(stand, there_and_back(stand.num_frames, frames)), form)
        side = clip.about.labels["side"]
        high = raises_high(form.decode(clip.features, form.fps), side).correct
        said = without(clip, re.compile(_OTHER_ARM if high else f"{_OTHER_ARM}|{_NO_HEIGHT}"))
        features = with_arm_of(standing, clip.features, side, form, after=HELD_SECONDS[1])
        if features is not None and said["captions"]:
            yield made_from(clip, features, "held", **said)


def _leans(clip: MotionClip) -> float:
    """How far the head strays from over the pelvis, metres."""
    positions = clip.joint_positions()
    offset = positions[:, JOINT_INDEX["head"]] - positions[:, JOINT_INDEX["pelvis"]]
    return float(np.linalg.norm(offset[:, [0, 2]], axis=-1).max())


def _pairs_of_arms(data: MotionData, raised: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    for clip in raised:
        captions = not_held_out(both_arms_captions(clip.about.captions))
        features = both_arms(clip.features, data) if captions else None
        if features is not None and _hands_apart(features, data.representation) > HANDS_APART:
            labels = {**clip.about.labels, "side": "both"}
            said = {"captions": captions, "mirrored_captions": captions}
            yield made_from(clip, features, "both_arms", labels=labels, **said)


def _hands_apart(features: Features, form: Representation) -> float:
    """Smallest distance between the wrists, metres."""
    positions = form.decode(features, form.fps).joint_positions()
    wrists = positions[:, JOINT_INDEX["left_wrist"]] - positions[:, JOINT_INDEX["right_wrist"]]
    return float(np.linalg.norm(wrists, axis=-1).min())


# -- arms that hang ---------------------------------------------------------------------------------------------

# What the recipes say of exercises in which the arms are held up all the time.
_ARMS_UP = re.compile(
    r" with (?:both arms raised|(?:the|his|her|their|your|its) (?:arms raised|arms up|hands up))"
    r"(?: near the shoulders)?$"
)


def arms_lowered(
    form: Representation, clips: Sequence[FeatureClip], stands: Sequence[Features]
) -> Iterator[FeatureClip]:
    """Those said to hold up the arms, with the hanging arms of somebody who stands; nothing is said of arms then."""
    for clip in clips:
        said, mirrored = (
            not_held_out(_ARMS_UP.sub("", caption) for caption in captions if _ARMS_UP.search(caption))
            for captions in (clip.about.captions, clip.about.mirrored_captions)
        )
        if said and stands:
            stand = stands[zlib.crc32(clip.about.id.encode()) % len(stands)]
            features = with_hanging_arms(clip.features, stand, form)
            if _hands_from_legs(features, form) > HANDS_FROM_LEGS:
                yield made_from(clip, features, "arms_down", captions=said, mirrored_captions=mirrored)


def with_hanging_arms(features: Features, stand: Features, form: Representation) -> Features:
    """The motion with the other's arms, which hang as they do there however the trunk leans, [F, D] (263 loses a row)."""
    clip, still = (form.decode(rows, form.fps) for rows in (features, stand))
    place = there_and_back(still.num_frames, clip.num_frames)
    local, other = clip.local_rotations.copy(), still.local_rotations[place]
    turned = rotations.from_yaw(facing(clip) - facing(still)[place])
    hanging = global_rotations(other)
    for joints in ARM_JOINTS.values():
        local[:, joints] = other[:, joints]
        collar, shoulder = joints[:2]
        parents = global_rotations(local)[:, collar]
        wanted = rotations.multiply(turned, hanging[:, shoulder])
        local[:, shoulder] = rotations.multiply(rotations.conjugate(parents), wanted)
    return clip_features(replace(clip, local_rotations=local), form)


def _hands_from_legs(features: Features, form: Representation) -> float:
    """Smallest distance of a wrist from the axis of a thigh or shin, metres."""
    positions = form.decode(features, form.fps).joint_positions()

    def joint(name: str) -> Features:
        return positions[:, JOINT_INDEX[name]]

    bones, hands = (("hip", "knee"), ("knee", "ankle")), ("left_wrist", "right_wrist")
    apart = []
    for side, (upper, lower), hand in itertools.product(ARM_JOINTS, bones, hands):
        start = joint(f"{side}_{upper}")
        along, offset = joint(f"{side}_{lower}") - start, joint(hand) - start
        share = (offset * along).sum(-1) / (along * along).sum(-1)
        nearest = np.clip(share, 0, 1)[:, None] * along
        apart.append(np.linalg.norm(offset - nearest, axis=-1).min())
    return float(min(apart))


# -- raised and waved arms of who walks -------------------------------------------------------------------------

# Walks whose arms, or whose way of leaning, belong to the style: another arm would make it another style.
_ABOUT_ARMS = re.compile(
    r"\b(arm|hand|elbow|wing|fist|karate|chop|wav|carry|hold|(?:aero|air)?plane|chicken|bird|drunk)\w*"
)
_POSSESSIVE = re.compile(r"\b(his|her|their|your)\b")
# Said of a walk that ends with the arm's motion, of which it may have shown the beginning alone.
_LATER = re.compile(r"\b(u-turn|around|degrees?|quarter|half|then)\b", re.IGNORECASE)
_NOT_WALKING = re.compile(r"\b(stand\w*|still|spot|place|then|before|after|sit\w*|squat\w*)\b")


def with_arm_of(
    walk: Features, arm: Features, side: str, form: Representation, *, after: float = AFTER_SECONDS
) -> Features | None:
    """The walk of one clip with the arm motion of the other, from its start.

    Args:
        walk: [F, D].
        arm: [at most F, D].
        side: "left" or "right".
        form: of both.
        after: seconds that the walk goes on at most.

    Returns:
        [up to F, D]; an arm that is up at its clip's end stays up, one that came down swings on with the walk.
        None where the walk is shorter than the arm's clip.
    """
    body, raising = form.decode(walk, form.fps), form.decode(arm, form.fps)
    if raising.num_frames > body.num_frames:
        return None
    positions = raising.joint_positions()
    up = positions[:, JOINT_INDEX[f"{side}_wrist"], 1] > positions[:, JOINT_INDEX[f"{side}_shoulder"], 1]
    body = body.slice(0, min(body.num_frames, raising.num_frames + round(after * form.fps)))
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
        yield made_from(walk, features, f"and_{arm.about.id}", **changes)


def _said_of_both(
    walk: FeatureClip, arm: FeatureClip, draw: np.random.Generator
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """At most WALKING_SENTENCES captions, and the same of the mirror image."""
    found: dict[str, str] = {}
    walks = [
        pair
        for pair in zip(walk.about.captions, walk.about.mirrored_captions, strict=False)
        if not _LATER.search(pair[0])
    ]
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
