"""The prompts of a timeline as a model of short single actions knows them (ours): a prompt per step of a sentence, such as
"walks forward, then waves", long prompts as several of the same text, long gaps with a text of their own, and getting up
before what nobody does sitting.

The recordings of the shipped models show one action each, so those models know no sentence with two steps. Given two
prompts, they do both (docs/decisions/0028). A step that undoes or continues the one before ("then lowers it", "then
stands up again", "then left") stays with it: alone it would mean nothing, and recordings hold such pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from math import ceil

from ..timeline import Prompt

SHORTEST_SECONDS = 1.0  # shortest step; a sentence whose steps would be shorter is not split
LONG_GAP_SECONDS = 1.0  # a gap up to here is only the way from one prompt to the next
# Of getting up: sitting down was recorded to take 1.2 s, and the pelvis of who lies down 2 to 3 s.
SEAT_SECONDS, FLOOR_SECONDS = 1.2, 2.5

_THEN = re.compile(
    r"""(
    (?<!\bnow)(?<!\bnow\ and)(?<!\buntil)(?<!\bby)  # "now and then", "until then", "by then"
    (?:\s*[,;.]\s*|\s+)(?:and\s+)?(?:then|after\ that|afterwards)\b,?\s+
    |,?\s+before\s+(?=\w+ing\b)  # not "stands before the mirror"
    |,?\s+and\s+(?=(?:stop(?:s|ping|ped)?|halt(?:s|ing|ed)?|com(?:es?|ing)\ to\ a\ \w+)\W*$)  # "walks and stops"
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_SAME_STEP = re.compile(
    r"""
    ^(?:to|left|right|up|down|forwards?|backwards?)\b  # no verb: the one before is meant
    |\b(?:it|them|again|back|other)\b
    |\b(?:stands?|standing|stood|gets?|getting|got|comes?|coming|came)\ up\b
    |\b(?:rises?|rising|rose|straighten(?:s|ing|ed)?|lands?|landing|landed|returns?|returning|returned)\b
    |\b(?:lower(?:s|ing|ed)?|drop(?:s|ping|ped)?)\ (?:the|his|her|their|your|both|one)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)

_OWN = r"(?:a|the|his|her|their|your|its)"
_SEAT = r"(?:seat|chair|stool|bench|sofa|couch|box)"
_DOWN = re.compile(
    rf"""
    \b(?:sits?|sitting|sat|lies?|lying|lay)\b(?!-|\ ups?\b|\ (?:something|an?|it|them)\b)  # not "sit-ups", "sits up"
    |\bla(?:ys|ying|id)\ (?:(?:him|her|them|your)sel(?:f|ves)\ )?(?:down|flat|back|on|there)\b
    |\b(?:take|taking|took|have|has|having|had)\w*\ {_OWN}\ seat\b
    |\b(?:lower|settl|perch|sink|sank|drop|plop)\w*\ (?:\w+\ ){{0,3}}(?:on|onto|into|in)\ {_OWN}\ {_SEAT}\b
    |\bstretch\w*\ out\ (?:flat\ )?on\b
    |\bseat(?:s|ed|ing)\ (?:him|her|them|your)sel\w+|\bto\ bed\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_UP_AGAIN = re.compile(
    rf"""
    \b(?:stand(?:s|ing)?|stood|gets?|getting|got|comes?|coming|came|push\w*|jump\w*|spr[iau]ng\w*)
        \ (?:right\ |back\ |\w+sel(?:f|ves)\ )*up\b
    |\b(?:stand(?:s|ing)?|stood)\ from\b
    |\b(?:ris(?:es?|ing)|rose|straighten(?:s|ing|ed)?|leav(?:es?|ing))\b
    |\b(?:off|out\ of)\ {_OWN}\ (?:{_SEAT}|bed|floor|ground)\b
    |\b(?:to|on)\ (?:stand(?:ing)?|{_OWN}\ feet)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)

_ON_THE_FLOOR = re.compile(
    r"\b(?:l(?:ies?|ying|ay)|la(?:ys|ying|id)|floor|ground|stretch\w*|bed)\b", re.IGNORECASE
)
# What somebody does who stays down there.
_DOWN_THERE = re.compile(
    r"\b(?:(?:remain|stay|wait)(?:s|ed|ing)?(?!\ (?:up|standing))|rest(?:s|ed|ing)?|sleep\w*|slept|seated"
    r"|roll(?:s|ed|ing)?|crawl\w*|s(?:i|a)t(?:s|ting)?[- ]ups?|(?:push|press)-?ups?)\b",
    re.IGNORECASE,
)


def steps_of(sentence: str) -> list[str]:
    """ "walk, then raise an arm and then lower it" -> ["walk", "raise an arm and then lower it"]."""
    first, *rest = _THEN.split(sentence)
    steps = [first]
    for between, step in zip(rest[::2], rest[1::2], strict=True):
        # A part without any word is no step either: as an empty prompt it would become a gap.
        if _SAME_STEP.search(step) or not all(re.search(r"\w", part) for part in (steps[-1], step)):
            steps[-1] += between + step
        else:
            steps.append(step)
    return steps


def in_steps(segments: Iterable[Prompt], fps: float) -> list[Prompt]:
    """The segments with every sentence of several steps split into its steps, each equally long."""
    result = []
    for segment in segments:
        steps = steps_of(segment.text)
        if segment.num_frames < SHORTEST_SECONDS * fps * len(steps):
            steps = [segment.text]
        result += _in_equal_parts(segment, steps)
    return result


def in_pieces(segments: Iterable[Prompt], fps: float, longest: float) -> list[Prompt]:
    """The segments with all that last more than ``longest`` seconds as equal pieces of at most that; 0 splits none.

    Nobody walked straight on for longer in the recordings, so a model that is asked to stops or turns. Asked again, it goes on.
    """
    result = []
    for segment in segments:
        count = ceil(segment.num_frames / (longest * fps) - 1e-9) if longest else 1
        result += _in_equal_parts(segment, [segment.text] * count)
    return result


def with_gaps_filled(segments: Iterable[Prompt], fps: float, text: str) -> list[Prompt]:
    """The segments with ``text`` in every gap (empty text) of more than LONG_GAP_SECONDS; "" leaves them as they are.

    In a long gap a model that is asked for nothing does anything: a few seconds after a walk it dances. Who sat or lay
    down is asked for the same again, and stays there.
    """
    result: list[Prompt] = []
    for segment in segments:
        if text and not segment.text and segment.num_frames > LONG_GAP_SECONDS * fps:
            before = result[-1].text if result else ""
            segment = replace(segment, text=before if _stays_down(before) else text)
        result.append(segment)
    return result


def with_rises(segments: Iterable[Prompt], fps: float, text: str) -> list[Prompt]:
    """The segments with ``text``, such as "stands up", at the start of those that follow on sitting or lying down and say
    nothing of getting up; "" leaves them as they are.

    Told to walk, who sits springs up within a few frames: no recording shows that, so no model knows how long it takes.
    At most half of a segment is spent on it.
    """
    result: list[Prompt] = []
    down = ""
    for segment in segments:
        if _stays_down(segment.text):
            down = segment.text
        elif segment.text and not _DOWN_THERE.search(segment.text):
            if down and text and not _UP_AGAIN.search(segment.text):
                seconds = FLOOR_SECONDS if _ON_THE_FLOOR.search(down) else SEAT_SECONDS
                up = segment.start + min(round(seconds * fps), segment.num_frames // 2)
                if up > segment.start:
                    result.append(replace(segment, text=text, end=up))
                    segment = replace(segment, start=up)
            down = ""
        result.append(segment)
    return result


def _stays_down(sentence: str) -> bool:
    """Whether somebody who has done this sits or lies there."""
    return bool(_DOWN.search(sentence) and not _UP_AGAIN.search(sentence))


def _in_equal_parts(segment: Prompt, texts: list[str]) -> list[Prompt]:
    edges = [segment.start + round(i * segment.num_frames / len(texts)) for i in range(len(texts) + 1)]
    return [Prompt(*part) for part in zip(texts, edges, edges[1:])]
