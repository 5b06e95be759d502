"""The grammatical form of a caption: a sentence with a subject, or only a verb in one of three forms."""

from __future__ import annotations

import re

_SUBJECT = re.compile(
    r"(an?|the|this|that|some|one|two|both|his|her|their|your|he|she|they|it|i|you|someone|somebody|people|with)\b"
)
# A subject that can be left out after another sentence about the same person, and a verb that still fits without it.
_LEFT_OUT = re.compile(
    r"(?:(?:an?|the|this) (?:person|man|woman|boy|girl|guy|human|figure|character|actor|performer)|someone|somebody|he|she) "
    r"(?!is |was |has )(?=\w+s\b)"
)


def form_of(sentence: str) -> str:
    """``whole`` with a subject, ``participle`` ("walking"), ``third`` ("walks") or ``plain`` ("walk")."""
    sentence = sentence.lower()
    if _SUBJECT.match(sentence):
        return "whole"
    verb = re.split(r"[^a-z]", sentence, maxsplit=1)[0]
    if re.fullmatch(r"\w*[aeiouy]\w*ing", verb):  # "bring" is none
        return "participle"
    return "third" if verb.endswith("s") and not verb.endswith("ss") else "plain"


def without_subject(sentence: str) -> str:
    """ "a man walks" -> "walks"; other kinds of sentence stay as they are."""
    return _LEFT_OUT.sub("", sentence, count=1) if _LEFT_OUT.match(sentence) else sentence
