"""Foot contact: detection, slide, and a clean-up that plants feet without touching anything else."""

import os
from pathlib import Path

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.motion import foot_contact, rotations
from kmm_core.skeleton import JOINT_INDEX, NUM_JOINTS, SOLE_THICKNESS

LEGS = [JOINT_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("hip", "knee", "ankle")]
FEET = [JOINT_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("ankle", "foot")]
DATA = Path(os.environ.get("KMM_DATA", "/work/cache"))


def crouching_clip(num_frames: int, bend: float = 0.5, fps: float = 30.0) -> MotionClip:
    """Someone who stands still, soles on the floor, hips and ankles bent by ``bend`` radians."""
    local = np.zeros((num_frames, NUM_JOINTS, 4))
    local[..., 0] = 1
    for side in ("left", "right"):
        for name, angle in (("hip", -bend), ("knee", 2 * bend), ("ankle", -bend)):
            local[:, JOINT_INDEX[f"{side}_{name}"]] = rotations.from_axis_angle([1.0, 0, 0], angle)
    clip = MotionClip(np.zeros((num_frames, 3)), local, fps)
    return clip.moved(translation=(0, SOLE_THICKNESS - clip.joint_positions()[0, FEET[1], 1], 0))


def carried(clip: MotionClip, path) -> MotionClip:
    """The clip with the root moved along ``path`` [F, 3] m."""
    return MotionClip(clip.root_positions + path, clip.local_rotations, clip.fps)


def drifting_clip(num_frames: int = 30, speed: float = 0.1) -> MotionClip:
    """Crouching, and gliding sideways over the floor at ``speed`` m/s."""
    path = np.zeros((num_frames, 3))
    path[:, 0] = np.arange(num_frames) * speed / 30
    return carried(crouching_clip(num_frames), path)


def jumping_clip() -> MotionClip:
    """One second on the floor, 0.8 s in the air (80 cm high, 1 m forward), one second on the floor."""
    path = np.zeros((84, 3))
    t = np.linspace(0, 1, 24)
    path[30:54, 1] = 3.2 * t * (1 - t)
    path[30:54, 2] = t
    path[54:, 2] = 1
    return carried(crouching_clip(84), path)


def test_standing_still_is_contact_throughout():
    assert foot_contact.detect_contacts(crouching_clip(30)).all()
    assert foot_contact.foot_slide(crouching_clip(30)) == 0


def test_columns_are_left_ankle_left_foot_right_ankle_right_foot():
    clip = crouching_clip(30)
    local = clip.local_rotations.copy()
    local[:, JOINT_INDEX["left_hip"]] = rotations.from_axis_angle([1.0, 0, 0], -1.5)
    assert foot_contact.detect_contacts(MotionClip(clip.root_positions, local, 30.0)).all(
        axis=0
    ).tolist() == [
        False,
        False,
        True,
        True,
    ]
    local = clip.local_rotations.copy()
    # Tiptoe on the right: the ankle comes up by 6 cm, the ball stays.
    local[:, JOINT_INDEX["right_ankle"]] = rotations.from_axis_angle([1.0, 0, 0], 0.0)
    tiptoe = MotionClip(clip.root_positions, local, 30.0)
    tiptoe = tiptoe.moved(translation=(0, 0.02 - tiptoe.joint_positions()[0, FEET[3], 1], 0))
    assert foot_contact.detect_contacts(tiptoe)[:, 2:].all(axis=0).tolist() == [False, True]


def test_no_contact_in_the_air_or_at_a_run():
    contacts = foot_contact.detect_contacts(jumping_clip()).all(axis=1)
    assert contacts[:28].all() and not contacts[34:50].any() and contacts[57:].all()
    assert not foot_contact.detect_contacts(drifting_clip(speed=1.0)).any()


def test_hysteresis_bridges_but_does_not_start():
    """0.35 m/s goes on where a slower contact began, and is none on its own."""
    speed = np.full(60, 0.35)
    assert not foot_contact.detect_contacts(drifting_clip(60, speed=0.35)).any()
    speed[:15] = 0.05
    path = np.zeros((60, 3))
    path[:, 0] = np.cumsum(speed) / 30
    assert foot_contact.detect_contacts(carried(crouching_clip(60), path)).all()


