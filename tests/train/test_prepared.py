"""Prepared clips on disk: rows and motion come back as written, and broken files are named."""

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import rotations
from kmm_core.train.prepared import (
    PreparedClip,
    clip_path,
    load_clip,
    read_manifest,
    save_clip,
    write_manifest,
)


def make_row(clip_id="a_00000_00040", source="made") -> PreparedClip:
    return PreparedClip(
        id=clip_id,
        source=source,
        licence="CC-BY-4.0",
        noncommercial=False,
        split="train",
        recording="a",
        start=1.5,
        frames=40,
        captions=("raises the left arm", "ein Mensch hebt den Arm - é"),
        mirrored_captions=("raises the right arm", "ein Mensch hebt den Arm - é"),
        labels={"action": "raise_arm", "side": "left"},
        weight=0.25,
    )


def make_clip(frames=40) -> MotionClip:
    rng = np.random.default_rng(0)
    return MotionClip(
        rng.normal(size=(frames, 3)), rotations.normalize(rng.normal(size=(frames, 22, 4))), 30.0
    )


def write_source(folder, row):
    (folder / "clips").mkdir(parents=True)
    write_manifest(folder, [row])
    save_clip(clip_path(folder, row.id), make_clip())


def test_rows_and_motion_come_back(tmp_path):
    row = make_row()
    write_source(tmp_path / "made", row)
    assert read_manifest(tmp_path / "made") == [row]
    loaded, clip = load_clip(tmp_path / "made", row), make_clip()
    assert loaded.fps == 30
    assert np.abs(loaded.root_positions - clip.root_positions).max() < 1e-6
    assert rotations.angle_between(loaded.local_rotations, clip.local_rotations).max() < 1e-3
    assert np.allclose(np.linalg.norm(loaded.local_rotations, axis=-1), 1, atol=1e-12)
    assert row.seconds == pytest.approx(40 / 30)


def test_a_folder_of_sources_gives_all_rows(tmp_path):
    for source in ("made", "other"):
        write_source(tmp_path / source, make_row(source=source))
    rows = read_manifest(tmp_path)
    assert [row.source for row in rows] == ["made", "other"]
    assert load_clip(tmp_path, rows[1]).num_frames == 40


def test_no_manifest(tmp_path):
    with pytest.raises(KmmError) as caught:
        read_manifest(tmp_path)
    assert caught.value.code == "no_manifest"
    assert "kmm-train prepare" in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"id": 1}', "null"])
def test_a_broken_row_is_named(tmp_path, text):
    (tmp_path / "manifest.jsonl").write_text(text + "\n")
    with pytest.raises(KmmError) as caught:
        read_manifest(tmp_path)
    assert caught.value.code == "bad_manifest"
    assert "line 1" in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not really", b"nonsense"])
def test_a_broken_clip_is_named(tmp_path, content):
    row = make_row()
    write_source(tmp_path, row)
    path = clip_path(tmp_path, row.id)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(KmmError) as caught:
        load_clip(tmp_path, row)
    assert caught.value.code == "bad_prepared_clip"
    assert path.name in str(caught.value)
