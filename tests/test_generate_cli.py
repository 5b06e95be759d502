"""kmm-generate with a small pipeline in the model's place: arguments, outputs, report, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import kmm_core
from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.formats.bvh import write_bvh
from kmm_core.formats.npz import read_npz, write_npz
from kmm_core.generate_cli import main
from kmm_core.pipeline import Generation
from kmm_core.skeleton import JOINT_INDEX, REST_PELVIS_HEIGHT
from kmm_core.timeline import Prompt, Timeline, write_timeline
from tests.tiny_bundle import save_tiny_bundle

BUNDLES = Path(kmm_core.__file__).parent / "bundles"


class FakePipeline:
    """Gives a person who stands still, and remembers what it was asked."""

    info = SimpleNamespace(
        model="fake",
        version="1",
        licence="GPL-3.0-or-later",
        credits=("Somebody.",),
        text_encoder="none",
        device="cpu",
        fps=30.0,
        parameters={"generator": 7},
    )

    def __init__(self):
        self.loaded = None
        self.asked = None

    def load(self, bundle, device="auto"):
        self.loaded = (bundle, device)
        return self

    def generate(self, timeline, **settings):
        self.asked = SimpleNamespace(timeline=timeline, **settings)
        frames = timeline.num_frames
        root = np.tile([0.0, REST_PELVIS_HEIGHT, 0.0], (frames, 1))
        local = np.tile([1.0, 0, 0, 0], (frames, 22, 1))
        clip = MotionClip(root, local, timeline.fps)
        unlike = tuple(prompt.text for prompt in timeline.prompts if "clap" in prompt.text)
        return Generation([clip] * settings["samples"], {"sample": 0.25}, unlike)


@pytest.fixture
def pipeline():
    return FakePipeline()


@pytest.fixture
def run(pipeline, tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder; gives the exit code, stdout and stderr."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*arguments):
        code = main([str(argument) for argument in arguments], load=pipeline.load)
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    call.folder = folder
    return call


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_documented_call(run, pipeline):
    words = ["--seed", "0", "--samples", "1", "-o", "shot.npz"]
    done = run("a person walks forward", "--seconds", 4, "raises the left arm", "--seconds", 2, *words)
    assert (done.code, done.err) == (0, "")
    assert pipeline.asked.timeline.prompts == (
        Prompt("a person walks forward", 0, 120),
        Prompt("raises the left arm", 120, 180),
    )
    assert (pipeline.asked.seed, pipeline.asked.samples, pipeline.asked.foot_cleanup) == (0, 1, True)
    assert pipeline.loaded == ("starter", "auto")
    assert read_npz(run.folder / "shot.npz").num_frames == 180
    assert "180 frames (6.0 s at 30 fps), seed 0, fake" in done.out


def test_options_before_between_and_after_prompts(run, pipeline):
    done = run(
        "-o", "a.npz", "--fps=24", "walks", "--device", "cpu", "jumps", "--frames", "7", "--", "-odd-", "b"
    )
    assert done.code == 0, done.err
    assert [(p.text, p.num_frames) for p in pipeline.asked.timeline.prompts] == [
        ("walks", 96),
        ("jumps", 7),
        ("-odd-", 96),
        ("b", 96),
    ]


def test_json_report(run):
    done = run("walks", "--json", "--seed", 5, "--bundle", "starter-nc", "-o", "a.npz", "-o", "b.npz")
    report = json.loads(done.out)
    assert (report["frames"], report["fps"], report["seed"], report["samples"]) == (120, 30.0, 5, 1)
    assert (report["device"], report["model"], report["version"]) == ("cpu", "fake", "1")
    assert (report["licence"], report["text_encoder"]) == ("GPL-3.0-or-later", "none")
    assert report["seconds"]["sample"] == 0.25 and {"load", "write"} < set(report["seconds"])
    assert report["outputs"] == ["a.npz", "b.npz"]


def test_prompts_like_nothing_recorded_are_told(run):
    done = run("walk", "clap", "-o", "a.npz")
    assert done.code == 0 and done.err.startswith(
        'kmm-generate: note: The model was trained on nothing like "clap":'
    )
    assert run("walk", "-o", "a.npz").err == ""
    told = run("walk", "clap", "-o", "a.npz", "--json")
    assert json.loads(told.out)["unfamiliar"] == ["clap"] and told.err == ""


def test_a_seed_is_chosen_and_printed(run, pipeline):
    seeds = {json.loads(run("walks", "--json", "-o", "a.npz").out)["seed"] for _ in range(3)}
    assert len(seeds) > 1
    assert pipeline.asked.seed in seeds


def test_settings_reach_the_pipeline(run, pipeline):
    run("walks", "--guidance", 2.5, "--steps", 12, "--no-foot-cleanup", "--device", "cpu", "-o", "a.npz")
    asked = pipeline.asked
    assert (asked.guidance_scale, asked.steps, asked.foot_cleanup, asked.keep) == (2.5, 12, False, None)
    assert pipeline.loaded[1] == "cpu"


def test_samples_are_numbered(run):
    done = run(
        "walks", "--frames", 8, "--samples", 2, "-o", "s.npz", "-o", "s.bvh", "-o", "sheet.png", "--json"
    )
    assert done.code == 0, done.err
    assert files(run.folder) == ["s_1.bvh", "s_1.npz", "s_2.bvh", "s_2.npz", "sheet.png"]
    assert sorted(json.loads(done.out)["outputs"]) == files(run.folder)


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.bvh", b"HIERARCHY"),
        ("a.npz", b"PK"),
        ("a.amass.npz", b"PK"),
        ("a.gif", b"GIF89a"),
        ("a.png", b"\x89PNG"),
        ("A.BVH", b"HIERARCHY"),
    ],
)
def test_every_suffix_writes_its_format(run, name, begins):
    if "amass" in name:
        pytest.importorskip("kmm_core.formats.amass")
    done = run("walks", "--frames", 8, "-o", name)
    assert done.code == 0, done.err
    assert (run.folder / name).read_bytes().startswith(begins)
    assert files(run.folder) == [name]


def test_missing_folders_are_made_when_there_is_something_to_put_in(run, pipeline, monkeypatch):
    assert run("walks", "--frames", 8, "-o", "new/deeper/a.npz").code == 0
    assert files(run.folder / "new" / "deeper") == ["a.npz"]

    def fail(*_, **__):
        raise KmmError("no_motion", "No motion.")

    monkeypatch.setattr(pipeline, "generate", fail)
    assert run("walks", "-o", "other/a.npz").code == 1
    assert files(run.folder) == ["new"]


def test_bvh_unit(run):
    run("walks", "--frames", 8, "-o", "m.bvh")
    run("walks", "--frames", 8, "-o", "cm.bvh", "--unit", "cm")
    last = [float((run.folder / name).read_text().split("\n")[-2].split()[1]) for name in ("m.bvh", "cm.bvh")]
    assert last == pytest.approx([REST_PELVIS_HEIGHT, 100 * REST_PELVIS_HEIGHT], abs=1e-3)


def test_timeline_file(run, pipeline):
    timeline = Timeline(24, (Prompt("walks", 0, 48), Prompt("sits", 60, 90)))
    write_timeline(run.folder / "t.json", timeline)
    assert run("--timeline", "t.json", "-o", "a.npz").code == 0
    assert pipeline.asked.timeline == timeline
    done = run("--timeline", "t.json", "--fps", 30, "-o", "a.npz")
    assert done.code == 1 and "t.json counts frames at 24 fps and --fps 30" in done.err
    # The same rate, with other digits.
    write_timeline(run.folder / "ntsc.json", Timeline(30 / 1.001, (Prompt("walks", 0, 48),)))
    assert run("--timeline", "ntsc.json", "--fps", 29.97, "-o", "a.npz").code == 0


def test_kept_frames(run, pipeline, monkeypatch):
    module = pytest.importorskip("kmm_core.pipeline")
    local = np.tile([1.0, 0, 0, 0], (31, 22, 1))
    write_npz(run.folder / "in.npz", MotionClip(np.zeros((31, 3)), local, 15))
    monkeypatch.setattr(module, "Keep", lambda clip, frames: (clip, frames))
    keep = ["--keep", ":10", "--keep", "50:"]
    done = run("walks", "--frames", 70, "--from", "in.npz", *keep, "-o", "a.npz")
    assert done.code == 0, done.err
    clip, mask = pipeline.asked.keep
    assert (clip.fps, clip.num_frames) == (30, 61)
    assert np.flatnonzero(mask).tolist() == [*range(10), *range(50, 61)]
    assert mask.shape == (70,)


@pytest.mark.parametrize("fps", [1e-5, 1e-310])
def test_a_rate_that_is_a_mistake_fills_no_memory(run, pipeline, monkeypatch, fps):
    module = pytest.importorskip("kmm_core.pipeline")
    monkeypatch.setattr(module, "Keep", lambda clip, frames: clip)
    write_npz(run.folder / "in.npz", MotionClip(np.zeros((31, 3)), np.tile([1.0, 0, 0, 0], (31, 22, 1)), fps))
    done = run("walks", "--frames", 70, "--from", "in.npz", "--keep", ":10", "-o", "a.npz")
    assert done.code == 0, done.err
    assert pipeline.asked.keep.num_frames == 70 + 30  # goes on a second longer, for the last token
    assert (
        "in.npz has" in run("walks", "--frames", 70, "--from", "in.npz", "--keep", "9:80", "-o", "a.npz").err
    )


@pytest.mark.parametrize("frame_time", [None, "0.041708"], ids=["written here", "six decimals"])
def test_a_rate_that_a_bvh_rounds_loses_no_frame(run, pipeline, monkeypatch, frame_time):
    module = pytest.importorskip("kmm_core.pipeline")
    monkeypatch.setattr(module, "Keep", lambda clip, frames: clip)
    root = np.random.default_rng(0).normal(size=(400, 3))
    path = run.folder / "in.bvh"
    write_bvh(path, MotionClip(root, np.tile([1.0, 0, 0, 0], (400, 22, 1)), 24 / 1.001))
    if frame_time:
        path.write_text(re.sub("Frame Time: .*", f"Frame Time: {frame_time}", path.read_text()))
    rate = ("--fps", 24 / 1.001, "--frames", 500)
    done = run("walks", *rate, "--from", "in.bvh", "--keep", "0:400", "-o", "a.npz")
    assert done.code == 0, done.err
    assert pipeline.asked.keep.fps == 24 / 1.001
    assert np.allclose(pipeline.asked.keep.root_positions, root, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "-o/--output"),
        (["-o", "a.bvh"], "no prompt and no --timeline"),
        (["walks"], "required: -o/--output. See kmm-generate --help."),
        (["walks", "--timeline", "t.json", "-o", "a.bvh"], "both prompts and --timeline"),
        (["--seconds", "4", "walks", "-o", "a.bvh"], "before any prompt"),
        (["walks", "--seconds", "4", "--frames", "4", "-o", "a.bvh"], "two lengths"),
        (["walks", "--seconds", "4", "runs", "--frames", "4", "-o", "a.bvh"], "both --seconds and --frames"),
        (["walks", "--seconds", "0", "-o", "a.bvh"], "length of 0 seconds"),
        (["walks", "--seconds", "-2", "-o", "a.bvh"], "length of -2 seconds"),
        (["walks", "--seconds", "nan", "-o", "a.bvh"], "length of nan seconds"),
        (["walks", "--seconds", "1e9", "-o", "a.bvh"], "at most 3600"),
        (["walks", "--seconds", "long", "-o", "a.bvh"], "length of long seconds"),
        (["walks", "--seconds", "0.001", "-o", "a.bvh"], "less than one frame"),
        (["walks", "--frames", "0", "-o", "a.bvh"], "--frames 0"),
        (["walks", "--frames", "2.5", "-o", "a.bvh"], "--frames 2.5"),
        (["walks", "--frames", "999999", "-o", "a.bvh"], "at most 3600"),
        (["walks", "--seconds"], "--seconds"),
        (["", "-o", "a.bvh"], "is empty"),
        (["x" * 10_000, "-o", "a.bvh"], "10000 characters"),
        (["walks", "--fps", "0", "-o", "a.bvh"], "fps=0"),
        (["walks", "--seed", "-1", "-o", "a.bvh"], "--seed -1"),
        (["walks", "--seed", "9" * 40, "-o", "a.bvh"], "--seed 99"),
        (["walks", "--samples", "0", "-o", "a.bvh"], "--samples 0"),
        (["walks", "--samples", "65", "-o", "a.bvh"], "from 1 to 64"),
        (["walks", "--steps", "no", "-o", "a.bvh"], "--steps no"),
        (["walks", "--guidance", "nan", "-o", "a.bvh"], "--guidance nan"),
        (["walks", "--device", "tpu", "-o", "a.bvh"], "tpu"),
        (["walks", "--unit", "ft", "-o", "a.bvh"], "ft"),
        (["walks", "--sed", "1", "-o", "a.bvh"], "--sed"),
        (["walks", "-o", "a.fbx"], "'a.fbx' has no known suffix"),
        (["walks", "-o", ".bvh"], "no known suffix"),
        (["walks", "-o", "a.json"], "no known suffix"),
        (["walks", "--keep", "0:5", "-o", "a.bvh"], "--from and --keep"),
        (["walks", "--from", "x.npz", "-o", "a.bvh"], "--from and --keep"),
        (["walks", "--from", "x.npz", "--keep", "5", "-o", "a.bvh"], "--keep 5 is not a range"),
        (["walks", "--from", "x.npz", "--keep", "5:2", "-o", "a.bvh"], "--keep 5:2 is not a range"),
        (["walks", "--from", "x.npz", "--keep", "a:b", "-o", "a.bvh"], "--keep a:b is not a range"),
        (
            ["walks", "--from", "x.npz", "--keep", ":9", "--from", "y.npz", "-o", "a.bvh"],
            "--from was given twice",
        ),
        (["--timeline", "a.csv", "--timeline", "b.csv", "-o", "a.bvh"], "--timeline was given twice"),
    ],
)
def test_bad_arguments_end_with_two_and_one_line(run, pipeline, arguments, part):
    done = run(*arguments)
    assert done.code == 2
    assert done.err.startswith("kmm-generate: ") and done.err.count("\n") == 1 and len(done.err) < 600
    assert part in done.err
    assert done.out == ""
    assert pipeline.loaded is None and files(run.folder) == []


def test_help_starts_without_torch():
    code = (
        "import sys; from kmm_core.generate_cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    )
    code += "print(sorted({'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert "--timeline" in result.stdout


def test_cancel_ends_with_130_and_leaves_nothing(run, pipeline, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "generate", interrupt)
    done = run("walks", "-o", "a.bvh")
    assert (done.code, done.err) == (130, "kmm-generate: cancelled; no unfinished file was left.\n")
    assert files(run.folder) == []


def test_cancel_while_writing_leaves_nothing(run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupt)
    assert run("walks", "-o", "a.npz").code == 130
    assert files(run.folder) == []


def test_errors_of_the_pipeline(run, pipeline, monkeypatch):
    def fail(error):
        def generate(*_, **__):
            raise error

        monkeypatch.setattr(pipeline, "generate", generate)
        return run("walks", "-o", "a.bvh")

    done = fail(KmmError("bundle_broken", "The bundle is broken.", "Install it again."))
    assert (done.code, done.err) == (1, "kmm-generate: The bundle is broken. Install it again.\n")
    assert fail(KmmError("cancelled", "Cancelled.")).code == 130
    assert "not enough memory" in fail(MemoryError()).err
    # What torch says on the CPU, on Windows, and what Windows says.
    for words in (
        "alloc_cpu.cpp:127: you tried to allocate memory",
        "[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.",
        "Die Auslagerungsdatei ist zu klein, um diesen Vorgang durchzuführen. (os error 1455)",
    ):
        assert "not enough memory. Shorten" in fail(RuntimeError(words)).err
    missing = fail(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert missing.code == 1 and "package torch is not installed" in missing.err
    done = fail(ZeroDivisionError("a\nb"))
    assert done.code == 1 and done.err.count("\n") == 1
    assert "unexpected ZeroDivisionError: a b" in done.err and "--debug" in done.err
    with pytest.raises(ZeroDivisionError):
        run("walks", "-o", "a.bvh", "--debug")


def test_progress_is_drawn_only_for_people(run, pipeline, monkeypatch):
    assert run("walks", "-o", "a.npz").code == 0
    assert pipeline.asked.progress is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    def generate(timeline, **settings):
        settings["progress"](SimpleNamespace(stage="decode", done=1, total=10))
        return FakePipeline.generate(pipeline, timeline, **settings)

    monkeypatch.setattr(pipeline, "generate", generate)
    assert run("walks", "-o", "a.npz").code == 0
    assert pipeline.asked.progress is not None


# --- the real pipeline --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """An untrained model: all is real but the motion's sense."""
    pytest.importorskip("torch")
    return save_tiny_bundle(tmp_path_factory.mktemp("tiny"))


