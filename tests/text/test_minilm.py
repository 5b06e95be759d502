"""The written-out MiniLM: same numbers as transformers, long and strange prompts, broken files."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from kmm_core.errors import KmmError
from kmm_core.text.encoder import TextSettings, load_text_encoder
from kmm_core.text.minilm import MAX_TOKENS, MiniLM, packaged_folder

PROMPTS = ["a person walks forward", "raise the left arm 👋 שלום", "", "walk " * 400]


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM.load(packaged_folder())


def test_outputs_equal_transformers(minilm):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
        max_position_embeddings=MAX_TOKENS,
    )  # fmt: skip
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    weights = {
        name: tensor.float() for name, tensor in load_file(packaged_folder() / "model.safetensors").items()
    }
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and all("position_ids" in name for name in missing)
    outputs = minilm.encode(PROMPTS)
    ids = [minilm._tokenizer.encode(prompt).ids for prompt in PROMPTS]
    for row, tokens in enumerate(ids):
        with torch.no_grad():
            expected = model(torch.tensor([tokens])).last_hidden_state[0]
        torch.testing.assert_close(outputs.vectors[row, : len(tokens)], expected, rtol=1e-4, atol=1e-4)


def test_long_prompts_are_cut_and_padding_is_marked(minilm):
    outputs = minilm.encode(PROMPTS)
    assert outputs.vectors.shape == (4, MAX_TOKENS, 384)
    assert outputs.mask.sum(-1).tolist()[0] == 6  # four words, start and end


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(KmmError, match=r"model\.safetensors is missing") as error:
        MiniLM.load(tmp_path)
    assert error.value.code == "text_encoder_missing"
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(KmmError, match="cannot be read") as error:
        MiniLM.load(tmp_path)
    assert error.value.code == "text_encoder_broken"


def test_clip_is_selectable_and_says_what_is_missing(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(KmmError, match="could not be loaded") as error:
        load_text_encoder(TextSettings(encoder="clip", clip_model=str(tmp_path / "none")))
    assert error.value.code == "text_encoder_missing"


def test_a_small_clip_model_gives_token_outputs(tmp_path):
    """Published CLIP through transformers; here a small model of the same kind, made by code."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: index for index, word in enumerate(["<pad>", "<end>", "<start>", "walk", "left"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")
    fast.save_pretrained(tmp_path)
    config = transformers.CLIPTextConfig(
        vocab_size=5, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=8, eos_token_id=1, bos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    transformers.CLIPTextModel(config).save_pretrained(tmp_path)
    encoder = load_text_encoder(TextSettings(encoder="clip", clip_model=str(tmp_path)))
    outputs = encoder.encode(["walk left", "walk"])
    assert outputs.vectors.shape == (2, 2, 16) and outputs.mask.tolist() == [[True, True], [True, False]]
    assert encoder.width == 16 and encoder.num_parameters > 0
