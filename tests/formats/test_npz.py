"""KMM's .npz: exact round trip, keys as documented, and no bad file gets through."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.formats.npz import read_npz, write_npz
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_NAMES
from kmm_core.timeline import Prompt


def a_clip(frames=20, fps=29.97):
    random = np.random.default_rng(0)
    return MotionClip(
        random.normal(size=(frames, 3)), rotations.normalize(random.normal(size=(frames, 22, 4))), fps
    )


def test_round_trip_and_documented_keys(tmp_path):
    clip = a_clip()
    write_npz(tmp_path / "a.npz", clip, (Prompt("walks 👋", 0, 12), Prompt("يمشي", 12, 20)))
    back = read_npz(tmp_path / "a.npz")
    assert back.fps == clip.fps
    assert np.abs(back.root_positions - clip.root_positions).max() < 1e-6
    assert np.abs(back.local_rotations - clip.local_rotations).max() < 1e-6
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert tuple(arrays["joint_names"]) == JOINT_NAMES
        assert arrays["prompts"].tolist() == ["walks 👋", "يمشي"]
        assert arrays["prompt_frames"].tolist() == [[0, 12], [12, 20]]
        assert arrays["joint_positions"].shape == (20, 22, 3)
        assert np.abs(arrays["joint_positions"] - clip.joint_positions()).max() < 1e-5
        assert arrays["root_positions"].dtype == arrays["local_rotations"].dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_clip_without_prompts(tmp_path):
    write_npz(tmp_path / "a.npz", a_clip())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["prompts"].shape == (0,)
        assert arrays["prompt_frames"].shape == (0, 2)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def save(path, **changes):
    clip = a_clip()
    arrays = {"root_positions": clip.root_positions, "local_rotations": clip.local_rotations, "fps": clip.fps}
    arrays.update(changes)
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"fps": None}, "lacks fps"),
        ({"fps": np.nan}, "not a positive number"),
        ({"fps": np.zeros(3)}, "not all numbers"),
        ({"fps": "fast"}, "not all numbers"),
        ({"fps": np.array(Bomb(), dtype=object)}, "never loaded"),
        ({"root_positions": np.full((20, 3), np.nan)}, "not finite"),
        ({"root_positions": np.zeros((19, 3))}, "expected"),
        ({"root_positions": np.float64(0)}, r"Got root_positions \(\) and"),
        ({"root_positions": np.array(["x"])}, "not all numbers"),
        ({"root_positions": np.ones((20, 3), complex)}, "not all numbers"),
        ({"root_positions": np.zeros((0, 3)), "local_rotations": np.zeros((0, 22, 4))}, "at least 1"),
        ({"local_rotations": np.zeros((20, 22, 4))}, "lengths from 0 to 0"),
        ({"joint_names": np.array(["hips"])}, "joint_names"),
        ({"joint_names": np.array(22)}, "joint_names"),
    ],
)
def test_wrong_content_is_named(tmp_path, changes, part):
    save(tmp_path / "a.npz", **changes)
    with pytest.raises(KmmError, match=part) as caught:
        read_npz(tmp_path / "a.npz")
    assert caught.value.code == "bad_npz"
    assert "a.npz" in caught.value.message
    assert caught.value.hint


def test_missing_empty_truncated_foreign_and_huge_files(tmp_path):
    whole, broken = tmp_path / "whole.npz", tmp_path / "broken.npz"
    save(whole)
    content = bytearray(whole.read_bytes())
    damaged = content.copy()
    damaged[len(content) // 2] ^= 0xFF
    for bad in (
        bytes(content[: len(content) // 2]),
        bytes(damaged),
        b"MOTION",
        b"PK\x03\x04" + b"\0" * 99,
    ):
        broken.write_bytes(bad)
        with pytest.raises(KmmError, match="broken, cut short") as caught:
            read_npz(broken)
        assert caught.value.code == "bad_npz"
    broken.write_bytes(b"")
    for path, part in ((broken, "empty"), (tmp_path / "none.npz", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(KmmError, match=part):
            read_npz(path)


def test_a_file_that_may_not_be_read_is_not_called_broken(tmp_path, monkeypatch):
    save(tmp_path / "a.npz")

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("kmm_core.formats.array_file.zipfile.ZipFile", forbidden)
    with pytest.raises(KmmError, match="no permission to read it"):
        read_npz(tmp_path / "a.npz")


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", root_positions=np.zeros((100_000, 3)))
    monkeypatch.setattr("kmm_core.formats.array_file.MAX_BYTES", 1_000_000)
    with pytest.raises(KmmError, match="unpacks to"):
        read_npz(tmp_path / "a.npz")


def test_a_header_that_claims_too_much_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for key in ("root_positions", "local_rotations", "fps"):
            header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000000000, 3), }"
            header += b" " * (118 - len(header) - 1) + b"\n"
            archive.writestr(f"{key}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(KmmError, match="broken"):
        read_npz(tmp_path / "a.npz")
