"""BVH files of one's own with captions as people save them, prepared by the recipe ``own``."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.formats.bvh import write_bvh
from kmm_core.train.prepared import read_manifest
from training.prepare import prepare
from training.recipes.synthetic import make_clip


@pytest.fixture
def folder(tmp_path):
    """Two clips of about 3 s."""
    folder = tmp_path / "clips"
    (folder / "raises").mkdir(parents=True)
    write_bvh(folder / "Walk.bvh", make_clip("walk", "none", "none", random.Random(0)), unit="cm")
    write_bvh(folder / "raises" / "left.bvh", make_clip("raise_arm", "left", "none", random.Random(0)))
    return folder


def prepared(folder, captions, name="captions.csv"):
    (folder / name).write_bytes(captions if isinstance(captions, bytes) else captions.encode())
    summary = prepare("own", data=folder, out=folder / "prepared", workers=1)
    return summary, {clip.recording: clip for clip in read_manifest(summary.folder)}


CSV = 'file,caption\nwalk,"walks, as Bo does"\nwalk,struts\nraises/left.bvh,raises the left arm\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.csv", CSV.encode()),
        ("captions.csv", CSV.replace("\n", "\r\n").encode("utf-8-sig") + b"\r\n,\r\n"),
        ("captions.csv", CSV.replace(",", "\t").replace("walks\t", "walks,").encode("utf-16")),
        (
            "captions.csv",
            b'File;Caption\nWALK.BVH;walks, as Bo does\nwalk;struts\n"left";raises the  left arm\n',
        ),
        (
            "captions.csv",
            b'caption,file\n"walks, as Bo does",walk\nstruts,walk\nraises the left arm,raises\\left\n',
        ),
        (
            "captions.txt",
            b"# mine\nWalk.bvh | walks, as Bo does\nWalk|struts\r\n\nleft | raises the left arm\nwalk | struts",
        ),
    ],
)
def test_captions_as_spreadsheets_and_editors_save_them(folder, name, content):
    _, clips = prepared(folder, content, name)
    assert clips["Walk"].captions == ("walks, as Bo does", "struts")
    assert clips["raises_left"].captions == ("raises the left arm",)
    assert clips["raises_left"].mirrored_captions == ("raises the right arm",)
    assert {clip.split for clip in clips.values()} == {"train"}


@pytest.mark.parametrize(
    ("captions", "told"),
    [
        ("file,caption\nwlk,walks\nrun_1,runs\n", "no .bvh file in * for wlk (captions.csv, line 2), run_1 (captions.csv, line 3)."),
        ("file,caption\nwalk,walks, then stops\n", "line 2: expected a file and what is said of it."),
        ("file,caption\nwalk,\n", "line 2: expected a file and what is said of it."),
        ("name,text\nwalk,walks\n", 'its first line is "name,text".'),
        ("", 'its first line is "".'),
        ('file,caption\nrun_1,runs\nwalk,"walks\nleft,waves\n', "line 3: not CSV (unexpected end of data)"),
        ('file,caption\nwalk,"walks\n' + "left,waves\n" * 13_000, "line 2: not CSV (field larger"),
        ("file,caption\nwalk,walks\nleft,lève le bras\n".encode("latin-1"), "line 3: not UTF-8 text."),
        ("file,caption,start_seconds,end_seconds\nwalk,walks,2,1\n", "line 2: start_seconds 2 and end_seconds 1;"),
        ("file,caption,start_seconds,end_seconds\nwalk,walks,2,\n", "line 2: start_seconds 2 and end_seconds ;"),
    ],
)  # fmt: skip
def test_captions_that_would_be_lost_are_refused(folder, captions, told):
    with pytest.raises(KmmError) as caught:
        prepared(folder, captions)
    assert caught.value.code == "bad_captions" and caught.value.hint
    assert told in caught.value.message.replace(str(folder), "*")


def test_a_name_that_two_files_have_needs_its_folder(folder):
    (folder / "left.bvh").write_bytes((folder / "raises" / "left.bvh").read_bytes())
    with pytest.raises(KmmError, match="line 2: LEFT may be left or raises/left"):
        prepared(folder, "file,caption\nLEFT,waves\n")
    _, clips = prepared(folder, "file,caption\nraises/left,raises the left arm\n")
    assert list(clips) == ["raises_left"]


def test_no_files_no_captions_no_folder(folder, tmp_path):
    for data, told in (
        (folder, "holds no captions.csv or captions.txt"),
        (tmp_path / "nowhere", "nowhere is no folder"),
        (tmp_path / "empty", "holds no .bvh file"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(KmmError, match=told):
            prepare("own", data=data, out=tmp_path / "out")


def test_clips_that_cannot_be_used_are_named_and_new_captions_are_taken(folder):
    (folder / "broken.bvh").write_text("HIERARCHY")
    summary, clips = prepared(folder, "file,caption\nwalk,walks\nbroken,breaks\n")
    assert list(clips) == ["Walk"]
    reasons = {file.rsplit("/", 1)[-1]: reason for file, reason in summary.skipped}
    assert "truncated" in reasons["broken.bvh"] and reasons["left.bvh"].startswith("left.bvh has no caption.")
    summary, clips = prepared(folder, "file,caption\nwalk,walks\nleft,raises the left arm\nbroken,breaks\n")
    assert summary.new_takes == 1 and set(clips) == {"Walk", "raises_left"}


def test_parts_of_a_file_and_long_files(folder):
    """Named seconds become a clip each; what is longer than 10 s becomes several."""
    clip = make_clip("walk", "none", "none", random.Random(0))
    write_bvh(folder / "long.bvh", replace(clip, fps=clip.num_frames / 8))
    write_bvh(folder / "slow.bvh", replace(clip, fps=clip.num_frames / 11))
    head = "file,caption,start_seconds,end_seconds\n"
    summary, _ = prepared(
        folder,
        f'{head}long,walks,0,"1,5"\nlong,strolls,0,1.5\nlong,stops,2,3.5\nslow,walks\nslow,ambles,0,5.47\nwalk,runs,1,99\n',
    )
    rows = [(row.id, row.frames, row.captions) for row in read_manifest(summary.folder)]
    assert rows == [
        ("long_00000_00045", 45, ("walks", "strolls")),
        ("long_00060_00105", 45, ("stops",)),
        ("slow_00000_00164", 164, ("walks", "ambles")),
        ("slow_00164_00327", 163, ("walks",)),
    ]
    assert any(
        '"runs" is said of 1 to 99 s of Walk.bvh, which lasts' in reason for _, reason in summary.skipped
    )


def test_the_pose_that_blender_exports_again_and_again_is_cut(folder):
    """It writes the scene's frames, 250 of them if nobody says otherwise, however short the Action is."""
    moving = make_clip("raise_arm", "left", "none", random.Random(0)).slice(0, 60)
    write_bvh(folder / "held.bvh", held(moving, 250))
    _, clips = prepared(folder, "file,caption\nheld,raises the left arm\n")
    assert clips["held"].frames == 60
    head = "file,caption,start_seconds,end_seconds\n"
    prepared(folder, f"{head}held,raises the left arm,0,2\nheld,stands,2,8\n")  # as asked for
    frames = sorted(clip.frames for clip in read_manifest(folder / "prepared" / "own"))
    assert frames == [60, 180]


def held(clip, frames):
    """``clip`` and its last pose up to so many frames."""
    chosen = np.minimum(np.arange(frames), clip.num_frames - 1)
    return replace(
        clip, root_positions=clip.root_positions[chosen], local_rotations=clip.local_rotations[chosen]
    )


def test_what_the_shipped_models_are_measured_with_may_be_said_of_own_clips(folder):
    """Other recipes leave such sentences out; here the clip would go with its only one."""
    from kmm_core.evaluate.prompt_sets import not_held_out, side_prompts

    said = next(prompt.text for prompt in side_prompts() if prompt.side == "left")
    assert not not_held_out([said])
    _, clips = prepared(folder, json.dumps(said).join(("file,caption\nleft,", "\n")))
    assert clips["raises_left"].captions == (said,)
