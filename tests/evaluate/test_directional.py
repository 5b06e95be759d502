"""Which captions name a side or a turn, and the set that is left of any set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.evaluate.directional import NO_DIRECTION, SIDE_WORDS, TURN_WORDS, directional_set, directions
from kmm_core.evaluate.evaluation_set import EvaluationClip, EvaluationSet
from kmm_core.evaluate.prompt_sets import action_prompts, side_prompts


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("a person raises the left arm", {"side"}),
        ("RIGHT-handed throw", {"side"}),
        ("walks in a counter-clockwise circle", {"side"}),
        ("walks anti clockwise", {"side"}),
        ("steps leftwards.", {"side"}),
        ("turns around", {"turn"}),
        ("makes a U-turn", {"turn"}),
        ("takes two u-turns", {"turn"}),
        ("keeps U-turning", {"turn"}),
        ("spins 360 degrees", {"turn"}),
        ("turns to the right before walking on", {"side", "turn"}),
        ("gets right back up to standing", set()),
        ("sits upright in bright light", set()),
        ("the man left the room", set()),
        ("raises the left arm right away", {"side"}),
        ("turns off the lamp", set()),
        ("turns on the spot", {"turn"}),
        ("walks forward", set()),
        ("returns to the start", set()),
        ("", set()),
    ],
)
def test_what_a_caption_names(caption, named):
    assert directions(caption) == named


def test_every_word_of_the_list_counts_by_itself_and_no_phrase_does():
    assert all(directions(f"someone {word} then") == {"side"} for word in SIDE_WORDS)
    assert all(directions(f"someone {word} then") == {"turn"} for word in TURN_WORDS)
    assert not any(directions(f"someone {phrase} then") for phrase in NO_DIRECTION)


def test_prompts_written_with_a_side_name_one():
    assert all("side" in directions(prompt.text) for prompt in side_prompts())
    assert not any("side" in directions(prompt.text) for prompt in action_prompts())


def a_set(*captions: tuple[str, ...]) -> EvaluationSet:
    clips = [
        EvaluationClip(
            name=str(number),
            features=np.full((4, 2), number, np.float32),
            captions=said,
            tagged=tuple(f"tags of {text}" for text in said),
            meaning=str(number),
            labels={"action": "any"},
        )
        for number, said in enumerate(captions)
    ]
    return EvaluationSet("starter", "272", 30.0, clips, list, lambda clip: None, lambda features: None)


def test_clips_keep_the_captions_that_name_a_direction():
    whole = a_set(
        ("walks", "walks to the left"), ("jumps",), ("turns around", "spins", "moves"), ("turns left",)
    )
    found = directional_set(whole)
    assert [clip.name for clip in found.clips] == ["0", "2", "3"]
    assert [clip.captions for clip in found.clips] == [
        ("walks to the left",),
        ("turns around", "spins"),
        ("turns left",),
    ]
    assert found.clips[0].tagged == ("tags of walks to the left",)
    assert found.clips[1].meaning == "2"
    assert found.clips[1].labels == {"action": "any"}
    assert found.clips[1].features is whole.clips[2].features
    assert len(whole.clips[0].captions) == 2


def test_a_set_without_directions_is_named():
    with pytest.raises(KmmError, match="no clip to evaluate on") as caught:
        directional_set(a_set(("walks",)))
    assert caught.value.code == "no_clips"


def test_the_words_in_the_docs_are_those_of_the_code():
    page = " ".join((Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8").split())
    for words in (SIDE_WORDS, TURN_WORDS, NO_DIRECTION):
        assert ", ".join(words) in page
