"""Softened seams."""

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.ndimage import gaussian_filter1d

from kmm_core.motion.seams import BELL_SECONDS, REACH_SECONDS, soften_seams


def jerk(rows: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(rows, 3, axis=0)).max(-1)


def test_a_jolt_is_taken_out_and_the_rest_stays():
    t = np.arange(120)[:, None] / 30
    rows = np.hstack([np.sin(3 * t), np.cos(2 * t)])
    rows[60:] += 0.2
    softened = soften_seams(rows, [60], 30.0, 0.03)
    assert jerk(softened).max() < 0.4 * jerk(rows).max()
    far = np.abs(np.arange(120) - 60) > REACH_SECONDS * 30
    assert np.array_equal(softened[far], rows[far])
    assert np.abs(softened - rows).max() < 0.11  # half a step, on the boundary's two sides


def test_at_the_boundary_it_is_a_gaussian_filter():
    rows = np.random.default_rng(0).normal(size=(90, 5))
    expected = gaussian_filter1d(rows, BELL_SECONDS * 30, axis=0, mode="nearest", truncate=4.2)
    softened = soften_seams(rows, [2, 45], 30.0)
    np.testing.assert_allclose(softened[[2, 45]], expected[[2, 45]], atol=2e-3)


def test_a_wider_bell_smooths_more_and_none_nothing():
    rows = np.where(np.arange(60) < 30, 0.0, 1.0)[:, None]
    jolts = [jerk(soften_seams(rows, [30], 30.0, width)).max() for width in (0.0, 0.015, 0.03)]
    assert jolts[0] == jerk(rows).max() > 1.2 * jolts[1] > 1.44 * jolts[2]


def test_nothing_to_soften():
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    assert np.array_equal(soften_seams(rows, [], 30.0), rows)
    constant = np.ones((20, 3), np.float32)
    result = soften_seams(constant, [0, 5, 19], 30.0)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, constant, rtol=1e-6)


def test_speeds_still_lead_as_far():
    """Columns of velocities keep their sum, so that a walk goes as far as it did."""
    speed = np.where(np.arange(100) < 50, 1.4, 0.3)[:, None]
    assert abs(soften_seams(speed, [50], 30.0).sum() - speed.sum()) < 0.02 * speed.sum()


def test_it_fades_in_and_out_alike_and_without_a_kink():
    rows = np.random.default_rng(0).normal(size=(90, 4))
    reach = round(REACH_SECONDS * 30)
    softened = soften_seams(rows, [40], 30.0)
    np.testing.assert_allclose(soften_seams(rows[::-1], [49], 30.0)[::-1], softened, atol=1e-12)
    smooth = gaussian_filter1d(rows, BELL_SECONDS * 30, axis=0, mode="nearest", truncate=4.2)
    fade = CubicHermiteSpline([0, reach + 1], [1, 0], [0, 0])(np.abs(np.arange(90) - 40).clip(max=reach + 1))
    np.testing.assert_allclose(softened, rows + fade[:, None] * (smooth - rows), atol=2e-3)
