"""Iterative masked decoding (MaskGIT; Chang et al. 2022): from all tokens masked to all tokens known in a few steps.

Shapes: B rows, L places, T motion tokens, S prompts, K codebooks, V codes, E text width, M d_model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from ..errors import KmmError
from ..generator.motion_generator import MotionGenerator
from ..generator.sequence import MASK_ID, PAD_ID, SequenceLayout
from ..masking.schedule import mask_ratio
from ..motion.seams import BELL_SECONDS
from ..setting_ranges import check_ranges

# Only this many likeliest tokens can be drawn: sorting the full codebook would cost as much as the model.
MOST_CANDIDATES = 64
MAX_STEPS = 100
MAX_GUIDANCE = 20.0


@dataclass(frozen=True)
class SamplingSettings:
    """How motion is decoded.

    Attributes:
        steps: decoding steps of the first codebook, up to 100.
        guidance_scale: 0 to 20. 1 adds no guidance; more follows the prompt more closely, at twice the work.
        temperature: of the token choice; 0 always takes the likeliest.
        top_p: only the likeliest tokens that together hold this probability are drawn.
        choice_noise: noise in the order in which tokens are settled; it fades over the steps.
        residual_temperature: as ``temperature``, for the residual codebooks.
        codebooks: how many are decoded, counting the first; 0 for all. The last ones add millimetres that can hardly be
            predicted, and each costs a pass through the network.
        seam_seconds: width of the bell curve that smooths the motion at prompt boundaries, in seconds; 0 for none.
            Models trained on jerkier recordings need less of it.
        split_steps: decode "A, then B" as two prompts, see ``text.steps``: for models whose captions tell one action
            each.
        longest_seconds: decode longer prompts as several of the same text, each at most so long: for models whose
            recordings are short; 0 for never.
        gap_text: the prompt for gaps of more than a second, such as "stands still"; "" for none. After "sits down" it is that
            again, see ``text.steps``.
        rise_text: the prompt for getting up, such as "stands up", before what follows on "sits down" and does not say so;
            "" for none.

    Raises:
        KmmError: ``bad_settings`` out of range.
    """

    steps: int = 10
    guidance_scale: float = 2.0
    temperature: float = 1.0
    top_p: float = 0.9
    choice_noise: float = 1.0
    residual_temperature: float = 0.0
    codebooks: int = 0
    seam_seconds: float = BELL_SECONDS
    split_steps: bool = False
    longest_seconds: float = 0.0
    gap_text: str = ""
    rise_text: str = ""

    def __post_init__(self):
        others = (
            *("temperature", "choice_noise", "residual_temperature", "codebooks"),
            *("seam_seconds", "longest_seconds"),
        )
        check_ranges(
            self,
            steps=(1, MAX_STEPS),
            guidance_scale=(0, MAX_GUIDANCE),
            top_p=(0, 1),
            **dict.fromkeys(others, (0, inf)),
        )


def decode(
    generator: MotionGenerator,
    text: Tensor,
    places: SequenceLayout,
    settings: SamplingSettings,
    rng: torch.Generator,
    *,
    known: Tensor | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancel: Callable[[], bool] = lambda: False,
) -> Tensor:
    """Decodes the motion tokens of rows of prompts.

    Args:
        generator: in evaluation mode.
        text: prompt embeddings, ``generator.no_prompt`` where there is none, [B, S, E].
        places: where motion and text stand.
        settings: how to decode.
        rng: CPU generator; the same seed gives the same tokens.
        known: first-codebook tokens to keep, MASK_ID where to generate, [B, T]; by default generate all.
        progress: called after each step with (steps done, steps in all).
        cancel: called before each step and each residual codebook; True raises ``cancelled``.

    Returns:
        [B, T, k] in [0, V), zero in padding; k is ``settings.codebooks``, or K.

    Raises:
        KmmError: ``cancelled``.
    """
    real = places.pick(places.is_motion[..., None])[..., 0]
    prompt = places.pick(places.prompt[..., None])[..., 0].masked_fill(~real, -1)
    tokens = torch.full_like(prompt, MASK_ID) if known is None else known.clone()
    tokens[~real] = PAD_ID
    total = settings.steps + 1
    for step in range(settings.steps):
        _check(cancel)
        masked = tokens == MASK_ID
        if masked.any():
            logits = _guided_logits(generator, tokens, text, places, settings.guidance_scale)
            chosen, sureness = _draw(logits, settings.temperature, settings.top_p, rng)
            noise = settings.choice_noise * (1 - (step + 1) / settings.steps)
            sureness = sureness + noise * _gumbel(sureness.shape, rng).to(sureness)
            confidence = torch.full(tokens.shape, torch.inf, device=tokens.device)
            confidence[masked], tokens[masked] = sureness, chosen
            ratio = float(mask_ratio(torch.tensor((step + 1) / settings.steps)))
            tokens[_least_sure(confidence, masked, prompt, ratio)] = MASK_ID
        progress(step + 1, total)
    levels = _with_residuals(generator, tokens.clamp(min=0), text, places, settings, rng, cancel)
    progress(total, total)
    return levels.masked_fill(~real[..., None], 0)


def _check(cancel: Callable[[], bool]) -> None:
    if cancel():
        raise KmmError("cancelled", "Generation was cancelled.", "Nothing was written.")


def _guided_logits(
    generator: MotionGenerator, tokens: Tensor, text: Tensor, places: SequenceLayout, scale: float
) -> Tensor:
    """Logits of the masked tokens in order, [masked, V]; guidance moves them away from the logits without a prompt."""
    placed = places.place(tokens)
    masked = placed == MASK_ID
    if scale == 1:
        return generator.base_logits(generator.restore(placed, text, places)[masked])
    doubled = SequenceLayout(
        *(torch.cat([part, part]) for part in (places.is_motion, places.is_text, places.prompt))
    )
    both = torch.cat([text, generator.no_prompt.expand_as(text)])
    hidden = generator.restore(torch.cat([placed, placed]), both, doubled)[torch.cat([masked, masked])]
    prompted, free = generator.base_logits(hidden).chunk(2)
    return free + scale * (prompted - free)


def _draw(logits: Tensor, temperature: float, top_p: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A token for each row of logits [..., V], and the log-probability the model gave it; both [...]."""
    logits = logits.float()
    log_probabilities = logits.log_softmax(-1)
    if temperature == 0:
        best = log_probabilities.max(-1)
        return best.indices, best.values
    ordered = (logits / temperature).topk(min(MOST_CANDIDATES, logits.shape[-1]), dim=-1)
    # A token can be drawn if the likelier ones hold less than top_p together; so the likeliest always can.
    probabilities = (ordered.values - (logits / temperature).logsumexp(-1, keepdim=True)).exp()
    outside = probabilities.cumsum(-1) - probabilities >= top_p
    noisy = ordered.values.masked_fill(outside, -torch.inf) + _gumbel(ordered.values.shape, rng).to(logits)
    chosen = ordered.indices.gather(-1, noisy.argmax(-1, keepdim=True))
    return chosen[..., 0], log_probabilities.gather(-1, chosen)[..., 0]


