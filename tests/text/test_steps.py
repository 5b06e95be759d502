"""Sentences of several steps: where they are cut, what stays together, and that no frame is lost."""

import pytest

from kmm_core.text.steps import in_pieces, in_steps, steps_of, with_gaps_filled, with_rises
from kmm_core.timeline import Prompt


@pytest.mark.parametrize(
    ("sentence", "steps"),
    [
        ("walks forward, then waves", ["walks forward", "waves"]),
        ("a man jumps and then turns left", ["a man jumps", "turns left"]),
        ("Turn right, then kick, after that sit down", ["Turn right", "kick", "sit down"]),
        ("He walks. Then she waves.", ["He walks", "she waves."]),
        ("he bows before walking ahead", ["he bows", "walking ahead"]),
        ("walk ahead; afterwards, lower into a squat", ["walk ahead", "lower into a squat"]),
        ("a man walks forward and stops.", ["a man walks forward", "stops."]),
        ("run, and come to a halt", ["run", "come to a halt"]),
        ("walk, then raise an arm and then lower it", ["walk", "raise an arm and then lower it"]),
        ("walks forward, then lies down on his back", ["walks forward", "lies down on his back"]),
        ("bends to pick up a ball, then throws it", ["bends to pick up a ball", "throws it"]),
        ("jumps, then walks to the other side", ["jumps", "walks to the other side"]),
        ("walks, then slowly sits down", ["walks", "slowly sits down"]),
        ("jumps, then jumps again", ["jumps", "jumps again"]),
        # What a step leaves out is that of the one before.
        ("turns left, then right", ["turns left", "turns right"]),
        ("He turns left. Then right.", ["He turns left", "He turns right"]),
        ("turns to the right, then the left", ["turns to the right", "turns to the left"]),
        ("turns left, then to the other side", ["turns left", "turns to the right"]),
        ("steps to the left, then to the right", ["steps to the left", "steps to the right"]),
        ("turns right, then left, then right", ["turns right", "turns left", "turns right"]),
        ("walks forward, then back", ["walks forward", "walks backward"]),
        ("walks forward, then in a circle", ["walks forward", "walks in a circle"]),
        ("walks slowly, then quickly", ["walks slowly", "walks quickly"]),
        ("runs forward slowly and then even faster", ["runs forward slowly", "runs forward even faster"]),
        (
            "kicks with the right leg, then with the left leg",
            ["kicks with the right leg", "kicks with the left leg"],
        ),
        ("kicks with the right leg, then the left", ["kicks with the right leg", "kicks with the left leg"]),
        ("waves the left hand, then the right hand", ["waves the left hand", "waves the right hand"]),
        (
            "raises the left arm high, then the other one",
            ["raises the left arm high", "raises the right arm high"],
        ),
        ("raises the left arm, then the right leg", ["raises the left arm", "raises the right leg"]),
        (
            "kicks with the right leg, then kicks with the other leg",
            ["kicks with the right leg", "kicks with the left leg"],
        ),
        ("jumps, then again", ["jumps", "jumps"]),
        (
            "steps to the left side, then to the right side",
            ["steps to the left side", "steps to the right side"],
        ),
        ("walks sideways left, then sideways right", ["walks sideways left", "walks sideways right"]),
        (
            "walks sideways to the left, then to the right",
            ["walks sideways to the left", "walks sideways to the right"],
        ),
        ("turns left 90 degrees, then right 90 degrees", ["turns left 90 degrees", "turns right 90 degrees"]),
        ("turns to the left, then in the other direction", ["turns to the left", "turns to the right"]),
        ("turns left, then the opposite way", ["turns left", "turns to the right"]),
        ("walks fast, then slow", ["walks fast", "walks slow"]),
        ("slowly walks forward, then faster", ["slowly walks forward", "walks forward faster"]),
        # Two limbs, whichever comes first.
        ("raises one arm, then the other", ["raises the right arm", "raises the left arm"]),
        (
            "kicks with one leg, then with the other leg",
            ["kicks with the right leg", "kicks with the left leg"],
        ),
        ("raises his arm, then the other one", ["raises the right arm", "raises the left arm"]),
        ("raises the left arm, then both arms", ["raises the left arm", "raises both arms"]),
        # Sides as captions name them.
        ("turns clockwise, then counterclockwise", ["turns to the right", "turns to the left"]),
        ("turns right, not left, then waves", ["turns right", "waves"]),
        # What connects a prompt with the one before it is no step.
        ("then walks", ["walks"]),
        ("... and then walks", ["walks"]),
        ("And after that, he walks", ["he walks"]),
    ],
)
def test_steps_are_found(sentence, steps):
    assert steps_of(sentence) == steps


