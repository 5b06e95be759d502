"""CMU motion capture database: ASF/AMC at 120 fps and some BVH, with HumanML3D captions where they exist."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.evaluate.verdicts import PUNCH_SPEED

from ..captions import write_captions
from ..data_checks import Measurements, measure, side_doubt
from . import phrases
from .events import find_events, punches, punching_hand
from .humanml3d_captions import read_captions
from .locomotion import Description, describe_locomotion, windows
from .recipe import Cut, Dropped, Take
from .skeletal_files import read_skeletal

# Runs that step onto an object: captioned as plain runs, they teach running into the air.
_UNSEEN_STEPS = ("127_33", "127_34", "127_35", "127_36")
# Also in cmu_dance, in another format: see there.
_ALSO_IN_CMU_DANCE = "135_"


@dataclass(frozen=True)
class Family:
    """What takes whose description matches ``pattern`` show.

    Attributes:
        pattern: of the index's description; the first family that matches counts.
        action: "walk" and "run" are described from geometry; "" has no sentence of its own.
        clauses: templates.
        shown: whether a window really shows it.
        side: which side a window shows, for templates with SIDE.
        arms: whether raised arms in such a take may be called so.
        window: seconds of a window of a long take.
    """

    pattern: str
    action: str
    clauses: tuple[str, ...] = ()
    shown: Callable[[Measurements], bool] = lambda measured: True
    side: Callable[[Measurements], str] = lambda measured: "none"
    arms: bool = False
    window: float = 5.0


def _kicking(measured: Measurements) -> bool:
    return max(measured.ankle_top.left, measured.ankle_top.right) > 0.3


def _jumping(measured: Measurements) -> bool:
    return measured.pelvis_high - measured.pelvis_low > 0.2 and measured.flight > 0.1


def _punching(measured: Measurements) -> bool:
    return max(measured.punch.left, measured.punch.right) >= PUNCH_SPEED


def _dancing(measured: Measurements) -> bool:
    return (measured.wrist_travel.left + measured.wrist_travel.right) / measured.seconds > 0.8


def _kick_side(measured: Measurements) -> str:
    return measured.ankle_top.clear(0.08)


def _standing_leg(measured: Measurements) -> str:
    return {"left": "right", "right": "left", "none": "none"}[measured.ankle_top.clear(0.1)]


_P = phrases
FAMILIES = (
    Family(r"stealthily", "sneak", _P.SNEAK),
    Family(r"uneven", "walk_uneven", _P.UNEVEN),
    Family(r"exaggerated stride", "walk", _P.STRIDE),
    Family(r"climb ladder", "climb_ladder", _P.LADDER),
    Family(r"climb 3 steps", "climb_stairs", _P.STAIRS),
    Family(r"forward jumps, turn", "jump", _P.JUMP_FORWARD, _jumping),
    Family(r"climb", "climb", _P.CLIMB),
    Family(r"run, leap", "run_jump", _P.RUN_AND_LEAP),
    Family(r"dive over roll", "run_roll", _P.RUN_ROLL),
    Family(r"run jump over|run jump stop", "run_jump", _P.RUN_JUMP_OVER),
    Family(r"duck", "run_duck", _P.RUN_DUCK),
    Family(r"run over", "run", _P.RUN),
    Family(r"stop run", "run_stop", _P.RUN_STOP_RUN),
    Family(r"quick stop|sudden stop", "run_stop", _P.RUN_STOP),
    Family(r"walk to run", "walk_to_run", _P.WALK_TO_RUN),
    Family(r"side step", "run", _P.RUN_ABOUT),
    Family(r"start (walk|hop) stop", "dance", _P.DANCE, _dancing),
    Family(
        r"slow walk, stop",
        "walk",
        ("<walk> slowly and <stop>", "<walk> and <stop>", "<walk> forward, then <stop>"),
    ),
    Family(r"navigate", "walk"),
    Family(r"walk", "walk"),
    Family(r"^run", "run"),
    Family(r"forward jump", "jump", _P.JUMP_FORWARD, _jumping),
    Family(r"jump, balance|high jump|^jump$", "jump", _P.JUMP, _jumping),
    Family(r"hop on one foot", "hop", _P.HOP_UP_DOWN, _jumping),
    Family(
        r"jump up to grab",
        "reach_up",
        _P.REACH_UP,
        lambda m: max(m.wrist_top.left, m.wrist_top.right) > 0.2,
        arms=True,
    ),
    Family(r"punch", "punch", _P.PUNCH, _punching, window=3.5),
    Family(r"boxing", "punch", _P.BOX, _punching, window=3.5),
    Family(r"sword", "sword", _P.SWORD),
    Family(r"wash self", "wash", _P.WASH_SELF),
    Family(r"wash windows", "wash_window", _P.WASH_WINDOW),
    Family(r"mop", "mop", _P.MOP),
    Family(r"laugh", "laugh", _P.LAUGH, arms=True),
    Family(r"soda", "drink", _P.DRINK),
    Family(
        r"shoot", "throw", ("<shoot> a basketball", "<dribble> and <shoot> a basketball", "<play> basketball")
    ),
    Family(r"dribble", "dribble", _P.DRIBBLE),
    Family(r"soccer", "kick", _P.SOCCER_KICK, _kicking, _kick_side),
    Family(r"cartwheel$|cartwheels", "cartwheel", _P.CARTWHEEL),
    Family(r"balance on one leg", "balance", _P.BALANCE, lambda m: True, _standing_leg),
    Family(
        r"pirouette|arabesque|jete|retire|glissade|dance|ballet",
        "ballet",
        _P.BALLET,
        _dancing,
        arms=True,
        window=6.0,
    ),
    Family(r"motorcycle", "ride", _P.HANDLEBARS),
    Family(
        r"front kick|geri",
        "kick",
        (*_P.KARATE, "<kick>", "<do> karate kicks", "<kick> several times"),
        _kicking,
    ),
    Family(r"empi|gedan|heian|oiduki|syuto", "karate", _P.KARATE),
    Family(r"range of motion", "exercise", _P.EXERCISE, arms=True),
    Family(r"jumping jacks", "exercise", _P.EXERCISE, arms=True),
    Family(r"traffic", "signal", _P.DIRECT_TRAFFIC, arms=True),
    Family(r"signals", "signal", _P.SIGNALS, arms=True),
    Family(r"teapot", "act", _P.TEAPOT, arms=True),
    Family(r"vacation", "act", _P.STORY, arms=True),
    Family(r"sit on", ""),
    Family(
        r"scoop up",
        "pick_up",
        ("<bend> down and <pick> something up", "<pick> something up", "<bend> over and <stand> up"),
        arms=True,
    ),
    Family(r"(\w+) \(human subject\)", "imitate_animal"),
)

# Windows found by eye in "direct traffic, wave, point", the other arm down throughout where one waves: seconds, action, side.
WAVES = {
    "14_24": ((11.55, 12.95, "right"), (13.2, 15.0, "both")),
    "14_25": ((0.7, 3.2, "right"), (3.6, 5.4, "right"), (16.2, 18.2, "both")),
    "14_26": ((7.7, 9.45, "right"), (10.1, 12.8, "both"), (24.7, 26.6, "both"), (36.0, 38.5, "both")),
}


class Cmu:
    """Trials listed in ``index.csv``, or every AMC below the folder."""

    name = "cmu"
    version = 19
    licence = "LicenseRef-CMU-mocap"
    noncommercial = False
    credit = (
        "The data used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding "
        "from NSF EIA-0196217."
    )
    archives = ("cmu", "all_asfamc")
    share = 34.0
    emphasis: ClassVar[dict[str, float]] = {
        "wave": 4.5,
        "raise_arm": 2.5,
        "run": 6.0,
        "run_turn": 3.0,
        "stand": 3.0,
        "punch": 4.5,
        "kick": 2.0,
        "jump": 1.5,
        "dance": 1.5,
        "throw": 3.0,
        "sit_down": 4.0,
        "reach_up": 1.5,
        "exercise": 2.5,
        "turn": 1.2,
        "walk_turn": 3.0,
        "walk": 2.5,
        "climb": 0.6,  # on rungs that the model cannot see: at 1 it rose into the air, at 0.02 it was hardly drawn
        "climb_ladder": 0.2,
        "climb_stairs": 0.2,
        "walk_uneven": 0.02,
        "imitate_animal": 1.4,
        "act": 0.4,
    }

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """One take a trial."""
        captions = read_captions(data) or read_captions(folder)
        found = []
        for clip, path, description in _trials(folder):
            if clip in _UNSEEN_STEPS:
                continue
            asf = path.parent / f"{clip.split('_')[0]}.asf"
            files = (path, asf) if path.suffix.lower() == ".amc" else (path,)
            segments = captions.get(f"CMU/{clip.split('_')[0]}/{clip}_poses.npy", [])
            details = {"description": description, "segments": segments}
            split = "train" if clip.startswith(_ALSO_IN_CMU_DANCE) else ""
            found.append(Take(clip, files, split=split, details=details))
        return found

    def note(self, takes: Iterable[Take]) -> str:
        """Whether HumanML3D's captions were found."""
        if any(take.details["segments"] for take in takes):
            return ""
        return "no humanml3d_captions.csv or .csv.xz beside the data; sentences are made from labels alone."

    def read(self, take: Take) -> MotionClip:
        """The trial on the canonical skeleton."""
        return read_skeletal(*take.files)

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """Captioned segments, windows of what they leave, and events."""
        description = take.details["description"].lower()
        family = next((item for item in FAMILIES if re.search(item.pattern, description)), None)
        whole = measure(clip)
        if family and family.action == "run" and whole.path > 0.5 and whole.speed < 1.3:
            yield Dropped("clip", "a run at less than walking speed: the file's frame rate is wrong", take.id)
            return
        covered = []
        for start, end, captions in take.details["segments"]:
            if end > clip.seconds + 0.5:
                yield Dropped(
                    "caption", "the captioned segment is not in the file", f"{take.id} {start}-{end} s"
                )
                continue
            first, last = round(start * 30), min(clip.num_frames, round(end * 30), round(start * 30) + 300)
            if last - first < 30:
                continue
            piece = measure(clip.slice(first, last))
            kept = []
            for text in captions:
                doubt = side_doubt(text, piece)
                if doubt:
                    yield Dropped(
                        "caption",
                        "a side that the motion does not show",
                        f"{take.id} {start:.1f} s: {text}: {doubt}",
                    )
                else:
                    kept.append(text)
            described = self._describe(family, piece, description)
            ours = self._sentences(take, first, described, 10 if kept else 16)
            if ours or kept:
                labels = (described or Description((), family.action if family else "other")).labels()
                covered.append((first, last))
                yield Cut(first, last, tuple(dict.fromkeys((*kept, *ours))), labels)
        for start, end, side in WAVES.get(take.id, ()):
            clauses = phrases.WAVE_BOTH if side == "both" else phrases.WAVE_ONE
            wave = Description(clauses, "wave", side=side)
            yield Cut(
                round(start * 30),
                round(end * 30),
                self._sentences(take, round(start * 30), wave),
                wave.labels(),
            )
        if family and family.action == "punch":
            for first, last in punches(clip):
                side = punching_hand(measure(clip.slice(first, last)).punch)
                clauses = _P.BOX_PUNCHES + _P.PUNCH if side == "none" else _P.PUNCH_ONE
                blows = Description(clauses, "punch", side=side)
                yield Cut(first, last, self._sentences(take, first, blows), blows.labels())
        if family:
            yield from self._windows(take, clip, family, description, covered)
            yield from find_events(take.id, clip, arms=family.arms, seats=family.pattern == "sit on")

    def _windows(
        self, take: Take, clip: MotionClip, family: Family, description: str, covered: list[tuple[int, int]]
    ) -> Iterable[Cut | Dropped]:
        """What no caption covers, in windows of the family's length."""
        free = np.ones(clip.num_frames, bool)
        for first, last in covered:
            free[first:last] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[0], free.astype(int), [0]])))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            for start, stop in windows(int(last - first), round(family.window * 30), 32):
                start, stop = int(first) + start, int(first) + stop
                described = self._describe(family, measure(clip.slice(start, stop)), description)
                if described is None:
                    if family.action:
                        yield Dropped(
                            "clip", "the window does not clearly show it", f"{take.id} {start}: {description}"
                        )
                    continue
                captions = self._sentences(take, start, described)
                yield Cut(start, stop, captions, described.labels())

    def _describe(
        self, family: Family | None, measured: Measurements, description: str
    ) -> Description | None:
        if family is None or not family.action or not family.shown(measured):
            return None
        if family.action == "imitate_animal":
            return _animal(description)
        if family.action in ("walk", "run") and not family.clauses:
            return describe_locomotion(measured, family.action)
        side = family.side(measured)
        clauses = family.clauses
        if side == "none":
            clauses = tuple(clause for clause in clauses if "SIDE" not in clause)
        return Description(clauses, family.action, side=side)

    def _sentences(
        self, take: Take, start: int, described: Description | None, count: int = 20
    ) -> tuple[str, ...]:
        if described is None:
            return ()
        return write_captions(
            described.clauses,
            seed=f"{take.id}_{start}",
            style=described.pace,
            side=described.named,
            count=count,
        )


