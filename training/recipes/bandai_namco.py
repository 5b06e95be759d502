"""Bandai Namco Research motion data sets 1 and 2: BVH at 30 fps, labels in the file names. CC BY-NC 4.0."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from kmm_core.clip import MotionClip

from ..captions import Style, write_captions
from ..data_checks import CLEAR_RISE, Measurements, Sides, measure
from . import phrases
from .arms import LOW_RAISE, raise_clauses, wrist_height
from .events import punching_hand
from .locomotion import Description, describe_locomotion, windows
from .recipe import Cut, Dropped, Take
from .skeletal_files import read_skeletal

_NAME = re.compile(r"dataset-(\d)_(.+)_([a-z-]+)_(\d+)\.bvh$")
# Who asks for a wave means a hand up high; one that stays before the chest (metres over the shoulder) needs its style named.
_LOW_WAVE = 0.2
# Frames of the cuts from a wave's beginning, spread evenly. Where there were hardly any of 100 to 165, waves that were
# asked for as long as that stopped after a second in some samples.
_WAVE_STARTS = (45, 165)
# Half of these cuts begin in the middle of a wave. Asked for a wave in the same words as for whole ones, the hand was up
# from the first frame on in half of what was generated.
_UP_ALREADY = -0.25  # metres over the shoulder; hanging hands are at -0.5
# These files of the normal walks that turn share frames with those four numbers on: one recording, so that none of it is
# trained on and held out as well (docs/decisions/0042).
_SHARED_FRAMES = range(27, 35)


class BandaiNamco:
    """Both data sets; each file is a take of its own."""

    name = "bandai_namco"
    version = 11
    licence = "CC-BY-NC-4.0"
    noncommercial = True
    credit = "Bandai Namco Research Inc."
    archives = ("bandai-namco", "Bandai-Namco-Research-Motiondataset")
    share = 60.0
    emphasis: ClassVar[dict[str, float]] = {
        "lower_arm": 0.6,
        "bow": 4.0,
        "punch": 2.5,
        "kick": 2.0,
        "dance": 1.5,
        "run": 1.3,
    }

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """Every ``dataset-N_CONTENT_STYLE_NNN.bvh`` below the folder."""
        found = []
        for path in sorted(folder.rglob("dataset-*.bvh")):
            match = _NAME.match(path.name)
            if match:
                details = {"set": match[1], "content": match[2], "style": match[3]}
                shared = (
                    match[2].startswith("walk-turn")
                    and match[3] == "normal"
                    and int(match[4]) in _SHARED_FRAMES
                )
                recording = f"{path.stem[:-3]}027-034" if shared else ""
                found.append(Take(path.stem, (path,), recording=recording, details=details))
        return found

    def read(self, take: Take) -> MotionClip:
        """The BVH on the canonical skeleton."""
        return read_skeletal(take.files[0])

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """Whole takes, and crops around the action."""
        content, style = take.details["content"], take.details["style"]
        measured = measure(clip)
        if content.startswith("raise-up"):
            yield from self._raise(take, clip, measured, style)
        elif content.startswith("wave") or content in ("bye", "byebye"):
            yield from self._wave(take, clip, measured, style)
        elif content.startswith(("walk", "run", "dash")):
            yield from self._locomotion(take, clip, content, style)
        else:
            yield from self._gesture(take, clip, measured, content, style)

    def _cut(
        self,
        take: Take,
        start: int,
        stop: int,
        description: Description,
        style: str,
        stretch: float = 1.0,
        manner: Style | None = None,
    ) -> Cut:
        manner = manner or phrases.STYLES[style]
        if stretch > 1:
            manner = phrases.SLOWLY
        elif style == "normal" or (description.pace is not phrases.PLAIN and manner.named < 1):
            manner = phrases.joined(manner, description.pace)
        captions = write_captions(
            description.clauses,
            seed=f"{take.id}_{start}_{stop}_{stretch}",
            style=manner,
            side=description.named,
        )
        return Cut(start, stop, captions, description.labels(style), stretch)

    def _raise(
        self, take: Take, clip: MotionClip, measured: Measurements, style: str
    ) -> Iterable[Cut | Dropped]:
        named = next(side for side in ("left", "right", "both") if f"-{side}-" in take.details["content"])
        side = raised_side(measured.wrist_rise)
        if side == "none":
            yield Dropped("clip", "no hand rises", take.id)
            return
        if side != named:
            yield Dropped("label", f"named {named}, raises {side}: corrected", take.id)
        frames = clip.num_frames
        both = side == "both"
        tops = measured.wrist_top
        top = min(tops.left, tops.right) if both else getattr(tops, side)
        manner = phrases.STYLES[style]
        if top < LOW_RAISE:  # done by two styles alone, with the elbow bent
            manner = replace(manner, named=1.0)
        lower = phrases.LOWER_BOTH if both else phrases.LOWER_ONE
        height = wrist_height(clip, side)
        held = np.flatnonzero(height > height.max() - 0.12 * np.ptp(height))
        comes_down = bool(height[-1] < height.max() - 0.5 * np.ptp(height))
        up = raise_clauses(top, both=both, bent=True)
        to_the_end = raise_clauses(top, both=both, comes_down=comes_down, bent=True)
        whole = Description(to_the_end, "raise_arm", side=side)
        raised = Description(up, "raise_arm", side=side)
        top_ends = int(held[-1]) + 1
        number = int(take.id[-1])
        yield self._cut(take, 0, frames, whole, style, manner=manner)
        if number % 3 == 0:
            yield self._cut(take, 0, frames, whole, style, stretch=1.7)
        if top_ends >= 30:
            yield self._cut(take, 0, top_ends, raised, style, manner=manner)
            if number % 3 == 1:
                yield self._cut(take, 0, top_ends, raised, style, stretch=1.7)
        if frames - held[-1] >= 30:
            start = max(int(held[0]), int(held[-1]) - 15)
            yield self._cut(take, start, frames, Description(lower, "lower_arm", side=side), style)

    def _wave(
        self, take: Take, clip: MotionClip, measured: Measurements, style: str
    ) -> Iterable[Cut | Dropped]:
        content = take.details["content"]
        default = "both" if content == "byebye" else "right"
        named = next((side for side in ("left", "right", "both") if f"-{side}-" in content), default)
        side = raised_side(measured.wrist_rise)
        raised = raised_side(Sides(measured.wrist_top.left + 0.25, measured.wrist_top.right + 0.25))
        if side == "none":
            # A take that starts and ends with the hand up: the height says which one it is.
            side = raised
        if side == "none" or (side != named and take.details["set"] == "1"):
            yield Dropped("clip", "does not wave the hand it should", f"{take.id}: {side}, expected {named}")
            return
        if side != named:
            yield Dropped("label", f"named {named}, waves {side}: corrected", take.id)
        height = wrist_height(clip, side)
        if side == "both":
            begun, going_on = phrases.WAVE_BOTH, phrases.KEEP_WAVING_BOTH
        else:
            begun, going_on = phrases.WAVE_ONE + phrases.WAVE_SOME[:1], phrases.KEEP_WAVING_ONE
        top = (
            min(measured.wrist_top.left, measured.wrist_top.right)
            if side == "both"
            else getattr(measured.wrist_top, side)
        )
        manner = phrases.STYLES[style]
        if top < _LOW_WAVE:
            manner = replace(manner, named=1.0)

        def cut(start: int, stop: int) -> Cut:
            clauses = going_on if height[start] > _UP_ALREADY else begun
            return self._cut(take, start, stop, Description(clauses, "wave", side=side), style, manner=manner)

        for start, stop in windows(clip.num_frames, 300, 30):
            yield cut(start, stop)
        if clip.num_frames >= 150:
            number = int(re.sub(r"\D", "", take.id)[-3:])
            shortest, longest = _WAVE_STARTS
            length = shortest + (37 * number) % (longest - shortest + 1)
            yield cut(0, min(length, clip.num_frames))
            if number % 3 == 0:  # fewer are asked to go on than to begin
                middle = clip.num_frames // 2
                yield cut(middle - 30 - 5 * (number % 4), middle + 35)

    def _locomotion(self, take: Take, clip: MotionClip, content: str, style: str) -> Iterable[Cut | Dropped]:
        gait = "run" if content in ("run", "dash") else "walk"
        number = int(take.id[-3:])
        # A giant's walk is nothing that "a person walks" asks for, and six of seven of these takes have a style.
        manner = phrases.STYLES[style] if style == "normal" else replace(phrases.STYLES[style], named=1.0)
        pieces = windows(clip.num_frames, 300, 30)
        if clip.num_frames >= 120:
            length = 45 + 15 * (number % 4)
            start = (37 * number) % (clip.num_frames - length)
            pieces.append((start, start + length))
        if "turn" in content:
            pieces[1:] = [around_the_turn(clip)]
        for start, stop in pieces:
            piece = clip.slice(start, stop)
            measured = measure(piece)
            description = describe_locomotion(measured, gait)
            if description is None:
                yield Dropped("clip", "the way it goes is unclear", f"{take.id} {start}-{stop}")
                continue
            whole = (start, stop) == (0, clip.num_frames)
            if whole and not agrees(content, description):
                shown = description.action + ("" if description.named == "none" else f" {description.named}")
                yield Dropped("label", f"named {content}, shows {shown}: corrected", take.id)
            if content == "dash" and description.action == "run":
                description = Description((*phrases.DASH, "<run>", "<run> forward"), "run", pace=phrases.FAST)
            yield self._cut(take, start, stop, description, style, manner=manner)

    def _gesture(
        self, take: Take, clip: MotionClip, measured: Measurements, content: str, style: str
    ) -> Iterable[Cut | Dropped]:
        if content == "kick":
            yield from self._kicks(take, clip, style)
            return
        description: Description | None = None
        if content == "bow" and measured.lean > np.radians(20):
            description = Description(phrases.BOW, "bow")
        elif content == "guide":
            side = raised_side(measured.wrist_rise)
            if side in ("left", "right"):
                description = Description(phrases.GUIDE, "guide", side=side)
        elif content == "respond" and measured.wrist_rise.left > CLEAR_RISE:
            description = Description(phrases.RESPOND, "raise_arm", side="left")
        elif content == "punch":
            side = punching_hand(measured.punch)
            clauses = phrases.PUNCH if side == "none" else phrases.PUNCH_ONE
            description = Description(clauses, "punch", side=side)
        elif content in ("call", "slash", "dance-short"):
            clauses = {"call": phrases.CALL, "slash": phrases.SLASH}
            description = Description(clauses.get(content, phrases.DANCE), content.split("-")[0])
        if description is None:
            yield Dropped("clip", f"{content} is not what the motion shows", take.id)
            return
        longest = 120 if content in ("punch", "slash") else 180 if content.startswith("dance") else 300
        for start, stop in windows(clip.num_frames, longest, 30):
            travel = measure(clip.slice(start, stop)).wrist_travel
            if max(travel.left, travel.right) < 0.5:
                yield Dropped("clip", "the window shows no action", f"{take.id} {start}-{stop}")
                continue
            yield self._cut(take, start, stop, description, style)

    def _kicks(self, take: Take, clip: MotionClip, style: str) -> Iterable[Cut]:
        ankles = clip.joint_positions()[:, [7, 8], 1]
        high = ankles.max(axis=1) > 0.6
        starts = np.flatnonzero(np.diff(np.concatenate([[0], high])) == 1)
        for start in starts:
            peak = start + int(ankles[start : start + 20].max(axis=1).argmax())
            side = ("left", "right")[int(ankles[peak].argmax())]
            description = Description(phrases.KICK_SPIN, "kick", side=side)
            yield self._cut(take, max(0, peak - 36), min(clip.num_frames, peak + 36), description, style)


def raised_side(rise: Sides) -> str:
    """Which hand rises clearly more than the other, or "both", or "none"."""
    if max(rise.left, rise.right) < CLEAR_RISE - 0.05:
        return "none"
    smaller = min(rise.left, rise.right)
    if smaller > 0.6 * max(rise.left, rise.right):
        return "both"
    return rise.clear(0.12)


def agrees(content: str, description: Description) -> bool:
    """Whether what the geometry shows is what the file's name says."""
    if "turn" in content:
        return content == f"walk-turn-{description.turn}"
    if content in ("walk-left", "walk-right"):
        return content.endswith(f"-{description.side}")
    if content == "walk-back":
        return description.action in ("walk_back", "walk_back_curve")
    return description.action in ("walk", "run") and description.action == (
        "walk" if content == "walk" else "run"
    )


def around_the_turn(clip: MotionClip) -> tuple[int, int]:
    """The frames in which the heading changes, with a second on both sides."""
    from ..data_checks import heading

    angle = heading(clip.joint_positions())
    width = min(15, clip.num_frames)
    smooth = np.convolve(
        np.pad(angle, (width // 2, width - 1 - width // 2), mode="edge"), np.ones(width) / width, "valid"
    )
    part = (smooth - smooth[0]) / (smooth[-1] - smooth[0] + 1e-9)
    first = int(np.argmax(part > 0.15))
    last = int(len(part) - 1 - np.argmax(part[::-1] < 0.85))
    if last <= first:
        return 0, clip.num_frames
    return max(0, first - 20), min(clip.num_frames, last + 20)


RECIPE = BandaiNamco()
