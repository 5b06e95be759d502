"""Checkpoints: one safetensors file each, replaced in one move, so that a crash never leaves half of one.

The file holds groups of tensors, named ``group/tensor`` (``model/...``, ``ema/...``, ``optimizer/...``),
and a JSON text in its header. Nothing in it can run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from ..atomic_write import atomic_write
from ..errors import KmmError

_HEADER_KEY = "kmm_checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        groups: tensors by group and name.
        info: the step, metrics, settings and whatever the stage added.
    """

    groups: dict[str, dict[str, torch.Tensor]]
    info: dict[str, Any]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The weights to use: the averaged ones."""
        return self.groups["ema"]

    def weights_of(self, prefix: str) -> dict[str, torch.Tensor]:
        """Those of one part of the model, ``prefix`` such as ``"tokenizer."`` taken off their names."""
        return {
            name[len(prefix) :]: tensor for name, tensor in self.weights.items() if name.startswith(prefix)
        }


def save(path: Path, groups: Mapping[str, Mapping[str, torch.Tensor]], info: Mapping[str, Any]) -> None:
    """Write a checkpoint; the file at ``path`` is the old one or the new one, never a part.

    Raises:
        KmmError: ``disk_full``, ``no_folder``, ``no_permission`` or ``cannot_write``.
    """
    # Cloned because safetensors refuses tensors that share memory (weights used twice in a model).
    tensors = {
        f"{group}/{name}": tensor.detach().to("cpu", copy=True).contiguous()
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    content = safetensors.torch.save(tensors, metadata={_HEADER_KEY: json.dumps(dict(info))})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def load(path: Path, *, groups: tuple[str, ...] | None = None) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Args:
        path: the file.
        groups: only these groups; all by default.

    Raises:
        KmmError: ``no_checkpoint`` where the file is missing, ``bad_checkpoint`` where it is not one of ours.
    """
    if not path.is_file():
        raise KmmError("no_checkpoint", f"{path} does not exist.", "Train that stage first.")
    try:
        with safe_open(path, framework="pt") as file:
            info = json.loads((file.metadata() or {})[_HEADER_KEY])
            result: dict[str, dict[str, torch.Tensor]] = {}
            for key in file.keys():  # noqa: SIM118 - it is not a dict
                group, name = key.split("/", 1)
                if groups is None or group in groups:
                    # Copied: a tensor keeps the whole file mapped, and Windows replaces no file that is.
                    result.setdefault(group, {})[name] = file.get_tensor(key).clone()
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise KmmError(
            "bad_checkpoint",
            f"{path} is not a readable kmm checkpoint ({type(error).__name__}: {error}).",
            "Delete it and train again, or restore it from a copy.",
        ) from error
    return Checkpoint(result, info)


def load_into(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Put ``tensors`` into ``module``.

    Raises:
        KmmError: ``checkpoint_mismatch`` where names or shapes differ; the message names the first that does.
    """
    own = module.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        expected = tuple(own[name].shape) if name in own else "nothing"
        given = tuple(tensors[name].shape) if name in tensors else "nothing"
        if expected != given:
            raise KmmError(
                "checkpoint_mismatch",
                f"{path} holds {given} for {name!r}, but these settings expect {expected}.",
                "Use the settings it was trained with, or another run folder.",
            )
    module.load_state_dict(dict(tensors))


def start_with(module: torch.nn.Module, given: Mapping[str, torch.Tensor], source: str) -> int:
    """Puts weights into ``module`` wherever name and shape agree; returns how many did.

    Args:
        module: what starts with them.
        given: averaged weights of a checkpoint, or those of a bundle.
        source: where they come from, for the message.

    Raises:
        KmmError: ``checkpoint_mismatch`` where none fits.
    """
    own = module.state_dict()
    fitting = {name: t for name, t in given.items() if name in own and own[name].shape == t.shape}
    if not fitting:
        raise KmmError(
            "checkpoint_mismatch",
            f"None of the {len(given)} weights in {source} fits this model of {len(own)}.",
            "Use a checkpoint of the same stage with similar settings.",
        )
    module.load_state_dict(fitting, strict=False)
    return len(fitting)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state as flat tensors, ``index.name``. Rates and decay come from the config."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, slots in state.items()
        for name, value in slots.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """The inverse of ``optimizer_tensors``; keeps the optimizer's own learning rate and decay."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
