"""Prompts with judges: 200 that name a side and 100 action paraphrases, in two wordings, none of them a caption.

``report_prompts`` has the sentences that results are measured on, ``tuning_prompts`` those that settings are tuned on.

A side sentence is written once with ``{side}`` and asked for both sides, so the sides are balanced by construction.
``covered`` names the bundles whose training motion shows the action; the others are asked all the same and reported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

from . import report_prompts, tuning_prompts
from .geometry import SIDES

STARTER, STARTER_NC = "starter", "starter-nc"
EVERY_BUNDLE = (STARTER, STARTER_NC)


@dataclass(frozen=True)
class PromptSpec:
    """One prompt and how its motion is judged.

    Attributes:
        text: the prompt.
        judge: name of a judge in ``verdicts.JUDGES``.
        seconds: length to ask for.
        side: "left" or "right" where the prompt names one, else "".
        covered: bundles whose training motion shows this.
    """

    text: str
    judge: str
    seconds: float
    side: str = ""
    covered: tuple[str, ...] = EVERY_BUNDLE


# judge, seconds, bundles whose data show it. Judges named "by eye: ..." are looked at on contact sheets.
_ACTIONS = (
    ("walks forward", 4.0, EVERY_BUNDLE),
    ("runs", 3.0, EVERY_BUNDLE),
    ("runs in a curve", 3.0, EVERY_BUNDLE),
    ("walks backward", 4.0, EVERY_BUNDLE),
    ("side-steps", 3.0, EVERY_BUNDLE),
    ("turns either way", 4.0, EVERY_BUNDLE),
    ("jumps", 3.0, EVERY_BUNDLE),
    ("raises both arms", 3.0, EVERY_BUNDLE),
    ("raises an arm", 3.0, EVERY_BUNDLE),
    ("waves either hand", 4.0, (STARTER_NC,)),
    ("bows", 3.0, EVERY_BUNDLE),
    ("kicks", 3.0, EVERY_BUNDLE),
    ("punches", 3.0, EVERY_BUNDLE),
    ("squats", 3.0, EVERY_BUNDLE),
    ("lunges", 3.0, EVERY_BUNDLE),
    ("sits", 3.0, EVERY_BUNDLE),
    ("throws", 3.0, EVERY_BUNDLE),
    ("by eye: dances", 4.0, EVERY_BUNDLE),
    ("stands still", 3.0, EVERY_BUNDLE),
    ("bends down", 3.0, EVERY_BUNDLE),
    ("raises a leg", 3.0, EVERY_BUNDLE),
    ("lies down", 3.0, EVERY_BUNDLE),
)


def _lines(block: str) -> list[str]:
    return [line for line in block.splitlines() if line]


def side_prompts(words: ModuleType = report_prompts) -> tuple[PromptSpec, ...]:
    """The 200 prompts that name a side, alternately left and right."""
    families = (
        (words.RAISE_HAND, "raises hand", 3.0, EVERY_BUNDLE),
        # The permissive recordings hold hardly any waving.
        (words.WAVE, "waves", 4.0, (STARTER_NC,)),
        (words.RAISE_LEG, "raises leg", 3.0, EVERY_BUNDLE),
        (words.TURN, "turns", 4.0, EVERY_BUNDLE),
    )
    return tuple(
        PromptSpec(line.format(side=side), judge, seconds, side, covered)
        for block, judge, seconds, covered in families
        for line in _lines(block)
        for side in SIDES
    )


def action_prompts(words: ModuleType = report_prompts) -> tuple[PromptSpec, ...]:
    """The 100 action paraphrases."""
    return tuple(
        PromptSpec(line, judge, seconds, "", covered)
        for judge, seconds, covered in _ACTIONS
        for line in _lines(words.ACTIONS[judge])
    )


_STRAIGHT_ON = ("walks forward", "runs", "walks backward", "side-steps")
_FEW_STEPS = re.compile(r"\b(few|several)\b")


def straight_prompts(words: ModuleType = report_prompts) -> tuple[PromptSpec, ...]:
    """Those of the paraphrases that ask to go on in one direction, for as long as the prompt lasts."""
    return tuple(
        spec
        for spec in action_prompts(words)
        if spec.judge in _STRAIGHT_ON and not _FEW_STEPS.search(spec.text)
    )


def arm_prompts(words: ModuleType = report_prompts) -> tuple[PromptSpec, ...]:
    """Sentences that say how high the named arm goes, or that it punches; alternately left and right."""
    return tuple(
        PromptSpec(line.format(side=side), judge, 3.0, side)
        for judge, block in words.ARMS.items()
        for line in _lines(block)
        for side in SIDES
    )


def together_prompts(words: ModuleType = report_prompts) -> tuple[tuple[PromptSpec, PromptSpec], ...]:
    """Sentences with two actions, one after the other: the same text with the judge of each; alternately left and right."""
    return _pairs(words.TOGETHER, 6.0)


def at_once_prompts(words: ModuleType = report_prompts) -> tuple[tuple[PromptSpec, PromptSpec], ...]:
    """The same of two actions at once."""
    return _pairs(words.AT_ONCE, 4.0)


def stop_prompts(words: ModuleType = report_prompts) -> tuple[tuple[PromptSpec, PromptSpec], ...]:
    """Sentences of a walk that ends."""
    walks, stops = (
        [PromptSpec(line, judge, 5.0) for line in _lines(words.STOPS)] for judge in ("walks forward", "stops")
    )
    return tuple(zip(walks, stops, strict=True))


PACES = ("slowly", "quickly")


def pace_prompts(words: ModuleType = report_prompts) -> tuple[dict[str, PromptSpec], ...]:
    """Sentences without a word about the pace ("") and with each of PACES."""
    seconds = {judge: seconds for judge, seconds, _ in _ACTIONS}
    lines = [line.split(" | ") for line in _lines(words.PACED)]
    return tuple(
        {
            pace: PromptSpec(" ".join(text.format(pace=pace).split()), judge, seconds[judge])
            for pace in ("", *PACES)
        }
        for text, judge in lines
    )


def up_again_prompts(words: ModuleType = report_prompts) -> tuple[tuple[PromptSpec, PromptSpec], ...]:
    """Pairs of prompts: somebody sits down or lies down, then gets up."""
    lines = (line.split(" | ") for line in _lines(words.UP_AGAIN))
    return tuple(
        (PromptSpec(down, judge, 3.0 if judge == "sits" else 5.0), PromptSpec(up, "gets up", 4.0))
        for down, judge, up in lines
    )


def unfamiliar_prompts(words: ModuleType = report_prompts) -> list[str]:
    """Prompts that nothing recorded is like: clapping, swimming, playing an instrument."""
    return _lines(words.UNFAMILIAR)


def _pairs(block: str, seconds: float) -> tuple[tuple[PromptSpec, PromptSpec], ...]:
    def spec(text: str, judge: str, side: str) -> PromptSpec:
        name = judge.removesuffix(" {side}")
        return PromptSpec(text.format(side=side), name, seconds, side if name != judge else "")

    lines = [line.split(" | ") for line in _lines(block)]
    return tuple(
        (spec(text, first, side), spec(text, second, side)) for text, first, second in lines for side in SIDES
    )


def every_prompt(words: ModuleType = report_prompts) -> tuple[PromptSpec, ...]:
    """All sentences that motion is judged by."""
    pairs = (*together_prompts(words), *stop_prompts(words), *at_once_prompts(words))
    together = (first for first, _ in pairs)
    paced = (spec for specs in pace_prompts(words) for spec in specs.values())
    up_again = (spec for pair in up_again_prompts(words) for spec in pair)
    return (*side_prompts(words), *action_prompts(words), *arm_prompts(words), *together, *paced, *up_again)


def normalized(text: str) -> str:
    """Lower case, words only, so that a full stop or a capital makes no new sentence."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def captions_among(prompts: Iterable[PromptSpec], captions: Iterable[str]) -> list[str]:
    """The prompts that are, word for word, training captions; measuring on them would flatter the model."""
    known = {normalized(caption) for caption in captions}
    return [prompt.text for prompt in prompts if normalized(prompt.text) in known]


def not_held_out(captions: Iterable[str]) -> tuple[str, ...]:
    """The captions to train with: without those that results are measured on or settings tuned on."""
    return tuple(caption for caption in captions if normalized(caption) not in _held_out())


@lru_cache(maxsize=1)
def _held_out() -> frozenset[str]:
    return frozenset(
        normalized(prompt.text)
        for words in (report_prompts, tuning_prompts)
        for prompt in every_prompt(words)
    )


def held_out_version() -> str:
    """Changes with the sentences that ``not_held_out`` leaves out."""
    return hashlib.sha256("\n".join(sorted(_held_out())).encode()).hexdigest()[:8]
