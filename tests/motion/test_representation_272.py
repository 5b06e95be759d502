"""The 272-wide features: round trips, conventions, mirror, headings that never jump, bad input."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import representation_272 as rep
from kmm_core.motion import rotations
from kmm_core.skeleton import NUM_JOINTS, REST_PELVIS_HEIGHT


def wandering_clip(num_frames: int, seed: int = 0, fps: float = 30.0) -> MotionClip:
    """A person who walks in curves with every joint moving smoothly."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_frames)[:, None, None] / fps
    frequency, phase = rng.uniform(0.1, 1.5, (2, NUM_JOINTS, 3))
    local = rotations.from_rotation_vector(0.5 * np.sin(2 * np.pi * frequency * time + 6 * phase))
    heading = 0.4 * time[:, 0, 0] + 1.5 * np.sin(0.7 * time[:, 0, 0])
    local[:, 0] = rotations.multiply(rotations.from_yaw(heading), local[:, 0])
    velocity = 1.4 * np.stack([np.sin(heading), np.zeros(num_frames), np.cos(heading)], axis=-1) / fps
    root = np.cumsum(velocity, axis=0)
    root[:, 1] = REST_PELVIS_HEIGHT + 0.05 * np.sin(7 * time[:, 0, 0])
    return MotionClip(root, local, fps)


def placed_like_decode(clip: MotionClip) -> MotionClip:
    """At x = z = 0 with heading +Z in the first frame."""
    clip = clip.moved(yaw=-rep.headings(clip.local_rotations[:, 0])[0])
    return clip.moved(translation=clip.root_positions[0] * [-1, 0, -1])


def assert_same_motion(clip: MotionClip, other: MotionClip) -> None:
    assert np.abs(clip.joint_positions() - other.joint_positions()).max() < 1e-3
    assert rotations.angle_between(clip.local_rotations, other.local_rotations).max() < np.deg2rad(0.1)


def test_slices_tile_the_row():
    slices = (rep.ROOT_VELOCITY, rep.HEADING_CHANGE, rep.POSITIONS, rep.VELOCITIES, rep.ROTATIONS)
    assert [s.stop - s.start for s in slices] == [2, 6, 66, 66, 132]
    assert np.array_equal(np.concatenate([np.arange(rep.NUM_FEATURES)[s] for s in slices]), np.arange(272))


@pytest.mark.parametrize("num_frames", [1, 2, 300])
def test_round_trip(num_frames):
    clip = wandering_clip(num_frames).moved(yaw=2.0, translation=(3.0, 0.0, -5.0))
    features = rep.encode(clip)
    assert features.shape == (num_frames, 272) and features.dtype == np.float32
    assert_same_motion(rep.decode(features), placed_like_decode(clip))


def test_ten_minutes_do_not_drift():
    clip = wandering_clip(18_000)
    assert_same_motion(rep.decode(rep.encode(clip)), placed_like_decode(clip))


def test_columns_against_scipy():
    """Row by row from the definition, with other code."""
    clip = wandering_clip(20, seed=3)
    features = rep.encode(clip)
    world = clip.joint_positions()
    matrices = (
        Rotation.from_quat(clip.local_rotations.reshape(-1, 4)[:, [1, 2, 3, 0]])
        .as_matrix()
        .reshape(20, 22, 3, 3)
    )

    def heading(frame):
        w, _, y, _ = clip.local_rotations[frame, 0]
        return 2 * np.arctan2(y, w)

    for frame in range(20):
        undo = Rotation.from_euler("y", -heading(frame)).as_matrix()
        previous = max(frame - 1, 0)
        step = (undo @ (world[frame] - world[previous]).T).T
        turn = Rotation.from_euler("y", heading(frame) - heading(previous)).as_matrix()
        from_origin = world[frame] - world[frame, 0] * [1, 0, 1]
        local = matrices[frame].copy()
        local[0] = undo @ local[0]
        expected = np.concatenate(
            [
                step[0, [0, 2]],
                turn[:, :2].T.ravel(),
                (undo @ from_origin.T).T.ravel(),
                step.ravel(),
                np.concatenate([m[:, :2].T.ravel() for m in local]),
            ]
        )
        np.testing.assert_allclose(features[frame], expected, atol=1e-6)


def test_first_row_stands_still_and_is_not_integrated():
    features = rep.encode(wandering_clip(10))
    assert not features[0, rep.ROOT_VELOCITY].any() and not features[0, rep.VELOCITIES].any()
    assert np.array_equal(features[0, rep.HEADING_CHANGE], [1, 0, 0, 0, 1, 0])
    window = rep.decode(features[4:])
    assert_same_motion(window, placed_like_decode(wandering_clip(10).slice(4, 10)))
    np.testing.assert_allclose(window.root_positions[0, [0, 2]], 0, atol=1e-12)