def generate(folder, name, *arguments):
    path = folder / name
    assert main([*(str(argument) for argument in arguments), "-o", str(path)]) == 0
    return read_npz(path)


def test_same_seed_same_motion_and_exact_lengths(tmp_path, tiny):
    words = (
        "walks",
        "--frames",
        37,
        "waves 👋",
        "--frames",
        6,
        "--fps",
        24,
        "--bundle",
        tiny,
        "--device",
        "cpu",
    )
    first, again, other = (
        generate(tmp_path, f"{i}.npz", *words, "--seed", s) for i, s in enumerate((3, 3, 4))
    )
    assert (first.num_frames, first.fps) == (43, 24)
    assert np.array_equal(first.local_rotations, again.local_rotations)
    assert np.array_equal(first.root_positions, again.root_positions)
    assert not np.allclose(first.local_rotations, other.local_rotations)


def test_continuation_keeps_the_frames_it_was_told_to(tmp_path, tiny):
    before = generate(tmp_path, "a.npz", "walks", "--frames", 60, "--bundle", tiny)
    words = ("jumps", "--frames", 100, "--from", tmp_path / "a.npz", "--keep", "0:60", "--bundle", tiny)
    after = generate(tmp_path, "b.npz", *words)
    assert after.num_frames == 100
    error = np.abs(after.slice(0, 60).joint_positions() - before.joint_positions()).max()
    assert error < 1e-4


