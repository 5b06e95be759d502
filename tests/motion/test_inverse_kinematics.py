"""Rotations from positions: bones point where the data's bones point, twist is natural and never flips."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import kinematics, rotations
from kmm_core.motion.inverse_kinematics import clip_from_positions
from kmm_core.motion.smpl_rest import SMPL_REST_OFFSETS, rest_pose
from kmm_core.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS, REST_OFFSETS

FPS = 30
ENDS = ("knee", "ankle", "foot", "elbow", "wrist")
LIMBS = [joint for joint, name in enumerate(JOINT_NAMES) if name.endswith(ENDS)]


def angles(a, b):
    """Angles in degrees between vectors, by arccos."""
    cosine = np.sum(a * b, axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def bone_directions(positions):
    return positions[:, LIMBS] - positions[:, [PARENTS[joint] for joint in LIMBS]]


def waves(random, count, low, high):
    t = np.arange(count) / FPS
    phases = random.uniform(0, 2 * np.pi, 2)
    wave = 0.6 * np.sin(2 * np.pi * 0.3 * t + phases[0]) + 0.4 * np.sin(2 * np.pi * 0.7 * t + phases[1])
    return np.radians((low + high) / 2 + (high - low) / 2 * wave)


def natural_clip(seed=0, count=180):
    """Joints that move as a body's joints do: hinges at knees and elbows, balls at hips and shoulders."""
    random = np.random.default_rng(seed)
    local = np.tile(rotations.IDENTITY, (count, 22, 1))

    def turn(name, order, *ranges):
        euler = np.stack([waves(random, count, *limits) for limits in ranges], axis=-1)
        local[:, JOINT_INDEX[name]] = rotations.from_euler(euler, order)

    turn("pelvis", "YXZ", (-180, 180), (-20, 30), (-10, 10))
    for name in ("spine1", "spine2", "spine3", "neck"):
        turn(name, "XYZ", (-5, 15), (-8, 8), (-6, 6))
    for side, sign in (("left", 1), ("right", -1)):
        turn(f"{side}_hip", "XZY", (-80, 20), (-5 * sign, 20 * sign), (-15, 15))
        turn(f"{side}_knee", "X", (5, 100))
        turn(f"{side}_ankle", "X", (-20, 20))
        turn(f"{side}_collar", "ZY", (-5, 8), (-5, 5))
        turn(f"{side}_shoulder", "YZX", (-40 * sign, 10 * sign), (-80 * sign, 20 * sign), (-30, 30))
        turn(f"{side}_elbow", "Y", (-110 * sign, -15 * sign))
    root = np.zeros((count, 3))
    root[:, 1], root[:, 2] = 1.0, 0.5 * np.arange(count) / FPS
    return MotionClip(root, local, FPS)


@pytest.mark.parametrize("seed", [0, 1])
def test_recovers_a_natural_clip(seed):
    clip = natural_clip(seed)
    solved = clip_from_positions(clip.joint_positions(), FPS)
    moved = solved.joint_positions() - solved.root_positions[:, None]
    error = np.linalg.norm(moved - (clip.joint_positions() - clip.root_positions[:, None]), axis=-1)
    assert error.mean() < 0.001
    assert np.delete(error, JOINT_INDEX["spine2"], axis=1).max() < 0.004
    difference = np.degrees(rotations.angle_between(clip.local_rotations, solved.local_rotations))
    for name in ("pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_elbow", "right_elbow"):
        assert difference[:, JOINT_INDEX[name]].mean() < 2.0, name
    # The pelvis moves as given; only the height over the floor is found anew.
    travelled = solved.root_positions - clip.root_positions
    assert np.ptp(travelled, axis=0).max() < 1e-6


