"""The released evaluators' files, made up in exactly their layout: names, shapes, vocabulary, and everything that may be wrong."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from kmm_core.errors import KmmError
from kmm_core.evaluate.evaluator import Evaluator, EvaluatorSettings, Words
from kmm_core.evaluate.released_evaluator import RELEASES, load_released_evaluator
from kmm_core.evaluate.word_vectors import CLASSES, MAX_WORDS, WordVectors

WORDS = ("unk", "sos", "eos", "a", "person", "walk", "left", "slowly", "moonwalk")


def release_shapes(columns: int, movement: int, motion: int, text: int, width: int, word: int) -> dict:
    """Parameters of the release: ``finest.tar`` with 259 (HumanML3D) or 135 columns, 512, 1024, 512, 512 and 300."""

    def recurrent(input_width: int, hidden: int) -> dict:
        gru = {
            f"gru.{kind}_l0{suffix}": shape
            for suffix in ("", "_reverse")
            for kind, shape in (
                ("weight_ih", (3 * hidden, hidden)),
                ("weight_hh", (3 * hidden, hidden)),
                ("bias_ih", (3 * hidden,)),
                ("bias_hh", (3 * hidden,)),
            )
        }
        return {
            "hidden": (2, 1, hidden),
            "input_emb.weight": (hidden, input_width),
            "input_emb.bias": (hidden,),
            **gru,
            "output_net.0.weight": (hidden, 2 * hidden),
            "output_net.0.bias": (hidden,),
            "output_net.1.weight": (hidden,),
            "output_net.1.bias": (hidden,),
            "output_net.3.weight": (width, hidden),
            "output_net.3.bias": (width,),
        }

    return {
        "movement_encoder": {
            "main.0.weight": (movement, columns, 4),
            "main.0.bias": (movement,),
            "main.3.weight": (movement, movement, 4),
            "main.3.bias": (movement,),
            "out_net.weight": (movement, movement),
            "out_net.bias": (movement,),
        },
        "text_encoder": {
            "pos_emb.weight": (word, 15),
            "pos_emb.bias": (word,),
            **recurrent(word, text),
        },
        "motion_encoder": recurrent(movement, motion),
    }


def write_release(folder: Path, columns: int = 259, features: int = 263, legacy: bool = False) -> dict:
    """A small release in ``folder``; returns the weights in it."""
    rng = torch.Generator().manual_seed(0)
    state = {
        part: {name: torch.randn(shape, generator=rng) * 0.2 for name, shape in shapes.items()}
        for part, shapes in release_shapes(columns, 6, 8, 5, 4, 7).items()
    }
    state |= {"opt_text_encoder": {"state": {}, "param_groups": [{"lr": 1e-4}]}, "epoch": 215, "total_it": 7}
    (folder / "model").mkdir(parents=True)
    torch.save(state, folder / "model" / "finest.tar", _use_new_zipfile_serialization=not legacy)
    numbers = np.random.default_rng(0)
    np.save(folder / "mean.npy", numbers.normal(size=features))
    np.save(folder / "std.npy", numbers.uniform(0.5, 2, size=features))
    (folder / "glove").mkdir()
    np.save(folder / "glove" / "our_vab_data.npy", numbers.normal(size=(len(WORDS), 7)))
    rows = {word: len(WORDS) - 1 - number for number, word in enumerate(WORDS)}
    (folder / "glove" / "our_vab_words.pkl").write_bytes(pickle.dumps(list(WORDS)))
    (folder / "glove" / "our_vab_idx.pkl").write_bytes(pickle.dumps(rows))
    return state


def load(folder: Path, release: str = "humanml3d"):
    return load_released_evaluator(folder / "model" / "finest.tar", folder, folder / "glove", release=release)


@pytest.mark.parametrize(("release", "columns"), [("humanml3d", 259), ("babel", 135)])
def test_ours_has_the_names_and_shapes_of_the_release(release, columns):
    about = RELEASES[release]
    ours = Evaluator(about.num_features, 300, EvaluatorSettings(), num_classes=15, unused=about.unused)
    expected = {
        f"{part}.{name}": shape
        for part, shapes in release_shapes(columns, 512, 1024, 512, 512, 300).items()
        for name, shape in shapes.items()
    }
    assert {name: tuple(weight.shape) for name, weight in ours.named_parameters()} == expected


@pytest.mark.parametrize(
    ("release", "columns", "features", "legacy"),
    [("humanml3d", 259, 263, False), ("humanml3d", 259, 263, True), ("babel", 135, 135, False)],
)
def test_a_release_is_loaded_as_it_is(tmp_path, release, columns, features, legacy):
    state = write_release(tmp_path, columns, features, legacy)
    frozen = load(tmp_path, release)
    evaluator = frozen.evaluator
    for part in ("movement_encoder", "text_encoder", "motion_encoder"):
        for name, tensor in getattr(evaluator, part).state_dict().items():
            assert torch.equal(tensor, state[part][name]), f"{part}.{name}"
    assert evaluator.settings.max_frames == {"humanml3d": 196, "babel": 200}[release]
    assert evaluator.rest_seen
    np.testing.assert_allclose(evaluator.std.numpy(), np.load(tmp_path / "std.npy"), rtol=1e-6)

    motion = np.random.default_rng(1).normal(size=(42, features)).astype(np.float32)
    embedded = frozen.embed_motions([motion])
    assert embedded.shape == (1, 4)
    if release == "humanml3d":  # foot contacts are not looked at
        motion[:, 259:] = 9
        np.testing.assert_array_equal(frozen.embed_motions([motion]), embedded)
    texts = ["a/DET person/NOUN walk/VERB left/ADV", "a/DET person/NOUN walk/VERB slowly/ADV"]
    found = frozen.embed_texts(texts)
    assert found.shape == (2, 4) and np.abs(found[0] - found[1]).max() > 1e-3


def test_text_encoder_adds_the_embedded_class_to_the_word(tmp_path):
    write_release(tmp_path)
    frozen = load(tmp_path)
    words = frozen.words.read(["person/NOUN walk/VERB"])
    encoder = frozen.evaluator.text_encoder
    columns = words.classes.argmax(-1)
    summed = words.vectors + encoder.pos_emb.weight.T[columns] + encoder.pos_emb.bias
    torch.testing.assert_close(
        encoder(words.vectors, words.lengths, words.classes), encoder(summed, words.lengths)
    )


def test_words_have_the_vector_and_the_class_of_the_release(tmp_path):
    write_release(tmp_path)
    table = np.load(tmp_path / "glove" / "our_vab_data.npy")
    words = WordVectors.load(tmp_path / "glove").read(
        ["a/DET moonwalk/NOUN walk/NOUN left/NOUN slowly/ADV xyzzy/VERB person/XX", "a/DET"]
    )
    assert words.lengths.tolist() == [9, 3] and words.classes.shape == (2, 9, 15)
    # A word has row 8 - its place in WORDS; unknown ones are "unk", of no class whatever their tag.
    rows = [7, 5, 0, 3, 2, 1, 8, 4, 6]
    np.testing.assert_allclose(words.vectors[0].numpy(), table[rows], rtol=1e-6)
    classes = [CLASSES[column] for column in words.classes[0].argmax(-1).tolist()]
    special = ["Act_VIP", "Loc_VIP", "Desc_VIP"]
    assert classes == ["OTHER", "DET", "NOUN", *special, "OTHER", "OTHER", "OTHER"]
    assert " ".join(CLASSES) == (
        "VERB NOUN DET ADP NUM AUX PRON ADJ ADV Loc_VIP Body_VIP Obj_VIP Act_VIP Desc_VIP OTHER"
    )


def test_long_texts_are_cut_between_start_and_end(tmp_path):
    write_release(tmp_path)
    reader = WordVectors.load(tmp_path / "glove")
    long = reader.read([" ".join(["walk/VERB"] * 30)])
    exact = reader.read([" ".join(["walk/VERB"] * MAX_WORDS)])
    assert isinstance(long, Words) and long.lengths.tolist() == [22]
    assert torch.equal(long.vectors, exact.vectors)
    with pytest.raises(KmmError, match=r"'walks' has no part of speech; expected 'walks/NOUN'"):
        reader.read(["a/DET person/NOUN walks"])


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize("file", ["model/finest.tar", "glove/our_vab_words.pkl", "glove/our_vab_idx.pkl"])
def test_pickles_run_nothing(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    write_release(tmp_path)
    if file.endswith("tar"):
        torch.save({"movement_encoder": Harmful()}, tmp_path / file)
    else:
        (tmp_path / file).write_bytes(pickle.dumps({"words": Harmful()}))
    with pytest.raises(KmmError, match="is not a checkpoint with|cannot be read"):
        load(tmp_path)
    assert not (tmp_path / "harm").exists()


def without(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: without(f / "model" / "finest.tar"), r"finest.tar does not exist\. Download"),
        (
            lambda f: (f / "model" / "finest.tar").write_bytes(b"x" * 99),
            "is not a checkpoint with movement_enc",
        ),
        (lambda f: torch.save({"epoch": 3}, f / "model" / "finest.tar"), "KeyError: 'movement_encoder'"),
        (
            lambda f: torch.save(
                {"movement_encoder": {}, "text_encoder": {}, "motion_encoder": {}}, f / "model" / "finest.tar"
            ),
            "holds no 'movement_encoder.out_net.weight'",
        ),
        (lambda f: without(f / "mean.npy"), "mean.npy is missing or broken"),
        (
            lambda f: np.save(f / "std.npy", np.ones(251)),
            r"std.npy holds \(251,\); expected 263 finite numbers",
        ),
        (
            lambda f: np.save(f / "std.npy", np.zeros(263)),
            "std.npy holds standard deviations that are not above 0",
        ),
        (lambda f: without(f / "glove" / "our_vab_idx.pkl"), "our_vab_idx.pkl does not exist"),
        (lambda f: (f / "glove" / "our_vab_words.pkl").write_bytes(pickle.dumps(["a"])), "no sos, eos, unk"),
        (
            lambda f: np.save(f / "glove" / "our_vab_data.npy", np.ones((5, 7))),
            "rows outside of the 5 vectors",
        ),
        (
            lambda f: np.save(f / "glove" / "our_vab_data.npy", np.ones((9, 3))),
            r"holds \(5, 7\) for 'text_encoder.input_emb.weight'.*expect \(5, 3\)\. Name the release",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_told(tmp_path, spoil, message):
    write_release(tmp_path)
    spoil(tmp_path)
    with pytest.raises(KmmError, match=message):
        load(tmp_path)


def test_other_shapes_and_other_releases_are_told(tmp_path):
    write_release(tmp_path, columns=247, features=263)  # KIT's
    with pytest.raises(
        KmmError, match=r"holds \(6, 247, 4\) for 'movement_encoder.main.0.weight'.*\(6, 259, 4\)"
    ):
        load(tmp_path)
    with pytest.raises(KmmError, match="no released evaluator 'kit'; known: humanml3d, babel"):
        load(tmp_path, "kit")
