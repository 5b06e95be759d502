"""The page of an evaluation: what passes, what misses, and what is said where something was not measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kmm_core.errors import KmmError
from kmm_core.evaluate.copying import Nearest
from kmm_core.evaluate.evaluation import (
    BASELINES,
    FADED,
    OTHERS,
    REAL,
    RECONSTRUCTION,
    SPLICED,
    Evaluation,
    EvaluationPlan,
    geometry_row,
)
from kmm_core.evaluate.evaluation_report import figures, write_evaluation
from kmm_core.evaluate.evaluation_set import EvaluationClip
from kmm_core.evaluate.metrics import Interval

from . import bodies


def row(**values) -> dict[str, Interval]:
    return {name: Interval(value, 0.01) for name, value in values.items()}


def evaluation(**changes) -> Evaluation:
    """A model that reaches every target; ``changes`` are of single numbers."""
    value = {
        "fid": 0.9,
        "r3": 0.7,
        "directed": 0.5,
        "side": 0.98,
        "pj": 0.04,
        "auj": 0.3,
        "copies": 0.2,
    } | changes
    names = {"r_precision_1": 0.3, "r_precision_2": 0.5, "mm_dist": 3.0, "diversity": 8.0}
    real = row(**names, r_precision_3=0.72, fid=0.4)
    own = row(**names, r_precision_3=value["r3"], fid=value["fid"], multimodality=1.0)
    held_out = np.linspace(0.05, 0.2, 50)
    return Evaluation(
        name="tiny",
        info={"licence": "CC0-1.0"},
        data={
            "kind": "starter",
            "representation": "272",
            "fps": 30.0,
            "clips": 64,
            "minutes": 3.0,
            "mean_jerk": 0.01,
            "window_seconds": 1.0,
            "compositions": [32, 32],
            "directional_clips": 40,
            "directional_measured": 32,
        },
        plan=EvaluationPlan(repetitions=2),
        text={
            REAL: real,
            RECONSTRUCTION: row(**names, r_precision_3=0.7, fid=0.5),
            OTHERS: row(**names, r_precision_3=0.7, fid=1.1),
            "tiny": own,
        },
        sampling_fid=Interval(0.35, 0.02),
        damaged={
            "stiff": row(**names, r_precision_3=0.6, fid=4.0),
            "sliding": row(**names, r_precision_3=0.6, fid=0.95),
        },
        directional={
            REAL: row(**names, r_precision_3=0.5, fid=0.0),
            "tiny": row(**names, r_precision_3=value["directed"], fid=1.0),
        },
        subsequences={"tiny": own, FADED: own, SPLICED: own},
        transitions={
            REAL: row(diversity=5.0, peak_jerk=0.03, area_under_jerk=0.1),
            "tiny": row(fid=1.0, diversity=5.0, peak_jerk=value["pj"], area_under_jerk=value["auj"]),
            FADED: row(fid=1.0, diversity=5.0, peak_jerk=0.05, area_under_jerk=0.4),
            SPLICED: row(fid=2.0, diversity=5.0, peak_jerk=0.3, area_under_jerk=2.0),
        },
        curves={name: np.full(27, 0.02) for name in (REAL, "tiny", FADED, SPLICED)},
        geometry={
            REAL: {"jerk": 100.0},
            "tiny": {"named_side": value["side"], "named_side_covered": 1.0, "side_prompts": 2.0},
        },
        actions={
            "walk": {"clips": 9.0, REAL: 2.0, RECONSTRUCTION: 2.2, "tiny": 3.0},
            "run": {"clips": 5.0, REAL: 2.0, RECONSTRUCTION: 2.2, "tiny": 2.5},
        },
        nearest={"joint positions": Nearest(held_out + value["copies"], held_out, "m")},
        seconds={"clips": 100.0},
    )


def outcome(result: Evaluation) -> dict[str, bool | None]:
    return {figure.what: figure.passed for figure in figures(result)}


def test_a_model_that_reaches_everything_passes_everything():
    found = outcome(evaluation())
    assert len(found) == 8 and all(found.values())


@pytest.mark.parametrize(
    ("change", "misses"),
    [
        ({"fid": 1.01}, "FID against held-out motion"),
        ({"r3": 0.64}, "R-precision top-3"),
        ({"directed": 0.47}, "directional benchmark, R-precision top-3"),
        ({"side": 0.96}, "named side and action, by geometry"),
        ({"pj": 0.046}, "peak jerk at transitions (PJ)"),
        ({"auj": 0.41}, "area under the jerk at transitions (AUJ)"),
        ({"copies": -0.04}, "copying: distance to the nearest training clip, joint positions"),
    ],
)
def test_each_target_is_missed_alone(change, misses):
    found = outcome(evaluation(**change))
    assert [what for what, passed in found.items() if not passed] == [misses]


def test_time_is_that_of_the_model_without_its_baselines():
    result = evaluation()
    result.seconds |= {"clips": 590.0, BASELINES: 300.0}
    (found,) = [figure for figure in figures(result) if figure.what == "time of the whole evaluation"]
    assert found.passed and found.measured == "9.8 min, the baselines' 5.0 apart"
    result.seconds["sequences"] = 20.0
    assert not outcome(result)[found.what]


def test_page_and_json_say_the_same(tmp_path):
    result = evaluation(pj=0.06)
    result.notes.append("No luck.")
    page, data, *pictures = write_evaluation(
        result, tmp_path / "benchmarks", about={"date": "today"}, evaluator="made up"
    )
    text, content = page.read_text(), json.loads(data.read_text())
    assert "| 2.00 x (0.0600 ± 0.0100 against 0.0300 ± 0.0100) | **miss** |" in text
    assert (
        "(1.8 x); other recordings that show the same, reconstructed: 1.100 ± 0.010 (2.2 x) | pass |" in text
    )
    assert "| tiny | 0.300 ± 0.010 | 0.500 ± 0.010 | 0.700 ± 0.010 | 0.900 ± 0.010 |" in text
    assert "mean and covariance have FID 0.350 ± 0.020 by chance" in text
    assert "Not measured: No luck." in text and "32 of the 40 clips" in text
    # Published rows stand beside ours, and it is said that their numbers do not compare.
    assert "| KMM | 0.666 | 0.34 | 8.67 | 3.11 | arXiv 2411.06481 |" in text and "numbers do not" in text
    assert content["text"]["tiny"]["fid"] == {"mean": 0.9, "half_width": 0.01}
    assert content["sampling_fid"] == {"mean": 0.35, "half_width": 0.02}
    assert [figure["passed"] for figure in content["figures"]].count(False) == 1
    assert len(pictures) == 4 and all(picture.stat().st_size > 3000 for picture in pictures)


def test_pages_of_one_model_on_other_data_or_by_another_evaluator_stand_side_by_side(tmp_path):
    for kind, released in (("starter", False), ("babel", True), ("humanml3d", False), ("humanml3d", True)):
        result = evaluation()
        result.data["kind"] = kind
        write_evaluation(result, tmp_path / "benchmarks", about={}, evaluator="made up", released=released)
    pages = {page.stem: page.read_text().splitlines()[0] for page in tmp_path.glob("benchmarks/*.md")}
    assert pages == {
        "evaluation_tiny": "# Evaluation of tiny",
        "evaluation_tiny_babel": "# Evaluation of tiny on babel",
        "evaluation_tiny_humanml3d": "# Evaluation of tiny on humanml3d",
        "evaluation_tiny_humanml3d_released": "# Evaluation of tiny on humanml3d",
    }
    assert len(list(tmp_path.glob("images/*.png"))) == 16


@pytest.mark.parametrize(
    ("clips", "said"),
    [(None, "on the same data:"), (64, "on the same data, but on all of it: FID of 64 clips")],
)
def test_published_figures_compare_where_all_clips_are_measured(tmp_path, clips, said):
    result = evaluation()
    result.data["kind"], result.plan = "humanml3d", EvaluationPlan(clips=clips)
    page, *_ = write_evaluation(result, tmp_path / "pages", about={}, evaluator="theirs", released=True)
    assert f"HumanML3D, measured with the same released evaluator {said}" in page.read_text()


@pytest.mark.parametrize(
    ("clips", "measured", "said"),
    [
        (None, 95, "on the same data:"),
        (None, 96, "on the same data, but on all of it: FID of 64 clips"),
        (64, 64, "on the same data, but on all of it: FID of 64 clips"),
    ],
)
def test_babels_published_figures_compare_where_all_clips_stand_in_sequences(tmp_path, clips, measured, said):
    """Two sequences of 32 prompts: a third one of 31 is none."""
    result = evaluation()
    result.data |= {"kind": "babel", "clips": measured}
    result.plan = EvaluationPlan(clips=clips)
    page, *_ = write_evaluation(result, tmp_path / "pages", about={}, evaluator="theirs", released=True)
    assert f"BABEL, measured with the same released evaluator {said}" in page.read_text()


def test_what_was_not_measured_is_left_out(tmp_path):
    result = evaluation()
    del result.text[RECONSTRUCTION]
    result.directional, result.subsequences, result.transitions, result.curves = {}, {}, {}, {}
    result.geometry, result.actions, result.nearest, result.sampling_fid = {}, {}, {}, None
    assert len(figures(result)) == 2
    page, _, *pictures = write_evaluation(result, tmp_path / "benchmarks", about={}, evaluator="made up")
    assert len(pictures) == 1 and "## Sequences" not in page.read_text()


def test_turns_are_counted_toward_the_named_side():
    clips = [bodies.walk(turn=90), bodies.walk(turn=-90), bodies.walk(turn=90), bodies.walk()]
    labelled = [
        EvaluationClip(str(n), np.zeros((4, 1), np.float32), ("a",), ("a",), "a", {"turn": turn})
        for n, turn in enumerate(("left", "right", "right", "none"))
    ]
    found = geometry_row(clips, labelled)
    assert found["turns"] == 3 and found["turn_direction"] == pytest.approx(2 / 3)
    assert found["turn_angle"] == pytest.approx(90, abs=15)


def test_settings_out_of_range():
    with pytest.raises(KmmError, match="samples=9 is too small; expected at least 10"):
        EvaluationPlan(samples=9)


def test_damage_that_the_evaluator_hardly_sees_is_named(tmp_path):
    def said(**changes) -> str:
        page, *_ = write_evaluation(evaluation(**changes), tmp_path / "pages", about={}, evaluator="made up")
        return page.read_text()

    assert "| stiff | 0.300 ± 0.010 | 0.500 ± 0.010 | 0.600 ± 0.010 | 4.000 ± 0.010 |" in said()
    assert "All of these are." in said(fid=0.9)
    assert "It minds less: sliding." in said(fid=1.0)
