"""The prompts of a timeline as a model of short single actions knows them (ours): a prompt per step of a sentence, such as
"walks forward, then waves", long prompts as several of the same text, long gaps with a text of their own, and getting up
before what nobody does sitting.

The recordings of the shipped models show one action each, so those models know no sentence with two steps. Given two
prompts, they do both (docs/decisions/0028). A step that undoes the one before ("then lowers it", "then stands up again")
stays with it: recordings hold such pairs. One without a verb ("then left", "then faster") gets the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from math import ceil

from ..timeline import Prompt
from .sides import plain_sides

SHORTEST_SECONDS = 1.0  # shortest step; a sentence whose steps would be shorter is not split
LONG_GAP_SECONDS = 1.0  # a gap up to here is only the way from one prompt to the next
# Of getting up: sitting down was recorded to take 1.2 s, and the pelvis of who lies down 2 to 3 s.
SEAT_SECONDS, FLOOR_SECONDS = 1.2, 2.5

_THEN = re.compile(
    r"""(
    (?<!\bnow)(?<!\bnow\ and)(?<!\buntil)(?<!\bby)  # "now and then", "until then", "by then"; "faster then usual" is "than"
    (?:\s*[,;.]\s*|\s+)(?:and\s+)?(?:then(?!\ (?:usual|normal|before)\b)|after\ that|afterwards)\b,?\s+
    |,?\s+before\s+(?=\w+ing\b)  # not "stands before the mirror"
    |,?\s+and\s+(?=(?:stop(?:s|ping|ped)?|halt(?:s|ing|ed)?|com(?:es?|ing)\ to\ a\ \w+)\W*$)  # "walks and stops"
    )""",
    re.IGNORECASE | re.VERBOSE,
)
# What connects a prompt with the one before it, at its beginning.
_LEADING = re.compile(r"^\W*(?:and\s+)?(?:then|after\ that|afterwards|next)\b\W*(?=\w)", re.IGNORECASE)
_WORD = re.compile(r"(?!(?:and|then)\b)\w+", re.IGNORECASE)

# Undoes the step before, or ends it.
_SAME_STEP = re.compile(
    r"""
    \b(?:stands?|standing|stood|gets?|getting|got|comes?|coming|came)\ (?:right\ |back\ )*up\b
    |\b(?:rises?|rising|rose|straighten(?:s|ing|ed)?|lands?|landing|landed|returns?|returning|returned)\b
    |\b(?:lower|drop|put|bring|take|let|set|pull|mov)\w*\ (?:it|them)\b
    |\b(?:lower(?:s|ing|ed)?|drop(?:s|ping|ped)?)\ (?:the|his|her|their|your|both|one)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)

