"""The training loop on a toy stage. Run as a script it trains that stage, for the tests that kill it."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from kmm_core.errors import KmmError
from kmm_core.train import checkpoint
from kmm_core.train.ema import WeightAverage
from kmm_core.train.loop import train
from kmm_core.train.schedule import learning_rate_factor
from kmm_core.train.stage import Stage
from kmm_core.train.train_settings import TrainSettings

SETTINGS = TrainSettings(
    steps=40,
    batch_size=8,
    learning_rate=1e-2,
    warmup_steps=4,
    validate_every=20,
    checkpoint_every=10,
    log_every=5,
)


class Toy(nn.Module):
    """Learns the sum of its inputs, with everything that a resume could get wrong: dropout, buffers, rng."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 1))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(4))
        self.at_call = {}

    def forward(self, batch, rng):
        self.at_call.get(int(self.calls), lambda: None)()
        if self.training:
            self.calls += 1
            self.mean.lerp_(batch.mean(0), 0.1)
        noisy = batch + 0.1 * torch.randn(batch.shape, generator=rng)
        error = self.layers(noisy - self.mean) - batch.sum(-1, keepdim=True)
        return {"loss": error.square().mean(), "largest": error.abs().max()}


def toy_stage() -> Stage:
    torch.manual_seed(7)

    def validate(objective, folder):
        (folder / "note.txt").write_text("seen")
        rng = torch.Generator().manual_seed(0)
        return {"error": float(objective(torch.randn(16, 4, generator=rng), rng)["loss"])}

    return Stage("toy", Toy(), lambda rng, size: torch.randn(size, 4, generator=rng), validate, "error")


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_state(one: Path, other: Path):
    one, other = checkpoint.load(one).groups, checkpoint.load(other).groups
    assert one.keys() == other.keys() == {"model", "ema", "optimizer"}
    for group in one:
        assert one[group].keys() == other[group].keys() and one[group]
        for name in one[group]:
            assert torch.equal(one[group][name], other[group][name]), f"{group}/{name}"


