"""Does the motion show what the prompt asked for? One judge an action, by geometry; each says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import degrees, radians

import numpy as np

from ..clip import MotionClip
from ..errors import KmmError
from ..motion.placement import sole_heights
from . import geometry
from .prompt_sets import PromptSpec


@dataclass(frozen=True)
class Verdict:
    """Attributes: ``correct``, and ``reason`` with the numbers that decided it."""

    correct: bool
    reason: str


def _hands(clip: MotionClip) -> str:
    rises = geometry.arm_rise(clip)
    return ", ".join(f"{side} hand rises {rise:.2f} to {peak:+.2f}" for side, (peak, rise) in rises.items())


def _one_side(found: frozenset[str], side: str, what: str, numbers: str) -> Verdict:
    """Correct where the named side does it and the other does not; with no side, where either does."""
    correct = bool(found) if not side else found == {side}
    return Verdict(correct, f"{what}: {' and '.join(sorted(found)) or 'neither side'} ({numbers})")


def raises_hand(clip: MotionClip, side: str = "") -> Verdict:
    """The named wrist goes up near the shoulder or higher; the other stays down."""
    return _one_side(geometry.raised_hands(clip), side, "raised hand", _hands(clip))


def raises_high(clip: MotionClip, side: str = "") -> Verdict:
    """As ``raises_hand``, with the raised wrists over the head."""
    return _at_height(clip, side, lambda peak: peak >= geometry.HIGH_ARM, "over the head")


def raises_to_shoulder(clip: MotionClip, side: str = "") -> Verdict:
    """As ``raises_hand``, with the raised wrists below the top of the head."""
    return _at_height(clip, side, lambda peak: peak <= geometry.LOW_ARM, "to the shoulder")


def _at_height(clip: MotionClip, side: str, fits: Callable[[float], bool], what: str) -> Verdict:
    raised, peaks = raises_hand(clip, side), geometry.arm_rise(clip)
    fitting = all(fits(peaks[name][0]) for name in geometry.raised_hands(clip))
    return Verdict(raised.correct and fitting, f"{what}: {'yes' if fitting else 'no'}; {raised.reason}")


def waves(clip: MotionClip, side: str = "") -> Verdict:
    """The named hand is lifted and swings back and forth; the other is not lifted."""
    waving, raised = geometry.waving_hands(clip), geometry.raised_hands(clip)
    other = raised - {side} if side else frozenset()
    correct = (side in waving if side else bool(waving)) and not other
    counts = geometry.wave_swings(clip)
    numbers = ", ".join(f"{name} {count} swings" for name, count in counts.items())
    return Verdict(
        correct, f"waving: {' and '.join(sorted(waving)) or 'neither hand'} ({numbers}; {_hands(clip)})"
    )


def raises_leg(clip: MotionClip, side: str = "") -> Verdict:
    """The named leg is lifted off the floor; the other stays down."""
    lifts = geometry.leg_lift(clip)
    numbers = ", ".join(
        f"{name} leg {value:.2f}, ankle {height:.2f} m" for name, (value, height) in lifts.items()
    )
    return _one_side(geometry.raised_legs(clip), side, "raised leg", numbers)


def turns(clip: MotionClip, side: str = "") -> Verdict:
    """The heading changes to the named side."""
    angle = geometry.turn_angle(clip)
    turned = "" if abs(angle) < radians(TURN) else ("left" if angle > 0 else "right")
    return Verdict(
        turned == side if side else bool(turned), f"turned {degrees(angle):+.0f} degrees (left is +)"
    )


def _motion(clip: MotionClip) -> str:
    way = geometry.travel(clip)
    return (
        f"{way.forward:+.2f} m forward, {way.left:+.2f} m left, {geometry.speed(clip):.2f} m/s, "
        f"{geometry.steps(clip)} steps, flight {geometry.longest_flight(clip):.2f} s"
    )


# The wildest recordings have a mean jerk of 700 m/s^3 and stand within 0.1 m of the floor.
MOST_JERK, MOST_OFF_FLOOR = 1500.0, 0.25
# Degrees of heading that make a turn.
TURN = 25.0
# Metres a second from which a body goes somewhere; from which it may jog; from which quick steps are a run.
GOES, JOGS, RUNS = 0.25, 0.9, 1.6
# Seconds off the floor in a running step; in a jump. Metres the feet leave the floor in a jump.
RUN_FLIGHT, JUMP_FLIGHT, JUMP_HEIGHT = 0.06, 0.16, 0.06
# Metres to the side for each metre forward from which a walk is sideways (diagonal walks are at 0.6).
SIDEWAYS = 0.8
# Degrees off the straight line, from which a way is a curve.
WANDER = 40.0
# Seconds off the floor of a leap out of a run.
LEAP_FLIGHT = 0.3
# Steps a second of a run, where the feet hardly leave the floor.
RUN_CADENCE = 2.4


def _goes(clip: MotionClip) -> str:
    """Main direction of travel in the body's own frame: "forward", "backward", "sideways" or "nowhere"."""
    way = geometry.travel(clip)
    needed = GOES * clip.seconds
    if max(abs(way.forward), abs(way.left)) < needed:
        return "nowhere"
    if abs(way.left) > SIDEWAYS * abs(way.forward) and abs(way.left) >= needed:
        return "sideways"
    return "forward" if way.forward > 0 else "backward"


