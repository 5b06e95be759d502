"""CLIP's text tower, of the smallest size and untrained."""

from types import SimpleNamespace

import pytest
import torch

from kmm_core.text.clip import ClipText
from kmm_core.text.encoder import TextSettings
from kmm_core.text.prompt_head import PromptHead

LIMIT, START, END = 8, 30, 31


class _Letters(dict):
    """What transformers' tokenizers return: tensors by name, and each prompt's own encoding."""

    def __init__(self, prompts, padding, truncation, return_tensors):
        assert padding and truncation and return_tensors == "pt"
        rows = [[START, *(ord(letter) - ord("a") for letter in prompt), END] for prompt in prompts]
        longest = min(LIMIT, max(map(len, rows)))
        self.encodings = [SimpleNamespace(overflowing=row[LIMIT:]) for row in rows]
        rows = [row if len(row) <= LIMIT else [*row[: LIMIT - 1], END] for row in rows]
        super().__init__(
            input_ids=torch.tensor([row + [END] * (longest - len(row)) for row in rows]),
            attention_mask=torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        )


@pytest.fixture(params=[torch.float32, torch.float16, torch.bfloat16], ids=str)
def encoder(request) -> ClipText:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.CLIPTextConfig(
        vocab_size=32, max_position_embeddings=LIMIT, bos_token_id=START, eos_token_id=END, **sizes
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ClipText("tiny", _Letters, transformers.CLIPTextModel(config).to(request.param))


def test_outputs_feed_the_text_layers_whatever_the_weights_were_saved_in(encoder):
    outputs = encoder.encode(["walk", "go"])
    assert outputs.vectors.shape == (2, 6, encoder.width) and outputs.mask.sum(1).tolist() == [6, 4]
    head = PromptHead(encoder.width, TextSettings(encoder="clip", width=16, heads=2))
    assert head(outputs).isfinite().all()


def test_a_prompt_is_read_the_same_beside_a_longer_one_and_what_is_cut_is_told(encoder):
    outputs = encoder.encode(["go", "walkforward", "walk"])
    alone = encoder.encode(["go"])
    torch.testing.assert_close(outputs.vectors[0][outputs.mask[0]], alone.vectors[0], rtol=1e-4, atol=1e-5)
    assert outputs.cut == (1,) and outputs.vectors.shape[1] == LIMIT
