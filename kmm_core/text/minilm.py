"""all-MiniLM-L6-v2, the offline text encoder: BERT (Devlin et al. 2019) with 6 layers of width 384.

The forward pass is written out here, because importing transformers costs seconds and 200 MB in the worker, and
because a later NumPy backend needs it plain. Tests compare it with transformers. Weights: Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from ..errors import KmmError, lacks_memory
from .encoder import TokenOutputs

MAX_TOKENS = 64
_HEADS = 12
_EPSILON = 1e-12


def packaged_folder() -> Path:
    """Where the package keeps MiniLM's weights and vocabulary."""
    return Path(__file__).parent.parent / "bundles" / "minilm"


class MiniLM:
    """Frozen token outputs of all-MiniLM-L6-v2. Weights keep Hugging Face's parameter names."""

    name = "all-MiniLM-L6-v2"
    width = 384

    def __init__(self, weights: dict[str, Tensor], tokenizer: Tokenizer):
        self._weights = weights
        self._tokenizer = tokenizer
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding()
        self.num_parameters = sum(tensor.numel() for tensor in weights.values())
        self._layers = 1 + max(
            int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer.")
        )

    @classmethod
    def load(cls, folder: Path) -> MiniLM:
        """Reads ``model.safetensors`` and ``tokenizer.json``.

        Raises:
            KmmError: ``text_encoder_missing`` or ``text_encoder_broken``.
        """
        weights, vocabulary = folder / "model.safetensors", folder / "tokenizer.json"
        for path in (weights, vocabulary):
            if not path.is_file():
                raise KmmError(
                    "text_encoder_missing",
                    f"The text encoder's file {path} is missing.",
                    "Reinstall kmm-core.",
                )
        try:
            loaded = {name: tensor.float() for name, tensor in load_file(weights).items()}
            return cls(loaded, Tokenizer.from_file(str(vocabulary)))
        except Exception as error:  # safetensors and tokenizers raise types of their own
            if lacks_memory(error):
                raise MemoryError from error
            raise KmmError(
                "text_encoder_broken",
                f"The text encoder in {folder} cannot be read ({error}).",
                "Reinstall kmm-core.",
            ) from error

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> TokenOutputs:
        """Outputs of the last layer, [B, L, 384], on the CPU."""
        encodings = self._tokenizer.encode_batch(list(prompts))
        ids = torch.tensor([encoding.ids for encoding in encodings])
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], dtype=torch.bool)
        weights = self._weights
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = x + weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(self._layers):
            prefix = f"encoder.layer.{layer}."
            attended = self._linear(self._attend(x, mask, prefix), prefix + "attention.output.dense")
            x = self._norm(x + attended, prefix + "attention.output.LayerNorm")
            wide = functional.gelu(self._linear(x, prefix + "intermediate.dense"))
            x = self._norm(x + self._linear(wide, prefix + "output.dense"), prefix + "output.LayerNorm")
        cut = tuple(number for number, encoding in enumerate(encodings) if encoding.overflowing)
        return TokenOutputs(x, mask, cut)

    def _attend(self, x: Tensor, mask: Tensor, prefix: str) -> Tensor:
        batch, length, width = x.shape

        def heads(name: str) -> Tensor:
            projected = self._linear(x, f"{prefix}attention.self.{name}")
            return projected.view(batch, length, _HEADS, width // _HEADS).transpose(1, 2)

        attended = functional.scaled_dot_product_attention(
            heads("query"), heads("key"), heads("value"), attn_mask=mask[:, None, None]
        )
        return attended.transpose(1, 2).reshape(batch, length, width)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self._weights[name + ".weight"], self._weights[name + ".bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[name + ".weight"], self._weights[name + ".bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, _EPSILON)
