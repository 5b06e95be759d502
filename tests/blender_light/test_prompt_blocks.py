"""Prompt blocks in scene frames: what the panel and the overlay do with them, without Blender."""

import random
from itertools import pairwise

import pytest

from kmm_blender.scene.prompt_blocks import (
    Block,
    drag,
    duplicate,
    fit,
    frame_range,
    from_markers,
    from_timeline,
    new_block,
    overlaps,
    split,
    swap_with_neighbour,
    time_order,
    to_markers,
    to_timeline,
)
from kmm_core.errors import KmmError
from kmm_core.timeline import Prompt, Timeline

WALK, TURN, BOW = Block("walks", 0, 50), Block("turns", 50, 90), Block("bows", 100, 130)
BLOCKS = [WALK, TURN, BOW]


def spans(blocks):
    return [(block.start, block.end) for block in blocks]


def code(call, *arguments) -> str:
    with pytest.raises(KmmError) as caught:
        call(*arguments)
    assert caught.value.hint
    return caught.value.code


# --- what is there ----------------------------------------------------------------------------------


def test_touching_blocks_do_not_overlap_and_later_ones_that_reach_back_do():
    assert overlaps(BLOCKS) == []
    late_first = [Block("b", 40, 60), Block("a", 0, 100), Block("c", 99, 120)]
    assert overlaps(late_first) == [(1, 0), (1, 2)]


def test_overlaps_are_all_pairs_that_share_a_frame():
    chance = random.Random(5)
    blocks = []
    for _ in range(60):
        start = chance.randrange(-100, 200)
        blocks.append(Block("", start, start + chance.randrange(1, 40), enabled=chance.random() < 0.8))
    shared = {
        frozenset((i, j))
        for i, a in enumerate(blocks)
        for j, b in enumerate(blocks)
        if i != j and a.enabled and b.enabled and set(range(a.start, a.end)) & set(range(b.start, b.end))
    }
    found = overlaps(blocks)
    assert {frozenset(pair) for pair in found} == shared
    assert len(found) == len(shared)


def test_blocks_that_are_off_neither_overlap_nor_count():
    off = Block("off", -100, 500, enabled=False)
    assert overlaps([*BLOCKS, off]) == []
    assert frame_range([*BLOCKS, off]) == (0, 130)
    assert frame_range([off]) is None


def test_time_order_names_the_blocks_from_the_earliest_on():
    assert time_order([BOW, WALK, TURN]) == [1, 2, 0]


def test_a_timeline_starts_at_zero_and_says_where_that_is_in_the_scene():
    blocks = [Block("b", 10, 40), Block("off", -90, -80, enabled=False), Block("a", -25, 10)]
    timeline, first = to_timeline(blocks, 23.976)
    assert first == -25
    assert timeline == Timeline(23.976, (Prompt("a", 0, 35), Prompt("b", 35, 65)))


@pytest.mark.parametrize(
    ("blocks", "expected", "told"),
    [
        ([], "no_prompts", "There is no prompt"),
        ([Block("a", 0, 9, enabled=False)], "no_prompts", "switched on"),
        ([Block(" ", -20, 9)], "empty_prompt", "frames -20 to 9"),
        ([Block("a", -30, 9), Block("b", 5, 20)], "timeline_overlap", "(frames -30 to 9)"),
    ],
)
def test_a_timeline_that_cannot_be_is_explained_in_scene_frames(blocks, expected, told):
    with pytest.raises(KmmError) as caught:
        to_timeline(blocks, 30)
    assert caught.value.code == expected
    assert told in caught.value.message
    assert caught.value.hint


# --- list operations --------------------------------------------------------------------------------


def test_the_first_block_starts_where_the_scene_does_and_lasts_four_seconds():
    assert new_block([], 0, 24, 1) == Block("", 1, 97)