def test_an_instant_of_speed_is_no_step():
    def contacts(fastest):
        speed = np.full(60, 0.4)
        speed[:15] = speed[45:] = 0.1
        speed[30:32] = fastest
        path = np.zeros((60, 3))
        path[:, 0] = np.cumsum(speed) / 30
        return foot_contact.detect_contacts(carried(crouching_clip(60), path))

    assert contacts(0.55).all()
    assert not contacts(1.5)[30].any()


def test_slide_is_metres_a_second():
    assert foot_contact.foot_slide(drifting_clip(speed=0.1)) == pytest.approx(0.1)
    assert foot_contact.foot_slide(drifting_clip(speed=1.0)) == 0


def test_clean_up_plants_drifting_feet():
    clip = drifting_clip()
    cleaned = foot_contact.clean_feet(clip)
    assert cleaned.num_frames == clip.num_frames and cleaned.fps == clip.fps
    assert foot_contact.foot_slide(cleaned) < 0.05 * foot_contact.foot_slide(clip)
    feet = cleaned.joint_positions()[:, FEET]
    # Held where they were on average, soles level as before.
    np.testing.assert_allclose(feet.mean(axis=0), clip.joint_positions()[:, FEET].mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(feet[:, 1] - feet[:, 0], (feet[:, 1] - feet[:, 0])[[0] * 30], atol=1e-9)


@pytest.mark.parametrize("axis", [0, 2])
def test_planted_feet_do_not_move_at_all(axis):
    path = np.zeros((30, 3))
    path[:, axis] = np.linspace(-0.03, 0.03, 30)
    feet = foot_contact.clean_feet(carried(crouching_clip(30), path)).joint_positions()[:, FEET]
    assert np.ptp(feet, axis=0).max() < 1e-4


def twisting_clip(degrees: float, num_frames: int = 60) -> MotionClip:
    """Crouching, the left foot twisting about its ankle by ``degrees`` to either side."""
    clip = crouching_clip(num_frames)
    world = rotations.from_yaw(np.radians(degrees) * np.sin(np.linspace(0, 2 * np.pi, num_frames)))
    local = clip.local_rotations.copy()
    # Hip, knee and ankle angles add up to 0, so the foot's own frame is the world's.
    local[:, LEGS[2]] = rotations.multiply(local[:, LEGS[2]], world)
    return MotionClip(clip.root_positions, local, clip.fps)


def left_foot_headings(clip: MotionClip) -> np.ndarray:
    joints = clip.joint_positions()
    along = joints[:, FEET[1]] - joints[:, FEET[0]]
    return np.degrees(np.arctan2(along[:, 0], along[:, 2]))


def test_a_flat_foot_does_not_twist():
    clip = twisting_clip(8)
    assert foot_contact.detect_contacts(clip).all() and np.ptp(left_foot_headings(clip)) > 15
    cleaned = foot_contact.clean_feet(clip)
    assert np.ptp(left_foot_headings(cleaned)) < 0.1
    assert left_foot_headings(cleaned).mean() == pytest.approx(left_foot_headings(clip).mean(), abs=0.1)
    assert np.ptp(cleaned.joint_positions()[:, FEET], axis=0).max() < 1e-3
    np.testing.assert_allclose(
        cleaned.local_rotations[:, LEGS[3:]], clip.local_rotations[:, LEGS[3:]], atol=1e-12
    )


def test_a_foot_on_its_ball_turns_freely():
    """Heel up, the foot pivots about its ball: that is how people turn on the spot."""
    clip = twisting_clip(20)
    local = clip.local_rotations.copy()
    # Tiptoe: 0.6 rad more at both ankles.
    for ankle in (LEGS[2], LEGS[5]):
        local[:, ankle] = rotations.multiply(local[:, ankle], rotations.from_axis_angle([1.0, 0, 0], 0.6))
    clip = MotionClip(clip.root_positions, local, clip.fps)
    clip = clip.moved(translation=(0, SOLE_THICKNESS - clip.joint_positions()[0, FEET[1], 1], 0))
    assert not foot_contact.detect_contacts(clip)[:, 0].any()
    cleaned = foot_contact.clean_feet(clip)
    np.testing.assert_allclose(left_foot_headings(cleaned), left_foot_headings(clip), atol=1)
    before, after = (np.ptp(c.joint_positions()[:, FEET[1], [0, 2]], axis=0).max() for c in (clip, cleaned))
    assert before > 0.04 and after < 1e-3


def test_straight_knees_give_way_forward():
    """A straight leg does not show which way its knee bends."""
    sinking = np.zeros((60, 3))
    sinking[:, 1] = -0.02 * np.sin(np.linspace(0, np.pi, 60))
    knees = [JOINT_INDEX["left_knee"], JOINT_INDEX["right_knee"]]
    clip = carried(crouching_clip(60, bend=0), sinking)
    bend = foot_contact.clean_feet(clip).joint_positions()[:, knees, 2] - clip.joint_positions()[:, knees, 2]
    assert bend.min() > -1e-4 and bend.max() > 0.05


@pytest.mark.parametrize("bend", [-0.03, -0.02, -0.01])
def test_a_knee_stretched_beyond_straight_does_not_snap(bend):
    """Stiff recordings ("walks like a zombie") have such legs: a body that bobs by 3 mm over them took knees 4 cm at once."""
    path = np.zeros((90, 3))
    path[:, 0] = np.arange(90) * 0.05 / 30
    path[:, 1] = -0.0015 - 0.0015 * np.sin(2 * np.pi * np.arange(90) / 15)
    clip = carried(crouching_clip(90, bend), path)
    cleaned = foot_contact.clean_feet(clip)
    knees = [JOINT_INDEX["left_knee"], JOINT_INDEX["right_knee"]]
    assert np.linalg.norm(np.diff(cleaned.joint_positions()[:, knees], axis=0), axis=-1).max() < 0.012
    assert foot_contact.foot_slide(cleaned) < 0.1 * foot_contact.foot_slide(clip)


def test_clean_up_leaves_everything_else_alone():
    clip = drifting_clip()
    cleaned = foot_contact.clean_feet(clip)
    others = [joint for joint in range(NUM_JOINTS) if joint not in LEGS]
    np.testing.assert_array_equal(cleaned.local_rotations[:, others], clip.local_rotations[:, others])
    np.testing.assert_array_equal(cleaned.root_positions[:, [0, 2]], clip.root_positions[:, [0, 2]])
    drop = clip.root_positions[:, 1] - cleaned.root_positions[:, 1]
    assert drop.min() >= 0 and drop.max() <= 0.06


def test_straight_legs_reach_their_plants_by_a_lower_pelvis():
    path = np.zeros((30, 3))
    path[:, 0] = np.linspace(0, 0.12, 30)
    clip = carried(crouching_clip(30, bend=0.06), path)
    cleaned = foot_contact.clean_feet(clip)
    drop = clip.root_positions[:, 1] - cleaned.root_positions[:, 1]
    assert 0.0005 < drop.max() < 0.02
    assert foot_contact.foot_slide(cleaned) < 0.15 * foot_contact.foot_slide(clip)
    heights = cleaned.joint_positions()[:, FEET, 1] - clip.joint_positions()[:, FEET, 1]
    assert np.abs(heights).max() < 1e-3  # straight knees give way softly


def test_knees_keep_pointing_where_they_did():
    """Knees turned out by 40 degrees stay turned out while the feet are moved by centimetres."""
    clip = drifting_clip()
    local = clip.local_rotations.copy()
    for side, angle in (("left", 0.7), ("right", -0.7)):
        hip, ankle = JOINT_INDEX[f"{side}_hip"], JOINT_INDEX[f"{side}_ankle"]
        local[:, hip] = rotations.multiply(rotations.from_yaw(angle), local[:, hip])
        local[:, ankle] = rotations.multiply(local[:, ankle], rotations.from_yaw(-angle))
    clip = MotionClip(clip.root_positions, local, clip.fps)

    def pointing(clip):
        hip, knee, ankle = (
            clip.joint_positions()[:, [JOINT_INDEX["left_" + n], JOINT_INDEX["right_" + n]]]
            for n in ("hip", "knee", "ankle")
        )
        leg = rotations.normalize(ankle - hip)
        aside = knee - hip
        return rotations.normalize(aside - np.sum(aside * leg, axis=-1, keepdims=True) * leg)

    cleaned = foot_contact.clean_feet(clip)
    assert np.abs(cleaned.joint_positions() - clip.joint_positions()).max() > 0.03
    assert np.sum(pointing(clip) * pointing(cleaned), axis=-1).min() > np.cos(np.deg2rad(10))


def test_feet_under_the_floor_come_up():
    path = np.zeros((60, 3))
    path[:, 1] = -0.03 * np.sin(np.linspace(0, 6, 60)) ** 2
    clip = carried(crouching_clip(60), path)
    assert clip.joint_positions()[..., 1].min() < SOLE_THICKNESS - 0.025
    assert foot_contact.clean_feet(clip).joint_positions()[..., 1].min() > SOLE_THICKNESS - 1e-3


def test_the_envelope_is_smooth_and_nowhere_below():
    values = np.random.default_rng(0).uniform(0, 1, (60, 2)) ** 8
    envelope = foot_contact._envelope(values, 30.0)
    assert envelope.shape == values.shape and (envelope >= values - 1e-12).all()
    assert np.abs(np.diff(envelope, axis=0)).max() <= values.max() / 7  # a mean of three frames either way


def test_a_jump_stays_in_the_air():
    clip = jumping_clip()
    cleaned = foot_contact.clean_feet(clip)
    np.testing.assert_allclose(cleaned.joint_positions(), clip.joint_positions(), atol=0.02)
    np.testing.assert_allclose(
        cleaned.joint_positions()[:, FEET, 1], clip.joint_positions()[:, FEET, 1], atol=1e-6
    )


def test_before_the_first_plant_and_after_the_last_the_correction_fades():
    path = np.zeros((60, 3))
    path[:, 0] = 0.1 * np.arange(60) / 30
    path[:11, 1] = path[49:, 1] = 0.3
    clip = carried(crouching_clip(60), path)
    moved = np.abs(foot_contact.clean_feet(clip).joint_positions() - clip.joint_positions()).max(axis=(1, 2))
    assert moved[20:40].max() > 0.03 and moved[[0, 1, -2, -1]].max() < 1e-6


def test_without_contact_nothing_changes():
    clip = drifting_clip(speed=1.0)
    cleaned = foot_contact.clean_feet(clip)
    assert rotations.angle_between(cleaned.local_rotations, clip.local_rotations).max() < 1e-6
    np.testing.assert_array_equal(cleaned.root_positions, clip.root_positions)


@pytest.mark.parametrize("pose", ["lying", "sitting"])
def test_lying_and_sitting_still_are_untouched(pose):
    clip = crouching_clip(40, bend=0.9)
    if pose == "lying":
        local = clip.local_rotations.copy()
        local[:, 0] = rotations.from_axis_angle([1.0, 0, 0], -np.pi / 2)
        clip = MotionClip(np.tile([0.0, 0.12, 0.0], (40, 1)), local, 30.0)
    cleaned = foot_contact.clean_feet(clip)
    np.testing.assert_allclose(cleaned.joint_positions(), clip.joint_positions(), atol=1e-6)


def test_who_lies_and_slides_is_not_pressed_into_the_floor():
    """The feet are out of the legs' reach then, but sinking would not bring the hips nearer."""
    clip = crouching_clip(40, bend=0)
    local = clip.local_rotations.copy()
    local[:, 0] = rotations.from_axis_angle([1.0, 0, 0], -np.pi / 2)
    path = np.zeros((40, 3))
    path[:] = 0, 0.08, 0
    path[:, 2] = np.linspace(0, -0.1, 40)
    clip = MotionClip(path, local, 30.0)
    assert foot_contact.detect_contacts(clip).any()
    np.testing.assert_array_equal(foot_contact.clean_feet(clip).root_positions, path)


def skating_clip(num_frames: int, seed: int = 0) -> MotionClip:
    """Steps on the spot while the root wanders: feet slide, lift and land."""
    rng = np.random.default_rng(seed)
    t = np.arange(num_frames) / 30
    clip = crouching_clip(num_frames, bend=0.35)
    local = clip.local_rotations.copy()
    for side, phase in (("left", 0.0), ("right", np.pi)):
        lift = np.maximum(np.sin(2 * np.pi * 0.8 * t + phase), 0) ** 2
        for name, angle in (("hip", -0.6), ("knee", 1.1), ("ankle", -0.5)):
            joint = JOINT_INDEX[f"{side}_{name}"]
            turn = rotations.from_axis_angle([1.0, 0, 0], angle * lift)
            local[:, joint] = rotations.multiply(local[:, joint], turn)
    frequency, phase = rng.uniform(0.2, 0.8, (2, 3, 1))
    path = 0.05 * np.sin(2 * np.pi * frequency * t + 6 * phase).T * [1, 0, 1]
    return carried(MotionClip(clip.root_positions, local, 30.0), path)


def jerk(clip: MotionClip):
    return np.linalg.norm(np.diff(clip.joint_positions(), n=3, axis=0), axis=-1) * clip.fps**3


@pytest.mark.parametrize("seed", range(4))
def test_skating_steps_are_planted_without_pops(seed):
    clip = skating_clip(240, seed)
    cleaned = foot_contact.clean_feet(clip)
    assert foot_contact.foot_slide(clip) > 0.08
    assert foot_contact.foot_slide(cleaned) < 0.25 * foot_contact.foot_slide(clip)
    assert jerk(cleaned).max() < 1.3 * jerk(clip).max()


def test_left_and_right_and_every_heading_are_treated_alike():
    clip = skating_clip(150)
    cleaned = foot_contact.clean_feet(clip).joint_positions()
    mirrored = foot_contact.clean_feet(clip.mirrored()).mirrored().joint_positions()
    moved = foot_contact.clean_feet(clip.moved(2.0, (3, 0, 1))).moved(0.0, (-3, 0, -1)).moved(-2.0)
    np.testing.assert_allclose(mirrored, cleaned, atol=1e-9)
    np.testing.assert_allclose(moved.joint_positions(), cleaned, atol=1e-9)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 5])
