"""MotionClip: what it refuses, and that slicing, resampling, mirroring and moving do what they say."""

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_INDEX, MIRROR, NUM_JOINTS


def a_clip(frames=31, fps=30.0, seed=0):
    """Smooth random motion."""
    random = np.random.default_rng(seed)
    turns = random.normal(size=(1, NUM_JOINTS, 3)) * np.linspace(0, 1, frames)[:, None, None]
    root = random.normal(size=3) * np.linspace(0, 1, frames)[:, None]
    return MotionClip(root, rotations.from_rotation_vector(turns), fps)


@pytest.mark.parametrize(
    ("root", "turns", "fps", "told"),
    [
        (np.zeros((0, 3)), np.zeros((0, NUM_JOINTS, 4)), 30, "expected"),
        (np.zeros((2, 3)), np.zeros((3, NUM_JOINTS, 4)), 30, "(3, 22, 4)"),
        (np.zeros((2, 3)), np.zeros((2, 21, 4)), 30, "(2, 21, 4)"),
        (np.zeros((2, 3)), np.zeros((2, NUM_JOINTS, 4)), 0, "fps=0"),
        (np.zeros((2, 3)), np.zeros((2, NUM_JOINTS, 4)), float("nan"), "fps=nan"),
        (np.full((2, 3), np.nan), np.zeros((2, NUM_JOINTS, 4)), 30, "NaN"),
        (np.zeros((2, 3)), np.full((2, NUM_JOINTS, 4), np.inf), 30, "infinity"),
    ],
)
def test_a_clip_refuses_what_is_no_motion(root, turns, fps, told):
    with pytest.raises(KmmError) as caught:
        MotionClip(root, turns, fps)
    assert caught.value.code == "bad_motion"
    assert told in caught.value.message


def test_resampling_to_the_same_rate_changes_nothing():
    clip = a_clip()
    again = clip.resample(30)
    np.testing.assert_allclose(again.joint_positions(), clip.joint_positions(), atol=1e-9)


def test_resampling_keeps_the_length_in_time_and_the_poses_on_the_way():
    clip = a_clip(frames=61, fps=60)
    half = clip.resample(30)
    assert (half.num_frames, half.fps) == (31, 30)
    np.testing.assert_allclose(half.joint_positions(), clip.joint_positions()[::2], atol=1e-9)
    # The same second was made with other numbers of frames.
    for fps in (25, 120):
        np.testing.assert_allclose(
            clip.resample(fps).joint_positions(), a_clip(fps + 1, fps).joint_positions(), atol=1e-7
        )


def test_resampling_to_an_exact_length_holds_the_last_pose():
    clip = a_clip(frames=10)
    longer = clip.resample(30, num_frames=14)
    assert longer.num_frames == 14
    np.testing.assert_allclose(longer.root_positions[9:], clip.root_positions[-1:].repeat(5, axis=0))


def test_a_mirrored_clip_is_the_reflection_of_its_positions():
    clip = a_clip()
    reflected = clip.joint_positions()[:, list(MIRROR)] * np.array([-1, 1, 1])
    np.testing.assert_allclose(clip.mirrored().joint_positions(), reflected, atol=1e-12)
    np.testing.assert_allclose(
        clip.mirrored().mirrored().joint_positions(), clip.joint_positions(), atol=1e-12
    )


def test_moved_turns_left_and_then_translates():
    clip = a_clip().slice(0, 1)
    moved = clip.moved(yaw=np.pi / 2, translation=(1.0, 2.0, 3.0))
    np.testing.assert_allclose(clip.moved().joint_positions(), clip.joint_positions(), atol=1e-12)
    before, after = clip.joint_positions()[0], moved.joint_positions()[0]
    # A quarter turn to the left takes +Z to +X and +X to -Z.
    expected = np.stack([before[:, 2] + 1, before[:, 1] + 2, -before[:, 0] + 3], axis=-1)
    np.testing.assert_allclose(after, expected, atol=1e-12)


def test_slice_and_seconds():
    clip = a_clip(frames=30)
    part = clip.slice(10, 25)
    assert (part.num_frames, part.seconds) == (15, 0.5)
    np.testing.assert_allclose(part.root_positions, clip.root_positions[10:25])


def test_names_and_mirror_agree():
    assert MIRROR[JOINT_INDEX["left_wrist"]] == JOINT_INDEX["right_wrist"]
    assert MIRROR[JOINT_INDEX["spine2"]] == JOINT_INDEX["spine2"]


def test_as_many_frames_as_fit_whatever_the_rates_are_as_floats():
    # 43 * 23.976 / 23.976 is 42.99...: the last frame is there all the same.
    for frames in range(2, 120):
        assert a_clip(frames, 23.976).resample(23.976).num_frames == frames
