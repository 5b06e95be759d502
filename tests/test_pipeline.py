"""The pipeline on an untrained model: exact lengths, seeds, kept frames, errors. Motion quality is measured elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import rotations
from kmm_core.motion.foot_contact import foot_slide
from kmm_core.pipeline import Keep, TextToMotion, choose_device
from kmm_core.text.familiarity import sentence_vectors
from kmm_core.timeline import Prompt, Timeline

from .motion.test_foot_contact import crouching_clip
from .tiny_bundle import save_tiny_bundle

WALK_AND_WAVE = Timeline(30, (Prompt("walk forward", 0, 61), Prompt("wave", 75, 97)))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> TextToMotion:
    return TextToMotion.load(save_tiny_bundle(tmp_path_factory.mktemp("bundle")), device="cpu")


@pytest.mark.parametrize("fps", [24, 30, 23.976, 120])
@pytest.mark.parametrize("lengths", [(1,), (7, 31), (90, 2, 3), (40, 1, 1, 40)])
def test_lengths_are_exact(pipeline, fps, lengths):
    ends = np.cumsum(lengths)
    prompts = [Prompt("walk", int(end - length), int(end)) for end, length in zip(ends, lengths, strict=True)]
    result = pipeline.generate(Timeline(fps, tuple(prompts)), samples=2)
    assert [clip.num_frames for clip in result.clips] == [sum(lengths)] * 2
    assert all(clip.fps == fps for clip in result.clips)


def test_prompts_take_their_share_of_the_tokens(pipeline):
    assert pipeline._plan(WALK_AND_WAVE.segments(), WALK_AND_WAVE) == [
        15,
        4,
        6,
    ]  # the gap is a segment of its own


def test_short_prompts_at_the_end_are_acted_within_the_timeline(pipeline):
    timeline = Timeline(30, tuple(Prompt("walk", *frames) for frames in [(0, 62), (62, 63), (63, 64)]))
    assert pipeline._plan(timeline.segments(), timeline) == [14, 1, 1]


def test_prompts_that_are_too_short_to_be_acted_are_refused(pipeline):
    timeline = Timeline(30, tuple(Prompt("walk", start, start + 3) for start in range(0, 90, 3)))
    with pytest.raises(KmmError, match=r"30 prompts and gaps share 3.00 s; each needs at least 0.13 s"):
        pipeline.generate(timeline)


@pytest.mark.parametrize("fps", [30, 48, 60, 240])
def test_the_last_frames_move_at_any_rate(pipeline, fps):
    """Above the model's rate they lie between its last frame and one more."""
    clip = pipeline.generate(Timeline(fps, (Prompt("walk", 0, fps * 2),)), foot_cleanup=False).clips[0]
    steps = np.linalg.norm(np.diff(clip.local_rotations, axis=0), axis=-1).max(axis=-1)
    assert steps[-8:].min() > 0


def test_prompts_that_are_longer_than_the_text_encoder_reads_are_told(pipeline):
    long = "a person walks " + "very " * 70 + "slowly"
    made = pipeline.generate(Timeline(30, (Prompt("walk", 0, 30), Prompt(long, 30, 60))))
    assert made.cut == (long,) and "was ignored: too long" in made.note
    assert pipeline.generate(Timeline(30, (Prompt("walk", 0, 30),))).note == ""


@pytest.mark.parametrize("split", [True, False])
def test_a_sentence_of_two_steps_is_two_prompts_where_the_model_asks_for_it(pipeline, monkeypatch, split):
    config = pipeline.bundle.config
    changed = replace(config, sampling=replace(config.sampling, split_steps=split))
    monkeypatch.setattr(pipeline.bundle, "config", changed)
    said = pipeline.generate(Timeline(30, (Prompt("walk, then wave", 10, 90),)), seed=2).clips[0]
    asked = pipeline.generate(Timeline(30, (Prompt("walk", 10, 50), Prompt("wave", 50, 90))), seed=2).clips[0]
    assert np.array_equal(said.local_rotations, asked.local_rotations) == split


