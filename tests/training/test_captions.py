"""The caption grammar and the swap of left and right."""

import re

import pytest

from training.captions import (
    Style,
    inflect,
    mirror_caption,
    names_a_side,
    with_article,
    without_side,
    write_captions,
)
from training.recipes import phrases

SWAPPED = [
    ("raise the left arm", "raise the right arm"),
    ("Raise your Right hand", "Raise your Left hand"),
    ("a left-handed person moves leftwards", "a right-handed person moves rightwards"),
    ("walks leftward, then rightward", "walks rightward, then leftward"),
    ("turn counterclockwise", "turn clockwise"),
    ("walks in a clockwise circle", "walks in a counterclockwise circle"),
    ("moves anti-clockwise to the right", "moves clockwise to the left"),
    ("turns anti clockwise", "turns clockwise"),
    ("walks in a clock-wise circle", "walks in a counterclockwise circle"),
    ("counter clock wise, then clock wise", "clockwise, then counterclockwise"),
    ("turns right then left", "turns left then right"),
    ("he turns right after three steps", "he turns left after three steps"),
    ("raises the right over his head", "raises the left over his head"),
    ("their left hand was left alone", "their right hand was left alone"),
    ("turns to their left and then left the room", "turns to their right and then left the room"),
    ("they left arm rises", "they right arm rises"),
    ("stands on the right-hand side", "stands on the left-hand side"),
    ("strafes right then to the left", "strafes left then to the right"),
    ("hands right over left", "hands left over right"),
    ("one step front-right before stopping", "one step front-left before stopping"),
    ("LEFT turn", "RIGHT turn"),
    ("turns right on the spot", "turns left on the spot"),
    ("turning to the right on the spot", "turning to the left on the spot"),
    ("he turns right at a slow pace", "he turns left at a slow pace"),
    ("walks right at a slow pace", "walks left at a slow pace"),
    ("walks and bears right at a slow pace", "walks and bears left at a slow pace"),
    ("goes right at high speed", "goes left at high speed"),
    ("walked ahead, then went right as if in the dark", "walked ahead, then went left as if in the dark"),
    ("turns right at the corner", "turns left at the corner"),
    ("spins right in the middle of the room", "spins left in the middle of the room"),
]
KEPT = [
    "he left the room",
    "the person left quickly",
    "who left",
    "runs right away",
    "stands upright at a right angle",
    "right after landing he bows",
    "jumps right over the box",
    "jumps right on the spot",
    "walks right at the camera",
    "steps right into the room",
    "walks with no strength left",
    "right in front of him",
    "sits down and stands right back up",
    "all right",
    "is pushed, then rights himself",
    "holds a bright light, alright",
    "walks forward",
]


@pytest.mark.parametrize(("text", "mirrored"), SWAPPED)
def test_sides_change_places(text, mirrored):
    assert mirror_caption(text) == mirrored
    assert names_a_side(text)


@pytest.mark.parametrize("text", KEPT)
def test_words_that_name_no_side_stay(text):
    assert mirror_caption(text) == text


@pytest.mark.parametrize(("text", "_"), [pair for pair in SWAPPED if "clock" not in pair[0]])
def test_mirroring_twice_gives_the_sentence_back(text, _):
    assert mirror_caption(mirror_caption(text)) == text


STYLES = [*phrases.STYLES.values(), Style(("at a slow pace", "very slowly", "at high speed"))]
SIDED = [
    template
    for name, templates in vars(phrases).items()
    if name.isupper() and isinstance(templates, tuple)
    for template in templates
    if isinstance(template, str) and "SIDE" in template
]


@pytest.mark.parametrize("template", sorted(set(SIDED)))
def test_the_mirrored_caption_is_the_one_written_for_the_other_side(template):
    """With every adverb that recipes add, too: a mirrored clip's caption would name the wrong side."""
    for number, style in enumerate(STYLES):
        left, right = (
            write_captions([template], seed=str(number), style=style, side=side, count=6)
            for side in ("left", "right")
        )
        assert left and tuple(map(mirror_caption, left)) == right
        assert tuple(map(mirror_caption, right)) == left


@pytest.mark.parametrize(
    ("verb", "third", "gerund", "past"),
    [
        ("raise", "raises", "raising", "raised"),
        ("run", "runs", "running", "ran"),
        ("lie", "lies", "lying", "lay"),
        ("stretch", "stretches", "stretching", "stretched"),
        ("tiptoe", "tiptoes", "tiptoeing", "tiptoed"),
        ("squat", "squats", "squatting", "squatted"),
        ("bow", "bows", "bowing", "bowed"),
        ("do", "does", "doing", "did"),
        ("stride", "strides", "striding", "strode"),
        ("carry", "carries", "carrying", "carried"),
    ],
)
def test_verbs(verb, third, gerund, past):
    assert [inflect(verb, form) for form in ("bare", "third", "gerund", "past")] == [
        verb,
        third,
        gerund,
        past,
    ]


