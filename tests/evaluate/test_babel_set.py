"""BABEL and AMASS in TEACH's folders, made here: which segments are measured, at which frames, and what bad folders say."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.evaluate import babel_set as module
from kmm_core.evaluate.babel_set import at_30_fps, babel_set, spacy_tagger
from kmm_core.evaluate.sequences import real_windows
from kmm_core.formats.amass import read_smpl_motion
from kmm_core.formats.babel import read_babel
from kmm_core.motion import representation_135, rotations
from kmm_core.motion.smpl_motion import SmplMotion

from . import bodies

FEAT = "KIT/KIT/3/kick_poses.npz"


def write_motion(path: Path, frames: int = 960, fps: float = 120.0, move: float = 0.01) -> None:
    """Somebody who stands upright and moves along x by ``move`` metres a frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    poses = np.zeros((frames, 156))
    poses[:, 0] = np.pi / 2
    poses[:, 60] = np.linspace(0, 1, frames)  # so that every frame differs
    trans = np.stack([np.arange(frames) * move, np.zeros(frames), np.full(frames, 0.9)], axis=-1)
    np.savez(path, poses=poses, trans=trans, mocap_framerate=fps, betas=np.zeros(16), gender="male")


def label(text: str, start: float | None = None, end: float | None = None, **more) -> dict:
    times = {} if start is None else {"start_t": start, "end_t": end}
    return {"raw_label": text, "proc_label": text, "seg_id": "x", "act_cat": [text], **times, **more}


def row(number: int, labels: list[dict] | None, whole: list[dict] | None = None, feat: str = FEAT) -> dict:
    return {
        "babel_sid": number,
        "url": "",
        "feat_p": feat,
        "dur": 8.0,
        "seq_ann": {"labels": whole} if whole else None,
        "frame_ann": {"labels": labels} if labels else None,
    }


def write_labels(folder: Path, *rows: dict, split: str = "val") -> None:
    (folder / "babel-teach").mkdir(parents=True, exist_ok=True)
    table = {str(row["babel_sid"]): row for row in rows}
    (folder / "babel-teach" / f"{split}.json").write_text(json.dumps(table))


@pytest.fixture
def folder(tmp_path):
    """8 s at 120 fps, so 240 frames at 30."""
    write_motion(tmp_path / "amass" / FEAT)
    return tmp_path


def test_segments_are_cut_as_published(folder):
    labels = [
        label("walk", 0.0, 2.05),
        label("transition", 2.0, 2.5),
        label("kick with left leg", 2.5, 3.49),
        label("T pose", 3.4, 4.5),
        label("stand", 0.0, 8.0),
        label("turn  Right ", 1.3333, 99.0),
    ]
    write_labels(folder, row(7, labels))
    found = babel_set(folder)
    assert (found.kind, found.representation, found.fps) == ("babel", "135", 30.0)
    # Frames are rounded down, and what goes past the end is cut: 61, 33 and 201 frames; 29 and 240 are left out.
    assert {clip.captions[0]: len(clip.features) for clip in found.clips} == {"walk": 61, "t-pose": 33}
    assert found.left_out == {"transitions": 1, "too short or too long": 3}
    assert all(clip.tagged == clip.captions and clip.meaning == clip.captions[0] for clip in found.clips)
    assert len({clip.name for clip in found.clips}) == 2


def test_features_are_those_of_the_files_frames(folder):
    write_labels(folder, row(7, [label("walk", 1.0, 3.0)]))
    [clip] = babel_set(folder).clips
    with np.load(folder / "amass" / FEAT) as arrays:
        picked = np.floor(np.linspace(0, 959, 240)).astype(int)[30:90]
        elbow = arrays["poses"][picked, 60:63]
        x = arrays["trans"][picked, 0]
    # Joint 20 turns about x only: rows (1, 0, 0) and (0, cos, -sin).
    angle = elbow[:, 0]
    zero, one = np.zeros(60), np.ones(60)
    expected = np.stack([one, zero, zero, zero, np.cos(angle), -np.sin(angle)], axis=-1)
    assert clip.features[:, 3 + 120 : 3 + 126] == pytest.approx(expected, abs=1e-6)
    assert clip.features[:, 0] == pytest.approx(0.9)
    # The root's rotation vector is (pi / 2, 0, 0), so that a quarter turn is taken away: x becomes -y.
    assert clip.features[1:, 2] == pytest.approx(-np.diff(x), abs=1e-6)
    assert clip.features[:, 1] == pytest.approx(0, abs=1e-6)
    assert clip.features[0, 2] == 0


