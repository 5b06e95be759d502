"""Copying: copies are found wherever they hide, and recordings that are new are not taken for copies."""

from __future__ import annotations

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.evaluate import copying
from kmm_core.motion.representation import representation
from kmm_core.skeleton import JOINT_INDEX

from . import bodies

FORM = representation("272")


def positions(rows):
    return FORM.decode(rows, 30.0).joint_positions()


def features(clip):
    return FORM.encode(clip).astype(np.float32)


TRAIN = [features(clip) for clip in (bodies.raise_arm("left"), bodies.walk(frames=80), bodies.crouch())]


def test_poses_are_seen_from_the_body():
    clip = bodies.raise_arm("left")
    moved = clip.moved(yaw=1.1, translation=(3, 0, -2))
    own = copying.aligned_poses(clip.joint_positions())
    np.testing.assert_allclose(copying.aligned_poses(moved.joint_positions()), own, atol=1e-9)
    np.testing.assert_allclose(own[..., 1], clip.joint_positions()[..., 1])
    hips = own[:, JOINT_INDEX["left_hip"]] - own[:, JOINT_INDEX["right_hip"]]
    assert (hips[:, 0] > 0.05).all() and np.abs(hips[:, 2]).max() < 1e-9


@pytest.mark.parametrize(
    "copy",
    [
        bodies.walk(frames=80).slice(0, 78).moved(yaw=0.7, translation=(1, 0, 1)),
        bodies.walk(frames=80).slice(6, 72),
        bodies.raise_arm("right"),  # the mirror image
    ],
    ids=["moved", "cut", "mirrored"],
)
def test_a_copy_is_at_no_distance(copy):
    # Lengths are such that the middle second begins where a training window does.
    (distance,) = copying.nearest_window([features(copy)], TRAIN, positions, 30.0)
    assert distance < 5e-3


def test_the_distance_is_that_of_the_joints():
    still, crouching = bodies.still(30), bodies.crouch(frames=30, depth=60)
    (found,) = copying.nearest_window([features(crouching)], [features(still)], positions, 30.0)
    gaps = []
    for frame in range(0, 30, 3):
        own, other = (copying.aligned_poses(clip.joint_positions())[frame] for clip in (crouching, still))
        gaps += [float(((a - b) ** 2).sum()) for a, b in zip(own, other, strict=True)]
    assert found == pytest.approx(np.sqrt(np.mean(gaps)), rel=1e-3)


def test_short_clips_are_left_out_and_nothing_left_is_an_error():
    queries = [features(bodies.still(20)), features(bodies.still(45))]
    assert len(copying.nearest_window(queries, TRAIN, positions, 30.0)) == 1
    for asked, train in ((queries[:1], TRAIN), (queries, queries[:1])):
        with pytest.raises(KmmError, match="at least 1 s") as raised:
            copying.nearest_window(asked, train, positions, 30.0)
        assert raised.value.code == "too_few_clips"


def test_nearest_embedding_by_brute_force():
    rng = np.random.default_rng(0)
    queries, train = rng.normal(size=(5, 3)), rng.normal(size=(9, 3))
    expected = [min(np.linalg.norm(query - row) for row in train) for query in queries]
    np.testing.assert_allclose(copying.nearest_embedding(queries, train), expected)


def test_quantiles_and_the_share_that_is_too_near():
    held_out = np.arange(1, 101) / 100
    same = copying.Nearest(held_out, held_out, "m")
    assert same.nearer == pytest.approx(0.05)
    assert all(a == b for a, b in same.quantiles().values())
    assert not same.below(0.05) and not same.below(0.5)
    # A little nearer may be chance; a hundred times is not.
    assert not copying.Nearest(held_out - 0.01, held_out, "m").below(0.5)
    assert copying.Nearest(held_out * 0.01, held_out, "m").below(0.5)
    copies = copying.Nearest(held_out * 0.01, held_out, "m")
    assert copies.nearer == 1.0 and copies.quantiles()["50%"][0] < copies.quantiles()["50%"][1]
