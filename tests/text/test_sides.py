"""Sides said with a clock's hands, and what is not to be done."""

import pytest

from kmm_core.text.sides import plain_sides


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("turns clockwise", "turns to the right"),
        ("Turn anti-clockwise", "Turn to the left"),
        ("he turned counter clock wise", "he turned to the left"),
        ("turns in a clockwise direction", "turns to the right"),
        ("spins in the counterclockwise way", "spins to the left"),
        ("walks in a clockwise circle", "walks in a circle to the right"),
        ("makes an anticlockwise turn", "makes a turn to the left"),
        ("raises not the left but the right arm", "raises the right arm"),
        ("turns right, not left", "turns right"),
        ("waves the left hand and not the right one", "waves the left hand"),
        ("kicks with the right leg, not with the left leg", "kicks with the right leg"),
        # An arm's circle goes to no side.
        ("circles the left arm clockwise", "circles the left arm clockwise"),
        # Nothing to do.
        ("does not move", "does not move"),
        ("turns right", "turns right"),
        ("", ""),
    ],
)
def test_sides_are_said_as_captions_say_them(said, plain):
    assert plain_sides(said) == plain
