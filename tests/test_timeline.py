"""Timelines: exact frames, four file kinds, and a clear sentence for everything that is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kmm_core.errors import KmmError
from kmm_core.timeline import Prompt, Timeline, read_timeline, write_timeline

EXAMPLES = Path(__file__).parents[1] / "examples"
WALK, TURN, WAVE = "a person walks forward", "a person turns left", "someone waves with the right hand"


def shots(fps=30.0):
    return Timeline(fps, (Prompt(WALK, 0, 120), Prompt(TURN, 120, 180), Prompt(WAVE, 195, 285)))


def test_gaps_become_segments_without_text_and_lengths_are_exact():
    timeline = Timeline(30, (Prompt("a", 10, 20), Prompt("b", 25, 40)))
    assert timeline.segments() == (
        Prompt("", 0, 10),
        Prompt("a", 10, 20),
        Prompt("", 20, 25),
        Prompt("b", 25, 40),
    )
    assert timeline.num_frames == 40 == sum(segment.num_frames for segment in timeline.segments())


def test_unsorted_prompts_are_sorted():
    assert Timeline(30, (Prompt("b", 10, 20), Prompt("a", 0, 10))).prompts[0].text == "a"


@pytest.mark.parametrize("text", ["a person waves 👋", "شخص يمشي إلى الأمام", "  two\n lines "])
def test_any_language_is_accepted_and_stands_on_one_line(text):
    assert Timeline(30, (Prompt(text, 0, 30),)).prompts[0].text == " ".join(text.split())


def test_from_seconds_rounds_boundaries_not_lengths():
    timeline = Timeline.from_seconds(30, [("step", 0.05)] * 100)  # 1.5 frames each
    assert timeline.num_frames == 150
    assert {prompt.num_frames for prompt in timeline.prompts} == {1, 2}
    assert Timeline.from_seconds(29.97, [("walk", 4)]).num_frames == 120


@pytest.mark.parametrize(
    ("make", "code", "given"),
    [
        (lambda: Timeline(30, ()), "no_prompts", "no prompts"),
        (lambda: Timeline(30, (Prompt("", 0, 9),)), "empty_prompt", "frames 0 to 9"),
        (lambda: Timeline(30, (Prompt(" \t\n", 0, 9),)), "empty_prompt", "is empty"),
        (lambda: Timeline(30, (Prompt("\u200b \u200b", 0, 9),)), "empty_prompt", "is empty"),
        (lambda: Prompt("x" * 10_000, 0, 9), "bad_prompt", "10000 characters"),
        (lambda: Prompt(7, 0, 9), "bad_prompt", "7 is not text"),
        (lambda: Prompt(["x"] * 10_000, 0, 9), "bad_prompt", "is not text"),
        (lambda: Prompt("bad \ud800", 0, 9), "bad_prompt", "not valid text"),
        (lambda: Prompt("a", 5, 5), "bad_frames", "5 to 5"),
        (lambda: Prompt("a", 9, 5), "bad_frames", "9 to 5"),
        (lambda: Prompt("a", -3, 5), "bad_frames", "-3 to 5"),
        (lambda: Prompt("a", 0, float("nan")), "bad_frames", "end=nan"),
        (lambda: Prompt("a", 0, 1.5), "bad_frames", "end=1.5"),
        (lambda: Prompt("a", 0, 10**400), "bad_frames", "end=1000"),
        (lambda: Prompt("a", True, 5), "bad_frames", "start=True"),
        (lambda: Timeline(30, (Prompt("a", 0, 108_001),)), "timeline_too_long", "108001 frames"),
        (
            lambda: Timeline(30, tuple(Prompt("a", i, i + 1) for i in range(1001))),
            "timeline_too_long",
            "1001",
        ),
        (lambda: Timeline(0, (Prompt("a", 0, 9),)), "bad_fps", "fps=0"),
        (lambda: Timeline(float("nan"), (Prompt("a", 0, 9),)), "bad_fps", "fps=nan"),
        (lambda: Timeline("9" * 10_000, (Prompt("a", 0, 9),)), "bad_fps", "fps=999"),
        (lambda: Timeline(241, (Prompt("a", 0, 9),)), "bad_fps", "fps=241"),
        (lambda: Timeline.from_seconds(30, [("a", 0)]), "bad_seconds", "0 seconds"),
        (lambda: Timeline.from_seconds(30, [("a", -2.0)]), "bad_seconds", "-2.0 seconds"),
        (lambda: Timeline.from_seconds(30, [("a", 1e300)]), "bad_seconds", "1e+300"),
        (lambda: Timeline.from_seconds(30, [("a", "9" * 10_000)]), "bad_seconds", "999"),
        (lambda: Timeline.from_seconds(30, [("a", 0.001)]), "bad_frames", "less than one frame"),
    ],
)
def test_bad_values_are_named_with_a_remedy(make, code, given):
    with pytest.raises(KmmError) as caught:
        make()
    assert caught.value.code == code
    assert given in caught.value.message
    assert caught.value.hint
    assert len(str(caught.value)) < 400


def test_an_overlap_names_both_prompts_and_their_frames():
    with pytest.raises(KmmError) as caught:
        Timeline(30, (Prompt("walks", 0, 60), Prompt("jumps", 50, 90)))
    assert caught.value.code == "timeline_overlap"
    for part in ('"walks"', "0 to 60", '"jumps"', "50 to 90", "Start the second at 60"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["shots.json", "shots.srt", "shots.csv", "prompts.txt"])
def test_the_examples_say_the_same(tmp_path, name):
    assert read_timeline(EXAMPLES / name) == shots()
    if name != "prompts.txt":  # which holds a comment
        write_timeline(tmp_path / name, shots())
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes().replace(b"\r\n", b"\n")


@pytest.mark.parametrize("suffix", [".json", ".srt", ".csv", ".txt"])
@pytest.mark.parametrize("fps", [1.0, 24 / 1.001, 24.0, 29.97, 30.0, 240.0])
def test_round_trip(tmp_path, suffix, fps):
    hour = round(3600 * fps)
    tricky = Timeline(
        fps,
        (
            Prompt('he said "go", then ran', 7, 90),
            Prompt("goes on", 91, hour // 7),
            Prompt("ends; here 👋", hour // 2, hour - 1),
        ),
    )
    for timeline in (shots(fps), tricky):
        write_timeline(tmp_path / f"t{suffix}", timeline)
        assert read_timeline(tmp_path / f"t{suffix}", fps=fps) == timeline
    assert [path.name for path in tmp_path.iterdir()] == [f"t{suffix}"]


@pytest.mark.parametrize(
    ("suffix", "text"), [(".txt", "# one"), (".srt", "<b>one</b>"), (".srt", "two <i>three")]
)
def test_a_format_that_would_lose_a_prompt_is_refused(tmp_path, suffix, text):
    timeline = Timeline(30, (Prompt("walks", 0, 30), Prompt(text, 30, 60), Prompt("waves", 60, 90)))
    with pytest.raises(KmmError, match="Save it as .json") as caught:
        write_timeline(tmp_path / f"t{suffix}", timeline)
    assert f't{suffix} cannot hold the prompt "{text}"' in str(caught.value) and not list(tmp_path.iterdir())
    write_timeline(tmp_path / "t.json", timeline)
    assert read_timeline(tmp_path / "t.json") == timeline


def test_pauses_in_text_leave_gaps_and_do_not_count_as_prompts(tmp_path):
    path = tmp_path / "shots.txt"
    path.write_text("| 0.5\nwalks | 2\n| 1\nwaves | 1\n")
    prompts = read_timeline(path).prompts
    assert [(p.text, p.start, p.end) for p in prompts] == [("walks", 15, 75), ("waves", 105, 135)]
    path.write_text("walks | 1\n| 1\n" * 999 + "walks | 1\n")
    assert len(read_timeline(path).prompts) == 1000


def test_csv_reads_seconds_semicolons_and_its_own_fps(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeff# fps: 24\r\ntext;start_seconds;end_seconds\r\n\r\n;;\r\nwalk;0;1.5\r\n".encode())
    assert read_timeline(path) == Timeline(24, (Prompt("walk", 0, 36),))


def test_csv_of_a_spreadsheet_with_decimal_commas(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("# fps 24\ntext,start,end\nwalk,0,48\n")
    assert read_timeline(path).seconds == 2
    path.write_text("# fps: 12,5;;\ntext;start_seconds;end_seconds\nwalk, then run;0,4;2,0\n")
    assert read_timeline(path) == Timeline(12.5, (Prompt("walk, then run", 5, 25),))


def test_srt_tolerates_tags_missing_numbers_and_windows_line_ends(tmp_path):
    path = tmp_path / "t.srt"
    path.write_bytes(b"00:00:00.500 --> 00:00:01,000\r\n{\\an8}<i>walks</i>\r\nslowly < 1 m/s >\r\n\r\n\r\n")
    assert read_timeline(path) == Timeline(30, (Prompt("walks slowly < 1 m/s >", 15, 30),))


@pytest.mark.parametrize("mark", ["<a", "{\\a"])
def test_srt_of_tags_that_never_end_does_not_hold_blender_up(tmp_path, mark):
    path = tmp_path / "t.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:02,000\n" + mark * 1_000_000)
    before = time.thread_time()
    with pytest.raises(KmmError, match="at most 500 are allowed"):
        read_timeline(path)
    assert time.thread_time() - before < 10


def test_srt_cues_without_blank_lines_between_are_told_apart(tmp_path):
    path = tmp_path / "t.srt"
    first, second = "00:00:00,000 --> 00:00:01,000\nwalks\n", "00:00:01,000 --> 00:00:02,000\nruns\n"
    for text in (f"1\n{first}2 \n{second}", first + second):
        path.write_text(text)
        assert read_timeline(path) == Timeline(30, (Prompt("walks", 0, 30), Prompt("runs", 30, 60)))


JSON_PROMPT = '{"fps": 30, "prompts": [{"text": "a", "start": 0, "end": %s}]}'


@pytest.mark.parametrize(
    ("name", "content", "code", "part"),
    [
        ("t.json", "", "bad_timeline_file", "empty"),
        ("t.json", '{"fps": 30, "prompts": [', "bad_timeline_file", "not complete JSON"),
        ("t.json", "[" * 100_000, "bad_timeline_file", "not complete JSON"),
        ("t.json", "[]", "bad_timeline_file", '"prompts"'),
        ("t.json", '{"prompts": []}', "bad_timeline_file", '"fps"'),
        ("t.json", '{"fps": 30, "prompts": []}', "no_prompts", "no prompts"),
        ("t.json", '{"fps": 30, "prompts": [{"text": "a", "start": 0}]}', "bad_timeline_file", "prompt 1"),
        ("t.json", '{"fps": null, "prompts": [{"text":"a","start":0,"end":1}]}', "bad_fps", "fps=None"),
        ("t.json", JSON_PROMPT % "NaN", "bad_frames", "end=nan"),
        ("t.json", JSON_PROMPT % "null", "bad_frames", "end=None"),
        ("t.json", JSON_PROMPT % "1e999", "bad_frames", "end=inf"),
        ("t.json", JSON_PROMPT % ("9" * 5000), "bad_timeline_file", "JSON"),
        ("t.json", JSON_PROMPT % 0, "bad_frames", "0 to 0"),
        ("t.srt", "1\n00:00:00,000 --> 00:0", "bad_timeline_file", "line 2"),
        ("t.srt", "1\n", "bad_timeline_file", "line 1"),
        ("t.srt", "1\n00:00:00,000 --> 00:00:01,000\n\n", "bad_timeline_file", "no prompt"),
        (
            "t.srt",
            "1\n00:00:02,000 --> 00:00:01,000\nwalk\n",
            "bad_frames",
            'line 2: The prompt "walk" covers frames 60 to 30',
        ),
        ("t.srt", "1\n00:00:00,000 --> 99999999:00:01,000\nwalk\n", "timeline_too_long", "at most 3600"),
        ("t.csv", "# fps: 24\n", "bad_timeline_file", "name the columns"),
        ("t.csv", "walk,0,30\n", "bad_timeline_file", "name the columns"),
        ("t.csv", "text,start,end\n,0,30\n", "empty_prompt", "frames 0 to 30"),
        ("t.csv", "text,start,end\nwalk,0\n", "bad_timeline_file", "line 2: 2 fields"),
        ("t.csv", "text,start,end\nwalk,0,soon\n", "bad_frames", "line 2: end=soon"),
        ("t.csv", 'text,start,end\n"walk,0,30\n', "bad_timeline_file", "not CSV"),
        ("t.csv", "text,start_seconds,end_seconds\nwalk,0,nan\n", "bad_timeline_file", "nan are not numbers"),
        ("t.csv", "text,start_seconds,end_seconds\nwalk,0,1e308\n", "timeline_too_long", "at most 3600"),
        ("t.csv", "# fps: fast\ntext,start,end\nwalk,0,30\n", "bad_fps", "fps=fast"),
        ("t.csv", "# fps: 24 (film)\ntext,start,end\nwalk,0,30\n", "bad_fps", "fps=24 (film)"),
        ("t.csv", "text,start,end\n", "no_prompts", "no prompts"),
        ("t.txt", "walk\nrun | fast\n", "bad_seconds", "line 2: A length of fast"),
        ("t.txt", "walk | 0\n", "bad_seconds", "line 1"),
        ("t.txt", "walk | 2000\nrun | 2000\n", "timeline_too_long", "120000 frames"),
        ("t.txt", "| 2\n", "no_prompts", "no prompts"),
        ("t.txt", "walk | 2\n| 1\n", "bad_timeline_file", "its last line is a pause"),
        ("t.txt", "x" * 10_000, "bad_prompt", "line 1: The prompt"),
        ("t.doc", "walk", "bad_timeline_file", ".doc"),
    ],
)
def test_bad_files_get_one_clear_sentence(tmp_path, name, content, code, part):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(KmmError) as caught:
        read_timeline(path)
    assert (caught.value.code, caught.value.message.startswith(name)) == (code, True)
    assert part in caught.value.message
    assert caught.value.hint
    assert len(str(caught.value)) < 500


def test_huge_missing_and_binary_files(tmp_path):
    huge, binary = tmp_path / "huge.json", tmp_path / "t.srt"
    with huge.open("wb") as file:
        file.truncate(10_000_001)
    binary.write_bytes(b"\xff\xfe1\x00")
    for path, part in ((huge, "10,000,001 bytes"), (binary, "UTF-8"), (tmp_path / "no.csv", "No such file")):
        with pytest.raises(KmmError, match=part) as caught:
            read_timeline(path)
        assert caught.value.code == "bad_timeline_file"


def test_writing_keeps_the_old_file_when_it_fails(tmp_path):
    with pytest.raises(KmmError) as caught:
        write_timeline(tmp_path / "nowhere" / "t.json", shots())
    assert caught.value.code == "no_folder"


def test_json_is_what_the_documentation_says(tmp_path):
    write_timeline(tmp_path / "t.json", Timeline(30, (Prompt("a", 0, 60),)))
    content = json.loads((tmp_path / "t.json").read_text())
    assert content == {"fps": 30, "prompts": [{"text": "a", "start": 0, "end": 60}]}


def test_importing_the_timeline_loads_neither_torch_nor_numpy():
    code = "import sys, kmm_core.timeline; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
