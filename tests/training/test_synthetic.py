"""Clips made by code show what their captions say, judged from joint positions."""

import random

import numpy as np
import pytest

from kmm_core.motion.placement import facing, sole_heights
from kmm_core.skeleton import JOINT_INDEX
from training.recipes.synthetic import RECIPE, make_clip


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("action", ["raise_arm", "wave"])
def test_the_named_arm_rises(action, side):
    joints = make_clip(action, side, "none", random.Random(1)).joint_positions()
    rise = {name: np.ptp(joints[:, JOINT_INDEX[f"{name}_wrist"], 1]) for name in ("left", "right")}
    other = "right" if side == "left" else "left"
    assert rise[side] > 0.6 and rise[other] < 0.1


@pytest.mark.parametrize(("turn", "sign"), [("left", 1), ("right", -1), ("none", 0)])
def test_walks_go_forward_and_turn_as_told(turn, sign):
    clip = make_clip("walk", "none", turn, random.Random(1))
    heading = np.unwrap(facing(clip))
    path = np.linalg.norm(np.diff(clip.root_positions[:, [0, 2]], axis=0), axis=1).sum()
    assert path / clip.seconds > 0.5
    assert abs(heading[-1] - heading[0]) < 0.1 if sign == 0 else sign * (heading[-1] - heading[0]) > 1.0
    if sign == 0:
        assert clip.root_positions[-1, 2] - clip.root_positions[0, 2] > 0.9 * path


def test_the_standing_foot_stays_on_its_spot():
    clip = make_clip("walk", "none", "none", random.Random(1))
    feet = clip.joint_positions()[:, [JOINT_INDEX["left_foot"], JOINT_INDEX["right_foot"]]]
    moved = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=0), axis=-1)
    still = moved.argmin(axis=1)
    assert moved.min(axis=1).max() < 1e-6 and set(still) == {0, 1}
    assert feet[1:, :, 1][np.arange(len(still)), still].max() < 0.06
    assert abs(sole_heights(clip).min()) < 0.02


def test_captions_name_the_side_and_are_the_same_every_time():
    for take in RECIPE.takes(None, None):
        clip = RECIPE.read(take)
        [cut] = RECIPE.cuts(take, clip)
        assert [cut] == list(RECIPE.cuts(take, RECIPE.read(take)))
        assert cut.captions and cut.stop == clip.num_frames
        for key in ("side", "turn"):
            if cut.labels[key] in ("left", "right"):
                assert all(cut.labels[key] in caption for caption in cut.captions)