@pytest.mark.parametrize(
    "sentence",
    [
        "a person walks forward",
        "he walks.",
        "He squats. The back stays straight.",
        "turns left, then back",
        "brings the arm back and then forward again",
        "puts his left hand up and then back down again",
        "raises the right arm, then puts it down",
        "waves, then the other hand",
        "walks forward, then the other way",
        "walks faster then usual",
        "sits down and then stands up",
        "raises the left arm, then lowers the arm",
        "squats and then gets up again",
        "the man jumps, then he lands",
        "every now and then she jumps",
        "waits until then and waves",
        "she stands before the mirror",
        "a man stops and stands still",
        "walks and stops to wave",
        "walks, then",
        "walk, then ...",
    ],
)
def test_what_belongs_together_stays(sentence):
    assert steps_of(sentence) == [sentence]


def test_steps_share_the_frames_of_their_prompt():
    segments = [Prompt("", 0, 7), Prompt("walk, then jump, then wave", 7, 108), Prompt("sit", 108, 120)]
    steps = in_steps(segments, 30)
    assert [step.text for step in steps] == ["", "walk", "jump", "wave", "sit"]
    assert [step.start for step in steps] == [0, 7, 41, 74, 108] and [step.end for step in steps][-1] == 120


@pytest.mark.parametrize(("frames", "count"), [(59, 1), (60, 2)])
def test_steps_of_less_than_a_second_stay_one_prompt(frames, count):
    assert len(in_steps([Prompt("walk, then jump", 0, frames)], 30)) == count


def test_long_prompts_are_several_equal_ones_without_a_frame_lost():
    segments = [Prompt("sit", 0, 180), Prompt("walk", 180, 541), Prompt("", 541, 700)]
    pieces = in_pieces(segments, 30, 6.0)
    assert [(piece.text, piece.start, piece.end) for piece in pieces] == [
        ("sit", 0, 180),
        ("walk", 180, 300),
        ("walk", 300, 421),
        ("walk", 421, 541),
        ("", 541, 700),
    ]
    assert in_pieces(segments, 30, 0) == segments


def test_a_long_gap_gets_a_text_and_a_short_one_stays_a_gap():
    segments = [Prompt("", 0, 31), Prompt("walk", 31, 90), Prompt("", 90, 120), Prompt("wave", 120, 150)]
    texts = [segment.text for segment in with_gaps_filled(segments, 30, "stands still")]
    assert texts == ["stands still", "walk", "", "wave"]
    assert with_gaps_filled(segments, 30, "") == segments


@pytest.mark.parametrize(
    "sentence",
    [
        "a person sits down",
        "takes a seat on a chair",
        "Lies flat on the ground",
        "goes from standing to sitting",
        "is lying on the back, face up",
        "lowers herself onto a stool",
        "sinks onto the chair",
        "stretches out flat on the ground",
        "lays himself down on the floor",
        "sits down and straightens the back",
        "stands up and sits back down",
        "gets up, turns around and sits down again",
        "sits and the left arm rises",
    ],
)
def test_who_sat_or_lay_down_stays_so_in_a_gap(sentence):
    segments = [Prompt(sentence, 0, 60), Prompt("", 60, 100), Prompt("walks", 100, 150), Prompt("", 150, 200)]
    texts = [segment.text for segment in with_gaps_filled(segments, 30, "stands still")]
    assert texts == [sentence, sentence, "walks", "stands still"]


@pytest.mark.parametrize(
    "sentence",
    [
        "sits down and stands back up",
        "gets up from a seat",
        "rises from a chair",
        "goes from sitting to standing",
        "gets from lying on the floor to her feet",
        "does sit-ups",
        "stands from a seated position",
        "gets off the seat",
        "sits down and jumps up",
        "gets back on his feet from lying",
        "walks past a seat",
        "stoops to lay something down",
        "drops into a squat",
        "drops the ball into the box",
        "lowers the crate onto the bench",
        "rises from a sitting position",
        "sits, then straightens up",
        "sits up",
        "walks",
    ],
)
def test_who_got_up_stands_in_a_gap(sentence):
    segments = [Prompt(sentence, 0, 60), Prompt("", 60, 100)]
    assert [segment.text for segment in with_gaps_filled(segments, 30, "stands still")][1] == "stands still"


