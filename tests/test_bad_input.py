"""Bad input, end to end through kmm-generate: one sentence, a non-zero exit, no traceback, nothing left."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.formats.npz import write_npz
from kmm_core.generate_cli import main
from kmm_core.pipeline import Generation
from kmm_core.skeleton import REST_PELVIS_HEIGHT
from tests.tiny_bundle import save_tiny_bundle


def standing(frames, fps=30.0):
    root = np.tile([0.0, REST_PELVIS_HEIGHT, 0.0], (frames, 1))
    return MotionClip(root, np.tile([1.0, 0, 0, 0], (frames, 22, 1)), fps)


class StandInPipeline:
    """For faults that must be found before or after the model: it gives a standing person."""

    info = SimpleNamespace(
        model="fake",
        version="1",
        licence="none",
        credits=(),
        text_encoder="none",
        device="cpu",
        parameters={},
    )
    loads = 0

    @classmethod
    def load(cls, bundle, device="auto"):
        cls.loads += 1
        return cls()

    def generate(self, timeline, *, samples=1, **_):
        clips = [standing(timeline.num_frames, timeline.fps)] * samples
        return Generation(clips, {})


@pytest.fixture
def fails(tmp_path, monkeypatch, capsys):
    """Runs the command; checks all that holds for every failure; gives what stands on stderr."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    StandInPipeline.loads = 0

    def call(*arguments, code=1, load=StandInPipeline.load, before_loading=True):
        there = sorted(folder.rglob("*"))
        given = main([str(argument) for argument in arguments], load=load)
        captured = capsys.readouterr()
        assert given == code
        assert captured.out == ""
        assert captured.err.startswith("kmm-generate: ") and captured.err.count("\n") == 1
        assert len(captured.err) < 700 and "Traceback" not in captured.err
        assert sorted(folder.rglob("*")) == there, "something was left behind"
        if before_loading:
            assert StandInPipeline.loads == 0, "found only after the model was loaded"
        return captured.err

    call.folder = folder
    return call


# --- prompts and times ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["", "--seconds", "4"], "empty"),
        (["   ", "--seconds", "4"], "empty"),
        (["walk " * 2000, "--seconds", "4"], "characters; at most 500"),
        (["walks", "--seconds", "0"], "0 seconds"),
        (["walks", "--seconds", "-3"], "-3 seconds"),
        (["walks", "--seconds", "1e12"], "1e12 seconds"),
        (["walks", "--seconds", "inf"], "inf seconds"),
        (["walks", "--frames", "-8"], "--frames -8"),
        (["walks", "--seconds", "3000", "runs", "--seconds", "3000"], "180000 frames"),
    ],
)
def test_prompts_and_durations(fails, arguments, part):
    assert part in fails(*arguments, "-o", "shot.bvh", code=2)


@pytest.mark.parametrize(
    "text", ["a person waves 👋🏽", "شخص يلوّح بيده اليسرى", "אדם הולך", "人が歩く", "walks\nand\tturns"]
)
def test_emoji_and_right_to_left_text_are_no_errors(tmp_path, text):
    outputs = [tmp_path / f"shot{suffix}" for suffix in (".bvh", ".npz", ".gif", ".png")]
    arguments = [text, "--frames", "6", *(word for path in outputs for word in ("-o", str(path)))]
    assert main(arguments, load=StandInPipeline.load) == 0
    with np.load(outputs[1], allow_pickle=False) as arrays:
        assert arrays["prompts"].tolist() == [" ".join(text.split())]


def prompts_json(*prompts, fps=30):
    entries = [{"text": text, "start": start, "end": end} for text, start, end in prompts]
    return json.dumps({"fps": fps, "prompts": entries})


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("t.json", prompts_json(("walks", 0, 60), ("turns", 30, 90)), '"walks" (frames 0 to 60) and "turns"'),
        ("t.json", prompts_json(("walks", 60, 0)), "60 to 0"),
        ("t.json", prompts_json(("walks", 0, 10**15)), "end=10000"),
        ("t.json", prompts_json(("", 0, 10)), "empty"),
        ("t.json", prompts_json(("walks", 0, float("nan"))), "end=nan"),
        ("t.json", prompts_json(("walks", 0, 60), fps=float("nan")), "fps=nan"),
        ("t.json", prompts_json(("walks", 0, 60))[:30], "not complete JSON"),
        ("t.json", "", "empty"),
        ("t.json", "\x00\x01\x02", "not complete JSON"),
        ("t.srt", "", "empty"),
        ("t.srt", "1\n00:00:00,000 --> ", "expected the times"),
        ("t.srt", "1\n00:00:01,000 --> 00:00:04,000\na\n\n2\n00:00:03,000 --> 00:00:05,000\nb\n", "overlap"),
        ("t.srt", "<html>not found</html>", "line 1"),
        ("t.csv", "text,start,end\nwalks,0\n", "2 fields"),
        ("t.csv", "", "empty"),
        ("t.txt", "walks | -1\n", "-1 seconds"),
        ("t.xlsx", "PK", ".xlsx"),
    ],
)
def test_timeline_files(fails, name, content, part):
    (fails.folder / name).write_text(content, encoding="utf-8")
    message = fails("--timeline", name, "-o", "shot.bvh")
    assert part in message and name in message


