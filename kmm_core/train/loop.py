"""The training loop of all stages: one or several processes, and a resumed run repeats an unbroken one bit for bit.

All randomness in step n comes from (seed, n, process), so a checkpoint holds no state of random generators or loaders,
and a run that was killed and resumed takes the same steps as an unbroken one.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import parse_flag_from_env, send_to_device

from ..allocator import keep_freed_memory
from ..atomic_write import write_error
from ..errors import KmmError
from . import checkpoint
from .ema import WeightAverage
from .recorder import Recorder
from .schedule import learning_rate_factor
from .stage import Stage
from .train_settings import TrainSettings


@dataclass(frozen=True)
class TrainResult:
    """Where training stands.

    Attributes:
        step: steps done.
        finished: False if it was stopped early.
        metrics: of the last validation; empty before the first.
        best_value: lowest value of the stage's best metric so far.
        last: full checkpoint, to resume from.
        best: averaged weights of the best validation.
    """

    step: int
    finished: bool
    metrics: dict[str, float]
    best_value: float
    last: Path
    best: Path


def train(
    stage: Stage,
    settings: TrainSettings,
    folder: Path,
    *,
    resume: bool = False,
    stop: Callable[[], bool] | None = None,
) -> TrainResult:
    """Train ``stage``; leave ``last.safetensors``, ``best.safetensors``, metrics and pictures in ``folder``.

    Ctrl-C and SIGTERM end it after the step in progress, with a checkpoint. accelerate chooses the device.

    Args:
        stage: what to train.
        settings: how.
        folder: of this stage in this run.
        resume: continue from ``last.safetensors``, if there is one.
        stop: called after every step; True ends the training as Ctrl-C does.

    Raises:
        KmmError: ``run_exists`` for a folder with a checkpoint and no ``resume``; ``diverged`` where the loss
            is not finite (the last good checkpoint stays); ``checkpoint_mismatch``; ``disk_full`` and others
            where the folder can't be written.
    """
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    keep_freed_memory()
    accelerator = _accelerator(settings)
    main, rank = accelerator.is_main_process, accelerator.process_index
    objective = stage.objective.to(accelerator.device)
    average = WeightAverage(objective, settings.ema_decay)
    optimizer = torch.optim.AdamW(
        stage.parameter_groups()
        if stage.parameter_groups
        else _parameter_groups(objective, settings.weight_decay),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=accelerator.device.type in ("cpu", "cuda"),
    )
    peak_rates = [group["lr"] for group in optimizer.param_groups]
    start, best_value, metrics = 0, math.inf, {}
    if last.exists():
        if not resume:
            raise KmmError(
                "run_exists",
                f"{folder} already holds a run.",
                "Resume it (--resume), choose another run folder, or delete that one.",
            )
        state = checkpoint.load(last)
        if "model" not in state.groups:
            raise KmmError(
                "run_exists",
                f"{folder} holds a copy of a finished model's weights, from which training cannot continue.",
                "Name that model again (--set tokenizer_run=...), choose another run folder, or "
                "delete that one.",
            )
        checkpoint.load_into(objective, state.groups["model"], last)
        checkpoint.load_into(average.module, state.groups["ema"], last)
        checkpoint.load_optimizer(optimizer, state.groups.get("optimizer", {}))
        start, metrics = state.info["step"], state.info["metrics"]
        best_value = math.inf if state.info["best_value"] is None else state.info["best_value"]
        if accelerator.scaler is not None and state.info["scaler"]:
            accelerator.scaler.load_state_dict(state.info["scaler"])
    model, optimizer = accelerator.prepare(objective, optimizer)
    model.train()

    def info(step: int) -> dict[str, Any]:
        return {
            "stage": stage.name,
            "step": step,
            "metrics": metrics,
            "best_value": best_value if math.isfinite(best_value) else None,
            "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
            "settings": asdict(settings),
            "metadata": stage.metadata,
        }

    def draw(step: int) -> Any:
        rng = torch.Generator().manual_seed(_seed(settings.seed, step, rank, 0))
        return stage.make_batch(rng, settings.batch_size)

    step, stopping = start, False
    recorder = (
        Recorder(folder, stage.name, step=start, steps=settings.steps, line_every=settings.log_every)
        if main
        else None
    )
    window: list[dict[str, float]] = []
    with recorder or nullcontext(), _stop_signal() as signalled, ThreadPoolExecutor(1) as loader:
        upcoming = loader.submit(draw, start)
        while step < settings.steps and not stopping:
            batch = send_to_device(upcoming.result(), accelerator.device)
            upcoming = loader.submit(draw, step + 1)
            factor = learning_rate_factor(
                step,
                steps=settings.steps,
                warmup_steps=settings.warmup_steps,
                decay=settings.decay,
                final_ratio=settings.final_lr_ratio,
            )
            for group, peak in zip(optimizer.param_groups, peak_rates, strict=True):
                group["lr"] = peak * factor
            torch.manual_seed(_seed(settings.seed, step, rank, 1))
            rng = torch.Generator().manual_seed(_seed(settings.seed, step, rank, 2))

            losses = model(batch, rng)
            accelerator.backward(losses["loss"])
            norm = accelerator.clip_grad_norm_(model.parameters(), settings.gradient_clip or math.inf)
            wanted = signalled() or (stop is not None and stop())
            row = _mean_over_processes(accelerator, {**losses, "_stop": torch.tensor(float(wanted))})
            stopping = row.pop("_stop") > 0
            row["gradient_norm"] = float(norm)
            # With fp16 an infinite gradient is routine: the scaler skips that step.
            checked = (row["loss"],) if accelerator.scaler else (row["loss"], row["gradient_norm"])
            if not all(map(math.isfinite, checked)):
                raise KmmError(
                    "diverged",
                    f"The loss ({row['loss']:.4g}) or its gradient ({row['gradient_norm']:.4g}) is not "
                    f"finite at step {step} of {stage.name}.",
                    f"Lower the learning rate (now {settings.learning_rate}) and resume from {last}.",
                )
            optimizer.step()
            optimizer.zero_grad()
            average.update(step)
            step += 1

            at_end = step == settings.steps
            window.append(row)
            if main and (step % settings.log_every == 0 or at_end):
                means = {f"train/{key}": float(np.mean([row[key] for row in window])) for key in row}
                recorder.row(step, {**means, "train/learning_rate": settings.learning_rate * factor})
                window.clear()
            if main:
                recorder.advance(step, f"loss {row['loss']:.4f}")
            if step % settings.validate_every == 0 or at_end:
                if main:
                    metrics = _validate(
                        stage, average.module, folder / "pictures" / f"{step:07d}", settings.seed
                    )
                    recorder.row(step, {f"val/{key}": value for key, value in metrics.items()})
                    recorder.pictures(step, folder / "pictures" / f"{step:07d}")
                    shown = "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())
                    recorder.note(f"{stage.name} {step}/{settings.steps}  validation: {shown}")
                    if metrics[stage.best_metric] < best_value:
                        best_value = metrics[stage.best_metric]
                        checkpoint.save(best, {"ema": average.module.state_dict()}, info(step))
                accelerator.wait_for_everyone()
            if main and (step % settings.checkpoint_every == 0 or at_end or stopping):
                groups = {
                    "model": objective.state_dict(),
                    "ema": average.module.state_dict(),
                    "optimizer": checkpoint.optimizer_tensors(optimizer),
                }
                checkpoint.save(last, groups, info(step))
        upcoming.cancel()
    accelerator.wait_for_everyone()
    return TrainResult(step, step == settings.steps, metrics, best_value, last, best)


def processes() -> PartialState:
    """The processes that ``accelerate launch`` or torchrun started, on the CPU where there is no GPU."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or (several and not torch.cuda.is_available())
    return PartialState(cpu=on_cpu)


