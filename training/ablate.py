"""Ablations: generators at equal budget and seeds, one setting changed at a time, all measured alike.

Every run has its own folder, ``<folder>/<variant>/seed-<n>``, continues where it stopped and is skipped when it is
finished. So several processes may work on one folder, each on different seeds. They share ``<folder>/rows-*``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kmm_core.atomic_write import atomic_write
from kmm_core.errors import KmmError
from kmm_core.text.encoder import TextEncoder, load_text_encoder
from kmm_core.tokenizer.motion_tokenizer import MotionTokenizer
from kmm_core.train.generator_stage import GeneratorRows, validation_batches

from .ablation_scores import Ruler, measure
from .config import RunSettings, override
from .export import load_generator
from .runs import data_now, generator_rows, noted, settings_of_stage, tokenizer_of, train_generator_on

SCORES_FILE = "scores.json"
DEFAULT = "default"


@dataclass(frozen=True)
class Variant:
    """A generator to compare with the default: what it is called, and what differs."""

    label: str
    changes: tuple[str, ...] = ()


VARIANTS = {
    DEFAULT: Variant(
        "default: key-frame masks, segment alignment, Mamba-2, learned text, a token each prompt"
    ),
    "random-masks": Variant("random masks", ("masking.strategy=random",)),
    "confidence-masks": Variant("confidence masks", ("masking.strategy=confidence",)),
    "key-frame-30": Variant("key-frame masks, always 30 % (as published)", ("masking.ratio=0.3",)),
    "random-30": Variant("random masks, always 30 %", ("masking.strategy=random", "masking.ratio=0.3")),
    "sentence-alignment": Variant("sentence alignment", ("aligner.level=sentence",)),
    "no-alignment": Variant("no alignment", ("aligner.level=none",)),
    "mamba-1": Variant("Mamba-1", ("generator.trunk=mamba1",)),
    "transformer": Variant("Transformer", ("generator.trunk=transformer",)),
    "frozen-text": Variant("frozen text encoder", ("text.layers=0",)),
    "sentence-token": Variant("one token a timeline", ("rows.text_tokens=sentence",)),
}


@dataclass(frozen=True)
class Run:
    """A finished run of the ablation.

    Attributes:
        variant: a name in ``VARIANTS``.
        seed: of its weights, batches and masks.
        parameters: of the generator.
        budget: what all runs have in common, in words.
        scores: see ``ablation_scores.METRICS``.
    """

    variant: str
    seed: int
    parameters: int
    budget: str
    scores: dict[str, float]


def ablate(
    settings: RunSettings,
    folder: Path,
    *,
    tokenizer_from: str | Path,
    ruler: Callable[[], Ruler],
    ruler_key: str,
    seeds: Sequence[int],
    variants: Sequence[str] = (),
    note: Callable[[str], None] = lambda text: None,
) -> bool:
    """Trains and measures every variant with every seed.

    Args:
        settings: of the default; a variant differs in one of them.
        folder: for the runs.
        tokenizer_from: the run or bundle whose tokenizer all of them use.
        ruler: the evaluator and its data; loaded when first needed.
        ruler_key: identifies the ruler; scores with another key are measured again.
        seeds: one generator for each.
        variants: names in ``VARIANTS``; all where empty.
        note: called with a line after each run.

    Returns:
        False if it was stopped (Ctrl-C, SIGTERM).

    Raises:
        KmmError: ``no_variant``; ``ablation_changed`` where the folder holds runs with other settings; ``no_checkpoint``
            where the tokenizer is missing; and what training and generating raise.
    """
    names = list(variants or VARIANTS)
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise KmmError(
            "no_variant", f"No variant is called {', '.join(unknown)}.", f"Choose from {', '.join(VARIANTS)}."
        )
    work = _Workshop(settings, folder, tokenizer_from, ruler, ruler_key)
    for seed in seeds:
        for name in names:
            run = work.finish(name, seed)
            if run is None:
                return False
            shown = ", ".join(f"{key} {value:.3g}" for key, value in run.scores.items())
            note(f"{name}, seed {seed}: {shown}")
    return True


def read_runs(folder: Path, ruler_key: str) -> list[Run]:
    """The runs of an ablation's folder that this ruler measured, by variant in the order of ``VARIANTS``, then by seed.

    Raises:
        KmmError: ``no_ablation`` where there is none, ``bad_ablation`` where one can't be read.
    """
    runs = []
    for path in sorted(folder.glob(f"*/seed-*/{SCORES_FILE}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            run = Run(**content["run"])
            # Figures of two rulers, or of other numbers of clips, don't stand in one table.
            if content["key"] == _key(settings_of_stage(path.parent), ruler_key):
                runs.append(run)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise KmmError(
                "bad_ablation",
                f"{path} holds no scores ({type(error).__name__}: {error}).",
                "Delete it; kmm-train ablate measures that run again.",
            ) from error
    if not runs:
        raise KmmError("no_ablation", f"{folder} holds no measured run.", "Run kmm-train ablate first.")
    order = list(VARIANTS)
    known = [run for run in runs if run.variant in order]
    return sorted(known, key=lambda run: (order.index(run.variant), run.seed))


class _Workshop:
    """What the runs of one process share: tokenizer, text encoder, token rows and ruler, each loaded when needed."""

    def __init__(
        self,
        settings: RunSettings,
        folder: Path,
        tokenizer_from: str | Path,
        ruler: Callable[[], Ruler],
        ruler_key: str,
    ):
        self.settings, self.folder, self.tokenizer_from = settings, folder, tokenizer_from
        self.tokenizer: MotionTokenizer = tokenizer_of(tokenizer_from)
        self.encoder: TextEncoder = load_text_encoder(settings.text)
        self.load_ruler, self.ruler_key = ruler, ruler_key
        self._ruler: Ruler | None = None
        self._rows: dict[str, GeneratorRows] = {}

    def finish(self, name: str, seed: int) -> Run | None:
        """The run, trained and measured; None where training was asked to stop."""
        settings, place = self._settings(name, seed), self.folder / name / f"seed-{seed}"
        _check_settings(place, settings)
        result = train_generator_on(
            lambda: self._rows_of(settings),
            settings,
            place,
            tokenizer=self.tokenizer,
            encoder=self.encoder,
            resume=True,
        )
        if not result.finished:
            return None
        key = _key(settings, self.ruler_key)
        stored = _stored(place / SCORES_FILE, key)
        if stored is not None:
            return stored
        self._ruler = self._ruler or self.load_ruler()
        batches = validation_batches(self._rows_of(settings))
        # The last weights, not the best: the learning rate has come to its end, and the budget is equal.
        bundle = load_generator(settings, self.tokenizer, result.last)
        parameters = sum(weight.numel() for weight in bundle.generator.parameters())
        how = settings.train.generator
        budget = f"{how.steps} steps of {how.batch_size} x 40 tokens, width {settings.generator.d_model}"
        run = Run(name, seed, parameters, budget, measure(bundle, batches, self._ruler, seed))
        with atomic_write(place / SCORES_FILE) as temporary:
            temporary.write_text(
                json.dumps({"key": key, "run": asdict(run)}, indent=1) + "\n", encoding="utf-8"
            )
        return run

    def _settings(self, name: str, seed: int) -> RunSettings:
        settings = override(self.settings, VARIANTS[name].changes)
        if settings.text.layers == 0:  # nothing is learned that could change the width
            settings = replace(settings, text=replace(settings.text, width=self.encoder.width))
        how = replace(settings.train.generator, seed=seed)
        return replace(
            settings, tokenizer_run=str(self.tokenizer_from), train=replace(settings.train, generator=how)
        )

    def _rows_of(self, settings: RunSettings) -> GeneratorRows:
        kind = settings.rows.text_tokens
        if kind not in self._rows:
            self._rows = {kind: generator_rows(settings, self.tokenizer, self.encoder, self.folder)}
        return self._rows[kind]


def _key(settings: RunSettings, ruler_key: str) -> str:
    """Of scores: what was trained, and what measured it."""
    both = json.dumps([asdict(settings), ruler_key], sort_keys=True)
    return hashlib.sha256(both.encode()).hexdigest()[:16]


def _check_settings(place: Path, settings: RunSettings) -> None:
    if not (place / "last.safetensors").is_file():
        return
    clips = noted(place, "data_key")
    others = clips and data_now(settings) not in ("", clips)
    if others or settings_of_stage(place) != settings:
        what = (
            f"on other clips than {settings.data.prepared} holds"
            if others
            else "with other settings than those given"
        )
        raise KmmError(
            "ablation_changed",
            f"{place} was trained {what} now.",
            "Give the same config, --set and prepared clips, or another --run folder.",
        )


def _stored(path: Path, key: str) -> Run | None:
    """The run in a scores file, if it was measured by the same ruler."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Run(**content["run"]) if content["key"] == key else None
    except (ValueError, KeyError, TypeError):
        return None
