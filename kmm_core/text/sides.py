"""Sides as the models' captions name them (ours): "clockwise" is to the right, and what is not to be done is left out.

No caption of the shipped models says "clockwise" or "not the left arm": asked for in such words, they did the other thing.
"""

from __future__ import annotations

import re

_LIMB = r"(?:arm|hand|fist|elbow|leg|foot|knee)"
_CLOCK = r"(?P<counter>(?:counter|anti)[-\s]*)?clock[-\s]*wise"
_CLOCKWISE = re.compile(
    rf"\bin\s+(?:an?|the)\s+{_CLOCK}\s+(?:direction|manner|way|fashion)\b".replace(
        "<counter>", "<counter_way>"
    )
    + rf"|\b(?:an?\s+)?{_CLOCK}\s+(?P<thing>circle|turn|spin|loop|rotation|arc|curve)\b".replace(
        "<counter>", "<counter_thing>"
    )
    + rf"|\b{_CLOCK}\b",
    re.IGNORECASE,
)
# An arm that circles clockwise goes to no side.
_OF_A_LIMB = re.compile(rf"\b{_LIMB}s?\b", re.IGNORECASE)
_SIDE = rf"(?:to\s+)?(?:(?:the|his|her|their|your)\s+)?(?:left|right)(?:\s+(?:{_LIMB}|one|side))?"
_NOT_THIS_BUT = re.compile(rf"\bnot\s+(?:with\s+)?{_SIDE},?\s+but\s+", re.IGNORECASE)
_NOT_THIS = re.compile(rf",?\s+(?:and\s+)?not\s+(?:with\s+)?{_SIDE}\b", re.IGNORECASE)


def plain_sides(sentence: str) -> str:
    """ "turns clockwise" -> "turns to the right"; "turns right, not left" -> "turns right"."""
    sentence = _NOT_THIS.sub("", _NOT_THIS_BUT.sub("", sentence))
    return sentence if _OF_A_LIMB.search(sentence) else _CLOCKWISE.sub(_to_the_side, sentence)


def _to_the_side(found: re.Match[str]) -> str:
    counter = found["counter"] or found["counter_way"] or found["counter_thing"]
    side = f"to the {'left' if counter else 'right'}"
    return f"a {found['thing']} {side}" if found["thing"] else side