def test_long_prompts_and_gaps_are_split_and_filled_where_the_model_asks_for_it(pipeline, monkeypatch):
    config = pipeline.bundle.config
    asked = Timeline(30, (Prompt("walk", 60, 180),))
    meant = Timeline(30, (Prompt("stands still", 0, 60), Prompt("walk", 60, 120), Prompt("walk", 120, 180)))
    plain, written_out = (pipeline.generate(item, seed=2).clips[0] for item in (asked, meant))
    assert not np.array_equal(plain.local_rotations, written_out.local_rotations)
    sampling = replace(config.sampling, longest_seconds=2.0, gap_text="stands still")
    monkeypatch.setattr(pipeline.bundle, "config", replace(config, sampling=sampling))
    made = pipeline.generate(asked, seed=2)
    assert np.array_equal(made.clips[0].local_rotations, written_out.local_rotations)
    long = "a person walks " + "very " * 70 + "slowly"
    assert pipeline.generate(Timeline(30, (Prompt(long, 0, 180),))).cut == (long,)


def test_who_sat_down_gets_up_first_where_the_model_asks_for_it(pipeline, monkeypatch):
    config = pipeline.bundle.config
    asked = Timeline(30, (Prompt("sits down", 0, 60), Prompt("walks", 60, 180)))
    meant = Timeline(30, (Prompt("sits down", 0, 60), Prompt("stands up", 60, 96), Prompt("walks", 96, 180)))
    plain, written_out = (pipeline.generate(item, seed=2).clips[0] for item in (asked, meant))
    assert not np.array_equal(plain.local_rotations, written_out.local_rotations)
    sampling = replace(config.sampling, rise_text="stands up")
    monkeypatch.setattr(pipeline.bundle, "config", replace(config, sampling=sampling))
    made = pipeline.generate(asked, seed=2).clips[0]
    assert np.array_equal(made.local_rotations, written_out.local_rotations)


def test_prompts_like_nothing_recorded_are_named_once(pipeline, monkeypatch):
    timeline = Timeline(
        30, tuple(Prompt(text, n * 30, n * 30 + 20) for n, text in enumerate(["walk", "clap", "clap"]))
    )
    assert pipeline.generate(timeline).unfamiliar == ()  # a model that does not say what it knows
    monkeypatch.setattr(pipeline.bundle, "familiar", sentence_vectors(pipeline._read(["walk"])))
    assert pipeline.generate(timeline).unfamiliar == ("clap",)
    assert pipeline.unfamiliar(["he walks", "milk a cow"]) == ("milk a cow",)


def test_same_seed_same_motion(pipeline):
    first, again, other = (pipeline.generate(WALK_AND_WAVE, seed=seed).clips[0] for seed in (3, 3, 4))
    assert np.array_equal(first.local_rotations, again.local_rotations)
    assert not np.array_equal(first.local_rotations, other.local_rotations)


def test_samples_differ(pipeline):
    first, second = pipeline.generate(WALK_AND_WAVE, samples=2).clips
    assert not np.array_equal(first.local_rotations, second.local_rotations)


def test_foot_cleanup_can_be_turned_off(pipeline):
    clean, raw = (pipeline.generate(WALK_AND_WAVE, foot_cleanup=on).clips[0] for on in (True, False))
    assert clean.num_frames == raw.num_frames