def test_features_do_not_depend_on_place_and_heading():
    clip = wandering_clip(50)
    moved = clip.moved(yaw=-2.5, translation=(10.0, 0.0, 4.0))
    np.testing.assert_allclose(rep.encode(moved), rep.encode(clip), atol=1e-5)


def test_mirror():
    clip = wandering_clip(50, seed=5)
    features = rep.encode(clip)
    np.testing.assert_allclose(rep.encode(clip.mirrored()), rep.mirror(features), atol=1e-6)
    assert np.array_equal(features, rep.encode(clip)) and np.abs(rep.mirror(features) - features).max() > 0.1


def test_rotations_need_not_be_orthonormal():
    clip = wandering_clip(30)
    features = rep.encode(clip)
    features[:, rep.ROTATIONS] *= 1.7
    features[:, rep.HEADING_CHANGE] *= 0.6
    assert_same_motion(rep.decode(features), placed_like_decode(clip))


def turned(axis: str, angles, noise: float = 0.0):
    """Pelvis rotations: facing 0.3 rad, turning about the body's x or z axis by ``angles``."""
    rng = np.random.default_rng(1)
    axis_angle = rotations.from_axis_angle({"x": [1.0, 0, 0], "z": [0, 0, 1.0]}[axis], angles)
    wobble = rotations.from_rotation_vector(noise * rng.standard_normal((len(angles), 3)))
    return rotations.multiply(rotations.multiply(rotations.from_yaw(0.3), axis_angle), wobble)


@pytest.mark.parametrize("axis", ["x", "z"])
@pytest.mark.parametrize("turn", [1, -1])
def test_heading_holds_through_somersaults_and_cartwheels(axis, turn):
    """A full turn over: the plain swing-twist yaw would spin by up to half a turn in one frame."""
    q = turned(axis, turn * np.linspace(0, 2 * np.pi, 61), noise=0.02)
    assert np.abs(np.diff(np.unwrap(rotations.yaw(q)))).max() > 0.4
    heading = rep.headings(q)
    assert np.abs(heading - 0.3).max() < 0.15
    assert np.abs(np.diff(heading)).max() < 0.15


@pytest.mark.parametrize("tilt", [-90, -60, 60, 90, 110])
def test_bending_over_and_lying_down_keep_the_heading(tilt):
    q = turned("x", np.deg2rad(np.linspace(0, tilt, 40)))
    np.testing.assert_allclose(rep.headings(q), 0.3, atol=1e-9)


def test_rolling_over_on_the_floor_turns_the_heading():
    """From the back onto the belly: who then stands up faces the other way."""
    roll = rotations.from_yaw(np.linspace(0, np.pi, 30))
    q = rotations.multiply(rotations.from_axis_angle([1.0, 0, 0], -np.pi / 2), roll)
    heading = rep.headings(q)
    assert abs(heading[0]) < 1e-9 and abs(heading[-1] - np.pi) < 1e-9
    assert np.abs(np.diff(heading)).max() < 0.2


def test_whirling_is_unwrapped_and_survives():
    clip = wandering_clip(120)
    local = clip.local_rotations.copy()
    local[:, 0] = rotations.from_yaw(np.arange(120) * 0.5)
    clip = MotionClip(clip.root_positions, local, 30.0)
    np.testing.assert_allclose(np.diff(rep.headings(local[:, 0])), 0.5, atol=1e-9)
    assert_same_motion(rep.decode(rep.encode(clip)), placed_like_decode(clip))


def test_a_clip_upside_down_throughout_survives():
    local = wandering_clip(30).local_rotations.copy()
    local[:, 0] = turned("x", np.deg2rad(np.linspace(150, 200, 30)), noise=0.05)
    clip = MotionClip(np.tile([0.0, 1.0, 0.0], (30, 1)), local, 30.0)
    assert np.ptp(rep.headings(local[:, 0])) == 0
    assert_same_motion(rep.decode(rep.encode(clip)), placed_like_decode(clip))


@pytest.mark.parametrize("function", [rep.decode, rep.mirror])
@pytest.mark.parametrize("shape", [(5, 263), (272,), (0, 272)])
def test_wrong_shapes_are_refused(function, shape):
    with pytest.raises(KmmError, match=r"expected \[F, 272\]") as error:
        function(np.zeros(shape))
    assert error.value.code == "bad_features"


def test_nan_is_refused():
    features = rep.encode(wandering_clip(5))
    features[2, 100] = np.nan
    with pytest.raises(KmmError, match="not finite") as error:
        rep.decode(features)
    assert error.value.code == "bad_features"
