"""Every figure against another formula: SciPy's matrix root, brute force, values worked out by hand."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance

from kmm_core.errors import KmmError
from kmm_core.evaluate import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_distances_are_scipys(rng):
    first, second = rng.normal(size=(7, 5)), rng.normal(size=(9, 5))
    expected = scipy.spatial.distance.cdist(first, second)
    np.testing.assert_allclose(metrics.distances(first, second), expected, rtol=1e-12)


def brute_force(text, motion, meanings, pool, top):
    """Sorts every pool by hand."""
    shares = np.zeros(top)
    pools = len(text) // pool
    for number in range(pools):
        kept = []
        for index in range(number * pool, (number + 1) * pool):
            if meanings[index] not in [meanings[other] for other in kept]:
                kept.append(index)
        for query in kept:
            order = sorted(kept, key=lambda other, query=query: np.linalg.norm(text[query] - motion[other]))
            for places in range(top):
                shares[places] += (query in order[: places + 1]) / len(kept) / pools
    return shares


@pytest.mark.parametrize("repeats", [1, 4])
def test_r_precision_is_that_of_sorted_pools(rng, repeats):
    text = rng.normal(size=(100, 3))
    motion = text + rng.normal(size=text.shape)
    meanings = [str(index // repeats) for index in rng.permutation(100)]
    expected = brute_force(text, motion, meanings, 32, 3)
    assert 0 < expected[0] < expected[1] < expected[2] < 1
    np.testing.assert_allclose(metrics.r_precision(text, motion, meanings=meanings), expected, atol=1e-12)
    if repeats == 1:
        np.testing.assert_allclose(metrics.r_precision(text, motion), expected, atol=1e-12)


def test_r_precision_of_perfect_chance_and_collapsed_embeddings(rng):
    text = rng.normal(size=(3200, 8))
    np.testing.assert_array_equal(metrics.r_precision(text, text), [1, 1, 1])
    chance = metrics.r_precision(text, rng.normal(size=text.shape))
    np.testing.assert_allclose(chance, [1 / 32, 2 / 32, 3 / 32], atol=0.02)
    np.testing.assert_array_equal(metrics.r_precision(np.ones((64, 8)), np.ones((64, 8))), [0, 0, 0])


def test_matching_distance_by_hand():
    assert metrics.matching_distance([[0, 0], [1, 1]], [[3, 4], [1, 2]]) == pytest.approx(3.0)


@pytest.mark.parametrize(("count", "width"), [(400, 12), (20, 40)])
def test_fid_is_that_of_scipys_matrix_root(rng, count, width):
    mix = rng.normal(size=(width, width))
    real, made = rng.normal(size=(count, width)) @ mix, 0.3 + rng.normal(size=(count + 50, width))
    one, other = np.cov(real.T), np.cov(made.T)
    root = scipy.linalg.sqrtm(one @ other + 1e-12 * np.eye(width))
    expected = ((real.mean(0) - made.mean(0)) ** 2).sum() + np.trace(one + other - 2 * np.real(root))
    assert metrics.fid(real, made) == pytest.approx(expected, rel=1e-4)
    assert metrics.fid(made, real) == pytest.approx(metrics.fid(real, made), rel=1e-6)


def test_fid_of_sampling_is_that_of_other_draws_from_the_same_distribution(rng):
    mix, offset = rng.normal(size=(6, 6)), rng.normal(size=6)
    real, others = (offset + rng.normal(size=(60, 400, 6)) @ mix for _ in range(2))
    expected = np.mean([metrics.fid(one, other) for one, other in zip(real, others, strict=True)])
    found = [metrics.fid_of_sampling(one, rng) for one in real]
    assert np.mean(found) == pytest.approx(expected, rel=0.2)
    assert metrics.fid_of_sampling(real[0][:20], rng) > 3 * np.mean(found)  # fewer clips


def test_fid_of_one_column_and_of_itself(rng):
    first, second = rng.normal(1, 2, (50, 1)), rng.normal(4, 1, (60, 1))
    expected = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert metrics.fid(first, second) == pytest.approx(expected)
    many = rng.normal(size=(300, 20))
    assert metrics.fid(many, many) < 1e-9
    assert metrics.fid(many, many + 2) == pytest.approx(20 * 4)


def test_diversity_nears_the_mean_of_all_pairs(rng):
    embeddings = rng.normal(size=(400, 6))
    everyone = scipy.spatial.distance.cdist(embeddings, embeddings).mean()
    found = np.mean([metrics.diversity(embeddings, rng) for _ in range(20)])
    assert found == pytest.approx(everyone, rel=0.01)
    assert metrics.diversity(np.ones((300, 6)), rng) == 0
    # Without repeats each half is both of two: the pairs are equal or crossed, never one of each.
    assert {metrics.diversity([[0.0], [2.0]], rng, pairs=2) for _ in range(20)} == {0.0, 2.0}


def test_multimodality_is_within_prompts_only(rng):
    # Two prompts far apart; two samples each at distance 2, so a pair is 0 or 2 apart, 1 on average.
    embeddings = np.array([[[0.0], [2.0]], [[100.0], [102.0]]])
    found = [metrics.multimodality(embeddings, rng, pairs=2) for _ in range(400)]
    assert np.mean(found) == pytest.approx(1.0, abs=0.15)
    assert set(found) == {0.0, 2.0}  # without repeats


def test_jerk_of_polynomials():
    t = np.arange(12.0)
    positions = np.zeros((12, 3, 3))
    positions[:, 0, 0] = 5 * t**2 - t  # no jerk in a parabola
    positions[:, 1] = np.stack([0.5 * t**3, -0.25 * t**3, 0 * t], axis=-1)  # 3! (0.5 + 0.25)
    positions[:, 2, 1] = np.polyval([0.1, 0, 0, 0], t)  # 3! 0.1
    np.testing.assert_allclose(metrics.jerk(positions), np.full(9, 4.5), atol=1e-9)


def test_peak_and_area_by_hand():
    # One joint; the third difference of a jump of 1 is 1, -2, 1.
    still, jump = np.zeros((10, 1, 3)), np.zeros((10, 1, 3))
    jump[5:, 0, 0] = 1
    curve = metrics.jerk_curve([still, jump])
    np.testing.assert_allclose(curve, [0, 0, 0.5, 1, 0.5, 0, 0])
    assert metrics.peak_jerk(curve) == 1
    assert metrics.area_under_jerk(curve, 0.25) == pytest.approx(4 * 0.25 + 0.25 + 0.75 + 0.25)


def test_interval_by_hand():
    found = metrics.interval([1.0, 3.0])
    assert (found.mean, found.half_width) == (2.0, pytest.approx(1.96 / np.sqrt(2)))
    assert str(metrics.interval([0.5])) == "0.500 ± 0.000"


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        (lambda rng: metrics.r_precision(np.ones((31, 2)), np.ones((31, 2))), "32 clips; there are 31"),
        (lambda rng: metrics.fid(np.ones((1, 2)), np.ones((5, 2))), "2 clips; there are 1"),
        (lambda rng: metrics.fid_of_sampling(np.ones((1, 2)), rng), "2 clips; there are 1"),
        (lambda rng: metrics.diversity(np.ones((299, 2)), rng), "300 clips; there are 299"),
        (
            lambda rng: metrics.multimodality(np.ones((4, 9, 2)), rng),
            "10 samples of each prompt; there are 9",
        ),
        (lambda rng: metrics.interval([]), "1 repetitions; there are 0"),
        (lambda rng: metrics.jerk(np.ones((3, 22, 3))), "Jerk of 3 frames is not defined"),
    ],
)
def test_too_little_to_measure_is_told(rng, figure, message):
    with pytest.raises(KmmError, match=message):
        figure(rng)