_THE = r"(?:the\ |his\ |her\ |their\ |your\ |my\ )?"
_LIMB = r"(?:arm|hand|fist|elbow|leg|foot|knee)"
_SIDED_LIMB = re.compile(rf"\b(left|right|other)(?:\ (?P<limb>{_LIMB}|one))?\b", re.IGNORECASE)
# Steps without a verb, and what of the step before they take the place of. "To the right" after "turns to the left":
_DEGREES = r"(?:\ (?:by\ )?\d+\ degrees)?"
_TO_A_SIDE = rf"\b(?:(?:to|towards?)\ )?{_THE}(?:left|right)(?!\ {_LIMB})(?:\ side)?{_DEGREES}\b"
_OTHER_WAY = rf"\b(?:(?:in|to|towards?)\ )?{_THE}(?:other|opposite)\ (?:side|way|direction)\b"
_WAY = rf"(?:{_TO_A_SIDE}|{_OTHER_WAY}|\b(?:forwards?|backwards?|back|ahead|sideways)\b)"
_TOWARDS = re.compile(rf"^(?:sideways\ (?=.))?{_WAY}(?:\ again)?$", re.IGNORECASE)
_SOME_WAY = re.compile(_WAY, re.IGNORECASE)
# "with the left leg", "the left", "the other one" after "kicks with the right leg":
_WITH = re.compile(
    rf"^(?:with\ |using\ |on\ )?{_THE}(?:left|right|other)(?:\ (?:{_LIMB}|one))?$", re.IGNORECASE
)
_ANY_LIMB = re.compile(rf"\b(?:one|an?|{_THE.strip('?')})\ ?(?P<limb>{_LIMB})\b", re.IGNORECASE)
_OTHER_LIMB = re.compile(rf"\b{_THE}other(?:\ (?:{_LIMB}|one))?$", re.IGNORECASE)
_BOTH_LIMBS = re.compile(rf"^(?:with\ )?both(?:\ {_THE}{_LIMB}s|\ {_LIMB}s|\ feet)$", re.IGNORECASE)
_SOME_LIMB = re.compile(rf"\b(?P<side>left|right)\ (?P<limb>{_LIMB})\b", re.IGNORECASE)
# "faster" after "walks slowly":
_HOW = re.compile(
    r"^(?:(?:more|even|much|very|and)\ )*(?:\w+ly|fast(?:er)?|slow(?:er)?|quick(?:er)?|harder)(?:\ again)?$",
    re.IGNORECASE,
)
_SOMEHOW = re.compile(
    r"(?:^|\ )(?:(?:more|very)\ )?(?:\w+ly|fast(?:er)?|slow(?:er)?|quick(?:er)?|harder)\b", re.IGNORECASE
)
_AGAIN = re.compile(r"^(?:once\ )?(?:again|more)$", re.IGNORECASE)
_IN_A_CIRCLE = re.compile(r"^(?:in|around|along)\b", re.IGNORECASE)
_GOES = re.compile(r"\b(?:walk|step|run|jog|go|mov|hop|jump)", re.IGNORECASE)
# Others that begin like this say no verb either, such as "up high": alone they would mean nothing.
_NO_VERB = re.compile(
    r"^(?:to|with|on|at|into|using|left|right|up|down|back|forwards?|backwards?|sideways|both|another|once|again)\b",
    re.IGNORECASE,
)

_OWN = r"(?:a|the|his|her|their|your|its)"
_SEAT = r"(?:seat|chair|stool|bench|sofa|couch|box)"
_DOWN = re.compile(
    rf"""
    (?<!\bfrom\ )(?<!\bfrom\ a\ )
    \b(?:sits?|sitting|sat|lies?|lying|lay)\b(?!-|\ ups?\b|\ (?:something|an?|it|them)\b)  # not "sit-ups", "sits up"
    |\bla(?:ys|ying|id)\ (?:(?:him|her|them|your)sel(?:f|ves)\ )?(?:down|flat|back|on|there)\b
    |\b(?:take|taking|took|have|has|having|had)\w*\ {_OWN}\ seat\b
    |\b(?:lower|settl|perch|sink|sank|drop|plop)\w*  # not "lowers the box onto the bench"
        \ (?:(?:\w+ly|\w+sel(?:f|ves)|{_OWN}\ body|down|back)\ ){{0,3}}(?:on|onto|into|in)\ {_OWN}\ {_SEAT}\b
    |\bstretch\w*\ out\ (?:flat\ )?on\b
    |\bseat(?:s|ed|ing)\ (?:him|her|them|your)sel\w+|\bto\ bed\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_UP_AGAIN = re.compile(
    rf"""
    \b(?:stand(?:s|ing)?|stood|gets?|getting|got|comes?|coming|came|push\w*|jump\w*|spr[iau]ng\w*)
        \ (?:right\ |back\ |\w+sel(?:f|ves)\ )*up\b(?!\ and\ down)
    |\b(?:stand(?:s|ing)?|stood)\ from\b
    |(?<!arm\ )(?<!arms\ )(?<!hand\ )(?<!hands\ )(?<!leg\ )(?<!legs\ )(?<!knee\ )\b(?:ris(?:es?|ing)|rose)\b
    |\bstraighten(?:s|ing|ed)?(?:\ up\b|\W*$)
    |\bleav(?:es?|ing)\ {_OWN}\ (?:{_SEAT}|bed|floor|ground)\b
    |\b(?:off|out\ of)\ {_OWN}\ (?:{_SEAT}|bed|floor|ground)\b
    |\b(?:to|on)\ (?:stand(?:ing)?|{_OWN}\ feet)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)

