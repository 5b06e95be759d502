"""Bundles: what is saved is what is loaded, and every broken one is one sentence."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from kmm_core.bundle import CONFIG, FAMILIAR_KEY, MODEL, TOKENIZER, load_bundle
from kmm_core.errors import KmmError

from .tiny_bundle import save_tiny_bundle


@pytest.fixture
def folder(tmp_path):
    return save_tiny_bundle(tmp_path / "bundle")


def test_weights_are_half_on_disk_and_float_in_memory(folder):
    stored = load_file(folder / MODEL)
    loaded = load_bundle(folder)
    name = "blocks.0.mixer.in_proj.weight"
    assert stored["generator." + name].dtype == torch.half
    torch.testing.assert_close(loaded.generator.state_dict()[name], stored["generator." + name].float())
    assert not loaded.generator.training and not any(p.requires_grad for p in loaded.generator.parameters())
    assert torch.equal(loaded.generator.codes, loaded.tokenizer.quantizer.codes())


def test_a_bundle_may_share_the_tokenizer_of_its_neighbour(folder):
    other = folder.parent / "other"
    other.mkdir()
    table = json.loads((folder / CONFIG).read_text())
    table["tokenizer_file"] = "../bundle/tokenizer.safetensors"
    (other / CONFIG).write_text(json.dumps(table))
    (other / MODEL).write_bytes((folder / MODEL).read_bytes())
    assert torch.equal(load_bundle(other).tokenizer.mean, load_bundle(folder).tokenizer.mean)


def test_what_is_familiar_travels_with_the_weights(folder):
    assert load_bundle(folder).familiar is None
    centres = torch.randn(3, 384)
    _edit_weights(folder, lambda tensors: tensors.update({FAMILIAR_KEY: centres.half()}))
    torch.testing.assert_close(load_bundle(folder).familiar, centres, rtol=1e-3, atol=1e-3)


def test_a_run_is_told_where_its_bundle_lies(folder, tmp_path):
    folder.rename(tmp_path / "bundle")
    with pytest.raises(KmmError, match=f"{tmp_path} is the folder of a training run.*Name that: .*bundle"):
        load_bundle(tmp_path)


def _edit_config(folder, **changes):
    table = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**table, **changes}))


def _edit_settings(folder, part, **changes):
    _edit_config(folder, **{part: {**json.loads((folder / CONFIG).read_text())[part], **changes}})


def _edit_weights(folder, change):
    tensors = load_file(folder / MODEL)
    change(tensors)
    save_file(tensors, folder / MODEL)


BREAKS = {
    "no folder": (
        lambda f: (f / CONFIG).unlink(),
        "bundle_missing",
        "is neither a folder with a config.json",
    ),
    "no json": (lambda f: (f / CONFIG).write_text("{"), "bundle_broken", "cannot be read"),
    "a list": (lambda f: (f / CONFIG).write_text("[]"), "bundle_foreign", "is not a KMM model of format 1"),
    "another format": (lambda f: _edit_config(f, format=7), "bundle_foreign", r"format 1 \(it says 7\)"),
    "a missing key": (
        lambda f: _edit_config(f, text={"size": 3}),
        "bundle_foreign",
        "does not describe a KMM model",
    ),
    "text for a number": (
        lambda f: _edit_config(f, encoder_width="384"),
        "bundle_foreign",
        r"encoder_width is '384'; expected int",
    ),
    "a fraction for a count": (
        lambda f: _edit_settings(f, "generator", layers=1.5),
        "bundle_foreign",
        r"layers is 1.5; expected int",
    ),
    "a list for a table": (
        lambda f: _edit_config(f, tokenizer=[3]),
        "bundle_foreign",
        "does not describe a KMM model",
    ),
    "a number in a list of text": (
        lambda f: _edit_config(f, credits=["by", 3]),
        "bundle_foreign",
        r"credits is \('by', 3\)",
    ),
    "text in a list of numbers": (
        lambda f: _edit_settings(f, "tokenizer", dilations=["3"]),
        "bundle_foreign",
        r"dilations is \('3',\)",
    ),
    "an unknown choice": (
        lambda f: _edit_settings(f, "text", encoder="bert"),
        "bundle_foreign",
        r"encoder is 'bert'; expected .*minilm",
    ),
    "text for a fraction": (
        lambda f: _edit_settings(f, "sampling", top_p="0.9"),
        "bundle_foreign",
        r"top_p is '0.9'; expected float",
    ),
    "text for a count that another must divide by": (
        lambda f: _edit_settings(f, "text", heads="4"),
        "bundle_foreign",
        r"heads is '4'; expected int",
    ),
    "a negative size": (
        lambda f: _edit_settings(f, "generator", d_model=-32),
        "bundle_foreign",
        r"does not describe a KMM model \(d_model=-32 must be at least 1",
    ),
    "a size beyond all memory": (
        lambda f: _edit_settings(f, "generator", d_model=2**62),
        "bundle_foreign",
        "describes a model that cannot be built",
    ),
    "no weights": (lambda f: (f / MODEL).unlink(), "bundle_broken", "is missing"),
    "no tokenizer": (lambda f: (f / TOKENIZER).unlink(), "bundle_broken", "is missing"),
    "empty weights": (
        lambda f: (f / MODEL).write_bytes(b""),
        "bundle_broken",
        "not a complete safetensors file",
    ),
    "cut weights": (
        lambda f: (f / MODEL).write_bytes((f / MODEL).read_bytes()[:-100]),
        "bundle_broken",
        "not a complete safetensors file",
    ),
    "a pickle": (
        lambda f: torch.save({"a": 1}, f / MODEL),
        "bundle_broken",
        "not a complete safetensors file",
    ),
    "other weights": (
        lambda f: _edit_weights(f, lambda t: t.pop("generator.head.bias")),
        "bundle_foreign",
        r"1 weights differ, the first is 'head.bias' \(file none, expected \(16,\)\)",
    ),
    "what is familiar, of another encoder": (
        lambda f: _edit_weights(f, lambda t: t.update({FAMILIAR_KEY: torch.zeros(5, 512)})),
        "bundle_foreign",
        r"'familiar' has the shape \(5, 512\), expected \(any, 384\)",
    ),
    "not a number": (
        lambda f: _edit_weights(f, lambda t: t["generator.head.bias"].fill_(float("nan"))),
        "bundle_broken",
        "not finite",
    ),
}


@pytest.mark.parametrize(("breaking", "code", "message"), BREAKS.values(), ids=BREAKS)
def test_broken_bundles_are_one_sentence(folder, breaking, code, message):
    breaking(folder)
    with pytest.raises(KmmError, match=message) as error:
        load_bundle(folder)
    assert error.value.code == code and error.value.hint


def test_a_full_disk_is_one_sentence(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # no file may be larger
    try:
        with pytest.raises(KmmError, match="Cannot write .*safetensors"):
            save_tiny_bundle(tmp_path / "bundle")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "bundle").iterdir())
