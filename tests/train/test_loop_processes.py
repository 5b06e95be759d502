"""Two processes through accelerate on the CPU: gradients are averaged and only the first process writes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from kmm_core.train import checkpoint
from kmm_core.train.loop import _seed, end_process, train
from kmm_core.train.stage import Stage
from kmm_core.train.train_settings import TrainSettings

SETTINGS = TrainSettings(
    steps=6,
    batch_size=3,
    learning_rate=0.05,
    warmup_steps=0,
    validate_every=3,
    checkpoint_every=2,
    log_every=1,
)


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.sometimes = nn.Linear(4, 1)  # Without a gradient in every second step.
        self.calls = 0

    def forward(self, batch, rng):
        guess = self.linear(batch)
        if self.calls % 2:
            guess = guess + self.sometimes(batch)
        self.calls += self.training
        return {"loss": (guess - batch.sum(-1, keepdim=True)).square().mean()}


def line_stage(make_batch) -> Stage:
    torch.manual_seed(7)
    return Stage("line", Line(), make_batch, lambda objective, folder: {"error": 1.0}, "error")


def draw(rng: torch.Generator, size: int) -> torch.Tensor:
    return torch.randn(size, 4, generator=rng)


def test_two_processes_equal_one_with_both_batches(tmp_path):
    root = Path(__file__).parents[2]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # accelerate's own --cpu starts one process unless MPI is there; this starts two, on the CPU.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", str(port)]
    done = subprocess.run(
        [*launch, __file__, str(tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("two/process*")) == ["process0", "process1"]

    # The same in one process: what both drew, in one batch. Batches are drawn in the order of the steps.
    steps = iter(range(100))

    def draw_both(rng, size):
        step = next(steps)
        rngs = [torch.Generator().manual_seed(_seed(SETTINGS.seed, step, rank, 0)) for rank in (0, 1)]
        return torch.cat([draw(rng, size) for rng in rngs])

    one = train(line_stage(draw_both), SETTINGS, tmp_path / "one")
    two = checkpoint.load(tmp_path / "two" / "last.safetensors")
    for name, tensor in checkpoint.load(one.last).groups["model"].items():
        assert torch.allclose(two.groups["model"][name], tensor, atol=1e-6), name

    written = [
        [json.loads(row) for row in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("one", "two")
    ]
    assert [row["step"] for row in written[0]] == [row["step"] for row in written[1]]
    for mine, theirs in zip(*written, strict=True):
        assert abs(mine.get("train/loss", 0) - theirs.get("train/loss", 0)) < 1e-5


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    (folder / f"process{os.environ['RANK']}").touch()
    train(line_stage(draw), SETTINGS, folder)
    end_process(0)
