"""The evaluator against its layers worked out step by step, and its file."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from kmm_core.errors import KmmError
from kmm_core.evaluate.evaluator import (
    EncoderWords,
    Evaluator,
    EvaluatorSettings,
    FrozenEvaluator,
    SequenceEncoder,
    Words,
    load_evaluator,
    named_on_pages,
    save_evaluator,
)
from tests.letter_encoder import LetterEncoder

SMALL = EvaluatorSettings(movement_width=6, motion_width=8, text_width=5, width=4, max_frames=40)


@pytest.fixture
def evaluator() -> Evaluator:
    torch.manual_seed(0)
    made = Evaluator(7, LetterEncoder.width, SMALL, unused=2)
    made.mean.normal_()
    made.std.uniform_(0.5, 2)
    for name, weight in made.named_parameters():
        if name.endswith("bias"):  # they start at 0, where a forgotten one would not show
            torch.nn.init.normal_(weight, std=0.3)
    return made.eval()


def gru_last(gru: torch.nn.GRU, inputs, start, suffix=""):
    """The last state of one direction, by the equations of a GRU."""
    weight_ih, weight_hh = getattr(gru, f"weight_ih_l0{suffix}"), getattr(gru, f"weight_hh_l0{suffix}")
    bias_ih, bias_hh = getattr(gru, f"bias_ih_l0{suffix}"), getattr(gru, f"bias_hh_l0{suffix}")
    state = start
    for x in inputs:
        reset, update, new = (weight_ih @ x + bias_ih).chunk(3)
        reset_h, update_h, new_h = (weight_hh @ state + bias_hh).chunk(3)
        gate = torch.sigmoid(update + update_h)
        state = (1 - gate) * torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h) + gate * state
    return state


def sequence_by_hand(encoder: SequenceEncoder, inputs):
    x = inputs @ encoder.input_emb.weight.T + encoder.input_emb.bias
    forward = gru_last(encoder.gru, x, encoder.hidden[0, 0])
    backward = gru_last(encoder.gru, x.flip(0), encoder.hidden[1, 0], "_reverse")
    first, norm, _, last = encoder.output_net
    x = first.weight @ torch.cat([forward, backward]) + first.bias
    x = (x - x.mean()) / torch.sqrt(x.var(correction=0) + norm.eps) * norm.weight + norm.bias
    return last.weight @ torch.where(x > 0, x, 0.2 * x) + last.bias


def motion_by_hand(evaluator: Evaluator, features):
    """The published way: normalise, zeros behind up to the longest, convolve all of it, keep the real steps."""
    features = features[: SMALL.max_frames]
    steps = len(features) // 4
    seen = len(features) if evaluator.rest_seen else 4 * steps
    x = torch.zeros(SMALL.max_frames, 5)
    x[:seen] = ((features - evaluator.mean) / evaluator.std)[:seen, :5]
    for layer in (evaluator.movement_encoder.main[0], evaluator.movement_encoder.main[3]):
        wide = torch.zeros(len(x) + 2, x.shape[1])
        wide[1:-1] = x
        windows = torch.stack([wide[start : start + 4] for start in range(0, len(x), 2)])
        x = functional.leaky_relu(torch.einsum("swi,oiw->so", windows, layer.weight) + layer.bias, 0.2)
    out = evaluator.movement_encoder.out_net
    return sequence_by_hand(evaluator.motion_encoder, (x @ out.weight.T + out.bias)[:steps])


@pytest.mark.parametrize("rest_seen", [False, True])
def test_motion_embeddings_are_those_of_zeros_up_to_the_longest(evaluator, rest_seen):
    """And of a rest that makes no step, in a released evaluator: BABEL's clips are of any length."""
    evaluator.rest_seen = rest_seen
    frames = [40, 17, 4, 39]
    features = torch.randn(4, 45, 7)
    expected = torch.stack(
        [motion_by_hand(evaluator, row[:count]) for row, count in zip(features, frames, strict=True)]
    )
    found = evaluator.embed_motion(features, torch.tensor(frames))
    torch.testing.assert_close(found, expected)
    short = evaluator.embed_motion(features[1:3, :20], torch.tensor(frames[1:3]))
    torch.testing.assert_close(short, expected[1:3])
    alone = [
        evaluator.embed_motion(features[row : row + 1], torch.tensor(frames[row : row + 1]))
        for row in range(4)
    ]
    torch.testing.assert_close(torch.cat(alone), expected)
    cut = evaluator.embed_motion(features[:1], torch.tensor([45]))  # longer than max_frames
    torch.testing.assert_close(cut, expected[:1])


