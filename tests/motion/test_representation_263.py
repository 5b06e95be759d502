"""HumanML3D's features against a slow, frame-by-frame reading of the definition with SciPy; round trips."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import representation_263 as rep
from kmm_core.motion import rotations
from kmm_core.skeleton import NUM_JOINTS, REST_PELVIS_HEIGHT

CHAINS = [[0, 2, 5, 8, 11], [0, 1, 4, 7, 10], [0, 3, 6, 9, 12, 15], [9, 14, 17, 19, 21], [9, 13, 16, 18, 20]]
# Rest direction of each bone as (axis, sign).
BONES = ["", "+x", "-x", "+y", "-y", "-y", "+y", "-y", "-y", "+y", "+z", "+z", "+y", "+x", "-x", "+z"] + 6 * [
    "-y"
]


def walking_clip(num_frames: int, seed: int = 0, turns: float = 0.2) -> MotionClip:
    """A person who walks in a curve, moving every joint, ``turns`` radians a second; 30 fps."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_frames) / 30
    frequency, phase = rng.uniform(0.1, 1.2, (2, NUM_JOINTS, 3))
    local = rotations.from_rotation_vector(
        0.15 * np.sin(2 * np.pi * frequency * time[:, None, None] + 6 * phase)
    )
    heading = turns * time
    local[:, 0] = rotations.multiply(rotations.from_yaw(heading), local[:, 0])
    root = np.cumsum(1.2 / 30 * np.stack([np.sin(heading), 0 * time, np.cos(heading)], axis=-1), axis=0)
    root[:, 1] = REST_PELVIS_HEIGHT + 0.03 * np.sin(7 * time)
    return MotionClip(root, local, 30.0).moved(yaw=2.0, translation=(4.0, 0.3, -1.0))


def shortest_turn(u, v) -> Rotation:
    """From the direction u to v, by Rodrigues' formula."""
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    c, (x, y, z) = u @ v, np.cross(u, v)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return Rotation.from_matrix(np.eye(3) + k + k @ k / (1 + c))


def slow_features(positions):
    """HumanML3D's process_file, one frame and joint at a time."""
    positions = positions - [0, positions[..., 1].min(), 0]
    positions = positions - positions[0, 0] * [1, 0, 1]
    first = positions[0]
    across = (first[2] - first[1]) + (first[17] - first[16])
    turn = shortest_turn(np.array([across[2], 0, -across[0]]), np.array([0, 0, 1.0]))
    positions = np.array([turn.apply(pose) for pose in positions])

    forward = []
    for pose in positions:
        across = (pose[1] - pose[2]) + (pose[17] - pose[16])
        forward.append(np.cross([0, 1.0, 0], across / np.linalg.norm(across)))
    forward = gaussian_filter1d(np.array(forward), 20, axis=0, mode="nearest")
    root = [shortest_turn(f, np.array([0, 0, 1.0])) for f in forward]

    rows = []
    for f in range(len(positions) - 1):
        now, after = positions[f], positions[f + 1]
        quaternion = (root[f + 1] * root[f].inv()).as_quat(canonical=True)
        row = [np.arcsin(quaternion[1])]
        row += list(root[f + 1].apply(after[0] - now[0])[[0, 2]])
        row.append(now[0, 1])
        for joint in range(1, 22):
            row += list(root[f].apply(now[joint] - now[0] * [1, 0, 1]))
        sixes = {}
        for chain in CHAINS:
            total = root[f]
            for parent, joint in pairwise(chain):
                axis = np.eye(3)["xyz".index(BONES[joint][1])] * (1 if BONES[joint][0] == "+" else -1)
                local = total.inv() * shortest_turn(axis, now[joint] - now[parent])
                total = total * local
                sixes[joint] = local.as_matrix()[:, :2].T.ravel()
        for joint in range(1, 22):
            row += list(sixes[joint])
        for joint in range(22):
            row += list(root[f].apply(after[joint] - now[joint]))
        for joint in (7, 10, 8, 11):
            row.append(float(((after[joint] - now[joint]) ** 2).sum() < 0.002))
        rows.append(row)
    return np.array(rows)


def test_slices_tile_the_row():
    slices = (
        rep.ROOT_YAW,
        rep.ROOT_VELOCITY,
        rep.ROOT_HEIGHT,
        rep.POSITIONS,
        rep.ROTATIONS,
        rep.VELOCITIES,
        rep.CONTACTS,
    )
    assert [s.stop - s.start for s in slices] == [1, 2, 1, 63, 126, 66, 4]
    assert np.array_equal(np.concatenate([np.arange(rep.NUM_FEATURES)[s] for s in slices]), np.arange(263))


@pytest.mark.parametrize("turns", [0.2, -1.5])
def test_every_column_against_the_slow_reading(turns):
    """On a skeleton of other proportions, with bones off the axes, over several seconds and a full turn."""
    rng = np.random.default_rng(7)
    positions = walking_clip(150, seed=1, turns=turns).resample(20).joint_positions()
    positions = positions * 1.1 + 0.02 * rng.standard_normal((22, 3))
    features, expected = rep.encode_positions(positions), slow_features(positions)
    assert features.shape == (len(positions) - 1, 263) and features.dtype == np.float32
    assert 0 < expected[:, rep.CONTACTS].mean() < 1
    np.testing.assert_allclose(features, expected, atol=2e-6)