def _is_running(clip: MotionClip) -> bool:
    pace, steps = geometry.speed(clip), geometry.steps(clip)
    quick = steps >= RUN_CADENCE * clip.seconds
    # A flight that never ends is an uneven floor, and a short one in a slow walk may be.
    flies = RUN_FLIGHT <= geometry.longest_flight(clip) <= 0.5
    return steps >= 3 and ((flies and (pace >= RUNS or (pace >= JOGS and quick))) or (pace >= RUNS and quick))


def walks_forward(clip: MotionClip, side: str = "") -> Verdict:
    """Steps forward without flight."""
    correct = _goes(clip) == "forward" and geometry.steps(clip) >= 3 and not _is_running(clip)
    return Verdict(correct, _motion(clip))


def walks_backward(clip: MotionClip, side: str = "") -> Verdict:
    """Steps backward."""
    return Verdict(_goes(clip) == "backward" and geometry.steps(clip) >= 3, _motion(clip))


def side_steps(clip: MotionClip, side: str = "") -> Verdict:
    """Steps sideways."""
    return Verdict(_goes(clip) == "sideways" and geometry.steps(clip) >= 2, _motion(clip))


def runs(clip: MotionClip, side: str = "") -> Verdict:
    """Steps fast, with both feet off the floor between steps."""
    return Verdict(_is_running(clip), _motion(clip))


def runs_in_a_curve(clip: MotionClip, side: str = "") -> Verdict:
    """Runs, and the heading changes."""
    turn = turns(clip)
    return Verdict(_is_running(clip) and turn.correct, f"{_motion(clip)}, {turn.reason}")


def goes_straight(clip: MotionClip, side: str = "") -> Verdict:
    """Goes on in one direction, whichever way the body faces, and never stops for a second."""
    wander = degrees(geometry.wander(clip))
    return Verdict(wander < WANDER, f"{wander:.0f} degrees off its way")


def jumps(clip: MotionClip, side: str = "") -> Verdict:
    """Both feet leave the floor for longer and higher than in a running step."""
    flight, height = geometry.longest_flight(clip), geometry.jump_height(clip)
    long_enough = flight >= (LEAP_FLIGHT if _is_running(clip) else JUMP_FLIGHT)
    return Verdict(
        long_enough and height >= JUMP_HEIGHT, f"off the floor {flight:.2f} s, {height:.2f} m high"
    )


def raises_both(clip: MotionClip, side: str = "") -> Verdict:
    """Both wrists go up."""
    return Verdict(geometry.raised_hands(clip) == set(geometry.SIDES), _hands(clip))


