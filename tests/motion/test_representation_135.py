"""BABEL's 135 columns against SciPy's rotations and plain matrices, and what they lose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.formats.amass import read_smpl_motion, to_smpl_motion, write_amass
from kmm_core.motion import representation_135, rotations
from kmm_core.motion.smpl_motion import SmplMotion
from kmm_core.motion.smpl_rest import SMPL_REST_OFFSETS
from kmm_core.skeleton import PARENTS

FRAMES = 40


@pytest.fixture
def motion() -> SmplMotion:
    """Someone who stands (90 degrees about x), faces somewhere, and moves."""
    rng = np.random.default_rng(1)
    t = np.linspace(0, 1, FRAMES)[:, None, None]
    vectors = rng.normal(size=(2, 1, 22, 3)) * 0.4
    local = rotations.from_rotation_vector(vectors[0] + t * vectors[1])
    upright = Rotation.from_euler("z", 0.8) * Rotation.from_euler("x", np.pi / 2)
    local[:, 0] = rotations.multiply(np.roll(upright.as_quat(), 1), local[:, 0])
    return SmplMotion(local, rng.normal(size=(FRAMES, 3)).cumsum(0) * 0.02 + [3.0, -2.0, 0.95], 30.0)


def matrices(motion):
    """[F, 22, 3, 3] by SciPy."""
    return (
        Rotation.from_quat(np.roll(motion.rotations, -1, axis=-1).reshape(-1, 4))
        .as_matrix()
        .reshape(-1, 22, 3, 3)
    )


def test_every_column_against_plain_matrices(motion):
    features = representation_135.encode(motion)
    assert features.shape == (FRAMES, 135)
    assert features.dtype == np.float32
    world = matrices(motion)
    angle = Rotation.from_matrix(world[0, 0]).as_rotvec()[2] + np.pi / 2
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    for frame in range(FRAMES):
        move = motion.translation[frame] - motion.translation[max(frame - 1, 0)]
        assert features[frame, 0] == pytest.approx(motion.translation[frame, 2], abs=1e-6)
        assert features[frame, 1:3] == pytest.approx((turn @ move)[:2], abs=1e-6)
        for joint in range(22):
            matrix = turn @ world[frame, joint] if joint == 0 else world[frame, joint]
            expected = np.concatenate([matrix[0], matrix[1]])
            assert features[frame, 3 + 6 * joint : 9 + 6 * joint] == pytest.approx(expected, abs=1e-6)


def test_positions_are_those_of_the_body_that_was_encoded(motion):
    """By 4x4 matrices along the chains; a turn about the vertical and the place of the start are lost."""
    world = matrices(motion)
    expected = np.empty((FRAMES, 22, 3))
    for frame in range(FRAMES):
        chain = []
        for joint, parent in enumerate(PARENTS):
            step = np.eye(4)
            step[:3, :3] = world[frame, joint]
            step[:3, 3] = SMPL_REST_OFFSETS[joint] if parent >= 0 else motion.translation[frame]
            chain.append(chain[parent] @ step if parent >= 0 else step)
        expected[frame] = np.array(chain)[:, :3, 3]
    found = representation_135.recover_positions(representation_135.encode(motion))
    # Height: Y of ours is Z of theirs; the pelvis stands 25 mm above the translation.
    assert found[..., 1] == pytest.approx(expected[..., 2] + 0.025, abs=1e-5)
    # All distances, within a frame and along the way, are as they were.
    for joint in (0, 7, 15, 20, 21):
        there, back = (points - points[0, 0] for points in (expected, found))
        assert np.linalg.norm(back[:, joint], axis=-1) == pytest.approx(
            np.linalg.norm(there[:, joint], axis=-1), abs=1e-4
        )


def test_left_stays_left(motion):
    """The change from Z up to Y up is a turn, not a reflection: the triple product of three bones keeps its sign."""
    found = representation_135.recover_positions(representation_135.encode(motion))[0]
    expected = motion.joint_positions()[0]
    for points in (found, expected):
        left, up = points[1] - points[2], points[12] - points[0]
        # Toes are in front of the ankles, and up x forward is left.
        forward = points[10] - points[7] + points[11] - points[8]
        assert np.dot(np.cross(up, forward), left) > 0


def test_the_first_frames_place_and_time_do_not_matter(motion):
    moved = SmplMotion(motion.rotations, motion.translation + [5.0, -7.0, 0.0], 30.0)
    assert representation_135.encode(moved) == pytest.approx(representation_135.encode(motion), abs=1e-6)


def test_round_trip(motion):
    features = representation_135.encode(motion)
    again = representation_135.decode(features)
    assert rotations.angle_between(again.rotations[:, 1:], motion.rotations[:, 1:]).max() < 1e-3
    assert representation_135.recover_positions(features)[0, 0, [0, 2]] == pytest.approx([0, 0.24], abs=1e-6)


def test_a_clip_of_ours_has_the_features_of_its_amass_file(tmp_path):
    rng = np.random.default_rng(2)
    clip = MotionClip(
        rng.normal(size=(FRAMES, 3)),
        rotations.from_rotation_vector(rng.normal(size=(FRAMES, 22, 3)) * 0.5),
        30.0,
    )
    write_amass(tmp_path / "a.npz", clip)
    stored = representation_135.encode(read_smpl_motion(tmp_path / "a.npz"))
    assert representation_135.encode(to_smpl_motion(clip)) == pytest.approx(stored, abs=1e-5)


def test_frames_are_chosen_by_slice_or_number(motion):
    assert len(motion.frames(slice(3, 9))) == 6
    assert motion.frames([0, 5]).translation == pytest.approx(motion.translation[[0, 5]])


def fails(code, call):
    with pytest.raises(KmmError) as caught:
        call()
    assert caught.value.code == code
    assert caught.value.hint


def test_bad_motion_and_features(motion):
    other_rate = SmplMotion(motion.rotations, motion.translation, 120.0)
    fails("bad_motion", lambda: representation_135.encode(other_rate))
    fails("bad_motion", lambda: representation_135.encode(motion.frames(slice(0, 0))))
    broken = SmplMotion(motion.rotations, motion.translation * np.nan, 30.0)
    fails("bad_motion", lambda: representation_135.encode(broken))
    fails("bad_features", lambda: representation_135.decode(np.zeros((3, 263))))
    fails("bad_features", lambda: representation_135.decode(np.full((3, 135), np.nan)))
