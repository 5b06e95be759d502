"""The generator with the learned text layers and the alignment loss, on a frozen tokenizer; then its residual codebooks alone.

Guidance can also be distilled into a trained generator: ``LearningSettings.distil_guidance``.

Shapes: B rows, T tokens, L places, K codebooks, V codes, P prompts of the batch, S prompts of a row, E text width.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..aligner.text_motion_aligner import AlignerSettings, TextMotionAligner
from ..generator.motion_generator import GeneratorSettings, MotionGenerator
from ..generator.sequence import MASK_ID, PAD_ID
from ..masking.masker import KeyFrameMasker, MaskingSettings
from ..setting_ranges import check_ranges
from ..text.encoder import TextEncoder, TextSettings, TokenOutputs
from ..text.familiarity import NUM_CENTRES, centres_of, spread_out
from ..text.prompt_head import PromptHead
from ..tokenizer.motion_tokenizer import MotionTokenizer
from .confidence import mask_by_confidence
from .motion_data import FeatureClip, MotionData
from .stage import Stage
from .token_data import (
    CaptionOutputs,
    RowSettings,
    TokenBatch,
    TokenRow,
    TokenRows,
    cached_rows,
    encode_rows,
    with_one_sentence,
)
from .variants import variants

# Share of visible tokens replaced by random codes, so that the model learns to doubt its own earlier choices.
CORRUPTED = 0.05
VALIDATION_ROWS = 256
FAMILIAR_SENTENCES, FEWEST_SENTENCES = 40_000, 5  # in all, and of one centre
MAX_DISTILLED = 10.0


@dataclass(frozen=True)
class LearningSettings:
    """What the generator is trained to predict.

    Attributes:
        residual_share: share of a batch's rows that also train the residual codebooks, a third of a step's work; 0 leaves
            them as they are.
        distil_guidance: 0 learns the recordings' tokens. Above 0, the generator learns to give in one pass what
            ``generator_start`` gives in two with this guidance (Meng et al. 2023, arXiv 2210.03142, 3.1, for one scale);
            it is then decoded with ``sampling.guidance_scale = 1``.

    Raises:
        KmmError: ``bad_settings``, with every problem named.
    """

    residual_share: float = 1.0
    distil_guidance: float = 0.0

    def __post_init__(self):
        check_ranges(self, residual_share=(0, 1), distil_guidance=(0, MAX_DISTILLED))


def heads_for_codes(weights: dict[str, Tensor], old: Tensor, new: Tensor) -> dict[str, Tensor]:
    """Heads for ``new`` codes [K, V, C], made from those of a generator of ``old`` codes (ours).

    Each new code gets what the nearest old code of its codebook had; codes with the same nearest old code share it.

    A tokenizer that is trained further keeps its latent space, but few codes keep their number (docs/decisions/0033).

    Returns:
        ``head`` and ``residual.heads`` among ``weights``, with their biases; nothing for codebooks of another size.
    """
    if old.shape != new.shape:
        return {}
    distance = torch.cdist(new, old, compute_mode="donot_use_mm_for_euclid_dist")
    closest = distance.min(-1)
    # Of several as near, its own: codes that stayed keep their heads, twins among them too.
    stayed = distance.diagonal(dim1=1, dim2=2) <= closest.values
    nearest = torch.where(stayed, torch.arange(new.shape[1], device=new.device), closest.indices)
    # Codes that take one old code's place share its probability.
    shared = torch.stack([row.bincount(minlength=len(row))[row].log() for row in nearest])
    heads, biases = weights["generator.residual.heads"], weights["generator.residual.biases"]
    return {
        "generator.head.weight": weights["generator.head.weight"][nearest[0]],
        "generator.head.bias": weights["generator.head.bias"][nearest[0]] - shared[0],
        "generator.residual.heads": heads.gather(2, nearest[1:, None].expand_as(heads)),
        "generator.residual.biases": biases.gather(1, nearest[1:]) - shared[1:],
    }


class GeneratorObjective(nn.Module):
    """Generator, text layers and aligner with their losses: forward(TokenBatch, rng) -> named losses.

    ``residual_only`` trains only the residual codebooks' predictor; such a step costs less than half.
    """

    residual_only = False
    familiar: Tensor  # centres of what is said of the training rows, for the bundle: see ``text.familiarity``

    def __init__(
        self,
        generator: MotionGenerator,
        prompt_head: PromptHead,
        aligner: TextMotionAligner,
        masker: KeyFrameMasker,
        word_dropout: float = 0.0,
        learning: LearningSettings = LearningSettings(),
    ):
        super().__init__()
        self.word_dropout = word_dropout
        self.learning = learning
        # In a list, so that it is no part of the weights that are trained, averaged and saved.
        self.teacher: list[GeneratorObjective] = []
        self.generator, self.prompt_head, self.aligner, self.masker = generator, prompt_head, aligner, masker

    def learn_from_start(self) -> None:
        """The weights it has now become the teacher of ``learning.distil_guidance``."""
        teacher = copy.deepcopy(self).eval().requires_grad_(False)
        self.teacher = [teacher]

    def forward(self, batch: TokenBatch, rng: torch.Generator) -> dict[str, Tensor]:
        valid = batch.places.pick(batch.places.is_motion[..., None])[..., 0]
        text = self.prompt_head(self._with_words_missing(batch.text, rng))
        dropped = self._dropped(batch, rng)
        prompts = self._text_rows(text, dropped, batch)
        residual = self._residual_loss(batch, prompts, valid, rng)
        if self.residual_only:
            return {"loss": residual, "residual": residual}

        visible, wanted = self._hide(batch, valid, rng)
        hidden = self.generator.restore(batch.places.place(visible, PAD_ID), prompts, batch.places)
        logits = self.generator.base_logits(batch.places.pick(hidden)[wanted]).float()
        true = batch.tokens[..., 0][wanted]
        losses = {"masked": functional.cross_entropy(logits, true), "residual": residual}
        with torch.no_grad():
            losses["accuracy"] = (logits.argmax(-1) == true).float().mean()
        total = losses["masked"] + losses["residual"]
        if self.teacher:
            taught = self.teacher[0].to(logits.device).guided(batch, visible, wanted, dropped)
            losses["distilled"] = functional.cross_entropy(logits, taught.float().softmax(-1))
            total = losses["distilled"] + losses["residual"]
        if self.aligner.settings.level != "none":
            restored = self._restored_latents(logits, visible, wanted)
            losses["alignment"] = self._alignment_loss(text, restored, valid, batch, dropped)
            total = total + self.aligner.settings.weight * losses["alignment"]
        return {"loss": total, **losses}

    @torch.no_grad()
    def guided(self, batch: TokenBatch, visible: Tensor, wanted: Tensor, dropped: Tensor) -> Tensor:
        """Logits of the N wanted first tokens with the guidance to be distilled, every word of the prompts read. [N, V]."""
        text = self.prompt_head(batch.text)
        prompts = self._text_rows(text, dropped, batch)
        free = self._text_rows(text, torch.ones_like(dropped), batch)
        placed = batch.places.place(visible, PAD_ID)
        prompted, free = (
            self.generator.base_logits(
                batch.places.pick(self.generator.restore(placed, rows, batch.places))[wanted]
            )
            for rows in (prompts, free)
        )
        return free + self.learning.distil_guidance * (prompted - free)

    def _hide(self, batch: TokenBatch, valid: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """First-codebook tokens with some masked and some wrong, and which of them to restore. [B, T] each."""
        given, device = batch.tokens[..., 0], valid.device
        masked = self.masker(batch.latents, valid, rng)
        noise = torch.rand(given.shape, generator=rng).to(device) < CORRUPTED
        wrong = torch.randint(self.generator.codes.shape[1], given.shape, generator=rng).to(device)
        corrupt = noise & ~masked & valid
        return torch.where(corrupt, wrong, given).masked_fill(masked, MASK_ID), masked | corrupt

    def _with_words_missing(self, text: TokenOutputs, rng: torch.Generator) -> TokenOutputs:
        """Some words hidden in training, so that no single one carries the meaning: prompts come in other words."""
        if not (self.training and self.word_dropout):
            return text
        seen = torch.rand(text.mask.shape, generator=rng) >= self.word_dropout
        seen[:, 0] = True
        return TokenOutputs(text.vectors, text.mask & seen.to(text.mask.device))

    def _dropped(self, batch: TokenBatch, rng: torch.Generator) -> Tensor:
        """Which prompts are replaced by "no prompt", [P]: half of the drops take whole rows, half single prompts."""
        share = self.generator.settings.condition_dropout / 2 if self.training else 0.0
        rows = torch.rand(len(batch.tokens), generator=rng) < share
        single = torch.rand(len(batch.prompt_row), generator=rng) < share
        return (rows[batch.prompt_row.cpu()] | single).to(batch.tokens.device)

    def _text_rows(self, text: Tensor, dropped: Tensor, batch: TokenBatch) -> Tensor:
        """Prompt embeddings [P, E] in rows, [B, S, E]."""
        text = torch.where(dropped[:, None], self.generator.no_prompt.to(text.dtype), text)
        rows = text.new_zeros(len(batch.tokens), int(batch.prompt_number.max()) + 1, text.shape[-1])
        return rows.index_put((batch.prompt_row, batch.prompt_number), text)

    def _residual_loss(
        self, batch: TokenBatch, prompts: Tensor, valid: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Cross-entropy of one residual codebook a row, drawn anew each time, the true earlier codes given."""
        count, _, codebooks = batch.tokens.shape
        if self.training and not self.residual_only:
            count = math.ceil(count * self.learning.residual_share)  # the first ones: rows come in no order
        levels = torch.randint(1, codebooks, (count,), generator=rng).to(valid.device)
        if not count:
            return prompts.new_zeros(())
        tokens, valid, places = batch.tokens[:count], valid[:count], batch.places.first(count)
        logits = self.generator.residual(tokens, levels, prompts[:count], places)
        # Without these rows' padding beyond the longest of them.
        tokens, valid = tokens[:, : logits.shape[1]], valid[:, : logits.shape[1]]
        wanted = tokens[torch.arange(count, device=levels.device), :, levels]
        return functional.cross_entropy(logits[valid].float(), wanted[valid])

    def _restored_latents(self, logits: Tensor, visible: Tensor, wanted: Tensor) -> Tensor:
        """First-codebook latents with predicted tokens by their expected code vector. [B, T, C]."""
        codes = self.generator.codes[0]
        restored = codes[visible.clamp(min=0)]
        return restored.index_put(
            wanted.nonzero(as_tuple=True), (logits.softmax(-1) @ codes).to(restored.dtype)
        )

    def _alignment_loss(
        self, text: Tensor, restored: Tensor, valid: Tensor, batch: TokenBatch, dropped: Tensor
    ) -> Tensor:
        """Sentence level: whole rows; segment level: each prompt too. Prompts that were dropped don't count."""
        aligner = self.aligner
        prompts, rows = len(text), len(batch.tokens)
        start = torch.zeros(rows, dtype=torch.long, device=text.device)
        start = start.scatter_reduce(
            0, batch.prompt_row, torch.arange(prompts, device=text.device), "amin", include_self=False
        )
        number = batch.places.pick(batch.places.prompt[..., None])[..., 0]
        owner = (start[:, None] + number).masked_fill(~valid, prompts)
        losses = []
        kept = ~dropped
        if aligner.settings.level == "segment" and kept.sum() > 1:
            motion = aligner.embed_motion(restored, owner, prompts)
            losses.append(aligner.loss(aligner.embed_text(text)[kept], motion[kept], batch.meaning[kept]))
        whole_rows = torch.ones(rows, dtype=torch.bool, device=text.device)
        whole_rows[batch.prompt_row[dropped]] = False
        if whole_rows.sum() > 1:
            row_owner = (
                torch.arange(rows, device=text.device)[:, None].expand_as(valid).masked_fill(~valid, rows)
            )
            motion = aligner.embed_motion(restored, row_owner, rows)
            counts = torch.bincount(batch.prompt_row, minlength=rows)[:, None]
            mean_text = text.new_zeros(rows, text.shape[-1]).index_add(0, batch.prompt_row, text) / counts
            # Rows mean the same only where all their prompts do, in order: a hash that knows the order.
            weight = 1 + batch.prompt_number[:, None] * 1_000_003
            meaning = batch.meaning.new_zeros(rows, batch.meaning.shape[1]).index_add(
                0, batch.prompt_row, (batch.meaning + 1) * weight
            )
            losses.append(
                aligner.loss(
                    aligner.embed_text(mean_text)[whole_rows], motion[whole_rows], meaning[whole_rows]
                )
            )
        return torch.stack(losses).mean() if losses else text.sum() * 0


