"""Whether anything like a prompt was said of the recordings that a model learned from (ours).

A generator answers every prompt: asked to swim, one that saw nobody swim makes something near it, and gives no sign. The
frozen encoder can mostly tell: the sentence vectors of the captions have centres, and what was never recorded lies far from them
(docs/decisions/0030). Shapes: N sentences, K centres, B prompts, W encoder width.
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
# Cosine to the nearest centre, from which on a prompt counts as familiar: chosen on the tuning prompts for MiniLM.
FAMILIAR = 0.6
_PASSES = 8
_MOST_NAMED, _LONGEST_NAME = 3, 60


def sentence_vectors(outputs: TokenOutputs) -> Tensor:
    """The mean of each prompt's word vectors, of length 1. [B, W]."""
    words = outputs.mask[..., None].to(outputs.vectors.dtype)
    return functional.normalize((outputs.vectors * words).sum(1), dim=-1)


def spread_out(said: Iterable[tuple[str, Sequence[str]]], most: int, rng: torch.Generator) -> list[str]:
    """Sentences to find centres of: the meanings take turns, so that rare actions are not lost among common ones.

    Args:
        said: meanings with sentences; a meaning may come more than once.
        most: how many sentences.
        rng: draws which of a meaning.
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
        fewest: a centre that fewer sentences are nearest to becomes zero: it would be as good as the sentence itself.

    Returns:
        Of length 1, [K, W]. Of fewer sentences than that each is a centre, and the rest is zero: no prompt is like it.
    """
    if len(sentences) <= count:
        return functional.pad(sentences, (0, 0, 0, count - len(sentences)))
    centres = sentences[torch.randperm(len(sentences), generator=rng)[:count]]
    for _ in range(_PASSES):
        nearest = (sentences @ centres.T).argmax(-1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, sentences)
        # A centre that nothing is nearest to stays.
        centres = functional.normalize(torch.where(sums.any(-1, keepdim=True), sums, centres), dim=-1)
    sizes = torch.bincount((sentences @ centres.T).argmax(-1), minlength=count)
    return centres * (sizes >= fewest)[:, None]


def is_familiar(outputs: TokenOutputs, centres: Tensor) -> Tensor:
    """Whether each prompt is like something that was said of the recordings. ``centres`` [K, W] -> [B] bool."""
    return (sentence_vectors(outputs) @ centres.T).amax(-1) >= FAMILIAR


def unfamiliar_note(prompts: Sequence[str]) -> str:
    """What the user should know of prompts that are not; "" where there is none."""
    if not prompts:
        return ""
    return (
        f"The model saw nothing like {_named(prompts)}: expect some other motion, or say it in other words."
    )


def cut_note(prompts: Sequence[str]) -> str:
    """What the user should know of prompts of which the text encoder could not read the end; "" where there is none."""
    if not prompts:
        return ""
    return f"The end of {_named(prompts)} was not read, it is too long: describe one action a prompt."


def _named(prompts: Sequence[str]) -> str:
    named = ", ".join(in_quotes(prompt, _LONGEST_NAME) for prompt in prompts[:_MOST_NAMED])
    return named + (f" and {len(prompts) - _MOST_NAMED} more" if len(prompts) > _MOST_NAMED else "")
