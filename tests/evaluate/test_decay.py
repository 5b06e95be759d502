"""Memory decay: every bin gets every prompt once, and motion that gets worse along a timeline is seen to."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.evaluate import decay_page
from kmm_core.evaluate.decay import (
    BINS,
    Asked,
    DecayPlan,
    Method,
    draw_prompts,
    measure_decay,
    one_pass,
    piece_by_piece,
    plan_timelines,
    recordings_joined,
    swap_sides,
)
from kmm_core.evaluate.evaluation_set import EvaluationClip, EvaluationSet
from kmm_core.motion import rotations
from kmm_core.motion.representation import representation

from .bodies import bump, standing, turn_joint
from .bodies import clip as body

FPS = 30.0
WIDTH = 6
PLAN = DecayPlan(count=32, repetitions=2, bins=((1, 1), (2, 3), (4, 7)))


def meaning_vector(text: str) -> np.ndarray:
    """What the evaluator below makes of a text: a point for its number, and one coordinate for its side."""
    number = int(text.split()[-1])
    side = 3.0 if "left" in text else -3.0 if "right" in text else 0.0
    return np.r_[side, np.random.default_rng(number).normal(size=WIDTH - 1)]


class PointEvaluator:
    """Texts are points; a motion's point is its first frame."""

    def embed_texts(self, texts):
        return np.stack([meaning_vector(text) for text in texts])

    def embed_motions(self, motions):
        return np.stack([motion[0] for motion in motions])


def evaluation_set(lengths=(90, 200, 20)) -> EvaluationSet:
    clips = []
    for number in range(40):
        text = f"a person lifts the {'left' if number % 2 else 'right'} arm {number}"
        features = np.tile(meaning_vector(text), (lengths[number % len(lengths)], 1)).astype(np.float32)
        clips.append(EvaluationClip(str(number), features, (text,), (text,), str(number)))
    return EvaluationSet(
        "starter", "272", FPS, clips, lambda: clips, encode=lambda made: made, positions=lambda rows: rows
    )


def worse_by(noise: float, side: bool = True) -> Method:
    """Motion that strays further from its text the later it stands."""

    def make(asked, seed):
        rng = np.random.default_rng(seed)
        points = [meaning_vector(text) * ([1] + [1] * 5 if side else [0] + [1] * 5) for text in asked.texts]
        return [
            np.tile(point + noise * place * rng.normal(size=WIDTH), (4, 1))
            for place, point in enumerate(points)
        ]

    return Method(make)


def test_every_bin_holds_every_prompt_once():
    rng = np.random.default_rng(0)
    for first, last in BINS:
        timelines = plan_timelines(192, first, last, rng)
        assert {len(timeline) for timeline in timelines} == {last}
        counted = sorted(index for timeline in timelines for index in timeline[first - 1 :])
        assert counted == list(range(192))


def test_prompts_last_two_to_five_seconds_and_come_again_where_they_are_few():
    asked = draw_prompts(evaluation_set(), 60, np.random.default_rng(0))
    assert set(asked.frames) == {90, 150} and [len(rows) for rows in asked.recorded] == list(asked.frames)
    usable = 27  # of 40 clips, those of 90 and 200 frames
    assert len(set(asked.texts[:usable])) == usable and len(set(asked.texts)) == usable
    with pytest.raises(KmmError, match="No held-out clip lasts 2 s"):
        draw_prompts(evaluation_set((20,)), 60, np.random.default_rng(0))


def test_decay_is_seen_where_there_is_some_and_only_there(tmp_path):
    methods = {"steady": worse_by(0.0), "fading": worse_by(0.8), "sideless": worse_by(0.0, side=False)}
    stages = []

    def report(stage, total):
        stages.append([stage, total, 0])

        def advance():
            stages[-1][2] += 1

        return advance

    found = measure_decay(methods, evaluation_set(), PointEvaluator(), PLAN, report)
    assert len(stages) == 2 * 3 * 3 and all(total == done for _, total, done in stages)
    steady, fading = found.scores["steady"], found.scores["fading"]
    assert np.allclose(steady["r_precision_3"], 1) and np.allclose(steady["mm_dist"], 0)
    assert np.ptp(steady["fid"], axis=0).max() < 1e-9  # the same prompts in each bin
    assert np.allclose(steady["direction"], 1) and np.allclose(found.scores["sideless"]["direction"], 0)
    assert (np.diff(np.mean(fading["fid"], axis=1)) > 0).all()
    assert np.mean(fading["r_precision_3"][-1]) < np.mean(fading["r_precision_3"][0])
    assert np.allclose(found.real["r_precision_3"], 1)

    losses = {
        (item.method, item.figure): item.share for item in decay_page.losses(found) if item.against == 0
    }
    assert losses["steady", "fid"] == pytest.approx(0) and losses["fading", "fid"] > 0.1
    means = np.mean(fading["r_precision_3"], axis=1)
    assert losses["fading", "r_precision_3"] == pytest.approx(1 - means[-1] / means[0])

    page = decay_page.write_decay(
        found,
        tmp_path / "pages",
        tmp_path / "images",
        about={"machine": "mine"},
        seconds=3.0,
        name="small",
        title="Small ones",
    )
    text = page.read_text()
    assert page.name == "small.md" and text.startswith("# Small ones\n")
    assert "![Quality by place in the timeline](../images/small.png)" in text
    assert (tmp_path / "images" / "small.png").stat().st_size > 5000
    rows = [line for line in text.splitlines() if line.startswith(("| steady | FID", "| fading | FID"))]
    assert rows[0].endswith("| pass |") and rows[1].endswith("| **miss** |")
    assert json.loads(page.with_suffix(".json").read_text())["scores"] == found.scores


