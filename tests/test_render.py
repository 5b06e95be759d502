"""Pictures of motion: they exist, show every frame they should, and left is blue."""

from __future__ import annotations

import errno
import subprocess

import numpy as np
import pytest
from PIL import Image

from kmm_core import render
from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_INDEX, REST_PELVIS_HEIGHT
from kmm_core.timeline import Prompt


def standing(frames=60, fps=30.0, walk=0.0):
    """Arms down; walks ``walk`` m/s along +Z."""
    local = np.tile(rotations.IDENTITY, (frames, 22, 1))
    for side, sign in (("left", -1), ("right", 1)):
        local[:, JOINT_INDEX[f"{side}_shoulder"]] = rotations.from_axis_angle([0.0, 0, 1], sign * 1.3)
    root = np.zeros((frames, 3))
    root[:, 1] = REST_PELVIS_HEIGHT
    root[:, 2] = walk * np.arange(frames) / fps
    return MotionClip(root, local, fps)


def coloured(picture, side):
    """Columns and rows of the pixels in the colour of ``side``."""
    red, _, blue = np.asarray(picture.convert("RGB"), dtype=int).transpose(2, 0, 1)
    mask = blue - red > 60 if side == "left" else red - blue > 60
    return np.nonzero(mask)[::-1]


def drawn(clip, frame=0):
    return render.Scene(clip, (360, 360)).image(frame)


def test_left_is_blue_and_on_the_viewers_right():
    picture = drawn(standing())
    left_x, left_y = coloured(picture, "left")
    right_x, _ = coloured(picture, "right")
    assert np.median(left_x) > np.median(right_x) + 20
    assert len(left_x) > 500
    # A raised left arm brings blue above where it was.
    clip = standing()
    clip.local_rotations[:, JOINT_INDEX["left_shoulder"]] = rotations.from_axis_angle([0.0, 0, 1], 1.3)
    assert coloured(drawn(clip), "left")[1].min() < left_y.min() - 40


@pytest.mark.parametrize("walk", [0.0, 1.5, -1.5])
def test_the_person_stays_in_the_picture(walk):
    clip = standing(300, walk=walk)
    for frame in (0, 150, 299):
        for side in ("left", "right"):
            x, y = coloured(drawn(clip, frame), side)
            if len(x):
                assert x.min() > 2 and x.max() < 357 and y.min() > 2 and y.max() < 357


def test_contact_sheet_has_a_row_a_clip_and_columns(tmp_path):
    path = tmp_path / "sheet.png"
    render.contact_sheet([standing(), standing(90)], path, titles=["walks", "x" * 1000], columns=5)
    two = Image.open(path).size
    render.contact_sheet([standing(1)], path, titles=["stands"], columns=5)
    one = Image.open(path).size
    assert one[0] == two[0] == 5 * 168 + 16
    assert two[1] > one[1] + 190
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.png"]


def test_the_caption_of_a_short_last_prompt_is_shown(tmp_path):
    def sheet(last):
        path = tmp_path / "sheet.png"
        prompts = [Prompt("stands", 0, 330), Prompt(last, 330, 360)]
        render.contact_sheet([standing(360)], path, titles=[prompts])
        return np.asarray(Image.open(path).convert("L"), dtype=int)

    rows, columns = np.nonzero(sheet("waves") - sheet("bows"))
    assert len(rows) and rows.max() < 50 and columns.min() > 1160


def test_gif_plays_the_clip_at_its_speed(tmp_path):
    path = tmp_path / "a.gif"
    prompts = [Prompt("stands", 0, 30), Prompt("waits", 30, 60)]
    render.write_gif(standing(60), path, prompts)
    with Image.open(path) as gif:
        assert gif.size == (360, 360)
        seconds = 0.0
        for index in range(gif.n_frames):
            gif.seek(index)
            seconds += gif.info["duration"] / 1000
    # Pictures alike may be merged, but the time must stay.
    assert abs(seconds - 2.0) < 0.06
    assert gif.info["loop"] == 0


