"""``kmm-train evaluator``: from prepared clips to a file that measures."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from kmm_core.evaluate.evaluator import load_evaluator
from kmm_core.text.encoder import TokenOutputs
from kmm_core.train.prepared import PreparedClip, clip_path, save_clip, write_manifest
from training import cli, runs
from training.recipes.synthetic import make_clip


class LetterEncoder:
    """One vector for each letter."""

    name, width, num_parameters = "letters", 4, 0

    def encode(self, prompts):
        length = max(map(len, prompts))
        codes = torch.tensor([[ord(letter) for letter in prompt.ljust(length)] for prompt in prompts])
        mask = torch.arange(length) < torch.tensor([[len(prompt)] for prompt in prompts])
        return TokenOutputs(torch.sin(codes[..., None] * torch.arange(1, self.width + 1)), mask)


@pytest.fixture
def prepared(tmp_path) -> Path:
    folder = tmp_path / "prepared" / "synthetic"
    (folder / "clips").mkdir(parents=True)
    clips = []
    for action, side in (("walk", "none"), ("raise_arm", "left"), ("squat", "both")):
        for number in range(2):
            clip = make_clip(action, side, "none", random.Random(number))
            about = PreparedClip(
                id=f"{action}_{number}",
                source="synthetic",
                licence="CC0-1.0",
                noncommercial=False,
                split="val" if number == 0 else "train",
                recording=f"{action}_{number}",
                start=0.0,
                frames=clip.num_frames,
                captions=(f"{action} {side}",),
                mirrored_captions=(f"{action} {side}".replace("left", "right"),),
                labels={"action": action, "side": side, "turn": "none"},
            )
            save_clip(clip_path(folder, about.id), clip)
            clips.append(about)
    write_manifest(folder, clips)
    return folder.parent


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
