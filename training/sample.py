"""Generated motion from a run folder, to look at while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kmm_core.atomic_write import make_folder_of
from kmm_core.formats.npz import write_npz
from kmm_core.pipeline import TextToMotion
from kmm_core.render import contact_sheet
from kmm_core.timeline import Prompt, Timeline

from .export import load_generator
from .runs import generator_checkpoint, load_tokenizer, settings_of


def sample_run(run: Path, prompts: Sequence[str], out: Path, *, seconds: float, seed: int) -> Path:
    """Generate one clip for each prompt with the best weights of ``run``.

    Returns:
        The contact sheet ``<out>/samples.png``; beside it ``00.npz``, ``01.npz``, ...

    Raises:
        KmmError: where the run has no trained generator, a prompt is empty, or ``out`` can't be written.
    """
    timelines = [Timeline(30, (Prompt(text, 0, round(seconds * 30)),)) for text in prompts]
    settings = settings_of(run)
    pipeline = TextToMotion(load_generator(settings, load_tokenizer(run), generator_checkpoint(run)))
    clips = [pipeline.generate(timeline, seed=seed).clips[0] for timeline in timelines]
    make_folder_of(out / "samples.png")
    for number, (clip, timeline) in enumerate(zip(clips, timelines, strict=True)):
        write_npz(out / f"{number:02d}.npz", clip, timeline.prompts)
    contact_sheet(clips, out / "samples.png", titles=list(prompts))
    return out / "samples.png"
