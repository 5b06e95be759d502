"""CLIP's text tower, the paper's text encoder, through transformers (its weights are the user's own download)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..errors import KmmError
from .encoder import TokenOutputs


class ClipText:
    """Frozen token outputs of a CLIP text model (ViT-B/32: width 512)."""

    def __init__(self, name: str, tokenizer, model):
        self.name = name
        self._tokenizer = tokenizer
        # In single precision: transformers loads weights as they were saved.
        self._model = model.float().eval().requires_grad_(False)
        self.width = model.config.hidden_size
        self.num_parameters = sum(parameter.numel() for parameter in model.parameters())

    @classmethod
    def load(cls, model: str) -> ClipText:
        """Loads from a folder, or from the Hugging Face cache or hub by name.

        Raises:
            KmmError: ``text_encoder_missing`` if transformers or the weights are missing.
        """
        try:
            from transformers import AutoTokenizer, CLIPTextModel
        except ImportError as error:
            raise KmmError(
                "text_encoder_missing",
                "The CLIP text encoder needs the package 'transformers', which is not installed.",
                "Run: pip install 'kmm-core[train]'.",
            ) from error
        try:
            return cls(model, AutoTokenizer.from_pretrained(model), CLIPTextModel.from_pretrained(model))
        except (OSError, ValueError) as error:
            raise KmmError(
                "text_encoder_missing",
                f"CLIP text encoder '{model}' could not be loaded ({str(error).splitlines()[0]}).",
                "Download it once with network access, or set [text] clip_model to a local folder.",
            ) from error

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> TokenOutputs:
        """Outputs of the last layer, [B, L, W]."""
        batch = self._tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt")
        output = self._model(**batch)
        cut = tuple(number for number, encoding in enumerate(batch.encodings or ()) if encoding.overflowing)
        return TokenOutputs(output.last_hidden_state, batch["attention_mask"].bool(), cut)