def _animal(description: str) -> Description | None:
    match = re.search(r"([a-z ]+) \(human subject\)", description)
    if match is None:
        return None
    animal = match[1].strip()
    article = "an" if animal[0] in "aeiou" else "a"
    clauses = tuple(
        clause.replace("ANIMAL", f"{article} {animal}")
        for clause in (
            "<imitate> ANIMAL",
            "<pretend> to be ANIMAL",
            "<act> like ANIMAL",
            "<move> like ANIMAL",
            "<mime> ANIMAL",
        )
    )
    return Description(clauses, "imitate_animal")


def _trials(folder: Path) -> Iterable[tuple[str, Path, str]]:
    """Name, file and description of every trial: from ``index.csv``, or the AMC files of CMU's own download."""
    index = folder / "index.csv"
    if index.is_file() and (folder / "subjects").is_dir():
        with index.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if {"clip", "file", "description"} <= row.keys() and re.fullmatch(r"\d+_\d+", row["clip"]):
                    yield row["clip"], folder / row["file"], row["description"]
        return
    descriptions = {}
    text = folder / "cmu-mocap-index-text.txt"
    if text.is_file():
        for line in text.read_text(encoding="utf-8", errors="replace").splitlines():
            match = re.match(r"(\d+_\d+)\s+(.*)", line)
            if match:
                descriptions[match[1]] = match[2]
    for path in sorted(folder.rglob("*.amc")):
        if re.fullmatch(r"\d+_\d+", path.stem):
            yield path.stem, path, descriptions.get(path.stem, "")


RECIPE = Cmu()
