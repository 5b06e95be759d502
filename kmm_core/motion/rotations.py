"""Rotations in NumPy: unit quaternions (w, x, y, z), 3x3 matrices, and the 6-D form of Zhou et al. 2019.

Every function works on arrays with any leading shape ``[...]``; quaternions are ``[..., 4]`` wxyz, vectors
``[..., 3]``, matrices ``[..., 3, 3]`` (columns are the rotated axes), angles in radians. Light zone: no torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
Y_AXIS = np.array([0.0, 1.0, 0.0])


def normalize(vectors: ArrayLike) -> Array:
    """Vectors of unit length along the last axis; zero vectors stay zero."""
    vectors = np.asarray(vectors)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def multiply(a: ArrayLike, b: ArrayLike) -> Array:
    """Hamilton product: the rotation ``b`` followed by ``a``."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(q: ArrayLike) -> Array:
    """The inverse rotation of a unit quaternion."""
    return np.asarray(q) * np.array([1.0, -1.0, -1.0, -1.0])


def rotate(q: ArrayLike, vectors: ArrayLike) -> Array:
    """``vectors`` turned by the unit quaternions ``q``; leading shapes broadcast."""
    q, vectors = np.asarray(q), np.asarray(vectors)
    w, xyz = q[..., :1], q[..., 1:]
    cross = 2 * np.cross(xyz, vectors)
    return vectors + w * cross + np.cross(xyz, cross)


def from_axis_angle(axis: ArrayLike, angle: ArrayLike) -> Array:
    """Rotation by ``angle`` about the unit vector ``axis``."""
    half = np.asarray(angle, dtype=float)[..., None] / 2
    axis = np.asarray(axis, dtype=float)
    xyz = np.sin(half) * axis
    return np.concatenate([np.broadcast_to(np.cos(half), (*xyz.shape[:-1], 1)), xyz], axis=-1)


def from_rotation_vector(vectors: ArrayLike) -> Array:
    """Rotation vectors (axis times angle) as quaternions."""
    vectors = np.asarray(vectors, dtype=float)
    return from_axis_angle(normalize(vectors), np.linalg.norm(vectors, axis=-1))


def to_rotation_vector(q: ArrayLike) -> Array:
    """Quaternions as rotation vectors with an angle of at most pi."""
    q = np.asarray(q)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine > 1e-12, angle / np.where(sine > 1e-12, sine, 1), 2.0)


