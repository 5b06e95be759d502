"""The evaluator's stage on clips made by code: the loss by hand, what a batch holds, and that sides are learned."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.evaluate.evaluator import EvaluatorSettings
from kmm_core.motion import rotations
from kmm_core.text.encoder import TokenOutputs
from kmm_core.train import evaluator_stage
from kmm_core.train.motion_data import DataSettings, MotionData
from kmm_core.train.prepared import PreparedClip, clip_path, save_clip, write_manifest

SMALL = EvaluatorSettings(movement_width=16, motion_width=16, text_width=16, width=8, max_frames=40)


class WordEncoder:
    """A vector for each word."""

    name, width, num_parameters = "words", 6, 0

    def encode(self, prompts):
        rows = [
            torch.stack([torch.sin(torch.arange(1, 7) * sum(map(ord, word))) for word in prompt.split()])
            for prompt in prompts
        ]
        lengths = torch.tensor([len(row) for row in rows])
        vectors = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return TokenOutputs(vectors, torch.arange(vectors.shape[1]) < lengths[:, None])


def about(number: int, frames: int, said: str, mirrored: str, **labels) -> PreparedClip:
    return PreparedClip(
        id=f"clip{number}",
        source="made",
        licence="CC0-1.0",
        noncommercial=False,
        split="val" if number % 4 == 0 else "train",
        recording=str(number),
        start=0.0,
        frames=frames,
        captions=(said, f"somebody {said}"),
        mirrored_captions=(mirrored, f"somebody {mirrored}"),
        labels=labels,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> MotionData:
    """Arms that go up on the left or on the right, and people who walk."""
    folder = tmp_path_factory.mktemp("prepared") / "made"
    (folder / "clips").mkdir(parents=True)
    rows = []
    for number in range(16):
        frames = 24 + 3 * number
        t = np.arange(frames) / 30
        local = np.tile(rotations.IDENTITY, (frames, 22, 1))
        side = ("left", "right", "none")[number % 3]
        speed = 1.0 if side == "none" else 0.0
        if side != "none":
            joint, sign = (16, 1) if side == "left" else (17, -1)
            local[:, joint] = rotations.from_axis_angle(np.array([0, 0, 1.0]), sign * np.minimum(2 * t, 1.4))
        path = np.stack([0 * t, np.full(frames, 0.95), speed * t], axis=-1)
        said = "walks" if side == "none" else f"raises the {side} arm"
        mirrored = said.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
        action = "walk" if side == "none" else "raise_arm"
        rows.append(about(number, frames, said, mirrored, action=action, side=side, turn="none"))
        save_clip(clip_path(folder, f"clip{number}"), MotionClip(path, local, 30))
    write_manifest(folder, rows)
    return MotionData(DataSettings(prepared=str(folder.parent)))


@pytest.fixture
def stage(data):
    torch.manual_seed(0)
    return evaluator_stage.build(data=data, encoder=WordEncoder(), settings=SMALL, captions=2)


def test_the_loss_by_hand():
    rng = torch.Generator().manual_seed(0)
    text, motion = torch.randn(2, 5, 3, generator=rng)
    same = torch.eye(5, dtype=torch.bool)
    same[0, 3] = same[3, 0] = True

    def closeness(i: int, j: int) -> float:
        return math.exp(-float((text[i] - motion[j]).pow(2).sum()) / 2.5)

    def mismatches(i: int) -> list[int]:
        return [j for j in range(5) if j != i and {i, j} != {0, 3}]

    found_motion = [closeness(i, i) / sum(closeness(i, j) for j in [i, *mismatches(i)]) for i in range(5)]
    found_text = [closeness(i, i) / sum(closeness(j, i) for j in [i, *mismatches(i)]) for i in range(5)]
    mismatched = -sum(map(math.log, found_motion + found_text)) / 10
    matched = sum(float((text[i] - motion[i]).pow(2).sum()) for i in range(5)) / 5
    found = evaluator_stage.matching_loss(text, motion, same, 2.5)
    assert float(found["matched"]) == pytest.approx(matched, rel=1e-5)
    assert float(found["mismatched"]) == pytest.approx(mismatched, rel=1e-5)
    together = evaluator_stage.TOGETHER * matched / 2.5
    assert float(found["loss"]) == pytest.approx(mismatched + together, rel=1e-5)


def test_a_perfect_match_has_a_finite_gradient():
    text = torch.zeros(2, 3, requires_grad=True)
    evaluator_stage.matching_loss(text, text * 1, torch.eye(2, dtype=torch.bool), 1.0)["loss"].backward()
    assert torch.isfinite(text.grad).all()


def test_a_batch_holds_clips_beside_their_mirror_images(stage, data):
    batch = stage.make_batch(torch.Generator().manual_seed(3), 8)
    assert len(batch.features) == len(batch.frames) == len(batch.same) == 8
    assert int(batch.frames.max()) <= SMALL.max_frames
    for row in range(0, 8, 2):
        own, mirrored = batch.features[row : row + 2, : batch.frames[row]].numpy()
        if batch.frames[row] < SMALL.max_frames:  # else each shows a window of its own
            np.testing.assert_allclose(data.mirrored(own), mirrored, atol=1e-5)
    assert batch.same.diagonal().all() and torch.equal(batch.same, batch.same.T)
    assert not batch.same.all()


def test_batches_depend_on_the_generator_only(stage):
    one, again, other = (stage.make_batch(torch.Generator().manual_seed(seed), 8) for seed in (1, 1, 2))
    assert torch.equal(one.features, again.features) and torch.equal(one.words.vectors, again.words.vectors)
    assert one.features.shape != other.features.shape or not torch.equal(one.features, other.features)


def test_what_means_the_same_is_no_mismatch(data):
    pairs = evaluator_stage.pairs_of_examples(data.clips, data, 2, torch.Generator())
    assert len(pairs) == 16 and all(len(pair) == 2 for pair in pairs)
    left, right, walk = pairs[0], pairs[1], pairs[2]
    assert left[0].meaning == right[1].meaning != right[0].meaning == left[1].meaning
    assert walk[0].meaning == walk[1].meaning and walk[0].captions == walk[1].captions
    outputs = evaluator_stage.CaptionOutputs.of(
        WordEncoder(), [caption for pair in pairs for example in pair for caption in example.captions]
    )
    batch = evaluator_stage.collate(
        [left[0], right[1], right[0], walk[0]], data, outputs, 40, torch.Generator()
    )
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert batch.same.tolist() == np.array(expected, dtype=bool).tolist()


def test_it_learns_actions_and_sides(stage):
    before = stage.validate(stage.objective.eval(), None)
    optimizer = torch.optim.Adam(stage.objective.parameters(), 5e-3)
    stage.objective.train()
    for step in range(60):
        rng = torch.Generator().manual_seed(step)
        loss = stage.objective(stage.make_batch(rng, 16), rng)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    report = stage.validate(stage.objective.eval(), None)
    assert report["loss"] < 0.3 * before["loss"]
    assert report["side_error"] == 0 and report["top1_error"] == 0 and stage.best_metric in report
    assert report == stage.validate(stage.objective, None)


def test_no_caption_is_an_error(data, tmp_path):
    folder = tmp_path / "mute"
    (folder / "clips").mkdir(parents=True)
    row = replace(about(1, 24, "walks", "walks"), source="mute", captions=(), mirrored_captions=())
    clip = MotionClip(np.zeros((24, 3)) + [0, 0.95, 0], np.tile(rotations.IDENTITY, (24, 22, 1)), 30)
    save_clip(clip_path(folder, row.id), clip)
    write_manifest(folder, [row])
    with pytest.raises(KmmError, match="has a caption and at least 4 frames"):
        evaluator_stage.build(
            data=MotionData(DataSettings(prepared=str(tmp_path))),
            encoder=WordEncoder(),
            settings=SMALL,
            captions=2,
        )
