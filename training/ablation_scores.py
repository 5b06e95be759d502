"""What is measured on each generator of an ablation: its token losses, and the motion it makes.

Shapes: P prompts of a batch, B rows, S prompts of a row, T tokens, E text width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from kmm_core.bundle import Bundle
from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.evaluate import metrics, tuning_prompts
from kmm_core.evaluate.directional import directions
from kmm_core.evaluate.evaluation_set import EvaluationClip, EvaluationSet
from kmm_core.evaluate.evaluator import FrozenEvaluator
from kmm_core.evaluate.prompt_sets import PromptSpec, side_prompts
from kmm_core.evaluate.scores import Embedded, embedded_scores, generate_clips, generate_timeline
from kmm_core.evaluate.sequences import MadeSequence, sub_sequences
from kmm_core.evaluate.verdicts import named_side_correct
from kmm_core.generator.sequence import MASK_ID, PAD_ID
from kmm_core.pipeline import TextToMotion
from kmm_core.train.token_data import TokenBatch

RATIOS = (0.3, 0.6, 1.0)  # of the tokens hidden when the losses are measured
TIMELINE_PROMPTS = 4  # as many as training shows in a row at most
MIN_SECONDS, MAX_SECONDS = 1.0, 200 / 30  # of a clip's length asked for, as in FlowMDM's protocol
REPETITIONS = 10  # orders of the pools


@dataclass(frozen=True)
class Metric:
    """A figure: what it is called in tables, and whether more of it is better."""

    label: str
    higher: bool


METRICS = {
    "cross_entropy": Metric("token loss", False),
    "restored": Metric("tokens restored", True),
    "r_precision_3": Metric("R-precision 3", True),
    "fid": Metric("FID", False),
    "mm_dist": Metric("MM-Dist", False),
    "directional": Metric("directional R-precision 1", True),
    "side": Metric("named side", True),
    "timeline_r_precision_3": Metric("timelines: R-precision 3", True),
    "timeline_fid": Metric("timelines: FID", False),
    "timeline_side": Metric("timelines: named side", True),
}


@dataclass(frozen=True)
class Ruler:
    """What measures.

    Attributes:
        evaluator: that of ``data``'s features.
        data: held-out clips.
        clips: so many of them are asked for, each alone; the same ones for every generator.
        timelines: so many rows of ``TIMELINE_PROMPTS`` prompts are asked for.
        sides: prompts that name a side, each asked for alone and in timelines.
    """

    evaluator: FrozenEvaluator
    data: EvaluationSet
    clips: int = 320
    timelines: int = 40
    sides: int = 80


def measure(bundle: Bundle, batches: Sequence[TokenBatch], ruler: Ruler, seed: int) -> dict[str, float]:
    """The ``METRICS`` of one generator; ``directional`` is missing where fewer than two clips name a side or a turn.

    Args:
        bundle: the generator with all it needs.
        batches: held-out rows.
        ruler: what else measures.
        seed: of the motion.

    Raises:
        KmmError: ``too_few_clips`` where no held-out clip lasts a second.
    """
    pipeline = TextToMotion(bundle, device="cpu")
    asked = _asked(ruler, ruler.clips)
    lost = ruler.data.lost_frames
    frames = [count + lost for count in asked.frames]
    singles = generate_clips(pipeline, asked.texts, frames, seed, fps=ruler.data.fps)
    motions = [ruler.data.encode(clip) for clip in singles]
    alone = _retrieval(ruler, asked, motions)
    in_rows = _asked(ruler, ruler.timelines * TIMELINE_PROMPTS)
    pieces = in_timelines(pipeline, in_rows.texts, in_rows.frames, ruler.data.fps, seed, lost)
    together = _retrieval(ruler, in_rows, [ruler.data.encode(clip) for clip in pieces])
    specs = _sides(ruler.sides)
    texts, frames = [spec.text for spec in specs], [round(spec.seconds * ruler.data.fps) for spec in specs]
    # Left and right of one sentence stand side by side; in a timeline they shall not.
    order = np.random.default_rng(0).permutation(len(specs))
    mixed = in_timelines(
        pipeline, [texts[i] for i in order], [frames[i] for i in order], ruler.data.fps, seed
    )
    return {
        **restoration(bundle, batches),
        **{name: alone[name] for name in ("r_precision_3", "fid", "mm_dist")},
        **_directional(ruler, asked, motions),
        "side": _correct(specs, generate_clips(pipeline, texts, frames, seed, fps=ruler.data.fps)),
        "timeline_r_precision_3": together["r_precision_3"],
        "timeline_fid": together["fid"],
        "timeline_side": _correct([specs[i] for i in order], mixed),
    }


def in_timelines(
    pipeline: TextToMotion, texts: Sequence[str], frames: Sequence[int], fps: float, seed: int, lost: int = 0
) -> list[MotionClip]:
    """The motion of each prompt, ``TIMELINE_PROMPTS`` of them generated in one pass, each ``lost`` frames longer."""
    pieces: list[MotionClip] = []
    for start in range(0, len(texts), TIMELINE_PROMPTS):
        chosen = slice(start, start + TIMELINE_PROMPTS)
        asked = [*frames[chosen]]
        asked[-1] += lost
        clip, boundaries = generate_timeline(pipeline, texts[chosen], asked, seed + start, fps=fps)
        pieces += sub_sequences(MadeSequence(clip, tuple(boundaries)), lost)
    return pieces


@torch.no_grad()
def restoration(bundle: Bundle, batches: Sequence[TokenBatch]) -> dict[str, float]:
    """How well hidden first-codebook tokens of held-out rows are restored.

    The hidden ones are drawn at random, the same for every generator, whatever its training hid.

    Returns:
        ``cross_entropy``, and ``restored``: the share that is exactly right; means over ``RATIOS``.
    """
    generator = bundle.generator
    losses, shares = [], []
    for ratio in RATIOS:
        loss = right = count = 0.0
        for number, batch in enumerate(batches):
            rng = torch.Generator().manual_seed(number)
            valid = batch.places.pick(batch.places.is_motion[..., None])[..., 0]
            masked = (torch.rand(valid.shape, generator=rng) < ratio) & valid
            given = batch.tokens[..., 0]
            prompts = bundle.prompt_head(batch.text)
            text = prompts.new_zeros(len(given), int(batch.prompt_number.max()) + 1, prompts.shape[-1])
            text[batch.prompt_row, batch.prompt_number] = prompts
            tokens = batch.places.place(given.masked_fill(masked, MASK_ID), PAD_ID)
            hidden = batch.places.pick(generator.restore(tokens, text, batch.places))
            logits = generator.base_logits(hidden[masked]).float()
            loss += float(functional.cross_entropy(logits, given[masked], reduction="sum"))
            right += float((logits.argmax(-1) == given[masked]).sum())
            count += int(masked.sum())
        losses.append(loss / count)
        shares.append(right / count)
    return {"cross_entropy": float(np.mean(losses)), "restored": float(np.mean(shares))}


@dataclass(frozen=True)
class _Asked:
    """Held-out clips with the caption and the length to ask for."""

    clips: list[EvaluationClip]
    texts: list[str]
    tagged: list[str]
    frames: list[int]


def _asked(ruler: Ruler, count: int) -> _Asked:
    """The same for every generator; clips come again where there are fewer than ``count``."""
    rng = np.random.default_rng(0)
    fps = ruler.data.fps
    usable = [clip for clip in ruler.data.clips if len(clip.features) >= MIN_SECONDS * fps]
    if not usable:
        raise KmmError(
            "too_few_clips",
            f"None of the {len(ruler.data.clips)} held-out clips lasts {MIN_SECONDS:g} s.",
            "Prepare longer clips, and hold some of them out.",
        )
    order = np.concatenate([rng.permutation(len(usable)) for _ in range(-(-count // len(usable)))])[:count]
    clips = [usable[index] for index in order]
    said = [int(rng.integers(len(clip.captions))) for clip in clips]
    return _Asked(
        clips,
        [clip.captions[index] for clip, index in zip(clips, said, strict=True)],
        [clip.tagged[index] for clip, index in zip(clips, said, strict=True)],
        [min(len(clip.features), round(MAX_SECONDS * fps)) for clip in clips],
    )


def _retrieval(ruler: Ruler, asked: _Asked, motions: Sequence[np.ndarray]) -> dict[str, float]:
    embedded = Embedded(
        ruler.evaluator.embed_texts(asked.tagged),
        ruler.evaluator.embed_motions(motions),
        ruler.evaluator.embed_motions([clip.features for clip in ruler.data.clips]),
        [clip.meaning for clip in asked.clips],
    )
    made = [embedded_scores(embedded, np.random.default_rng(number)) for number in range(REPETITIONS)]
    return {name: float(np.mean([scores[name] for scores in made])) for name in made[0]}


def _directional(ruler: Ruler, asked: _Asked, motions: Sequence[np.ndarray]) -> dict[str, float]:
    """R-precision 1 among the captions that name a side or a turn: there the side is what tells many apart."""
    chosen = [number for number, text in enumerate(asked.texts) if directions(text)]
    if len(chosen) < 2:
        return {}
    text = ruler.evaluator.embed_texts([asked.tagged[number] for number in chosen])
    motion = ruler.evaluator.embed_motions([motions[number] for number in chosen])
    shares = []
    for number in range(REPETITIONS):
        order = np.random.default_rng(number).permutation(len(chosen))
        meanings = [asked.clips[chosen[index]].meaning for index in order]
        pool = min(metrics.POOL, len(chosen))
        shares.append(metrics.r_precision(text[order], motion[order], meanings=meanings, pool=pool)[0])
    return {"directional": float(np.mean(shares))}


def _sides(count: int) -> list[PromptSpec]:
    """Sentences that settings are tuned on, evenly spread; left and right of each."""
    everything = side_prompts(tuning_prompts)
    pairs = [everything[index : index + 2] for index in range(0, len(everything), 2)]
    chosen = np.linspace(0, len(pairs) - 1, max(1, count // 2)).round().astype(int)
    return [spec for index in dict.fromkeys(chosen.tolist()) for spec in pairs[index]]


def _correct(specs: Sequence[PromptSpec], clips: Sequence[MotionClip]) -> float:
    """Share judged right by geometry."""
    return float(
        np.mean([named_side_correct(spec, clip).correct for spec, clip in zip(specs, clips, strict=True)])
    )
