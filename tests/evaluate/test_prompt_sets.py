"""The prompt lists: their numbers, their balance, and that none is a caption."""

from __future__ import annotations

import re
from collections import Counter

from kmm_core.evaluate.prompt_sets import (
    STARTER_NC,
    PromptSpec,
    action_prompts,
    captions_among,
    normalized,
    side_prompts,
)


def test_200_side_prompts_balanced_over_sides():
    prompts = side_prompts()
    assert len(prompts) == 200 == len({normalized(prompt.text) for prompt in prompts})
    assert Counter(prompt.side for prompt in prompts) == {"left": 100, "right": 100}
    for family in {prompt.judge for prompt in prompts}:
        sides = Counter(prompt.side for prompt in prompts if prompt.judge == family)
        assert sides["left"] == sides["right"] >= 20


def test_each_side_prompt_names_its_own_side_only():
    for prompt in side_prompts():
        named = set(re.findall(r"left|right", prompt.text))
        assert named == {prompt.side}, prompt.text


def test_100_action_prompts_name_no_side():
    prompts = action_prompts()
    assert len(prompts) == 100 == len({normalized(prompt.text) for prompt in prompts})
    assert not [prompt.text for prompt in prompts if re.search(r"\b(left|right)\b", prompt.text)]
    assert all(STARTER_NC in prompt.covered for prompt in prompts)


def test_words_vary():
    words = Counter(word for prompt in side_prompts() for word in normalized(prompt.text).split())
    assert len(words) > 150
    first = Counter(prompt.text.split()[0] for prompt in side_prompts())
    assert first.most_common(1)[0][1] <= 50


def test_a_prompt_that_is_a_caption_is_found():
    prompts = [
        PromptSpec("the left arm goes up", "raises hand", 3.0, "left"),
        PromptSpec("a man hops", "jumps", 3.0),
    ]
    assert captions_among(prompts, ["The left arm goes up.", "a man hops twice"]) == ["the left arm goes up"]
