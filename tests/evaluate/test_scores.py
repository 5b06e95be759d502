"""Scores of one repetition: against the formulas written out, and what is asked of the generator."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.evaluate import scores
from kmm_core.evaluate.scores import Embedded

from . import bodies


def made_up(count: int, rng: np.random.Generator):
    """Embeddings of texts, and of motion near them."""
    text = rng.normal(size=(count, 3))
    return text, text + rng.normal(size=(count, 3)) * 0.5


def test_one_repetition_by_the_formulas():
    text, motion = made_up(40, np.random.default_rng(0))
    _, real = made_up(60, np.random.default_rng(1))
    meanings = [str(number) for number in range(40)]
    found = scores.embedded_scores(Embedded(text, motion, real, meanings), np.random.default_rng(5))
    assert set(found) == set(scores.SCORES)
    gaps = np.sqrt(np.square(text - motion).sum(-1))
    assert found["mm_dist"] == pytest.approx(gaps.mean())
    # 40 texts make one pool of 32, drawn at random.
    pool = np.random.default_rng(5).permutation(40)[:32]
    hits = [0, 0, 0]
    for own in pool:
        others = sorted(np.linalg.norm(text[own] - motion[other]) for other in pool)
        rank = others.index(np.linalg.norm(text[own] - motion[own]))
        hits = [hit + (rank < places) for places, hit in enumerate(hits, 1)]
    for rank, hit in enumerate(hits, 1):
        assert found[f"r_precision_{rank}"] == pytest.approx(hit / 32)


def test_equal_meanings_are_no_mismatch():
    places = np.repeat([[0.0, 0, 0], [9, 9, 9]], 16, axis=0)
    embedded = Embedded(places, places, places, ["a"] * 16 + ["b"] * 16)
    found = scores.embedded_scores(embedded, np.random.default_rng(0))
    assert found["r_precision_1"] == 1.0 and found["fid"] == pytest.approx(0, abs=1e-6)


def test_less_than_a_pool_is_refused():
    text, motion = made_up(31, np.random.default_rng(0))
    with pytest.raises(KmmError, match="at least 32 clips"):
        scores.embedded_scores(Embedded(text, motion, motion, ["a"] * 31), np.random.default_rng(0))


def test_intervals_over_repetitions():
    found = scores.intervals([{"fid": 1.0, "mm_dist": 2.0}, {"fid": 3.0, "mm_dist": 2.0}])
    assert found["fid"].mean == 2.0 and found["mm_dist"].half_width == 0
    # Deviation 1 over two repetitions.
    assert found["fid"].half_width == pytest.approx(1.96 / 2**0.5)


class Recorder:
    def __init__(self):
        self.asked = []

    def generate(self, timeline, *, seed=0, samples=1):
        self.asked.append(([prompt.text for prompt in timeline.prompts], timeline.num_frames, seed))
        return SimpleNamespace(clips=[bodies.still(timeline.num_frames)] * samples)


def test_every_clip_has_its_own_seed_and_length():
    recorder, calls = Recorder(), []
    clips = scores.generate_clips(recorder, ["a", "b"], [30, 41], seed=2, progress=lambda: calls.append(1))
    clips += scores.generate_clips(recorder, ["a", "b"], [30, 41], seed=3)
    assert [clip.num_frames for clip in clips] == [30, 41, 30, 41] and len(calls) == 2
    assert [texts for texts, *_ in recorder.asked] == [["a"], ["b"], ["a"], ["b"]]
    assert len({seed for *_, seed in recorder.asked}) == 4


def test_samples_of_one_prompt():
    (made,) = scores.generate_samples(Recorder(), ["a"], [30], 5)
    assert len(made) == 5


def test_a_timeline_goes_through_in_one_pass():
    recorder = Recorder()
    clip, boundaries = scores.generate_timeline(recorder, ["a", "b", "c"], [30, 41, 20], seed=1)
    assert clip.num_frames == 91 and boundaries == [30, 71]
    assert [(texts, frames) for texts, frames, _ in recorder.asked] == [(["a", "b", "c"], 91)]
