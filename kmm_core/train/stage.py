"""Stage: what the training loop needs to know of the model that it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass
class Stage:
    """One thing to train: its losses, its batches, its validation.

    Attributes:
        name: also the name of its folder in a run, for example ``"tokenizer"``.
        objective: the model with all its losses inside: ``forward(batch, rng)`` returns named scalar tensors,
            among them ``"loss"``. ``rng`` is a CPU ``torch.Generator``; dropout may use torch's global one,
            which the loop seeds for every step.
        make_batch: ``(rng, batch_size) -> batch`` on the CPU, drawn from ``rng`` alone. It runs in a thread,
            one step ahead. A batch is a tensor, nested tuples, lists and dicts of tensors, or has
            ``to(device)``.
        validate: ``(objective with averaged weights, folder for pictures) -> metrics``. It uses the module it
            is given, which is in evaluation mode; no gradient is recorded.
        best_metric: the metric whose lowest value marks the best checkpoint.
        parameter_groups: groups for the optimizer; a group's own ``lr`` is scaled by the same schedule. By
            default matrices decay and vectors don't.
        metadata: written into the checkpoints; must be JSON.
    """

    name: str
    objective: nn.Module
    make_batch: Callable[[torch.Generator, int], Any]
    validate: Callable[[nn.Module, Path | None], dict[str, float]]
    best_metric: str
    parameter_groups: Callable[[], list[dict[str, Any]]] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