def end_process(code: int) -> None:
    """End one of several processes here and now; alone it does nothing. To be called last.

    The threads of torch's process group outlive destroy_process_group() once a module was wrapped, and one that runs
    while the interpreter is taken down can abort a process that has done all its work.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _accelerator(settings: TrainSettings) -> Accelerator:
    if settings.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise KmmError("bad_settings", 'mixed_precision="fp16" needs a CUDA GPU.', 'Use "bf16" or "no".')
    # accelerate remembers the precision of the last training in this process; each stage has its own.
    AcceleratorState._reset_state()
    processes()
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=True)]
    return Accelerator(mixed_precision=settings.mixed_precision, kwargs_handlers=handlers)


def _parameter_groups(module: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trained if weight.ndim >= 2], "weight_decay": weight_decay},
        {"params": [weight for weight in trained if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _seed(*parts: int) -> int:
    """One seed from several numbers, well mixed."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _mean_over_processes(accelerator: Accelerator, values: dict[str, torch.Tensor]) -> dict[str, float]:
    stacked = torch.stack([value.detach().float().to(accelerator.device) for value in values.values()])
    return dict(zip(values, accelerator.reduce(stacked, "mean").tolist(), strict=True))


def _validate(stage: Stage, module: torch.nn.Module, pictures: Path, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    try:
        pictures.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            metrics = stage.validate(module.eval(), pictures)
    except OSError as error:
        raise write_error(pictures, error) from error
    return {key: float(value) for key, value in metrics.items()}


@contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """While inside, Ctrl-C and SIGTERM only set a flag; a second one acts as usual."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # Signals go to the main thread alone.
        return

    def note(number, frame):
        received.append(number)
        signal.signal(number, before[number])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
