"""The evaluator: one encoder for text and one for motion, trained to meet in one Euclidean space, then frozen.

Shape, parameter names and sizes of the published text-motion matching network (Guo et al. 2022, Generating Diverse and
Natural 3D Human Motions from Text, section 6), so that its released weights load. The code is our own.
Shapes: B clips, F frames, D features, L words of a text, W word width, P word classes, C embedding width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from ..atomic_write import atomic_write
from ..errors import KmmError
from ..text.encoder import TextEncoder, TokenOutputs
from ..train import checkpoint

FRAMES_PER_STEP = 4  # two convolutions of stride 2
_SLOPE, _DROPOUT = 0.2, 0.2
_HEADER_KEY = "kmm_evaluator"


@dataclass(frozen=True)
class EvaluatorSettings:
    """Sizes of the evaluator, by default the published ones, and the temperature it is trained with.

    Attributes:
        movement_width: of the convolutions over frames.
        motion_width: of the recurrent layer over their outputs.
        text_width: of the recurrent layer over words.
        width: C.
        max_frames: longer motion is cut. The published evaluators have 196 (HumanML3D, 20 fps).
        temperature: squared distance by which a mismatch becomes e times less likely. It sets the scale of FID, MM-Dist and
            Diversity; at 10 Diversity is of the size that the published evaluators give.
    """

    movement_width: int = 512
    motion_width: int = 1024
    text_width: int = 512
    width: int = 512
    max_frames: int = 300
    temperature: float = 10.0

    def __post_init__(self):
        rules = [
            *((name, getattr(self, name) >= 1, "at least 1") for name in _WIDTHS),
            ("max_frames", self.max_frames >= FRAMES_PER_STEP, f"at least {FRAMES_PER_STEP}"),
            ("temperature", self.temperature > 0, "above 0"),
        ]
        problems = [f"{name}={getattr(self, name)} must be {rule}" for name, good, rule in rules if not good]
        if problems:
            raise KmmError("bad_settings", "; ".join(problems) + ".")


_WIDTHS = ("movement_width", "motion_width", "text_width", "width")


@dataclass
class Words:
    """Texts as the evaluator reads them.

    Attributes:
        vectors: [B, L, W].
        lengths: words of each text, [B].
        classes: one-hot parts of speech, [B, L, P]; None where the evaluator has none.
    """

    vectors: Tensor
    lengths: Tensor
    classes: Tensor | None = None

    @classmethod
    def of(cls, outputs: TokenOutputs) -> Words:
        """Token outputs of a text encoder as words."""
        return cls(outputs.vectors, outputs.mask.sum(1))

    def to(self, device: torch.device) -> Words:
        classes = None if self.classes is None else self.classes.to(device)
        return Words(self.vectors.to(device), self.lengths.to(device), classes)


class WordSource(Protocol):
    """What turns texts into words: a text encoder, or a table of word vectors."""

    def read(self, texts: Sequence[str]) -> Words: ...


class EncoderWords:
    """The token outputs of a frozen text encoder in the place of word vectors."""

    def __init__(self, encoder: TextEncoder):
        self.encoder = encoder

    def read(self, texts: Sequence[str]) -> Words:
        return Words.of(self.encoder.encode(list(texts)))


class MovementEncoder(nn.Module):
    """Frames to steps of four: [B, F, D] -> [B, F / 4, width]."""

    def __init__(self, num_features: int, width: int):
        super().__init__()
        # Numbers of the layers are part of the released parameters' names.
        self.main = nn.Sequential(
            nn.Conv1d(num_features, width, 4, stride=2, padding=1),
            nn.Dropout(_DROPOUT),
            nn.LeakyReLU(_SLOPE),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
            nn.Dropout(_DROPOUT),
            nn.LeakyReLU(_SLOPE),
        )
        self.out_net = nn.Linear(width, width)
        self.apply(_start)

    def forward(self, features: Tensor) -> Tensor:
        return self.out_net(self.main(features.mT).mT)


class SequenceEncoder(nn.Module):
    """A sequence to one vector: both last states of a bidirectional GRU. ``num_classes`` adds parts of speech."""

    def __init__(self, input_width: int, hidden_width: int, output_width: int, num_classes: int = 0):
        super().__init__()
        if num_classes:
            self.pos_emb = nn.Linear(num_classes, input_width)
        self.input_emb = nn.Linear(input_width, hidden_width)
        self.gru = nn.GRU(hidden_width, hidden_width, batch_first=True, bidirectional=True)
        self.output_net = nn.Sequential(
            nn.Linear(2 * hidden_width, hidden_width),
            nn.LayerNorm(hidden_width),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(hidden_width, output_width),
        )
        self.apply(_start)
        self.hidden = nn.Parameter(torch.randn(2, 1, hidden_width))

    def forward(self, inputs: Tensor, lengths: Tensor, classes: Tensor | None = None) -> Tensor:
        """[B, L, input], [B] and, with parts of speech, [B, L, P] -> [B, output]."""
        if classes is not None:
            inputs = inputs + self.pos_emb(classes)
        packed = pack_padded_sequence(
            self.input_emb(inputs), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, last = self.gru(packed, self.hidden.expand(-1, len(inputs), -1).contiguous())
        return self.output_net(torch.cat([last[0], last[1]], dim=-1))


class Evaluator(nn.Module):
    """Both encoders and the normalisation of the features they were trained on.

    Args:
        num_features: D.
        word_width: W.
        settings: sizes.
        num_classes: P; 0 for an evaluator without parts of speech.
        unused: last columns that are not looked at (HumanML3D's foot contacts).
        rest_seen: whether the convolutions of a clip's last step see the frames behind it that make no step of four, as in
            the published evaluators; in ours they are zeros.
    """

    def __init__(
        self,
        num_features: int,
        word_width: int,
        settings: EvaluatorSettings,
        *,
        num_classes: int = 0,
        unused: int = 0,
        rest_seen: bool = False,
    ):
        super().__init__()
        self.settings, self.used, self.rest_seen = settings, num_features - unused, rest_seen
        self.sizes = {
            "num_features": num_features,
            "word_width": word_width,
            "num_classes": num_classes,
            "unused": unused,
        }
        self.movement_encoder = MovementEncoder(self.used, settings.movement_width)
        self.motion_encoder = SequenceEncoder(settings.movement_width, settings.motion_width, settings.width)
        self.text_encoder = SequenceEncoder(word_width, settings.text_width, settings.width, num_classes)
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("std", torch.ones(num_features))

    def embed_text(self, words: Words) -> Tensor:
        """[B, C]."""
        return self.text_encoder(words.vectors, words.lengths, words.classes)

    def embed_motion(self, features: Tensor, frames: Tensor) -> Tensor:
        """Embeddings of clips, each of which depends on its own frames alone.

        Args:
            features: not normalised, [B, F, D]; anything may stand behind a clip's own frames.
            frames: of each clip, [B]; at least 4. A rest of less than 4 frames makes no step; see ``rest_seen``.

        Returns:
            [B, C].
        """
        frames = frames.clamp(max=self.settings.max_frames)
        steps = frames // FRAMES_PER_STEP
        seen = frames if self.rest_seen else steps * FRAMES_PER_STEP
        longest = int(seen.max())
        x = ((features - self.mean) / self.std)[:, :longest, : self.used]
        real = torch.arange(longest, device=x.device) < seen[:, None]
        x = x.masked_fill(~real[..., None], 0)
        # The published evaluators see a clip behind which zeros fill up to max_frames. One more step of them gives
        # the same, and the same for every batch that a clip may stand in.
        room = self.settings.max_frames // FRAMES_PER_STEP * FRAMES_PER_STEP - longest
        after = max(0, min(FRAMES_PER_STEP, room))
        movements = self.movement_encoder(functional.pad(x, (0, 0, 0, after)))
        return self.motion_encoder(movements, steps)


class FrozenEvaluator:
    """An evaluator to measure with: texts and motion in, embeddings out."""

    def __init__(self, evaluator: Evaluator, words: WordSource, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.evaluator = evaluator.eval().requires_grad_(False).to(self.device)
        self.words = words

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str], batch_size: int = 128) -> NDArray[np.float32]:
        """[N, C] for N texts (captions; tagged words for the released evaluators)."""
        parts = [
            self.evaluator.embed_text(self.words.read(texts[start : start + batch_size]).to(self.device))
            for start in range(0, len(texts), batch_size)
        ]
        return torch.cat(parts).float().cpu().numpy()

    @torch.no_grad()
    def embed_motions(
        self, motions: Sequence[NDArray[np.float32]], batch_size: int = 64
    ) -> NDArray[np.float32]:
        """[N, C] for N clips of features [F, D], not normalised.

        Raises:
            KmmError: ``bad_features`` for a clip of another width or of less than 4 frames.
        """
        for motion in motions:
            expected = self.evaluator.sizes["num_features"]
            if motion.ndim != 2 or motion.shape[1] != expected or len(motion) < FRAMES_PER_STEP:
                raise KmmError(
                    "bad_features",
                    f"The evaluator got features {motion.shape}; it expects at least {FRAMES_PER_STEP} frames "
                    f"of {expected} columns.",
                    "Use the evaluator of this representation, and longer clips.",
                )
        # Clips of similar length pad little.
        order = sorted(range(len(motions)), key=lambda index: len(motions[index]))
        found: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            features, frames = padded([motions[index] for index in chosen])
            rows = self.evaluator.embed_motion(features.to(self.device), frames.to(self.device))
            found.update(zip(chosen, rows.float().cpu().numpy(), strict=True))
        return np.stack([found[index] for index in range(len(motions))])


def padded(motions: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Clips [F, D] of any length as one tensor [B, F, D], zeros behind, and their frames [B]."""
    rows = [torch.from_numpy(np.ascontiguousarray(motion, dtype=np.float32)) for motion in motions]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])


