"""The report: figures from motion with a known answer, and the page that is written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.evaluate import geometry, results_page, starter_report
from kmm_core.evaluate.prompt_sets import PromptSpec, arm_prompts
from kmm_core.evaluate.starter_report import BundleFigures, Figure, familiar_figure
from kmm_core.evaluate.verdicts import judge
from kmm_core.motion import representation_272
from kmm_core.motion.representation import representation

from . import bodies


class ObedientPipeline:
    """Raises the hand that the prompt names, or always the left one."""

    def __init__(self, obeys: bool = True, extra_frames: int = 0):
        self.obeys, self.extra_frames = obeys, extra_frames

    def generate(self, timeline, *, seed=0, samples=1, foot_cleanup=True):
        side = "right" if self.obeys and "right" in timeline.prompts[-1].text else "left"
        clip = bodies.raise_arm(side, frames=timeline.num_frames + self.extra_frames)
        return SimpleNamespace(clips=[clip] * samples, seconds={})


SPECS = [PromptSpec(f"a man raises the {side} hand", "raises hand", 3.0, side) for side in geometry.SIDES]


@pytest.mark.parametrize("obeys, share", [(True, 1.0), (False, 0.5)])
def test_the_side_figure_counts_what_the_pipeline_does(obeys, share):
    judged = starter_report.judge_prompts(ObedientPipeline(obeys), SPECS, lambda: None)
    figure = starter_report.side_figure(judged, "starter", noncommercial=False)
    assert figure.values["all"] == share
    assert figure.passed == obeys


def test_uncovered_prompts_do_not_count_for_the_permissive_bundle():
    specs = [*SPECS[:1], PromptSpec("raises the right hand", "raises hand", 3.0, "right", ("starter-nc",))]
    judged = starter_report.judge_prompts(ObedientPipeline(obeys=False), specs, lambda: None)
    assert starter_report.side_figure(judged, "starter", noncommercial=False).passed
    assert not starter_report.side_figure(judged, "starter-nc", noncommercial=True).passed


class ShortWinded(ObedientPipeline):
    """Does what it is told for three seconds at most."""

    def generate(self, timeline, **how):
        self.obeys = timeline.num_frames <= 90
        return super().generate(timeline, **how)


def test_other_lengths_are_shorter_and_longer_than_the_prompts_own():
    figure = starter_report.other_lengths_figure(ShortWinded(), SPECS, "starter")
    assert figure.values["0.5"] == {"all": 1.0, "covered": 1.0, "wrong": {}}
    assert figure.values["2"] == {"all": 0.5, "covered": 0.5, "wrong": {"raises hand": 1}}
    assert figure.passed is None


class HighInTime(ObedientPipeline):
    """Raises the arm of the last prompt within that prompt, overhead whatever is asked, but the left one for 4 s to the chest."""

    def generate(self, timeline, *, seed=0, samples=1):
        last = timeline.prompts[-1]
        left = "left" in last.text
        raised = bodies.raise_arm(
            "left" if left else "right", 60 if left and timeline.num_frames == 120 else 170, last.num_frames
        )
        clip = concatenated(bodies.still(last.start), raised) if last.start else raised
        return SimpleNamespace(clips=[clip] * samples)


def concatenated(first, second):
    rows = (
        (getattr(clip, name) for clip in (first, second)) for name in ("root_positions", "local_rotations")
    )
    return MotionClip(*(np.concatenate(list(pair)) for pair in rows), first.fps)


def test_heights_are_judged_alone_and_after_other_prompts():
    figure = starter_report.arm_figure(HighInTime(), arm_prompts())
    high, shoulder, punches, last, left, right = (
        figure.values[name]
        for name in (
            *("raises high", "raises to the shoulder", "punches with one hand"),
            "last of three prompts, no height named: high",
            *(f"{side} arm for 4 s, no height named: high" for side in ("left", "right")),
        )
    )
    assert (high, shoulder, punches, last, left, right) == (1.0, 0.0, 0.0, 1.0, 0.0, 1.0)
    assert "raises high 100% of 64 samples" in figure.measured and "100% of 32 samples" in figure.measured


class EveryOtherTime(HighInTime):
    """Stands in every other sample."""

    def generate(self, timeline, *, seed=0, samples=1):
        raised = super().generate(timeline).clips[0]
        return SimpleNamespace(clips=[raised, bodies.still(timeline.num_frames)] * (samples // 2))


def test_many_samples_name_the_actions_that_fail():
    figure = starter_report.many_samples_figure(HighInTime(), SPECS)
    assert figure.values == {"all": 1.0, "raises hand": 1.0} and "below 90%: none" in figure.measured
    figure = starter_report.many_samples_figure(EveryOtherTime(), SPECS)
    assert figure.measured == f"50.0% of {8 * len(SPECS)}; below 90%: raises hand 50% of {8 * len(SPECS)}"


class StraightAndThenRound(ObedientPipeline):
    """Every other sample curves, and all do that are asked for long."""

    def generate(self, timeline, *, seed=0, samples=1):
        frames = timeline.num_frames
        straight, curve = (bodies.walk(turn=turn, frames=frames) for turn in (0, 150))
        return SimpleNamespace(clips=[curve if frames > 300 else straight, curve] * (samples // 2))


def test_who_curves_or_does_something_else_does_not_go_straight_on():
    specs = [PromptSpec("walks", "walks forward", 4.0), PromptSpec("walks back", "walks backward", 4.0)]
    figure = starter_report.straight_figure(StraightAndThenRound(), specs)
    assert figure.values["4"] == {"all": 0.25, "families": {"walks forward": 0.5, "walks backward": 0.0}}
    assert figure.values["10"]["all"] == 0.25 and figure.values["20"]["all"] == 0.0
    assert "4 s: 25% (walks forward 2 of 4, walks backward 0 of 4)" in figure.measured


class TurnsOnAndOn(ObedientPipeline):
    """Turns to the left by 100 degrees in 4 s, and by 300 in 6 s."""

    def generate(self, timeline, *, seed=0, samples=1):
        frames = timeline.num_frames
        return SimpleNamespace(
            clips=[bodies.walk(turn=100 if frames < 150 else 300, frames=frames)] * samples
        )


def test_who_turns_round_and_round_does_not_turn_once():
    specs = [PromptSpec(f"turns {side}", "turns", 4.0, side) for side in geometry.SIDES]
    figure = starter_report.turn_figure(TurnsOnAndOn(), specs)
    assert (figure.values["4"]["once"], figure.values["6"]["once"]) == (0.5, 0.0)
    left, right = (starter_report.turn_figure(TurnsOnAndOn(), [spec]).values["4"] for spec in specs)
    assert (left["once"], right["once"]) == (1.0, 0.0)
    assert left["median"] == pytest.approx(100, abs=8) and right["median"] == pytest.approx(-100, abs=8)
    assert "50% of 4 samples between 45 and 200" in figure.measured


class HeedsThePaceHalfTheTime(ObedientPipeline):
    """Walks twice as fast when that is asked in the first half of the samples, and as ever in the others; slowly it stands still."""

    def generate(self, timeline, *, seed=0, samples=1):
        (prompt,) = timeline.prompts
        if "slowly" in prompt.text:
            clips = [bodies.still(prompt.num_frames)] * samples
        else:
            quick = 1 + ("quickly" in prompt.text)
            usual = bodies.walk(speed=1.2, hertz=1.0, frames=prompt.num_frames)
            fast = bodies.walk(speed=1.2 * quick, hertz=1.0 * quick, frames=prompt.num_frames)
            clips = [fast] * (samples // 2) + [usual] * (samples - samples // 2)
        return SimpleNamespace(clips=clips)


def test_the_pace_is_compared_with_the_same_sentence_without():
    said = {
        pace: PromptSpec(f"walks {pace}".strip(), "walks forward", 4.0) for pace in ("", "slowly", "quickly")
    }
    waits = {
        pace: PromptSpec(f"waits {pace}".strip(), "stands still", 4.0) for pace in ("", "slowly", "quickly")
    }
    figure = starter_report.pace_figure(HeedsThePaceHalfTheTime(), [said, waits])
    slowly, quickly = (figure.values["who goes somewhere"][pace] for pace in ("slowly", "quickly"))
    assert slowly["times"] < 0.1 and slowly["as asked"] == 1.0 and slowly["shown"] == 0.0
    assert quickly["times"] == pytest.approx(1.5, abs=0.1)
    assert quickly["as asked"] == 0.5 and quickly["shown"] == 0.5  # who walks that fast runs
    assert (
        "quickly 1.5" in figure.measured
        and "(50% are quicker; action shown 50%) of 8 samples" in figure.measured
    )
    assert figure.values["who does something once"]["slowly"]["shown"] == 1.0


class GetsUpFromSeats(ObedientPipeline):
    """Sits or lies down as asked; gets up from a seat, in the first half of the samples, and never from the floor."""

    def generate(self, timeline, *, seed=0, samples=1):
        down, up = timeline.prompts
        body = (bodies.lie if "lie" in down.text else bodies.sit)(down.num_frames)
        there = np.arange(down.num_frames)
        rises, stays = np.linspace(down.num_frames - 1, 0, up.num_frames).astype(int), [-1] * up.num_frames
        orders = [rises if "sit" in down.text and n < samples // 2 else stays for n in range(samples)]
        return SimpleNamespace(clips=[bodies.in_order(body, [*there, *order]) for order in orders])


def test_getting_up_is_judged_after_its_prompt():
    pairs = [
        (PromptSpec("sits", "sits", 3.0), PromptSpec("stands up", "gets up", 4.0)),
        (PromptSpec("lies down", "lies down", 5.0), PromptSpec("gets up", "gets up", 4.0)),
    ]
    figure = starter_report.up_again_figure(GetsUpFromSeats(), pairs)
    assert figure.values["sits"] == {"both": 0.5, "down": 1.0, "up": 0.5}
    assert figure.values["lies down"] == {"both": 0.0, "down": 1.0, "up": 0.0}
    assert "sits 100%, then gets up 50%, both 50% of 8 samples" in figure.measured


class StillUpToFourSeconds(ObedientPipeline):
    """Walks between and after prompts, but stands in gaps of up to 4 s. Stays where it sat down; gets up from the floor."""

    def generate(self, timeline, *, seed=0, samples=1):
        first, second = timeline.prompts
        gap = second.start - first.end
        arm = bodies.walk(frames=second.num_frames)
        if "walks" not in first.text:
            body = (bodies.sit if "sit" in first.text else bodies.lie)(first.num_frames)
            there = np.arange(first.num_frames)
            wait = (
                np.full(gap, -1)
                if "sit" in first.text
                else np.linspace(first.num_frames - 1, 0, gap).astype(int)
            )
            first_two = bodies.in_order(body, [*there, *wait])
        else:
            middle = bodies.still(gap) if gap <= 120 else bodies.walk(frames=gap)
            first_two = concatenated(bodies.walk(frames=first.num_frames), middle)
        return SimpleNamespace(clips=[concatenated(first_two, arm)] * samples)


def test_gaps_are_judged_between_their_ends():
    figure = starter_report.gap_figure(StillUpToFourSeconds())
    assert figure.values == {"2": 1.0, "4": 1.0, "8": 0.0, "stays sitting": 1.0, "stays lying": 0.0}
    assert figure.measured == (
        "100% in 2 s, 100% in 4 s, 0% in 8 s, stays sitting 100% in 4 s, stays lying 0% in 4 s, of 16 samples each"
    )


class WalksUpFromSeats(ObedientPipeline):
    """Comes up from a seat within a second and walks; lies on."""

    def generate(self, timeline, *, seed=0, samples=1):
        down, then = timeline.prompts
        if "lie" in down.text:
            body = bodies.in_order(
                bodies.lie(down.num_frames), [*range(down.num_frames), *[-1] * then.num_frames]
            )
        else:
            seat = bodies.sit(60)
            there = bodies.in_order(seat, [*range(60), *[59] * (down.num_frames - 60), *range(29, -1, -1)])
            body = concatenated(there, bodies.walk(frames=then.num_frames - 30))
        return SimpleNamespace(clips=[body] * samples)


def test_coming_up_is_timed_where_nobody_is_told_to():
    figure = starter_report.rise_figure(WalksUpFromSeats())
    seat, floor = figure.values["a seat"], figure.values["the floor"]
    assert 0.2 < seat["seconds"] < 0.7 and seat["risen"] == 1.0
    assert seat["shown"] == pytest.approx(1 / 3)  # a walk, and neither arm
    assert floor["risen"] == 0.0 and floor["shown"] == 0.0
    assert "from the floor nan" not in figure.measured
    assert "from the floor never" in figure.measured and "(24 of 24 samples)" in figure.measured


class ArmThenStill(ObedientPipeline):
    """Raises the named arm, then stands, in whatever order that was asked."""

    def generate(self, timeline, *, seed=0, samples=1):
        (prompt,) = timeline.prompts
        half = prompt.num_frames // 2
        raised = bodies.raise_arm("left" if "left" in prompt.text else "right", 170, half)
        return SimpleNamespace(clips=[concatenated(raised, bodies.still(half))] * samples)


def test_two_actions_in_one_sentence_are_judged_in_their_order():
    def pairs(first, second):
        text = "raises the {} arm and stands"
        return [
            tuple(PromptSpec(text.format(s), j, 6.0, s) for j in (first, second)) for s in ("left", "right")
        ]

    right = starter_report.together_figure(ArmThenStill(), pairs("raises hand", "stands still"))
    assert right.values == {"both": 1.0, "the first": 1.0, "the second": 1.0}
    wrong = starter_report.together_figure(ArmThenStill(), pairs("stands still", "raises hand"))
    assert wrong.values["both"] == 0.0 and "both 0%" in wrong.measured and "of 8 samples" in wrong.measured
    at_once = starter_report.together_figure(
        ArmThenStill(), pairs("raises hand", "stands still"), starter_report.AT_ONCE
    )
    assert at_once.values == {"both": 0.0, "the first": 1.0, "the second": 0.0}


def test_a_wrong_length_is_a_miss():
    for extra, passed in ((0, True), (1, False)):
        pipeline = ObedientPipeline(extra_frames=extra)
        judged = starter_report.judge_prompts(pipeline, SPECS, lambda: None)
        assert starter_report.length_figure(pipeline, judged, []).passed == passed


class SideTokenizer:
    """Code 0 for frames with the left hand up, 1 with the right, 2 with neither; decodes to what it was given first."""

    settings = SimpleNamespace(frames_per_token=4, num_codebooks=1, codebook_size=3)

    def __init__(self, sink: float = 0.0):
        self.sink, self.given = sink, None

    def encode(self, features):
        self.given = features if self.given is None else self.given
        heights = features[:, ::4, representation_272.POSITIONS].unflatten(-1, (22, 3))[..., 20:, 1]
        up = heights > 1.5
        return torch.where(up[..., 0], 0, torch.where(up[..., 1], 1, 2))[..., None]

    def decode(self, tokens):
        features, self.given = self.given.clone(), None
        features[..., representation_272.POSITIONS.start + 1] -= self.sink
        return features


def test_the_tokenizer_figure_counts_millimetres_and_codes_of_clips_and_their_mirror_images():
    pipeline = SimpleNamespace(
        bundle=SimpleNamespace(tokenizer=SideTokenizer(sink=0.03)), representation=representation("272")
    )
    clips = [bodies.raise_arm("left", frames=90), bodies.raise_arm("left", frames=60)]
    error, usage = starter_report.tokenizer_figure(pipeline, clips)
    assert error.values["clips"] == 2 and not error.passed
    assert abs(error.values["error_mm"] - 30) < 0.1
    # The left hand goes up; the right one does so in the mirror only.
    assert usage.values["share_alone"] == [pytest.approx(2 / 3)]
    assert usage.values["share"] == [1.0] and usage.passed
    assert "100%" in usage.measured and "on the clips alone 67%" in usage.measured


def test_sequences_are_as_long_as_asked():
    made = starter_report.sequences(ObedientPipeline(), SPECS * 4)
    assert {clip.num_frames for _, clip in made} == {starter_report.SEQUENCE_PROMPTS * 120}


def test_feet_that_never_stand_do_not_pass():
    walking, floating = bodies.walk(), bodies.still(90).moved(translation=(0, 1, 0))
    real = starter_report.real_motion([walking, bodies.still(90)])
    assert starter_report.feet_figures([bodies.still(90)], [walking], real)[0].passed
    assert not starter_report.feet_figures([floating], [floating], real)[0].passed


def test_recordings_that_are_too_short_are_refused():
    with pytest.raises(KmmError, match="longer than 1 s") as raised:
        starter_report.real_motion([bodies.still(10)])
    assert raised.value.code == "no_real_motion"


def test_noise_and_floating_bodies_show_no_action():
    spec = PromptSpec("a man raises the left hand", "raises hand", 3.0, "left")
    raised = bodies.raise_arm("left")
    assert judge(spec, raised).correct
    assert "floor" in judge(spec, raised.moved(translation=(0, 0.5, 0))).reason
    shaking = raised.moved()
    shaking.root_positions[::2, 0] += 0.2
    assert "jerk" in judge(spec, shaking).reason


def test_the_judges_figure_counts_labels_that_geometry_sees():
    labelled = [
        ({"action": "raise_arm", "side": "left"}, bodies.raise_arm("left")),
        ({"action": "raise_arm", "side": "left"}, bodies.raise_arm("right")),
        ({"action": "walk_turn", "side": "none", "turn": "left"}, bodies.walk(turn=90)),
        ({"action": "climb", "side": "none"}, bodies.still()),
    ]
    assert starter_report.judges_figure(labelled).values == {"raises hand": [1, 2], "turns": [1, 1]}


def test_the_familiar_figure_counts_what_users_are_told():
    class Forgetful:
        """Knows no sentence with a dance, a bow or a drum in it."""

        def unfamiliar(self, prompts):
            return tuple(prompt for prompt in prompts if re.search("danc|bow|drum", prompt))

    values = familiar_figure(Forgetful()).values
    assert values["unfamiliar"] == 2 / 40  # the drums, and an archer's bow
    assert 0.02 < values["others"] < 0.1


def test_a_failing_probe_says_why():
    with pytest.raises(KmmError, match="ValueError: no luck") as raised:
        starter_report._fresh_python("raise ValueError('no luck')")
    assert raised.value.code == "probe_failed"


def test_the_page_and_the_json_say_the_same(tmp_path):
    pipeline = ObedientPipeline(obeys=False)
    judged = starter_report.judge_prompts(pipeline, SPECS, lambda: None)
    bundle = BundleFigures(
        "starter",
        {"licence": "GPL-3.0-or-later", "parameters": {"generator": 5_180_000}, "text_encoder": "minilm"},
        [Figure("lengths", "exact", "2 of 2 exact", True), Figure("named side", ">= 97%", "50%", False)],
        judged,
        starter_report.sequences(pipeline, SPECS * 3)[:1],
    )
    page = tmp_path / "results.md"
    (tmp_path / "more" / "deep").mkdir(parents=True)
    (tmp_path / "more" / "deep" / "speed.md").write_text(
        "# Speed\n\n## Blender 5\n\n10 ms ![curve](../../images/curve.png)\n"
    )
    results_page.write_results(
        [bundle],
        page,
        about={"date": "today"},
        data="Clips.",
        benchmarks=[tmp_path / "more" / "deep" / "speed.md"],
    )
    text = page.read_text()
    assert "| named side | >= 97% | 50% | **miss** |" in text
    assert text.endswith("\n\n## Speed\n\n### Blender 5\n\n10 ms ![curve](images/curve.png)\n")
    content = json.loads(page.with_suffix(".json").read_text())
    assert [row["correct"] for row in content["bundles"][0]["prompts"]] == [True, False]
    assert (tmp_path / "images" / "starter-wrong.png").stat().st_size > 1000


@pytest.fixture
def own_repository(tmp_path, monkeypatch):
    """The working folder: somebody else's repository, with a commit."""
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["init"],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *arguments], check=True, capture_output=True)
    return tmp_path


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_this_code(own_repository, monkeypatch):
    def head(folder):
        command = ["git", "-C", folder, "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    code = head(Path(results_page.__file__).parent)
    assert results_page.machine()["commit"] == (code[:7] or "unknown") != head(own_repository)[:7]
    # Installed into a virtual environment that lies in another repository.
    monkeypatch.setattr(results_page, "__file__", str(own_repository / "results_page.py"))
    assert results_page.machine()["commit"] == "unknown"


def test_a_machine_without_git_has_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert results_page.machine()["commit"] == "unknown"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for git is a shell script")
def test_git_may_complain_in_another_code_page(tmp_path, monkeypatch):
    """As of "dubious ownership" in a folder with Á in its path, on Windows."""
    (tmp_path / "git").write_bytes(b"#!/bin/sh\nprintf 'dubious ownership in C:/Users/\\201' >&2\nexit 128\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert results_page.machine()["commit"] == "unknown"


def test_a_picture_on_another_drive_is_linked_as_a_whole_address(tmp_path, monkeypatch):
    """After hours of measuring, --out and --images on two drives of Windows were a ValueError."""
    assert results_page.link_from(tmp_path / "docs", tmp_path / "images" / "a.png") == "../images/a.png"

    def other_drive(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    picture = tmp_path / "a b.png"
    assert results_page.link_from(tmp_path / "docs", picture) == picture.as_uri()


def test_a_prompt_that_is_a_caption_stops_the_report():
    with pytest.raises(KmmError, match="training captions") as raised:
        starter_report.measure_bundle("starter", [], ["The left arm rises slowly."])
    assert raised.value.code == "prompt_is_caption"
