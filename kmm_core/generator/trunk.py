"""Makes the trunk by name: residual blocks ``block(x [B, L, M], valid [B, L]) -> [B, L, M]``, all of one size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .attention import TransformerBlock
from .mixer import BidirectionalMamba, RMSNorm
from .mixer_mamba1 import BidirectionalMamba1
from .settings import GeneratorSettings


class MixerBlock(nn.Module):
    """Pre-norm residual block around a mixer."""

    def __init__(self, d_model: int, mixer: nn.Module, dropout: float):
        super().__init__()
        self.norm = RMSNorm(d_model)
        self.mixer = mixer
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return x + self.dropout(self.mixer(self.norm(x), valid))


def make_trunk(settings: GeneratorSettings) -> nn.ModuleList:
    """The trunk's blocks, of the kind and size that the settings give."""
    make = {"mamba2": _mamba2, "mamba1": _mamba1, "transformer": _transformer}[settings.trunk]
    return nn.ModuleList(make(settings) for _ in range(settings.layers))


def count(module: nn.Module) -> int:
    """Number of parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def _mamba2(settings: GeneratorSettings) -> nn.Module:
    mixer = BidirectionalMamba(
        settings.d_model,
        d_state=settings.d_state,
        expand=settings.expand,
        head_width=settings.head_width,
        d_conv=settings.d_conv,
        scan_name=settings.scan,
    )
    return MixerBlock(settings.d_model, mixer, settings.dropout)


def _mamba1(settings: GeneratorSettings) -> nn.Module:
    def make(inner: int) -> nn.Module:
        mixer = BidirectionalMamba1(
            settings.d_model,
            inner=inner,
            d_state=settings.d_state,
            d_conv=settings.d_conv,
            scan_name=settings.scan,
        )
        return MixerBlock(settings.d_model, mixer, settings.dropout)

    return make(_equal_width(make, settings))


def _transformer(settings: GeneratorSettings) -> nn.Module:
    def make(feed_forward: int) -> nn.Module:
        return TransformerBlock(
            settings.d_model,
            heads=settings.attention_heads,
            feed_forward=feed_forward,
            dropout=settings.dropout,
        )

    return make(_equal_width(make, settings))


def _equal_width(make: Callable[[int], nn.Module], settings: GeneratorSettings) -> int:
    """The width at which ``make(width)`` has as many parameters as a Mamba-2 block; they are linear in the width."""
    with torch.device("meta"):  # counted without memory or random numbers
        wanted = count(_mamba2(settings))
        at_8, at_16 = count(make(8)), count(make(16))
    each = (at_16 - at_8) / 8
    return max(8, 4 * round((8 + (wanted - at_8) / each) / 4))
