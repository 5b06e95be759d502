"""The masked motion generator: 4 bidirectional Mamba blocks over motion and text tokens (KMM section 3.3).

Shapes: B batch, L places, T motion tokens, S prompts, K codebooks, V codes, C code width, E text width, M d_model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from .mixer import BidirectionalMamba, RMSNorm
from .sequence import MASK_ID, SequenceLayout


@dataclass(frozen=True)
class GeneratorSettings:
    """Sizes of the generator. 4 layers are the paper's; the rest is ours.

    Attributes:
        d_model: width M.
        layers: stacked blocks.
        d_state: state size N of each scan.
        expand: inner width over d_model.
        head_width: channels that share one decay.
        d_conv: taps of the convolution before the scans.
        dropout: of each block's output, in training.
        condition_dropout: share of prompts replaced by "no prompt" in training, for guidance.
        scan: which scan runs.
    """

    d_model: int = 288
    layers: int = 4
    d_state: int = 16
    expand: int = 2
    head_width: int = 64
    d_conv: int = 5
    dropout: float = 0.1
    condition_dropout: float = 0.1
    scan: Literal["auto", "chunked", "reference", "mamba_ssm"] = "auto"


class BiMambaBlock(nn.Module):
    """Pre-norm residual block."""

    def __init__(self, settings: GeneratorSettings):
        super().__init__()
        self.norm = RMSNorm(settings.d_model)
        self.mixer = BidirectionalMamba(
            settings.d_model,
            d_state=settings.d_state,
            expand=settings.expand,
            head_width=settings.head_width,
            d_conv=settings.d_conv,
            scan_name=settings.scan,
        )

        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return x + self.dropout(self.mixer(self.norm(x), valid))


class MotionGenerator(nn.Module):
    """Predicts masked tokens of the first codebook, then the residual codebooks one after the other.

    The trunk reads tokens of the first codebook only. Residual codebooks are predicted for each token from the
    trunk's output on the finished first codebook and the codes already chosen for that token (ours; see
    docs/decisions/residual-codebooks.md).

    Args:
        codes: the tokenizer's code vectors, [K, V, C]; they embed the tokens and are not trained here.
        text_width: E.
        settings: sizes.
    """

    codes: Tensor

    def __init__(self, codes: Tensor, text_width: int, settings: GeneratorSettings):
        super().__init__()
        self.settings = settings
        num_codebooks, codebook_size, code_width = codes.shape
        width = settings.d_model
        # The tokenizer owns the codes: bundles store them once, there.
        self.register_buffer("codes", codes.clone(), persistent=False)
        self.code_projection = nn.Linear(code_width, width)
        self.text_projection = nn.Linear(text_width, width)
        self.mask_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.no_prompt = nn.Parameter(torch.randn(text_width) * 0.02)
        self.blocks = nn.ModuleList(BiMambaBlock(settings) for _ in range(settings.layers))
        self.norm = RMSNorm(width)
        self.head = nn.Linear(width, codebook_size)
        self.residual_projections = nn.ModuleList(
            nn.Linear(code_width, width) for _ in range(num_codebooks - 1)
        )
        self.residual_norms = nn.ModuleList(RMSNorm(width) for _ in range(num_codebooks - 1))
        self.residual_heads = nn.ModuleList(nn.Linear(width, codebook_size) for _ in range(num_codebooks - 1))

    def restore(self, tokens: Tensor, text: Tensor, places: SequenceLayout) -> Tensor:
        """The trunk: hidden states of a row with masked tokens.

        Args:
            tokens: first codebook, [B, L] in [0, V), MASK_ID, or anything elsewhere than at motion places.
            text: embedding of each prompt of each row, [B, S, E].
            places: where motion and text stand.

        Returns:
            [B, L, M], normalised.
        """
        vectors = self.code_projection(self.codes[0])[tokens.clamp(min=0)]
        vectors = torch.where((tokens == MASK_ID)[..., None], self.mask_embedding.to(vectors.dtype), vectors)
        prompts = self.text_projection(text)
        prompts = prompts.gather(1, places.prompt[..., None].expand(-1, -1, prompts.shape[-1]))
        x = torch.where(places.is_text[..., None], prompts, vectors)
        valid = places.valid
        for block in self.blocks:
            x = block(x, valid)
        return self.norm(x)

    def base_logits(self, hidden: Tensor) -> Tensor:
        """Logits of the first codebook. [..., M] -> [..., V]."""
        return self.head(hidden)

    def residual_logits(self, hidden: Tensor, chosen: Tensor, level: int) -> Tensor:
        """Logits of codebook ``level`` (1 to K - 1).

        Args:
            hidden: trunk output on unmasked tokens, [..., M].
            chosen: sum of the code vectors of codebooks 0 to level - 1, [..., C].
            level: which codebook.

        Returns:
            [..., V].
        """
        mixed = hidden + self.residual_projections[level - 1](chosen)
        return self.residual_heads[level - 1](nn.functional.silu(self.residual_norms[level - 1](mixed)))