def test_unsorted_prompts_are_sorted_and_no_error(tmp_path):
    (tmp_path / "t.json").write_text(prompts_json(("turns", 30, 60), ("walks", 0, 30)))
    output = tmp_path / "shot.npz"
    assert main(["--timeline", str(tmp_path / "t.json"), "-o", str(output)], load=StandInPipeline.load) == 0
    with np.load(output, allow_pickle=False) as arrays:
        assert arrays["prompts"].tolist() == ["walks", "turns"]


def test_huge_missing_and_folder_as_timeline(fails):
    with (fails.folder / "t.srt").open("wb") as file:
        file.truncate(11_000_000)
    assert "11,000,000 bytes" in fails("--timeline", "t.srt", "-o", "shot.bvh")
    assert "No such file" in fails("--timeline", "missing.json", "-o", "shot.bvh")
    (fails.folder / "t.json").mkdir()
    assert "t.json" in fails("--timeline", "t.json", "-o", "shot.bvh")


# --- motion files -----------------------------------------------------------------------------------------


KEEP = ("walks", "--frames", "60", "--keep", "0:10", "-o", "shot.bvh", "--from")
BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  End Site
  {
    OFFSET 0 1 0
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 1 0 0 0 0
0 1 0 0 0 0
"""


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param(BVH[:80], id="truncated in the hierarchy"),
        pytest.param(BVH[:-15], id="truncated in the motion"),
        pytest.param(BVH.replace("0 1 0 0 0 0", "0 nan 0 0 0 0", 1), id="NaN"),
        pytest.param(BVH.replace("0 1 0 0 0 0", "0 one 0 0 0 0", 1), id="words"),
        pytest.param(BVH.replace("Frames: 2", "Frames: 999999999"), id="more frames than there are"),
        pytest.param(BVH.replace("0.0333333", "0"), id="no frame time"),
        pytest.param(BVH.replace("CHANNELS 6", "CHANNELS 999999"), id="too many channels"),
        pytest.param("<html>not found</html>", id="foreign"),
        pytest.param("\x00\xff" * 500, id="binary"),
        pytest.param(BVH, id="one bone is no person"),
    ],
)
def test_bvh_files(fails, content):
    pytest.importorskip("kmm_core.motion.retarget")
    (fails.folder / "in.bvh").write_text(content, encoding="utf-8")
    assert "in.bvh" in fails(*KEEP, "in.bvh")


def test_npz_files(fails):
    whole = fails.folder / "whole.npz"
    write_npz(whole, standing(60))
    content = whole.read_bytes()
    (fails.folder / "in.npz").touch()
    for broken in (
        b"",
        content[:100],
        content[: len(content) // 2],
        b"\x00" * 5000,
        b"PK\x05\x06" + b"\0" * 18,
    ):
        (fails.folder / "in.npz").write_bytes(broken)
        assert "in.npz" in fails(*KEEP, "in.npz")
    np.savez(fails.folder / "in.npz", poses=np.zeros(3))
    assert "lacks fps" in fails(*KEEP, "in.npz")
    np.savez(
        fails.folder / "in.npz", root_positions=np.zeros((9, 3)), local_rotations=np.zeros((9, 22, 4)), fps=30
    )
    assert "in.npz" in fails(*KEEP, "in.npz")


def test_nan_in_motion(fails):
    local = np.tile([1.0, 0, 0, 0], (60, 22, 1))
    root = np.zeros((60, 3))
    root[7, 1] = np.nan
    np.savez(fails.folder / "in.npz", root_positions=root, local_rotations=local, fps=30.0)
    assert "not finite" in fails(*KEEP, "in.npz")


def test_frames_to_keep_that_are_not_there(fails):
    write_npz(fails.folder / "in.npz", standing(5))
    assert "in.npz has 5 frames" in fails(*KEEP, "in.npz")
    assert "missing.bvh" in fails(*KEEP, "missing.bvh")
    assert "neither .npz nor .bvh" in fails(*KEEP, "in.fbx")
    assert "no such file" in fails(*KEEP, "missing.npz")


# --- bundles -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_bundle(tmp_path_factory):
    pytest.importorskip("torch")
    return save_tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def bundle(whole_bundle, fails):
    """A whole bundle called ``model`` in the working folder, to be broken."""
    return shutil.copytree(whole_bundle, fails.folder / "model")


def edit_config(bundle, **changes):
    config = json.loads((bundle / "config.json").read_text())
    config.update(changes)
    (bundle / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def a_pickle(path):
    """A file that creates the folder ``owned`` when it is unpickled."""

    class Bomb:
        def __reduce__(self):
            return os.mkdir, ("owned",)

    path.write_bytes(pickle.dumps(Bomb()))


BREAK_BUNDLE = {
    "no such bundle": (lambda b: shutil.rmtree(b), "neither a folder"),
    "no config": (lambda b: (b / "config.json").unlink(), "neither a folder"),
    "no weights": (lambda b: (b / "model.safetensors").unlink(), "model.safetensors is missing"),
    "no tokenizer": (lambda b: (b / "tokenizer.safetensors").unlink(), "tokenizer.safetensors is missing"),
    "empty config": (lambda b: (b / "config.json").write_text(""), "config.json"),
    "broken config": (lambda b: (b / "config.json").write_text('{"format": 1,'), "config.json"),
    "binary config": (lambda b: (b / "config.json").write_bytes(b"\xff\xfe\x00"), "config.json"),
    "foreign config": (lambda b: (b / "config.json").write_text('{"model_type": "bert"}'), "not a KMM model"),
    "config of a later format": (lambda b: edit_config(b, format=99), "99"),
    "config is a list": (lambda b: (b / "config.json").write_text("[1]"), "not a KMM model"),
    "config lacks a setting": (lambda b: edit_config(b, generator=None), "config.json"),
    "config with words for numbers": (lambda b: edit_config(b, text={"width": "wide"}), "config.json"),
    "config with sizes below zero": (lambda b: edit_config(b, text={"width": -4}), "config.json"),
    "config with enormous sizes": (lambda b: edit_config(b, text={"width": 10**12}), "config.json"),
    "config with other sizes": (
        lambda b: edit_config(b, text={"width": 32, "layers": 1, "heads": 2}),
        "differ",
    ),
    "unknown representation": (lambda b: edit_config(b, representation="999"), "999"),
    "empty weights": (lambda b: (b / "model.safetensors").write_bytes(b""), "model.safetensors"),
    "truncated weights": (
        lambda b: (b / "model.safetensors").write_bytes((b / "model.safetensors").read_bytes()[:5000]),
        "model.safetensors",
    ),
    "a pickle for weights": (lambda b: a_pickle(b / "model.safetensors"), "model.safetensors"),
    "weights of another part": (
        lambda b: shutil.copy(b / "tokenizer.safetensors", b / "model.safetensors"),
        "model.safetensors",
    ),
    "weights that claim to be huge": (
        lambda b: (b / "model.safetensors").write_bytes(b"\xff" * 7 + b"\x7f" + b"{}"),
        "model.safetensors",
    ),
}


@pytest.mark.parametrize("fault", BREAK_BUNDLE)
def test_bundles_with_missing_corrupt_and_foreign_files(fails, bundle, fault):
    break_it, part = BREAK_BUNDLE[fault]
    break_it(bundle)
    assert part in fails("walks", "--bundle", "model", "-o", "shot.bvh", load=None)


def test_weights_that_are_not_finite(fails, bundle):
    from safetensors.torch import load_file, save_file

    tensors = load_file(bundle / "model.safetensors")
    next(iter(tensors.values())).fill_(float("nan"))
    save_file(tensors, bundle / "model.safetensors")
    assert "not finite" in fails("walks", "--bundle", "model", "-o", "shot.bvh", load=None)


@pytest.mark.parametrize("name", ["kmm_core.bundle.load_file", "kmm_core.text.minilm.load_file"])
def test_too_little_memory_for_the_model_is_no_broken_file(fails, bundle, monkeypatch, name):
    def full(_):
        raise OSError(errno.ENOMEM, "Cannot allocate memory (os error 12)")

    monkeypatch.setattr(name, full)
    assert "not enough memory" in fails("walks", "--bundle", "model", "-o", "shot.bvh", load=None)


def test_a_card_too_full_for_the_model_is_no_broken_file(fails):
    def load(bundle, device):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 MiB")

    assert "not enough memory" in fails("walks", "-o", "shot.bvh", load=load)


def test_unknown_bundle_and_device(fails):
    torch = pytest.importorskip("torch")
    assert "'startr'" in fails("walks", "--bundle", "startr", "-o", "shot.bvh", load=None)
    assert "neither a folder" in fails("walks", "--bundle", "s" * 300, "-o", "shot.bvh", load=None)
    if not torch.cuda.is_available():
        assert "cuda" in fails("walks", "--device", "cuda", "-o", "shot.bvh", load=None)


# --- places to write --------------------------------------------------------------------------------------

SUFFIXES = (".bvh", ".npz", ".amass.npz", ".gif", ".png")


def needs_amass(suffix):
    if suffix == ".amass.npz":
        pytest.importorskip("kmm_core.formats.amass")


def test_file_as_folder_and_folder_as_file(fails):
    (fails.folder / "file").write_text("x")
    (fails.folder / "shot.bvh").mkdir()
    assert "file is not an existing folder" in fails("walks", "-o", "file/shot.bvh")
    assert "is not an existing folder" in fails("walks", "-o", "file/deeper/shot.bvh")
    assert "it is a folder" in fails("walks", "-o", "shot.bvh")
    assert "File name too long" in fails("walks", "-o", "x" * 300 + ".bvh")
    assert "not an existing folder" in fails("walks", "-o", "good.npz", "-o", "file/shot.gif")


def test_no_write_permission(fails, monkeypatch):
    # Tests may run as root, whom no permission stops: so the system's answer is played.
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("kmm_core.atomic_write.os.open", refuse)
    assert "no permission to write" in fails("walks", "-o", "shot.bvh")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(fails):
    (fails.folder / "locked").mkdir(mode=0o500)
    assert "no permission to write" in fails("walks", "-o", "locked/shot.bvh")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_disk_full(fails, monkeypatch, suffix):
    needs_amass(suffix)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("kmm_core.atomic_write.os.fsync", full)
    message = fails("walks", "--frames", "4", "-o", f"shot{suffix}", before_loading=False)
    assert "disk is full" in message and f"shot{suffix}" in message
    # The seed was drawn: with it, the work is not lost.
    assert re.search(r"--seed \d+ makes the same motion again", message)


def test_a_disk_that_fills_up_after_the_first_file(tmp_path, monkeypatch, capsys):
    """What was written before stays, and the sentence claims nothing else."""
    synced, fsync = [], os.fsync

    def full(file):
        if synced:
            raise OSError(errno.ENOSPC, "No space left on device")
        synced.append(fsync(file))

    monkeypatch.setattr("kmm_core.atomic_write.os.fsync", full)
    out = str(tmp_path / "shot.bvh")
    assert main(["walks", "--frames", "4", "--samples", "2", "-o", out], load=StandInPipeline.load) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["shot_1.bvh"]
    assert "shot_2.bvh: the disk is full; no unfinished file was left." in capsys.readouterr().err


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_keeps_the_old_file(fails, monkeypatch, suffix):
    needs_amass(suffix)
    (fails.folder / f"shot{suffix}").write_text("the old one")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("kmm_core.atomic_write.os.replace", full)
    fails("walks", "--frames", "4", "-o", f"shot{suffix}", before_loading=False)
    assert (fails.folder / f"shot{suffix}").read_text() == "the old one"


def test_a_report_that_nobody_reads(tmp_path, monkeypatch, capsys):
    """``kmm-generate ... | head`` that has read enough: the files are there, and the sentence says so."""

    class Closed:
        def write(self, _):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", Closed())
    out = str(tmp_path / "shot.bvh")
    assert main(["walks", "--frames", "4", "-o", out], load=StandInPipeline.load) == 1
    assert capsys.readouterr().err == (
        "kmm-generate: All files were written, but the report could not be printed (Broken pipe).\n"
    )
    assert (tmp_path / "shot.bvh").exists()


def test_mp4_without_ffmpeg(fails, monkeypatch):
    monkeypatch.setenv("PATH", str(fails.folder))
    assert "Install it" in fails("walks", "-o", "shot.mp4")


def test_gif_of_many_minutes(fails):
    assert "at most 180 s" in fails("walks", "--seconds", "600", "-o", "shot.gif")


# --- the real command -------------------------------------------------------------------------------------


def test_the_real_process_prints_one_line_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "kmm_core.generate_cli", "walks", "--seconds", "0", "-o", "shot.bvh"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("kmm-generate: A length of 0 seconds") and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