def run_script(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, __file__, str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return train(toy_stage(), SETTINGS, folder), folder


def test_it_learns_and_leaves_checkpoints_metrics_and_pictures(unbroken):
    result, folder = unbroken
    assert result.step == 40 and result.finished
    written = rows(folder)
    losses = [row["train/loss"] for row in written if "train/loss" in row]
    assert len(losses) == 8 and min(losses) < 0.5 * losses[0]
    assert [row["step"] for row in written if "val/error" in row] == [20, 40]
    assert result.best_value == min(row["val/error"] for row in written if "val/error" in row)
    assert (folder / "pictures/0000020/note.txt").exists()
    assert list((folder / "tensorboard").iterdir())
    assert checkpoint.load(result.best).info["best_value"] == result.best_value
    assert set(checkpoint.load(result.best).groups) == {"ema"}


def test_killed_and_resumed_equals_unbroken(unbroken, tmp_path):
    result, folder = unbroken
    # Step 27 lies between checkpoints, after one best checkpoint and with rows to take back.
    killed = run_script(tmp_path, "--kill-at", "27")
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint.load(tmp_path / "last.safetensors").info["step"] == 20
    assert rows(tmp_path)[-1]["step"] == 25
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 26, "train/lo')  # A torn row.
    resumed = run_script(tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_state(result.last, tmp_path / "last.safetensors")
    assert rows(tmp_path) == rows(folder)


def test_resume_of_a_finished_run_changes_nothing(unbroken, tmp_path):
    result, folder = unbroken
    before = result.last.read_bytes()
    again = train(toy_stage(), SETTINGS, folder, resume=True)
    assert (again.step, again.finished, again.metrics) == (40, True, result.metrics)
    assert result.last.read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops(unbroken, tmp_path, number):
    stage = toy_stage()
    stage.objective.at_call = {13: lambda: os.kill(os.getpid(), number)}
    handler = signal.getsignal(number)
    result = train(stage, SETTINGS, tmp_path)
    assert (result.step, result.finished) == (14, False)
    assert signal.getsignal(number) is handler
    train(toy_stage(), SETTINGS, tmp_path, resume=True)
    assert_same_state(unbroken[0].last, result.last)


def test_stop_is_asked(tmp_path):
    answers = iter([False, False, True])
    result = train(toy_stage(), SETTINGS, tmp_path, stop=lambda: next(answers))
    assert (result.step, result.finished) == (3, False)


def test_not_a_number_stops_and_keeps_the_last_checkpoint(tmp_path):
    stage = toy_stage()
    weight = stage.objective.layers[0].weight
    stage.objective.at_call = {17: lambda: weight.data.fill_(math.nan)}
    with pytest.raises(KmmError, match=r"not finite at step 17 of toy.*learning rate") as caught:
        train(stage, SETTINGS, tmp_path)
    assert caught.value.code == "diverged"
    kept = checkpoint.load(tmp_path / "last.safetensors")
    assert kept.info["step"] == 10
    assert all(tensor.isfinite().all() for tensor in kept.groups["model"].values())


def test_a_run_is_not_overwritten(unbroken):
    with pytest.raises(KmmError, match=r"already holds a run\. Resume it") as caught:
        train(toy_stage(), SETTINGS, unbroken[1])
    assert caught.value.code == "run_exists"


def test_resume_with_other_sizes_is_refused(unbroken):
    stage = toy_stage()
    stage.objective.layers[0] = nn.Linear(4, 15)
    with pytest.raises(
        KmmError, match=r"holds \(16,\) for 'layers.0.bias', but these settings expect \(15,\)"
    ):
        train(stage, SETTINGS, unbroken[1], resume=True)


def test_full_disk_is_one_sentence(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(KmmError, match="disk is full"):
        train(toy_stage(), SETTINGS, tmp_path)


def test_unwritable_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(KmmError, match="Cannot write"):
        train(toy_stage(), SETTINGS, tmp_path / "file" / "run")


def test_precision_can_differ_between_stages(tmp_path):
    short = {"steps": 2, "warmup_steps": 0}
    train(toy_stage(), TrainSettings(**short, mixed_precision="bf16"), tmp_path / "bf16")
    train(toy_stage(), TrainSettings(**short), tmp_path / "full")
    weights = [checkpoint.load(tmp_path / name / "last.safetensors").weights for name in ("bf16", "full")]
    assert not torch.equal(weights[0]["layers.0.weight"], weights[1]["layers.0.weight"])
    if not torch.cuda.is_available():
        with pytest.raises(KmmError, match="needs a CUDA GPU"):
            train(toy_stage(), TrainSettings(mixed_precision="fp16"), tmp_path / "fp16")


def test_stage_may_group_its_parameters(tmp_path):
    stage = toy_stage()
    still, moving = stage.objective.layers[0], stage.objective.layers[3]
    before = still.weight.detach().clone(), moving.weight.detach().clone()
    stage.parameter_groups = lambda: [
        {"params": still.parameters(), "lr": 0.0},
        {"params": moving.parameters()},
    ]
    train(stage, TrainSettings(steps=2, warmup_steps=0), tmp_path)
    assert torch.equal(still.weight, before[0]) and not torch.equal(moving.weight, before[1])


def test_learning_rate_warms_up_and_falls():
    def factor(step, **more):
        return learning_rate_factor(step, steps=101, warmup_steps=10, final_ratio=0.1, **more)

    assert factor(0) == pytest.approx(0.1) and factor(9) == 1.0 and factor(10) == 1.0
    assert factor(55) == pytest.approx(0.55) and factor(100) == pytest.approx(0.1)
    assert factor(77, decay="constant") == 1.0


def test_weight_average_is_the_exponential_one_and_copies_buffers():
    module = nn.BatchNorm1d(2)
    module.bias.requires_grad_(False)
    average = WeightAverage(module, 0.5)
    expected, gone = torch.ones(2), 0
    for step in range(20):
        module.weight.data.fill_(float(step))
        module.running_mean.fill_(step)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        gone = step
    assert torch.allclose(average.module.weight, expected)
    assert torch.equal(average.module.running_mean, torch.full((2,), float(gone)))
    assert not average.module.training and not average.module.weight.requires_grad


def test_settings_name_every_problem():
    with pytest.raises(KmmError) as caught:
        TrainSettings(steps=0, betas=(0.9, 1.0), seed=-1, decay="linear")
    for name in ("steps=0", "betas=(0.9, 1.0)", "seed=-1", "decay='linear'"):
        assert name in str(caught.value)


if __name__ == "__main__":
    toy = toy_stage()
    if "--kill-at" in sys.argv:
        step = int(sys.argv[sys.argv.index("--kill-at") + 1])
        toy.objective.at_call = {step: lambda: os.kill(os.getpid(), signal.SIGKILL)}
    train(toy, SETTINGS, Path(sys.argv[1]), resume=True)
