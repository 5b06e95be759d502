"""BVH in and out: channels, orders, odd spellings, round trips, and one clear sentence for every broken file."""

import os

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.formats import bvh
from kmm_core.formats.bvh import read_bvh, write_bvh
from kmm_core.motion import rotations
from kmm_core.motion.retarget import to_canonical
from kmm_core.skeleton import JOINT_NAMES

SMALL = """HIERARCHY
ROOT Hips
{
  OFFSET 0.0 200.0 0.0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine
  {
    OFFSET 0.0 10.0 0.0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 0.0 20.0 1.0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.033333
1 95 3 90 0 0 0 0 0
1 96 3 10 20 30 40 50 60
"""


@pytest.fixture
def save(tmp_path):
    def write(text, name="shot.bvh"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_reads_hierarchy_channels_and_frame_rate(save):
    motion = read_bvh(save(SMALL))
    assert motion.joint_names == ("Hips", "Spine")
    assert motion.parents == (-1, 0)
    assert (motion.num_frames, motion.fps) == (2, 30.0)
    np.testing.assert_allclose(motion.end_offsets[1], [0, 20, 1])
    assert np.isnan(motion.end_offsets[0]).all()
    # The root's position channels stand for its place, the OFFSET is not added.
    np.testing.assert_allclose(motion.local_translations[:, 0], [[1, 95, 3], [1, 96, 3]])
    _, positions = motion.forward_kinematics()
    # 90 degrees about Z lays the spine along -X.
    np.testing.assert_allclose(positions[0, 1], [1 - 10, 95, 3], atol=1e-9)


@pytest.mark.parametrize(
    ("written", "fps"), [("0.004167", 240), ("0.041667", 24), ("0.0417083", 23.976), ("60", 1 / 60)]
)
def test_frame_times_of_six_digits_are_whole_rates(save, written, fps):
    assert read_bvh(save(SMALL.replace("0.033333", written))).fps == pytest.approx(fps, abs=1e-3, rel=1e-4)


def test_rotation_channels_apply_in_the_order_of_each_joint(save):
    scipy_rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    motion = read_bvh(save(SMALL))
    for joint, order, angles in ((0, "ZXY", [10, 20, 30]), (1, "YXZ", [40, 50, 60])):
        expected = scipy_rotation.from_euler(order, angles, degrees=True).as_matrix()
        np.testing.assert_allclose(
            rotations.to_matrix(motion.local_rotations[1, joint]), expected, atol=1e-12
        )


@pytest.mark.parametrize(
    "text",
    [
        SMALL.replace("\n", "\r\n"),
        SMALL.replace("  ", "\t").replace(" ", "\t").replace("End\tSite", "End Site"),
        SMALL.rstrip("\n"),
        "\ufeff" + SMALL,
        SMALL.replace("\n{", " {").replace("\n  {", " {"),
        SMALL.replace("Xposition", "XPOSITION").replace("Zrotation", "ZROTATION"),
        SMALL + "\n\n  \n",
        SMALL.replace("End Site", "End Site tip"),
        SMALL.replace("\n", "\r"),
        SMALL.replace("HIERARCHY", "hierarchy")
        .replace("MOTION", "motion")
        .replace("Frame Time", "Frame time"),
        SMALL.replace("Frames:", "FRAMES :").replace("Frame Time:", "FRAME  TIME:"),
        SMALL.replace(" 0\n1 96", " 0 1 96"),
    ],
    ids=[
        "crlf",
        "tabs",
        "no newline",
        "bom",
        "braces",
        "capitals",
        "blank lines",
        "named end",
        "cr",
        "small",
        "spaces",
        "frames in one line",
    ],
)
def test_spellings_that_exporters_use_read_alike(save, text):
    text = text.replace("Frame\tTime:", "Frame Time:")
    plain, odd = read_bvh(save(SMALL)), read_bvh(save(text, "odd.bvh"))
    assert odd.joint_names == plain.joint_names
    np.testing.assert_allclose(odd.local_rotations, plain.local_rotations)
    np.testing.assert_allclose(odd.local_translations, plain.local_translations)


def test_position_channels_below_the_root_replace_the_offset_or_add_to_it(save):
    six = (
        SMALL.replace("CHANNELS 3 Yrotation", "CHANNELS 6 Xposition Yposition Zposition Yrotation")
        .replace(" 90 0 0 0 0 0", " 90 0 0 @ 0 0 0")
        .replace(" 30 40 50 60", " 30 @ 40 50 60")
    )
    for written in ("0 10 0", "0 0 0"):  # as the offset itself; as a difference from it
        motion = read_bvh(save(six.replace("@", written)))
        np.testing.assert_allclose(motion.local_translations[:, 1], [[0, 10, 0]] * 2)


def test_names_with_spaces_and_namespaces_are_kept(save):
    text = SMALL.replace("JOINT Spine", "JOINT Bip01 L Thigh").replace("ROOT Hips", "ROOT mixamorig:Hips")
    assert read_bvh(save(text)).joint_names == ("mixamorig:Hips", "Bip01 L Thigh")


BROKEN = {
    "empty": ("", "empty"),
    "spaces": ("  \n \n", "empty"),
    "another format": ("Kaydara FBX", "expected HIERARCHY"),
    "bytes": (bytes(range(256)) * 4, "expected HIERARCHY"),
    "cut in the hierarchy": (SMALL[:200], "truncated"),
    "cut in the motion": (SMALL[:-20], "truncated"),
    "no frames": (SMALL.replace("Frames: 2", "Frames: 0"), "Frames:"),
    "negative frames": (SMALL.replace("Frames: 2", "Frames: -2"), "Frames:"),
    "no frame count": (SMALL.replace("Frames: 2\n", ""), "'Frames:'"),
    "no frame time": (SMALL.replace("Frame Time: 0.033333\n", ""), "'Frame Time:'"),
    "zero frame time": (SMALL.replace("0.033333", "0"), "Frame Time:"),
    "next to zero frame time": (SMALL.replace("0.033333", "1e-320"), "Frame Time: 1e-320"),
    "more frames promised than memory holds": (SMALL.replace("Frames: 2", "Frames: 999999999999"), "truncated"),
    "a word in the motion": (SMALL.replace("1 96 3", "1 oops 3"), "numbers only"),
    "a number too many in every frame": (SMALL.replace(" 0\n", " 0 7\n").replace(" 60\n", " 60 7\n"), "10 numbers"),
    "decimal commas": (SMALL.replace("0.0 10.0 0.0", "0,0 10,0 0,0"), "decimal points"),
    "nan": (SMALL.replace("1 96 3", "1 96 nan"), "not finite in frame 1"),
    "an offset too short": (SMALL.replace("0.0 10.0 0.0", "0.0 10.0"), "three numbers"),
    "an unknown channel": (SMALL.replace("3 Yrotation", "3 Wrotation"), "CHANNELS"),
    "a wrong channel count": (SMALL.replace("CHANNELS 3", "CHANNELS 4"), "CHANNELS"),
    "a brace too many": (SMALL.replace("MOTION", "}\nMOTION"), "too many"),
    "a brace missing": (SMALL.replace("}\nMOTION", "MOTION"), "not closed"),
    "a brace out of place": (SMALL.replace("ROOT Hips\n{", "{\nROOT Hips\n{"), "follows no ROOT"),
    "a stray line": (SMALL.replace("  OFFSET 0.0 200.0", "  BONE 1\n  OFFSET 0.0 200.0"), "'BONE 1'"),
    "no joints": ("HIERARCHY\nMOTION\nFrames: 1\nFrame Time: 0.1\n", "no joints"),
    "no channels": (
        "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n}\nMOTION\nFrames: 1\nFrame Time: 0.1\n",
        "no CHANNELS",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_give_one_sentence_that_names_the_file(save, case):
    text, told = BROKEN[case]
    with pytest.raises(KmmError) as caught:
        read_bvh(save(text, "broken.bvh"))
    assert caught.value.code == "bad_bvh"
    assert caught.value.message.startswith("broken.bvh: ")
    assert told in caught.value.message
    assert "\n" not in str(caught.value)


def test_missing_and_huge_files(tmp_path, save, monkeypatch):
    with pytest.raises(KmmError, match="nowhere.bvh: cannot be read"):
        read_bvh(tmp_path / "nowhere.bvh")
    monkeypatch.setattr(bvh, "MAX_FILE_BYTES", 100)
    with pytest.raises(KmmError, match="shorter takes"):
        read_bvh(save(SMALL))


def some_clip(frames=20, fps=30.0):
    random = np.random.default_rng(1)
    turns = random.normal(scale=0.6, size=(1, 22, 3)) * np.linspace(-1, 1, frames)[:, None, None]
    root = np.linspace([0, 0.9, 0], [1.0, 1.1, -2.0], frames)
    return MotionClip(root, rotations.from_rotation_vector(turns), fps)


@pytest.mark.parametrize(("unit", "scale"), [("m", 1.0), ("cm", 100.0)])
def test_a_written_clip_reads_back_joint_by_joint(tmp_path, unit, scale):
    clip = some_clip(fps=24.0)
    write_bvh(tmp_path / "a.bvh", clip, unit=unit)
    motion = read_bvh(tmp_path / "a.bvh")
    assert (motion.num_frames, motion.fps) == (clip.num_frames, 24.0)
    _, positions = motion.forward_kinematics()
    order = [motion.joint_names.index(name) for name in JOINT_NAMES]
    np.testing.assert_allclose(positions[:, order] / scale, clip.joint_positions(), atol=1e-5)
    # Every branch ends in an End Site, so importers can draw its last bone.
    assert np.isfinite(motion.end_offsets).all(axis=1).sum() == 5


def test_a_written_clip_comes_back_through_retargeting(tmp_path):
    # Bends of elbows about their hinge: the twist that retargeting finds is then the one that was written.
    frames = 40
    turns = np.zeros((frames, 22, 3))
    swing = np.sin(np.linspace(0, 6, frames))
    for joint, axis, amount in (
        (1, 0, 0.5),
        (2, 0, -0.5),
        (4, 0, 0.6),
        (5, 0, 0.7),
        (16, 2, -1.1),
        (17, 2, 1.1),
    ):
        turns[:, joint, axis] = amount * (swing if joint < 3 else 1)
    turns[:, 18, 1], turns[:, 19, 1] = -0.5 - 0.3 * swing, 0.5 + 0.3 * swing
    turns[:, [3, 6, 9, 12, 15]] = 0.1 * swing[:, None, None]
    clip = MotionClip(
        np.linspace([0.3, 0.9, 0], [0.1, 0.95, 2], frames), rotations.from_rotation_vector(turns), 30.0
    )
    write_bvh(tmp_path / "a.bvh", clip)
    again = to_canonical(read_bvh(tmp_path / "a.bvh"), place=False)
    np.testing.assert_allclose(again.joint_positions(), clip.joint_positions(), atol=1e-4)
    assert rotations.angle_between(again.local_rotations, clip.local_rotations).max() < 1e-4


def test_one_frame_can_be_written_and_read(tmp_path):
    write_bvh(tmp_path / "a.bvh", some_clip(frames=1))
    assert read_bvh(tmp_path / "a.bvh").num_frames == 1


def test_an_unknown_unit_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(KmmError, match="expected 'm' or 'cm'") as caught:
        write_bvh(tmp_path / "a.bvh", some_clip(), unit="inch")
    assert caught.value.code == "bad_unit"
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_gives_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(KmmError) as caught:
        write_bvh(tmp_path / "no" / "a.bvh", some_clip())
    assert caught.value.code == "no_folder"

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "old.bvh").write_text("what was there")
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(KmmError, match="disk is full"):
        write_bvh(tmp_path / "old.bvh", some_clip())
    assert [path.name for path in tmp_path.iterdir()] == ["old.bvh"]
    assert (tmp_path / "old.bvh").read_text() == "what was there"
