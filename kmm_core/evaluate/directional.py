"""The directional benchmark: the clips of any set whose captions name a side or a turn, as BABEL-D is of BABEL.

KMM (arXiv 2411.06481) measures on 560 BABEL clips "whose captions say left or right" and did not publish which. Here the
words are published, so that the same clips can be chosen again. ``docs/evaluate.md`` prints them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from .evaluation_set import EvaluationClip, EvaluationSet


def _listed(block: str, separator: str = " ") -> tuple[str, ...]:
    return tuple(" ".join(block.split()).split(separator))


# Whole words in lower case; "left-handed" and "counter-clockwise" are read as the words that begin with them.
SIDE_WORDS = _listed(
    """left right lefts rights leftward leftwards rightward rightwards leftmost rightmost leftside rightside
    lefthand righthand lefthanded righthanded clockwise counterclockwise anticlockwise"""
)
TURN_WORDS = _listed(
    """turn turns turned turning rotate rotates rotated rotating rotation spin spins spun spinning
    twirl twirls twirled twirling pivot pivots pivoted pivoting swivel swivels swiveled swiveling
    whirl whirls whirled whirling pirouette pirouettes uturn"""
)
# Phrases in which such a word names no direction; they are taken out first.
NO_DIRECTION = _listed(
    """right away, right now, right back, right angle, right angles, all right, left the room, left the area,
    left the scene, left alone, in turn, take turns, takes turns, taking turns, turn a page, turns a page,
    turn off, turns off""",
    ", ",
)

Direction = Literal["side", "turn"]
_WORD = re.compile(r"[a-z]+")


def directions(caption: str) -> frozenset[Direction]:
    """What a caption names: a "side", a "turn", both, or neither.

    Whole words count: "upright" and "brightly" name no side, "left-handed" and "counter-clockwise" do.
    """
    words = _words(caption)
    text = f" {' '.join(words)} "
    for phrase in NO_DIRECTION:
        text = text.replace(f" {phrase} ", " | ")
    left = set(text.split())
    found: set[Direction] = set()
    if left & _SIDES:
        found.add("side")
    if left & _TURNS:
        found.add("turn")
    return frozenset(found)


def directional_captions(clip: EvaluationClip) -> tuple[int, ...]:
    """Indices of the clip's captions that name a side or a turn."""
    return tuple(number for number, caption in enumerate(clip.captions) if directions(caption))


def directional_set(whole: EvaluationSet) -> EvaluationSet:
    """The clips that name a side or a turn, with those of their captions that do.

    Raises:
        KmmError: ``no_clips`` where none does.
    """
    clips = []
    for clip in whole.clips:
        numbers = directional_captions(clip)
        if numbers:
            clips.append(
                replace(
                    clip,
                    captions=tuple(clip.captions[number] for number in numbers),
                    tagged=tuple(clip.tagged[number] for number in numbers),
                )
            )
    return whole.with_clips(clips)


def _words(caption: str) -> list[str]:
    """Lower case. "counter-clockwise", "counter clockwise", "u-turn" and "left-handed" become one word."""
    text = re.sub(r"\b(counter|anti)[\s-]+(clockwise)", r"\1\2", caption.lower())
    text = re.sub(r"\bu[\s-]turn(s|ed|ing)?\b", "uturn", text)
    return _WORD.findall(text)


_SIDES, _TURNS = frozenset(SIDE_WORDS), frozenset(TURN_WORDS)