def test_captions_without_a_side_have_no_direction(tmp_path):
    data = evaluation_set()
    texts = [f"a person walks {number}" for number in range(len(data.clips))]
    clips = [
        replace(clip, captions=(text,), tagged=(text,)) for clip, text in zip(data.clips, texts, strict=True)
    ]
    found = measure_decay({"steady": worse_by(0.0)}, data.with_clips(clips), PointEvaluator(), PLAN)
    assert "direction" not in found.real and set(found.scores["steady"]) == {
        "fid",
        "mm_dist",
        "r_precision_3",
    }
    page = decay_page.write_decay(found, tmp_path, tmp_path, about={}, seconds=3.0)
    assert "nan" not in page.read_text() and "| direction |" not in page.read_text()
    assert "NaN" not in page.with_suffix(".json").read_text()


def asked_for(frames, recorded=()) -> Asked:
    texts = tuple("abc"[: len(frames)])
    return Asked(texts, texts, tuple(frames), texts, tuple(recorded) or texts)


def test_joined_recordings_are_the_recordings_but_for_the_fades():
    form, frames = representation("272"), [70, 90, 60]
    raised = [body(*standing(count)) for count in frames]
    for number, clip in enumerate(raised):  # one arm goes up, each time another way
        turn_joint(
            clip.local_rotations, "left_shoulder", np.array([0, 0, 1.0]), (number - 1) * bump(clip.num_frames)
        )
    recorded = [form.encode(clip) for clip in raised]
    clips = recordings_joined(form).make(asked_for(frames, recorded), 0)
    assert [clip.num_frames for clip in clips] == frames  # they stand: nothing is lost
    for made, clip in zip(clips, raised, strict=True):
        inner = slice(12, clip.num_frames - 12)
        assert rotations.angle_between(made.local_rotations[inner], clip.local_rotations[inner]).max() < 1e-3


@pytest.mark.parametrize("lost", [0, 1])
def test_methods_give_one_piece_a_prompt_as_long_as_asked(lost):
    """And a frame more where features (263) lose one."""
    made = []

    class Pipeline:
        def generate(self, timeline, *, seed, samples=1):
            made.append(len(timeline.prompts))
            clip: MotionClip = body(*standing(timeline.num_frames))
            return SimpleNamespace(clips=[clip])

    frames = [70, 90, 60]
    for method, passes in ((one_pass, [3]), (piece_by_piece, [1, 1, 1])):
        made.clear()
        clips = method(Pipeline(), FPS, lost).make(asked_for(frames), 0)
        assert [clip.num_frames for clip in clips] == [count + lost for count in frames] and made == passes


def test_only_what_is_needed_is_made_piece_by_piece():
    lengths = []

    def make(asked, seed):
        lengths.append(len(asked.texts))
        return [np.tile(meaning_vector(text), (4, 1)) for text in asked.texts]

    plan = DecayPlan(count=32, repetitions=1, bins=((1, 1), (3, 4)))
    found = measure_decay({"alone": Method(make, alone=True)}, evaluation_set(), PointEvaluator(), plan)
    assert lengths == [1] * 32 + [3] * 16  # two that count, and the one before them
    assert np.allclose(found.scores["alone"]["r_precision_3"], 1)


def test_sides_are_swapped_back_and_forth():
    text = "turns left, counter-clockwise, right hand up, clockwise"
    swapped = "turns right, clockwise, left hand up, counterclockwise"
    assert swap_sides(text) == swapped
    assert swap_sides(swapped) == text.replace("counter-clockwise", "counterclockwise")
    assert swap_sides("a/DET left/ADJ leg/NOUN") == "a/DET right/ADJ leg/NOUN"
    assert swap_sides("stands upright, steps Leftward") == "stands upright, steps rightward"


@pytest.mark.parametrize("count", [16, 100])
def test_a_count_that_no_bin_can_share_is_refused(count):
    with pytest.raises(KmmError, match="multiple of 96, 96 or more.*Use a count of 96 or 192"):
        DecayPlan(count=count)
