"""What a clip shows, measured from its joints, and whether a sentence about left and right agrees with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.evaluate import geometry
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_INDEX as J

# A wrist that moves more than this against the chest, beyond what a walk does, is used. Metres of rise.
CLEAR_RISE = 0.25
CLEAR_TURN = np.radians(25)
CLEAR_SIDESTEP = 0.3
# Second difference of a joint's position between neighbouring frames at 30 fps: no body does more. Metres.
LARGEST_JOLT = 0.32


@dataclass(frozen=True)
class Sides:
    """One number for the left side of the body and one for the right."""

    left: float
    right: float

    def __getitem__(self, side: str) -> float:
        return self.left if side == "left" else self.right

    @property
    def larger(self) -> str:
        """ "left" or "right"."""
        return "left" if self.left > self.right else "right"

    def clear(self, margin: float) -> str:
        """The larger side, or "none" where they differ by less than ``margin``."""
        return self.larger if abs(self.left - self.right) >= margin else "none"


@dataclass(frozen=True)
class Measurements:
    """What a clip shows. Metres, seconds, radians; along the heading of the first frame.

    Attributes:
        seconds: length.
        turn: change of heading, positive to the left.
        forward, sideways: displacement of the pelvis; sideways is positive to the left.
        path: length of the pelvis's way over the floor.
        speed: path over time.
        course: mean angle between the body's heading and its way: 0 forward, pi backward, +pi/2 to the left.
        wrist_top: highest point of the wrists over the shoulders.
        wrist_rise: how far a wrist rises over its lowest point.
        wrist_travel: way of the wrists against the chest.
        punch: highest speed at which a wrist drives away from its shoulder near shoulder height, m/s.
        ankle_top: highest point of the ankles over their lowest.
        knee_top: highest point of the knees over their lowest.
        pelvis_low, pelvis_high: extremes of the pelvis's height.
        flight: longest time that both feet are off the floor.
        jolt: largest second difference of any joint's position.
        lean: largest forward tilt of the trunk.
    """

    seconds: float
    turn: float
    forward: float
    sideways: float
    path: float
    speed: float
    course: float
    wrist_top: Sides
    wrist_rise: Sides
    wrist_travel: Sides
    punch: Sides
    ankle_top: Sides
    knee_top: Sides
    pelvis_low: float
    pelvis_high: float
    flight: float
    jolt: float
    lean: float


def heading(positions: np.ndarray) -> np.ndarray:
    """Where the body faces: radians about +Y from +Z toward +X (the person's left), unwrapped. [F, 22, 3] -> [F]."""
    across = (
        positions[:, J["left_hip"]]
        - positions[:, J["right_hip"]]
        + positions[:, J["left_shoulder"]]
        - positions[:, J["right_shoulder"]]
    )
    return np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))


def _longest_run(flags: np.ndarray) -> int:
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


