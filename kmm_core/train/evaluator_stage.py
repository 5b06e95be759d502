"""The evaluator's stage: pulls the embeddings of a clip's text and motion together, and those of other clips apart.

The network is Guo et al.'s, the loss is not: with their margin loss, the embeddings of our data collapsed to three
dimensions, in which motion could lose two fifths of its movement nearly unnoticed (docs/decisions/0031). Here each text
has to pick its motion out of the batch, and each motion its text, by squared distance (InfoNCE; van den Oord et al.
2018). Pairs that mean the same don't count as mismatches. Every clip is in the batch mirrored as well, so that the
other side is always among the mismatches. Shapes: B clips, F frames, D features, C embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import KmmError
from ..evaluate import metrics
from ..evaluate.evaluator import FRAMES_PER_STEP, Evaluator, EvaluatorSettings, Words, padded
from ..text.encoder import TextEncoder
from .motion_data import FeatureClip, MotionData, WeightedPicker
from .stage import Stage
from .token_data import CaptionOutputs, meaning_of

VALIDATION_CLIPS = 512
VALIDATION_BATCH = 64

# Share of the pairs' own distance in the loss. Without it all texts may stay far from all motion, which MM-Dist would show.
TOGETHER = 0.03


@dataclass(frozen=True)
class Example:
    """One clip, as it is or mirrored, with its sentences. ``meaning`` is equal for clips that show the same."""

    clip: FeatureClip
    mirrored: bool
    captions: tuple[str, ...]
    meaning: str


@dataclass
class MatchBatch:
    """What the evaluator stage trains on.

    Attributes:
        features: [B, F, D], not normalised.
        frames: of each clip, [B].
        words: of its caption, B texts.
        same: which pairs of text and motion are no mismatch, [B, B] bool.
    """

    features: Tensor
    frames: Tensor
    words: Words
    same: Tensor

    def to(self, device: torch.device) -> MatchBatch:
        return MatchBatch(
            self.features.to(device), self.frames.to(device), self.words.to(device), self.same.to(device)
        )


class EvaluatorObjective(nn.Module):
    """The evaluator with its loss: forward(MatchBatch, rng) -> named losses."""

    def __init__(self, evaluator: Evaluator):
        super().__init__()
        self.evaluator = evaluator

    def forward(self, batch: MatchBatch, rng: torch.Generator) -> dict[str, Tensor]:
        text = self.evaluator.embed_text(batch.words).float()
        motion = self.evaluator.embed_motion(batch.features, batch.frames).float()
        return matching_loss(text, motion, batch.same, self.evaluator.settings.temperature)


def matching_loss(text: Tensor, motion: Tensor, same: Tensor, temperature: float) -> dict[str, Tensor]:
    """Cross-entropy of finding each text's motion in the batch, and each motion's text.

    Args:
        text: [B, C].
        motion: the motion of each text, [B, C].
        same: which pairs are no mismatch, [B, B] bool, the diagonal among them.
        temperature: squared distance by which a mismatch becomes e times less likely.

    Returns:
        ``mismatched``, the cross-entropy; ``matched``, the mean squared distance of the pairs; as ``loss`` the first, with a
        little of the second.
    """
    squares = torch.cdist(text, motion).square()
    pair = torch.eye(len(text), dtype=torch.bool, device=text.device)
    likely = (-squares / temperature).masked_fill(same & ~pair, -torch.inf)
    own = torch.arange(len(text), device=text.device)
    mismatched = (functional.cross_entropy(likely, own) + functional.cross_entropy(likely.mT, own)) / 2
    matched = squares.diagonal().mean()
    return {
        "loss": mismatched + TOGETHER * matched / temperature,
        "matched": matched,
        "mismatched": mismatched,
    }


def build(
    *, data: MotionData, encoder: TextEncoder, settings: EvaluatorSettings, captions: int, seed: int = 0
) -> Stage:
    """The evaluator stage on these data.

    Args:
        data: clips; trained on the training split alone.
        encoder: frozen text encoder; its token outputs take the place of word vectors.
        settings: of the evaluator.
        captions: largest number of sentences per clip, drawn from all it has.
        seed: of that draw.

    Raises:
        KmmError: ``no_clips`` where no clip has a caption and 4 frames.
    """
    rng = torch.Generator().manual_seed(seed)
    train = pairs_of_examples(data.split("train"), data, captions, rng)
    held_out = pairs_of_examples(data.held_out(), data, captions, rng)
    if not train or not held_out:
        raise KmmError(
            "no_clips",
            f"No clip of {data.settings.prepared} has a caption and at least {FRAMES_PER_STEP} frames.",
            "Prepare other sources.",
        )
    everyone = [example for pair in (*train, *held_out) for example in pair]
    outputs = CaptionOutputs.of(encoder, [caption for example in everyone for caption in example.captions])
    evaluator = Evaluator(data.representation.num_features, encoder.width, settings)
    mean, std = data.statistics()
    evaluator.mean.copy_(mean)
    evaluator.std.copy_(std)
    pick = WeightedPicker([pair[0].clip.about.weight for pair in train])
    per_clip = max(len(pair) for pair in train)
    held_out = held_out[:: max(1, len(held_out) // VALIDATION_CLIPS)]

    def make_batch(rng: torch.Generator, batch_size: int) -> MatchBatch:
        chosen = pick(max(1, batch_size // per_clip), rng)
        examples = [example for index in chosen for example in train[index]]
        return collate(examples, data, outputs, settings.max_frames, rng)

    def validate(objective: nn.Module, pictures: Path | None) -> dict[str, float]:
        return report(objective.evaluator, held_out, data, outputs)

    return Stage("evaluator", EvaluatorObjective(evaluator), make_batch, validate, "loss")


def pairs_of_examples(
    clips: Sequence[FeatureClip], data: MotionData, captions: int, rng: torch.Generator
) -> list[tuple[Example, ...]]:
    """Each clip and, if the data settings say so, its mirror image; without those that are too short or have no caption."""
    pairs = []
    for clip in clips:
        if len(clip.features) < FRAMES_PER_STEP or not clip.about.captions:
            continue
        # One draw for both, so that the sentences of the two stay translations of each other.
        chosen = sorted(torch.randperm(len(clip.about.captions), generator=rng)[:captions].tolist())
        pair = [Example(clip, False, _chosen(clip.about.captions, chosen), meaning_of(clip.about, False))]
        if data.settings.mirror and clip.about.mirrored_captions:
            said = _chosen(clip.about.mirrored_captions, chosen)
            pair.append(Example(clip, True, said, meaning_of(clip.about, True)))
        pairs.append(tuple(pair))
    return pairs


def collate(
    examples: Sequence[Example],
    data: MotionData,
    outputs: CaptionOutputs,
    max_frames: int,
    rng: torch.Generator,
) -> MatchBatch:
    """One batch; each clip's caption, and the window of a long one, are drawn."""
    longest = max_frames // FRAMES_PER_STEP * FRAMES_PER_STEP
    captions, motions = [], []
    for example in examples:
        captions.append(example.captions[_draw(len(example.captions), rng)])
        start = _draw(max(1, len(example.clip.features) - longest + 1), rng)
        window = example.clip.features[start : start + longest]
        motions.append(data.mirrored(window) if example.mirrored else window)
    features, frames = padded(motions)
    same = [
        [mine.meaning == other.meaning or said == captions[number] for number, other in enumerate(examples)]
        for mine, said in zip(examples, captions, strict=True)
    ]
    return MatchBatch(features, frames, Words.of(outputs.batch(captions)), torch.tensor(same))


