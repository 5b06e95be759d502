"""The cache of features: kept, made anew with the clips, and shared by processes that start at the same time."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.train import motion_data
from kmm_core.train.motion_data import DataSettings, MotionData
from kmm_core.train.prepared import (
    PreparedClip,
    clip_path,
    load_clip,
    read_manifest,
    save_clip,
    write_manifest,
)


@pytest.fixture
def settings(tmp_path):
    row = PreparedClip(
        id="a",
        source="made",
        licence="CC0-1.0",
        noncommercial=False,
        split="train",
        recording="a",
        start=0.0,
        frames=40,
        captions=("stands",),
        mirrored_captions=("stands",),
        labels={"action": "stand"},
        weight=0.25,
    )
    (tmp_path / "made" / "clips").mkdir(parents=True)
    write_manifest(tmp_path / "made", [row])
    turns = np.tile([1.0, 0.0, 0.0, 0.0], (40, 22, 1))
    save_clip(clip_path(tmp_path / "made", "a"), MotionClip(np.tile([0.0, 0.9, 0.0], (40, 1)), turns, 30.0))
    return DataSettings(prepared=str(tmp_path))


def features(settings) -> np.ndarray:
    return MotionData(settings).clips[0].features


def test_features_are_computed_once(settings, monkeypatch):
    first = features(settings)
    monkeypatch.setattr(motion_data, "clip_features", None)
    assert np.array_equal(features(settings), first)


def test_other_clips_get_other_features(settings, tmp_path):
    features(settings)
    cache = next((tmp_path / "made").glob("features_*"))
    # The manifest tells: a recipe that changes a clip writes it anew.
    (tmp_path / "made" / "manifest.jsonl").write_text(
        (tmp_path / "made" / "manifest.jsonl").read_text().replace('"weight": 0.25', '"weight": 0.5')
    )
    features(settings)
    assert [path for path in (tmp_path / "made").glob("features_*") if path != cache] and not cache.exists()


def test_other_motion_of_the_same_manifest_gets_other_features(settings, tmp_path):
    """A recipe that is corrected makes other motion of the same name and length."""
    before, key = features(settings).copy(), motion_data.data_key(settings)
    turns = np.tile([0.0, 1.0, 0.0, 0.0], (40, 22, 1))
    save_clip(clip_path(tmp_path / "made", "a"), MotionClip(np.tile([0.0, 0.9, 0.0], (40, 1)), turns, 30.0))
    (tmp_path / "made" / "journal.jsonl").write_text('{"take": "a", "fingerprint": "of the next version"}')
    assert motion_data.data_key(settings) != key
    assert not np.allclose(features(settings), before)
    assert len(list((tmp_path / "made").glob("features_*"))) == 1


def test_a_copy_elsewhere_needs_no_clips(settings, tmp_path):
    """Whoever trains on another machine carries manifest, journal and features."""
    first, key = features(settings), motion_data.data_key(settings)
    shutil.copytree(tmp_path / "made", tmp_path / "there" / "made", ignore=shutil.ignore_patterns("clips"))
    settings = replace(settings, prepared=str(tmp_path / "there"))
    assert motion_data.data_key(settings) == key and np.array_equal(features(settings), first)


def test_carried_features_of_another_manifest_are_told_as_that(settings, tmp_path):
    """Not as a clip that is broken, to be deleted."""
    features(settings)
    cache = next((tmp_path / "made").glob("features_*"))
    shutil.rmtree(tmp_path / "made" / "clips")
    manifest = tmp_path / "made" / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes().replace(b"\n", b"\r\n"))  # as some programs copy text
    with pytest.raises(KmmError, match=f"holds {cache.name} and no clips") as caught:
        features(settings)
    assert caught.value.code == "no_clips" and "unchanged" in caught.value.hint
    with pytest.raises(KmmError, match="clips is missing; features alone are enough to train with"):
        load_clip(tmp_path / "made", read_manifest(tmp_path / "made")[0])


def test_another_source_among_all_changes_the_key(settings, tmp_path):
    key = motion_data.data_key(settings)
    (tmp_path / "more").mkdir()
    write_manifest(tmp_path / "more", [])
    assert motion_data.data_key(settings) != key


def test_two_processes_may_start_at_once(settings, tmp_path, monkeypatch):
    """The other one does all of its work while this one has written, but not yet named, its file."""
    save, others = np.savez, []

    def save_slowly(file, **arrays):
        save(file, **arrays)
        if not others:
            others.append(None)
            others.append(features(settings))
            next((tmp_path / "made").glob("features_*")).unlink()

    monkeypatch.setattr(np, "savez", save_slowly)
    assert np.array_equal(features(settings), others[1])
    assert len(list((tmp_path / "made").glob("features_*"))) == 1


def test_a_full_disk_is_named(settings, monkeypatch):
    def full(*arguments, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(KmmError) as caught:
        features(settings)
    assert caught.value.code == "disk_full"


def test_sources_that_are_not_there_are_named_beside_those_that_are(settings):
    with pytest.raises(KmmError) as caught:
        MotionData(replace(settings, sources=("cmu", "made")))
    assert "does not hold the sources cmu; it holds made." in str(caught.value)
    assert "--set 'data.sources=[\"made\"]'" in str(caught.value)
