"""Curves made straight: where a walk goes changes, how it walks and where its feet stand does not."""

import numpy as np
import pytest

from kmm_core.evaluate import geometry
from kmm_core.motion import rotations
from kmm_core.motion.foot_contact import foot_slide
from kmm_core.skeleton import JOINT_INDEX
from kmm_core.train.straighten import straightened

from ..evaluate import bodies


@pytest.mark.parametrize("turn", [-120, 60])
def test_a_curve_becomes_a_straight_line_of_its_length(turn):
    curve = bodies.walk(turn=turn)
    straight = straightened(curve)
    assert np.degrees(geometry.wander(curve)) > abs(turn) / 3
    assert np.degrees(geometry.wander(straight)) < 8 and abs(np.degrees(geometry.turn_angle(straight))) < 5
    # The pelvis swings about the foot that stands, so the way differs a little.
    assert geometry.travel(straight).path == pytest.approx(geometry.travel(curve).path, rel=0.1)
    assert foot_slide(straight) <= foot_slide(curve)
    arms = [JOINT_INDEX[f"{side}_shoulder"] for side in ("left", "right")]
    assert np.array_equal(straight.local_rotations[:, arms], curve.local_rotations[:, arms])


def test_the_foot_that_the_body_stands_on_stays_in_place():
    root, local = bodies.standing(60)
    foot = JOINT_INDEX["left_foot"]
    place = bodies.clip(root, local).joint_positions()[0, foot] * [1, 0, 1]
    yaw = rotations.from_yaw(np.linspace(0, 1, 60))
    local[:, 0] = rotations.multiply(yaw, local[:, 0])
    turning = bodies.clip(rotations.rotate(yaw, root - place) + place, local)
    straight = straightened(turning)
    assert abs(geometry.turn_angle(straight)) < 0.05 < abs(geometry.turn_angle(turning))
    assert np.linalg.norm(np.ptp(straight.joint_positions()[:, foot], axis=0)) < 0.01
    # The other foot went round it, and now stays, too.
    other = JOINT_INDEX["right_foot"]
    assert np.linalg.norm(np.ptp(straight.joint_positions()[:, other], axis=0)) < 0.1
    assert np.linalg.norm(np.ptp(turning.joint_positions()[:, other], axis=0)) > 0.15


def test_a_straight_walk_stays_as_it_is():
    walk = bodies.walk()
    assert np.abs(straightened(walk).root_positions - walk.root_positions)[:, [0, 2]].max() < 0.01


def test_very_short_clips():
    for frames in (1, 2, 5):
        assert straightened(bodies.walk(frames=frames)).num_frames == frames