def test_timelines_share_overlaps_and_gaps(folder):
    labels = [
        label("walk", 0.0, 2.0),
        label("wave", 0.5, 1.9),  # while walking
        label("transition", 1.9, 2.6),
        label("turn", 2.4, 4.0),
        label("sit", 3.6, 5.2),
        label("lie", 7.6, 8.6),  # more than 2 s later
    ]
    write_labels(folder, row(7, labels))
    [timeline] = babel_set(folder).timelines
    assert timeline.captions == ("walk", "turn", "sit")
    assert timeline.frames == (66, 48, 42)
    assert timeline.boundaries == (66, 114)
    assert len(timeline.part(0, 156)) == 156
    # A transition bridges a gap of any length.
    write_labels(folder, row(7, [label("walk", 0, 2), label("transition", 2, 5), label("sit", 5, 7)]))
    [timeline] = babel_set(folder).timelines
    assert timeline.frames == (105, 105)


def test_a_window_of_a_timeline_has_the_features_of_a_clip_of_its_own(folder):
    """The root is turned by the window's first frame, not by the recording's: so are the windows that are made."""
    path = folder / "amass" / FEAT
    with np.load(path) as arrays:
        arrays = dict(arrays)
    arrays["poses"][:, 2] = np.linspace(0, 3, len(arrays["poses"]))  # somebody who turns
    np.savez(path, **arrays)
    # The same second, once as a label, once around the boundary of two.
    write_labels(
        folder, row(7, [label("walk", 0, 2), label("turn", 2, 4)]), row(8, [label("both", 1.5, 2.5)])
    )
    found = babel_set(folder)
    [window] = real_windows(replace(found, timelines=found.timelines * 2), np.random.default_rng(0))[:1]
    [clip] = [clip for clip in found.clips if clip.captions == ("both",)]
    np.testing.assert_array_equal(window, clip.features)


def test_labels_of_whole_recordings_count_where_asked_for(folder):
    write_motion(folder / "amass" / "short.npz", frames=400)
    write_labels(
        folder,
        row(1, [label("walk", 0, 2)]),
        row(2, None, [label("jump"), label("land")], "short.npz"),
    )
    found = babel_set(folder)
    assert [clip.captions for clip in found.clips] == [("walk",)]
    assert found.left_out == {"recordings without times": 1}
    found = babel_set(folder, sequence_labels=True)
    assert [clip.captions for clip in found.clips] == [("walk",), ("jump, land",)]
    assert len(found.clips[1].features) == 100


@pytest.mark.parametrize("place", ["amass/KIT/3/kick_poses.npz", FEAT, "KIT/3/kick_poses.npz"])
def test_amass_is_found_with_and_without_the_archives_folder(tmp_path, place):
    write_motion(tmp_path / place)
    write_labels(tmp_path, row(7, [label("walk", 0, 2)]))
    (tmp_path / "babel-teach" / "val.json").rename(tmp_path / "val.json")
    assert len(babel_set(tmp_path).clips) == 1


def test_amass_may_lie_in_a_folder_of_its_own(folder):
    labels = folder / "labels"
    write_labels(labels, row(7, [label("walk", 0, 2)]))
    assert [recording.motion for recording in read_babel(labels, "val")] == [None]
    assert [recording.motion for recording in read_babel(labels, "val", folder)] == [folder / "amass" / FEAT]


def test_the_training_split_is_read_when_asked_for(folder):
    write_labels(folder, row(7, [label("walk", 0, 2)]))
    found = babel_set(folder)
    write_labels(folder, row(8, [label("run", 0, 2)]), split="train")
    assert [clip.captions for clip in found.train] == [("run",)]
    assert [clip.captions for clip in babel_set(folder, "train").clips] == [("run",)]


def test_wrong_frame_rates_are_corrected():
    def motion(frames, fps):
        return SmplMotion(np.tile(rotations.IDENTITY, (frames, 22, 1)), np.zeros((frames, 3)), fps)

    assert len(at_30_fps(motion(480, 120.0), "amass/KIT/a.npz")) == 120
    assert len(at_30_fps(motion(480, 120.0), "amass/BMLhandball/a.npz")) == 60
    assert len(at_30_fps(motion(590, 60.0), "x/50033/20161014_50033_a.npz")) == 300
    assert at_30_fps(motion(480, 24.0), "amass/KIT/a.npz") is None