def _gumbel(shape: torch.Size, rng: torch.Generator) -> Tensor:
    uniform = torch.rand(shape, generator=rng).clamp(1e-9, 1 - 1e-7)
    return -torch.log(-torch.log(uniform))


def _least_sure(confidence: Tensor, masked: Tensor, prompt: Tensor, ratio: float) -> Tensor:
    """Which tokens to mask again: in each prompt, the share ``ratio`` of its tokens with the least confidence.

    Tokens are ranked within their prompt, so that a prompt is settled at the same pace alone and in a long timeline.
    Tokens known before this step are never masked again. All [B, T]; ``prompt`` is -1 in padding.
    """
    confidence = confidence.masked_fill(~masked, torch.inf)  # settled tokens rank last
    order = confidence.argsort(dim=-1)
    order = order.gather(-1, prompt.gather(-1, order).argsort(dim=-1, stable=True))
    grouped = prompt.gather(-1, order)
    length = prompt.shape[-1]
    position = torch.arange(length, device=prompt.device).expand_as(prompt)
    starts = torch.ones_like(masked)
    starts[:, 1:] = grouped[:, 1:] != grouped[:, :-1]
    first = torch.where(starts, position, 0).cummax(-1).values
    rank = torch.empty_like(prompt).scatter_(-1, order, position - first)
    one_hot = torch.zeros(len(prompt), int(prompt.max()) + 2, device=prompt.device)
    size = one_hot.scatter_add_(-1, prompt + 1, torch.ones_like(confidence)).gather(-1, prompt + 1)
    return (rank < torch.floor(ratio * size)) & masked


def _with_residuals(
    generator: MotionGenerator,
    base: Tensor,
    text: Tensor,
    places: SequenceLayout,
    settings: SamplingSettings,
    rng: torch.Generator,
    cancel: Callable[[], bool],
) -> Tensor:
    """Codebooks 1 to k - 1, each given all before it. base [B, T] -> [B, T, k]."""
    count = min(settings.codebooks or len(generator.codes), len(generator.codes))
    tokens = torch.zeros(*base.shape, count, dtype=base.dtype, device=base.device)
    tokens[..., 0] = base
    for level in range(1, count):
        _check(cancel)
        levels = torch.full((len(base),), level, device=base.device)
        logits = generator.residual(tokens, levels, text, places)
        tokens[..., level], _ = _draw(logits, settings.residual_temperature, 1.0, rng)
    return tokens
