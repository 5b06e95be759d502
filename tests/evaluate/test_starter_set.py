"""Prepared folders made here as an evaluation set: what is held out, who may see what, and what bad folders say."""

from __future__ import annotations

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.evaluate.evaluation_set import RealTimeline
from kmm_core.evaluate.starter_set import starter_set
from kmm_core.train.prepared import PreparedClip, clip_path, save_clip, write_manifest

from . import bodies


def write_source(folder, *rows: PreparedClip) -> None:
    (folder / "clips").mkdir(parents=True)
    for row in rows:
        if row.frames:
            save_clip(clip_path(folder, row.id), bodies.raise_arm("left", frames=row.frames))
    write_manifest(folder, rows)


def make_row(source: str, name: str, split: str, frames: int = 30, **more) -> PreparedClip:
    fields = {
        "licence": "CC-BY-4.0",
        "noncommercial": source == "bought",
        "recording": name,
        "start": 0.0,
        "captions": ("raises the left arm", "lifts the left hand"),
        "mirrored_captions": ("raises the right arm", "lifts the right hand"),
        "labels": {"action": "raise_arm", "side": "left", "turn": "none"},
    }
    return PreparedClip(id=name, source=source, split=split, frames=frames, **{**fields, **more})


@pytest.fixture
def prepared(tmp_path):
    write_source(
        tmp_path / "free",
        *(make_row("free", f"{split}1", split) for split in ("train", "val", "test")),
        make_row("free", "tiny", "val", frames=3),
        make_row("free", "mute", "test", captions=(), mirrored_captions=()),
    )
    write_source(
        tmp_path / "bought", *(make_row("bought", f"{split}2", split) for split in ("train", "test"))
    )
    return tmp_path


def names(clips):
    return {clip.name for clip in clips}


def test_held_out_clips_of_all_sources(prepared):
    found = starter_set(prepared)
    assert names(found.clips) == {"free/val1", "free/test1", "bought/test2"}
    assert names(found.train) == {"free/train1", "bought/train2"}
    assert found.left_out == {"too short or without a caption": 2}
    assert (found.kind, found.representation, found.fps, found.timelines) == ("starter", "272", 30.0, None)
    clip = found.clips[0]
    assert clip.captions == clip.tagged == ("raises the left arm", "lifts the left hand")
    assert clip.meaning == "raise_arm/left/none"
    assert clip.labels["side"] == "left"


def test_a_bundle_that_may_not_see_a_source_is_not_measured_on_it(prepared):
    found = starter_set(prepared, noncommercial=False)
    assert names(found.clips) == {"free/val1", "free/test1"}
    assert names(found.train) == {"free/train1"}
    assert found.left_out["non-commercial"] == 1


def test_sources_by_name_or_by_folder(prepared):
    assert names(starter_set(prepared, sources=("bought",)).clips) == {"bought/test2"}
    assert names(starter_set(prepared / "bought").clips) == {"bought/test2"}


@pytest.mark.parametrize("representation", ["272", "263"])
def test_generated_motion_comes_into_the_same_features(prepared, representation):
    found = starter_set(prepared, representation=representation)
    clip = bodies.raise_arm("left", frames=30)
    features = found.encode(clip)
    assert features.dtype == np.float32
    assert features == pytest.approx(found.clips[0].features, abs=1e-3)
    expected = clip.resample(found.fps).joint_positions()[: len(features)]
    assert found.positions(features) == pytest.approx(expected - expected[0, 0] * [1, 0, 1], abs=0.05)


def fails(code, message, *args, **kwargs):
    with pytest.raises(KmmError, match=message) as caught:
        starter_set(*args, **kwargs)
    assert caught.value.code == code
    assert caught.value.hint


def test_bad_folders(prepared, tmp_path):
    fails("no_manifest", "holds no prepared source", tmp_path / "nowhere")
    fails("no_source", "holds no prepared source stolen", prepared, sources=("free", "stolen"))
    fails(
        "no_clips",
        "2 non-commercial were left out|1 non-commercial",
        prepared / "bought",
        noncommercial=False,
    )
    fails("unknown_representation", "'135' is not known", prepared, representation="135")
    clip_path(prepared / "free", "val1").write_bytes(b"no archive")
    fails("bad_prepared_clip", "val1.npz is missing or broken", prepared)


def test_boundaries_are_where_segments_begin():
    timeline = RealTimeline("x", lambda first, last: None, ("a", "b", "c"), (30, 20, 40))
    assert timeline.boundaries == (30, 50)
