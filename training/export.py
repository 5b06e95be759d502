"""From a run folder to a bundle: the best weights, the settings they need, and a model card."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from kmm_core.atomic_write import write_error
from kmm_core.bundle import CARD, TOKENIZER, Bundle, BundleConfig, save_bundle
from kmm_core.generator.motion_generator import MotionGenerator
from kmm_core.text.encoder import load_text_encoder
from kmm_core.text.prompt_head import PromptHead
from kmm_core.tokenizer.motion_tokenizer import MotionTokenizer
from kmm_core.train import checkpoint

from .config import RunSettings, override
from .runs import check_codes, check_licence, generator_checkpoint, load_tokenizer, settings_of, starts_of


def export_bundle(
    run: Path,
    out: Path,
    overrides: Iterable[str] = (),
    generator_at: str = "best",
    now: RunSettings | None = None,
) -> Path:
    """Write the bundle of ``run`` to ``out``; a model card that is already there stays.

    ``overrides`` change settings that need no new training, such as ``sampling.steps=8``; ``now`` has these settings
    from a config that was changed since the training. ``generator_at`` "last" takes the last weights of the generator's
    training (of the residual stage's, if that followed on the best generator): the last weights, whose learning rate
    has decayed to the end, sample better than others of nearly the best validation loss.

    Raises:
        KmmError: ``no_run`` or ``no_checkpoint`` where a stage is missing, ``bad_settings`` as ``check_licence``, or a writing error.
    """
    settings = settings_of(run)
    if now:
        settings = replace(settings, sampling=now.sampling, export=now.export)
    settings = override(settings, overrides)
    check_licence(settings)
    return write_bundle(settings, load_tokenizer(run), generator_checkpoint(run, generator_at), out)


def write_bundle(settings: RunSettings, tokenizer: MotionTokenizer, path: Path, out: Path) -> Path:
    """The bundle of a generator's checkpoint ``path``, trained with ``settings`` on ``tokenizer``, in ``out``.

    Raises:
        KmmError: ``no_checkpoint`` and the like, or a writing error.
    """
    bundle = load_generator(settings, tokenizer, path)
    config = bundle.config
    card = out / CARD
    try:
        text = card.read_text(encoding="utf-8") if card.is_file() else _card(settings, path)
        own = tokenizer if config.tokenizer_file == TOKENIZER else None
        save_bundle(
            out,
            config,
            tokenizer=own,
            generator=bundle.generator,
            prompt_head=bundle.prompt_head,
            card=text,
            familiar=bundle.familiar,
        )
    except OSError as error:
        raise write_error(out, error) from error
    return out


def load_generator(settings: RunSettings, tokenizer: MotionTokenizer, path: Path) -> Bundle:
    """The averaged weights of a generator's checkpoint as a model in memory.

    Raises:
        KmmError: ``no_checkpoint`` and the like; ``stage_outdated`` where it was trained on another tokenizer's codes.
    """
    state = checkpoint.load(path, groups=("ema",))
    check_codes(path, tokenizer)
    encoder = load_text_encoder(settings.text)
    generator = MotionGenerator(tokenizer.quantizer.codes(), settings.text.width, settings.generator)
    prompt_head = PromptHead(encoder.width, settings.text)
    for module, prefix in ((generator, "generator."), (prompt_head, "prompt_head.")):
        checkpoint.load_into(module, state.weights_of(prefix), path)
    config = BundleConfig(
        name=settings.export.name,
        version=settings.export.version,
        licence=settings.export.licence,
        credits=settings.export.credits,
        representation=settings.data.representation,
        encoder_width=encoder.width,
        tokenizer=tokenizer.settings,
        generator=settings.generator,
        text=settings.text,
        sampling=settings.sampling,
        tokenizer_file=settings.export.tokenizer_file,
        text_tokens=settings.rows.text_tokens,
    )
    familiar = state.weights.get("familiar")  # a checkpoint of an earlier version has none
    return Bundle(config, tokenizer.eval(), generator.eval(), prompt_head.eval(), encoder, familiar)


def _card(settings: RunSettings, path: Path) -> str:
    """A model card with what the run itself knows; figures of quality are for the author to add."""
    info = checkpoint.load(path, groups=()).info
    credits = "\n".join(f"* {sentence}" for sentence in settings.export.credits) or "* none stated"
    starts = ", ".join(starts_of(settings))
    further = f"Trained on from {starts}, whose data it learned from, too.\n\n" if starts else ""
    metrics = "\n".join(f"* {name}: {value:.4g}" for name, value in info["metrics"].items())
    return f"""# {settings.export.name} {settings.export.version}

Text-to-motion model of KMM. Licence of the weights: {settings.export.licence}.

## Data

Sources: {", ".join(settings.data.sources) or "all in " + settings.data.prepared}.

{further}{credits}

## Validation, {path.parent.name} step {info["step"]}

{metrics}
"""