def test_rest_pose_is_the_identity_but_for_the_twist_of_raised_arms():
    rest = MotionClip(np.zeros((1, 3)), np.tile(rotations.IDENTITY, (1, 22, 1)), FPS)
    solved = clip_from_positions(rest.joint_positions(), FPS)
    assert np.abs(solved.joint_positions() - solved.root_positions - rest.joint_positions()).max() < 1e-9
    vectors = np.degrees(rotations.to_rotation_vector(solved.local_rotations))[0]
    shoulders = [JOINT_INDEX["left_shoulder"], JOINT_INDEX["right_shoulder"]]
    assert np.abs(np.delete(vectors, shoulders, axis=0)).max() < 1e-4
    # Outward: what looked down in T-pose looks forward. About -X on both sides.
    assert vectors[shoulders] == pytest.approx(np.array([[-70.0, 0, 0]] * 2), abs=5)


def test_smpl_proportions_are_recognised_and_corrected():
    joints = SMPL_REST_OFFSETS.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            joints[joint] += joints[parent]
    solved = clip_from_positions(1.07 * joints[None], FPS)
    world = np.degrees(rotations.to_rotation_vector(rest_pose(SMPL_REST_OFFSETS)))
    # The curved spine and the head in front of it stand upright; toes and legs keep SMPL's directions.
    for name in ("pelvis", "spine1", "spine2", "spine3", "neck", "head", "left_collar"):
        angle = rotations.angle_between(solved.local_rotations[0, JOINT_INDEX[name]], rotations.IDENTITY)
        assert np.degrees(angle) < 0.1, name
    assert angles(bone_directions(solved.joint_positions()), bone_directions(joints[None])).max() < 0.1
    assert np.abs(world[JOINT_INDEX["left_ankle"]]).max() > 10


def test_size_of_the_person_does_not_matter():
    clip = natural_clip()
    small = clip_from_positions(0.5 * clip.joint_positions(), FPS)
    same = clip_from_positions(clip.joint_positions(), FPS)
    assert np.abs(small.local_rotations - same.local_rotations).max() < 1e-9
    assert np.abs(small.root_positions - same.root_positions).max() < 1e-9


def test_mirrored_positions_give_the_mirrored_clip():
    clip = natural_clip()
    mirrored = clip_from_positions(clip.mirrored().joint_positions(), FPS)
    expected = clip_from_positions(clip.joint_positions(), FPS).mirrored()
    assert (
        np.degrees(rotations.angle_between(mirrored.local_rotations, expected.local_rotations)).max() < 0.01
    )


def test_supporting_foot_stays_where_it_is():
    """A person of other proportions sways on feet that stand still; so do ours."""
    clip = natural_clip()
    t = np.arange(60) / FPS
    local = np.tile(rotations.IDENTITY, (60, 22, 1))
    bend = 0.5 + 0.4 * np.sin(2 * np.pi * t)
    x = np.array([1.0, 0, 0])
    for side in ("left", "right"):
        for name, share in (("hip", -1), ("knee", 2), ("ankle", -1)):
            local[:, JOINT_INDEX[f"{side}_{name}"]] = rotations.from_axis_angle(x, share * bend)
    offsets = REST_OFFSETS.copy()
    offsets[[4, 5]] *= 1.25  # thighs
    positions = kinematics.joint_positions(np.zeros((60, 3)), local, offsets)
    positions -= positions[:, [JOINT_INDEX["left_foot"]]]
    solved = clip_from_positions(positions, clip.fps).joint_positions()
    for name in ("left_foot", "right_foot", "left_ankle", "right_ankle"):
        assert np.ptp(solved[:, JOINT_INDEX[name]], axis=0).max() < 0.002, name
    assert abs(solved[:, JOINT_INDEX["left_foot"], 1].min() - 0.02) < 0.002


