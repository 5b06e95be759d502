"""kmm-train: every command, and every mistake as one clear message without a traceback."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from kmm_core.train.loop import TrainResult
from training import cli, export, runs
from training.config import CONFIGS
from training.prepare import prepare


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as fewer:
        fewer.setattr("training.recipes.synthetic.CLIPS_OF_EACH", 3)
        prepare("synthetic", data=out, out=out, workers=1)
        yield out


def test_the_help_names_every_packaged_config(capsys):
    code, out, _ = run(capsys, "run", "--help")
    named = set(re.findall(r"[\w-]+", out))
    assert code == 0 and {path.stem for path in CONFIGS.glob("*.toml")} <= named


def test_help_names_every_command(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in ("prepare", "tokenizer", "generator", "run", "sample", "export", "evaluate", "inspect"):
        assert f" {command} " in out


def test_a_folder_that_the_redirected_output_has_no_letters_for(prepared, tmp_path):
    """As kmm-train > log.txt does on Windows, where that file is in the system's code page."""
    out = tmp_path / "путь"
    code = "import sys; from training.cli import main; main(sys.argv[1:])"
    result = subprocess.run(
        [sys.executable, "-c", code, "inspect", str(prepared), "--count=1", "--gifs=0", f"--out={out}"],
        cwd=Path(cli.__file__).parents[1],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0 and "1 pictures in" in result.stdout and not result.stderr


def test_without_the_packages_of_training_it_says_how_to_get_them():
    code = "import sys; sys.modules['typer'] = None; from training.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(cli.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "pip install 'kmm-core[train]'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tokenizer", "nope"], "nope is neither a file nor one of"),
        (["tokenizer", "tiny", "--set", "zzz=1"], "zzz is not a setting"),
        (["tokenizer", "tiny", "--set", "data.prepared=none"], "none"),
        (["tokenizer", "tiny", "--device", "tpu"], "--device tpu is not known; expected auto or cpu."),
        (["generator", "tiny"], "does not exist. Train that stage first."),
        (["run", "tiny", "--set", "train.tokenizer.steps=0"], "steps=0 must be at least 1."),
        (["prepare", "nope"], "There is no recipe 'nope'"),
        (["export", "nowhere"], "nowhere holds no trained stage."),
        (["sample", "nowhere", "a person walks"], "nowhere holds no trained stage."),
        (["sample", "nowhere", " "], "empty"),
        (["inspect", "nowhere"], "nowhere holds no manifest.jsonl"),
    ],
)
def test_mistakes_are_told_and_exit_with_1(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert err.startswith("kmm-train: ") and message in err and "Traceback" not in err
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    "arguments",
    [["tokenizer"], ["nope"], ["inspect", "x", "--count", "0"], ["sample", "x", "y", "--seconds", "-1"]],
)
def test_wrong_usage_exits_with_2(capsys, arguments):
    code, _, err = run(capsys, *arguments)
    assert code == 2 and "Usage" in err


