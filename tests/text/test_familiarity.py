"""Familiar prompts: vectors by hand, centres of clusters made by code, and what the user is told."""

import pytest
import torch

from kmm_core.text.encoder import TokenOutputs
from kmm_core.text.familiarity import (
    FAMILIAR,
    centres_of,
    is_familiar,
    sentence_vectors,
    spread_out,
    unfamiliar_note,
)


def _one_word(*angles_from_x: float) -> TokenOutputs:
    """Prompts of one word in the plane, and a second word that is padding and points elsewhere."""
    angles = torch.tensor(angles_from_x)
    words = torch.stack([angles.cos(), angles.sin()], dim=-1) * 7
    padding = torch.tensor([-50.0, 30.0]).expand_as(words)
    return TokenOutputs(torch.stack([words, padding], dim=1), torch.tensor([[True, False]] * len(angles)))


def test_padding_and_length_do_not_count():
    torch.testing.assert_close(sentence_vectors(_one_word(0.0)), torch.tensor([[1.0, 0.0]]))
    both = TokenOutputs(torch.tensor([[[3.0, 0.0], [0.0, 3.0]]]), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(sentence_vectors(both), torch.full((1, 2), 0.5**0.5))


def test_the_nearest_centre_decides():
    edge = float(torch.tensor(FAMILIAR).acos())
    centres = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    found = is_familiar(_one_word(0.0, edge - 0.01, edge + 0.01, torch.pi), centres)
    assert found.tolist() == [True, True, False, False]


def test_few_sentences_are_their_own_centres():
    sentences = torch.eye(3)
    centres = centres_of(sentences, torch.Generator(), count=5)
    assert torch.equal(centres, torch.cat([sentences, torch.zeros(2, 3)]))


def test_centres_lie_where_sentences_gather():
    rng = torch.Generator().manual_seed(0)
    middles = torch.eye(8)[:4].repeat_interleave(50, dim=0)
    sentences = torch.nn.functional.normalize(middles + 0.05 * torch.randn(200, 8, generator=rng), dim=-1)
    centres = centres_of(sentences, rng, count=16)
    again = (centres_of(sentences, torch.Generator().manual_seed(1), count=16) for _ in range(2))
    assert torch.equal(*again)
    torch.testing.assert_close(centres.norm(dim=-1), torch.ones(16))
    assert ((sentences @ centres.T).amax(-1) > 0.98).all()
    assert ((centres @ torch.eye(8)[:4].T).amax(-1) > 0.98).all()


def test_a_centre_of_few_sentences_is_dropped():
    rng = torch.Generator().manual_seed(0)
    sentences = torch.cat([torch.eye(3)[:1].expand(30, 3), torch.eye(3)[1:2].expand(2, 3)])
    kept = centres_of(sentences, rng, count=31, fewest=5)
    assert ((kept @ torch.eye(3)).amax(0) > 0.99).tolist() == [True, False, False]
    assert ((centres_of(sentences, rng, count=31) @ torch.eye(3)).amax(0) > 0.99).tolist() == [
        True,
        True,
        False,
    ]


def test_meanings_take_turns():
    said = [("walk", [f"walks {n}" for n in range(50)]), ("wave", ["waves", "walks 3"]), ("walk", ["goes"])]
    drawn = spread_out(said, 4, torch.Generator().manual_seed(1))
    assert len(drawn) == len(set(drawn)) == 4 and "waves" in drawn
    assert drawn == spread_out(said, 4, torch.Generator().manual_seed(1))
    everything = spread_out(said, 1000, torch.Generator())
    assert len(everything) == 52 and {"goes", "walks 49"} <= set(everything)


@pytest.mark.parametrize(
    ("prompts", "part"),
    [
        ((), None),
        (("clap",), 'nothing like "clap": expect'),
        (("clap", "swim"), '"clap", "swim": expect'),
        (("milks " + 90 * "the cow ",), '...": expect'),
        ((90 * "走",), f'"{57 * "走"}...": expect'),
        (("claps\x1b[2J",), r'"claps\x1b[2J": expect'),
        (("a", "b", "c", "d", "e"), '"a", "b", "c" and 2 more: expect'),
    ],
)
def test_the_note_names_the_prompts(prompts, part):
    note = unfamiliar_note(prompts)
    assert (part in note) if part else note == ""