def test_straight_and_overstretched_limbs_never_flip():
    """Elbow and knee go through straight to 12 degrees of overstretch, as joint centres of real data do."""
    count = 120
    bend = np.radians(14 + 26 * np.sin(2 * np.pi * np.arange(count) / count))
    local = np.tile(rotations.IDENTITY, (count, 22, 1))
    local[:, JOINT_INDEX["left_shoulder"]] = rotations.from_axis_angle([0, 0, 1.0], np.radians(-75))
    local[:, JOINT_INDEX["left_elbow"]] = rotations.from_axis_angle([0, -1.0, 0], bend)
    local[:, JOINT_INDEX["right_knee"]] = rotations.from_axis_angle([1.0, 0, 0], bend)
    clip = MotionClip(np.zeros((count, 3)), local, FPS)
    positions = clip.joint_positions() + np.random.default_rng(0).normal(0, 0.0005, (count, 22, 3))
    solved = clip_from_positions(positions, FPS).local_rotations
    step = np.degrees(rotations.angle_between(solved[1:], solved[:-1]))
    assert step.max() < 5
    difference = np.degrees(rotations.angle_between(solved, local))
    assert difference[:, [JOINT_INDEX["left_shoulder"], JOINT_INDEX["right_hip"]]].max() < 20


def test_soles_are_level_on_the_floor():
    """Legs spread sideways by 15 degrees with flat feet: the ankles undo it."""
    local = np.tile(rotations.IDENTITY, (5, 22, 1))
    for side, sign in (("left", 1), ("right", -1)):
        local[:, JOINT_INDEX[f"{side}_hip"]] = rotations.from_axis_angle([0, 0, 1.0], sign * np.radians(15))
        local[:, JOINT_INDEX[f"{side}_ankle"]] = rotations.from_axis_angle(
            [0, 0, 1.0], -sign * np.radians(15)
        )
    clip = MotionClip(np.zeros((5, 3)), local, FPS)
    world = kinematics.global_rotations(clip_from_positions(clip.joint_positions(), FPS).local_rotations)
    for name in ("left_ankle", "right_ankle"):
        across = rotations.rotate(world[:, JOINT_INDEX[name]], np.array([1.0, 0, 0]))
        assert np.abs(across[:, 1]).max() < 1e-6, name


def test_one_frame_and_long_clips():
    positions = natural_clip().joint_positions()
    assert clip_from_positions(positions[:1], FPS).num_frames == 1
    assert clip_from_positions(np.tile(positions, (20, 1, 1)), FPS).num_frames == 20 * len(positions)


@pytest.mark.parametrize("shape", [(22, 3), (0, 22, 3), (4, 21, 3), (4, 22, 2)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(KmmError, match=r"expected \[F, 22, 3\]") as caught:
        clip_from_positions(np.zeros(shape), FPS)
    assert caught.value.code == "bad_positions"


def test_nan_is_refused_with_its_frame():
    positions = natural_clip().joint_positions()
    positions[7, 3, 1] = np.nan
    with pytest.raises(KmmError, match="from frame 7 on"):
        clip_from_positions(positions, FPS)


@pytest.mark.parametrize("fps", [0, -30, float("nan"), float("inf")])
def test_bad_frame_rates_are_refused(fps):
    with pytest.raises(KmmError, match="is not a positive number"):
        clip_from_positions(natural_clip().joint_positions(), fps)


def test_legs_without_length_are_refused():
    with pytest.raises(KmmError, match="has no length"):
        clip_from_positions(np.zeros((3, 22, 3)), FPS)


def real_clips():
    folder = Path(os.environ.get("KMM_DATA", "/work/cache")) / "ui-prmd" / "joints"
    return sorted(folder.glob("*.npy"))[::20]


@pytest.mark.skipif(not real_clips(), reason="UI-PRMD not found; set KMM_DATA to the unpacked data")
def test_real_repetitions():
    for file in real_clips():
        positions = np.load(file).astype(float)
        clip = clip_from_positions(positions, FPS)
        assert angles(bone_directions(clip.joint_positions()), bone_directions(positions)).max() < 1, (
            file.name
        )
        step = np.degrees(rotations.angle_between(clip.local_rotations[1:], clip.local_rotations[:-1]))
        assert step.max() < 20, file.name
        # Twice as far from the rest pose as any living shoulder or hip twists would be a flip that lasts.
        knees = clip.local_rotations[:, [JOINT_INDEX["left_knee"], JOINT_INDEX["right_knee"]]]
        flexion = np.degrees(rotations.to_rotation_vector(knees))[..., 0]
        assert flexion.min() > -25, file.name
