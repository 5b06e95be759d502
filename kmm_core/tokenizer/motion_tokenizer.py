"""Motion tokenizer: a residual VQ-VAE (KMM section 3.1; 6 quantizers as in the paper, widths ours).

Shapes: B batch, F frames, T tokens (F / 4), K codebooks, V codes, C code width, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import KmmError
from ..setting_ranges import check_ranges
from .autoencoder import decoder, encoder
from .quantizer import Quantized, ResidualQuantizer


@dataclass(frozen=True)
class TokenizerSettings:
    """Sizes of the tokenizer and how its codebooks learn. 6 codebooks are the paper's; the rest is ours.

    Attributes:
        width: channels of the convolutions.
        code_width: C.
        num_codebooks: K, 2 or more.
        codebook_size: V.
        halvings: convolutions that halve the rate; a token is 2^halvings frames.
        dilations: of the residual layers at each rate.
        codebook_decay: decay of the moving average that updates the codes; at 1 they stay as they are.
        restart_below: a code that is chosen for fewer vectors per batch than this, on average, restarts on one of them.
            0: never.
        quantizer_dropout: share of samples that train with only the first few codebooks.

    Raises:
        KmmError: ``bad_settings`` out of range.
    """

    width: int = 256
    code_width: int = 128
    num_codebooks: int = 6
    codebook_size: int = 512
    halvings: int = 2
    dilations: tuple[int, ...] = (3, 1)
    codebook_decay: float = 0.99
    restart_below: float = 0.05
    quantizer_dropout: float = 0.2

    def __post_init__(self):
        sizes = dict.fromkeys(("width", "code_width", "codebook_size", "dilations"), (1, inf))
        shares = dict.fromkeys(("codebook_decay", "quantizer_dropout"), (0, 1))
        # The generator predicts the first codebook and the residual ones separately, so there must be some of both.
        check_ranges(self, num_codebooks=(2, inf), halvings=(0, 8), restart_below=(0, inf), **sizes, **shares)

    @property
    def frames_per_token(self) -> int:
        return 2**self.halvings


class MotionTokenizer(nn.Module):
    """Features in, tokens out, and back. Normalises with the mean and standard deviation it was trained with.

    Args:
        num_features: D.
        settings: sizes.
    """

    mean: Tensor
    std: Tensor
    smoothing: Tensor

    def __init__(self, num_features: int, settings: TokenizerSettings):
        super().__init__()
        self.settings = settings
        self.num_features = num_features
        sizes = (num_features, settings.width, settings.code_width, settings.halvings)
        self.encoder = encoder(*sizes, settings.dilations)
        # The decoder mirrors the encoder: the widest context comes last there and first here.
        self.decoder = decoder(*sizes, settings.dilations)
        self.quantizer = ResidualQuantizer(
            num_codebooks=settings.num_codebooks,
            codebook_size=settings.codebook_size,
            code_width=settings.code_width,
            decay=settings.codebook_decay,
            restart_below=settings.restart_below,
            quantizer_dropout=settings.quantizer_dropout,
        )
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("std", torch.ones(num_features))
        self.register_buffer("smoothing", low_pass(1 / settings.frames_per_token), persistent=False)

    def latents(self, features: Tensor) -> Tensor:
        """Latents before quantization. [B, F, D] -> [B, T, C].

        Raises:
            KmmError: ``too_short`` where F is not a positive multiple of the frames in a token.
        """
        frames, step = features.shape[1], self.settings.frames_per_token
        if frames < step or frames % step:
            raise KmmError(
                "too_short",
                f"frames={frames} is not a positive multiple of {step}, the frames in one token.",
                "Cut the clip, or repeat its last frame.",
            )
        return self.encoder(((features - self.mean) / self.std).mT).mT

    def quantize(self, latents: Tensor, rng: torch.Generator | None = None) -> Quantized:
        """See ``ResidualQuantizer.forward``."""
        return self.quantizer(latents, rng)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """[B, T, C] -> features [B, F, D]."""
        return self.decoder(latents.mT).mT * self.std + self.mean

    @torch.no_grad()
    def encode(self, features: Tensor) -> Tensor:
        """Features [B, F, D] -> tokens [B, T, K] in [0, V)."""
        return self.quantize(self.latents(features)).tokens

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens [B, T, k] of the first k codebooks -> features [B, F, D], the jumps between tokens filtered out."""
        features = self.decode_latents(self.quantizer.lookup(tokens)).mT
        reach = len(self.smoothing) // 2
        if not reach:
            return features.mT
        padded = functional.pad(features, (reach, reach), mode="replicate")
        kernel = self.smoothing.expand(self.num_features, 1, -1)
        return functional.conv1d(padded, kernel, groups=self.num_features).mT


def low_pass(rate: float, taps: int = 13) -> Tensor:
    """A low-pass filter that removes what repeats ``rate`` times per frame or faster, and keeps slower motion (ours).

    Every token decodes to a few frames, with a small jump where the next token begins. Decoded motion shook at that
    rate (7.5 Hz for 4 frames at 30 fps), where real human motion has next to nothing. A windowed sinc, [taps], of sum
    1; [1], which changes nothing, for a rate of 1.
    """
    if rate >= 1:
        return torch.ones(1)
    place = torch.arange(taps) - taps // 2
    kernel = torch.sinc(2 * 0.93 * rate * place) * torch.hann_window(taps + 2, periodic=False)[1:-1]
    return kernel / kernel.sum()
