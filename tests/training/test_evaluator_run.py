"""``kmm-train evaluator``: from prepared clips to a file that measures."""

from pathlib import Path

import numpy as np
import pytest

from kmm_core.evaluate.evaluator import load_evaluator
from tests.letter_encoder import LetterEncoder
from tests.training.made_up_clips import write_made_up_clips
from training import cli, runs


@pytest.fixture
def prepared(tmp_path) -> Path:
    return write_made_up_clips(tmp_path / "prepared", each=2)


def test_the_command_leaves_an_evaluator(prepared, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs, "load_text_encoder", lambda settings: LetterEncoder())
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    run = tmp_path / "run"
    settings = {
        "data.prepared": prepared,
        **{f"evaluator.{part}": 8 for part in ("movement_width", "motion_width", "text_width", "width")},
        "train.evaluator.steps": 4,
        "train.evaluator.batch_size": 4,
    }
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    for again in ([], ["--resume"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(["evaluator", "tiny", "--run", str(run), *changes, *again])
        assert not ended.value.code
        assert "evaluator: step 4" in capsys.readouterr().out
    frozen = load_evaluator(run / "evaluator" / "evaluator.safetensors", LetterEncoder(), "272")
    assert frozen.evaluator.settings.width == 8 and (frozen.evaluator.std > 0).all()
    assert frozen.evaluator.std.unique().numel() > 2  # the data's own
    assert frozen.embed_texts(["walk none"]).shape == (1, 8)
    assert np.isfinite(frozen.embed_motions([np.zeros((20, 272), np.float32)])).all()