def test_all_problems_of_a_config_are_listed(capsys, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[tokenizer]\nwidht = 3\nwidth = '3'\n[train.generator]\nsteps = 0\n")
    code, _, err = run(capsys, "tokenizer", path, "--set", "masking.strategy=none")
    assert code == 1
    for problem in (
        "mine.toml has 4 problems:",
        "tokenizer.widht is not a setting; did you mean width?",
        "tokenizer.width is '3'; expected a whole number.",
        "[train.generator] steps=0 must be at least 1.",
        "masking.strategy is 'none'; expected one of 'key_frame', 'random', 'confidence'.",
    ):
        assert problem in err


def test_prepare_then_nothing_new(capsys, prepared):
    code, out, _ = run(capsys, "prepare", "synthetic", "--out", prepared, "--workers", "1")
    assert code == 0 and "which ones" not in out
    assert "synthetic: 30 clips" in out and "(0 takes new" in out


def test_many_skipped_files_are_counted_and_their_list_is_named(capsys, prepared, tmp_path, monkeypatch):
    summary = prepare("synthetic", data=prepared, out=prepared, workers=1)
    skipped = tuple((f"{number}.npz", "it is broken") for number in range(25))
    monkeypatch.setattr("training.prepare.prepare", lambda *_, **__: replace(summary, skipped=skipped))
    code, _, err = run(capsys, "prepare", "synthetic", "--out", prepared)
    assert code == 0 and "skipped 19.npz: it is broken" in err and "20.npz" not in err
    assert f"skipped 5 more: {prepared / 'synthetic' / 'skipped.jsonl'}" in err


def test_inspect_draws_sheets_and_gifs(capsys, prepared, tmp_path):
    out = tmp_path / "pictures"
    code, printed, _ = run(
        capsys, "inspect", prepared, "--out", out, "--count", "3", "--gifs", "1", "--match", "left arm"
    )
    assert code == 0 and "3 clips on 2 pictures" in printed
    assert Image.open(out / "synthetic_00.png").size[0] > 500
    [gif] = out.glob("*.gif")
    assert "raise_arm_left" in gif.name and Image.open(gif).n_frames > 10
    code, _, err = run(capsys, "inspect", prepared, "--out", out, "--match", "somersault")
    assert code == 1 and "matches 'somersault'" in err


def test_inspect_into_a_file_is_one_sentence(capsys, prepared, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "inspect", prepared, "--out", tmp_path / "file")
    assert code == 1 and f"{tmp_path / 'file'} is not an existing folder" in err
    code, _, err = run(capsys, "inspect", prepared, "--out", tmp_path / "file" / "out")
    assert code == 1 and "Cannot write" in err


@pytest.fixture
def fake_stages(monkeypatch):
    """Stages that only note that they ran; ``finished`` may be changed."""
    notes = {"ran": [], "finished": True}

    def stage(name):
        def start(settings, folder, *, resume):
            notes["ran"].append((name, Path(folder), resume))
            return TrainResult(7, notes["finished"], {"error": 0.5}, 0.5, Path("last"), Path("best"))

        return start

    monkeypatch.setattr(runs, "train_tokenizer", stage("tokenizer"))
    monkeypatch.setattr(runs, "train_decoder", stage("decoder"))
    monkeypatch.setattr(runs, "train_generator", stage("generator"))
    monkeypatch.setattr(runs, "train_residual", stage("residual"))

    def export_bundle(run, out, overrides, generator_at, now):
        notes["ran"].append(("export", run, out, now and now.sampling.steps))
        return out

    monkeypatch.setattr(export, "export_bundle", export_bundle)
    return notes


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("generator_start=nowhere/best.safetensors", "nowhere/best.safetensors does not exist"),
        ("generator_start=nowhere", "Model 'nowhere' is neither"),
        ("learning.distil_guidance=2", "generator_start is empty"),
        ("generator_start=starter-nc", "starter-nc may only be used under CC-BY-NC-4.0"),
        ("tokenizer_run=starter-nc", "export.licence is CC0-1.0"),
        ("text.layers=0", "keeps the encoder's own"),
        ('text={encoder="clip", clip_model="/nowhere/clip", heads=2, width=64}', "/nowhere/clip"),
    ],
)
def test_run_finds_what_the_generator_would_refuse_before_it_trains(
    capsys, fake_stages, tmp_path, setting, message
):
    code, _, err = run(capsys, "run", "tiny", "--run", tmp_path, "--set", setting)
    assert code == 1 and err.startswith("kmm-train: ") and message in err
    assert not fake_stages["ran"]


def test_run_does_all_stages_in_order(capsys, fake_stages, prepared, tmp_path):
    settings = ["--set", f"data.prepared={prepared}", "--set", "sampling.steps=3"]
    code, out, _ = run(capsys, "run", "tiny", "--run", tmp_path, *settings)
    assert code == 0 and "tokenizer: step 7, error 0.5." in out
    assert fake_stages["ran"] == [
        ("tokenizer", tmp_path, True),
        ("decoder", tmp_path, True),
        ("generator", tmp_path, True),
        ("residual", tmp_path, True),
        ("export", tmp_path, tmp_path / "bundle", 3),
    ]
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "MODEL_CARD.md").write_text("mine")
    _, out, _ = run(capsys, "export", tmp_path)
    assert "MODEL_CARD.md was there before and stays" in out


def test_a_run_without_the_residual_stage(capsys, fake_stages, prepared, tmp_path):
    """Which would have to be deleted before the generator, trained on for some more steps, is exported."""
    settings = ["--set", f"data.prepared={prepared}", "--set", "residual_stage=false"]
    code, _, _ = run(capsys, "run", "tiny", "--run", tmp_path, *settings)
    assert code == 0
    assert [name for name, *_ in fake_stages["ran"]] == ["tokenizer", "decoder", "generator", "export"]


def test_a_stopped_stage_ends_the_run(capsys, fake_stages, prepared, tmp_path):
    fake_stages["finished"] = False
    code, _, err = run(capsys, "run", "tiny", "--run", tmp_path, "--set", f"data.prepared={prepared}")
    assert code == cli.STOPPED and "stopped at step 7" in err
    assert [name for name, *_ in fake_stages["ran"]] == ["tokenizer"]


def test_run_folder_is_named_after_the_config(capsys, fake_stages, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("[data]\nprepared = 'x'\n")
    run(capsys, "tokenizer", "mine.toml", "--resume")
    run(capsys, "generator", "starter")
    assert fake_stages["ran"] == [
        ("tokenizer", Path("runs/mine"), True),
        ("generator", Path("runs/starter"), False),
    ]


def test_the_program_itself_shows_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "training.cli", "export", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "holds no trained stage" in done.stderr
