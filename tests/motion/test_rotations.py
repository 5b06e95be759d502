"""Rotations and kinematics against SciPy, which computes them another way."""

import numpy as np
import pytest

from kmm_core.motion import kinematics, rotations
from kmm_core.skeleton import NUM_JOINTS, PARENTS, REST_OFFSETS

Rotation = pytest.importorskip("scipy.spatial.transform").Rotation


@pytest.fixture
def quaternions():
    random = np.random.default_rng(3).normal(size=(50, 4))
    # Half turns about the axes are where conversions break.
    return rotations.normalize(np.concatenate([np.eye(4), -np.eye(4), random]))


def scipy_of(q):
    return Rotation.from_quat(np.roll(q.reshape(-1, 4), -1, axis=1))


def same(a, b, tolerance=1e-7):
    return np.max(rotations.angle_between(a, b)) < tolerance


def test_multiply_rotate_and_conjugate_agree_with_scipy(quaternions):
    a, b = quaternions, quaternions[::-1]
    vectors = np.random.default_rng(4).normal(size=(len(a), 3))
    product = np.roll((scipy_of(a) * scipy_of(b)).as_quat(), 1, axis=1)
    assert same(rotations.multiply(a, b), product)
    np.testing.assert_allclose(rotations.rotate(a, vectors), scipy_of(a).apply(vectors), atol=1e-12)
    np.testing.assert_allclose(
        rotations.rotate(rotations.conjugate(a), vectors), scipy_of(a).inv().apply(vectors), atol=1e-12
    )


def test_matrices_rotation_vectors_and_6d_round_trip(quaternions):
    np.testing.assert_allclose(
        rotations.to_matrix(quaternions), scipy_of(quaternions).as_matrix(), atol=1e-12
    )
    assert same(rotations.from_matrix(rotations.to_matrix(quaternions)), quaternions)
    assert same(rotations.from_rotation_vector(rotations.to_rotation_vector(quaternions)), quaternions)
    assert same(rotations.from_6d(rotations.to_6d(quaternions)), quaternions)
    np.testing.assert_allclose(
        np.linalg.norm(rotations.to_rotation_vector(quaternions), axis=-1), scipy_of(quaternions).magnitude()
    )


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_euler_angles_are_intrinsic_in_the_order_written(order, quaternions):
    angles = np.random.default_rng(5).uniform(-1.5, 1.5, size=(40, 3))
    expected = np.roll(Rotation.from_euler(order, angles).as_quat(), 1, axis=1)
    assert same(rotations.from_euler(angles, order), expected)
    assert same(rotations.from_euler(rotations.to_euler(quaternions, order), order), quaternions, 1e-6)


@pytest.mark.parametrize("middle", [np.pi / 2, -np.pi / 2])
def test_euler_angles_survive_gimbal_lock(middle):
    q = rotations.from_euler(np.array([0.4, middle, -0.9]), "ZXY")
    assert same(rotations.from_euler(rotations.to_euler(q, "ZXY"), "ZXY"), q, 1e-6)


def test_slerp_runs_at_constant_speed_the_short_way(quaternions):
    a, b = quaternions, rotations.multiply(quaternions, rotations.from_yaw(2.0))
    for t in (0.0, 0.25, 1.0):
        middle = rotations.slerp(a, -b, np.full(len(a), t))
        np.testing.assert_allclose(rotations.angle_between(a, middle), 2.0 * t, atol=1e-6)


def test_between_turns_one_direction_into_the_other_even_when_opposite():
    a = np.array([[1.0, 0, 0], [0, 2, 0], [1, 1, 1], [0, 0, 1]])
    b = np.array([[0.0, 1, 0], [0, -1, 0], [-1, -1, -1], [0, 0, 3]])
    turned = rotations.rotate(rotations.between(a, b), rotations.normalize(a))
    np.testing.assert_allclose(turned, rotations.normalize(b), atol=1e-6)


def test_make_continuous_keeps_rotations_and_removes_flips(quaternions):
    path = rotations.from_yaw(np.linspace(0, 9, 50))
    flipped = path * np.where(np.arange(50) % 3 == 0, -1, 1)[:, None]
    result = rotations.make_continuous(flipped)
    assert same(result, path)
    assert (np.sum(result[1:] * result[:-1], axis=-1) > 0).all()


def test_yaw_reads_what_from_yaw_wrote_through_a_tilt():
    tilt = rotations.from_axis_angle([1.0, 0, 0], 0.5)
    q = rotations.multiply(rotations.from_yaw(np.array([0.3, -2.0])), tilt)
    np.testing.assert_allclose(rotations.yaw(q), [0.3, -2.0], atol=1e-12)


def test_joint_positions_agree_with_4x4_matrices():
    q = rotations.normalize(np.random.default_rng(6).normal(size=(3, NUM_JOINTS, 4)))
    root = np.random.default_rng(7).normal(size=(3, 3))
    found = kinematics.joint_positions(root, q)
    for frame in range(3):
        world = []
        for joint, parent in enumerate(PARENTS):
            local = np.eye(4)
            local[:3, :3] = scipy_of(q[frame, joint]).as_matrix()[0]
            local[:3, 3] = root[frame] if parent < 0 else REST_OFFSETS[joint]
            world.append(local if parent < 0 else world[parent] @ local)
        np.testing.assert_allclose(found[frame], [m[:3, 3] for m in world], atol=1e-12)


def test_local_rotations_undo_global_rotations():
    q = rotations.normalize(np.random.default_rng(8).normal(size=(2, NUM_JOINTS, 4)))
    assert same(kinematics.local_rotations(kinematics.global_rotations(q)), q)
