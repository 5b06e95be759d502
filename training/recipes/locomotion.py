"""What to say about a piece of walking or running, read off its geometry."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..captions import Style
from ..data_checks import Measurements
from . import phrases

_STRAIGHT = np.radians(18)
_CURVE = np.radians(28)
_TURN = np.radians(60)


@dataclass(frozen=True)
class Description:
    """Clauses (with SIDE filled by ``side``), labels and pace of a clip."""

    clauses: tuple[str, ...]
    action: str
    side: str = "none"
    turn: str = "none"
    pace: Style = phrases.PLAIN

    def labels(self, style: str = "normal") -> dict[str, str]:
        """As a manifest row has them."""
        return {"action": self.action, "side": self.side, "turn": self.turn, "style": style}

    @property
    def named(self) -> str:
        """The side that SIDE stands for."""
        return self.turn if self.turn in ("left", "right") else self.side


def describe_locomotion(measured: Measurements, gait: str) -> Description | None:
    """What a walking or running clip shows; None where the geometry does not say it clearly.

    Args:
        measured: the clip's.
        gait: "walk" or "run", from the label.
    """
    run = gait == "run"
    side = "left" if measured.turn > 0 else "right"
    turned = abs(measured.turn)
    if measured.path < 0.3:
        if turned > np.radians(45):
            return Description(phrases.TURN_IN_PLACE, "turn", turn=side)
        return Description(phrases.RUN_IN_PLACE, "run_in_place") if run and measured.flight > 0.03 else None
    slow, fast = (1.9, 3.3) if run else (0.8, 1.55)
    pace = phrases.SLOW if measured.speed < slow else phrases.FAST if measured.speed > fast else phrases.PLAIN
    way = abs(measured.course)
    beside = "left" if measured.course > 0 else "right"
    # Backward and sideways stay what they are along a curve. It is always said, or who is to walk backward turns, but without
    # a side: that would be the turn's, or the step's.
    curved = turned > _CURVE
    curve = "_curve" if curved else ""
    if way > np.radians(150):
        clauses = phrases.RUN_BACK if run else phrases.WALK_BACK
        clauses = phrases.along_a_curve(clauses) if curved else clauses
        return Description(clauses, f"{gait}_back{curve}", pace=pace)
    if np.radians(52 if turned > _TURN else 60) < way < np.radians(120):
        clauses = phrases.SIDESTEP_RUN if run else phrases.SIDESTEP
        clauses = phrases.along_a_curve(clauses) if curved else clauses
        return Description(
            clauses, f"sidestep_{gait}{curve}", side=beside, pace=phrases.PLAIN if run else pace
        )
    if turned > _STRAIGHT:
        if way > np.radians(45):
            return None
        if turned < _CURVE:
            # Too little to promise a turn, too much for a straight line.
            return Description(phrases.RUN_ABOUT if run else phrases.WALK_ABOUT, gait, pace=pace)
        if run:
            return Description(phrases.RUN_CURVE, "run_turn", turn=side, pace=pace)
        if turned < _TURN:
            return Description(phrases.CURVE, "walk_turn", turn=side, pace=pace)
        clauses = phrases.WALK_TURN
        if np.radians(72) < turned < np.radians(112):
            clauses = clauses + phrases.QUARTER_TURN[:3]
        elif turned > np.radians(150):
            clauses = phrases.WALK_TURN[:8] + (phrases.HALF_TURN if turned < np.radians(215) else ())
        return Description(clauses, "walk_turn", turn=side, pace=pace)
    if way < np.radians(16):
        sprint = phrases.DASH * (run and pace is phrases.FAST)
        return Description((phrases.RUN if run else phrases.WALK) + sprint, gait, pace=pace)
    if not run and np.radians(16) < way < np.radians(50):
        return Description(phrases.DIAGONAL, "walk_diagonal", side=beside, pace=pace)
    return Description(phrases.RUN_ABOUT, gait, pace=pace) if run and way < np.radians(30) else None


def windows(frames: int, longest: int, shortest: int) -> list[tuple[int, int]]:
    """Equal neighbouring windows of at most ``longest`` frames over a take; none where it is shorter than allowed."""
    if frames < shortest:
        return []
    count = -(-frames // longest)
    edges = [round(index * frames / count) for index in range(count + 1)]
    return list(itertools.pairwise(edges))
