"""Recorded clips slower and quicker (ours): rare actions at other tempos without a word about it, and all actions with the word.

Few recordings are said to be slow or quick, so a model of them alone walks as fast when it is asked to walk slowly.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

from ..evaluate.prompt_sets import not_held_out
from ..motion.representation import Representation
from .made_clips import FAST, SLOW, by_turns, made_from, slowed, without
from .motion_data import FeatureClip

RARE_CLIPS = 24  # recordings of an action, below which tempos are made of it
TEMPOS = (0.8, 1.2)  # times as long as recorded
NEVER_SLOWER = {"throw"}  # of the slower throws six of ten were none any more

PACES = {"slowly": 1.5, "quickly": 0.7}  # times as long as recorded
PACED_CLIPS = 24  # of each action and pace
PACED_SECONDS = (0.6, 8.0)
# Who is in the air falls as fast as ever, a slower run floats, and who stands or balances has no pace.
NEVER_PACED = re.compile(r"run|jump|hop|throw|cartwheel|ballet|^(?:stand|balance|ride|other|)$")
AT_THE_END = {
    "slowly": ("slowly", "slowly", "very slowly", "at a slow pace"),
    "quickly": ("quickly", "quickly", "very quickly", "fast", "at a fast pace"),
}
# Of another pace than the made clip's, or of a mood that has one.
_PACE = re.compile(rf"{FAST.pattern}|{SLOW.pattern}|\b(?:normal|unhurried|hurr|strol|tired|exhaust|wear)\w*")
# "a person walks" -> "a person slowly walks", "someone is bowing" -> "someone is slowly bowing".
_VERB = re.compile(
    r"^((?:(?:a|an|the|this|that) \w+|someone|somebody|he|she)(?: is)?) (?!is |was |has )(\w+(?:s|ing)\b)"
)


def tempos(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    """Rare actions a little faster and slower, under captions that stay true."""
    recordings = Counter(clip.about.labels.get("action", "") for clip in clips)
    for clip in clips:
        action = clip.about.labels.get("action", "")
        if not action or recordings[action] >= RARE_CLIPS:
            continue
        for times, untrue in zip(TEMPOS, (SLOW, FAST), strict=True):
            if times > 1 and action in NEVER_SLOWER:
                continue
            said = without(clip, untrue)
            if said["captions"]:
                yield made_from(clip, slowed(clip.features, form, times), f"times_{times:g}", **said)


def paced(form: Representation, clips: Sequence[FeatureClip]) -> Iterator[FeatureClip]:
    """Some of every action that can be slower and quicker, under captions that say so."""
    actions = sorted({clip.about.labels.get("action", "") for clip in clips})
    for action in actions:
        if NEVER_PACED.search(action):
            continue
        for pace, times in PACES.items():
            able = [
                clip
                for clip in by_turns(clips, action, sides=False)
                if PACED_SECONDS[0] <= clip.about.seconds * times <= PACED_SECONDS[1]
            ]
            for clip in able[:PACED_CLIPS]:
                said = {
                    name: not_held_out(said_paced(caption, pace) for caption in captions)
                    for name, captions in without(clip, _PACE).items()
                }
                if said["captions"]:
                    yield made_from(clip, slowed(clip.features, form, times), pace, **said)


def said_paced(caption: str, pace: str) -> str:
    """The caption with the pace in it: before the verb of every third that has one there, else at the end."""
    number = zlib.crc32(re.sub(r"\b(left|right)\b", "", caption).encode())  # the same of the mirror image
    verb = _VERB.match(caption)
    if verb and number % 3 == 0:
        return f"{verb[1]} {pace} {caption[verb.start(2) :]}"
    ends = AT_THE_END[pace]
    return f"{caption} {ends[number // 3 % len(ends)]}"