def test_the_shortest_clips_survive(num_frames):
    clip = drifting_clip(num_frames)
    assert foot_contact.detect_contacts(clip).shape == (num_frames, 4)
    assert foot_contact.clean_feet(clip).num_frames == num_frames
    assert foot_contact.foot_slide(clip) >= 0


def test_other_frame_rates():
    clip = skating_clip(240).resample(120.0)
    assert foot_contact.foot_slide(foot_contact.clean_feet(clip)) < 0.25 * foot_contact.foot_slide(clip)


def real_clips() -> list[Path]:
    names = (
        "bandai-namco/*2/data/dataset-2_walk_normal_003.bvh",
        "cmu-dance/salsa/01.bvh",
        "100style/Drunk_SW.bvh",
    )
    return [path for name in names for path in sorted(DATA.glob(name))[:1]]


@pytest.mark.skipif(not real_clips(), reason="no unpacked recordings; set KMM_DATA to their folder")
@pytest.mark.parametrize("path", real_clips(), ids=lambda path: path.stem)
def test_recordings_slide_less_and_do_not_jerk_more(path):
    from kmm_core.formats.bvh import read_bvh
    from kmm_core.motion.retarget import to_canonical

    clip = to_canonical(read_bvh(path)).resample(30.0).slice(0, 600)
    cleaned = foot_contact.clean_feet(clip)
    assert foot_contact.foot_slide(cleaned) < 0.5 * foot_contact.foot_slide(clip)
    assert jerk(cleaned).mean() < 1.05 * jerk(clip).mean()
    assert np.percentile(jerk(cleaned), 99.5) < 1.1 * np.percentile(jerk(clip), 99.5)
    assert np.linalg.norm(cleaned.joint_positions() - clip.joint_positions(), axis=-1).max() < 0.12
