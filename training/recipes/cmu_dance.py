"""CMU dance and martial arts takes as BVH, one folder a kind. The same terms as CMU."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kmm_core.clip import MotionClip

from ..captions import write_captions
from ..data_checks import measure
from . import phrases
from .events import find_events
from .locomotion import Description, windows
from .recipe import Cut, Dropped, Take
from .skeletal_files import read_skeletal

_KINDS = {
    "salsa": Description(phrases.SALSA, "dance"),
    "indian": Description(phrases.INDIAN_DANCE, "dance"),
    "martial": Description(phrases.KARATE, "karate"),
}
_WINDOW = 150
# CMU's recipe reads the same takes (its subject 135) in another format. Trained on in both: held out in one, they would be
# known from the other (docs/decisions/0042).
_ALSO_IN_CMU = "martial"
# Metres a second against the chest: less is a walk to the next place, or a pause.
SLOWEST_HAND = 0.5


class CmuDance:
    """``salsa``, ``indian`` and ``martial``; the class is the folder."""

    name = "cmu_dance"
    version = 10
    licence = "LicenseRef-CMU-mocap"
    noncommercial = False
    credit = "mocap.cs.cmu.edu, with funding from NSF EIA-0196217."
    archives = ("cmu-dance",)
    share = 6.0

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """One take a file."""
        return [
            Take(
                f"{kind}_{path.stem}",
                (path,),
                split="train" if kind == _ALSO_IN_CMU else "",
                details={"kind": kind},
            )
            for kind in _KINDS
            for path in sorted((folder / kind).glob("*.bvh"))
        ]

    def read(self, take: Take) -> MotionClip:
        """The BVH on the canonical skeleton."""
        return read_skeletal(take.files[0])

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """Windows, and turns or pauses found in them."""
        described = _KINDS[take.details["kind"]]
        for start, stop in windows(clip.num_frames, _WINDOW, 32):
            measured = measure(clip.slice(start, stop))
            travel = max(measured.wrist_travel.left, measured.wrist_travel.right)
            if travel / measured.seconds < SLOWEST_HAND:
                yield Dropped("clip", "the window hardly moves", f"{take.id} {start}-{stop}")
                continue
            captions = write_captions(described.clauses, seed=f"{take.id}_{start}")
            yield Cut(start, stop, captions, described.labels(take.details["kind"]))
        yield from find_events(take.id, clip, arms=True)


RECIPE = CmuDance()