_ON_THE_FLOOR = re.compile(
    r"\b(?:l(?:ies?|ying|ay)|la(?:ys|ying|id)|floor|ground|stretch\w*|bed)\b", re.IGNORECASE
)
# What somebody does who stays down there; as the sentence's first verb, not "walks and waits".
_DOWN_THERE = re.compile(
    r"""
    ^\W*(?:(?:an?|the|one|some)\ (?:\w+\ )?\w+\ |(?:he|she|they|someone|somebody)\ )?
    (?:(?:is|are|and|just|still|\w+ly|keeps?|do|does|doing|some|a\ few)\ )*
    (?:(?:remain|stay|wait)(?:s|ed|ing)?(?!\ (?:up|standing))|rest(?:s|ed|ing)?|sleep\w*|slept|seated
    |roll(?:s|ed|ing)?(?!\ (?:the|his|her|their|your|up)\b)|crawl\w*|s(?:i|a)t(?:s|ting)?[-\ ]ups?|(?:push|press)-?ups?)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Of these, what is no more than that.
_STAYS = re.compile(
    r"\b(?:remain|stay|wait)(?:s|ed|ing)?\b(?!.*\band\b)|\b(?:rests?|rested|resting|sleep\w*|slept|seated)\b(?!.*\band\b)",
    re.IGNORECASE,
)


def steps_of(sentence: str) -> list[str]:
    """ "walk, then raise an arm and then lower it" -> ["walk", "raise an arm and then lower it"].

    A step without a verb gets that of the step before: "turns left, then right" -> ["turns left", "turns right"].
    """
    first, *rest = _THEN.split(plain_sides(_LEADING.sub("", sentence)))
    steps = [first]
    for between, step in zip(rest[::2], rest[1::2], strict=True):
        if _OTHER_LIMB.search(step.rstrip(".,;! ")) and not _SOME_LIMB.search(steps[-1]):
            # "Raises one arm, then the other": whichever comes first, they are two.
            steps[-1] = _ANY_LIMB.sub(r"the right \g<limb>", steps[-1], count=1)
        whole = _completed(step, steps[-1])
        # A part without any word is no step either: as an empty prompt it would become a gap.
        if whole and not _SAME_STEP.search(step) and all(_WORD.search(part) for part in (steps[-1], step)):
            steps.append(whole)
        else:
            steps[-1] += between + step
    return steps


def _completed(step: str, before: str) -> str:
    """The step with what it leaves out, from the step before; "" where that is not to be known."""
    step, before = step.strip(), before.strip().rstrip(".")
    bare = step.rstrip(".,;! ")
    if _AGAIN.match(bare):
        return before
    if _WITH.match(bare) and _SOME_LIMB.search(before):
        return _with_other_side(before, before, bare)
    if _TOWARDS.match(bare):
        return _another_way(before, bare)
    if _IN_A_CIRCLE.match(bare):
        return f"{_SOME_WAY.sub('', before, count=1).rstrip()} {bare}"
    if _HOW.match(bare):
        return f"{_SOMEHOW.sub('', before).strip()} {bare}"
    if _BOTH_LIMBS.match(bare) and _SOME_LIMB.search(before):
        return re.sub(rf"{_THE}{_SOME_LIMB.pattern}", bare.removeprefix("with "), before, flags=re.IGNORECASE)
    if _NO_VERB.match(bare) or _WITH.match(bare):
        return ""
    return _with_other_side(step, before, bare) if re.search(rf"\bother\ {_LIMB}\b", bare) else step


def _another_way(before: str, way: str) -> str:
    """What ``before`` does, in the direction ``way``; "" where that is not to be known."""
    if re.search(rf"\b{_LIMB}s?\b", before):  # "brings the arm back, then forward": one movement
        return ""
    words = way.lower().split()
    # Who walks sideways to the left still walks sideways to the right.
    sided = re.search(r"\b(?:left|right|other|opposite)\b", way, re.IGNORECASE) and re.search(
        _TO_A_SIDE, before
    )
    stem = re.sub(_TO_A_SIDE if sided else _WAY, "", before, count=1, flags=re.IGNORECASE)
    if words[0] == "sideways" and len(words) > 1 and "sideways" in stem:
        way, words = " ".join(words[1:]), words[1:]
    if words[0] == "back":
        return f"{stem.rstrip()} backward" if _GOES.search(before) else ""
    if "other" in words or "opposite" in words:
        there = re.search(r"\b(left|right)\b", before, re.IGNORECASE)
        if there is None:
            return ""
        way = f"to the {_other(there[1])}"
    elif re.match(rf"{_THE.strip('?')}(?:left|right)\b", way, re.IGNORECASE):  # "the left"
        way = f"to {way}"
    return " ".join(f"{stem} {way}".split())


def _other(side: str) -> str:
    return "left" if side.lower() == "right" else "right"


def _with_other_side(sentence: str, before: str, step: str) -> str:
    """``sentence`` with the side that ``step`` names, "other" being the one that ``before`` doesn't name."""
    there, named = _SOME_LIMB.search(before), _SIDED_LIMB.search(step)
    if there is None or named is None:
        return ""
    side = named[1].lower()
    if side == "other":
        side = _other(there["side"])
    if sentence != before:
        return re.sub(r"\bother\b", side, sentence, count=1, flags=re.IGNORECASE)
    limb = named["limb"] if named["limb"] not in (None, "one") else there["limb"]
    return f"{before[: there.start()]}{side} {limb}{before[there.end() :]}"


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
    down is asked for the same again, and stays there; and so is who is then told to stay or to wait, as no recording of those
    words shows anybody down there.
    """
    result: list[Prompt] = []
    down = ""
    for segment in segments:
        gap = not segment.text
        if _stays_down(segment.text):
            down = segment.text
        elif not gap and (_UP_AGAIN.search(segment.text) or not _DOWN_THERE.search(segment.text)):
            down = ""
        if text and gap and segment.num_frames > LONG_GAP_SECONDS * fps:
            segment = replace(segment, text=down or text)
        elif text and down and _STAYS.search(segment.text):
            segment = replace(segment, text=down)
        result.append(segment)
    return result


def with_rises(segments: Iterable[Prompt], fps: float, text: str) -> list[Prompt]:
    """The segments with ``text``, such as "stands up", at the start of those that follow on sitting or lying down and say
    nothing of getting up; "" leaves them as they are.

    Told to walk, who sits springs up within a few frames: no recording shows that, so no model knows how long it takes.
    At most half of a segment is spent on it, and nothing of one that lasts less than SHORTEST_SECONDS.
    """
    result: list[Prompt] = []
    down = ""
    for segment in segments:
        gets_up = bool(_UP_AGAIN.search(segment.text))
        if _stays_down(segment.text):
            down = segment.text
        elif segment.text and (gets_up or not _DOWN_THERE.search(segment.text)):
            if down and text and not gets_up and segment.num_frames >= SHORTEST_SECONDS * fps:
                seconds = FLOOR_SECONDS if _ON_THE_FLOOR.search(down) else SEAT_SECONDS
                up = segment.start + min(round(seconds * fps), segment.num_frames // 2)
                result.append(replace(segment, text=text, end=up))
                segment = replace(segment, start=up)
            down = ""
        result.append(segment)
    return result


def _stays_down(sentence: str) -> bool:
    """Whether somebody who has done this sits or lies there: what is said last counts."""
    down, up = (
        max((found.start() for found in each.finditer(sentence)), default=-1) for each in (_DOWN, _UP_AGAIN)
    )
    return down > up


def _in_equal_parts(segment: Prompt, texts: list[str]) -> list[Prompt]:
    edges = [segment.start + round(i * segment.num_frames / len(texts)) for i in range(len(texts) + 1)]
    return [Prompt(*part) for part in zip(texts, edges, edges[1:])]