@pytest.mark.parametrize("turns", [0.0, 2.0])
def test_positions_round_trip(turns):
    """Up to the first frame's place and heading, also through full turns."""
    positions = walking_clip(300, seed=2, turns=turns).resample(20).joint_positions()
    recovered = rep.recover_positions(rep.encode_positions(positions))
    assert recovered.shape == (len(positions) - 1, 22, 3)
    shift = positions[:-1] - [0, positions[..., 1].min(), 0] - positions[0, 0] * [1, 0, 1]
    # Frame 0 stands turned by the rows' facing direction: find that one angle, then all must agree.
    a, b = shift[:, :, [0, 2]].reshape(-1, 2), recovered[:, :, [0, 2]].reshape(-1, 2)
    angle = np.arctan2(np.sum(b[:, 0] * a[:, 1] - b[:, 1] * a[:, 0]), np.sum(a * b))
    turned = rotations.rotate(rotations.from_yaw(angle), shift)
    assert np.abs(turned - recovered).max() < 1e-3


def test_features_do_not_depend_on_place_and_heading():
    clip = walking_clip(60)
    np.testing.assert_allclose(rep.encode(clip.moved(-1.0, (3, 1, 2))), rep.encode(clip), atol=1e-5)


def test_encode_resamples_to_20_fps():
    clip = walking_clip(91)
    assert rep.encode(clip).shape == (60, 263)
    np.testing.assert_array_equal(rep.encode(clip), rep.encode_positions(clip.resample(20).joint_positions()))


def test_rescaling_to_a_target_skeleton():
    """Bones get the target's lengths and keep their directions; the path scales with the legs."""
    positions = walking_clip(60, seed=4).joint_positions()
    target = rep.bone_lengths(positions[0]) * np.linspace(0.8, 1.3, 22)
    recovered = rep.recover_positions(rep.encode_positions(positions, target_lengths=target))
    np.testing.assert_allclose(rep.bone_lengths(recovered[20]), target, atol=1e-6)
    leg = [5, 8]
    scale = target[leg].sum() / rep.bone_lengths(positions[0])[leg].sum()

    def walked(path):
        return np.linalg.norm((path[-1] - path[0])[[0, 2]])

    assert walked(recovered[:, 0]) == pytest.approx(scale * walked(positions[:-1, 0]), rel=1e-5)
    same = rep.encode_positions(positions, target_lengths=rep.bone_lengths(positions[0]))
    np.testing.assert_allclose(same, rep.encode_positions(positions), atol=1e-6)


def test_a_bone_straight_against_its_rest_direction_is_finite():
    """HumanML3D divides by zero there."""
    positions = np.repeat(walking_clip(1).joint_positions(), 3, axis=0)
    positions[:, 15] = positions[:, 12] - [0, 0, 0.1]
    assert np.isfinite(rep.encode_positions(positions)).all()


def test_mirror():
    clip = walking_clip(90, seed=6, turns=1.0)
    features = rep.encode(clip)
    assert 0 < features[:, rep.CONTACTS].mean() < 1
    np.testing.assert_allclose(rep.encode(clip.mirrored()), rep.mirror(features), atol=1e-6)


def test_decode_puts_the_joints_back():
    pytest.importorskip("kmm_core.motion.inverse_kinematics")
    clip = walking_clip(90, seed=3)
    decoded = rep.decode(rep.encode(clip))
    expected = rep.recover_positions(rep.encode(clip))
    assert (decoded.num_frames, decoded.fps) == (len(expected), 20.0)
    offset = decoded.joint_positions() - expected
    offset -= offset[0, 0]
    assert np.linalg.norm(offset, axis=-1).mean() < 0.01


@pytest.mark.parametrize("shape", [(10, 21, 3), (1, 22, 3), (10, 66)])
def test_wrong_positions_are_refused(shape):
    with pytest.raises(KmmError, match=r"expected \[F, 22, 3\]") as error:
        rep.encode_positions(np.zeros(shape))
    assert error.value.code == "bad_positions"


def test_nan_positions_are_refused():
    positions = walking_clip(10).joint_positions()
    positions[3, 4, 1] = np.nan
    with pytest.raises(KmmError, match="joint positions hold numbers that are not finite"):
        rep.encode_positions(positions)


def test_bad_target_lengths_are_refused():
    with pytest.raises(KmmError, match="target_lengths has shape") as error:
        rep.encode_positions(walking_clip(10).joint_positions(), target_lengths=np.ones((22, 3)))
    assert error.value.code == "bad_positions"
    with pytest.raises(KmmError, match="right leg has length 0"):
        rep.encode_positions(np.ones((10, 22, 3)), target_lengths=np.ones(22))


@pytest.mark.parametrize("shape", [(5, 272), (263,), (0, 263)])
def test_wrong_features_are_refused(shape):
    with pytest.raises(KmmError, match=r"expected \[F, 263\]") as error:
        rep.recover_positions(np.zeros(shape))
    with pytest.raises(KmmError, match=r"expected \[F, 263\]"):
        rep.mirror(np.zeros(shape))
    assert error.value.code == "bad_features"


def test_nan_features_are_refused():
    features = rep.encode(walking_clip(30))
    features[2, 50] = np.inf
    with pytest.raises(KmmError, match="features hold numbers that are not finite"):
        rep.recover_positions(features)
