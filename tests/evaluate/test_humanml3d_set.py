"""HumanML3D's official folder, made here: which clips are measured, with which captions, and what bad folders say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.evaluate.humanml3d_set import humanml3d_set
from kmm_core.motion import representation_263, rotations

from . import bodies

WHOLE = "a man walks to the left.#a/DET man/NOUN walk/VERB to/ADP the/DET left/NOUN#0.0#0.0"


def write_clip(
    folder: Path, clip_id: str, frames: int, *lines: str, split: str = "test", broken: bool = False
):
    for name in ("new_joint_vecs", "texts"):
        (folder / name).mkdir(exist_ok=True, parents=True)
    features = np.random.default_rng(frames).normal(size=(frames, 263)).astype(np.float32)
    if broken:
        features[3, 7] = np.nan
    np.save(folder / "new_joint_vecs" / f"{clip_id}.npy", features)
    (folder / "texts" / f"{clip_id}.txt").write_text("\n".join(lines or (WHOLE,)) + "\n")
    with (folder / f"{split}.txt").open("a") as file:
        file.write(f"{clip_id}\n")
    return features


def test_lengths_as_in_the_official_evaluation(tmp_path):
    kept = {"000040": 40, "000043": 40, "000199": 196, "M000080": 80}
    for clip_id in (*kept, "000039", "000200"):
        write_clip(tmp_path, clip_id, int(clip_id[-3:]))
    write_clip(tmp_path, "000050", 50, broken=True)
    found = humanml3d_set(tmp_path)
    assert {clip.name: len(clip.features) for clip in found.clips} == kept
    assert found.left_out == {"too short or too long": 2, "missing or broken": 1}
    assert (found.kind, found.representation, found.fps, found.timelines) == ("humanml3d", "263", 20.0, None)


def test_captions_and_their_tags_stay_together(tmp_path):
    second = "he turns.#he/PRON turn/VERB#nan#nan"
    features = write_clip(tmp_path, "000001", 90, WHOLE, second)
    [clip] = humanml3d_set(tmp_path).clips
    assert clip.captions == ("a man walks to the left.", "he turns.")
    assert clip.tagged == ("a/DET man/NOUN walk/VERB to/ADP the/DET left/NOUN", "he/PRON turn/VERB")
    assert np.array_equal(clip.features, features[:88])
    # An evaluator of one's own has learned from sentences, not from tags.
    [clip] = humanml3d_set(tmp_path, tagged=False).clips
    assert clip.tagged == clip.captions == ("a man walks to the left.", "he turns.")


def test_parts_with_captions_of_their_own_are_clips_of_their_own(tmp_path):
    part = "then he jumps#then/ADV he/PRON jump/VERB#1.5#4.0"
    short = "he stops#he/PRON stop/VERB#3.0#4.5"
    to_the_end = "he stands#he/PRON stand/VERB#2.0#20.0"
    features = write_clip(tmp_path, "000001", 120, part, WHOLE, short, to_the_end)
    found = humanml3d_set(tmp_path)
    assert [clip.captions[0] for clip in found.clips] == [
        "a man walks to the left.",
        "then he jumps",
        "he stands",
    ]
    whole, middle, last = found.clips
    assert len({clip.name for clip in found.clips}) == len({clip.meaning for clip in found.clips}) == 3
    assert len(whole.captions) == 1
    assert np.array_equal(whole.features, features)
    assert np.array_equal(middle.features, features[30:78])  # 50 frames, cut to 48
    assert np.array_equal(last.features, features[40:120])
    assert found.left_out == {"parts too short or too long": 1}


def test_training_clips_are_read_when_asked_for(tmp_path):
    write_clip(tmp_path, "000001", 60)
    found = humanml3d_set(tmp_path)
    write_clip(tmp_path, "000002", 64, split="train")
    assert [clip.name for clip in found.train] == ["000002"]


def test_generated_motion_gets_the_bones_of_the_set(tmp_path):
    """Ours has 41 frames at 20 fps, so 61 at 30: a row less, and the body that the files were made with."""
    write_clip(tmp_path, "000001", 60)
    body = representation_263.encode(
        bodies.clip(*bodies.standing(80)), target_lengths=np.linspace(0.1, 0.4, 22)
    )
    np.save(tmp_path / "new_joint_vecs" / "000001.npy", body[:40])
    found = humanml3d_set(tmp_path)
    rng = np.random.default_rng(0)
    local = rotations.from_rotation_vector(rng.normal(size=(1, 22, 3)) * 0.3).repeat(61, axis=0)
    features = found.encode(MotionClip(np.zeros((61, 3)), local, 30.0))
    assert features.shape == (40, 263)
    bones = representation_263.bone_lengths(found.positions(features)[5])
    assert bones[1:] == pytest.approx(np.linspace(0.1, 0.4, 22)[1:], abs=1e-3)


def fails(folder, code, message, split="test"):
    with pytest.raises(KmmError, match=message) as caught:
        humanml3d_set(folder, split)
    assert caught.value.code == code
    assert caught.value.hint


def test_bad_folders(tmp_path):
    fails(tmp_path / "nowhere", "bad_humanml3d", "is not a folder")
    fails(tmp_path, "bad_humanml3d", "no HumanML3D folder")
    (tmp_path / "texts").mkdir()
    fails(tmp_path, "bad_humanml3d", "has no folder new_joint_vecs")
    write_clip(tmp_path, "000001", 20)
    fails(tmp_path, "no_clips", "no clip to evaluate on \\(1 too short or too long")
    fails(tmp_path, "bad_humanml3d", "val.txt is missing", split="val")
    fails(tmp_path, "bad_humanml3d", "split='all' is not one of", split="all")
    (tmp_path / "test.txt").write_text("000009\n")
    fails(tmp_path, "no_clips", "1 missing or broken")
