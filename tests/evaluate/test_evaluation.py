"""What ``Measurement`` compares with what."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kmm_core.evaluate import metrics
from kmm_core.evaluate.evaluation import EvaluationPlan, Measurement
from kmm_core.evaluate.evaluation_set import EvaluationClip, EvaluationSet
from kmm_core.motion.representation import representation

from . import bodies

FORM = representation("272")
SPEEDS = {"strolls": 0.5, "runs": 3.0}


def clip_of(meaning: str, number: int, faster: float) -> EvaluationClip:
    features = FORM.encode(bodies.walk(frames=40 + number, speed=SPEEDS[meaning] + faster)).astype(np.float32)
    return EvaluationClip(
        f"made/{meaning}{number}", features, (f"he {meaning}",), (f"he {meaning}",), meaning
    )


class Speeds:
    """Embeds motion as the mean speed of its pelvis, and text as nothing."""

    def embed_texts(self, texts):
        return np.zeros((len(texts), 2))

    def embed_motions(self, motions):
        speeds = [30 * np.linalg.norm(rows[1:, :2], axis=-1).mean() for rows in motions]
        return np.array([[speed, speed] for speed in speeds])


class HalfwayTokenizer:
    """Gives back the motion at half its speed."""

    settings = SimpleNamespace(frames_per_token=4)

    def encode(self, features):
        return features

    def decode(self, tokens):
        halved = tokens.clone()
        halved[..., :2] /= 2
        return halved


def test_other_recordings_show_the_same_and_go_through_the_tokenizer():
    """A stroller is compared with strollers and a runner with runners, at the speed that the tokenizer leaves them."""
    held_out, train = (
        [clip_of(meaning, number, faster) for meaning in SPEEDS for number in range(16)]
        for faster in (0.0, 0.1)
    )
    data = EvaluationSet(
        *("starter", "272", 30.0, held_out, lambda: train, FORM.encode),
        positions=lambda rows: FORM.decode(rows, 30.0).joint_positions(),
    )
    pipeline = SimpleNamespace(
        representation=FORM, device=torch.device("cpu"), bundle=SimpleNamespace(tokenizer=HalfwayTokenizer())
    )
    plan = EvaluationPlan(repetitions=2)
    found = Measurement(data, Speeds(), plan, lambda *_: lambda: None).others(pipeline)
    speeds = np.repeat(list(SPEEDS.values()), 16)
    wanted = metrics.fid(*(np.stack([of, of], axis=1) for of in (speeds, (speeds + 0.1) / 2)))
    assert found["fid"].mean == pytest.approx(wanted, rel=0.02)