def test_generated_motion_comes_into_the_same_features(folder):
    write_labels(folder, row(7, [label("walk", 0, 2)]))
    found = babel_set(folder)
    clip = bodies.raise_arm("left", frames=60)
    features = found.encode(clip.resample(60.0))
    assert features.shape == (60, 135)
    assert features[:-1] == pytest.approx(found.encode(clip)[:-1], abs=0.02)
    # What rises is the left hand, whose joint is number 20, and it rises over the head.
    positions = found.positions(features)
    assert positions[30, 20, 1] > positions[30, 15, 1] > positions[30, 21, 1]
    assert positions[0, [10, 11], 1] == pytest.approx(0.02, abs=0.03)


def test_tagged_words_by_spacy(folder, monkeypatch):
    """spaCy is not installed here: a stand-in shows that its words are used as TEACH's evaluation uses them."""

    def token(text, lemma, part):
        return types.SimpleNamespace(text=text, lemma_=lemma, pos_=part)

    tokens = {
        "turns to left, xray!": [
            token("turns", "turn", "VERB"),
            token("to", "to", "ADP"),
            token("left", "leave", "VERB"),
            token(",", ",", "PUNCT"),
            token("xray", "xray", "NOUN"),
        ]
    }
    monkeypatch.setitem(sys.modules, "spacy", types.SimpleNamespace(load=lambda name: tokens.__getitem__))
    write_labels(folder, row(7, [label("turns to left, x-ray!", 0, 2)]))
    [clip] = babel_set(folder, tagger=spacy_tagger()).clips
    assert clip.tagged == ("turn/VERB to/ADP left/VERB xray/NOUN",)
    assert clip.captions == ("turns to left, x-ray!",)


def test_without_spacy_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(KmmError, match="needs spaCy") as caught:
        spacy_tagger()
    assert caught.value.code == "spacy_missing"
    assert "pip install spacy" in caught.value.hint


def test_recordings_that_cannot_be_used_are_counted(folder):
    (folder / "amass" / "broken.npz").write_bytes(b"no archive")
    write_motion(folder / "amass" / "slow.npz", fps=12.0)
    rows = [
        row(number, [label("walk", 0, 2)], feat=feat)
        for number, feat in enumerate((FEAT, "missing.npz", "broken.npz", "slow.npz"))
    ]
    write_labels(folder, *rows)
    found = babel_set(folder)
    assert len(found.clips) == 1
    assert sorted(found.left_out.values()) == [1, 1, 1]


def fails(folder, code, message, split="val"):
    with pytest.raises(KmmError, match=message) as caught:
        babel_set(folder, split)
    assert caught.value.code == code
    assert caught.value.hint


def test_bad_folders(tmp_path):
    fails(tmp_path / "nowhere", "bad_babel", "holds neither babel-teach/val.json nor val.json")
    fails(tmp_path, "bad_babel", "split='test' is not one of", split="test")
    write_labels(tmp_path, row(7, [label("walk", 0, 2)]))
    fails(tmp_path, "no_clips", "1 recordings without their AMASS file")
    file = tmp_path / "babel-teach" / "val.json"
    for content, message in (
        ("{", "not readable JSON"),
        ("[1, 2]", "not a table of recordings"),
        ('{"5": {"dur": 3}}', "recording 5 can't be read"),
        ('{"5": 3}', "recording 5 can't be read"),
        (json.dumps({"5": row(5, [label("walk", 0, float("nan"))])}), "recording 5 can't be read"),
        (json.dumps({"5": row(5, [label("walk", 0, None)])}), "recording 5 can't be read"),
    ):
        file.write_text(content)
        fails(tmp_path, "bad_babel", message)
    file.write_bytes(b"\xff\xfe\x00")
    fails(tmp_path, "bad_babel", "not readable JSON")


def test_the_files_own_parameters_are_read(folder):
    motion = read_smpl_motion(folder / "amass" / FEAT)
    assert (len(motion), motion.fps) == (960, 120.0)
    assert motion.translation[5] == pytest.approx([0.05, 0, 0.9])
    assert rotations.to_rotation_vector(motion.rotations[3, 0]) == pytest.approx([np.pi / 2, 0, 0])
    assert module.FPS == representation_135.FPS == 30


def test_no_training_clip_is_told(folder):
    write_labels(folder, row(7, [label("walk", 1.0, 3.0)]))
    write_labels(folder, row(8, [label("walk", 1.0, 1.5)]), split="train")
    with pytest.raises(KmmError, match="The babel data hold no usable training clip"):
        _ = babel_set(folder).train
