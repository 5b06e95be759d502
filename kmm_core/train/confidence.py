"""Confidence masking hides the tokens that the model itself is least sure of. An ablation of key-frame masking.

The counterpart in training of MMM's confidence-based decoding (ours; no paper defines it for training): the model first
restores the whole row from its prompts alone, without a gradient, and the tokens that it finds least likely are hidden.
That costs one more forward pass a step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..generator.sequence import MASK_ID, PAD_ID
from .token_data import TokenBatch

if TYPE_CHECKING:  # generator_stage imports this module
    from .generator_stage import GeneratorObjective


def mask_by_confidence(objective: GeneratorObjective) -> None:
    """Gives the masker of ``objective``, and of its copies, the model's uncertainty instead of latents."""
    objective.register_forward_pre_hook(_show_doubt)


def _show_doubt(objective: GeneratorObjective, inputs: tuple[TokenBatch, torch.Generator]):
    batch, rng = inputs
    # Nothing but the masker reads the latents.
    return replace(batch, latents=doubt(objective, batch)[..., None]), rng


@torch.no_grad()
def doubt(objective: GeneratorObjective, batch: TokenBatch) -> Tensor:
    """Negative log-likelihood of each true token of the first codebook where everything is masked. [B, T]."""
    was_training = objective.training
    objective.eval()
    true = batch.tokens[..., 0]
    text = objective.prompt_head(batch.text)
    rows = objective._text_rows(text, torch.zeros(len(text), dtype=torch.bool, device=text.device), batch)
    hidden = objective.generator.restore(
        batch.places.place(torch.full_like(true, MASK_ID), PAD_ID), rows, batch.places
    )
    logits = objective.generator.base_logits(batch.places.pick(hidden)).float()
    objective.train(was_training)
    return -logits.log_softmax(-1).gather(-1, true[..., None])[..., 0]