def _lean(clip: MotionClip) -> tuple[float, float]:
    """Highest lean of the trunk to the front and how far that is over its lowest, degrees."""
    lean = geometry.trunk_pitch(clip)
    most = degrees(geometry.held_peak(lean, clip.fps))
    return most, most - degrees(geometry.held_low(lean, clip.fps))


def bows(clip: MotionClip, side: str = "") -> Verdict:
    """The trunk leans forward from the upright over standing legs, and the hands stay off the floor."""
    most, rise = _lean(clip)
    hands, pelvis = geometry.hand_height(clip), geometry.held_low(geometry.pelvis_height(clip), clip.fps)
    net, flight = geometry.travel(clip).net, geometry.longest_flight(clip)
    stands = net < 0.6 and flight < 0.1 and not geometry.raised_legs(clip)
    together = geometry.held_peak(geometry.foot_spread(clip), clip.fps) < LUNGE_SPREAD
    correct = most >= 20 and rise >= 18 and hands > 0.45 and pelvis > 0.75 and stands and together
    return Verdict(
        correct,
        f"trunk leans to {most:.0f} degrees (by {rise:.0f}), hand down to {hands:.2f} m, pelvis to {pelvis:.2f}, "
        f"{net:.2f} m away",
    )


def bends_down(clip: MotionClip, side: str = "") -> Verdict:
    """The trunk leans forward until a hand is near the floor, and the body does not lie down."""
    most, rise = _lean(clip)
    hands = geometry.hand_height(clip)
    correct = rise >= 30 and hands < 0.45 and not lies_down(clip).correct
    return Verdict(correct, f"trunk leans to {most:.0f} degrees (by {rise:.0f}), hand down to {hands:.2f} m")


def kicks(clip: MotionClip, side: str = "") -> Verdict:
    """A foot is thrown out fast and high."""
    speeds, lifts = geometry.foot_speed(clip), geometry.leg_lift(clip)
    found = frozenset(
        name
        for name in geometry.SIDES
        if speeds[name] >= KICK_SPEED and lifts[name][1] >= 0.25 and lifts[name][0] >= 0.3
    )
    numbers = ", ".join(
        f"{name} foot {speeds[name]:.1f} m/s, {lifts[name][1]:.2f} m high" for name in geometry.SIDES
    )
    correct = (side in found if side else bool(found)) and not _is_running(clip)
    return Verdict(correct, f"kick: {' and '.join(sorted(found)) or 'neither foot'} ({numbers})")


KICK_SPEED = 3.0
STILL_LIMB = 0.6
# Metres, the sway of who stopped a second ago.
STOPPED = 0.15
PUNCH_SPEED = 1.5
THROW_SPEED, THROW_DRIVE = 2.5, 0.6
# Metres between the feet from which a squat is a lunge.
LUNGE_SPREAD = 0.65


def punches(clip: MotionClip, side: str = "") -> Verdict:
    """A hand drives out fast near shoulder height."""
    found, numbers = _punches(clip)
    return Verdict(side in found if side else bool(found), f"punch: {sorted(found)} ({numbers})")


def punches_with_one_hand(clip: MotionClip, side: str = "") -> Verdict:
    """As ``punches``, with the named hand alone."""
    found, numbers = _punches(clip)
    return _one_side(found, side, "punch", numbers)


def _punches(clip: MotionClip) -> tuple[frozenset[str], str]:
    speeds = geometry.punching_hands(clip)
    found = frozenset(name for name, value in speeds.items() if value >= PUNCH_SPEED)
    return found, ", ".join(f"{name} hand {value:.1f} m/s" for name, value in speeds.items())


def throws(clip: MotionClip, side: str = "") -> Verdict:
    """A hand goes up, moves fast and drives to the front."""
    speeds, raised = geometry.hand_speed(clip), geometry.raised_hands(clip)
    fastest, drive = max(speeds.values()), geometry.forward_drive(clip)
    correct = bool(raised) and fastest >= THROW_SPEED and drive >= THROW_DRIVE
    return Verdict(correct, f"hand {fastest:.1f} m/s, {drive:.1f} m/s to the front; {_hands(clip)}")


