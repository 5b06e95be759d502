"""TextToMotion: a timeline of prompts in, motion clips out. Read this file first.

    timeline -> segments (a prompt for each action: "A, then B" is two, a long one is several, a gap is a pause, who sits
                gets up first)
             -> plan (which tokens belong to which segment)
             -> text embeddings (frozen encoder, learned head)
             -> tokens (iterative masked decoding by the bidirectional Mamba generator)
             -> features (tokenizer's decoder) -> soft seams -> MotionClip -> clean feet -> the timeline's frame rate
             -> with kept frames: fitted to them, feet cleaned once more

The panel, ``kmm-generate``, headless scripts and the tests all go through ``TextToMotion.generate``.
Shapes: B samples, F frames, T tokens, S prompts, E text width.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .allocator import keep_freed_memory
from .bundle import Bundle, load_bundle
from .clip import MotionClip
from .errors import KmmError
from .generator.sequence import MASK_ID, layout
from .motion.editing import splice
from .motion.foot_contact import clean_feet
from .motion.representation import representation
from .motion.seams import soften_seams
from .sampling.masked_decoding import MAX_GUIDANCE, MAX_STEPS, SamplingSettings, decode
from .text.encoder import TokenOutputs
from .text.familiarity import SUBJECT, cut_note, is_familiar, unfamiliar_note
from .text.one_sentence import one_sentence
from .text.steps import in_pieces, in_steps, with_gaps_filled, with_rises
from .timeline import Prompt, Timeline

MAX_SAMPLES = 64


@dataclass(frozen=True)
class Progress:
    """How far a generation is: ``done`` of ``total`` decoding steps."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Keep:
    """Masked-token editing: motion to keep, so that only the rest is generated (in-betweening, continuation).

    Attributes:
        clip: motion at the timeline's fps that reaches at least to the last kept frame.
        frames: which of the timeline's frames to keep, [F] bool.
    """

    clip: MotionClip
    frames: NDArray[np.bool_]


@dataclass(frozen=True)
class PipelineInfo:
    """The loaded model: its name, licence, text encoder, device, frame rate and number of weights by part."""

    model: str
    version: str
    licence: str
    credits: tuple[str, ...]
    text_encoder: str
    device: str
    fps: float
    parameters: dict[str, int]


@dataclass
class Generation:
    """The result of ``TextToMotion.generate``.

    Attributes:
        clips: at the timeline's fps, exactly as long as the timeline.
        seconds: how long each stage took, by its name.
        unfamiliar: prompts, or steps of them, that resemble nothing in the model's recordings (``text.familiarity``).
        cut: prompts, or steps of them, whose end was ignored because they are too long for the text encoder.
    """

    clips: list[MotionClip]
    seconds: dict[str, float] = field(default_factory=dict)
    unfamiliar: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """A note to the user about the prompts; empty if there is nothing to say."""
        return " ".join(filter(None, (unfamiliar_note(self.unfamiliar), cut_note(self.cut))))


