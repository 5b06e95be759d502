"""The masked motion generator: 4 bidirectional Mamba blocks over motion and text tokens (KMM section 3.3).

Other kinds of block can take their place, for comparison: see ``settings``.

Shapes: B batch, L places, T motion tokens, S prompts, K codebooks, V codes, C code width, E text width, M d_model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .mixer import RMSNorm
from .residual import ResidualPredictor
from .sequence import MASK_ID, SequenceLayout
from .settings import GeneratorSettings
from .trunk import make_trunk


class MotionGenerator(nn.Module):
    """Predicts masked tokens of the first codebook; its ``residual`` then predicts the other codebooks one by one.

    The trunk reads tokens of the first codebook only; see docs/decisions/0002-residual-codebooks.md.

    Args:
        codes: the tokenizer's code vectors, [K, V, C]; they embed the tokens and are not trained here.
        text_width: E.
        settings: sizes.
    """

    codes: Tensor

    def __init__(self, codes: Tensor, text_width: int, settings: GeneratorSettings):
        super().__init__()
        self.settings = settings
        _, codebook_size, code_width = codes.shape
        width = settings.d_model
        # The codes belong to the tokenizer, so bundles store them once, with the tokenizer.
        self.register_buffer("codes", codes.clone(), persistent=False)
        self.code_projection = nn.Linear(code_width, width)
        self.text_projection = nn.Linear(text_width, width)
        self.mask_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.no_prompt = nn.Parameter(torch.randn(text_width) * 0.02)
        self.blocks = make_trunk(settings)
        self.norm = RMSNorm(width)
        self.head = nn.Linear(width, codebook_size)
        self.residual = ResidualPredictor(codes.clone(), text_width, settings)

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
        prompts = places.of_prompts(self.text_projection(text))
        x = torch.where(places.is_text[..., None], prompts, vectors)
        valid = places.valid
        for block in self.blocks:
            x = block(x, valid)
        return self.norm(x)

    def base_logits(self, hidden: Tensor) -> Tensor:
        """Logits of the first codebook. [..., M] -> [..., V]."""
        return self.head(hidden)