def measure(clip: MotionClip) -> Measurements:
    """Measures a clip that stands on the floor (any heading, any frame rate)."""
    positions = clip.joint_positions()
    frames, fps = clip.num_frames, clip.fps
    angle = heading(positions)
    pelvis = positions[:, J["pelvis"]]
    floor_way = pelvis[:, [0, 2]]
    # Half a second of smoothing takes the sway of the steps out of the way over the floor.
    width = max(1, min(frames, round(fps / 2)))
    padded = np.pad(floor_way, ((width // 2, width - 1 - width // 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(padded[:, k], np.ones(width) / width, "valid") for k in (0, 1)], axis=1)
    steps = np.diff(smooth, axis=0)
    path = float(np.linalg.norm(steps, axis=1).sum())
    ways = np.arctan2(steps[:, 0], steps[:, 1]) - angle[:-1]
    length = np.linalg.norm(steps, axis=1)
    course = float(np.angle(np.sum(length * np.exp(1j * ways)))) if path > 0 else 0.0

    moved = floor_way[-1] - floor_way[0]
    sine, cosine = np.sin(angle[0]), np.cos(angle[0])
    # Everything as the body sees it: heading taken out, pelvis at the origin.
    local = rotations.rotate(
        rotations.from_yaw(-angle)[:, None], positions - pelvis[:, None] * np.array([1, 0, 1])
    )

    def sides(measure_one) -> Sides:
        return Sides(float(measure_one("left")), float(measure_one("right")))

    wrist = {side: local[:, J[f"{side}_wrist"]] for side in ("left", "right")}
    shoulder = {side: local[:, J[f"{side}_shoulder"]] for side in ("left", "right")}
    over = {side: wrist[side][:, 1] - shoulder[side][:, 1] for side in wrist}
    feet = positions[:, [J["left_ankle"], J["right_ankle"], J["left_foot"], J["right_foot"]], 1]
    ground = np.percentile(feet, 5, axis=0)
    trunk = rotations.normalize(local[:, J["neck"]] - local[:, J["pelvis"]])
    second = np.diff(positions, n=2, axis=0) * (fps / 30) ** 2 if frames > 2 else np.zeros((1, 1, 3))
    return Measurements(
        seconds=frames / fps,
        turn=float(angle[-1] - angle[0]),
        forward=float(moved @ np.array([sine, cosine])),
        sideways=float(moved @ np.array([cosine, -sine])),
        path=path,
        speed=path / (frames / fps),
        course=course,
        wrist_top=sides(lambda side: over[side].max()),
        wrist_rise=sides(lambda side: over[side].max() - over[side].min()),
        wrist_travel=sides(lambda side: np.linalg.norm(np.diff(wrist[side], axis=0), axis=1).sum()),
        punch=Sides(**geometry.punching_hands(clip)),
        ankle_top=sides(lambda side: np.ptp(positions[:, J[f"{side}_ankle"], 1])),
        knee_top=sides(lambda side: np.ptp(positions[:, J[f"{side}_knee"], 1])),
        pelvis_low=float(pelvis[:, 1].min()),
        pelvis_high=float(pelvis[:, 1].max()),
        flight=_longest_run((feet > ground + 0.06).all(axis=1)) / fps,
        jolt=float(np.linalg.norm(second, axis=-1).max()),
        lean=float(np.arctan2(trunk[:, 2], trunk[:, 1]).max()),
    )


_HAND = r"(?:hands?|arms?|wrists?|elbows?|forearms?|fists?)"
_LEG = r"(?:leg|foot|feet|knee|thigh|ankle)"
_NAMED_HAND = re.compile(rf"\b(left|right)\s+(?:\w+\s+)?{_HAND}\b", re.IGNORECASE)
_NAMED_LEG = re.compile(rf"\b(left|right)\s+(?:\w+\s+)?{_LEG}\b", re.IGNORECASE)
_RAISED_HAND = re.compile(
    rf"\b(?:rais|lift|wav|put|reach|hold|point|swing)\w*\b[^.,;]*?\b(left|right)\s+{_HAND}\b", re.IGNORECASE
)
_TURN = re.compile(
    r"\b(?:turn|veer|curv|spin|rotat|pivot|circl)\w*\b[^.,;]*?\b(left|right|(?:(?:counter|anti)[\s-]*)?clock[\s-]*wise)\b",
    re.IGNORECASE,
)
_WAY = re.compile(
    r"(?:\b(?:to|towards?)\s+(?:(?:the|his|her|their|its)\s+)?(left|right)\b(?!\s+(?:hand|arm|leg|foot|knee|side of)))"
    r"|\b(?:walk|step|run|jog|move|slide|shuffle|veer|jump|hop)\w*\s+(?:slightly\s+)?(left|right)\b",
    re.IGNORECASE,
)


def _side_of(word: str) -> str:
    word = word.lower()
    if word.startswith(("counter", "anti")):
        return "left"
    return "right" if word.startswith("clock") else word


def side_doubt(caption: str, measured: Measurements) -> str:
    """Why a caption that names a side does not clearly agree with the motion; empty where it does, or names none.

    Only claims about exactly one side are checked; a caption that speaks of both ("the left hand, then the right")
    says nothing about the whole clip that a few numbers could refute.
    """
    turns = {_side_of(match[1]) for match in _TURN.finditer(caption)}
    if len(turns) == 1:
        side = turns.pop()
        turn = measured.turn if side == "left" else -measured.turn
        if turn < CLEAR_TURN and abs(measured.turn) < np.radians(300):
            return (
                f"says it turns {side}, but the heading changes by {np.degrees(measured.turn):+.0f} degrees"
            )
    else:
        ways = {_side_of(match[1] or match[2]) for match in _WAY.finditer(caption)}
        if len(ways) == 1:
            side = ways.pop()
            sign = 1 if side == "left" else -1
            if sign * measured.sideways < CLEAR_SIDESTEP and sign * measured.turn < CLEAR_TURN:
                return (
                    f"says {side}, but the way goes {measured.sideways:+.2f} m to the left "
                    f"and turns {np.degrees(measured.turn):+.0f} degrees"
                )
    hands = {match[1].lower() for match in _NAMED_HAND.finditer(caption)}
    if len(hands) == 1:
        side = hands.pop()
        other = "right" if side == "left" else "left"
        raised = _RAISED_HAND.search(caption) is not None
        ours, theirs = measured.wrist_rise[side], measured.wrist_rise[other]
        if raised and (ours < CLEAR_RISE or ours < theirs - 0.1):
            return f"raises the {side} hand, but it rises {ours:.2f} m and the {other} one {theirs:.2f} m"
        if not raised and measured.wrist_travel[side] < measured.wrist_travel[other]:
            return f"names the {side} hand, but the {other} one moves more"
    legs = {match[1].lower() for match in _NAMED_LEG.finditer(caption)}
    if len(legs) == 1 and not re.search(r"\b(?:stands?|standing|balanc\w+|hop\w*|jump\w*|weight)\b", caption):
        side = legs.pop()
        other = "right" if side == "left" else "left"
        if (
            measured.ankle_top[side] + measured.knee_top[side]
            < measured.ankle_top[other] + measured.knee_top[other]
        ):
            return f"names the {side} leg, but the {other} one rises more"
    return ""


_STRAIGHT = re.compile(r"\bstraight (?:line|ahead|forwards?|backwards?|on|path)\b")
_STOPS = re.compile(
    r"(?<!n't )(?<!not )(?<!never )(?<!without )(?<!before )\b(?:stop|halt)(?:s|ped|ping)?\b|\bstandstill\b"
)
_THEN_TURNS = re.compile(
    r"\bthen (?:\w+ ){0,2}?(?:turn|go|head|veer|bear|curv|mak|tak)\w*\b.*\b(?:left|right|around|turn|corner)\b"
)
# How far, in radians, somebody "in a straight line" may go off it, and somebody who "then turns" may have turned at first.
_STRAIGHT_WAY, _NOT_YET_TURNED = np.radians(25), np.radians(20)
_AT_FIRST = 0.5  # seconds
# Metres a second: who goes faster all the time in the second half does not stop; slower is no way whose direction counts.
_STOPPED, _GOING = 0.5, 0.3
_LEAST_WAY = 1.0  # metres: who punches "straight ahead" goes nowhere


def course_doubt(caption: str, clip: MotionClip) -> str:
    """Why a caption that says how the way goes does not agree with it; empty where it does, or says nothing of it.

    Checked are "in a straight line", "then turns left" and "stops".
    """
    ground = clip.root_positions[:, [0, 2]]
    reach = min(round(0.3 * clip.fps), (clip.num_frames - 1) // 2)
    if reach < 1:
        return ""
    ways = ground[2 * reach :] - ground[: -2 * reach]  # of 0.6 s each, in which the sway of two steps cancels
    speeds = np.linalg.norm(ways, axis=-1) * clip.fps / (2 * reach)
    net = ground[-1] - ground[0]
    if (
        _STRAIGHT.search(caption)
        and np.linalg.norm(np.diff(ground[::reach], axis=0), axis=-1).sum() > _LEAST_WAY
    ):
        off = np.angle((ways[speeds > _GOING] @ [1, 1j]) * np.conj(net @ [1, 1j]))
        if len(off) and np.abs(off).max() > _STRAIGHT_WAY:
            return f"says straight, but goes off the line by {np.degrees(np.abs(off).max()):.0f} degrees"
    if _THEN_TURNS.search(caption):
        angle = heading(clip.joint_positions())
        turned = float(np.abs(angle[: round(_AT_FIRST * clip.fps)] - angle[0]).max())
        if turned > _NOT_YET_TURNED:
            return f"says that it turns later, but turns by {np.degrees(turned):.0f} degrees at once"
    slowest = speeds[len(speeds) // 2 :].min()
    if _STOPS.search(caption) and slowest > _STOPPED:
        return f"says that it stops, but never goes slower than {slowest:.1f} m/s"
    return ""