def test_text_embeddings_read_each_text_to_its_end(evaluator):
    words = Words(torch.randn(3, 6, LetterEncoder.width), torch.tensor([2, 6, 1]))
    expected = [
        sequence_by_hand(evaluator.text_encoder, row[:length])
        for row, length in zip(words.vectors, words.lengths, strict=True)
    ]
    torch.testing.assert_close(evaluator.embed_text(words), torch.stack(expected))


def test_columns_that_are_not_used_change_nothing(evaluator):
    features, frames = torch.randn(1, 12, 7), torch.tensor([12])
    before = evaluator.embed_motion(features, frames)
    features[..., 5:] = 100
    assert torch.equal(evaluator.embed_motion(features, frames), before)


def test_frozen_embeddings_keep_the_order_and_know_no_batches(evaluator):
    rng = np.random.default_rng(0)
    motions = [rng.normal(size=(count, 7)).astype(np.float32) for count in (30, 9, 55, 4, 18)]
    texts = ["a person walks", "squat", "b"]
    frozen = FrozenEvaluator(evaluator, EncoderWords(LetterEncoder()))
    one_by_one = np.concatenate([frozen.embed_motions([motion]) for motion in motions])
    np.testing.assert_allclose(frozen.embed_motions(motions, batch_size=2), one_by_one, atol=1e-6)
    single = np.concatenate([frozen.embed_texts([text]) for text in texts])
    np.testing.assert_allclose(frozen.embed_texts(texts, batch_size=2), single, atol=1e-6)
    assert single.shape == (3, 4) and one_by_one.shape == (5, 4)
    for wrong in (np.zeros((3, 7)), np.zeros((10, 6))):
        with pytest.raises(KmmError, match=r"at least 4 frames of 7 columns"):
            frozen.embed_motions([wrong])


def test_saved_and_loaded_is_the_same_to_16_bits(evaluator, tmp_path):
    path = tmp_path / "evaluator.safetensors"
    save_evaluator(path, evaluator, encoder="letters", representation="272")
    loaded = load_evaluator(path, LetterEncoder(), "272")
    assert loaded.evaluator.settings == SMALL and loaded.evaluator.sizes == evaluator.sizes
    for name, tensor in evaluator.named_parameters():
        assert torch.equal(loaded.evaluator.get_parameter(name), tensor.half().float()), name
    for name, tensor in evaluator.named_buffers():  # features may lie close together: these keep 32
        assert torch.equal(loaded.evaluator.get_buffer(name), tensor), name
    assert not any(weight.requires_grad for weight in loaded.evaluator.parameters())


def test_wrong_files_are_told(evaluator, tmp_path):
    path = tmp_path / "evaluator.safetensors"
    with pytest.raises(KmmError, match=r"does not exist\. Train one: kmm-train evaluator"):
        load_evaluator(path, LetterEncoder(), "272")
    path.write_bytes(b"no")
    with pytest.raises(KmmError, match="is not a readable evaluator"):
        load_evaluator(path, LetterEncoder(), "272")
    save_evaluator(path, evaluator, encoder="letters", representation="272")
    with pytest.raises(KmmError, match="representation 272; given are letters and 263"):
        load_evaluator(path, LetterEncoder(), "263")
    header = {"sizes": evaluator.sizes, "settings": {}, "encoder": "letters", "representation": "272"}
    save_file(load_file(path), path, {"kmm_evaluator": json.dumps(header)})
    with pytest.raises(KmmError, match=r"evaluator.safetensors holds \(24,\) for 'motion_encoder"):
        load_evaluator(path, LetterEncoder(), "272")


def test_pages_tell_two_evaluators_of_one_name_apart(tmp_path):
    names = []
    for content in (b"one", b"two"):
        path = tmp_path / content.decode() / "evaluator.safetensors"
        path.parent.mkdir()
        path.write_bytes(content)
        names.append(named_on_pages(path))
    assert names[0] == "evaluator.safetensors (7692c3ad)" and names[0] != names[1]


def test_settings_that_make_no_sense_are_told():
    with pytest.raises(KmmError, match=r"width=0 must be at least 1; temperature=-1 must be above 0\."):
        EvaluatorSettings(width=0, temperature=-1)
    with pytest.raises(KmmError, match="max_frames=3 must be at least 4"):
        EvaluatorSettings(max_frames=3)
