"""Key reduction keeps its promise and is worth having."""

import numpy as np
import pytest

from kmm_blender.scene.key_reduction import Reduction, interpolate, reduce_keys, slopes_of
from kmm_core.errors import KmmError


def apart(a, b):
    return np.linalg.norm(a - b, axis=-1)


def reduce(channels, tolerance, always=None):
    slopes = slopes_of(channels)
    always = np.zeros(len(channels), dtype=bool) if always is None else always
    rows = reduce_keys(channels, slopes, apart, tolerance, always)
    frames = np.arange(len(channels))
    return rows, apart(interpolate(channels, slopes, rows, frames), channels)


def wandering(frames=700, seed=0):
    """Slow swings, a sudden step and a pause: motion as feet have it."""
    generator = np.random.default_rng(seed)
    time = np.arange(frames)[:, None]
    swings = np.sin(time * generator.uniform(0.03, 0.2, 3) + generator.uniform(0, 6, 3))
    swings[300:400] = swings[300]
    swings[500:] += 0.5
    return swings


@pytest.mark.parametrize("tolerance", [0.001, 0.01, 0.1])
def test_no_frame_strays_farther_than_the_tolerance(tolerance):
    rows, error = reduce(wandering(), tolerance)
    assert error.max() <= tolerance
    assert rows[0] == 0 and rows[-1] == 699
    assert (np.diff(rows) > 0).all()


def test_a_wider_tolerance_needs_fewer_keys():
    counts = [len(reduce(wandering(), tolerance)[0]) for tolerance in (0.001, 0.01, 0.1)]
    assert counts[0] > counts[1] > counts[2]
    assert counts[1] < 700 / 5


def test_every_key_left_is_needed():
    channels = wandering()
    rows, _ = reduce(channels, 0.01)
    slopes = slopes_of(channels)
    for position in range(1, len(rows) - 1):
        without = np.delete(rows, position)
        stretch = np.arange(rows[position - 1], rows[position + 1])
        assert apart(interpolate(channels, slopes, without, stretch), channels[stretch]).max() > 0.01


def test_what_stands_still_has_two_keys():
    rows, _ = reduce(np.ones((500, 4)), 0.01)
    np.testing.assert_array_equal(rows, [0, 499])


def test_frames_that_must_stay_stay():
    always = np.zeros(500, dtype=bool)
    always[[77, 78, 333]] = True
    rows, _ = reduce(np.ones((500, 4)), 0.01, always)
    np.testing.assert_array_equal(rows, [0, 77, 78, 333, 499])


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_clips_of_a_few_frames(frames):
    channels = wandering()[:frames]
    rows = reduce_keys(channels, slopes_of(channels), apart, 1e-9, np.zeros(frames, dtype=bool))
    np.testing.assert_array_equal(rows, np.arange(frames))


@pytest.mark.parametrize("name", ["degrees", "millimetres"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_tolerance_of_nothing_is_refused(name, value):
    with pytest.raises(KmmError, match=f"set to {value} {name}; expected a number above 0") as caught:
        Reduction(**{name: value})
    assert caught.value.code == "bad_reduction"
    assert "Switch key reduction off" in caught.value.hint