def test_stages_report_seconds_and_progress(pipeline):
    seen = []
    result = pipeline.generate(WALK_AND_WAVE, steps=3, progress=seen.append)
    assert set(result.seconds) == {"text", "tokens", "motion", "clean-up"}
    assert [(step.done, step.total) for step in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_cancel_raises_and_the_next_generation_works(pipeline):
    with pytest.raises(KmmError, match="cancelled"):
        pipeline.generate(WALK_AND_WAVE, cancel=lambda: True)
    assert pipeline.generate(WALK_AND_WAVE).clips


def test_info_names_what_runs(pipeline):
    info = pipeline.info
    assert (info.model, info.licence, info.text_encoder, info.device) == (
        "tiny",
        "CC0-1.0",
        "all-MiniLM-L6-v2",
        "cpu",
    )
    assert info.parameters["text_encoder"] > 22_000_000 and info.parameters["generator"] > 0


def _given_motion(frames: int) -> MotionClip:
    """A person who walks along +X with one arm swinging."""
    t = np.arange(frames) / 30
    local = np.tile(rotations.IDENTITY, (frames, 22, 1))
    local[:, 0] = rotations.from_yaw(np.full(frames, np.pi / 2))
    local[:, 16] = rotations.from_axis_angle(np.array([0, 0, 1.0]), -1.2 + 0.3 * np.sin(5 * t))
    return MotionClip(np.stack([t, np.full(frames, 0.95), 0 * t], axis=-1), local, 30)


@pytest.mark.parametrize(
    "kept", [slice(0, 40), slice(60, 97), slice(30, 60)], ids=["continue", "lead in", "middle"]
)
def test_kept_frames_stay_and_nothing_jumps(pipeline, kept):
    given = _given_motion(97)
    frames = np.zeros(97, dtype=bool)
    frames[kept] = True
    made = pipeline.generate(WALK_AND_WAVE, keep=Keep(given, frames)).clips[0]
    assert np.array_equal(made.root_positions[frames], given.root_positions[frames])
    assert np.array_equal(made.local_rotations[frames], given.local_rotations[frames])
    assert not np.allclose(made.local_rotations[~frames], given.local_rotations[~frames])
    step = rotations.angle_between(made.local_rotations[1:], made.local_rotations[:-1]).max(axis=1)
    seams = [frame - 1 for frame in (kept.start, kept.stop) if 0 < frame < 97]
    assert all(step[seam] <= 1.5 * np.max(np.delete(step, seams)) for seam in seams)


def test_in_between_meets_both_ends(pipeline):
    given = _given_motion(97)
    frames = np.ones(97, dtype=bool)
    frames[30:70] = False
    made = pipeline.generate(WALK_AND_WAVE, keep=Keep(given, frames)).clips[0]
    step = np.linalg.norm(np.diff(made.joint_positions(), axis=0), axis=-1).max(axis=1)
    assert max(step[29], step[69]) <= step[30:69].max()


def test_feet_stand_still_where_a_stretch_was_fitted_to_what_is_kept(pipeline):
    """The generated person stoops lower on the same spot: while that fades into the kept pose, legs unbend."""
    given, generated = crouching_clip(97, bend=0.2), crouching_clip(97, bend=1.0)
    kept = np.ones(97, dtype=bool)
    kept[30:60] = False
    timeline, keep = Timeline(30, (Prompt("stand", 0, 97),)), Keep(given, kept)
    slid, cleaned = (
        foot_slide(pipeline._finish(generated, timeline, clean, keep).slice(29, 61))
        for clean in (False, True)
    )
    assert cleaned < 0.3 * slid


@pytest.mark.parametrize("fps", [20, 30, 60])
def test_models_of_263_columns_keep_frames_too(tmp_path, fps):
    """That representation loses a frame of the motion to keep."""
    pipeline = TextToMotion.load(save_tiny_bundle(tmp_path, "263"), device="cpu")
    given = _given_motion(97).resample(fps, 97)
    made = pipeline.generate(Timeline(fps, (Prompt("walk", 0, 97),)), keep=Keep(given, np.arange(97) < 40))
    assert made.clips[0].num_frames == 97
    assert np.array_equal(made.clips[0].local_rotations[:40], given.local_rotations[:40])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed=-1 is out of range; expected 0"),
        ({"samples": 0}, "samples=0 is out of range; expected 1 to 64"),
        ({"steps": 101}, "steps=101 is out of range; expected 1 to 100"),
        ({"guidance_scale": float("nan")}, "guidance_scale=nan is out of range"),
        ({"keep": Keep(_given_motion(97), np.ones(97, dtype=bool))}, "97 of 97 frames are to be kept"),
        (
            {"keep": Keep(_given_motion(20), np.arange(97) == 50)},
            "20 frames at 30 fps; expected more than 50",
        ),
    ],
)
def test_bad_settings_say_what_is_expected(pipeline, changes, message):
    with pytest.raises(KmmError, match=message):
        pipeline.generate(WALK_AND_WAVE, **changes)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(KmmError, match="Device 'tpu' is not usable here; usable: auto, cpu"):
        choose_device("tpu")


def test_keeping_freed_memory_is_asked_for_on_glibc_only(monkeypatch):
    from kmm_core import allocator

    asked = []

    class Library:
        @staticmethod
        def mallopt(option, value):
            asked.append(option)
            return 1

    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: Library)
    monkeypatch.setattr(allocator.sys, "platform", "linux")
    assert allocator.keep_freed_memory() and asked == [-3, -1]
    monkeypatch.setattr(allocator.sys, "platform", "win32")
    assert not allocator.keep_freed_memory()
