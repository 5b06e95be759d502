"""What a recipe is: where a data set's takes are, how a take is read, and how it is cut into captioned clips."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kmm_core.clip import MotionClip


@dataclass(frozen=True)
class Take:
    """One recording as its file holds it.

    Attributes:
        id: unique in its source, without slashes; part of the clips' names.
        files: the files that are read; if any of them changes, the take is prepared again.
        recording: the clips of one recording go to the same split; by default the take itself.
        split: the data set's own, "train", "val" or "test"; by default a hash of the recording decides.
        details: what the recipe needs to know about it (labels, rows of an index).
    """

    id: str
    files: tuple[Path, ...]
    recording: str = ""
    split: str = ""
    details: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """Frames of a take (30 fps) with the sentences that describe them.

    Attributes:
        start, stop: frames, stop exclusive.
        captions: sentences.
        labels: "action", "side", "turn", "style".
        stretch: plays slower by this factor; 1 leaves the motion as recorded.
        change: turns it into another motion; the function's name ends the clip's id.

    Raises:
        TypeError: ``captions`` is a single string, whose letters would be taken for sentences.
    """

    start: int
    stop: int
    captions: tuple[str, ...]
    labels: dict[str, str]
    stretch: float = 1.0
    change: Callable[[MotionClip], MotionClip] | None = None

    def __post_init__(self):
        if isinstance(self.captions, str):
            raise TypeError(f"captions={self.captions!r} is one text; expected several: ({self.captions!r},)")


@dataclass(frozen=True)
class Dropped:
    """Something left out on purpose.

    Attributes:
        what: "clip" or "caption".
        reason: a few words that are the same for all like it, so that they can be counted.
        detail: this one.
    """

    what: str
    reason: str
    detail: str = ""


class Recipe(Protocol):
    """How one data set is prepared.

    Attributes:
        name: also the folder of the prepared clips.
        version: raised when the recipe changes what it makes, so that everything is prepared anew.
        licence, noncommercial, credit: what the source asks for.
        archives: names of folders, or of ``.tar.*`` archives without the suffix, that hold it.
        share: how large a share of the training samples this source gets, relative to the others. A recipe may have
            ``emphasis`` too: factors for actions that matter more or less than their number says; and
            ``keeps_every_caption``, where sentences that the shipped models are measured with are not left out; and
            ``note(takes)``, what is missing in the data that it could do without ("" if nothing).
    """

    name: str
    version: int
    licence: str
    noncommercial: bool
    credit: str
    archives: tuple[str, ...]
    share: float

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """The takes found below ``folder``; none if it holds something else. ``data`` is the folder that the user gave."""
        ...

    def read(self, take: Take) -> MotionClip:
        """The take on the canonical skeleton, at any frame rate."""
        ...

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """What to keep of a take (30 fps, on the floor, facing +Z at first)."""
        ...


def split_of(source: str, recording: str) -> str:
    """ "train" (about 90 %), "val" or "test" (5 % each), for ever the same for a recording."""
    digest = hashlib.sha256(f"{source}/{recording}".encode(errors="surrogateescape")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return "train" if place < 0.90 else "val" if place < 0.95 else "test"
