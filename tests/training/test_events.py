"""Events that geometry finds in a take: sitting down, short and with the time on the seat."""

import numpy as np

from kmm_core.clip import MotionClip
from training.recipes.events import find_events


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
