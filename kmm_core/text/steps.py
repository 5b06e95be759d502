"""One sentence of several steps as a prompt for each: "walks forward, then waves" is "walks forward" and "waves" (ours).

The starters' recordings show one action each, so their model knows no sentence of two. As two prompts it does both
(docs/decisions/0028). A step that takes back or goes on with the one before ("then lowers it", "then stands up again",
"then left") stays with it: alone it would say nothing, and recordings hold such pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..timeline import Prompt

SHORTEST_SECONDS = 1.0  # of a step; where they would be shorter the sentence stays whole

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
        # Nor is what holds no word a step: an empty prompt would be a gap.
        if _SAME_STEP.search(step) or not all(re.search(r"\w", part) for part in (steps[-1], step)):
            steps[-1] += between + step
        else:
            steps.append(step)
    return steps


def in_steps(segments: Iterable[Prompt], fps: float) -> list[Prompt]:
    """The same segments, sentences of several steps as a prompt for each, equally long."""
    result = []
    for segment in segments:
        steps = steps_of(segment.text)
        if segment.num_frames < SHORTEST_SECONDS * fps * len(steps):
            steps = [segment.text]
        edges = [segment.start + round(i * segment.num_frames / len(steps)) for i in range(len(steps) + 1)]
        result += [Prompt(*step) for step in zip(steps, edges, edges[1:])]
    return result
