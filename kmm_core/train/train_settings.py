"""TrainSettings: how long, how fast and how exactly a stage is trained. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import KmmError


@dataclass(frozen=True)
class TrainSettings:
    """How a stage is trained.

    Attributes:
        steps: optimizer steps in all.
        batch_size: samples a step in each process.
        learning_rate: at the end of the warm-up.
        warmup_steps: steps over which the learning rate rises from 0.
        decay: how it falls afterwards.
        final_lr_ratio: share of the learning rate left at the last step, with ``decay="cosine"``.
        weight_decay: AdamW's, on matrices only unless the stage groups its parameters itself.
        betas: AdamW's.
        gradient_clip: largest norm of the gradient; 0 for no limit.
        ema_decay: of the running average of the weights, which is what gets validated and exported.
        mixed_precision: ``"fp16"`` needs a CUDA GPU.
        validate_every: steps between validations; there is always one at the end.
        checkpoint_every: steps between checkpoints; there is always one at the end.
        log_every: steps between rows of metrics.
        seed: of everything random.

    Raises:
        KmmError: ``bad_settings``, with every problem named.
    """

    steps: int = 10_000
    batch_size: int = 64
    learning_rate: float = 2e-4
    warmup_steps: int = 500
    decay: Literal["cosine", "constant"] = "cosine"
    final_lr_ratio: float = 0.02
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    validate_every: int = 1000
    checkpoint_every: int = 1000
    log_every: int = 20
    seed: int = 0

    def __post_init__(self):
        rules = [
            (self.steps >= 1, "steps", "at least 1"),
            (self.batch_size >= 1, "batch_size", "at least 1"),
            (0 < self.learning_rate < math.inf, "learning_rate", "above 0"),
            (self.warmup_steps >= 0, "warmup_steps", "at least 0"),
            (self.decay in ("cosine", "constant"), "decay", '"cosine" or "constant"'),
            (0 <= self.final_lr_ratio <= 1, "final_lr_ratio", "in [0, 1]"),
            (0 <= self.weight_decay < math.inf, "weight_decay", "at least 0"),
            (all(0 <= beta < 1 for beta in self.betas), "betas", "two numbers in [0, 1)"),
            (0 <= self.gradient_clip < math.inf, "gradient_clip", "at least 0"),
            (0 <= self.ema_decay < 1, "ema_decay", "in [0, 1)"),
            (self.mixed_precision in ("no", "bf16", "fp16"), "mixed_precision", '"no", "bf16" or "fp16"'),
            (self.validate_every >= 1, "validate_every", "at least 1"),
            (self.checkpoint_every >= 1, "checkpoint_every", "at least 1"),
            (self.log_every >= 1, "log_every", "at least 1"),
            (0 <= self.seed < 2**63, "seed", "in [0, 2^63)"),
        ]
        problems = [
            f"{name}={getattr(self, name)!r} must be {rule}" for good, name, rule in rules if not good
        ]
        if problems:
            raise KmmError("bad_settings", "; ".join(problems) + ".")
