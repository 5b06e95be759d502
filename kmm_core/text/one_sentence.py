"""Joins several prompts into one sentence, for models with one text token for a whole timeline."""

from __future__ import annotations

from collections.abc import Sequence


def one_sentence(prompts: Sequence[str]) -> str:
    """ "walks", "", "waves." -> "walks, then waves."; "" if all are empty. Training and generation both use this."""
    spoken = [prompt.strip() for prompt in prompts if prompt.strip()]
    return ", then ".join([*(prompt.rstrip(".") for prompt in spoken[:-1]), *spoken[-1:]])