def test_articles():
    assert with_article("old man") == "an old man"
    assert with_article("young man") == "a young man"
    assert with_article("useful hour") == "a useful hour"


def _all_templates():
    for name in dir(phrases):
        value = getattr(phrases, name)
        if name.isupper() and isinstance(value, tuple) and all(isinstance(item, str) for item in value):
            yield pytest.param(value, id=name)


@pytest.mark.parametrize("clauses", list(_all_templates()))
def test_every_template_makes_clean_sentences(clauses):
    style = Style(("slowly",), ("old", "young"))
    for text in write_captions(clauses, seed="a", style=style, side="left", count=60):
        assert not re.search(r"[\[\]<>~|!]|SIDE|OTHER|\s\s|^\s|\s$|\s,", text), text
        assert not re.search(r"\b(\w+) \1\b", text), text
        assert not re.search(r"\ba (?!u-turn)[aeiou]|\ban [^aeiouh]", text.lower()), text
        # The subject's gender and the possessive agree, and the verb agrees with the subject.
        if re.match(r"(he|the man|a man)\b", text):
            assert " her " not in text, text
        if re.match(r"(she|a woman)\b", text):
            assert " his " not in text, text


@pytest.mark.parametrize(
    "clauses", [phrases.RAISE_ONE, phrases.WAVE_ONE, phrases.WALK_TURN, phrases.LIFT_LEG]
)
def test_sided_templates_name_their_side_first_and_never_only_the_other(clauses):
    for text in write_captions(clauses, seed="b", side="right", count=80):
        assert "right" in text or "left" not in text, text


def test_many_different_sentences_the_same_every_time():
    once = write_captions(phrases.RAISE_ONE, seed="clip 7", side="left")
    assert once == write_captions(phrases.RAISE_ONE, seed="clip 7", side="left")
    assert len(once) == len(set(once)) == 24
    assert once != write_captions(phrases.RAISE_ONE, seed="clip 8", side="left")
    imperative = [
        text
        for text in once
        if text.split()[0] in ("raise", "lift", "put", "hold", "bring", "reach", "stick", "move")
    ]
    assert len(imperative) >= 2, "plain prompts as animators type them are among the sentences"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("<raise> ~ SIDE [hand|arm] [|up]", "<raise> one [hand|arm] [|up]"),
        ("!the SIDE [hand|arm] waves", "!one [hand|arm] waves"),
        ("<turn> SIDE while walking", "<turn> while walking"),
        ("<make> a SIDE turn", "<make> a turn"),
        ("<walk> forward and <turn> [SIDE|to the SIDE|to ~ SIDE]", "<walk> forward and <turn>"),
        ("<walk> sideways [toward|towards] ~ SIDE", "<walk> sideways"),
        ("<walk> ahead, then <go> SIDE", None),
        ("<make> a [SIDE turn|turn to the SIDE] while walking", None),
        ("<stand> on one leg and <raise> the SIDE one", None),
        ("<stand> on ~ OTHER leg and <lift> ~ SIDE [leg|one]", None),
        ("<walk> forward", None),
    ],
)
def test_without_side_leaves_a_sentence_or_nothing(template, expected):
    assert without_side(template) == expected


def test_some_sentences_of_a_sided_clip_leave_the_side_out():
    made = write_captions(("<raise> ~ SIDE arm", "<lift> ~ SIDE hand"), seed="x", side="left", count=24)
    bare = [text for text in made if "left" not in text]
    assert 0 < len(bare) < len(made) / 2 and not any("right" in text for text in made)


def test_a_style_that_must_be_named_always_is():
    clauses = ("!the steps are heavy", "<walk> forward", "<walk>")
    for named, expected in ((1.0, True), (0.5, False)):
        made = write_captions(clauses, seed="x", style=Style(("like a giant",), ("gigantic",), named=named))
        assert all(re.search("giant|gigantic", text) for text in made) == expected


def test_who_it_is_says_nothing_about_what_they_do():
    captions = [
        text
        for number in range(200)
        for text in write_captions(("<raise> ~ SIDE arm",), seed=str(number), side="left", count=24)
    ]
    assert {text.split()[1] for text in captions if text.startswith("a ")} >= {"dancer", "boxer", "child"}
    assert not [text for text in captions if re.search(r"[\[\]|]|\ba [aeiou]", text)]


def test_a_style_of_one_gender_names_no_other():
    def text(style):
        return " ".join(text for n in range(20) for text in write_captions(clauses, seed=str(n), style=style))

    clauses, women = ("<raise> ~ [arm|hand|leg|elbow]",), r"\b(woman|girl|she|her)\b"
    assert re.search(women, text(Style())) and not re.search(women, text(Style(woman=False)))