def test_a_new_block_goes_behind_the_active_one_where_it_fits_and_else_behind_all():
    assert new_block(BLOCKS, 2, 10, 0) == Block("", 130, 170)
    # Behind "turns" only 10 frames are free.
    assert new_block(BLOCKS, 1, 10, 0).start == 130
    assert new_block(BLOCKS, 1, 2, 0) == Block("", 90, 98)
    assert new_block(BLOCKS, 99, 10, 0).start == 130


def test_a_duplicate_keeps_the_length_and_overlaps_nothing():
    copy = duplicate(BLOCKS, 0)
    assert (copy.text, copy.start, copy.end) == ("walks", 130, 180)
    assert spans([duplicate([Block("a", 3, 5), Block("b", 12, 20)], 0)]) == [(5, 7)]


def test_split_halves_touch_and_keep_the_text():
    assert split(WALK, 20) == (Block("walks", 0, 20), Block("walks", 20, 50))


@pytest.mark.parametrize("frame", [-1, 0, 50, 60])
def test_split_outside_of_the_block_is_refused(frame):
    assert code(split, WALK, frame) == "bad_split"


def test_neighbours_change_places_with_their_lengths_and_the_gap():
    assert spans(swap_with_neighbour(BLOCKS, 2, -1)) == [(0, 50), (90, 130), (50, 80)]
    assert swap_with_neighbour(BLOCKS, 1, 1) == swap_with_neighbour(BLOCKS, 2, -1)
    assert spans(swap_with_neighbour(BLOCKS, 1, -1)) == [(40, 90), (0, 40), (100, 130)]
    assert swap_with_neighbour(BLOCKS, 0, -1) == BLOCKS
    assert swap_with_neighbour(BLOCKS, 2, 1) == BLOCKS


def test_fit_fills_the_range_and_keeps_what_touches():
    fitted = fit(BLOCKS, 1, 251)
    assert spans(fitted) == [(1, 97), (97, 174), (193, 251)]
    assert spans(fit(fitted, 0, 130)) == spans(BLOCKS)


def test_fit_refuses_to_lose_a_block():
    assert code(fit, BLOCKS, 0, 2) == "bad_frames"


# --- dragging ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "part", "frames", "mode", "expected"),
    [
        # A body goes to the nearest free place, over others if the mouse does.
        (2, "BODY", -5, "NORMAL", [(0, 50), (50, 90), (95, 125)]),
        (2, "BODY", -40, "NORMAL", [(0, 50), (50, 90), (90, 120)]),
        (2, "BODY", -110, "NORMAL", [(0, 50), (50, 90), (-30, 0)]),
        (0, "BODY", 60, "NORMAL", [(0, 50), (50, 90), (100, 130)]),
        (0, "BODY", 120, "NORMAL", [(130, 180), (50, 90), (100, 130)]),
        # An edge takes the edge along that it touches, and leaves each a frame.
        (0, "END", 15, "NORMAL", [(0, 65), (65, 90), (100, 130)]),
        (0, "END", 70, "NORMAL", [(0, 89), (89, 90), (100, 130)]),
        (1, "START", -70, "NORMAL", [(0, 1), (1, 90), (100, 130)]),
        (0, "END", -70, "NORMAL", [(0, 1), (1, 90), (100, 130)]),
        (1, "END", 70, "NORMAL", [(0, 50), (50, 100), (100, 130)]),
        (0, "START", -70, "NORMAL", [(-70, 50), (50, 90), (100, 130)]),
        # Alone, it stops there.
        (0, "END", 15, "ALONE", [(0, 50), (50, 90), (100, 130)]),
        (0, "END", -15, "ALONE", [(0, 35), (50, 90), (100, 130)]),
        (1, "START", 15, "ALONE", [(0, 50), (65, 90), (100, 130)]),
        # Rippling, the rest moves along.
        (0, "END", 15, "RIPPLE", [(0, 65), (65, 105), (115, 145)]),
        (0, "END", -70, "RIPPLE", [(0, 1), (1, 41), (51, 81)]),
        (2, "START", -15, "RIPPLE", [(-15, 35), (35, 75), (85, 130)]),
        (1, "BODY", 15, "RIPPLE", [(0, 50), (65, 105), (115, 145)]),
        (1, "BODY", -15, "RIPPLE", [(0, 50), (50, 90), (100, 130)]),
    ],
)
def test_drag(index, part, frames, mode, expected):
    assert spans(drag(BLOCKS, index, part, frames, mode)) == expected


