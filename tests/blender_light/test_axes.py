"""The change of axes between the core and Blender."""

import numpy as np

from kmm_blender.scene import axes


def test_directions_have_their_names():
    up, forward, left = [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]
    np.testing.assert_array_equal(axes.vectors_to_blender(up), [0, 0, 1])
    np.testing.assert_array_equal(axes.vectors_to_blender(forward), [0, -1, 0])
    np.testing.assert_array_equal(axes.vectors_to_blender(left), [1, 0, 0])


def test_there_and_back():
    vectors = np.random.default_rng(1).normal(size=(6, 7, 3))
    np.testing.assert_array_equal(axes.vectors_to_core(axes.vectors_to_blender(vectors)), vectors)