@dataclass(frozen=True)
class GeneratorRows:
    """What the stage trains and validates on: token rows, and the encoder's outputs for all their captions."""

    train: list[TokenRow]
    held_out: list[TokenRow]
    captions: CaptionOutputs


def load_rows(
    *,
    tokenizer: MotionTokenizer,
    data: Callable[[], MotionData],
    encoder: TextEncoder,
    settings: RowSettings,
    cache: Path,
) -> GeneratorRows:
    """Rows of the data's clips, kept in ``cache`` for the next start.

    Args:
        tokenizer: makes the tokens.
        data: loads the clips; asked only where the cache lacks something.
        encoder: reads the captions.
        settings: which rows.
        cache: a folder for these data, this tokenizer and these settings alone (``text_tokens`` may differ).
    """
    tokenizer = tokenizer.eval().requires_grad_(False)
    loaded = functools.cache(data)
    train = cached_rows(
        cache / "train_rows.safetensors",
        lambda: encode_rows(tokenizer, loaded(), _training_clips(loaded(), settings), settings),
    )
    fewer = replace(settings, compositions=settings.compositions // 20, seed=settings.seed + 1, shifted=False)
    held_out = cached_rows(
        cache / "held_out_rows.safetensors",
        lambda: encode_rows(tokenizer, loaded(), loaded().held_out(), fewer),
    )
    if settings.text_tokens == "sentence":
        train, held_out = with_one_sentence(train), with_one_sentence(held_out)
    sentences = [
        caption for row in (*train, *held_out) for prompt in row.prompts for caption in prompt.captions
    ]
    return GeneratorRows(train, held_out, CaptionOutputs.cached(cache, encoder, sentences))


def _training_clips(data: MotionData, settings: RowSettings) -> list[FeatureClip]:
    recorded = data.split("train")
    return [*recorded, *variants(data, recorded)] if settings.variants else recorded


def build(
    *,
    tokenizer: MotionTokenizer,
    encoder: TextEncoder,
    text: TextSettings,
    generator: GeneratorSettings,
    aligner: AlignerSettings,
    masking: MaskingSettings,
    rows: GeneratorRows,
    learning: LearningSettings = LearningSettings(),
) -> Stage:
    """The generator stage on these rows."""
    objective = make_objective(tokenizer, encoder, text, generator, aligner, masking, learning)
    objective.familiar.copy_(_familiar(rows))
    # Against the recordings a generator that learns its guidance gets worse: it becomes surer than they are.
    return _stage("generator", objective, rows, "distilled" if learning.distil_guidance else "masked")


def _familiar(rows: GeneratorRows) -> Tensor:
    """Centres of what is said of the training rows, none of them a caption of its own where there are many. [K, W]."""
    prompts = (prompt for row in rows.train for prompt in row.prompts)
    rng = torch.Generator().manual_seed(0)
    drawn = spread_out(((prompt.meaning, prompt.captions) for prompt in prompts), FAMILIAR_SENTENCES, rng)
    return centres_of(rows.captions.sentences(drawn), rng, fewest=FEWEST_SENTENCES)


def residual_stage(objective: GeneratorObjective, rows: GeneratorRows) -> Stage:
    """Goes on with a trained objective's residual codebooks alone; everything else is frozen."""
    objective.residual_only = True
    objective.requires_grad_(False)
    objective.generator.residual.requires_grad_(True)
    return _stage("residual", objective, rows, "residual")


def _stage(name: str, objective: GeneratorObjective, rows: GeneratorRows, best_metric: str) -> Stage:
    train_rows = TokenRows(rows.train, rows.captions)
    batches = validation_batches(rows)

    def validate(objective: nn.Module, pictures: Path | None) -> dict[str, float]:
        device = next(objective.parameters()).device
        totals: dict[str, float] = {}
        for number, batch in enumerate(batches):
            losses = objective(batch.to(device), torch.Generator().manual_seed(number))
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + float(value) / len(batches)
        return totals

    return Stage(name, objective, train_rows.make_batch, validate, best_metric)


def make_objective(
    tokenizer: MotionTokenizer,
    encoder: TextEncoder,
    text: TextSettings,
    generator: GeneratorSettings,
    aligner: AlignerSettings,
    masking: MaskingSettings,
    learning: LearningSettings = LearningSettings(),
) -> GeneratorObjective:
    """New, untrained modules that fit each other."""
    objective = GeneratorObjective(
        MotionGenerator(tokenizer.quantizer.codes(), text.width, generator),
        PromptHead(encoder.width, text),
        TextMotionAligner(tokenizer.settings.code_width, text.width, aligner),
        KeyFrameMasker(masking),
        text.word_dropout,
        learning,
    )
    objective.register_buffer("familiar", torch.zeros(NUM_CENTRES, encoder.width))
    if masking.strategy == "confidence":
        mask_by_confidence(objective)
    return objective


def validation_batches(rows: GeneratorRows) -> list[TokenBatch]:
    """The same held-out batches every time, rows of similar length together; at most ``VALIDATION_ROWS`` rows."""
    rng = torch.Generator().manual_seed(0)
    order = torch.randperm(len(rows.held_out), generator=rng)[:VALIDATION_ROWS].tolist()
    chosen = sorted((rows.held_out[index] for index in order), key=lambda row: len(row.tokens))
    collator = TokenRows(rows.held_out, rows.captions)
    return [collator.collate(chosen[start : start + 32], rng) for start in range(0, len(chosen), 32)]
