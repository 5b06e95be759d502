"""Checkpoint files: round trip, atomic, no pickle, clear errors."""

import errno
import pickle

import pytest
import torch
from torch import nn

from kmm_core.errors import KmmError
from kmm_core.train import checkpoint


def test_round_trip(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    groups = {
        "model": {"a": shared, "tied": shared, "b.c": shared.T, "flag": torch.tensor(True)},
        "ema": {"a": torch.zeros(0), "n/slash": torch.tensor(3, dtype=torch.int64)},
    }
    checkpoint.save(tmp_path / "one.safetensors", groups, {"step": 3, "lr": 0.1 + 0.2})
    back = checkpoint.load(tmp_path / "one.safetensors")
    assert back.info == {"step": 3, "lr": 0.1 + 0.2}
    for group, tensors in groups.items():
        assert back.groups[group].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert (
                torch.equal(back.groups[group][name], tensor)
                and back.groups[group][name].dtype == tensor.dtype
            )
    assert back.weights is back.groups["ema"]
    assert set(checkpoint.load(tmp_path / "one.safetensors", groups=("ema",)).groups) == {"ema"}


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "one.safetensors"
    checkpoint.save(path, {"ema": {"a": torch.ones(2)}}, {"step": 1})

    def full(self, content):
        with open(self, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(KmmError, match="disk is full"):
        checkpoint.save(path, {"ema": {"a": torch.zeros(2)}}, {"step": 2})
    assert checkpoint.load(path).info["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["one.safetensors"]


def test_what_was_loaded_does_not_depend_on_the_file(tmp_path):
    """Windows refuses to replace a file that is mapped: a resumed training could not save its next checkpoint."""
    path = tmp_path / "one.safetensors"
    checkpoint.save(path, {"optimizer": {"0.exp_avg": torch.ones(2000)}}, {"step": 1})
    loaded = checkpoint.load(path).groups["optimizer"]["0.exp_avg"]
    with path.open("rb+") as file:  # Windows refuses this as well
        file.write(bytes(path.stat().st_size))
    assert torch.equal(loaded, torch.ones(2000))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"a": 1}), b"\x10" * 200])
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "one.safetensors"
    path.write_bytes(content)
    with pytest.raises(KmmError, match="not a readable kmm checkpoint") as caught:
        checkpoint.load(path)
    assert caught.value.code == "bad_checkpoint"


def test_truncated_and_other_safetensors_are_refused(tmp_path):
    path = tmp_path / "one.safetensors"
    checkpoint.save(path, {"ema": {"a": torch.ones(100)}}, {})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(KmmError, match="not a readable kmm checkpoint"):
        checkpoint.load(path)
    checkpoint.safetensors.torch.save_file({"weight": torch.ones(1)}, path)
    with pytest.raises(KmmError, match="not a readable kmm checkpoint"):
        checkpoint.load(path)


def test_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(KmmError, match=r"does not exist\. Train that stage first"):
        checkpoint.load(tmp_path / "none.safetensors")


def test_weights_that_do_not_fit_are_named(tmp_path):
    good = nn.Linear(2, 3).state_dict()
    with pytest.raises(KmmError, match="holds nothing for 'bias'"):
        checkpoint.load_into(nn.Linear(2, 3), {"weight": good["weight"]}, tmp_path)
    with pytest.raises(KmmError, match=r"holds \(1,\) for 'extra', but these settings expect nothing"):
        checkpoint.load_into(nn.Linear(2, 3), {**good, "extra": torch.ones(1)}, tmp_path)


def test_optimizer_state_round_trip_keeps_new_rates():
    def stepped(lr):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        return optimizer

    one, other = stepped(0.1), torch.optim.AdamW(nn.Linear(3, 2).parameters(), lr=0.5)
    checkpoint.load_optimizer(other, checkpoint.optimizer_tensors(one))
    assert other.param_groups[0]["lr"] == 0.5
    for index, slots in one.state_dict()["state"].items():
        for name, value in slots.items():
            assert torch.equal(other.state_dict()["state"][index][name], value)


def test_a_model_starts_with_the_weights_that_fit():
    given = {"0.weight": torch.full((2, 3), 7.0), "0.bias": torch.ones(5)}
    model = nn.Sequential(nn.Linear(3, 2))
    bias = model[0].bias.detach().clone()
    assert checkpoint.start_with(model, given, "other") == 1
    assert (model[0].weight == 7).all() and torch.equal(model[0].bias, bias)


def test_weights_of_another_model_are_refused():
    with pytest.raises(KmmError, match="None of the 1 weights in other fits"):
        checkpoint.start_with(nn.Linear(3, 2), {"x": torch.ones(1)}, "other")
