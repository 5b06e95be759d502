"""100STYLE: styled locomotion, BVH at 60 fps, named STYLE_GAIT. CC BY 4.0."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from kmm_core.clip import MotionClip
from kmm_core.evaluate.verdicts import stands_still

from ..captions import Style, write_captions
from ..data_checks import measure
from . import phrases
from .events import find_events
from .locomotion import Description, describe_locomotion, windows
from .recipe import Cut, Dropped, Take
from .skeletal_files import read_skeletal

_GAITS = {"FW": "walk", "BW": "walk", "SW": "walk", "FR": "run", "BR": "run", "SR": "run", "ID": "stand"}
# Nobody who asks for a walk means arms held out like wings. Only where a gait is shown by no other source may a caption
# leave the style out; Angry looks enough like anybody.
_PLAIN_STYLES = ("Angry",)
_ONLY_HERE = {
    *("sidestep_walk", "sidestep_run", "walk_back", "run_back", "walk_diagonal"),
    *("sidestep_walk_curve", "sidestep_run_curve", "walk_back_curve", "run_back_curve"),
}
# In some odd styles the "run" is a walk, and is called one. Metres a second.
SLOWEST_RUN = 1.5
# Where a take turns back, a window of it hardly goes anywhere.
SLOWEST_WALK = 0.4
# Frames of a window; a sidestepper soon turns round, so those are short.
_WINDOW = {"FW": 120, "BW": 90, "SW": 60, "FR": 90, "BR": 75, "SR": 50, "ID": 120}


class Style100:
    """Every take with one gait; the transition takes (TR1 to TR3) mix several and are left out."""

    name = "style100"
    version = 14
    licence = "CC-BY-4.0"
    noncommercial = False
    credit = "Ian Mason et al., 100STYLE"
    archives = ("100style", "100STYLE")
    share = 16.0
    emphasis: ClassVar[dict[str, float]] = {
        "run_turn": 0.5,
        "sidestep_run": 1.4,
        "sidestep_run_curve": 1.0,
        "sidestep_walk": 2.5,
        "sidestep_walk_curve": 1.5,
        "walk_back": 2.0,
        "walk_back_curve": 1.5,
        "run_back": 2.0,
        "run_back_curve": 1.0,
        "walk_diagonal": 2.0,
        "run": 1.5,
        "walk": 2.0,
        "walk_turn": 1.5,
    }

    style_emphasis: ClassVar[dict[str, float]] = {
        "Aeroplane": 0.4,
        "Chicken": 0.4,
        "Drunk": 0.4,
        "InTheDark": 0.4,
        "KarateChop": 0.4,
    }

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """One take a file; ``Frame_Cuts.csv`` of the original tells the useful frames."""
        cuts = _frame_cuts(folder)
        found = []
        for path in sorted(folder.rglob("*_*.bvh")):
            match = re.fullmatch(r"([A-Za-z0-9]+)_([A-Z]{2})", path.stem)
            if match and match[2] in _GAITS:
                start, stop = cuts.get((match[1], match[2]), (0, None))
                details = {"style": match[1], "gait": match[2], "start": start, "stop": stop}
                found.append(Take(path.stem, (path,), details=details))
        return found

    def read(self, take: Take) -> MotionClip:
        """The BVH on the canonical skeleton."""
        return read_skeletal(take.files[0], start=take.details["start"], stop=take.details["stop"])

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """Windows, each described by where it really goes."""
        name, gait = take.details["style"], _GAITS[take.details["gait"]]
        style = phrases.STYLES.get(name, Style((f"in the style {spaced(name)}",), named=0.8))
        for start, stop in windows(clip.num_frames, _WINDOW[take.details["gait"]], 32):
            window = clip.slice(start, stop)
            measured = measure(window)
            described = describe_locomotion(measured, gait) if gait != "stand" else None
            if described and described.action in ("run", "run_turn") and measured.speed < SLOWEST_RUN:
                described = describe_locomotion(measured, "walk")
            if gait == "stand" and name in _PLAIN_STYLES:
                continue  # ``find_events`` takes those that are still
            # Idling that chops or flaps taught plain stands to do so, too.
            if gait == "stand" and stands_still(window).correct:
                described = Description(phrases.IDLE[:11], "stand")
            if described and described.action == "walk" and measured.speed < SLOWEST_WALK:
                described = None
            if described is None:
                yield Dropped("clip", "the way it goes is unclear", f"{take.id} {start}-{stop}")
                continue
            labels = described.labels(name)
            if name in _PLAIN_STYLES or labels["action"] in _ONLY_HERE:
                manner = style if described.pace is phrases.PLAIN else phrases.joined(style, described.pace)
            else:
                manner = replace(style, named=1.0)
            captions = write_captions(
                described.clauses, seed=f"{take.id}_{start}", style=manner, side=described.named
            )
            yield Cut(start, stop, captions, labels)
        if name in _PLAIN_STYLES:
            yield from find_events(take.id, clip)


def spaced(name: str) -> str:
    """ "InTheDark" -> "in the dark"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _frame_cuts(folder: Path) -> dict[tuple[str, str], tuple[int, int]]:
    path = next(iter(sorted(folder.rglob("Frame_Cuts.csv"))), None)
    if path is None:
        return {}
    found = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for gait in _GAITS:
                start, stop = row.get(f"{gait}_START", ""), row.get(f"{gait}_STOP", "")
                if start.strip().isdigit() and stop.strip().isdigit():
                    found[row.get("STYLE_NAME", ""), gait] = (int(start), int(stop))
    return found


RECIPE = Style100()
