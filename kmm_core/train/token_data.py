"""Token rows for the generator: single clips and composed timelines, encoded once by the frozen tokenizer.

Shapes: B rows, T tokens, L places, K codebooks, C code width, S prompts of a row, P prompts of a batch.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, islice, pairwise
from math import inf
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from ..atomic_write import atomic_write, make_folder_of
from ..errors import KmmError
from ..generator.sequence import SequenceLayout, layout
from ..setting_ranges import check_ranges
from ..text.encoder import TextEncoder, TokenOutputs
from ..text.familiarity import sentence_vectors
from ..text.one_sentence import one_sentence
from ..tokenizer.motion_tokenizer import MotionTokenizer
from .compositions import (
    CANDIDATES,
    LARGEST_RISE,
    OVERLAP_FRAMES,
    join,
    pelvis_heights,
    pick_next,
    starting_at,
)
from .motion_data import FeatureClip, MotionData, WeightedPicker
from .prepared import PreparedClip

MAX_ROW_TOKENS = 100  # 13 s: longer rows would mostly pad the others of their batch
ENCODED_AT_ONCE = 256  # rows
BUCKETS = (16, 26, 40, 60, MAX_ROW_TOKENS)  # rows of a batch come from one bucket, to pad little

ROWS_VERSION = "17"  # raised when the same data and settings give other rows, so that kept ones are made anew


@dataclass(frozen=True)
class Prompting:
    """One prompt of a row: how many tokens it spans, the sentences that describe it, and what they mean.

    ``meaning`` is equal for prompts that ask for the same, whatever their words.
    """

    tokens: int
    captions: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class TokenRow:
    """Tokens [T, K], latents before quantization [T, C], the prompts in order, and a sampling weight."""

    tokens: Tensor
    latents: Tensor
    prompts: tuple[Prompting, ...]
    weight: float


@dataclass
class TokenBatch:
    """What the generator stage trains on.

    Attributes:
        tokens: [B, T, K].
        latents: [B, T, C].
        places: where motion and text stand, L = longest row.
        text: token outputs of every prompt, P rows.
        prompt_row: which row each prompt belongs to, [P].
        prompt_number: which prompt of that row, [P].
        meaning: numbers of what each prompt means and of its words: prompts say the same where either is equal, [P, 2].
    """

    tokens: Tensor
    latents: Tensor
    places: SequenceLayout
    text: TokenOutputs
    prompt_row: Tensor
    prompt_number: Tensor
    meaning: Tensor

    def to(self, device: torch.device) -> TokenBatch:
        moved = {item.name: getattr(self, item.name) for item in fields(self)}
        moved["text"] = TokenOutputs(self.text.vectors.to(device), self.text.mask.to(device))
        return TokenBatch(
            **{name: value if name == "text" else value.to(device) for name, value in moved.items()}
        )


def meaning_of(about: PreparedClip, mirrored: bool) -> str:
    """Action, side and turn from the labels, mirrored with the motion; the clip's id where they name no action, for the
    mirror image as well where no caption tells them apart."""
    labels = about.labels
    if labels.get("action", "") in ("", "other"):
        differs = mirrored and about.mirrored_captions != about.captions
        return f"{about.source}/{about.id}/{differs}"
    words = [labels.get(key, "none") for key in ("side", "turn")]
    if mirrored:
        other = {"left": "right", "right": "left"}
        words = [other.get(word, word) for word in words]
    return "/".join([labels["action"], *words])


@dataclass(frozen=True)
class RowSettings:
    """Token rows for the generator.

    Attributes:
        compositions: timelines joined from training clips, beside the single clips.
        captions: largest number of sentences per clip, drawn from all it has; each is encoded and held in memory.
        seed: of all random draws.
        balance: evens out how often actions are drawn: an action's share s of the draws becomes proportional to
            s^(1 - balance). 0 leaves the shares as prepared, 1 draws all actions equally often.
        variants: also clips made out of the training clips, see ``variants``.
        text_tokens: ``prompt``: each prompt of a timeline has its own text token, behind its motion; ``sentence``: one for
            the whole timeline, at its end, as the paper has it.
        shifted: each clip of a second or more begins up to a token later, so that another seed gives other tokens of the
            same motion; held-out clips stay.

    Raises:
        KmmError: ``bad_settings`` out of range.
    """

    compositions: int = 3000
    captions: int = 8
    seed: int = 0
    balance: float = 0.0
    variants: bool = False
    text_tokens: Literal["prompt", "sentence"] = "prompt"
    shifted: bool = False

    def __post_init__(self):
        check_ranges(self, compositions=(0, inf), captions=(1, inf), balance=(0, 1), seed=(0, 2**62))


def encode_rows(
    tokenizer: MotionTokenizer, data: MotionData, clips: Sequence[FeatureClip], settings: RowSettings
) -> list[TokenRow]:
    """Rows from clips (each also mirrored, if the data settings say so) and from joined timelines.

    Each prompt has its own text token, whatever ``settings.text_tokens``; see ``with_one_sentence``.

    Raises:
        KmmError: ``no_clips`` where none has a caption.
    """
    step = tokenizer.settings.frames_per_token
    rng = torch.Generator().manual_seed(settings.seed)
    weights = balanced_weights(clips, settings.balance)
    singles: list[tuple[np.ndarray, tuple[Prompting, ...], float]] = []
    for clip, clip_weight in zip(clips, weights, strict=True):
        for mirrored in (False, True) if data.settings.mirror else (False,):
            said = _said(clip, mirrored, settings.captions, rng)
            if not all(captions for captions, *_ in said):
                continue
            features = data.mirrored(clip.features) if mirrored else clip.features
            later = 0
            if settings.shifted and len(features) >= data.representation.fps:
                later = int(torch.randint(step, (), generator=rng))
                features = starting_at(features, later, data.representation) if later else features
            length = len(features) // step
            if length > MAX_ROW_TOKENS and len(said) > 1:
                continue  # the last prompt would end before what it says
            length = min(length, MAX_ROW_TOKENS)
            ends = [min(max(0, end - later) // step, length) for *_, end in said]
            tokens = [end - start for start, end in pairwise([0, *ends])]
            if min(tokens) > 0:
                prompts = tuple(
                    Prompting(count, captions, meaning_of(about, mirrored))
                    for count, (captions, about, _) in zip(tokens, said, strict=True)
                )
                singles.append((features[: length * step], prompts, clip_weight))
    if not singles:
        raise KmmError(
            "no_clips",
            f"None of {len(clips)} clips of {data.settings.prepared} has a caption and at least {step} frames.",
            "Prepare sources with captions; kmm-train inspect shows what there is.",
        )
    rows = _encode(tokenizer, singles)
    joinable = [single for single in singles if len(single[0]) >= 2 * OVERLAP_FRAMES]
    if not joinable:
        return rows
    pick = WeightedPicker([weight for _, _, weight in joinable])
    heights = [pelvis_heights(features, data.representation) for features, *_ in joinable]
    average = float(np.mean([weight for _, _, weight in singles]))
    composed = (_compose(joinable, heights, pick, data, step, rng) for _ in range(settings.compositions))
    return rows + _encode(tokenizer, ((*row, average) for row in composed))


def _said(
    clip: FeatureClip, mirrored: bool, most: int, rng: torch.Generator
) -> list[tuple[tuple[str, ...], PreparedClip, int]]:
    """Of each prompt that tells the clip: at most so many of its captions, what it is about, the frame at which it ends."""
    said = []
    for about, end in clip.parts or ((clip.about, len(clip.features)),):
        if said and said[-1][1] is about:  # the same again, in the same words
            captions = said[-1][0]
        else:
            captions = about.mirrored_captions if mirrored else about.captions
            chosen = torch.randperm(len(captions), generator=rng)[:most].tolist()
            captions = tuple(captions[index] for index in sorted(chosen))
        said.append((captions, about, end))
    return said


def balanced_weights(clips: Sequence[FeatureClip], balance: float) -> list[float]:
    """Each clip's weight with its action's share evened out, see ``RowSettings.balance``; their sum stays.

    Clips without a label count as one action.
    """
    shares: dict[str, float] = {}
    for clip in clips:
        action = clip.about.labels.get("action", "")
        shares[action] = shares.get(action, 0.0) + clip.about.weight
    total = sum(shares.values())
    if not total:
        return [clip.about.weight for clip in clips]
    wanted = {action: share ** (1 - balance) if share else 0.0 for action, share in shares.items()}
    scale = total / sum(wanted.values())
    factor = {action: scale * wanted[action] / share if share else 0.0 for action, share in shares.items()}
    return [clip.about.weight * factor[clip.about.labels.get("action", "")] for clip in clips]


def with_one_sentence(rows: Sequence[TokenRow]) -> list[TokenRow]:
    """The same rows with one prompt each, see ``RowSettings.text_tokens``."""
    return [replace(row, prompts=(_as_one(row.prompts),)) for row in rows]


def _as_one(prompts: Sequence[Prompting]) -> Prompting:
    """The prompts of a timeline as one; of each, the captions come by turns."""
    if len(prompts) == 1:
        return prompts[0]
    most = max(len(prompt.captions) for prompt in prompts)
    captions = tuple(
        one_sentence([prompt.captions[number % len(prompt.captions)] for prompt in prompts])
        for number in range(most)
    )
    return Prompting(
        sum(prompt.tokens for prompt in prompts),
        captions,
        " then ".join(prompt.meaning for prompt in prompts),
    )


def _compose(joinable, heights, pick, data: MotionData, step: int, rng: torch.Generator):
    """A timeline of two to four clips that fits a row, and its prompts.

    ``heights`` of each clip's first and last pelvis, metres: who sits is not faded into one who walks, or the model would
    learn to spring up.
    """
    form = data.representation
    current = pick(1, rng)[0]
    features, following, _ = joinable[current]
    prompts, starts = list(following), _starts(following, 0)
    for _ in range(int(torch.randint(1, 4, (), generator=rng))):
        room = MAX_ROW_TOKENS * step - len(features)
        candidates = [
            index
            for index in pick(CANDIDATES, rng)
            if len(joinable[index][0]) <= room and abs(heights[index][0] - heights[current][1]) < LARGEST_RISE
        ]
        if not candidates:
            break
        current = candidates[pick_next(features, [joinable[index][0] for index in candidates], rng)]
        clip, following, _ = joinable[current]
        so_far = len(features)
        features, lost, lost_too = join(features, clip, form)
        prompts += following
        start, *later = _starts(following, round((so_far - lost) / step))
        starts += [start, *(edge - round(lost_too / step) for edge in later)]
    # A fade need not be whole tokens long, and 263 loses a row a joint: what is over at the end is left out.
    edges = [*starts, len(features) // step]
    acted = (end - start for start, end in pairwise(edges))
    prompts = tuple(replace(item, tokens=tokens) for item, tokens in zip(prompts, acted, strict=True))
    return features[: edges[-1] * step], prompts


def _starts(prompts: Sequence[Prompting], first: int) -> list[int]:
    """At which token each prompt starts, if the first one does at ``first``."""
    return [first, *(first + end for end in accumulate(prompt.tokens for prompt in prompts[:-1]))]


@torch.no_grad()
def _encode(
    tokenizer: MotionTokenizer, rows: Iterable[tuple[np.ndarray, tuple[Prompting, ...], float]]
) -> list[TokenRow]:
    """Rows from features, prompts and weights; the codes of many rows are searched for at once."""
    encoded = []
    remaining = iter(rows)
    while part := list(islice(remaining, ENCODED_AT_ONCE)):
        features = [torch.from_numpy(np.ascontiguousarray(item[0])) for item in part]
        latents = [tokenizer.latents(item[None].to(tokenizer.mean.device))[0] for item in features]
        tokens = tokenizer.quantize(torch.cat(latents)[None]).tokens[0].split([len(item) for item in latents])
        encoded += [
            TokenRow(codes.to("cpu", torch.int16), vectors.to("cpu", torch.float16), prompts, weight)
            for codes, vectors, (_, prompts, weight) in zip(tokens, latents, part, strict=True)
        ]
    return encoded


class CaptionOutputs:
    """Encoder outputs of every caption, in half precision.

    Args:
        captions: each once.
        vectors: encoder outputs of the words of all captions, one caption after the other, [N, W].
        lengths: words of each caption; N in all.
    """

    def __init__(self, captions: Sequence[str], vectors: Tensor, lengths: Sequence[int]):
        self.index = {caption: number for number, caption in enumerate(captions)}
        self.vectors = vectors.split(list(lengths))

    @classmethod
    def of(cls, encoder: TextEncoder, captions: Sequence[str]) -> CaptionOutputs:
        """Computes them."""
        captions = list(dict.fromkeys(captions))
        ordered = sorted(captions, key=len)  # similar lengths pad little
        stored: dict[str, Tensor] = {}
        for start in range(0, len(ordered), 256):
            chunk = ordered[start : start + 256]
            outputs = encoder.encode(chunk)
            for caption, vectors, mask in zip(chunk, outputs.vectors, outputs.mask, strict=True):
                stored[caption] = vectors[mask].to("cpu", torch.float16)
        vectors = [stored[caption] for caption in captions]
        return cls(captions, torch.cat(vectors), [len(item) for item in vectors])

    @classmethod
    def cached(cls, folder: Path, encoder: TextEncoder, captions: Sequence[str]) -> CaptionOutputs:
        """From a file in ``folder`` for this encoder and these captions; or computed and kept there."""
        captions = list(dict.fromkeys(captions))
        key = hashlib.sha256("\n".join([encoder.name, *captions]).encode()).hexdigest()[:12]
        path = folder / f"captions-{key}.safetensors"
        if path.is_file():
            stored = load_file(path)
            return cls(captions, stored["vectors"], stored["lengths"].tolist())
        outputs = cls.of(encoder, captions)
        lengths = torch.tensor([len(vectors) for vectors in outputs.vectors])
        _save({"vectors": torch.cat(outputs.vectors), "lengths": lengths}, path)
        return outputs

    def sentences(self, captions: Sequence[str]) -> Tensor:
        """Sentence vectors of these captions, [N, W]."""
        parts = (captions[start : start + 256] for start in range(0, len(captions), 256))
        return torch.cat([sentence_vectors(self.batch(part)) for part in parts])

    def batch(self, captions: Sequence[str]) -> TokenOutputs:
        """Padded outputs for these captions."""
        vectors = [self.vectors[self.index[caption]] for caption in captions]
        padded = torch.nn.utils.rnn.pad_sequence(vectors, batch_first=True).float()
        lengths = torch.tensor([len(item) for item in vectors])
        return TokenOutputs(padded, torch.arange(padded.shape[1])[None] < lengths[:, None])


class TokenRows:
    """Rows in buckets of similar length, and batches drawn from them."""

    def __init__(self, rows: Sequence[TokenRow], captions: CaptionOutputs):
        self.captions = captions
        self.meanings: dict[str, int] = {}
        for row in rows:
            for prompt in row.prompts:
                self.meanings.setdefault(prompt.meaning, len(self.meanings))
        self.buckets: list[tuple[list[TokenRow], WeightedPicker]] = []
        masses = []
        lower = 0
        for upper in BUCKETS:
            inside = [row for row in rows if lower < len(row.tokens) <= upper]
            if inside:
                weights = [row.weight for row in inside]
                self.buckets.append((inside, WeightedPicker(weights)))
                # A bucket of long rows is drawn with fewer rows at once, so it must come up more often.
                masses.append(sum(weights) * upper)
            lower = upper
        self.pick_bucket = WeightedPicker(masses)

    def make_batch(self, rng: torch.Generator, batch_size: int) -> TokenBatch:
        """A batch with about ``batch_size`` times 40 tokens, whatever the rows' length."""
        rows, pick = self.buckets[self.pick_bucket(1, rng)[0]]
        longest = max(len(row.tokens) for row in rows)
        count = max(2, batch_size * 40 // longest)
        return self.collate([rows[index] for index in pick(count, rng)], rng)

    def collate(self, rows: Sequence[TokenRow], rng: torch.Generator) -> TokenBatch:
        """One batch of these rows; the caption of each prompt is drawn from its sentences."""
        prompts = [
            (row, number, prompt)
            for row, item in enumerate(rows)
            for number, prompt in enumerate(item.prompts)
        ]
        captions: list[str] = []
        for index, (_, number, prompt) in enumerate(prompts):
            if number and prompt.captions == prompts[index - 1][2].captions:
                captions.append(captions[-1])  # as a long prompt is decoded in pieces
            else:
                captions.append(prompt.captions[int(torch.randint(len(prompt.captions), (), generator=rng))])
        pad = torch.nn.utils.rnn.pad_sequence
        return TokenBatch(
            tokens=pad([row.tokens.long() for row in rows], batch_first=True),
            latents=pad([row.latents.float() for row in rows], batch_first=True),
            places=layout([[prompt.tokens for prompt in row.prompts] for row in rows]),
            text=self.captions.batch(captions),
            prompt_row=torch.tensor([row for row, *_ in prompts]),
            prompt_number=torch.tensor([number for _, number, _ in prompts]),
            meaning=torch.tensor(
                [
                    (self.meanings[prompt.meaning], self.captions.index[caption])
                    for (*_, prompt), caption in zip(prompts, captions, strict=True)
                ]
            ),
        )


def cached_rows(path: Path, make: Callable[[], list[TokenRow]]) -> list[TokenRow]:
    """Rows from ``path`` (safetensors; prompts in its metadata), or made and kept there."""
    if path.is_file():
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            described = json.loads(file.metadata()["rows"])
        rows = []
        start = 0
        for row in described:
            end = start + sum(tokens for tokens, *_ in row["prompts"])
            prompts = tuple(
                Prompting(tokens, tuple(captions), meaning) for tokens, captions, meaning in row["prompts"]
            )
            rows.append(
                TokenRow(tensors["tokens"][start:end], tensors["latents"][start:end], prompts, row["weight"])
            )
            start = end
        return rows
    print(f"Making {path}, once: with thousands of clips this takes minutes.", file=sys.stderr, flush=True)
    rows = make()
    described = [
        {
            "prompts": [(prompt.tokens, prompt.captions, prompt.meaning) for prompt in row.prompts],
            "weight": row.weight,
        }
        for row in rows
    ]
    tensors = {
        "tokens": torch.cat([row.tokens for row in rows]),
        "latents": torch.cat([row.latents for row in rows]),
    }
    _save(tensors, path, {"rows": json.dumps(described)})
    return rows


def _save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Written whole or not at all; two processes may do it at once."""
    make_folder_of(path)
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, metadata))  # the errors that save_file raises are not OSErrors
