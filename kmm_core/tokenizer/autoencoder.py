"""The encoder and decoder around the quantizer: 4 frames a token. Shapes: [B, channels, time].

Each is a linear map of one token's frames plus a convolutional network over the frames around it, which starts at zero.
The linear map starts from the principal components of the training motion (ours). It represents motion that was not in
the training data, which a network alone does badly, and saves most of the training time (docs/decisions/0010).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LinearPlusNetwork(nn.Module):
    """The sum of both; the network's last convolution starts at zero."""

    def __init__(self, linear: nn.Module, network: nn.Sequential):
        super().__init__()
        self.linear = linear
        self.network = network
        last = network[-1]
        assert isinstance(last, nn.Conv1d) and last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.network(x)


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
) -> LinearPlusNetwork:
    """[B, D, F] -> [B, C, F / 2^halvings]."""
    layers: list[nn.Module] = [nn.Conv1d(features, width, 3, padding=1), nn.SiLU()]
    for _ in range(halvings):
        layers += [nn.Conv1d(width, width, 4, stride=2, padding=1), _blocks(width, dilations)]
    network = nn.Sequential(*layers, nn.SiLU(), nn.Conv1d(width, code_width, 3, padding=1))
    frames = 2**halvings
    return LinearPlusNetwork(nn.Conv1d(features, code_width, frames, stride=frames, bias=False), network)


def decoder(
    features: int, width: int, code_width: int, halvings: int, dilations: tuple[int, ...]
) -> LinearPlusNetwork:
    """[B, C, T] -> [B, D, T * 2^halvings]."""
    layers: list[nn.Module] = [nn.Conv1d(code_width, width, 3, padding=1), nn.SiLU()]
    for _ in range(halvings):
        layers += [
            _blocks(width, dilations),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv1d(width, width, 3, padding=1),
        ]
    network = nn.Sequential(*layers, nn.SiLU(), nn.Conv1d(width, features, 3, padding=1))
    frames = 2**halvings
    return LinearPlusNetwork(
        nn.ConvTranspose1d(code_width, features, frames, stride=frames, bias=False), network
    )


@torch.no_grad()
def start_from_components(
    encoder: LinearPlusNetwork, decoder: LinearPlusNetwork, windows: Tensor, weight: Tensor
) -> None:
    """Sets the linear maps to the principal components of motion.

    Args:
        encoder, decoder: changed in place.
        windows: normalised features of one token's frames each, [N, frames, D].
        weight: how much each feature counts, [D].
    """
    down, up = encoder.linear.weight, decoder.linear.weight
    code_width, features, frames = down.shape
    rows = (windows * weight).mT.reshape(len(windows), features * frames).double()
    _, vectors = torch.linalg.eigh(rows.T @ rows)
    # Eigenvalues ascend: the last are the principal ones. There may be fewer of them than the code is wide.
    count = min(code_width, vectors.shape[1])
    components = torch.zeros(code_width, features, frames)
    components[:count] = vectors.flip(1)[:, :count].T.unflatten(1, (features, frames))
    down.copy_(components * weight[:, None])
    up.copy_(components / weight[:, None])
