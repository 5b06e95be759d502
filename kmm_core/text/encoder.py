"""The interface of all text encoders: outputs for each token of each prompt. They are never trained here.

The learned part on top of it is ``PromptHead``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol

from torch import Tensor

from ..errors import KmmError
from ..setting_ranges import check_ranges


@dataclass(frozen=True)
class TextSettings:
    """Which text encoder, and the sizes of the learned layers on it.

    Attributes:
        encoder: ``minilm`` works offline and ships with the package; ``clip`` is the paper's, through transformers.
        clip_model: name or folder given to transformers for ``clip``.
        width: width E of the prompt embedding.
        layers: learned transformer layers on the encoder's outputs.
        heads: attention heads of these.
        word_dropout: share of words hidden from these layers in training.

    Raises:
        KmmError: ``bad_settings`` out of range, or where heads don't divide width.
    """

    encoder: Literal["minilm", "clip"] = "minilm"
    clip_model: str = "openai/clip-vit-base-patch32"
    width: int = 256
    layers: int = 1
    heads: int = 4
    word_dropout: float = 0.0

    def __post_init__(self):
        check_ranges(self, width=(1, inf), layers=(0, inf), heads=(1, inf), word_dropout=(0, 1))
        if self.layers and self.width % self.heads:
            raise KmmError("bad_settings", f"heads={self.heads} does not divide width.")


@dataclass
class TokenOutputs:
    """Encoder outputs.

    Attributes:
        vectors: [B, L, W].
        mask: [B, L] bool, True at real tokens.
        cut: indices of the prompts that were longer than the encoder's limit, so that their end was ignored.
    """

    vectors: Tensor
    mask: Tensor
    cut: tuple[int, ...] = ()


class TextEncoder(Protocol):
    """A frozen text encoder."""

    name: str
    width: int
    num_parameters: int

    def encode(self, prompts: Sequence[str]) -> TokenOutputs:
        """Outputs for each token of each prompt; long prompts are cut to the encoder's limit."""
        ...


def load_text_encoder(settings: TextSettings) -> TextEncoder:
    """The encoder that the settings name.

    Raises:
        KmmError: ``text_encoder_missing`` if its weights or packages are missing.
    """
    if settings.encoder == "minilm":
        from .minilm import MiniLM, packaged_folder

        return MiniLM.load(packaged_folder())
    if settings.encoder == "clip":
        from .clip import ClipText

        return ClipText.load(settings.clip_model)
    raise KmmError(
        "text_encoder_missing",
        f"Text encoder '{settings.encoder}' is not known; expected 'minilm' or 'clip'.",
        "Change [text] encoder.",
    )
