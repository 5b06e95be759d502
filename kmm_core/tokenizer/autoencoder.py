"""The convolutional encoder and decoder around the quantizer: 4 frames a token. Shapes: [B, channels, time]."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Dilated 3-wide convolution and a pointwise one, added to the input."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.wide = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.pointwise = nn.Conv1d(width, width, 1)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pointwise(self.activation(self.wide(self.activation(x))))


def _blocks(width: int, dilations: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width, dilation) for dilation in dilations))


def encoder(
    features: int, width: int, code_width: int, halvings: int, dilations: tuple[int, ...]
) -> nn.Module:
    """[B, D, F] -> [B, C, F / 2^halvings]."""
    layers: list[nn.Module] = [nn.Conv1d(features, width, 3, padding=1), nn.SiLU()]
    for _ in range(halvings):
        layers += [nn.Conv1d(width, width, 4, stride=2, padding=1), _blocks(width, dilations)]
    return nn.Sequential(*layers, nn.SiLU(), nn.Conv1d(width, code_width, 3, padding=1))


def decoder(
    features: int, width: int, code_width: int, halvings: int, dilations: tuple[int, ...]
) -> nn.Module:
    """[B, C, T] -> [B, D, T * 2^halvings]."""
    layers: list[nn.Module] = [nn.Conv1d(code_width, width, 3, padding=1), nn.SiLU()]
    for _ in range(halvings):
        layers += [
            _blocks(width, dilations),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv1d(width, width, 3, padding=1),
        ]
    return nn.Sequential(*layers, nn.SiLU(), nn.Conv1d(width, features, 3, padding=1))
