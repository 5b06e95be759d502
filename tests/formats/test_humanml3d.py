"""HumanML3D folders: captions with times, splits, mirrored clips; what is missing is named."""

from __future__ import annotations

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.formats.humanml3d import Caption, HumanML3DFolder
from kmm_core.motion import kinematics, rotations


@pytest.fixture
def folder(tmp_path):
    for name in ("new_joints", "new_joint_vecs", "texts"):
        (tmp_path / name).mkdir()
    local = np.tile(rotations.IDENTITY, (40, 22, 1))
    joints = kinematics.joint_positions(np.tile([0.0, 1.0, 0.0], (40, 1)), local).astype(np.float32)
    features = np.random.default_rng(0).normal(size=(39, 263)).astype(np.float32)
    for clip_id in ("000001", "M000001"):
        np.save(tmp_path / "new_joints" / f"{clip_id}.npy", joints)
        np.save(tmp_path / "new_joint_vecs" / f"{clip_id}.npy", features)
    (tmp_path / "texts" / "000001.txt").write_text(
        "a man waves his left hand.#a/DET man/NOUN wave/VERB#0.0#0.0\n"
        "he takes step #2, then stops#he/PRON take/VERB#0.5#1.5\n"
        "someone waves#someone/PRON wave/VERB#nan#nan\n"
        "\n",
        encoding="utf-8",
    )
    (tmp_path / "texts" / "M000001.txt").write_text(
        "a man waves his right hand.#a/DET#0.0#0.0", encoding="utf-8"
    )
    (tmp_path / "train.txt").write_text("000001\nM000001\n")
    np.save(tmp_path / "Mean.npy", np.zeros(263))
    np.save(tmp_path / "Std.npy", np.ones(263))
    return tmp_path


def test_reads_everything(folder):
    data = HumanML3DFolder(folder)
    assert data.ids("train") == ("000001", "M000001")
    assert data.captions("000001") == (
        Caption("a man waves his left hand.", tagged="a/DET man/NOUN wave/VERB"),
        Caption("he takes step #2, then stops", 0.5, 1.5, "he/PRON take/VERB"),
        Caption("someone waves", tagged="someone/PRON wave/VERB"),
    )
    assert data.captions("M000001")[0].text == "a man waves his right hand."
    assert data.joints("000001").shape == (40, 22, 3)
    assert data.vectors("M000001").shape == (39, 263)
    assert data.mean.shape == data.std.shape == (263,)
    assert data.is_mirrored("M000001")
    assert not data.is_mirrored("000001")


def test_files_that_windows_editors_saved(folder):
    for name in ("train.txt", "texts/000001.txt"):
        path = folder / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    data = HumanML3DFolder(folder)
    assert data.ids("train")[0] == "000001"
    assert data.captions("000001")[0].text == "a man waves his left hand."


def fails(call, message):
    with pytest.raises(KmmError, match=message) as caught:
        call()
    assert caught.value.hint


def test_missing_pieces_are_named_with_a_remedy(folder):
    data = HumanML3DFolder(folder)
    fails(lambda: data.joints("000009"), "new_joints/000009.npy is missing")
    fails(lambda: data.vectors("000009"), "new_joint_vecs/000009.npy is missing")
    fails(lambda: data.captions("000009"), "texts/000009.txt is missing")
    fails(lambda: data.ids("test"), "test.txt is missing")
    fails(lambda: data.ids("all"), "split='all' is not one of train, val, test")
    (folder / "Mean.npy").unlink()
    fails(lambda: data.mean, "Mean.npy is missing")
    fails(lambda: HumanML3DFolder(folder / "no"), "is not a folder")
    fails(lambda: HumanML3DFolder(folder / "texts"), "no HumanML3D folder")


@pytest.mark.parametrize(
    "line",
    ["no marks at all", "a#b#0.0", "a#b#x#1.0", "#b#0.0#0.0", "a#b#2.0#1.0", "a#b#-1.0#1.0", "a#b#0.0#inf"],
)
def test_bad_caption_lines_are_named(folder, line):
    (folder / "texts" / "000001.txt").write_text(f"fine#fine/ADJ#0.0#0.0\n{line}\n")
    fails(lambda: HumanML3DFolder(folder).captions("000001"), "texts/000001.txt: line 2")


def test_bad_files(folder):
    data = HumanML3DFolder(folder)
    (folder / "val.txt").write_text("\n")
    fails(lambda: data.ids("val"), "val.txt in .* lists no clip")
    (folder / "texts" / "000001.txt").write_bytes(b"\xff\xfe#a#0#0")
    fails(lambda: data.captions("000001"), "not readable UTF-8")
    np.save(folder / "new_joint_vecs" / "000001.npy", np.zeros((10, 262)))
    fails(lambda: data.vectors("000001"), r"expected \[F, 263\]")
    np.save(folder / "new_joint_vecs" / "000001.npy", np.where(np.eye(10, 263), np.nan, 0))
    fails(lambda: data.vectors("000001"), "NaN")
    np.save(folder / "new_joints" / "000001.npy", np.zeros((10, 5)))
    fails(lambda: data.joints("000001"), r"expected \[F, 22, 3\]")
    np.save(folder / "Std.npy", np.zeros(263))
    fails(lambda: data.std, "not positive")
    np.save(folder / "Mean.npy", np.zeros(10))
    fails(lambda: data.mean, "expected 263 finite numbers")
