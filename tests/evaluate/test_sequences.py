"""Sequences: what is composed, where pieces are joined, and what is measured at the joints."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.evaluate import sequences
from kmm_core.evaluate.evaluation import EvaluationPlan, Measurement
from kmm_core.evaluate.evaluation_set import EvaluationClip, EvaluationSet, RealTimeline
from kmm_core.motion.representation import representation

from . import bodies

FORM = representation("272")


def evaluation_clip(number: int, clip: MotionClip) -> EvaluationClip:
    said = (f"a person does thing {number}", f"someone does {number}")
    return EvaluationClip(f"clip{number}", FORM.encode(clip), said, said, str(number))


def evaluation_set(clips, timelines=None) -> EvaluationSet:
    return EvaluationSet(
        kind="starter",
        representation="272",
        fps=30.0,
        clips=clips,
        load_train=lambda: clips,
        encode=FORM.encode,
        positions=lambda rows: FORM.decode(rows, 30.0).joint_positions(),
        timelines=timelines,
    )


class WalkingPipeline:
    """Whatever is asked: a walk at 1 m/s along +Z, exactly as long as asked."""

    def generate(self, timeline, *, seed=0, samples=1):
        return SimpleNamespace(clips=[bodies.walk(frames=timeline.num_frames)] * samples)


def test_no_clip_stands_in_two_compositions():
    clips = [evaluation_clip(number, bodies.still(40 + number)) for number in range(11)]
    clips.append(evaluation_clip(11, bodies.still(20)))
    made = sequences.compositions(clips, 30.0, 4, np.random.default_rng(0), prompts=3)
    names = [clip.name for composition in made for clip in composition.clips]
    assert len(made) == 3 and len(set(names)) == 9 and "clip11" not in names
    for composition in made:
        assert composition.frames == tuple(len(clip.features) for clip in composition.clips)
        for text, clip in zip(composition.texts, composition.clips, strict=True):
            assert text in clip.captions
    again = sequences.compositions(clips, 30.0, 1, np.random.default_rng(0), prompts=3)
    assert again == made[:1]


def test_few_clips_make_a_short_composition_and_one_makes_none():
    clips = [evaluation_clip(number, bodies.still(300)) for number in range(3)]
    (only,) = sequences.compositions(clips, 30.0, 5, np.random.default_rng(0))
    assert only.frames == (200, 200, 200)
    with pytest.raises(KmmError, match="needs 2 clips") as raised:
        sequences.compositions(clips[:1], 30.0, 5, np.random.default_rng(0))
    assert raised.value.code == "too_few_clips"


def test_windows_and_prompts_on_humanml3d_are_as_long_as_flowmdms():
    """60 frames, and 70 to 200, at 20 fps; FID is against the clips that are used alone."""
    clips = [evaluation_clip(number, bodies.still(40 + 40 * (number % 2))) for number in range(64)]
    data = replace(evaluation_set(clips), kind="humanml3d", fps=20.0)
    assert {len(rows) for rows in sequences.real_windows(data, np.random.default_rng(0))} == {60}
    seen = SimpleNamespace(windows=set())

    def embed(motions):
        seen.windows |= {len(rows) for rows in motions}
        return np.array([[len(rows), 0.0] for rows in motions])

    evaluator = SimpleNamespace(embed_texts=lambda texts: np.zeros((len(texts), 2)), embed_motions=embed)
    measurement = Measurement(data, evaluator, EvaluationPlan(), lambda *_: lambda: None)
    [composition] = measurement.compositions(0)
    assert set(composition.frames) == {80}
    real = measurement.real_transitions()
    seen.windows.clear()
    scores, *_ = measurement.sequence_scores(
        lambda asked, seed: bodies.still(sum(asked.frames)), 0, real, np.random.default_rng(0)
    )
    assert seen.windows == {80, 60} and scores["fid"] == 0


@pytest.mark.parametrize("fade", [0, 24])
def test_a_stitched_walk_goes_on_at_its_speed(fade):
    frames = (40, 50, 45)
    made = sequences.stitch(sequences.pieces(WalkingPipeline(), ["walks"] * 3, frames, fade=fade), fade)
    assert made.num_frames == sum(frames)
    alone = bodies.walk(frames=50)
    speed = np.linalg.norm(np.diff(alone.root_positions, axis=0), axis=-1)
    steps = np.linalg.norm(np.diff(made.root_positions[:, [0, 2]], axis=0), axis=-1)
    assert steps.min() > 0.5 * speed.min() and steps.max() < 1.5 * speed.max()
    # Each piece faces and goes where the one before it did.
    assert made.root_positions[-1, 2] == pytest.approx(speed.mean() * (sum(frames) - 1), rel=0.02)


def test_a_piece_is_set_down_where_the_one_before_it_has_come_to():
    first = bodies.walk(frames=61)
    second = bodies.walk(frames=60).moved(yaw=2.0, translation=(5.0, 0, -3.0))
    made = sequences.stitch([first, second])
    # The last frame of the first piece is the one that the second starts in.
    assert made.num_frames == 120
    np.testing.assert_allclose(made.root_positions[60, [0, 2]], first.root_positions[60, [0, 2]], atol=1e-9)
    np.testing.assert_allclose(
        made.joint_positions()[60:], bodies.walk(frames=60).joint_positions() + _ground(first, 60), atol=1e-9
    )


def _ground(clip, frame):
    return clip.root_positions[frame] * [1, 0, 1] - bodies.walk(frames=60).root_positions[0] * [1, 0, 1]


def test_a_fade_takes_the_jolt_out_of_a_change_of_pose():
    pieces = [bodies.still(73), bodies.crouch(frames=73).slice(36, 73)]
    hard, soft = (sequences.stitch([pieces[0], pieces[1]], fade) for fade in (0, 24))
    jolt = [np.abs(np.diff(clip.joint_positions(), n=3, axis=0)).max() for clip in (hard, soft)]
    assert jolt[1] < 0.2 * jolt[0]


def test_pieces_for_a_fade_also_join_end_to_end():
    frames, fade = (40, 50, 45), 24
    pieces = sequences.pieces(WalkingPipeline(), ["walks"] * 3, frames, fade=fade)
    hard = sequences.unfaded(pieces, fade)
    assert [piece.num_frames for piece in hard] == [41, 51, 45]
    np.testing.assert_array_equal(hard[1].root_positions, pieces[1].root_positions[12:63])
    assert sequences.stitch(hard).num_frames == sum(frames)


def test_too_short_a_piece_for_the_fade_is_refused():
    with pytest.raises(KmmError, match="shorter than its cross-fade") as raised:
        sequences.stitch([bodies.still(60), bodies.still(20)], 24)
    assert raised.value.code == "too_few_frames"


def test_sub_sequences_and_windows_lie_where_the_prompts_change():
    clip = bodies.walk(frames=100)
    made = sequences.MadeSequence(clip, (10, 40, 75))
    assert [piece.num_frames for piece in sequences.sub_sequences(made)] == [10, 30, 35, 25]
    longer = sequences.sub_sequences(made, following=1)
    assert [piece.num_frames for piece in longer] == [11, 31, 36, 25]
    np.testing.assert_array_equal(longer[1].root_positions, clip.root_positions[10:41])
    windows = sequences.transitions(made, 30)
    # The first boundary is too near to the start.
    assert [window.num_frames for window in windows] == [30, 30]
    np.testing.assert_array_equal(windows[1].root_positions, clip.root_positions[60:90])


@pytest.mark.parametrize(("form", "lost"), [("272", 0), ("263", 1)])
def test_the_last_part_of_a_sequence_is_as_long_as_its_recording_too(form, lost):
    clips = [evaluation_clip(number, bodies.walk(frames=50)) for number in range(4)]
    embed = lambda items: np.zeros((len(items), 8))  # noqa: E731
    evaluator = SimpleNamespace(embed_texts=embed, embed_motions=embed)
    data = replace(evaluation_set(clips), representation=form)
    [composition] = Measurement(data, evaluator, EvaluationPlan(), lambda *_: lambda: None).compositions(0)
    made = sequences.MadeSequence(bodies.walk(frames=sum(composition.frames)), (50, 100, 150))
    assert [piece.num_frames for piece in sequences.sub_sequences(made, lost)] == [50 + lost] * 4


def test_real_windows_stand_on_real_boundaries_where_there_are_any():
    clips = [evaluation_clip(number, bodies.walk(frames=50 + number)) for number in range(4)]
    rng = np.random.default_rng(0)
    anywhere = sequences.real_windows(evaluation_set(clips), rng)
    assert [rows.shape for rows in anywhere] == [(30, 272)] * 4
    rows = FORM.encode(bodies.walk(frames=100))
    part = lambda first, last: rows[first:last]  # noqa: E731
    timeline = RealTimeline("walk", part, ("a", "b", "c"), (40, 20, 40))
    there = sequences.real_windows(evaluation_set(clips, [timeline]), rng)
    np.testing.assert_array_equal(there[0], rows[25:55])
    np.testing.assert_array_equal(there[1], rows[45:75])
    with pytest.raises(KmmError, match="Transitions need 2 windows"):
        sequences.real_windows(evaluation_set([replace(clips[0], features=rows[:20])]), rng)


class SpeedEvaluator:
    """Embeds a clip as its mean and last row of two columns."""

    def embed_motions(self, motions):
        return np.stack([np.concatenate([rows[:, :2].mean(0), rows[-1, :2]]) for rows in motions])


def test_transition_scores_of_real_windows_against_themselves():
    data = evaluation_set([evaluation_clip(number, bodies.walk(frames=60 + number)) for number in range(6)])
    windows = sequences.real_windows(data, np.random.default_rng(1))
    positions = np.stack([data.positions(rows) for rows in windows])
    third = positions[:, 3:] - 3 * positions[:, 2:-1] + 3 * positions[:, 1:-2] - positions[:, :-3]
    curve = np.abs(third).sum(-1).max(-1).mean(0)
    evaluator = SpeedEvaluator()
    real = sequences.RealTransitions(evaluator.embed_motions(windows), sequences.jerk_curve_of(data, windows))
    np.testing.assert_allclose(real.curve, curve, atol=1e-9)
    found = sequences.transition_scores(evaluator, data, windows, real, np.random.default_rng(0))
    assert set(found) == {"fid", "diversity", "peak_jerk", "area_under_jerk"}
    assert found["fid"] == pytest.approx(0, abs=1e-9)
    assert found["peak_jerk"] == pytest.approx(curve.max())
    assert found["area_under_jerk"] == pytest.approx(np.abs(curve - curve.mean()).sum())


def test_evaluations_of_two_seeds_share_no_noise():
    """Or ten repetitions by one seed and ten by the next were eleven."""
    clips = [evaluation_clip(number, bodies.still(40)) for number in range(3)]
    embed = lambda items: np.zeros((len(items), 8))  # noqa: E731
    evaluator, seeds = SimpleNamespace(embed_texts=embed, embed_motions=embed), []

    def generate(timeline, *, seed, samples=1):
        seeds.append(seed)
        return SimpleNamespace(clips=[bodies.still(timeline.num_frames)] * samples)

    for seed in (0, 1, 2, 20261125123456789):
        measurement = Measurement(
            evaluation_set(clips), evaluator, EvaluationPlan(seed=seed), lambda *_: lambda: None
        )
        for repetition in range(20):
            measurement.generate(SimpleNamespace(generate=generate), measurement.prompted, repetition, "")
    assert len(set(seeds)) == len(seeds) == 4 * 20 * 3 and max(seeds) < 2**63
    assert seeds[:3] == [0, 1, 2]  # those of seed 0, by which the pages were measured