def squats(clip: MotionClip, side: str = "") -> Verdict:
    """The pelvis goes far down with bent knees and comes up again."""
    height = geometry.pelvis_height(clip)
    low = geometry.held_low(height, clip.fps)
    bent = degrees(geometry.held_peak(geometry.knee_bend(clip).min(-1), clip.fps))
    tilt = degrees(float(np.median(geometry.trunk_tilt(clip))))
    end = float(height[-1])
    together = geometry.held_peak(geometry.foot_spread(clip), clip.fps) < LUNGE_SPREAD
    correct = low < 0.72 and bent >= 60 and tilt < 60 and end - low >= 0.15 and together
    return Verdict(
        correct,
        f"pelvis down to {low:.2f} of standing and back to {end:.2f}, knees bent {bent:.0f} degrees, "
        f"trunk {tilt:.0f} degrees from upright",
    )


def sits(clip: MotionClip, side: str = "") -> Verdict:
    """The pelvis is down at seat height and behind the feet, the trunk upright."""
    low = geometry.held_low(geometry.pelvis_height(clip), clip.fps, 0.3)
    tilt = degrees(geometry.held_low(geometry.trunk_tilt(clip), clip.fps))
    depth = geometry.seat_depth(clip)
    reason = f"pelvis down to {low:.2f} of standing, {depth:.2f} m behind the feet"
    return Verdict(0.3 < low < 0.75 and tilt < 40 and depth >= 0.08, reason)


def lunges(clip: MotionClip, side: str = "") -> Verdict:
    """The pelvis goes down with the feet far apart."""
    low = geometry.held_low(geometry.pelvis_height(clip), clip.fps)
    spread = geometry.held_peak(geometry.foot_spread(clip), clip.fps)
    return Verdict(
        low < 0.82 and spread >= LUNGE_SPREAD,
        f"pelvis down to {low:.2f} of standing, feet {spread:.2f} m apart",
    )


def stands_still(clip: MotionClip, side: str = "") -> Verdict:
    """Upright, goes nowhere, hardly moves."""
    net = geometry.travel(clip).net
    limb = max(*geometry.hand_speed(clip).values(), *geometry.foot_speed(clip).values())
    height = geometry.held_low(geometry.pelvis_height(clip), clip.fps)
    lean = degrees(geometry.held_peak(geometry.trunk_tilt(clip), clip.fps))
    correct = (
        net < 0.3 and limb < STILL_LIMB and height > 0.8 and lean < 30 and geometry.longest_flight(clip) < 0.1
    )
    return Verdict(correct, f"{net:.2f} m away, fastest limb {limb:.2f} m/s, trunk {lean:.0f} degrees")


def stops(clip: MotionClip, side: str = "") -> Verdict:
    """In its last second it goes nowhere, and no foot moves; what the arms do does not matter."""
    end = clip.slice(max(0, clip.num_frames - round(clip.fps)), clip.num_frames)
    net, foot = geometry.travel(end).net, max(geometry.foot_speed(end).values())
    return Verdict(
        net < STOPPED and foot < STILL_LIMB, f"{net:.2f} m in the last second, a foot {foot:.2f} m/s"
    )


def lies_down(clip: MotionClip, side: str = "") -> Verdict:
    """The trunk ends level, near the floor."""
    low = geometry.held_low(geometry.pelvis_height(clip), clip.fps)
    tilt = degrees(geometry.held_peak(geometry.trunk_tilt(clip), clip.fps))
    return Verdict(
        low < 0.35 and tilt > 55,
        f"pelvis down to {low:.2f} of standing, trunk {tilt:.0f} degrees from upright",
    )


UP, NOT_UP = 0.88, 0.78  # height of the pelvis as a part of its height when standing straight


