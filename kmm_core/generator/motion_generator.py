"""The masked motion generator: 4 bidirectional Mamba blocks over motion and text tokens (KMM section 3.3).

The blocks may be others, to compare with: see ``settings``.

Shapes: B batch, L places, T motion tokens, S prompts, K codebooks, V codes, C code width, E text width, M d_model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .mixer import RMSNorm
from .sequence import MASK_ID, SequenceLayout
from .settings import GeneratorSettings
from .trunk import make_trunk


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
        self.blocks = make_trunk(settings)
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