def test_blocks_that_are_off_can_be_dragged_anywhere_and_hinder_nobody():
    off = Block("off", 60, 70, enabled=False)
    assert spans(drag([WALK, off], 1, "BODY", -40)) == [(0, 50), (20, 30)]
    assert spans(drag([WALK, off], 0, "END", 30)) == [(0, 80), (60, 70)]


def test_a_block_that_overlaps_already_can_be_dragged_apart():
    apart = drag([WALK, Block("b", 30, 60)], 1, "BODY", 5)
    assert spans(apart) == [(0, 50), (50, 80)]


def test_no_drag_ever_makes_an_overlap_or_an_empty_block():
    chance = random.Random(3)
    for _ in range(3000):
        edges = sorted(chance.sample(range(-200, 200), 8))
        blocks = [Block(str(i), *pair) for i, pair in enumerate(zip(edges[::2], edges[1::2]))]
        blocks = [*blocks[:2], Block("touches", edges[3], edges[4]), *blocks[2:]]
        chance.shuffle(blocks)
        part, mode = chance.choice(["BODY", "START", "END"]), chance.choice(["NORMAL", "ALONE", "RIPPLE"])
        dragged = drag(blocks, chance.randrange(len(blocks)), part, chance.randrange(-300, 300), mode)
        ordered = sorted(spans(dragged))
        assert all(start < end for start, end in ordered)
        assert all(first[1] <= second[0] for first, second in pairwise(ordered))


# --- files and markers ------------------------------------------------------------------------------


def test_an_imported_timeline_keeps_its_seconds_at_the_scenes_frame_rate():
    timeline = Timeline(30, (Prompt("a", 0, 45), Prompt("b", 45, 101), Prompt("c", 120, 121)))
    blocks = from_timeline(timeline, 24, 1)
    assert spans(blocks) == [(1, 37), (37, 82), (97, 98)]
    assert from_timeline(timeline, 30, 0) == [Block(p.text, p.start, p.end) for p in timeline.prompts]


def test_even_the_shortest_imported_prompt_has_a_frame():
    assert spans(from_timeline(Timeline(120, (Prompt("a", 4, 5),)), 12, -7)) == [(-7, -6)]


def test_a_marker_is_a_prompt_until_the_next_marker():
    markers = [
        (90, "end"),
        (10, "walks"),
        (50, " turns  left"),
        (100, "bows"),
        (120, "F_120"),
        (5, "Marker.001"),
    ]
    assert from_markers(markers, 251, 24) == [
        Block("walks", 10, 50),
        Block("turns left", 50, 90),
        Block("bows", 100, 120),
    ]


def test_the_last_marker_lasts_to_the_end_of_the_range_or_four_seconds_past_it():
    assert spans(from_markers([(10, "walks")], 251, 24)) == [(10, 251)]
    assert spans(from_markers([(260, "walks")], 251, 24)) == [(260, 356)]


@pytest.mark.parametrize("markers", [[], [(1, ""), (5, "F_5"), (9, "Marker"), (12, "END")]])
def test_markers_without_a_prompt_are_explained(markers):
    assert code(from_markers, markers, 251, 24) == "no_markers"


def test_blocks_survive_the_way_through_markers():
    assert to_markers(BLOCKS) == [(0, "walks"), (50, "turns"), (90, "end"), (100, "bows"), (130, "end")]
    assert from_markers(to_markers(BLOCKS), 500, 24) == BLOCKS


def test_overlaps_cannot_become_markers():
    assert code(to_markers, [WALK, Block("b", 40, 60)]) == "timeline_overlap"
