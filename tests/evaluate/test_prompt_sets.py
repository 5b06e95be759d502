"""The prompt lists: their numbers, their balance, and that none is a caption."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from kmm_core.evaluate import report_prompts, tuning_prompts, verdicts
from kmm_core.evaluate.prompt_sets import (
    STARTER_NC,
    PromptSpec,
    action_prompts,
    arm_prompts,
    at_once_prompts,
    captions_among,
    every_prompt,
    normalized,
    not_held_out,
    pace_prompts,
    side_prompts,
    stop_prompts,
    straight_prompts,
    together_prompts,
    unfamiliar_prompts,
    up_again_prompts,
)
from kmm_core.text.steps import steps_of

both_wordings = pytest.mark.parametrize("words", [report_prompts, tuning_prompts])


@both_wordings
def test_200_side_prompts_balanced_over_sides(words):
    prompts = side_prompts(words)
    assert len(prompts) == 200 == len({normalized(prompt.text) for prompt in prompts})
    assert Counter(prompt.side for prompt in prompts) == {"left": 100, "right": 100}
    for family in {prompt.judge for prompt in prompts}:
        sides = Counter(prompt.side for prompt in prompts if prompt.judge == family)
        assert sides["left"] == sides["right"] >= 20


@both_wordings
def test_each_side_prompt_names_its_own_side_only(words):
    for prompt in side_prompts(words):
        named = set(re.findall(r"\b(left|right)(?:ward)?\b", prompt.text))
        assert named == {prompt.side}, prompt.text


@both_wordings
def test_100_action_prompts_name_no_side(words):
    prompts = action_prompts(words)
    assert len(prompts) == 100 == len({normalized(prompt.text) for prompt in prompts})
    assert not [prompt.text for prompt in prompts if re.search(r"\b(left|right)\b", prompt.text)]
    assert all(STARTER_NC in prompt.covered for prompt in prompts)


@both_wordings
def test_arm_prompts_ask_both_sides_for_both_heights_and_punches(words):
    asked = Counter((prompt.judge, prompt.side) for prompt in arm_prompts(words))
    assert len(asked) == 6 and set(asked.values()) == {4}


@both_wordings
def test_straight_prompts_are_paraphrases_without_an_end(words):
    asked = straight_prompts(words)
    assert set(asked) < set(action_prompts(words))
    assert Counter(prompt.judge for prompt in asked)["walks backward"] >= 3
    assert {prompt.judge for prompt in asked} == {"walks forward", "runs", "walks backward", "side-steps"}
    assert not [prompt.text for prompt in asked if "several" in prompt.text or "few" in prompt.text]


@both_wordings
def test_walks_that_end_are_told_as_two_steps(words):
    pairs = stop_prompts(words)
    assert len(pairs) == 8
    for first, second in pairs:
        assert first.text == second.text and len(steps_of(first.text)) == 2
        assert (first.judge, second.judge) == ("walks forward", "stops")


@both_wordings
def test_sentences_of_two_actions_name_judges_and_one_side(words):
    pairs = (*together_prompts(words), *at_once_prompts(words))
    assert len(pairs) == 24 + 16 and all(first.text == second.text for first, second in pairs)
    assert {spec.judge for pair in pairs for spec in pair} <= set(verdicts.JUDGES)
    for first, second in pairs:
        assert re.findall(r"\b(left|right)\b", first.text) == [first.side or second.side]


@both_wordings
def test_every_pace_is_asked_of_the_same_sentences(words):
    said = pace_prompts(words)
    assert len(said) == 12
    for specs in said:
        assert list(specs) == ["", "slowly", "quickly"]
        assert {spec.judge for spec in specs.values()} <= set(verdicts.JUDGES)
        for pace, spec in specs.items():
            without = [word for word in spec.text.split() if word != pace]
            assert " ".join(without) == specs[""].text and (pace in spec.text)


@both_wordings
def test_who_goes_down_is_told_to_get_up_in_other_words(words):
    pairs = up_again_prompts(words)
    assert Counter(down.judge for down, _ in pairs) == {"sits": 3, "lies down": 3}
    assert all(up.judge == "gets up" and up.text != down.text for down, up in pairs)


def test_no_sentence_is_in_both_wordings():
    reported, tuned = (
        {normalized(prompt.text) for prompt in every_prompt(words)}
        for words in (report_prompts, tuning_prompts)
    )
    assert not reported & tuned


@both_wordings
def test_words_vary(words):
    different = Counter(word for prompt in side_prompts(words) for word in normalized(prompt.text).split())
    assert len(different) > 150
    first = Counter(prompt.text.split()[0] for prompt in side_prompts(words))
    assert first.most_common(1)[0][1] <= 60


def test_unfamiliar_prompts_are_others_in_each_wording():
    reported, tuned = (set(unfamiliar_prompts(words)) for words in (report_prompts, tuning_prompts))
    assert len(reported) == 40 and len(tuned) >= 60 and not reported & tuned


def test_a_prompt_that_is_a_caption_is_found():
    prompts = [
        PromptSpec("the left arm goes up", "raises hand", 3.0, "left"),
        PromptSpec("a man hops", "jumps", 3.0),
    ]
    assert captions_among(prompts, ["The left arm goes up.", "a man hops twice"]) == ["the left arm goes up"]


@both_wordings
def test_no_clip_is_trained_with_a_prompt(words):
    for asked in (action_prompts(words)[0].text, arm_prompts(words)[0].text):
        assert not_held_out([asked.upper() + ".", "hops twice on the moon"]) == ("hops twice on the moon",)