def stays_down(clip: MotionClip, side: str = "") -> Verdict:
    """The pelvis is down in every frame."""
    top = float(geometry.pelvis_height(clip).max())
    return Verdict(top < NOT_UP, f"pelvis up to {top:.2f} of standing")


def gets_up(clip: MotionClip, side: str = "") -> Verdict:
    """The pelvis is down at first, comes up once, and stays up."""
    height = geometry.pelvis_height(clip)
    up = np.flatnonzero(height > UP)
    start = float(height[: round(0.3 * clip.fps) + 1].min())
    after = float(height[up[0] :].min()) if len(up) else 0.0
    reason = (
        f"pelvis at {start:.2f} of standing, up after {up[0] / clip.fps:.1f} s" if len(up) else "never up"
    )
    return Verdict(start < NOT_UP < after, f"{reason}, then not below {after:.2f}")


def dances(clip: MotionClip, side: str = "") -> Verdict:
    """The body is busy and stays about where it is. Necessary, not sufficient: contact sheets are looked at as well."""
    lively, net = geometry.liveliness(clip), geometry.travel(clip).net
    reason = f"joints {lively:.2f} m/s against the pelvis, {net:.2f} m away"
    return Verdict(lively >= 0.3 and net < 0.5 * clip.seconds, reason)


Judge = Callable[[MotionClip, str], Verdict]

JUDGES: dict[str, Judge] = {
    "raises hand": raises_hand,
    "raises an arm": raises_hand,
    "raises both arms": raises_both,
    "raises high": raises_high,
    "raises to the shoulder": raises_to_shoulder,
    "punches with one hand": punches_with_one_hand,
    "waves": waves,
    "waves either hand": waves,
    "raises leg": raises_leg,
    "raises a leg": raises_leg,
    "turns": turns,
    "turns either way": turns,
    "walks forward": walks_forward,
    "walks backward": walks_backward,
    "side-steps": side_steps,
    "runs": runs,
    "runs in a curve": runs_in_a_curve,
    "goes straight": goes_straight,
    "gets up": gets_up,
    "jumps": jumps,
    "bows": bows,
    "bends down": bends_down,
    "kicks": kicks,
    "punches": punches,
    "throws": throws,
    "squats": squats,
    "sits": sits,
    "lunges": lunges,
    "stands still": stands_still,
    "stops": stops,
    "lies down": lies_down,
    "by eye: dances": dances,
}


def judge(spec: PromptSpec, clip: MotionClip) -> Verdict:
    """Whether ``clip`` shows what ``spec`` asked for.

    Raises:
        KmmError: ``unknown_judge`` where no judge has the name that ``spec`` gives.
    """
    if spec.judge not in JUDGES:
        raise KmmError(
            "unknown_judge", f"No judge is called {spec.judge!r}.", f"Known: {', '.join(sorted(JUDGES))}."
        )
    doubt = not_a_person(clip)
    return Verdict(False, doubt) if doubt else JUDGES[spec.judge](clip, spec.side)


def not_a_person(clip: MotionClip) -> str:
    """Why this cannot be a person's motion, "" where it can: noise must not pass for an action by chance."""
    shake = float(geometry.jerk(clip).mean()) if clip.num_frames > 3 else 0.0
    height = float(np.median(sole_heights(clip).min(-1)))
    if shake > MOST_JERK:
        return f"shakes: mean jerk {shake:.0f} m/s^3, recordings stay below {MOST_JERK:.0f}"
    if abs(height) > MOST_OFF_FLOOR:
        return f"stands {height:+.2f} m off the floor"
    return ""


def named_side_correct(spec: PromptSpec, clip: MotionClip) -> Verdict:
    """As ``judge``, for prompts that name a side.

    Raises:
        KmmError: ``no_side`` where the prompt names none.
    """
    if spec.side not in geometry.SIDES:
        raise KmmError(
            "no_side", f"The prompt {spec.text!r} names no side.", "Give one with side 'left' or 'right'."
        )
    return judge(spec, clip)
