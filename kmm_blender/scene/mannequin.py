"""The mannequin's surface: one closed, rigid shell a body part, on the canonical skeleton at rest. No bpy.

Everything is in the core's axes (Y up, facing +Z, +X the person's left) in metres, with the soles on the ground. Shells
overlap at the joints, where dark balls turn in them, so that no gap opens when a limb bends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kmm_core.motion import kinematics, rotations
from kmm_core.motion.rotations import Array
from kmm_core.skeleton import JOINT_INDEX, NUM_JOINTS, REST_PELVIS_HEIGHT

# Where each joint is at rest. [22, 3]
REST_POSITIONS = kinematics.joint_positions(
    np.array([0.0, REST_PELVIS_HEIGHT, 0.0]), np.tile(rotations.IDENTITY, (NUM_JOINTS, 1))
)
REST_POSITIONS.flags.writeable = False

BODY, JOINT = 0, 1  # materials
_SIDES = 20  # vertices around a shell
_X, _Y, _Z = np.eye(3)


@dataclass(frozen=True)
class Shell:
    """A closed surface that follows one bone.

    Attributes:
        bone: name of the joint that carries it.
        material: BODY or JOINT.
        vertices: [V, 3].
        faces: corner indices, counter-clockwise seen from outside.
    """

    bone: str
    material: int
    vertices: Array
    faces: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Surface:
    """All shells as one mesh.

    Attributes:
        vertices: [V, 3] metres.
        faces: corner indices.
        bones: [V] index of each vertex's joint.
        materials: [number of faces] BODY or JOINT.
    """

    vertices: Array
    faces: list[tuple[int, ...]]
    bones: NDArray[np.int64]
    materials: NDArray[np.int64]


def build_surface() -> Surface:
    """The whole mannequin."""
    shells = list(_centre())
    for shell in _left_side():
        shells += [shell, _mirrored(shell)]
    faces: list[tuple[int, ...]] = []
    offset = 0
    for shell in shells:
        faces += [tuple(corner + offset for corner in face) for face in shell.faces]
        offset += len(shell.vertices)
    return Surface(
        vertices=np.concatenate([shell.vertices for shell in shells]),
        faces=faces,
        bones=np.concatenate([np.full(len(s.vertices), JOINT_INDEX[s.bone]) for s in shells]),
        materials=np.concatenate([np.full(len(s.faces), s.material) for s in shells]),
    )


def _joint(name: str) -> Array:
    return REST_POSITIONS[JOINT_INDEX[name]]


def _centre() -> Iterator[Shell]:
    """Trunk, neck and head. Rows: height, half width, half depth, how far forward."""
    # fmt: off
    yield _upright("pelvis", BODY, [
        (0.845, 0.000, 0.000, 0.000), (0.870, 0.095, 0.075, -0.004), (0.915, 0.150, 0.102, -0.010),
        (0.965, 0.155, 0.105, -0.010), (1.010, 0.138, 0.093, -0.002), (1.045, 0.115, 0.078, 0.004),
        (1.070, 0.000, 0.000, 0.004),
    ])
    yield _upright("spine1", JOINT, [
        (0.985, 0.000, 0.000, 0.004), (1.020, 0.108, 0.076, 0.004), (1.085, 0.116, 0.080, 0.004),
        (1.160, 0.112, 0.080, 0.004), (1.215, 0.000, 0.000, 0.004),
    ])
    yield _upright("spine2", BODY, [
        (1.120, 0.000, 0.000, 0.006), (1.137, 0.119, 0.086, 0.006), (1.190, 0.126, 0.091, 0.006),
        (1.250, 0.116, 0.082, 0.005), (1.330, 0.000, 0.000, 0.000),
    ])
    yield _upright("spine3", BODY, [
        (1.213, 0.000, 0.000, 0.006), (1.228, 0.122, 0.090, 0.008), (1.300, 0.148, 0.108, 0.010),
        (1.360, 0.155, 0.110, 0.006), (1.410, 0.138, 0.095, -0.002), (1.445, 0.090, 0.068, -0.008),
        (1.470, 0.000, 0.000, -0.008),
    ])
    yield _upright("neck", JOINT, [
        (1.405, 0.000, 0.000, -0.012), (1.425, 0.056, 0.056, -0.010), (1.480, 0.048, 0.050, -0.002),
        (1.540, 0.046, 0.050, 0.010), (1.590, 0.000, 0.000, 0.016),
    ])
    yield _upright("head", BODY, [
        (1.502, 0.000, 0.000, 0.066), (1.510, 0.036, 0.036, 0.060), (1.540, 0.058, 0.072, 0.042),
        (1.585, 0.071, 0.094, 0.026), (1.640, 0.077, 0.102, 0.016), (1.690, 0.073, 0.096, 0.010),
        (1.725, 0.053, 0.070, 0.008), (1.745, 0.000, 0.000, 0.008),
    ])
    # fmt: on
    # A visor shows from afar which way the person looks.
    yield _ellipsoid("head", JOINT, (0.0, 1.642, 0.045), (0.077, 0.030, 0.080))
    yield _ellipsoid("head", BODY, (0.0, 1.592, 0.111), (0.012, 0.020, 0.017))


def _left_side() -> Iterator[Shell]:
    """Arm and leg of the left side. Rows along a limb: place, two radii, and offsets across it."""
    # fmt: off
    yield _sideways("left_collar", BODY, _joint("left_collar")[1], [
        (0.020, 0.000, 0.000, 0.000, -0.004), (0.045, 0.052, 0.068, -0.004, -0.004),
        (0.100, 0.058, 0.074, 0.000, -0.002), (0.160, 0.054, 0.060, 0.016, 0.000),
        (0.205, 0.000, 0.000, 0.022, 0.000),
    ])
    arm = _joint("left_shoulder")[1]
    yield _ellipsoid("left_shoulder", JOINT, _joint("left_shoulder"), (0.060, 0.060, 0.060))
    yield _sideways("left_shoulder", BODY, arm, [
        (0.180, 0.000, 0.000, 0.000, 0.000), (0.200, 0.053, 0.055, 0.002, 0.000),
        (0.250, 0.052, 0.055, 0.000, 0.000), (0.330, 0.043, 0.047, 0.000, 0.002),
        (0.400, 0.037, 0.039, 0.000, 0.000), (0.432, 0.034, 0.035, 0.000, 0.000),
        (0.446, 0.000, 0.000, 0.000, 0.000),
    ])
    yield _ellipsoid("left_elbow", JOINT, _joint("left_elbow"), (0.040, 0.038, 0.039))
    yield _sideways("left_elbow", BODY, arm, [
        (0.436, 0.000, 0.000, 0.000, 0.000), (0.450, 0.035, 0.036, 0.000, 0.000),
        (0.495, 0.039, 0.044, 0.000, 0.002), (0.560, 0.034, 0.039, 0.000, 0.000),
        (0.630, 0.025, 0.030, 0.000, 0.000), (0.672, 0.023, 0.028, 0.000, 0.000),
        (0.684, 0.000, 0.000, 0.000, 0.000),
    ])
    yield _ellipsoid("left_wrist", JOINT, _joint("left_wrist"), (0.027, 0.025, 0.029))
    yield from _left_hand()

    yield _ellipsoid("left_hip", JOINT, _joint("left_hip") + [0.004, 0.0, -0.004], (0.078, 0.078, 0.082))
    yield _upright("left_hip", BODY, [
        (0.504, 0.000, 0.000, 0.004), (0.520, 0.048, 0.050, 0.005), (0.580, 0.056, 0.058, 0.006),
        (0.680, 0.069, 0.073, 0.004), (0.800, 0.079, 0.086, 0.000), (0.870, 0.079, 0.086, -0.004),
        (0.915, 0.000, 0.000, -0.006),
    ], aside=0.090, lean=0.006)
    yield _ellipsoid("left_knee", JOINT, _joint("left_knee") + [0.0, 0.0, 0.003], (0.051, 0.052, 0.054))
    yield _upright("left_knee", BODY, [
        (0.100, 0.000, 0.000, -0.004), (0.114, 0.033, 0.036, -0.005), (0.180, 0.036, 0.040, -0.006),
        (0.290, 0.050, 0.056, -0.014), (0.380, 0.054, 0.060, -0.014), (0.450, 0.048, 0.050, -0.004),
        (0.470, 0.045, 0.047, 0.000), (0.488, 0.000, 0.000, 0.000),
    ], aside=0.090)
    yield _ellipsoid("left_ankle", JOINT, _joint("left_ankle"), (0.038, 0.038, 0.040))
    # The sole is cut flat at the ground. Rows: how far forward, half width, half height, height.
    yield _forward("left_ankle", BODY, [
        (-0.072, 0.000, 0.000, 0.034), (-0.058, 0.032, 0.034, 0.034), (-0.020, 0.040, 0.052, 0.036),
        (0.040, 0.043, 0.050, 0.034), (0.095, 0.048, 0.036, 0.022), (0.128, 0.050, 0.027, 0.018),
        (0.142, 0.000, 0.000, 0.016),
    ])
    yield _ellipsoid("left_foot", JOINT, _joint("left_foot") + [0.0, -0.001, 0.0], (0.047, 0.019, 0.022))
    yield _forward("left_foot", BODY, [
        (0.120, 0.000, 0.000, 0.016), (0.132, 0.047, 0.022, 0.016), (0.165, 0.048, 0.021, 0.014),
        (0.195, 0.038, 0.017, 0.012), (0.212, 0.000, 0.000, 0.010),
    ])
    # fmt: on


def _left_hand() -> Iterator[Shell]:
    """Palm down, fingers a little bent, as a hand hangs when it does nothing."""
    wrist = _joint("left_wrist")
    # fmt: off
    yield _sideways("left_wrist", BODY, wrist[1], [
        (0.684, 0.000, 0.000, 0.000, 0.000), (0.700, 0.018, 0.028, 0.000, 0.000),
        (0.735, 0.016, 0.039, -0.001, 0.000), (0.770, 0.014, 0.042, -0.003, -0.002),
        (0.784, 0.010, 0.040, -0.005, -0.004), (0.790, 0.000, 0.000, -0.006, -0.004),
    ])
    # fmt: on
    # Knuckle, length, radius and spread of index, middle, ring and little finger.
    for z, length, radius, spread in (
        (0.029, 0.074, 0.0095, 0.10),
        (0.008, 0.082, 0.0100, 0.02),
        (-0.013, 0.076, 0.0095, -0.06),
        (-0.032, 0.060, 0.0085, -0.16),
    ):
        base = np.array([0.776 - 0.12 * abs(z - 0.008), wrist[1] - 0.004, z])
        direction = rotations.normalize([1.0, 0.0, spread])
        yield _finger(base, direction, -_Y, length, radius, bend=0.85)
    thumb = rotations.normalize([0.62, -0.35, 0.70])
    yield _finger(
        wrist + [0.026, -0.004, 0.022], thumb, rotations.normalize([0.6, -0.5, -0.6]), 0.082, 0.0115, 0.6
    )


def _finger(
    base: Array, direction: Array, towards: Array, length: float, radius: float, bend: float
) -> Shell:
    """A tapering finger that turns from ``direction`` ``towards`` the palm by ``bend`` radians on its way."""
    steps = np.linspace(0, 1, 11)
    towards = rotations.normalize(towards - np.dot(towards, direction) * direction)
    # A finger's bend grows from the knuckle on.
    angles = (bend * steps * (0.6 + 0.4 * steps))[:, None]
    tangents = np.cos(angles) * direction + np.sin(angles) * towards
    normals = -np.sin(angles) * direction + np.cos(angles) * towards
    centres = base + np.cumsum(tangents, axis=0) * (length / len(steps)) - tangents[0] * radius
    # Round at both ends.
    ends = np.minimum(1, np.minimum(steps, 1 - steps) * length / radius)
    radii = (radius * (1 - 0.25 * steps) * np.sqrt(1 - (1 - ends) ** 2))[:, None]
    across = np.cross(normals[0], tangents[0])
    return _loft("left_wrist", BODY, centres, across * radii, normals * radii, sides=8)


def _upright(
    bone: str, material: int, rows: Sequence[Sequence[float]], aside: float = 0.0, lean: float = 0.0
) -> Shell:
    """A shell along Y. Rows: height, half width, half depth, forward; ``lean`` pushes the top outward in metres."""
    y, width, depth, forward = _smooth(rows)
    x = aside + lean * (y - y[0]) / (y[-1] - y[0])
    centres = np.stack([x, y, forward], axis=-1)
    boxy = 2.4 if aside == 0 and bone != "head" else 2.0
    return _loft(bone, material, centres, depth[:, None] * _Z, width[:, None] * _X, boxy)


def _sideways(bone: str, material: int, height: float, rows: Sequence[Sequence[float]]) -> Shell:
    """A shell along X. Rows: x, half height, half depth, upward, forward."""
    x, tall, depth, upward, forward = _smooth(rows)
    centres = np.stack([x, height + upward, forward], axis=-1)
    return _loft(bone, material, centres, tall[:, None] * _Y, depth[:, None] * _Z)


def _forward(bone: str, material: int, rows: Sequence[Sequence[float]]) -> Shell:
    """A part of the left foot, along Z. Rows: forward, half width, half height, height."""
    z, width, tall, height = _smooth(rows)
    centres = np.stack([np.full_like(z, 0.092), height, z], axis=-1)
    shell = _loft(bone, material, centres, width[:, None] * _X, tall[:, None] * _Y, 2.5)
    return replace(shell, vertices=np.maximum(shell.vertices, [-np.inf, 0.0, -np.inf]))


def _ellipsoid(bone: str, material: int, centre, radii: Sequence[float]) -> Shell:
    angles = np.linspace(0, np.pi, 13)
    centres = np.asarray(centre) - np.cos(angles)[:, None] * radii[1] * _Y
    ring = np.sin(angles)[:, None]
    return _loft(bone, material, centres, ring * radii[2] * _Z, ring * radii[0] * _X)


def _smooth(rows: Sequence[Sequence[float]], rings: int = 14) -> list[Array]:
    """Columns of ``rows`` [R, C] on more rings, close together at the ends, which come out round.

    The second and third column are radii. Their squares are interpolated: a square that falls evenly to zero is round.
    """
    table = np.asarray(rows, dtype=float)
    table[:, 1:3] **= 2
    places = table[:, 0]
    wanted = places[0] + (places[-1] - places[0]) * (1 - np.cos(np.linspace(0, np.pi, rings))) / 2
    columns = [_monotone(places, column, wanted) for column in table.T]
    return [columns[0], np.sqrt(columns[1]), np.sqrt(columns[2]), *columns[3:]]


def _monotone(x: Array, y: Array, wanted: Array) -> Array:
    """Cubic interpolation that never overshoots (Fritsch and Butland 1984: harmonic mean of neighbouring slopes)."""
    slopes = np.diff(y) / np.diff(x)
    product = slopes[1:] * slopes[:-1]
    total = slopes[1:] + slopes[:-1]
    inner = np.where(product > 0, 2 * product / np.where(product > 0, total, 1), 0)
    m = np.concatenate([slopes[:1], inner, slopes[-1:]])
    i = np.clip(np.searchsorted(x, wanted, side="right") - 1, 0, len(x) - 2)
    h = x[i + 1] - x[i]
    t = (wanted - x[i]) / h
    return (
        (1 + 2 * t) * (1 - t) ** 2 * y[i]
        + t * (1 - t) ** 2 * h * m[i]
        + t * t * (3 - 2 * t) * y[i + 1]
        - t * t * (1 - t) * h * m[i + 1]
    )


def _loft(
    bone: str, material: int, centres: Array, u: Array, v: Array, power: float = 2.0, sides: int = _SIDES
) -> Shell:
    """A closed surface through rings about ``centres`` [R, 3] with half axes ``u`` and ``v`` [R, 3].

    The first and last ring are points. ``power`` 2 makes ellipses, more makes them boxy. ``u`` x ``v`` points along.
    """
    angles = np.arange(sides) * (2 * np.pi / sides)
    cosine, sine = np.cos(angles), np.sin(angles)
    along_u = np.sign(cosine) * np.abs(cosine) ** (2 / power)
    along_v = np.sign(sine) * np.abs(sine) ** (2 / power)
    rings = centres[1:-1, None] + u[1:-1, None] * along_u[:, None] + v[1:-1, None] * along_v[:, None]
    vertices = np.concatenate([rings.reshape(-1, 3), centres[:1], centres[-1:]])
    first, last = len(vertices) - 2, len(vertices) - 1
    faces: list[tuple[int, ...]] = []
    for side in range(sides):
        following = (side + 1) % sides
        faces.append((first, following, side))
        for ring in range(len(rings) - 1):
            low, high = ring * sides, (ring + 1) * sides
            faces.append((low + side, low + following, high + following, high + side))
        top = (len(rings) - 1) * sides
        faces.append((last, top + side, top + following))
    return Shell(bone, material, vertices, tuple(faces))


def _mirrored(shell: Shell) -> Shell:
    """The right side's shell. A reflection turns faces inside out, so their corners run the other way."""
    return replace(
        shell,
        bone=shell.bone.replace("left_", "right_"),
        vertices=shell.vertices * [-1.0, 1.0, 1.0],
        faces=tuple(face[::-1] for face in shell.faces),
    )
