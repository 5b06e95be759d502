"""Splits a sentence of several steps into a prompt per step, such as "walks forward, then waves" into two (ours).

The recordings of the shipped models show one action each, so those models know no sentence with two steps. Given two
prompts, they do both (docs/decisions/0028). A step that undoes or continues the one before ("then lowers it", "then
stands up again", "then left") stays with it: alone it would mean nothing, and recordings hold such pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..timeline import Prompt

SHORTEST_SECONDS = 1.0  # shortest step; a sentence whose steps would be shorter is not split

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
        edges = [segment.start + round(i * segment.num_frames / len(steps)) for i in range(len(steps) + 1)]
        result += [Prompt(*step) for step in zip(steps, edges, edges[1:])]
    return result
