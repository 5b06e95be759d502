"""Acclaim skeletons and motions: geometry by hand-worked numbers, and one clear sentence for every broken file."""

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.formats import asf_amc
from kmm_core.formats.asf_amc import read_asf_amc
from kmm_core.motion import rotations

ASF = """# comment
:version 1.10
:name VICON
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   text
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name lfemur
     direction 0 -1 0
     length 7
     axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     id 2
     name ltibia
     direction 0 -1 0
     length 6
     axis 0 0 20 XYZ
    dof rx
    limits (-10.0 170.0)
  end
:hierarchy
  begin
    root lfemur
    lfemur ltibia
  end
"""
AMC = """#!OML:ASF x
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 0 0
lfemur 0 0 0
ltibia 0
2
root 1 2 3 10 20 30
lfemur 0 0 0
ltibia 90
"""


@pytest.fixture
def read(tmp_path):
    def run(amc=AMC, asf=ASF):
        (tmp_path / "s.asf").write_text(asf)
        (tmp_path / "t.amc").write_text(amc)
        return read_asf_amc(tmp_path / "t.amc", tmp_path / "s.asf")

    return run


def test_joints_stand_where_bones_begin(read):
    motion = read()
    assert motion.joint_names == ("root", "lfemur", "ltibia")
    assert motion.parents == (-1, 0, 1)
    assert (motion.num_frames, motion.fps) == (2, 120.0)
    np.testing.assert_allclose(motion.offsets, [[0, 0, 0], [0, 0, 0], [0, -7, 0]])
    np.testing.assert_allclose(motion.end_offsets[2], [0, -6, 0])
    _, positions = motion.forward_kinematics()
    np.testing.assert_allclose(positions[0], [[1, 2, 3], [1, 2, 3], [1, -5, 3]], atol=1e-9)


def test_a_bone_turns_about_the_axes_of_its_own_frame(read):
    # The knee's x axis stands 20 degrees about z from the world's: rx = 90 turns about (cos 20, sin 20, 0).
    knee = read().local_rotations[1, 2]
    axis = [np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20)), 0]
    assert rotations.angle_between(knee, rotations.from_axis_angle(axis, np.pi / 2)) < 1e-9
    without = read(asf=ASF.replace("axis 0 0 20 XYZ\n    dof rx\n", "dof rx\n")).local_rotations[1, 2]
    assert rotations.angle_between(without, rotations.from_axis_angle([1.0, 0, 0], np.pi / 2)) < 1e-9


def test_the_root_turns_about_x_then_y_then_z_of_the_world(read):
    x, y, z = (rotations.from_axis_angle(np.eye(3)[k], np.deg2rad(10.0 * (k + 1))) for k in range(3))
    expected = rotations.multiply(z, rotations.multiply(y, x))
    assert rotations.angle_between(read().local_rotations[1, 0], expected) < 1e-9


def test_radians_and_windows_line_ends(read):
    plain = read()
    asf = ASF.replace("angle deg", "angle rad").replace("axis 0 0 20", f"axis 0 0 {np.deg2rad(20)}")
    amc = AMC.replace("10 20 30", " ".join(str(np.deg2rad(k)) for k in (10, 20, 30)))
    amc = amc.replace("ltibia 90", f"ltibia {np.pi / 2}").replace("\n", "\r\n")
    np.testing.assert_allclose(read(amc, asf).local_rotations, plain.local_rotations, atol=1e-9)


def test_a_published_merge_conflict_reads_as_its_second_half(read):
    cut = AMC[: AMC.index("lfemur 0 0 0\nltibia 90")]
    conflict = f"<<<<<<< HEAD\n{cut}=======\n{AMC}>>>>>>> looks ok\n"
    np.testing.assert_allclose(read(conflict).local_rotations, read().local_rotations)


BROKEN = {
    "empty amc": ("", ASF, "bad_amc", "empty"),
    "empty asf": (AMC, "", "bad_asf", "empty"),
    "no frames": ("#!OML\n:DEGREES\n", ASF, "bad_amc", "no frames"),
    "cut": (AMC[: AMC.rindex("ltibia")], ASF, "bad_amc", "truncated"),
    "cut in a line": (AMC.replace("10 20 30", "10 20"), ASF, "bad_amc", "truncated"),
    "a word": (AMC.replace("10 20 30", "10 20 oops"), ASF, "bad_amc", "a word where a number"),
    "nan": (AMC.replace("10 20 30", "10 20 nan"), ASF, "bad_amc", "not finite"),
    "another skeleton": (AMC.replace("lfemur", "thigh"), ASF, "bad_amc", "no bone of the ASF"),
    "no bones": (AMC, ASF[: ASF.index(":bonedata")], "bad_asf", "no bones"),
    "no hierarchy": (AMC, ASF[: ASF.index(":hierarchy")], "bad_asf", "'lfemur' lacks"),
    "a loop": (AMC, ASF.replace("root lfemur", "ltibia lfemur"), "bad_asf", "is not connected to the root"),
    "no length": (AMC, ASF.replace("length 6", ""), "bad_asf", "'ltibia' lacks"),
    "a bad number": (AMC, ASF.replace("length 6", "length six"), "bad_asf", "does not parse"),
    "a length that is none": (AMC, ASF.replace("length 6", "length nan"), "bad_asf", "expected 1 numbers"),
    "a short direction": (
        AMC,
        ASF.replace("direction 0 -1 0", "direction 0 -1"),
        "bad_asf",
        "expected 3 numbers",
    ),
    "a short position": (AMC, ASF.replace("position 0 0 0", "position 0 0"), "bad_asf", "got '0 0'"),
    "a short orientation": (AMC, ASF.replace("orientation 0 0 0", "orientation 0"), "bad_asf", "got '0'"),
    "no direction": (AMC, ASF.replace("direction 0 -1 0", ""), "bad_asf", "'lfemur' lacks"),
    "a bad dof": (AMC, ASF.replace("dof rx\n", "dof wx\n"), "bad_asf", "'wx'"),
    "a bad axis": (AMC, ASF.replace("axis 0 0 20 XYZ", "axis 0 0 20 XXZ"), "bad_asf", "'XXZ'"),
    "no asf at all": (AMC, "HIERARCHY\nROOT Hips\n", "bad_asf", "no bones"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_give_one_sentence_that_names_the_file(read, case):
    amc, asf, code, told = BROKEN[case]
    with pytest.raises(KmmError) as caught:
        read(amc, asf)
    assert caught.value.code == code
    assert caught.value.message.startswith("t.amc: " if code == "bad_amc" else "s.asf: ")
    assert told in caught.value.message
    assert "\n" not in str(caught.value)


def test_missing_and_huge_files(read, tmp_path, monkeypatch):
    with pytest.raises(KmmError, match=r"gone\.asf: cannot be read"):
        read_asf_amc(tmp_path / "gone.amc", tmp_path / "gone.asf")
    monkeypatch.setattr(asf_amc, "MAX_FILE_BYTES", 100)
    with pytest.raises(KmmError, match="more than the"):
        read()
