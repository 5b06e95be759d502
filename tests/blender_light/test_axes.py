"""The change of axes between the core and Blender."""

import numpy as np

from kmm_blender.scene import axes
from kmm_core.motion import rotations


def test_directions_have_their_names():
    up, forward, left = [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]
    np.testing.assert_array_equal(axes.vectors_to_blender(up), [0, 0, 1])
    np.testing.assert_array_equal(axes.vectors_to_blender(forward), [0, -1, 0])
    np.testing.assert_array_equal(axes.vectors_to_blender(left), [1, 0, 0])


def test_matrix_and_functions_agree():
    vectors = np.random.default_rng(0).normal(size=(5, 7, 3))
    np.testing.assert_allclose(axes.vectors_to_blender(vectors), vectors @ axes.CORE_TO_BLENDER.T)
    assert np.linalg.det(axes.CORE_TO_BLENDER) == 1, "a reflection would swap left and right"


def test_there_and_back():
    generator = np.random.default_rng(1)
    vectors, turns = generator.normal(size=(6, 3)), rotations.normalize(generator.normal(size=(6, 4)))
    np.testing.assert_array_equal(axes.vectors_to_core(axes.vectors_to_blender(vectors)), vectors)
    np.testing.assert_array_equal(axes.rotations_to_core(axes.rotations_to_blender(turns)), turns)


def test_turning_then_changing_axes_is_changing_axes_then_turning():
    generator = np.random.default_rng(2)
    vectors, turns = generator.normal(size=(6, 3)), rotations.normalize(generator.normal(size=(6, 4)))
    np.testing.assert_allclose(
        axes.vectors_to_blender(rotations.rotate(turns, vectors)),
        rotations.rotate(axes.rotations_to_blender(turns), axes.vectors_to_blender(vectors)),
    )
