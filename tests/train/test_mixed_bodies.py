"""Windows mixed of several recordings: whose legs, whose arms, how long, and always the same."""

import numpy as np
import torch

from kmm_core.clip import MotionClip
from kmm_core.motion import kinematics, rotations
from kmm_core.motion.representation import representation
from kmm_core.skeleton import JOINT_INDEX
from kmm_core.train.mixed_bodies import ARMS, SHARES, UPPER_BODY, mixed_windows

FORM = representation("272")
KNEES = [JOINT_INDEX["left_knee"], JOINT_INDEX["right_knee"]]
ELBOWS = [JOINT_INDEX["left_elbow"], JOINT_INDEX["right_elbow"]]


def posed(knee: float, elbow: float, frames: int = 90) -> np.ndarray:
    """Features of a body that holds still, the same on both sides: a mirror and another speed change nothing."""
    local = np.tile(rotations.IDENTITY, (frames, 22, 1))
    local[:, KNEES] = rotations.from_axis_angle(np.array([1.0, 0, 0]), knee)
    for joint, side in zip(ELBOWS, (1, -1), strict=True):
        local[:, joint] = rotations.from_axis_angle(np.array([0, 1.0, 0]), side * elbow)
    root = np.tile([0.0, 0.9, 0.0], (frames, 1))
    return FORM.encode(MotionClip(root, local, 30))


def angles(window: np.ndarray, joints: list[int]) -> np.ndarray:
    clip = FORM.decode(window.astype(np.float32), 30)
    return rotations.angle_between(clip.local_rotations[:, joints], rotations.IDENTITY).mean(0)


def test_legs_come_from_the_first_and_arms_from_any():
    poses = [(0.2, 0.3), (0.6, 0.8), (1.0, 1.3)]
    clips = [posed(*pose) for pose in poses]
    windows = mixed_windows(clips, torch.tensor([[0, 1, 2]] * 400), FORM, 24)
    assert windows.shape == (400, 24, 272) and windows.dtype == np.float16
    kinds = {"own": 0, "upper body": 0, "arms": 0, "blend": 0}
    for window in windows:
        knees, (left, right) = angles(window, KNEES), angles(window, ELBOWS)
        known = [any(abs(elbow - pose[1]) < 0.01 for pose in poses) for elbow in (left, right)]
        assert np.all((knees > 0.19) & (knees < 0.53))  # at most 0.8 of the way to the second
        if not all(known):
            assert abs(left - right) < 0.01 and 0.3 < left < 0.8
            kinds["blend"] += 1
        else:
            assert abs(knees - 0.2).max() < 0.01
            kind = "upper body" if abs(left - 0.8) < 0.01 and abs(right - 0.8) < 0.01 else "arms"
            kinds["own" if max(left, right) < 0.31 else kind] += 1
    # Of the windows with new arms a sixteenth keeps both, three sixteenths have one new arm and nine both.
    for kind, share in zip(
        ("upper body", "arms", "blend"), (SHARES[0], SHARES[1] * 15 / 16, SHARES[2]), strict=True
    ):
        assert abs(kinds[kind] / 400 - share) < 0.08, kinds
    assert kinds["own"] > 20


def test_minutes_of_mixing_are_announced(capsys):
    mixed_windows([posed(0.2, 0.3)], torch.zeros((3, 3), dtype=torch.long), FORM, 16)
    assert capsys.readouterr().err.startswith(
        "Putting windows together from several recordings ([data] mixed_bodies): 3,"
    )


def test_the_same_seed_gives_the_same_windows_and_another_seed_others():
    clips = [posed(0.2, 0.3), posed(0.6, 0.8)]
    pick = torch.tensor([[0, 1, 1]] * 20)
    first, again, other = (mixed_windows(clips, pick, FORM, 16, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_speed_changes_and_a_short_recording_holds_its_last_pose():
    frames = 40
    local = np.tile(rotations.IDENTITY, (frames, 22, 1))
    root = np.stack([np.zeros(frames), np.full(frames, 0.9), np.arange(frames) / 30], axis=-1)  # 1 m/s
    walking = FORM.encode(MotionClip(root, local, 30))
    windows = mixed_windows([walking], torch.zeros((60, 3), dtype=torch.long), FORM, 64).astype(np.float32)
    speeds = 30 * windows[:, 4, FORM.groups[0]][:, 1]
    assert 0.6 < speeds.min() < 0.8 and 1.2 < speeds.max() < 1.5
    assert np.count_nonzero(abs(speeds - 1) < 0.01) > 15
    assert abs(windows[speeds > 0.9][:, -1, FORM.groups[0]]).max() < 1e-3  # 40 frames are over before 64


def test_rows_of_263_are_as_many_as_asked_for():
    form = representation("263")
    clip = MotionClip(np.tile([0.0, 0.95, 0.0], (60, 1)), np.tile(rotations.IDENTITY, (60, 22, 1)), form.fps)
    windows = mixed_windows([form.encode(clip)], torch.zeros((4, 3), dtype=torch.long), form, 32)
    assert windows.shape == (4, 32, 263) and np.isfinite(windows).all()


def test_body_parts():
    assert len(UPPER_BODY) == 13 and [len(arm) for arm in ARMS] == [4, 4]


def test_lever_arms_say_how_much_of_the_body_a_joint_moves():
    arms = dict(zip(JOINT_INDEX, kinematics.lever_arms(), strict=True))
    assert (
        arms["pelvis"] > arms["spine1"] > arms["left_collar"] > arms["left_elbow"] > arms["left_wrist"] == 0
    )
    assert np.isclose(arms["left_hip"], arms["right_hip"]) and arms["left_hip"] > arms["left_knee"]
    # One wrist, 0.25 m from the elbow, of 22 joints.
    assert np.isclose(arms["left_elbow"], 0.25 / np.sqrt(22))
    weights = FORM.weights[FORM.groups[-1]].reshape(22, 6)
    assert (
        weights[0].min() > weights[JOINT_INDEX["left_elbow"]].max() >= weights[JOINT_INDEX["head"]].max() > 0
    )