class TextToMotion:
    """A loaded model that turns timelines into motion. Holds no state between calls."""

    def __init__(self, bundle: Bundle, device: str = "auto"):
        self.device = choose_device(device)
        self.bundle = bundle
        self.representation = representation(bundle.config.representation)
        for module in (bundle.tokenizer, bundle.generator, bundle.prompt_head):
            module.to(self.device)
        if bundle.familiar is not None:
            bundle.familiar = bundle.familiar.to(self.device)

    @classmethod
    def load(cls, bundle: str | Path = "starter", device: str = "auto") -> TextToMotion:
        """Loads a model that ships with the package, by name, or any bundle folder.

        Raises:
            KmmError: ``bundle_missing``, ``bundle_broken``, ``bundle_foreign``, a missing text encoder, or
                ``no_device``.
        """
        choose_device(device)
        keep_freed_memory()
        return cls(load_bundle(bundle), device)

    @property
    def info(self) -> PipelineInfo:
        """Model, licence, text encoder, device and sizes."""
        config, bundle = self.bundle.config, self.bundle
        modules = {
            "generator": bundle.generator,
            "tokenizer": bundle.tokenizer,
            "text_layers": bundle.prompt_head,
        }
        return PipelineInfo(
            model=config.name,
            version=config.version,
            licence=config.licence,
            credits=config.credits,
            text_encoder=bundle.encoder.name,
            device=str(self.device),
            fps=self.representation.fps,
            parameters={name: sum(p.numel() for p in module.parameters()) for name, module in modules.items()}
            | {"text_encoder": bundle.encoder.num_parameters},
        )

    @torch.inference_mode()
    def generate(
        self,
        timeline: Timeline,
        *,
        seed: int = 0,
        samples: int = 1,
        guidance_scale: float | None = None,
        steps: int | None = None,
        foot_cleanup: bool = True,
        keep: Keep | None = None,
        progress: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Generation:
        """Motion for a timeline, all prompts in one pass.

        Args:
            timeline: prompts with frame ranges; gaps are filled smoothly.
            seed: the same seed, device and settings give the same motion.
            samples: how many different clips to make, 1 to 64.
            guidance_scale: how closely to follow the prompts, 0 to 20; by default the model's own value.
            steps: decoding steps, 1 to 100; by default the model's own number.
            foot_cleanup: whether to hold planted feet still.
            keep: frames of another motion that are to stay as they are.
            progress: called after every decoding step.
            cancel: called before every decoding step and every residual codebook; True stops with ``cancelled``.

        Raises:
            KmmError: ``bad_setting``, ``prompts_too_short``, ``bad_keep`` or ``cancelled``.
        """
        settings = self._settings(seed, samples, guidance_scale, steps)
        report = progress or (lambda _: None)
        seconds: dict[str, float] = {}
        segments = self._segments(timeline, settings)
        plan, prompts = self._plan(segments, timeline), [segment.text for segment in segments]
        if self.bundle.config.text_tokens == "sentence":
            plan, prompts = [sum(plan)], [one_sentence(prompts)]
        with _timed(seconds, "text"):
            outputs = self._read(prompts)
            text, unfamiliar = self._embed(prompts, outputs), self._unlike(prompts, outputs)
        with _timed(seconds, "tokens"):
            tokens = decode(
                self.bundle.generator,
                text.expand(samples, -1, -1),
                layout([plan] * samples).to(self.device),
                settings,
                torch.Generator().manual_seed(seed),
                known=None
                if keep is None
                else self._known_tokens(keep, timeline, sum(plan)).expand(samples, -1),
                progress=lambda done, total: report(Progress("tokens", done, total)),
                cancel=cancel or (lambda: False),
            )
        with _timed(seconds, "motion"):
            features = self.bundle.tokenizer.decode(tokens).float().cpu().numpy()
            seams, fps = np.cumsum(plan)[:-1] * self._frames_per_token, self.representation.fps
            softened = [soften_seams(rows, seams, fps, settings.seam_seconds) for rows in features]
            clips = [self.representation.decode(rows, fps) for rows in softened]
        with _timed(seconds, "clean-up"):
            clips = [self._finish(clip, timeline, foot_cleanup, keep) for clip in clips]
        cut = tuple(dict.fromkeys(prompts[number] for number in outputs.cut))
        return Generation(clips, seconds, unfamiliar, cut)

    @torch.inference_mode()
    def unfamiliar(self, prompts: list[str]) -> tuple[str, ...]:
        """The prompts that resemble nothing in the model's recordings, without repeats. Generates nothing."""
        return self._unlike(prompts, self._read(prompts))

    def _settings(self, seed: int, samples: int, guidance_scale: float | None, steps: int | None):
        """The model's sampling settings with the caller's changes, all checked."""
        settings = self.bundle.config.sampling
        guidance_scale = settings.guidance_scale if guidance_scale is None else guidance_scale
        steps = settings.steps if steps is None else steps
        checks = (
            ("seed", seed, 0 <= seed < 2**63, "0 to 2^63 - 1"),
            ("samples", samples, 1 <= samples <= MAX_SAMPLES, f"1 to {MAX_SAMPLES}"),
            ("steps", steps, 1 <= steps <= MAX_STEPS, f"1 to {MAX_STEPS}"),
            (
                "guidance_scale",
                guidance_scale,
                0 <= guidance_scale <= MAX_GUIDANCE,
                f"0 to {MAX_GUIDANCE:g}",
            ),
        )
        for name, value, good, expected in checks:
            if not good:
                raise KmmError(
                    "bad_setting",
                    f"{name}={value} is out of range; expected {expected}.",
                    f"Choose {expected}.",
                )
        return replace(settings, guidance_scale=guidance_scale, steps=steps)

    def _segments(self, timeline: Timeline, settings: SamplingSettings) -> list[Prompt]:
        """The timeline's prompts and gaps as the model knows them: one action each, no longer than its recordings."""
        segments = timeline.segments()
        if settings.split_steps:
            segments = in_steps(segments, timeline.fps)
        segments = with_gaps_filled(segments, timeline.fps, settings.gap_text)
        segments = with_rises(segments, timeline.fps, settings.rise_text)
        return in_pieces(segments, timeline.fps, settings.longest_seconds)

    def _plan(self, segments: Iterable[Prompt], timeline: Timeline) -> list[int]:
        """How many tokens each segment spans. Boundaries are rounded to whole tokens; each segment gets at least one."""
        segments, rate = list(segments), self.representation.fps / timeline.fps
        # At a frame rate above the model's, the last frames lie after the model's last one: it has to make one more.
        frames = max(timeline.num_frames * rate, (timeline.num_frames - 1) * rate + 1)
        total = math.ceil(frames / self._frames_per_token - 1e-9)
        if len(segments) > total:
            raise KmmError(
                "prompts_too_short",
                f"{len(segments)} prompts and gaps share {timeline.seconds:.2f} s; each needs at least "
                f"{self._frames_per_token / self.representation.fps:.2f} s.",
                "Make them longer, or leave some out.",
            )
        ends, last = [], 0
        for number, segment in enumerate(segments, start=1):
            last = max(last + 1, round(segment.end * rate / self._frames_per_token))
            last = min(last, total - (len(segments) - number))  # leaves a token for each later segment
            ends.append(last)
        ends[-1] = total
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    @property
    def _frames_per_token(self) -> int:
        return self.bundle.tokenizer.settings.frames_per_token

    def _read(self, prompts: list[str]) -> TokenOutputs:
        """The text encoder's outputs, on the model's device; empty prompts (gaps) are read as a full stop."""
        outputs = self.bundle.encoder.encode([prompt or "." for prompt in prompts])
        return TokenOutputs(outputs.vectors.to(self.device), outputs.mask.to(self.device), outputs.cut)

    def _unlike(self, prompts: list[str], outputs: TokenOutputs) -> tuple[str, ...]:
        """The prompts that resemble nothing the model was trained on, without repeats."""
        if self.bundle.familiar is None:
            return ()
        familiar = is_familiar(outputs, self.bundle.familiar).tolist()
        asked = dict.fromkeys(prompt for prompt, known in zip(prompts, familiar, strict=True) if not known)
        unlike = [prompt for prompt in asked if prompt]
        if unlike:
            again = is_familiar(self._read([SUBJECT + prompt for prompt in unlike]), self.bundle.familiar)
            unlike = [prompt for prompt, known in zip(unlike, again.tolist(), strict=True) if not known]
        return tuple(unlike)

    def _embed(self, prompts: list[str], outputs: TokenOutputs) -> Tensor:
        """Prompt embeddings, [1, S, E]; empty prompts get the embedding of "no prompt"."""
        generator = self.bundle.generator
        embedded = self.bundle.prompt_head(outputs)
        empty = torch.tensor([not prompt for prompt in prompts], device=self.device)
        return torch.where(empty[:, None], generator.no_prompt, embedded)[None]

    def _known_tokens(self, keep: Keep, timeline: Timeline, length: int) -> Tensor:
        """The first-codebook tokens of the kept motion, [1, T]; MASK_ID where any of a token's frames is not kept."""
        kept = np.asarray(keep.frames, dtype=bool)
        if len(kept) != timeline.num_frames or not kept.any() or kept.all():
            raise KmmError(
                "bad_keep",
                f"{int(kept.sum())} of {len(kept)} frames are to be kept in a timeline of "
                f"{timeline.num_frames}.",
                "Keep some of its frames, but not all.",
            )
        last = int(np.flatnonzero(kept)[-1])
        if keep.clip.fps != timeline.fps or keep.clip.num_frames <= last:
            raise KmmError(
                "bad_keep",
                f"The motion to keep has {keep.clip.num_frames} frames at {keep.clip.fps:g} fps; "
                f"expected more than {last} at {timeline.fps:g} fps.",
                "Resample it, or keep fewer frames.",
            )
        frames = length * self._frames_per_token
        # The 263-column features have one row less than there are frames.
        features = self.representation.encode(keep.clip.resample(self.representation.fps, frames + 1))
        features = self.representation.as_window(features[:frames])
        tokens = self.bundle.tokenizer.encode(torch.from_numpy(features).float()[None].to(self.device))[
            ..., 0
        ]
        times = np.minimum(
            np.arange(frames) * timeline.fps / self.representation.fps, timeline.num_frames - 1
        )
        whole = kept[np.floor(times).astype(int)] & kept[np.ceil(times).astype(int)]
        known = torch.from_numpy(whole.reshape(length, -1).all(axis=1)).to(self.device)
        return torch.where(known, tokens, MASK_ID)

    def _finish(
        self, clip: MotionClip, timeline: Timeline, foot_cleanup: bool, keep: Keep | None
    ) -> MotionClip:
        """Cleans the feet, resamples to the timeline's rate and exact length, and puts the kept frames back."""
        if foot_cleanup:
            clip = clean_feet(clip)
        clip = clip.resample(timeline.fps, timeline.num_frames)
        if keep is None:
            return clip
        kept = np.asarray(keep.frames, dtype=bool)
        clip = splice(clip, keep.clip, kept)
        # Fitting the new motion to the kept frames makes feet slide again.
        return splice(clean_feet(clip), keep.clip, kept) if foot_cleanup else clip


def choose_device(name: str) -> torch.device:
    """The torch device for "auto", "cpu", "cuda" or "mps"; "auto" takes CUDA if there is a usable GPU, else the CPU.

    Raises:
        KmmError: ``no_device`` if the named device is not usable here.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there.get(name, False):
        usable = ", ".join(device for device, works in there.items() if works)
        raise KmmError(
            "no_device",
            f"Device '{name}' is not usable here; usable: auto, {usable}.",
            "Choose one of these.",
        )
    return torch.device(name)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - started