def save_evaluator(path: Path, evaluator: Evaluator, *, encoder: str, representation: str) -> None:
    """Weights (16 bits) and normalisation (32) as one safetensors file; sizes, text encoder, representation in its header.

    Raises:
        KmmError: where it can't be written.
    """
    header = {
        "sizes": evaluator.sizes,
        "settings": asdict(evaluator.settings),
        "encoder": encoder,
        "representation": representation,
    }
    tensors = {name: tensor.detach().half() for name, tensor in evaluator.named_parameters()}
    tensors |= dict(evaluator.named_buffers())
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors, {_HEADER_KEY: json.dumps(header)}))


def load_evaluator(
    path: Path, encoder: TextEncoder, representation: str, device: torch.device | str = "cpu"
) -> FrozenEvaluator:
    """An evaluator that ``save_evaluator`` wrote.

    Args:
        path: the file.
        encoder: the text encoder that it was trained with.
        representation: of the features to measure, "272" or "263".
        device: where to compute.

    Raises:
        KmmError: ``no_evaluator``, ``bad_evaluator``, or ``evaluator_mismatch`` for one of another text encoder or
            another representation.
    """
    if not path.is_file():
        raise KmmError("no_evaluator", f"{path} does not exist.", "Train one: kmm-train evaluator CONFIG.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a dict
        sizes, settings = dict(header["sizes"]), EvaluatorSettings(**header["settings"])
        evaluator = Evaluator(sizes.pop("num_features"), sizes.pop("word_width"), settings, **sizes)
        named = (header["encoder"], header["representation"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise KmmError(
            "bad_evaluator", f"{path} is not a readable evaluator ({error}).", "Train it again."
        ) from error
    given = (encoder.name, representation)
    if named != given:
        raise KmmError(
            "evaluator_mismatch",
            f"{path} was trained on {named[0]} and representation {named[1]}; given are {given[0]} and {given[1]}.",
            "Use the evaluator of these data.",
        )
    checkpoint.load_into(evaluator, tensors, path)
    return FrozenEvaluator(evaluator, EncoderWords(encoder), device)


def named_on_pages(path: Path) -> str:
    """The file's name and the first digits of its hash: figures of two evaluators don't compare, even under one name."""
    return f"{path.name} ({hashlib.sha256(path.read_bytes()).hexdigest()[:8]})"


def _start(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)