@torch.no_grad()
def report(
    evaluator: Evaluator, pairs: Sequence[tuple[Example, ...]], data: MotionData, outputs: CaptionOutputs
) -> dict[str, float]:
    """How well held-out clips are found by their texts.

    Returns:
        ``top1_error`` to ``top3_error`` (1 - R-precision in pools of 32, or of all clips where there are less),
        ``distance`` (MM-Dist), ``loss``, and ``side_error``: how often a text that names a side or a turn is nearer
        to the mirrored clip than to its own.
    """
    rng = torch.Generator().manual_seed(0)

    def batch_of(examples: list[Example]) -> MatchBatch:
        batch = collate(examples, data, outputs, evaluator.settings.max_frames, rng)
        return batch.to(evaluator.mean.device)

    order = torch.randperm(len(pairs), generator=rng).tolist()
    texts, motions, mirrored, losses = [], [], [], []
    for start in range(0, len(order), VALIDATION_BATCH):
        chosen = [pairs[index] for index in order[start : start + VALIDATION_BATCH]]
        batch = batch_of([pair[0] for pair in chosen])
        texts.append(evaluator.embed_text(batch.words).float())
        motions.append(evaluator.embed_motion(batch.features, batch.frames).float())
        losses.append(
            float(matching_loss(texts[-1], motions[-1], batch.same, evaluator.settings.temperature)["loss"])
        )
        other = batch_of([pair[-1] for pair in chosen])
        mirrored.append(evaluator.embed_motion(other.features, other.frames).float())
    text, motion, other = (torch.cat(parts).cpu().numpy() for parts in (texts, motions, mirrored))
    meanings = [pairs[index][0].meaning for index in order]
    sided = np.array([pairs[index][0].captions != pairs[index][-1].captions for index in order])
    precision = metrics.r_precision(text, motion, meanings=meanings, pool=min(metrics.POOL, len(text)))
    result = {f"top{rank}_error": float(1 - share) for rank, share in enumerate(precision, 1)}
    result |= {"distance": metrics.matching_distance(text, motion), "loss": float(np.mean(losses))}
    if sided.any():
        own = np.linalg.norm(text - motion, axis=-1)[sided]
        result["side_error"] = float((np.linalg.norm(text - other, axis=-1)[sided] <= own).mean())
    return result


def _chosen(captions: tuple[str, ...], indices: Sequence[int]) -> tuple[str, ...]:
    return tuple(captions[index] for index in indices if index < len(captions)) or captions


def _draw(count: int, rng: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=rng))
