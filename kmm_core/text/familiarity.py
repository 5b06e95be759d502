"""Tells whether a model's training captions hold anything like a prompt (ours).

A generator answers every prompt: asked to swim, a model that never saw swimming makes some other motion and gives no
sign of it. The frozen text encoder can mostly tell: the captions' sentence vectors are clustered, and a prompt for
something never recorded lies far from all cluster centres (docs/decisions/0030). Shapes: N sentences, K centres, B
prompts, W encoder width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, zip_longest

import torch
from torch import Tensor
from torch.nn import functional

from ..timeline import in_quotes
from .encoder import TokenOutputs

NUM_CENTRES = 1024
# A prompt counts as familiar from this cosine to the nearest centre on. Chosen on the tuning prompts, for MiniLM.
FAMILIAR = 0.65
# Put before a prompt that seems unfamiliar, for a second look: "waves" alone may be the sea's.
SUBJECT = "a person "
_PASSES = 8
_MOST_NAMED, _LONGEST_NAME = 3, 60


def sentence_vectors(outputs: TokenOutputs) -> Tensor:
    """The mean of each prompt's word vectors, of length 1. [B, W]."""
    words = outputs.mask[..., None].to(outputs.vectors.dtype)
    return functional.normalize((outputs.vectors * words).sum(1), dim=-1)


def spread_out(said: Iterable[tuple[str, Sequence[str]]], most: int, rng: torch.Generator) -> list[str]:
    """Draws sentences to cluster. The meanings take turns, so that rare actions are not lost among common ones.

    Args:
        said: meanings, each with sentences that express it; a meaning may occur more than once.
        most: how many sentences.
        rng: draws the sentences of each meaning.
    """
    by_meaning: dict[str, dict[str, None]] = {}
    for meaning, sentences in said:
        by_meaning.setdefault(meaning, {}).update(dict.fromkeys(sentences))
    shuffled = []
    for sentences in map(list, by_meaning.values()):
        shuffled.append(
            [sentences[index] for index in torch.randperm(len(sentences), generator=rng).tolist()]
        )
    turns = (sentence for turn in zip_longest(*shuffled) for sentence in turn if sentence is not None)
    return list(islice(dict.fromkeys(turns), most))


@torch.no_grad()
def centres_of(sentences: Tensor, rng: torch.Generator, count: int = NUM_CENTRES, fewest: int = 1) -> Tensor:
    """Centres of sentence vectors by spherical k-means (Dhillon & Modha 2001).

    Args:
        sentences: of length 1, [N, W].
        rng: draws the sentences to begin with.
        count: K.
        fewest: a centre becomes zero if it is the nearest one to fewer sentences than this: it would give such
            sentences away.

    Returns:
        Unit vectors, [K, W]. Given fewer sentences than K, each is a centre; the other rows are zero, which no prompt
        is near.
    """
    if len(sentences) <= count:
        return functional.pad(sentences, (0, 0, 0, count - len(sentences)))
    centres = sentences[torch.randperm(len(sentences), generator=rng)[:count]]
    for _ in range(_PASSES):
        nearest = (sentences @ centres.T).argmax(-1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, sentences)
        # A centre that is nearest to no sentence stays where it is.
        centres = functional.normalize(torch.where(sums.any(-1, keepdim=True), sums, centres), dim=-1)
    sizes = torch.bincount((sentences @ centres.T).argmax(-1), minlength=count)
    return centres * (sizes >= fewest)[:, None]


def is_familiar(outputs: TokenOutputs, centres: Tensor) -> Tensor:
    """Whether each prompt is like some training caption. ``centres`` [K, W] -> [B] bool."""
    return (sentence_vectors(outputs) @ centres.T).amax(-1) >= FAMILIAR


def unfamiliar_note(prompts: Sequence[str]) -> str:
    """A note to the user about unfamiliar prompts; "" if there are none."""
    if not prompts:
        return ""
    return f"The model was trained on nothing like {_named(prompts)}: expect some other motion, or reword it."


def cut_note(prompts: Sequence[str]) -> str:
    """A note to the user about prompts too long for the text encoder; "" if there are none."""
    if not prompts:
        return ""
    return f"The end of {_named(prompts)} was ignored: too long. Describe one action per prompt."


def _named(prompts: Sequence[str]) -> str:
    named = ", ".join(in_quotes(prompt, _LONGEST_NAME) for prompt in prompts[:_MOST_NAMED])
    return named + (f" and {len(prompts) - _MOST_NAMED} more" if len(prompts) > _MOST_NAMED else "")
