"""Events that geometry finds in a take: sitting down, short and with the time on the seat."""

import re

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.evaluate import geometry
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_INDEX
from training.data_checks import Sides
from training.recipes.events import find_events, punches, punching_hand


def test_a_seat_is_cut_short_and_with_the_time_spent_on_it():
    height = np.concatenate(
        [
            np.full(60, 0.95),
            np.linspace(0.95, 0.55, 24),
            np.full(90, 0.55),
            np.linspace(0.55, 0.95, 24),
            np.full(40, 0.95),
        ]
    )
    frames = len(height)
    rotations = np.zeros((frames, 22, 4))
    rotations[..., 0] = 1
    positions = np.stack([np.zeros(frames), height, np.zeros(frames)], axis=1)
    clip = MotionClip(root_positions=positions, local_rotations=rotations, fps=30.0)
    cuts = [cut for cut in find_events("take", clip, seats=True) if cut.labels["action"] == "sit_down"]
    short, long = sorted(cuts, key=lambda cut: cut.stop)
    assert short.start == long.start < 60
    assert height[short.start : short.stop].min() < 0.6
    # Up to here everybody sits: the pelvis leaves the seat's height at frame 174 plus a little.
    assert long.stop - short.stop >= 60 and height[long.start : long.stop][-1] < 0.7
    assert [cut for cut in find_events("take", clip) if cut.labels["action"] == "sit_down"] == []


def test_standing_still_is_with_the_arms_hanging_and_the_feet_near():
    def posed(**turned: float) -> MotionClip:
        rotations_of = np.tile(rotations.IDENTITY, (60, 22, 1))
        # The rest pose is a T: the arms hang when they are turned down.
        for name, angle in {"left_shoulder": -1.3, "right_shoulder": 1.3, **turned}.items():
            rotations_of[:, JOINT_INDEX[name]] = rotations.from_axis_angle(
                np.array([0.0, 0, 1]), np.full(60, angle)
            )
        return MotionClip(np.tile([0, 0.95, 0.0], (60, 1)), rotations_of, 30.0)

    def stands(clip: MotionClip) -> bool:
        return "stand" in [cut.labels["action"] for cut in find_events("take", clip)]

    assert stands(posed())
    assert not stands(posed(left_shoulder=0.0))
    assert not stands(posed(left_hip=0.4, right_hip=-0.4))
    on_the_toes = posed(left_hip=0.5, left_knee=-1.0)  # the ankle comes up and stays beside the other
    assert geometry.foot_spread(on_the_toes).max() < 0.35
    assert not stands(on_the_toes)


def test_a_fight_is_cut_where_its_punches_are():
    def reaching(reach: np.ndarray) -> MotionClip:
        """The left fist goes out from the chest and back: 0 is bent, 1 straight to the side."""
        rotations_of = np.tile(rotations.IDENTITY, (len(reach), 22, 1))
        rotations_of[:, JOINT_INDEX["left_elbow"]] = rotations.from_axis_angle(
            np.array([0.0, 1, 0]), -2.5 * (1 - reach)
        )
        return MotionClip(np.tile([0, 0.95, 0.0], (len(reach), 1)), rotations_of, 30.0)

    reach = np.zeros(240)
    for hit in (60, 75, 200):  # two together, and one much later
        reach[hit : hit + 5] = [0.3, 0.7, 1.0, 0.6, 0.2]
    fight = reaching(reach)
    (start, stop), (later, end) = punches(fight)
    assert 40 <= start < 58 and 80 < stop < 110 and 180 <= later < 198 and 205 < end <= 240
    assert punches(reaching(np.zeros(240))) == []


@pytest.mark.parametrize(("left", "right", "hand"), [(4, 0.5, "left"), (1, 3, "right"), (4, 3, "none")])
def test_the_only_hand_that_punches_is_named(left, right, hand):
    assert punching_hand(Sides(left, right)) == hand


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize(("degrees", "height"), [(10, "low"), (25, ""), (60, "high")])
def test_a_raised_arm_is_said_to_go_as_high_as_it_does_and_to_come_down_only_if_it_does(
    degrees, height, stays
):
    up = np.concatenate(
        [np.zeros(40), np.linspace(0, 1, 30), np.ones(60), np.linspace(1, 0, 30), np.zeros(40)]
    )
    turned = np.deg2rad(-75 + (75 + degrees) * (up[:130] if stays else up))  # a T where it is 0
    rotations_of = np.tile(rotations.IDENTITY, (len(turned), 22, 1))
    axis = np.array([0.0, 0, 1])
    rotations_of[:, JOINT_INDEX["left_shoulder"]] = rotations.from_axis_angle(axis, turned)
    rotations_of[:, JOINT_INDEX["right_shoulder"]] = rotations.from_axis_angle(
        axis, np.full(len(turned), 1.3)
    )
    clip = MotionClip(np.tile([0, 0.95, 0.0], (len(turned), 1)), rotations_of, 30.0)

    (cut,) = [cut for cut in find_events("take", clip, arms=True) if cut.labels["action"] == "raise_arm"]
    lowered = [text for text in cut.captions if re.search(r"lower|down|again", text)]
    assert cut.labels["side"] == "left" and len(cut.captions) > 3
    assert lowered == ([] if stays else list(cut.captions))
    assert any(re.search(r"overhead|(?<!very )\bhigh\b|in the air|above", text) for text in cut.captions) == (
        height == "high"
    )
    shoulder = [text for text in cut.captions if re.search(r"shoulder|halfway|a little|not very", text)]
    assert shoulder == (list(cut.captions) if height == "low" else [])


@pytest.mark.parametrize(("bend", "found"), [(0.0, 1), (0.6, 1), (1.6, 0)])
def test_a_hand_brought_up_by_a_bent_elbow_is_no_raised_arm(bend, found):
    turned = np.deg2rad(-75 + 120 * np.concatenate([np.zeros(40), np.linspace(0, 1, 30), np.ones(60)]))
    rotations_of = np.tile(rotations.IDENTITY, (len(turned), 22, 1))
    axis = np.array([0.0, 0, 1])
    rotations_of[:, JOINT_INDEX["left_shoulder"]] = rotations.from_axis_angle(axis, turned)
    rotations_of[:, JOINT_INDEX["left_elbow"]] = rotations.from_axis_angle(
        axis, np.where(turned > 0, bend, 0)
    )
    rotations_of[:, JOINT_INDEX["right_shoulder"]] = rotations.from_axis_angle(
        axis, np.full(len(turned), 1.3)
    )
    clip = MotionClip(np.tile([0, 0.95, 0.0], (len(turned), 1)), rotations_of, 30.0)
    cuts = [cut for cut in find_events("take", clip, arms=True) if cut.labels["action"] == "raise_arm"]
    assert len(cuts) == found
