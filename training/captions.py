"""Sentences about motion: a small grammar that makes many from one label, and the swap of left and right in text.

A clause template is plain text with three marks: ``[a|b|]`` chooses one (they nest), ``<raise>`` is a verb that
is inflected to fit the subject, and ``~`` is a possessive ("their", "his", "the"). ``SIDE`` and ``OTHER`` stand for
the named side and the other one. A template that begins with ``!`` is a whole sentence and gets no subject.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

OTHER_SIDE = {"left": "right", "right": "left"}

# Share of the sentences that leave the side out where there is one: "a person makes a turn" is asked for, too.
UNSIDED = 0.125


@dataclass(frozen=True)
class Style:
    """Ways to say how something is done.

    Attributes:
        adverbs: go behind the clause: "slowly", "like an old person".
        adjectives: go before the noun of the subject: "tired".
        woman, man: which gendered subjects fit.
        named: how often a sentence says the style, 0 to 1; at 1 none goes without it.
    """

    adverbs: tuple[str, ...] = ()
    adjectives: tuple[str, ...] = ()
    woman: bool = True
    man: bool = True
    named: float = 0.55


@dataclass(frozen=True)
class _Subject:
    text: str
    form: str  # "third", "bare" (imperative), "gerund" or "past"
    possessives: tuple[str, ...]
    gender: str = ""
    weight: float = 1.0


_SUBJECTS = (
    _Subject("a person", "third", ("their", "the", "his"), weight=6),
    _Subject("the person", "third", ("their", "the"), weight=2),
    _Subject("someone", "third", ("their", "the"), weight=2),
    _Subject("a figure", "third", ("its", "the")),
    _Subject("the character", "third", ("their", "the")),
    _Subject("an actor", "third", ("their", "the"), weight=0.5),
    _Subject("a human", "third", ("their", "the"), weight=0.5),
    _Subject("a man", "third", ("his", "the"), "man", 2),
    _Subject("the man", "third", ("his", "the"), "man"),
    _Subject("a boy", "third", ("his", "the"), "man", 0.5),
    _Subject("a guy", "third", ("his", "the"), "man", 0.5),
    _Subject("he", "third", ("his", "the"), "man"),
    _Subject("a woman", "third", ("her", "the"), "woman", 1.5),
    _Subject("a girl", "third", ("her", "the"), "woman", 0.5),
    _Subject("she", "third", ("her", "the"), "woman"),
    _Subject("they", "bare", ("their", "the"), weight=0.5),
    # Who it is says nothing about what they do: "a dancer raises the left arm" does not ask for a dance.
    _Subject("somebody", "third", ("their", "the")),
    _Subject("this person", "third", ("their", "the"), weight=0.5),
    _Subject("a [child|kid|teenager|student|teacher|worker|soldier]", "third", ("their", "the")),
    _Subject("a [dancer|boxer|player|runner|performer]", "third", ("their", "the")),
    _Subject("the [dancer|boxer|player|athlete|performer|actor]", "third", ("their", "the"), weight=0.5),
    _Subject("a person is", "gerund", ("their", "the", "his"), weight=1.5),
    _Subject("the man is", "gerund", ("his", "the"), "man", 0.5),
    _Subject("she is", "gerund", ("her", "the"), "woman", 0.5),
    _Subject("a person", "past", ("their", "the"), weight=0.7),
    _Subject("the man", "past", ("his", "the"), "man", 0.5),
    _Subject("", "third", ("the", "their"), weight=3),
    _Subject("", "bare", ("the", "your", "the"), weight=5),
    _Subject("", "gerund", ("the", "their"), weight=1.5),
)

_DOUBLED = frozenset(
    [
        "run",
        "jog",
        "step",
        "sidestep",
        "hop",
        "stop",
        "sit",
        "put",
        "set",
        "let",
        "cut",
        "squat",
        "clap",
        "spin",
        "get",
        "nod",
        "dab",
        "grab",
        "drop",
        "slip",
        "chop",
        "bat",
        "dip",
        "cup",
        "mop",
        "scrub",
        "hit",
        "jab",
        "spar",
    ]
)
_IRREGULAR_THIRD = {"have": "has", "be": "is", "do": "does", "go": "goes"}
_IRREGULAR_PAST = dict(
    pair.split(":")
    for pair in [
        "put:put",
        "let:let",
        "cut:cut",
        "set:set",
        "stand:stood",
        "hold:held",
        "stick:stuck",
        "bring:brought",
        "run:ran",
        "go:went",
        "take:took",
        "keep:kept",
        "throw:threw",
        "swing:swung",
        "lie:lay",
        "sit:sat",
        "get:got",
        "rise:rose",
        "bend:bent",
        "do:did",
        "make:made",
        "give:gave",
        "sink:sank",
        "come:came",
        "spin:spun",
        "bear:bore",
        "strike:struck",
        "hit:hit",
        "fling:flung",
        "fight:fought",
        "tell:told",
        "ride:rode",
        "drink:drank",
        "sweep:swept",
        "creep:crept",
        "shake:shook",
        "break:broke",
        "shoot:shot",
        "stride:strode",
        "have:had",
        "be:was",
    ]
)
_VOWEL_SOUND = re.compile(r"^(?!(?:uni|use|one|eu))(?:[aeiou]|hour)", re.IGNORECASE)
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_VERB = re.compile(r"<([a-z]+)>")


def inflect(verb: str, form: str) -> str:
    """The verb as "third" person ("raises"), "bare" ("raise"), "gerund" ("raising") or "past" ("raised")."""
    if form == "bare":
        return verb
    if form == "past":
        return _IRREGULAR_PAST.get(verb) or _past(verb)
    if form == "third":
        if verb in _IRREGULAR_THIRD:
            return _IRREGULAR_THIRD[verb]
        if re.search(r"(s|sh|ch|x|z|o)$", verb):
            return verb + "es"
        if re.search(r"[^aeiou]y$", verb):
            return verb[:-1] + "ies"
        return verb + "s"
    if verb in _DOUBLED:
        return verb + verb[-1] + "ing"
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe")) and verb != "be":
        return verb[:-1] + "ing"
    return verb + "ing"


def _past(verb: str) -> str:
    if verb in _DOUBLED:
        return verb + verb[-1] + "ed"
    if verb.endswith("e"):
        return verb + "d"
    return re.sub(r"([^aeiou])y$", r"\1i", verb) + "ed"


def with_article(phrase: str) -> str:
    """ "old person" -> "an old person"."""
    return ("an " if _VOWEL_SOUND.match(phrase) else "a ") + phrase


def _choose(template: str, rng: random.Random) -> str:
    while True:
        match = _CHOICE.search(template)
        if match is None:
            return template
        template = template[: match.start()] + rng.choice(match[1].split("|")) + template[match.end() :]


def _sentence(template: str, style: Style, rng: random.Random, with_style: bool, plain: bool) -> str:
    if template.startswith("!"):
        return " ".join(_choose(template[1:], rng).split())
    subjects = [s for s in _SUBJECTS if not s.gender or getattr(style, s.gender)]
    if plain:
        subjects = [s for s in subjects if not s.text]
    subject = rng.choices(subjects, [s.weight for s in subjects])[0]
    possessive = rng.choice(subject.possessives)
    clause = _choose(template, rng)
    clause = _VERB.sub(lambda match: inflect(match[1], subject.form), clause).replace("~", possessive)
    words = _choose(subject.text, rng)
    if with_style:
        article, _, noun = words.partition(" ")
        if article in ("a", "an", "the") and style.adjectives and (not style.adverbs or rng.random() < 0.35):
            adjective = rng.choice(style.adjectives)
            words = (
                with_article(f"{adjective} {noun}")
                if article in ("a", "an")
                else f"{article} {adjective} {noun}"
            )
        elif style.adverbs:
            clause = f"{clause} {rng.choice(style.adverbs)}"
    return re.sub(r"\s+([,.])", r"\1", " ".join(f"{words} {clause}".split()))


_SIDED_LIMB = re.compile(r"(?:~|the) (?:raised )?SIDE (?=\[?(?:hand|arm|leg|knee|foot))")
_SIDE_PHRASE = re.compile(
    r" \[SIDE(?:\|to (?:the|~) SIDE)*\]| (?:to|\[toward\|towards\]) (?:~|the) SIDE| to face SIDE| by SIDE|(?<= a) SIDE(?= turn)| SIDE"
)
# What is left would ask for something else, or for nothing.
_NOTHING_LEFT = re.compile(
    r"OTHER|SIDE|\[to|to ~\]|the one|diagonal|drifting|angle|shoulder|(?:<go>|\boff|\band|<veer>|<bear>|\bforward)$"
)


def without_side(template: str) -> str | None:
    """The clause template without its side, as people ask who do not care: "raise one arm", "make a turn".

    None where nothing sensible is left, or where the template names no side.
    """
    if "SIDE" not in template:
        return None
    bare = _SIDE_PHRASE.sub("", _SIDED_LIMB.sub("one ", template))
    return None if _NOTHING_LEFT.search(bare) else bare


def write_captions(
    clauses: Sequence[str], *, seed: str, style: Style | None = None, side: str = "", count: int = 24
) -> tuple[str, ...]:
    """Up to ``count`` different sentences drawn from the clause templates, the same ones for the same seed.

    Args:
        clauses: templates (see the module). All are equally likely; repeat one to make it more so.
        seed: for example the clip's id.
        style: how it is done; said in a part of the sentences.
        side: "left" or "right" where the templates hold SIDE.
        count: most sentences to return.
    """
    rng = random.Random(seed)
    style = style or Style(named=0.0)
    if style.named >= 1:  # whole sentences never name it
        clauses = [clause for clause in clauses if not clause.startswith("!")]
    sentences: dict[str, None] = {}
    for _ in range(count * 6):
        template = rng.choice(clauses)
        if side in OTHER_SIDE:
            if rng.random() < UNSIDED:
                template = without_side(template) or template
            template = template.replace("SIDE", side).replace("OTHER", OTHER_SIDE[side])
        # The first quarter is as animators type it: no subject, and no style unless it must be named.
        plain = len(sentences) < count // 4 and style.named < 1
        with_style = not plain and rng.random() < style.named
        sentences[_sentence(template, style, rng, with_style, plain)] = None
        if len(sentences) == count:
            break
    return tuple(sentences)


# As people write it: "anti-clockwise", "counter clock wise".
_CLOCK = re.compile(r"((?:anti|counter)[\s-]*)?clock[\s-]*wise", re.IGNORECASE)

_SIDE = re.compile(
    r"\b(?P<side>left|right|lefts|rights)(?P<tail>(?:ward|wards|-?handed|-?footed|most|y|ie|side)?)\b",
    re.IGNORECASE,
)
# "right" that is never a side, and "right" that is one only behind a determiner or a verb of turning or moving.
_NEVER_A_SIDE = re.compile(r"[\s-]+(?:away|now|angles?|angled|himself|herself|themselves)\b", re.IGNORECASE)
_PLACE = re.compile(
    r"\s+(?:behind|beside|next|above|below|under|underneath|over(?! left)|in front|in the middle"
    r"|on the spot|on top|at|up to|into|through|past)\b",
    re.IGNORECASE,
)
_BACK = re.compile(r"\s+back\b", re.IGNORECASE)
_PACE = re.compile(
    r"\s+at \w+\b[^,.]*\b(?:pace|speed|angle|jog|run|walk)\b|\s+at (?:speed|pace)\b", re.IGNORECASE
)
_TIME = re.compile(r"\s+(?:after|before|when|as|there|here|where)\b", re.IGNORECASE)
_DETERMINER = r"the|his|her|their|its|your|my|to|and|or|then|slightly|far|left|of|front|back|sharp|behind"
_MOVE = (
    r"(?:turn|walk|step|mov|run|go|look|lean|fac|veer|jump|hop|slid|shuffl|bend|point|swing|sway|rotat|spin|twist|curv|"
    r"dodg|shift|jog|head|bear|straf|drift|leap|crawl|swerv|side-?step)(?:e?s|e|ed|d|ing|ning|ping|ging)?|went|bore|swung|spun"
)
_TURN = r"(?:turn|rotat|spin|pivot|twist|swing|veer|fac)(?:e?s|e|ed|d|ing|ning)?|(?:swung|spun)"
_BEHIND_DETERMINER = re.compile(rf"\b(?:{_DETERMINER})[\s-]+$", re.IGNORECASE)
_BEHIND_TURN = re.compile(rf"\b(?:{_DETERMINER}|{_TURN}|{_TURN} around)[\s-]+$", re.IGNORECASE)
_BEHIND_MOVE = re.compile(rf"\b(?:{_DETERMINER}|{_MOVE})[\s-]+$", re.IGNORECASE)
_ALL_RIGHT = re.compile(r"\ball\s+$", re.IGNORECASE)
# "left" as the verb of leave: "he left", "the man left the room", "is left alone".
_LEAVER = re.compile(
    r"\b(?:he|she|they|who|person|man|woman|figure|has|have|had|is|are|was|were|been)\s+$", re.IGNORECASE
)
# And what remains: "with no strength left".
_REMAINS = re.compile(r"\b(?:(?:no|any|little|much|enough)\s+\w+|nothing)\s+$", re.IGNORECASE)
_LEFT_OBJECT = re.compile(
    r"\s*(?:$|[.,;]|(?:and|with|alone|behind|quickly|slowly|again|it|him|her|them|after|before)\b"
    r"|(?:the|a|an|his|her|their)\s+(?:room|house|place|area|scene|stage|building|field|frame|screen|door|ground|floor|object)\b)",
    re.IGNORECASE,
)


def _is_side(match: re.Match[str]) -> bool:
    before, after = match.string[: match.start()], match.string[match.end() :]
    if match["tail"]:
        return True
    if match["side"].lower() == "left":
        if _REMAINS.search(before):
            return False
        return not ((_LEAVER.search(before) or before.lower().endswith("then ")) and _leaves(before, after))
    if _NEVER_A_SIDE.match(after) or _ALL_RIGHT.search(before):
        return False
    if _PACE.match(after):
        return _BEHIND_MOVE.search(before) is not None
    if _PLACE.match(after):  # "turns right on the spot", but "jumps right on the spot"
        return _BEHIND_TURN.search(before) is not None
    if _BACK.match(after):
        return _BEHIND_DETERMINER.search(before) is not None
    return not _TIME.match(after) or _BEHIND_MOVE.search(before) is not None


def _leaves(before: str, after: str) -> bool:
    found = _LEFT_OBJECT.match(after)
    # "walks right then left." names a side; "then left the room" does not.
    return found is not None and (
        not before.lower().endswith("then ")
        or found[0]
        .strip()
        .endswith(
            (
                "room",
                "house",
                "place",
                "area",
                "scene",
                "stage",
                "building",
                "field",
                "frame",
                "screen",
                "door",
            )
        )
    )


def _like(word: str, model: str) -> str:
    """``word`` in the case of ``model``."""
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word


def _swap_side(match: re.Match[str]) -> str:
    if not _is_side(match):
        return match[0]
    side = match["side"].lower()
    swapped = OTHER_SIDE[side.rstrip("s")] + ("s" if side.endswith("s") else "")
    return _like(swapped, match["side"]) + match["tail"]


def mirror_caption(text: str) -> str:
    """The caption of the mirrored motion: left and right change places, also in "left-handed" and "clockwise".

    "left" as the verb of leave ("he left the room") and "right" that names no side ("right away", "upright",
    "a right angle") stay as they are.
    """
    text = _CLOCK.sub(lambda clock: _like("clockwise" if clock[1] else "counterclockwise", clock[0]), text)
    return _SIDE.sub(_swap_side, text)


def names_a_side(text: str) -> bool:
    """Whether mirroring changes the caption."""
    return mirror_caption(text) != text
