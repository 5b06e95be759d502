"""``kmm-train evaluate`` from end to end: made-up clips, an untrained model and an untrained evaluator."""

from __future__ import annotations

import json
import random
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from kmm_core.errors import KmmError
from kmm_core.evaluate import evaluation
from kmm_core.evaluate.evaluation import OTHERS, EvaluationPlan
from kmm_core.evaluate.evaluator import Evaluator, EvaluatorSettings, load_evaluator, save_evaluator
from kmm_core.evaluate.prompt_sets import action_prompts, side_prompts
from kmm_core.pipeline import TextToMotion
from kmm_core.timeline import Timeline
from kmm_core.train.prepared import PreparedClip, clip_path, save_clip, write_manifest
from training import cli
from training.evaluate import load_model
from training.recipes.synthetic import make_clip

from ..tiny_bundle import save_tiny_bundle

HELD_OUT, TRAIN = 33, 12


def prepare(folder: Path, noncommercial: bool = False, frames: int = 36, caption: str = "") -> None:
    """Clips of ``frames`` and some more; their captions name turns, or all are ``caption``."""
    (folder / "clips").mkdir(parents=True)
    rows = []
    for number in range(HELD_OUT + TRAIN):
        turn = ("left", "right", "none")[number % 3]
        clip = make_clip("walk", "none", turn, random.Random(number)).slice(0, frames + number % 4)
        way = "" if turn == "none" else f" to the {turn}"
        about = PreparedClip(
            id=f"clip_{number}",
            source=folder.name,
            licence="CC-BY-NC-4.0" if noncommercial else "CC0-1.0",
            noncommercial=noncommercial,
            split="val" if number < HELD_OUT else "train",
            recording=str(number),
            start=0.0,
            frames=clip.num_frames,
            captions=(caption,)
            if caption
            else (f"a person turns{way or ' around'}", f"somebody walks and turns{way}"),
            mirrored_captions=(),
            # Meanings of their own, or one pool would hold three.
            labels={"action": f"walk_{number // 6}", "side": "none", "turn": turn},
        )
        save_clip(clip_path(folder, about.id), clip)
        rows.append(about)
    write_manifest(folder, rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Prepared clips, a bundle and an evaluator in one folder."""
    root = tmp_path_factory.mktemp("evaluate")
    prepare(root / "prepared" / "free")
    prepare(root / "prepared" / "paid", noncommercial=True)
    bundle = save_tiny_bundle(root / "tiny")
    shutil.copytree(bundle, root / "other")
    pipeline = TextToMotion.load(bundle, "cpu")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        settings = EvaluatorSettings(movement_width=8, motion_width=8, text_width=8, width=6)
        evaluator = Evaluator(272, 384, settings)
    save_evaluator(
        root / "evaluator.safetensors", evaluator, encoder=pipeline.bundle.encoder.name, representation="272"
    )
    return root


@pytest.fixture
def few_prompts(monkeypatch):
    monkeypatch.setattr(evaluation, "side_prompts", lambda: side_prompts()[:2])
    monkeypatch.setattr(evaluation, "action_prompts", lambda: action_prompts()[:2])


@pytest.fixture
def small(monkeypatch):
    """What is measured many times over is measured a few times."""
    sizes = {"samples": 10, "prompts": 1, "compositions": 2, "geometry": 8, "copies": 8}
    full = EvaluationPlan
    monkeypatch.setattr(evaluation, "EvaluationPlan", lambda **asked: full(**asked | sizes))


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", *map(str, arguments), "--device", "cpu"])
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


def test_the_command_writes_page_json_and_plots(made, tmp_path, few_prompts, small, capsys):
    out = tmp_path / "docs" / "benchmarks"
    code, printed, err = run(
        capsys,
        *(made / "tiny", "--folder", made / "prepared", "--evaluator", made / "evaluator.safetensors"),
        *("--repetitions", 1, "--clips", 32, "--out", out, "--baseline", made / "other"),
    )
    assert code == 0, err
    assert "R-precision top-3" in printed and "evaluation_tiny.md" in printed
    page = (out / "evaluation_tiny.md").read_text()
    found = json.loads((out / "evaluation_tiny.json").read_text())
    # The bundle is for any use, so the other source is left out.
    assert found["data"]["clips"] == 32 and found["data"]["left_out"] == {"non-commercial": HELD_OUT}
    assert list(found["text"]) == ["real", "reconstruction", OTHERS, "tiny", "other"]
    assert set(found["text"]["tiny"]) == {
        *("r_precision_1", "r_precision_2", "r_precision_3", "fid", "mm_dist", "diversity", "multimodality")
    }
    assert list(found["transitions"]) == [
        "real",
        "tiny",
        "other",
        "stitched, cross-faded",
        "stitched, end to end",
    ]
    # The baseline has the same weights, seeds and captions.
    for rows in (found["text"], found["directional"], found["subsequences"]):
        assert rows["other"]["fid"] == rows["tiny"]["fid"]
    assert 0 < found["seconds"]["baselines"] < sum(found["seconds"].values()) / 2
    assert found["data"]["directional_clips"] == 32
    assert {"foot_slide", "turn_direction", "named_side", "sample_spread"} <= set(found["geometry"]["tiny"])
    assert len(found["figures"]) == 9
    for figure in found["figures"]:
        assert f"| {figure['what']} | {figure['target']} | {figure['measured']} |" in page
    for part in ("scores", "transitions", "nearest", "actions"):
        picture = out.parent / "images" / f"evaluation_tiny_{part}.png"
        assert picture.stat().st_size > 3000 and f"](../images/{picture.name})" in page
    # What is said of other people's recordings stays out.
    assert "somebody walks" not in page and "somebody walks" not in json.dumps(found)


def evaluated(made, tmp_path, capsys) -> dict:
    """The JSON of an evaluation on ``tmp_path / "prepared"``."""
    given = ("--folder", tmp_path / "prepared", "--evaluator", made / "evaluator.safetensors")
    code, _, err = run(capsys, made / "tiny", *given, "--repetitions", 1, "--out", tmp_path / "pages")
    assert code == 0, err
    return json.loads((tmp_path / "pages" / "evaluation_tiny.json").read_text())


def test_clips_too_short_for_one_thing_are_measured_otherwise(made, tmp_path, few_prompts, small, capsys):
    prepare(tmp_path / "prepared" / "short", frames=20)
    found = evaluated(made, tmp_path, capsys)
    assert set(found["text"]) == {"real", "reconstruction", OTHERS, "tiny"}
    assert not found["transitions"] and not found["copying"]
    for what in (
        "No sequences: A sequence needs 2 clips",
        "No search for copies: The search for copies needs",
    ):
        assert any(note.startswith(what) for note in found["notes"])


def test_every_sequence_is_stitched_from_its_own_pieces(
    made, tmp_path, few_prompts, small, capsys, monkeypatch
):
    """Also where all prompts say the same, but last for different times."""
    prepare(tmp_path / "prepared" / "alike", caption="a person walks")
    monkeypatch.setattr(
        evaluation.sequences, "compositions", partial(evaluation.sequences.compositions, prompts=16)
    )
    stitch, lengths = evaluation.sequences.stitch, []

    def stitched(pieces, fade=0):
        lengths.append([piece.num_frames for piece in pieces])
        return stitch(pieces, fade)

    monkeypatch.setattr(evaluation.sequences, "stitch", stitched)
    assert evaluated(made, tmp_path, capsys)["data"]["compositions"] == [16, 16]
    first, second, *_ = lengths
    assert len(lengths) == 4 and first != second


def test_how_much_is_measured_is_asked_for(monkeypatch, capsys):
    """MultiModality as published, and sequences of the whole set."""
    from training import evaluate as module

    plans = []
    monkeypatch.setattr(module, "evaluate", lambda model, *, plan, **_: plans.append(plan) or ["page"])
    asked = {"repetitions": 10, "clips": 64, "compositions": 1000, "samples": 30, "prompts": 100, "seed": 3}
    code, printed, _ = run(
        capsys, "tiny", *(part for name, value in asked.items() for part in (f"--{name}", value))
    )
    assert code == 0 and printed == "Wrote page.\n" and plans == [EvaluationPlan(**asked)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--data", "kit"], "--data kit is not known; expected one of starter, humanml3d, babel."),
        (["--data", "babel"], "Add --released --evaluator FOLDER; or measure prepared clips"),
        (["--released"], "There is no released evaluator of the starter's data."),
        (
            ["--data", "humanml3d", "--released"],
            "holds 0 files text_mot_match/model/finest.tar; expected one.",
        ),
        (["--evaluator", "nowhere.safetensors"], "nowhere.safetensors does not exist."),
        (["--clips", "7"], "clips=7 is too small; expected at least 32."),
        (["--samples", "9"], "samples=9 is too small; expected at least 10."),
        (["--samples", "65"], "samples=65 is too large; expected at most 64."),
        (["--folder", "nowhere"], "nowhere holds no prepared source."),
        # Known before anything is measured.
        (["--out", "file/pages", "--folder", "nowhere"], "file/pages"),
    ],
)
def test_mistakes_are_told(made, tmp_path, monkeypatch, capsys, changes, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    given = ("--folder", made / "prepared", "--evaluator", made / "evaluator.safetensors")
    code, _, err = run(capsys, made / "tiny", *given, *changes)
    assert code == 1 and message in err and "Traceback" not in err
    assert not list(tmp_path.rglob("*.md"))


def test_a_model_may_be_a_run_or_a_checkpoint(tmp_path):
    (tmp_path / "generator").mkdir()
    (tmp_path / "generator" / "best.safetensors").write_bytes(b"broken")
    for given in (tmp_path, tmp_path / "generator" / "best.safetensors"):
        with pytest.raises(KmmError, match="best.safetensors"):
            load_model(str(given), "cpu")
    with pytest.raises(KmmError) as raised:
        load_model(str(tmp_path / "nothing"), "cpu")
    assert "nothing" in raised.value.message


def test_an_exported_bundle_is_called_as_its_run(made, tmp_path):
    """Or the pages of two runs' bundles would overwrite each other."""
    shutil.copytree(made / "tiny", tmp_path / "mine" / "bundle")
    assert load_model(str(tmp_path / "mine" / "bundle"), "cpu")[0] == "mine"


def test_the_packaged_evaluator_finds_what_the_starter_was_asked_for():
    asked = (
        "a person walks forward",
        "a person raises the left arm",
        "a person raises the right arm",
        "a person sits down",
    )
    pipeline = TextToMotion.load("starter", "cpu")
    measuring = load_evaluator(cli.EVALUATOR, pipeline.bundle.encoder, pipeline.representation.name)
    made = [
        pipeline.generate(Timeline.from_seconds(30, [(text, 3)]), seed=seed).clips[0]
        for seed, text in enumerate(asked)
    ]
    motion = measuring.embed_motions([pipeline.representation.encode(clip) for clip in made])
    distance = np.linalg.norm(measuring.embed_texts(asked)[:, None] - motion, axis=-1)
    assert (distance.argmin(axis=1) == np.arange(len(asked))).all()
