"""People who sit down or lie down: they stay there and, played backward, get up again (ours).

Recordings show hardly anybody who gets up, and nobody who sits down and then gets up when told, so a model of them alone
springs up at once and does something else. Shapes: F frames, D features.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..evaluate.prompt_sets import not_held_out
from ..motion.representation import Representation
from ..skeleton import JOINT_INDEX
from .compositions import Features, come_to_rest
from .made_clips import between, in_order, made_from, slowed, there_and_back
from .motion_data import FeatureClip, clip_features

WAIT_SECONDS = (0.0, 2.0)  # down there, before it is time to get up
STAY_SECONDS = (2.0, 6.0)  # and if nobody says so
# Times as long as it took to get down: who lies down takes five to seven seconds.
RISES = {"sit_down": ("stand_up", (1.0,)), "lie_down": ("get_up", (1.0, 0.7, 0.5))}
TRUNK = [JOINT_INDEX[name] for name in ("pelvis", "head")]
STILL = 0.25  # m/s, pelvis and head of somebody who is down there: the hands may move on
SHORTEST_SECONDS = 0.5  # of getting down
SOON_FRAMES = 6  # in which nobody moves any more
SENTENCES = 12  # of each clip, about getting up
FROM_THE_FLOOR = (
    "get up",
    "gets up",
    "getting up",
    "stand up",
    "stands up",
    "get up from the floor",
    "gets up from the floor",
    "getting up off the ground",
    "stands up from the floor",
    "rises from the ground",
    "get back on your feet",
    "gets back to the feet",
    "a person gets up from the floor",
    "a person gets up off the ground",
    "a person stands up from the floor",
    "the man gets up from the ground",
    "the man rises to his feet",
    "a woman gets up off the floor",
    "a woman stands up again",
    "someone gets back up",
    "someone gets to their feet",
    "somebody gets up from lying on the floor",
    "she gets up from the floor",
    "he got up from the ground",
)


def rising(
    form: Representation,
    clips: Sequence[FeatureClip],
    and_stand: Callable[[Features, FeatureClip], Features | None],
) -> Iterator[FeatureClip]:
    """Clips of who gets down and stays there, gets up, and gets down and, told so, up again.

    Args:
        form: of the features.
        clips: recordings; what is said of those who stand up is said of the made ones.
        and_stand: a motion with somebody standing after it, for the clip that it was made of; None where that can't be.
    """
    from_a_seat = dict.fromkeys(
        caption
        for clip in clips
        if clip.about.labels.get("action") == "stand_up"
        for caption in clip.about.captions
    )
    sentences = {"stand_up": tuple(from_a_seat), "get_up": FROM_THE_FLOOR}
    for clip in clips:
        action, paces = RISES.get(clip.about.labels.get("action", ""), ("", ()))
        if not action or not clip.about.captions:
            continue
        brief = _without_its_wait(clip.features, form)
        if len(brief) < SHORTEST_SECONDS * form.fps:
            continue
        long, until = stayed(clip.features, len(brief), form, round(between(clip, *STAY_SECONDS) * form.fps))
        stays = ((clip.about, until), (clip.about, len(long)))
        yield replace(made_from(clip, long, "staying"), parts=stays)
        said = not_held_out(sentences[action])
        if not said:
            continue
        number = zlib.crc32(clip.about.id.encode())
        said = tuple(said[(number + step) % len(said)] for step in range(min(SENTENCES, len(said))))
        labels = {**clip.about.labels, "action": action}
        weight = clip.about.weight / len(paces)
        changes = {"captions": said, "mirrored_captions": said, "labels": labels, "weight": weight}
        for times in paces:
            name = "rising" if times == 1 else f"rising_{times:g}"
            alone = made_from(clip, slowed(got_up(brief, form), form, times), name, **changes)
            yield alone
            longer = and_stand(alone.features, clip)
            if longer is not None:
                yield made_from(clip, longer, f"{name}_and_stand", **changes)
            wait = round(between(clip, *WAIT_SECONDS) * form.fps)
            both, changes_at = down_and_up(brief, form, wait, times)
            told = ((clip.about, changes_at), (alone.about, len(both)))
            yield replace(made_from(clip, both, f"down_and_{name}", weight=weight), parts=told)


def got_up(features: Features, form: Representation) -> Features:
    """The motion [F, D] backward."""
    clip = form.decode(features, form.fps)
    return clip_features(in_order(clip, range(clip.num_frames)[::-1]), form)


def stayed(features: Features, down: int, form: Representation, wait: int) -> tuple[Features, int]:
    """The motion with a longer wait at its end, its own played to and fro, and the frame from which that is told by itself.

    Args:
        features: [F, D].
        down: the frame from which somebody waits in them.
        form: of the features.
        wait: for how many frames.
    """
    clip = form.decode(features if down < len(features) else come_to_rest(features), form.fps)
    if down == len(features):  # moves to its end: only where it has come to rest does nobody move
        down = clip.num_frames - 1
    order = [*range(down), *(down + there_and_back(clip.num_frames - down, wait))]
    return clip_features(in_order(clip, order), form), down + wait // 4


def down_and_up(features: Features, form: Representation, wait: int, times: float) -> tuple[Features, int]:
    """The motion and the same backward, and the frame from which the way back is due.

    Args:
        features: [F, D].
        form: of the features.
        wait: frames in which nobody moves, halfway.
        times: how long the way back takes, in lengths of the way there.
    """
    there = form.decode(come_to_rest(features), form.fps)
    down = there.num_frames + wait
    way = in_order(there, np.minimum(np.arange(down), there.num_frames - 1))
    back = there.resample(form.fps * times)
    back = in_order(back, range(back.num_frames)[::-1])
    both = replace(
        way,
        root_positions=np.concatenate([way.root_positions, back.root_positions]),
        local_rotations=np.concatenate([way.local_rotations, back.local_rotations]),
    )
    return clip_features(both, form), down


def _without_its_wait(features: Features, form: Representation) -> Features:
    """Up to the last frame in which somebody moves, and a little more: who is told to get up does not go on sitting."""
    joints = form.decode(features, form.fps).joint_positions()[:, TRUNK]
    fastest = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(axis=1) * form.fps
    moving = np.flatnonzero(fastest > STILL)
    return features[: (int(moving[-1]) if len(moving) else 0) + SOON_FRAMES]