def test_a_gif_that_would_fill_the_memory_is_refused(tmp_path):
    with pytest.raises(KmmError, match="at most 180 s") as caught:
        render.write_gif(standing(181, fps=1), tmp_path / "a.gif", "stands")
    assert caught.value.code == "gif_too_long"


def test_mp4_without_ffmpeg_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KmmError, match="needs ffmpeg") as caught:
        render.write_mp4(standing(), tmp_path / "a.mp4", "stands")
    assert caught.value.code == "no_ffmpeg"
    assert "apt install ffmpeg" in caught.value.hint
    assert not list(tmp_path.iterdir())


def fake_ffmpeg(folder, monkeypatch, body):
    program = folder / "ffmpeg"
    program.write_text("#!/bin/sh\n" + body)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_mp4_gets_every_frame(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    # Stands in for ffmpeg: keeps what it is sent in the last argument, the output.
    fake_ffmpeg(tmp_path / "bin", monkeypatch, 'for last; do :; done\ncat > "$last"\n')
    render.write_mp4(standing(7), tmp_path / "a.mp4", "stands")
    assert (tmp_path / "a.mp4").stat().st_size == 7 * 640 * 640 * 3


def test_a_full_disk_is_told_in_the_words_of_every_other_writer(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    complaint = "[out#0/mp4 @ 0x55] Error closing file: No space left on device"
    fake_ffmpeg(tmp_path / "bin", monkeypatch, f"echo '{complaint}' >&2\nexit 1\n")
    with pytest.raises(KmmError, match="the disk is full") as caught:
        render.write_mp4(standing(30), tmp_path / "a.mp4", "stands")
    assert caught.value.code == "disk_full"
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_a_failing_ffmpeg_is_quoted_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    fake_ffmpeg(tmp_path / "bin", monkeypatch, "echo Unknown encoder libx264 >&2\nexit 1\n")
    with pytest.raises(KmmError, match="Unknown encoder libx264") as caught:
        render.write_mp4(standing(30), tmp_path / "a.mp4", "stands")
    assert caught.value.code == "ffmpeg_failed"
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


class PipeOfWindows:
    """The input of a process that ended: Windows says EINVAL, where others say EPIPE."""

    def __init__(self, pipe):
        self.pipe = pipe

    def write(self, _):
        raise OSError(errno.EINVAL, "Invalid argument")

    def __getattr__(self, name):
        return getattr(self.pipe, name)


def test_a_failing_ffmpeg_is_quoted_on_windows_too(tmp_path, monkeypatch):
    class Process(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.stdin = PipeOfWindows(self.stdin)

    (tmp_path / "bin").mkdir()
    fake_ffmpeg(tmp_path / "bin", monkeypatch, "echo Unknown encoder libx264 >&2\nexit 1\n")
    monkeypatch.setattr(render.subprocess, "Popen", Process)
    with pytest.raises(KmmError, match="Unknown encoder libx264"):
        render.write_mp4(standing(30), tmp_path / "a.mp4", "stands")


def test_a_film_that_is_cancelled_waits_for_the_end_of_ffmpeg(tmp_path, monkeypatch):
    """It has the unfinished file open, which Windows then does not remove."""
    started = []

    class Process(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    def interrupted(*_):
        raise KeyboardInterrupt

    (tmp_path / "bin").mkdir()
    fake_ffmpeg(tmp_path / "bin", monkeypatch, "cat > /dev/null\n")
    monkeypatch.setattr(render.subprocess, "Popen", Process)
    monkeypatch.setattr(render, "_pictures", interrupted)
    with pytest.raises(KeyboardInterrupt):
        render.write_mp4(standing(30), tmp_path / "a.mp4", "stands")
    assert started[0].returncode is not None and [path.name for path in tmp_path.iterdir()] == ["bin"]
