"""Pictures of prepared clips with their captions: look at every source before training on it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from kmm_core.atomic_write import make_folder_of
from kmm_core.errors import KmmError
from kmm_core.render import contact_sheet, write_gif
from kmm_core.train.prepared import PreparedClip, load_clip, read_manifest

ROWS_A_SHEET = 8


@dataclass(frozen=True)
class Inspection:
    """What was drawn.

    Attributes:
        clips: those shown.
        files: the pictures.
    """

    clips: tuple[PreparedClip, ...]
    files: tuple[Path, ...]


def inspect_clips(
    folder: Path, out: Path, *, count: int = 16, gifs: int = 4, seed: int = 0, match: str = ""
) -> Inspection:
    """Draw clips of every source, spread over their actions: contact sheets, and GIFs of some.

    Args:
        folder: a prepared source, or the folder that holds them all.
        out: for the pictures: ``<source>_00.png`` and ``<source>_<clip>.gif``.
        count: clips of each source on contact sheets.
        gifs: how many of them also as GIF.
        seed: another seed shows other clips.
        match: only clips whose id, captions or labels contain this text.

    Raises:
        KmmError: ``no_manifest``, ``no_clips`` where nothing matches, ``bad_prepared_clip``, or on writing.
    """
    clips = [clip for clip in read_manifest(folder) if match.lower() in _searched(clip)]
    if not clips:
        raise KmmError("no_clips", f"No clip of {folder} matches {match!r}.", "Try another text.")
    shown: list[PreparedClip] = []
    files: list[Path] = []
    for source in sorted({clip.source for clip in clips}):
        chosen = _spread([clip for clip in clips if clip.source == source], count, random.Random(seed))
        for start in range(0, len(chosen), ROWS_A_SHEET):
            rows = chosen[start : start + ROWS_A_SHEET]
            path = out / f"{source}_{start // ROWS_A_SHEET:02d}.png"
            make_folder_of(path)
            contact_sheet(
                [load_clip(folder, clip) for clip in rows], path, titles=[_title(clip) for clip in rows]
            )
            files.append(path)
        for clip in chosen[:gifs]:
            path = out / f"{source}_{clip.id}.gif"
            write_gif(load_clip(folder, clip), path, _title(clip))
            files.append(path)
        shown += chosen
    return Inspection(tuple(shown), tuple(files))


def _searched(clip: PreparedClip) -> str:
    return " ".join((clip.id, *clip.captions, *clip.labels.values())).lower()


def _title(clip: PreparedClip) -> str:
    return f"{clip.captions[0] if clip.captions else '(no caption)'}  [{clip.id}]"


def _spread(clips: list[PreparedClip], count: int, rng: random.Random) -> list[PreparedClip]:
    """``count`` clips in random order, a different action each as long as there are any."""
    rng.shuffle(clips)
    seen: dict[tuple, int] = {}
    rounds = []
    for clip in clips:
        kind = (clip.labels.get("action"), clip.labels.get("side"), clip.labels.get("turn"))
        seen[kind] = seen.get(kind, 0) + 1
        rounds.append(seen[kind])
    order = sorted(range(len(clips)), key=lambda index: rounds[index])
    return [clips[index] for index in order[:count]]
