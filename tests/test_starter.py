"""The models in the package: sizes, licences, and motion that shows what was asked. Slow figures: docs/results.md."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from kmm_core.bundle import BUNDLES, load_bundle
from kmm_core.evaluate import geometry
from kmm_core.motion.foot_contact import foot_slide
from kmm_core.pipeline import TextToMotion
from kmm_core.text.steps import steps_of
from kmm_core.timeline import Timeline

STARTERS = ("starter", "starter-nc")
LICENCES = {"starter": "GPL-3.0-or-later", "starter-nc": "CC-BY-NC-4.0"}


@pytest.fixture(scope="module", params=STARTERS)
def pipeline(request) -> TextToMotion:
    return TextToMotion.load(request.param, device="cpu")


def test_all_bundles_together_are_at_most_90_mb():
    assert sum(path.stat().st_size for path in BUNDLES.rglob("*") if path.is_file()) <= 90e6


def test_the_card_and_the_info_name_the_licence(pipeline):
    name = pipeline.info.model
    assert pipeline.info.licence == LICENCES[name]
    card = (BUNDLES / name / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert LICENCES[name] in card and all(credit.split(",")[0] in card for credit in pipeline.info.credits)


def test_the_generator_is_as_small_as_promised(pipeline):
    assert pipeline.info.parameters["generator"] <= 5_300_000


def test_starter_credits_no_noncommercial_set():
    assert not any("NC" in credit for credit in load_bundle("starter").config.credits)


def test_the_learned_text_layers_separate_sides(pipeline):
    """A frozen sentence vector does not: cosine 0.98 for raise the left / right arm."""
    pairs = ("raise the {} arm", "a person turns {}", "someone waves the {} hand")
    with torch.inference_mode():
        for pair in pairs:
            sentences = [pair.format("left"), pair.format("right"), "please " + pair.format("left")]
            left, right, same = pipeline._embed(sentences, pipeline._read(sentences))[0]
            across = torch.cosine_similarity(left, right, dim=0)
            assert across < 0.8 and across < torch.cosine_similarity(left, same, dim=0)


def test_what_nobody_recorded_is_told_and_nothing_else(pipeline):
    known = [
        "walk",
        "run",
        "turn left",
        "kick",
        "sit down",
        "raise your hand",
        "a man waves with the right arm",
        "waves",
        "stop",
    ]
    unknown = ["a person claps", "a person swims", "plays the guitar", "she reads a book", "asdf qwer zxcv"]
    assert pipeline.unfamiliar([*known, *unknown]) == tuple(unknown)


@pytest.mark.parametrize("page", ["README.md", "docs/generate.md", "docs/blender.md"])
def test_no_prompt_that_we_recommend_is_called_unfamiliar(pipeline, page):
    text = (Path(__file__).parents[1] / page).read_text("utf-8")
    shown = re.findall(r'"((?:a person )?(?:walks|turns|waves|raises|sits|stands|jumps|bows)\b[^"|]*)"', text)
    assert shown
    assert not pipeline.unfamiliar([step for prompt in shown for step in steps_of(prompt)])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_named_arm_rises(pipeline, side):
    made = pipeline.generate(Timeline.from_seconds(30, [(f"a person raises the {side} arm", 4)]), samples=4)
    rises = [geometry.raised_hands(clip) == {side} for clip in made.clips]
    assert sum(rises) >= 3


@pytest.mark.parametrize(("side", "sign"), [("left", 1), ("right", -1)])
def test_turns_go_the_named_way(pipeline, side, sign):
    made = pipeline.generate(Timeline.from_seconds(30, [(f"a person turns {side}", 4)]), samples=4)
    assert sum(sign * geometry.turn_angle(clip) > np.deg2rad(20) for clip in made.clips) >= 3


def test_a_timeline_walks_then_stands(pipeline):
    timeline = Timeline.from_seconds(30, [("a person walks forward", 4), ("a person stands still", 3)])
    clip = pipeline.generate(timeline, seed=1).clips[0]
    assert clip.num_frames == 210
    speed = np.linalg.norm(np.diff(clip.root_positions[:, [0, 2]], axis=0), axis=-1) * 30
    assert speed[15:105].mean() > 0.4 and speed[-45:].mean() < 0.2
    assert foot_slide(clip) < 0.1


@pytest.mark.parametrize("side", ["left", "right"])
def test_one_sentence_may_tell_two_actions(pipeline, side):
    timeline = Timeline.from_seconds(30, [(f"a person walks forward and then raises the {side} arm", 6)])
    for clip in pipeline.generate(timeline, samples=2).clips:
        walked = clip.root_positions[80] - clip.root_positions[0]
        assert np.linalg.norm(walked[[0, 2]]) > 0.8
        assert geometry.raised_hands(clip.slice(80, 180)) == {side}


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_arm_rises_while_walking(pipeline, side):
    timeline = Timeline.from_seconds(30, [(f"a person walks forward while raising the {side} arm", 4)])
    clips = pipeline.generate(timeline, samples=4).clips
    walked = [np.linalg.norm((clip.root_positions[-1] - clip.root_positions[0])[[0, 2]]) for clip in clips]
    assert sum(geometry.raised_hands(clip) == {side} and far > 1.5 for clip, far in zip(clips, walked)) >= 3
