"""PoseKeys check themselves."""

import numpy as np
import pytest

from kmm_blender.scene.pose_keys import PoseKeys
from kmm_core.errors import KmmError

TURNS = np.tile([1.0, 0.0, 0.0, 0.0], (3, 2, 1))


def test_counts_its_frames():
    keys = PoseKeys(("a", "b"), TURNS, 30.0, {"a": np.zeros((3, 3))}, np.zeros((3, 3)), TURNS[:, 0])
    assert keys.num_frames == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bone_names": ("a",)}, r"rotations has shape \(3, 2, 4\); expected \(3, 1, 4\)"),
        ({"rotations": TURNS[:0]}, "expected .* with at least one frame"),
        ({"locations": {"a": np.zeros((2, 3))}}, r"locations\['a'\] has shape \(2, 3\); expected \(3, 3\)"),
        ({"object_locations": np.zeros((3, 4))}, "object_locations has shape"),
        ({"object_rotations": np.zeros((3, 3))}, "object_rotations has shape"),
        ({"locations": {"a": np.full((3, 3), np.nan)}}, "not finite.*Check the scale and the rest pose"),
        ({"bone_names": ("a", "a")}, "A bone is named twice"),
        ({"locations": {"hips": np.zeros((3, 3))}}, "hips has locations without rotations; expected both"),
    ],
)
def test_says_what_is_wrong(change, message):
    with pytest.raises(KmmError, match=message) as caught:
        PoseKeys(**{"bone_names": ("a", "b"), "rotations": TURNS, "fps": 30.0, **change})
    assert caught.value.code == "bad_pose_keys"