def test_a_bvh_that_kmm_wrote_is_kept_as_it_is(tmp_path, tiny):
    """Where it stands, too: placed at the origin it would not meet what it is to be joined to."""
    words = ("walks", "--frames", 60, "--bundle", tiny, "-o", tmp_path / "a.bvh", "--unit", "cm")
    clip = generate(tmp_path, "a.npz", *words).moved(translation=np.array([3.0, 0.2, -2.0]), yaw=1.0)
    write_bvh(tmp_path / "moved.bvh", clip, unit="cm")
    words = ("jumps", "--frames", 100, "--from", tmp_path / "moved.bvh", "--keep", "0:60", "--bundle", tiny)
    kept = generate(tmp_path, "b.npz", *words).slice(0, 60)
    assert np.abs(kept.joint_positions() - clip.joint_positions()).max() < 1e-4


def test_a_path_that_the_output_cannot_spell_is_no_failure(tmp_path, tiny):
    """As where stdout is redirected on Windows."""
    done = subprocess.run(
        [sys.executable, "-m", "kmm_core.generate_cli", "walks", "--frames", "8", "--bundle", str(tiny)]
        + ["-o", str(tmp_path / "łódź.npz")],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
    )
    assert done.returncode == 0 and (tmp_path / "łódź.npz").is_file(), done.stderr


@pytest.mark.skipif(
    not (BUNDLES / "starter" / "config.json").is_file(), reason="no starter bundle in this checkout"
)
def test_the_starter_raises_the_named_arm(tmp_path, capsys):
    words = (
        "a person walks forward",
        "--seconds",
        4,
        "raises the left arm",
        "--seconds",
        2,
        "--seed",
        0,
        "--json",
    )
    clip = generate(tmp_path, "shot.npz", *words)
    assert clip.num_frames == 180
    report = json.loads(capsys.readouterr().out)
    assert report["model"].startswith("starter") and report["licence"] and report["text_encoder"]
    positions = clip.joint_positions()
    assert positions[119, 0, 2] - positions[0, 0, 2] > 1.0, "it walks forward"
    left, right = (positions[120:, JOINT_INDEX[f"{side}_wrist"], 1].max() for side in ("left", "right"))
    assert left > right + 0.2, "it is the left arm"