def to_matrix(q: ArrayLike) -> Array:
    """Unit quaternions as rotation matrices ``[..., 3, 3]``."""
    w, x, y, z = np.moveaxis(np.asarray(q), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def from_matrix(m: ArrayLike) -> Array:
    """Rotation matrices as unit quaternions with w >= 0 (Shepperd's method: the largest component first)."""
    m = np.asarray(m)
    trace = np.trace(m, axis1=-2, axis2=-1)
    # Squares of 2w, 2x, 2y, 2z; the largest one is safe to divide by.
    diagonal = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], axis=-1)
    squares = np.concatenate([1 + trace[..., None], 1 + 2 * diagonal - trace[..., None]], axis=-1)
    a = m[..., 2, 1] - m[..., 1, 2]
    b = m[..., 0, 2] - m[..., 2, 0]
    c = m[..., 1, 0] - m[..., 0, 1]
    xy = m[..., 1, 0] + m[..., 0, 1]
    xz = m[..., 0, 2] + m[..., 2, 0]
    yz = m[..., 2, 1] + m[..., 1, 2]
    candidates = np.stack(
        [
            np.stack([squares[..., 0], a, b, c], axis=-1),
            np.stack([a, squares[..., 1], xy, xz], axis=-1),
            np.stack([b, xy, squares[..., 2], yz], axis=-1),
            np.stack([c, xz, yz, squares[..., 3]], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(squares, axis=-1)[..., None, None]
    q = normalize(np.take_along_axis(candidates, best, axis=-2)[..., 0, :])
    return np.where(q[..., :1] < 0, -q, q)


def from_euler(angles: ArrayLike, order: str) -> Array:
    """Intrinsic Euler angles, applied in the order they are written (BVH's convention).

    Args:
        angles: radians, ``[..., len(order)]``.
        order: axes such as ``"ZXY"``; the matrix is R_Z R_X R_Y.
    """
    angles = np.asarray(angles, dtype=float)
    axes = {"X": np.array([1.0, 0, 0]), "Y": np.array([0, 1.0, 0]), "Z": np.array([0, 0, 1.0])}
    q = np.broadcast_to(IDENTITY, (*angles.shape[:-1], 4))
    for index, letter in enumerate(order):
        q = multiply(q, from_axis_angle(axes[letter], angles[..., index]))
    return q


def to_euler(q: ArrayLike, order: str = "ZXY") -> Array:
    """Intrinsic Euler angles ``[..., 3]`` in radians for three different axes, as ``from_euler`` reads them."""
    i, j, k = ("XYZ".index(letter) for letter in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    m = to_matrix(q)
    middle = np.arcsin(np.clip(sign * m[..., i, k], -1, 1))
    locked = np.abs(m[..., i, k]) > 1 - 1e-9
    first = np.where(
        locked,
        np.arctan2(sign * m[..., k, j], m[..., j, j]),
        np.arctan2(-sign * m[..., j, k], m[..., k, k]),
    )
    last = np.where(locked, 0.0, np.arctan2(-sign * m[..., i, j], m[..., i, i]))
    return np.stack([first, middle, last], axis=-1)


def to_6d(q: ArrayLike) -> Array:
    """The first two columns of the rotation matrix, one after the other: ``[..., 6]``."""
    m = to_matrix(q)
    return np.concatenate([m[..., 0], m[..., 1]], axis=-1)


def from_6d(values: ArrayLike) -> Array:
    """Gram-Schmidt on two 3-vectors ``[..., 6]``, then to quaternions (Zhou et al. 2019, Eq 15)."""
    values = np.asarray(values)
    x = normalize(values[..., :3])
    y = normalize(values[..., 3:] - np.sum(x * values[..., 3:], axis=-1, keepdims=True) * x)
    return from_matrix(np.stack([x, y, np.cross(x, y)], axis=-1))


def between(a: ArrayLike, b: ArrayLike) -> Array:
    """The shortest rotation that turns the direction of ``a`` into that of ``b``."""
    a, b = np.broadcast_arrays(normalize(a), normalize(b))
    cosine = np.sum(a * b, axis=-1, keepdims=True)
    # For opposite directions any axis perpendicular to a will do.
    helper = np.where(np.abs(a[..., :1]) < 0.9, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
    perpendicular = normalize(np.cross(a, helper))
    q = np.concatenate([1 + cosine, np.cross(a, b)], axis=-1)
    opposite = np.concatenate([np.zeros_like(cosine), perpendicular], axis=-1)
    return normalize(np.where(cosine < -1 + 1e-9, opposite, q))


def slerp(a: ArrayLike, b: ArrayLike, t: ArrayLike) -> Array:
    """Shortest-path spherical interpolation; ``t`` in [0, 1] broadcasts against the leading shape."""
    a, b, t = np.asarray(a), np.asarray(b), np.asarray(t)[..., None]
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(dot), -1, 1))
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1, sine)
    weight_a = np.where(near, 1 - t, np.sin((1 - t) * angle) / safe)
    weight_b = np.where(near, t, np.sin(t * angle) / safe)
    return normalize(weight_a * a + weight_b * b)


def make_continuous(q: ArrayLike) -> Array:
    """The same rotations ``[F, ..., 4]`` with signs chosen so that neighbouring frames never flip."""
    q = np.asarray(q)
    flips = np.sum(q[1:] * q[:-1], axis=-1) < 0
    sign = np.where(np.cumsum(flips, axis=0) % 2 == 1, -1.0, 1.0)
    return np.concatenate([q[:1], q[1:] * sign[..., None]], axis=0)


def angle_between(a: ArrayLike, b: ArrayLike) -> Array:
    """Angle in radians of the rotation from ``a`` to ``b``, in [0, pi]."""
    difference = multiply(conjugate(a), b)
    return 2 * np.arctan2(np.linalg.norm(difference[..., 1:], axis=-1), np.abs(difference[..., 0]))


def yaw(q: ArrayLike) -> Array:
    """Heading in radians: the angle about +Y (swing-twist) that turns +Z toward +X. ``[...]``."""
    q = np.asarray(q)
    return 2 * np.arctan2(q[..., 2], q[..., 0])


def from_yaw(angle: ArrayLike) -> Array:
    """Rotation about +Y by ``angle`` radians."""
    return from_axis_angle(Y_AXIS, angle)
