"""Four clips that come with AnimatedDrawings: a wave, a dab, a jump and a zombie walk. MIT."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kmm_core.clip import MotionClip

from ..captions import write_captions
from . import phrases
from .events import find_events
from .locomotion import Description, windows
from .recipe import Cut, Dropped, Take
from .skeletal_files import read_skeletal


@dataclass(frozen=True)
class _Clip:
    described: Description
    first_useful_frame: int  # of the file; a T-pose comes before
    window: int  # frames at 30 fps
    useful: int = 10**6  # of the frames at 30 fps; later ones do not show it


_CLIPS = {
    "wave_hello": _Clip(Description(phrases.WAVE_ONE, "wave", side="right"), 415, 150, useful=54),
    "dab": _Clip(Description(phrases.DAB, "dab"), 39, 300),
    "jumping": _Clip(Description(phrases.JUMP_FORWARD, "jump"), 159, 300),
    "zombie": _Clip(Description(phrases.ZOMBIE, "zombie_walk"), 35, 150),
}


class Extras:
    """The ``fair1`` folder of facebookresearch/AnimatedDrawings, examples/bvh."""

    name = "extras"
    version = 8
    licence = "MIT"
    noncommercial = False
    credit = "AnimatedDrawings, Meta"
    archives = ("extras", "fair1")
    share = 3.0

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """The files known by name, in ``folder`` or its ``fair1``."""
        paths = [below / f"{name}.bvh" for below in (folder, folder / "fair1") for name in _CLIPS]
        return [Take(path.stem, (path,)) for path in paths if path.is_file()]

    def read(self, take: Take) -> MotionClip:
        """The BVH from its first useful frame on the canonical skeleton."""
        return read_skeletal(take.files[0], start=_CLIPS[take.id].first_useful_frame)

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """The clip, or windows of it."""
        known = _CLIPS[take.id]
        for start, stop in windows(min(clip.num_frames, known.useful), known.window, 32):
            captions = write_captions(
                known.described.clauses, seed=f"{take.id}_{start}", side=known.described.named
            )
            yield Cut(start, stop, captions, known.described.labels())
        yield from find_events(take.id, clip)


RECIPE = Extras()
