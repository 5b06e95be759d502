"""Every judge says yes to a body that does it and no to bodies that do something else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kmm_core.errors import KmmError
from kmm_core.evaluate.prompt_sets import PromptSpec, every_prompt
from kmm_core.evaluate.verdicts import JUDGES, judge, named_side_correct

from . import bodies


def _both_arms():
    left, right = bodies.raise_arm("left"), bodies.raise_arm("right")
    index = bodies.JOINT_INDEX["right_shoulder"]
    left.local_rotations[:, index] = right.local_rotations[:, index]
    return left


BODIES = {
    "raises hand": bodies.raise_arm("left"),
    "both": _both_arms(),
    "waves": bodies.wave("left"),
    "raises leg": bodies.lift_leg("left"),
    "walks forward": bodies.walk(),
    "turns": bodies.walk(turn=90),
    "walks backward": bodies.walk(speed=-1.0),
    "side-steps": bodies.walk(speed=0.0, sideways=0.8),
    "runs": bodies.walk(speed=2.8, hertz=1.4, flight=0.1),
    "runs in a curve": bodies.walk(speed=2.8, hertz=1.4, flight=0.1, turn=90),
    "jumps": bodies.hop(),
    "squats": bodies.crouch(),
    "bows": bodies.bow(),
    "stands still": bodies.still(),
    "lies down": bodies.lie(),
    "kicks": bodies.lift_leg("left", frames=25),
    "throws": bodies.throw("left"),
    "sits": bodies.sit(),
    "lunges": bodies.crouch(spread=0.5),
    "bends down": bodies.bend_down(),
}

YES = {
    "raises hand": ("raises hand", "both", "waves", "throws"),
    "raises an arm": ("raises hand", "both", "waves", "throws"),
    "raises both arms": ("both",),
    "waves": ("waves",),
    "raises leg": ("raises leg", "kicks"),
    "turns": ("turns", "runs in a curve"),
    "walks forward": ("walks forward", "turns"),
    "walks backward": ("walks backward",),
    "side-steps": ("side-steps",),
    "runs": ("runs", "runs in a curve"),
    "runs in a curve": ("runs in a curve",),
    "jumps": ("jumps",),
    "squats": ("squats",),
    "bows": ("bows",),
    "stands still": ("stands still",),
    "lies down": ("lies down",),
    "kicks": ("kicks",),
    "throws": ("throws",),
    "sits": ("sits",),
    "lunges": ("lunges",),
    "bends down": ("bends down",),
}


@pytest.mark.parametrize("name", YES)
def test_the_judge_accepts_its_own_action_and_no_other(name):
    accepted = {body for body, clip in BODIES.items() if JUDGES[name](clip, "").correct}
    assert accepted == set(YES[name])


@pytest.mark.parametrize(
    "name, body", [("raises hand", bodies.raise_arm), ("waves", bodies.wave), ("raises leg", bodies.lift_leg)]
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_wrong_side_is_wrong(name, body, side):
    other = "right" if side == "left" else "left"
    assert named_side_correct(PromptSpec("", name, 3.0, side), body(side)).correct
    verdict = named_side_correct(PromptSpec("", name, 3.0, side), body(other))
    assert not verdict.correct
    assert other in verdict.reason


@pytest.mark.parametrize("degrees, fits", [(170, "raises high"), (85, "raises to the shoulder"), (115, None)])
@pytest.mark.parametrize("side", ["left", "right"])
def test_how_high_an_arm_goes(degrees, fits, side):
    clip, other = bodies.raise_arm(side, degrees), "right" if side == "left" else "left"
    for name in ("raises high", "raises to the shoulder"):
        assert named_side_correct(PromptSpec("", name, 3.0, side), clip).correct == (name == fits)
        assert not named_side_correct(PromptSpec("", name, 3.0, other), clip).correct
        assert not named_side_correct(PromptSpec("", name, 3.0, side), bodies.still()).correct


def test_a_named_side_is_wrong_where_both_move():
    assert not named_side_correct(PromptSpec("", "raises hand", 3.0, "left"), BODIES["both"]).correct


@pytest.mark.parametrize("degrees, side", [(90, "left"), (-90, "right"), (5, "")])
def test_turns(degrees, side):
    clip = bodies.walk(turn=degrees)
    for asked in ("left", "right"):
        assert named_side_correct(PromptSpec("", "turns", 4.0, asked), clip).correct == (asked == side)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_named_fist_punches_alone(side):
    other = "right" if side == "left" else "left"
    clip, asked = bodies.punch(side), PromptSpec("", "punches with one hand", 3.0, side)
    both = bodies.punch(side)
    for joint in ("shoulder", "elbow"):
        index = bodies.JOINT_INDEX[f"{other}_{joint}"]
        both.local_rotations[:, index] = bodies.punch(other).local_rotations[:, index]
    assert judge(asked, clip).correct and judge(PromptSpec("", "punches", 3.0), both).correct
    for wrong in (both, bodies.punch(other), bodies.raise_arm(side), bodies.still()):
        assert not judge(asked, wrong).correct


def test_a_walk_that_ends_stops_and_one_that_goes_on_does_not():
    walk, stop = bodies.walk(), PromptSpec("", "stops", 3.0)
    order = [*range(walk.num_frames), *[walk.num_frames - 1] * 30]
    ended = replace(
        walk, root_positions=walk.root_positions[order], local_rotations=walk.local_rotations[order]
    )
    assert judge(stop, ended).correct and judge(stop, bodies.wave("left")).correct
    assert not judge(stop, walk).correct and not judge(stop, ended.slice(0, walk.num_frames + 15)).correct


@pytest.mark.parametrize("body", [bodies.sit(60), bodies.lie(60)])
def test_who_gets_up_does_it_once(body):
    up = PromptSpec("", "gets up", 4.0)
    rises = [*range(59, -1, -1), *[0] * 30]
    assert judge(up, bodies.in_order(body, rises)).correct
    stays, springs = [59] * 60, [*[0] * 90]
    again = [*rises, *range(60)]
    twice = [*rises, *range(60), *rises]
    for order, reason in (
        (stays, "never up"),
        (springs, "at 1.0"),
        (again, "not below 0"),
        (twice, "not below 0"),
    ):
        verdict = judge(up, bodies.in_order(body, order))
        assert not verdict.correct and reason in verdict.reason, verdict.reason


def test_every_prompt_has_a_judge():
    for spec in every_prompt():
        assert spec.judge in JUDGES


def test_an_unknown_judge_is_named():
    with pytest.raises(KmmError, match="'flies'") as raised:
        judge(PromptSpec("a man flies", "flies", 3.0), bodies.still())
    assert raised.value.code == "unknown_judge"


def test_a_prompt_without_a_side_is_refused():
    with pytest.raises(KmmError, match="names no side") as raised:
        named_side_correct(PromptSpec("a man waves", "waves", 3.0), bodies.still())
    assert raised.value.code == "no_side"
