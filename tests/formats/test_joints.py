"""Joint positions are read in the layouts people have; every bad file is refused with its reason."""

from __future__ import annotations

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.formats.joints import read_joints
from kmm_core.motion import kinematics, rotations


def positions(frames=5):
    local = np.tile(rotations.IDENTITY, (frames, 22, 1))
    return kinematics.joint_positions(np.tile([0.0, 1.0, 0.0], (frames, 1)), local).astype(np.float32)


def with_extra(joints):
    extra = np.full((5, joints - 22, 3), 7.0, dtype=np.float32)
    return np.concatenate([positions(), extra], axis=1)


@pytest.mark.parametrize(
    "array",
    [positions(), positions().reshape(5, 66), with_extra(24), with_extra(24).reshape(5, 72), with_extra(52)],
    ids=["22", "flat", "smpl", "smpl-flat", "smplh"],
)
def test_layouts(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", joints=array, fps=30)
    np.savez(tmp_path / "only.npz", whatever=array)
    for name in ("a.npy", "a.npz", "only.npz"):
        result = read_joints(tmp_path / name)
        assert result.dtype == np.float64
        assert np.array_equal(result, positions().astype(np.float64))


def bad(array, value):
    array = array.copy()
    array[3, 2, 1] = value
    return array


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 21, 3)), r"shape is \[5, 21, 3\]; expected \[F, 22, 3\]"),
        (np.zeros((5, 65)), r"shape is \[5, 65\]"),
        (np.zeros((0, 66)), r"shape is \[0, 66\]"),
        (np.zeros((0, 22, 3)), r"shape is \[0, 22, 3\]"),
        (np.zeros((2, 5, 22, 3)), r"shape is \[2, 5, 22, 3\]"),
        (np.array(3.0), r"shape is \[\]"),
        (bad(positions(), np.nan), "1 of 5 frames hold NaN or infinity, the first is frame 3"),
        (bad(positions(), np.inf), "NaN or infinity"),
        (positions() * 1000, "expected metres"),
        (np.zeros((5, 22, 3)), "expected metres"),
        (np.full((5, 22, 3), "a"), "not numbers"),
        (np.array([{"a": 1}], dtype=object), "never loaded"),
    ],
)
def test_bad_arrays(tmp_path, array, message):
    for name, save in (("a.npy", np.save), ("a.npz", lambda path, value: np.savez(path, joints=value))):
        save(tmp_path / name, array)
        with pytest.raises(KmmError, match=message) as caught:
            read_joints(tmp_path / name)
        assert caught.value.code == "bad_joints"
        assert caught.value.hint


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("keep", [0, 3, 40, 300])
def test_truncated_files(tmp_path, suffix, keep):
    file = tmp_path / f"a{suffix}"
    (np.save if suffix == ".npy" else np.savez)(file, positions())
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(KmmError, match="empty" if keep == 0 else "broken, cut short|pickle"):
        read_joints(file)


def test_a_header_that_claims_more_than_the_file_holds(tmp_path):
    file = tmp_path / "a.npy"
    np.save(file, np.zeros((1, 22, 3)))
    original = file.read_bytes()
    for old, new in (
        (b"(1, 22, 3), }         ", b"(1000000000, 22, 3), }"),
        (b"(1, 22, 3), }", b"(1, 22, 3,   "),
    ):
        assert old in original
        file.write_bytes(original.replace(old, new))
        with pytest.raises(KmmError, match="broken"):
            read_joints(file)


def test_missing_files_folders_and_names(tmp_path):
    np.savez(tmp_path / "two.npz", a=positions(), b=positions())
    for path, message in (
        (tmp_path / "no.npy", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "two.npz", "it holds a, b"),
    ):
        with pytest.raises(KmmError, match=message):
            read_joints(path)


def test_an_archive_under_a_wrong_name(tmp_path):
    np.savez(tmp_path / "a.npz", positions())
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(KmmError, match="is an [.]npz archive"):
        read_joints(tmp_path / "a.npy")


def test_an_archive_that_unpacks_to_too_much(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", np.zeros((4000, 22, 3)))
    monkeypatch.setattr("kmm_core.formats.array_file.MAX_BYTES", 100_000)
    with pytest.raises(KmmError, match="at most 100,000 are read"):
        read_joints(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", np.zeros((4000, 22, 3)))
    with pytest.raises(KmmError, match="at most 100,000 are read"):
        read_joints(tmp_path / "a.npy")