@pytest.mark.parametrize(
    ("down", "frames"),
    [("sits down", 36), ("takes a seat", 36), ("lies down", 75), ("sits on the floor", 75)],
)
def test_who_is_down_there_gets_up_before_the_next_prompt(down, frames):
    segments = [Prompt(down, 0, 60), Prompt("", 60, 80), Prompt("walks", 80, 240), Prompt("waves", 240, 300)]
    told = [(one.text, one.start, one.end) for one in with_rises(segments, 30, "stands up")]
    middle = 80 + frames
    assert told == [
        (down, 0, 60),
        ("", 60, 80),
        ("stands up", 80, middle),
        ("walks", middle, 240),
        ("waves", 240, 300),
    ]
    assert with_rises(segments, 30, "") == segments


@pytest.mark.parametrize(("frames", "rise"), [(1, 0), (29, 0), (30, 15), (41, 20), (73, 36)])
def test_getting_up_takes_at_most_half_of_a_prompt(frames, rise):
    told = with_rises([Prompt("sits down", 0, 60), Prompt("walks", 60, 60 + frames)], 30, "stands up")
    assert [one.num_frames for one in told] == [60, *([rise] if rise else []), frames - rise]


@pytest.mark.parametrize(
    "sentence",
    [
        "stands up",
        "gets up from the floor and walks",
        "rises slowly",
        "lies down",
        "sits still",
        "remains seated",
        "stays there",
        "rolls over",
        "crawls forward",
        "sleeps",
        "sits up",
        "does sit-ups",
        "a man is still resting",
        "someone slowly rolls onto the side",
        "rolls over and gets up",
    ],
)
def test_who_gets_up_or_stays_down_is_not_told_to_get_up(sentence):
    segments = [Prompt("lies down", 0, 60), Prompt(sentence, 60, 150)]
    assert with_rises(segments, 30, "stands up") == segments


@pytest.mark.parametrize(
    "sentence",
    [
        "stands still",
        "stays standing",
        "waits up there",
        "turns left",
        "walks and waits",
        "rolls the shoulders",
        "walks for the rest of the time",
        "jumps up and down",
        "leaves the room",
    ],
)
def test_other_prompts_begin_with_getting_up(sentence):
    segments = [Prompt("sits down", 0, 60), Prompt("stays seated", 60, 90), Prompt(sentence, 90, 180)]
    told = [one.text for one in with_rises(segments, 30, "stands up")]
    assert told == ["sits down", "stays seated", "stands up", sentence]


def test_who_got_up_does_not_get_up_again():
    segments = [
        Prompt("sits down", 0, 60),
        Prompt("gets up", 60, 90),
        Prompt("walks", 90, 180),
        Prompt("sits and gets up", 180, 240),
        Prompt("waves", 240, 300),
        Prompt("lies down", 300, 400),
        Prompt("rests, then gets up", 400, 500),
        Prompt("walks", 500, 600),
    ]
    assert with_rises(segments, 30, "stands up") == segments


@pytest.mark.parametrize("told", ["stays there", "he stays seated", "waits", "resting", "sleeps"])
def test_who_is_told_to_stay_down_there_is_asked_for_the_same_again(told):
    """No recording of these words shows anybody down there; and a gap after them is no reason to get up."""
    segments = [
        Prompt("sits down", 0, 60),
        Prompt(told, 60, 120),
        Prompt("", 120, 200),
        Prompt("walks", 200, 260),
    ]
    filled = with_gaps_filled(segments, 30, "stands still")
    assert [segment.text for segment in filled] == ["sits down", "sits down", "sits down", "walks"]
    assert [segment.text for segment in with_gaps_filled(segments, 30, "")] == [
        "sits down",
        told,
        "",
        "walks",
    ]
    risen = with_rises(filled, 30, "stands up")
    assert [segment.text for segment in risen[-2:]] == ["stands up", "walks"]


@pytest.mark.parametrize("between", ["stands up", "stays there and waves", "crawls forward"])
def test_what_else_is_told_down_there_is_done(between):
    segments = [Prompt("lies down", 0, 60), Prompt(between, 60, 120)]
    assert with_gaps_filled(segments, 30, "stands still")[1].text == between


def test_who_stands_waits_standing():
    segments = [Prompt("walks", 0, 60), Prompt("waits", 60, 120), Prompt("", 120, 200)]
    assert [segment.text for segment in with_gaps_filled(segments, 30, "stands still")][1:] == [
        "waits",
        "stands still",
    ]
