"""What a body does, told from bodies that are moved by code, where the answer is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.evaluate import geometry

from . import bodies


def _both(first: MotionClip, second: MotionClip) -> MotionClip:
    """The arms of both clips at once (bodies stand alike otherwise)."""
    local = first.local_rotations.copy()
    for name in ("right_shoulder", "right_elbow"):
        local[:, bodies.JOINT_INDEX[name]] = second.local_rotations[:, bodies.JOINT_INDEX[name]]
    return MotionClip(first.root_positions, local, first.fps)


@pytest.mark.parametrize("side", geometry.SIDES)
def test_the_raised_hand_is_found_and_mirrors(side):
    other = "right" if side == "left" else "left"
    assert geometry.raised_hands(bodies.raise_arm(side)) == {side}
    assert geometry.raised_hands(bodies.raise_arm(side).mirrored()) == {other}
    assert geometry.raised_hands(bodies.raise_arm(side, degrees=30)) == frozenset()


def test_both_hands_and_none():
    assert geometry.raised_hands(_both(bodies.raise_arm("left"), bodies.raise_arm("right"))) == {
        "left",
        "right",
    }
    assert geometry.raised_hands(bodies.still()) == frozenset()


@pytest.mark.parametrize("level, raised", [(0.6, {"left"}), (0.0, set())])
def test_a_hand_that_is_up_all_along_counts_where_it_is_high(level, raised):
    up = bodies.raise_arm("left", degrees=np.degrees(np.arcsin(level) + np.pi / 2), frames=91).slice(45, 46)
    root, local = bodies.standing(60)
    local[:] = up.local_rotations
    assert geometry.raised_hands(bodies.clip(root, local)) == raised


def test_one_bad_frame_raises_no_hand():
    clip = bodies.still(60)
    clip.local_rotations[30] = bodies.raise_arm("left", frames=60).local_rotations[30]
    assert geometry.raised_hands(clip) == frozenset()


@pytest.mark.parametrize("side", geometry.SIDES)
def test_a_wave_swings_and_a_raise_does_not(side):
    assert geometry.waving_hands(bodies.wave(side)) == {side}
    assert geometry.waving_hands(bodies.raise_arm(side)) == frozenset()
    slow = bodies.wave(side, frames=400, hertz=0.3).slice(80, 320)  # without the way up and down
    assert geometry.waving_hands(slow) == frozenset()


def test_elevation_is_minus_one_level_and_one():
    elevation = geometry.arm_elevation(bodies.raise_arm("left", degrees=180, frames=91))["left"]
    assert elevation[0] == pytest.approx(-1, abs=1e-6)
    assert elevation[45] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("side", geometry.SIDES)
def test_the_lifted_leg_is_found(side):
    assert geometry.raised_legs(bodies.lift_leg(side)) == {side}
    assert geometry.raised_legs(bodies.lift_leg(side, degrees=25)) == frozenset()


def test_walking_running_and_squatting_lift_no_leg():
    assert geometry.raised_legs(bodies.walk()) == frozenset()
    assert geometry.raised_legs(bodies.crouch()) == frozenset()


@pytest.mark.parametrize("degrees", [-200, -90, 0, 45, 360])
def test_turn_angle_is_signed_and_unwrapped(degrees):
    assert np.degrees(geometry.turn_angle(bodies.walk(turn=degrees))) == pytest.approx(
        degrees, abs=max(3, 0.06 * abs(degrees))
    )


def test_travel_is_in_the_body_frame():
    turned = bodies.walk(speed=1.0, turn=180, frames=121).moved(yaw=1.3, translation=(5, 0, -2))
    way = geometry.travel(turned)
    # The smoothing at both ends eats a little of the path.
    assert way.forward == pytest.approx(4.0, abs=0.25)
    assert abs(way.left) < 0.1
    assert way.net == pytest.approx(4.0 * 2 / np.pi, abs=0.15)
    assert geometry.travel(bodies.walk(speed=-0.8)).forward < -2
    assert geometry.travel(bodies.walk(speed=0, sideways=0.8)).left > 2


def test_wander_is_how_far_the_way_turns_from_its_line():
    def wander(clip):
        return np.degrees(geometry.wander(clip))

    assert wander(bodies.walk()) < 1
    assert wander(bodies.walk(speed=0.0, sideways=0.6)) < 1  # whichever way the body faces
    # Over 4 s, seconds begin and end an eighth of the turn inside of it.
    assert wander(bodies.walk(turn=90)) == pytest.approx(90 * 3 / 8, abs=2)
    assert wander(bodies.still(60)) == 180
    walk = bodies.walk(frames=120)
    stop = walk.root_positions.copy()
    stop[60:] = stop[60]
    assert wander(bodies.clip(stop, walk.local_rotations)) == 180


def test_the_pace_is_that_of_the_fastest_joints_while_they_move():
    slow, quick = (geometry.pace(bodies.walk(speed=v, hertz=h)) for v, h in ((1.0, 0.8), (2.0, 1.6)))
    assert quick == pytest.approx(2 * slow, rel=0.05)
    assert geometry.pace(bodies.still()) == 0
    # Who stands for most of the time moves as fast as who does not.
    arm = bodies.raise_arm("left", 170, 60)
    wait = np.concatenate([np.arange(60), np.full(60, 59)])
    waiting = bodies.clip(arm.root_positions[wait], arm.local_rotations[wait])
    assert geometry.pace(waiting) == pytest.approx(geometry.pace(arm), rel=0.3)


def test_steps_are_counted():
    # 0.9 swings a second to either side for 4 s: a step every 0.56 s.
    assert geometry.steps(bodies.walk(hertz=0.9, frames=120)) == pytest.approx(7, abs=1)
    assert geometry.steps(bodies.still()) == 0


def test_flight_and_height_of_a_hop():
    hop = bodies.hop(height=0.3)
    assert geometry.longest_flight(hop) == pytest.approx(
        2 * np.sqrt(2 * (0.3 - geometry.OFF_FLOOR) / 9.81), abs=0.07
    )
    assert geometry.jump_height(hop) == pytest.approx(0.3, abs=0.02)
    assert geometry.longest_flight(bodies.still()) == 0


def test_pelvis_trunk_and_knees():
    assert geometry.pelvis_height(bodies.still()).min() == pytest.approx(1.0, abs=0.03)
    squat = bodies.crouch(depth=100)
    assert np.degrees(geometry.knee_bend(squat).max()) == pytest.approx(100, abs=1)
    assert geometry.pelvis_height(squat).min() < 0.75
    # The spine bends above the pelvis, so the line from pelvis to neck leans a little less than the joint.
    assert 30 < np.degrees(geometry.trunk_pitch(bodies.bow(45)).max()) <= 45
    assert np.degrees(geometry.trunk_pitch(bodies.bow(-30)).min()) < -20


@pytest.mark.parametrize("frames", [15, 60])
def test_getting_up_takes_as_long_as_the_pelvis_rises(frames):
    """A seat is reached within half of the clip, the middle half of the way in a third of that: the angle goes evenly."""
    seat = bodies.sit(2 * frames)
    height = geometry.pelvis_height(seat)[:frames]
    middle = np.ptp(np.flatnonzero(np.abs(height - (height[0] + height[-1]) / 2) < np.ptp(height) / 4)) / 30
    waiting = bodies.in_order(seat, [*[-1] * 30, *range(frames, 0, -1), *[0] * 30])
    assert geometry.rise_seconds(waiting) == pytest.approx(middle, abs=0.1) and middle > 0.1
    assert geometry.rise_seconds(seat) is None and geometry.rise_seconds(bodies.still()) is None


def test_jerk_of_a_cubic_is_its_third_derivative():
    root, local = bodies.standing(40)
    seconds = np.arange(40) / bodies.FPS
    root[:, 2] = 2.0 * seconds**3
    values = geometry.jerk(bodies.clip(root, local))
    assert values.shape == (37, 22)
    assert values == pytest.approx(12.0, rel=1e-6)


def test_seam_jerk_sees_a_jump_at_the_boundary():
    root, local = bodies.standing(120)
    root[:, 2] = 2.0 * (np.arange(120) / bodies.FPS) ** 3
    broken = root.copy()
    broken[60:, 0] += 0.2
    assert geometry.seam_jerk(bodies.clip(root, local), [60, 100], real=12.0) == pytest.approx(1.0)
    assert geometry.seam_jerk(bodies.clip(broken, local), [60], real=12.0) > 2
    assert geometry.seam_jerk(bodies.clip(broken, local), [100], real=12.0) == pytest.approx(1.0)


def test_floor_penetration_is_the_mean_depth():
    root, local = bodies.standing(30)
    root[:15, 1] -= 0.04
    assert geometry.floor_penetration(bodies.clip(root, local)) == pytest.approx(0.02, abs=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_very_short_clips_measure_without_error(frames):
    clip = bodies.still(frames)
    for measure in (
        geometry.turn_angle,
        geometry.wander,
        geometry.pace,
        geometry.travel,
        geometry.raised_hands,
        geometry.waving_hands,
        geometry.raised_legs,
    ):
        measure(clip)
    for measure in (
        geometry.longest_flight,
        geometry.jump_height,
        geometry.steps,
        geometry.liveliness,
        geometry.hand_speed,
    ):
        measure(clip)
