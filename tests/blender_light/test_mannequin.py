"""The mannequin's surface: closed, the right way out, symmetric, of human size, closed at the joints."""

from collections import Counter

import numpy as np
import pytest

from kmm_blender.scene.mannequin import BODY, JOINT, REST_POSITIONS, build_surface
from kmm_core.skeleton import JOINT_INDEX, JOINT_NAMES, MIRROR, PARENTS


@pytest.fixture(scope="module")
def surface():
    return build_surface()


def triangles(surface):
    """Corner positions [N, 3, 3] of all faces cut into triangles, and each one's bone."""
    corners = [(f[0], f[i], f[i + 1]) for f in surface.faces for i in range(1, len(f) - 1)]
    return surface.vertices[np.array(corners)], surface.bones[np.array(corners)[:, 0]]


def test_every_bone_carries_something(surface):
    assert set(surface.bones) == set(range(len(JOINT_NAMES)))
    assert set(surface.materials) == {BODY, JOINT}
    assert len(surface.materials) == len(surface.faces) and len(surface.bones) == len(surface.vertices)


def test_surface_is_closed(surface):
    edges = Counter((a, b) for face in surface.faces for a, b in zip(face, face[1:] + face[:1]))
    assert max(edges.values()) == 1, "an edge is walked twice the same way: a face is turned over"
    assert all((b, a) in edges for a, b in edges), "an edge has one face only: a hole"


def test_faces_look_outward(surface):
    corners, bones = triangles(surface)
    volumes = np.einsum("ni,ni->n", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    for bone, name in enumerate(JOINT_NAMES):
        assert volumes[bones == bone].sum() > 0, name
    # Shells overlap a little, and an adult of that height has some 60 litres.
    assert 0.035 < volumes.sum() < 0.09


def test_left_and_right_mirror_each_other(surface):
    mirrored = surface.vertices * [-1, 1, 1]
    for bone, name in enumerate(JOINT_NAMES):
        here = np.unique(surface.vertices[surface.bones == bone].round(9) + 0.0, axis=0)
        there = np.unique(mirrored[surface.bones == MIRROR[bone]].round(9) + 0.0, axis=0)
        np.testing.assert_allclose(here, there, atol=1e-8, err_msg=name)


def test_stands_on_the_ground_and_is_as_tall_as_an_adult(surface):
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    assert low[1] == 0
    assert 1.65 < high[1] < 1.80
    assert 1.65 < high[0] - low[0] < 1.85  # arms spread: about the height


def test_toes_and_nose_point_forward(surface):
    feet = surface.vertices[surface.bones == JOINT_INDEX["left_foot"]]
    head = surface.vertices[surface.bones == JOINT_INDEX["head"]]
    assert feet[:, 2].max() > 0.19
    assert head[:, 2].max() > 0.11 and head[:, 2].min() > -0.1


def test_both_bones_of_a_joint_fill_it(surface):
    """The joint lies inside a shell of the bone that turns there and of its parent, however the limb bends."""
    corners, bones = triangles(surface)
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            continue
        # Nothing of the head's or the ball of the foot's shells has to reach back to the joint.
        sides = (
            (parent,) if JOINT_NAMES[joint] in ("head", "left_collar", "right_collar") else (joint, parent)
        )
        assert any(_inside(REST_POSITIONS[joint], corners[bones == bone]) for bone in sides), JOINT_NAMES[
            joint
        ]


def _inside(point, corners):
    """Whether the solid angle of a closed surface about the point is a full sphere (van Oosterom and Strackee 1983)."""
    a, b, c = np.moveaxis(corners - point, 1, 0)
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    numerator = np.einsum("ni,ni->n", a, np.cross(b, c))
    dot = lambda u, v: np.einsum("ni,ni->n", u, v)  # noqa: E731
    denominator = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb
    return (2 * np.arctan2(numerator, denominator)).sum() > 2 * np.pi
