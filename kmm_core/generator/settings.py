"""Sizes of the generator and the kind of its trunk. Defines no modules."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from ..errors import KmmError
from ..setting_ranges import check_ranges


@dataclass(frozen=True)
class GeneratorSettings:
    """Sizes of the generator. 4 layers are the paper's; the rest is ours.

    Equal settings give all trunks the same number of parameters: ``mamba2`` sets the size of a block, and the inner
    width of the others is chosen to match (see ``trunk``).

    Attributes:
        d_model: width M.
        layers: stacked blocks.
        residual_layers: stacked blocks of the residual codebooks' own trunk.
        d_state: state size N of each scan.
        expand: inner width divided by d_model.
        head_width: channels that share one decay; ``mamba2`` only.
        d_conv: taps of the convolution before the scans.
        dropout: of each block's output, in training.
        condition_dropout: share of prompts replaced by "no prompt" in training, which guidance needs.
        scan: which implementation of the scan to use, see ``scan.SCANS``.
        trunk: ``mamba2`` has one decay per head, ``mamba1`` one per channel and state; ``transformer`` is MMM's masked
            Transformer, the baseline.
        attention_heads: ``transformer`` only.

    Raises:
        KmmError: ``bad_settings`` out of range or where head_width does not divide ``mamba2``'s inner width, ``bad_generator``
            where the attention heads don't divide d_model into even widths.
    """

    d_model: int = 288
    layers: int = 4
    residual_layers: int = 2
    d_state: int = 16
    expand: int = 2
    head_width: int = 64
    d_conv: int = 5
    dropout: float = 0.1
    condition_dropout: float = 0.1
    scan: Literal["auto", "chunked", "reference", "mamba_ssm"] = "auto"
    trunk: Literal["mamba2", "mamba1", "transformer"] = "mamba2"
    attention_heads: int = 4

    def __post_init__(self):
        sizes = ("d_model", "layers", "residual_layers", "d_state", "expand", "head_width", "d_conv")
        check_ranges(self, **dict.fromkeys(sizes, (1, inf)), dropout=(0, 1), condition_dropout=(0, 1))
        if self.trunk == "mamba2" and self.expand * self.d_model % self.head_width:
            raise KmmError("bad_settings", f"head_width={self.head_width} does not divide expand * d_model.")
        if self.trunk != "transformer":
            return
        # Rotary positions rotate pairs of numbers, so the width of a head must be even.
        if self.attention_heads < 1 or self.d_model % (2 * self.attention_heads):
            raise KmmError(
                "bad_generator",
                f"d_model={self.d_model} cannot be split into attention_heads={self.attention_heads} "
                "heads of even width.",
                f"Choose a d_model that is a multiple of {2 * max(1, self.attention_heads)}.",
            )
