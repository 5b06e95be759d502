"""The real worker, driven by the client that Blender uses: right motion, cancelled and killed at every stage.

``test_worker_faults.py`` has the workers that misbehave.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import venv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kmm_core
from kmm_blender.jobs import worker_client
from kmm_blender.jobs.worker_client import Timeouts, WorkerClient
from kmm_core.clip import MotionClip
from kmm_core.protocol import GenerateRequest
from kmm_core.timeline import Prompt, Timeline
from tests.blender_light.fake_workers import REPOSITORY, finish, last_lines
from tests.tiny_bundle import save_tiny_bundle

PYTHON = Path(sys.executable)
TIMELINE = Timeline.from_seconds(24, [("a person walks forward", 2), ("a person waves", 1.5)])
PATIENT = Timeouts(hello=120, cancel=60)  # a busy machine is no fault
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(save_tiny_bundle(tmp_path_factory.mktemp("Mödelle mit Leerzeichen") / "tiny 模型"))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    client = WorkerClient(PYTHON, tmp_path_factory.mktemp("log") / "worker.log", timeouts=PATIENT)
    yield client
    client.close()


@pytest.fixture
def ask(model, request):
    """Requests to the tiny model with job names of their own."""
    number = iter(range(100))

    def ask(timeline: Timeline = TIMELINE, **settings) -> GenerateRequest:
        settings.setdefault("model", model)
        return GenerateRequest(f"{request.node.name} {next(number)}", timeline, **settings)

    return ask


def _long(ask) -> GenerateRequest:
    """A job of half a minute or so."""
    return ask(Timeline.from_seconds(30, [("a person walks", 100)] * 6), samples=4, steps=100)


def _poll_until(client: WorkerClient, true, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came to that"
        client.poll()
        time.sleep(0.005)


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def test_motion_is_that_of_the_pipeline_and_progress_is_told(client, ask, model):
    from kmm_core.pipeline import TextToMotion

    seen = []
    client.close()  # the worker of another test has loaded all
    request = ask(seed=5, samples=2, steps=4, guidance_scale=1.5)
    job = client.generate(request)
    finish(client, job, 300, lambda: seen.append((job.state, job.stage, job.done, job.total)))
    assert job.state == "done", job.error
    made = TextToMotion.load(model, "cpu").generate(TIMELINE, seed=5, samples=2, steps=4, guidance_scale=1.5)
    for ours, theirs in zip(job.clips, made.clips, strict=True):
        assert (ours.num_frames, ours.fps) == (84, 24)
        np.testing.assert_allclose(ours.root_positions, theirs.root_positions, atol=1e-5)
        np.testing.assert_allclose(ours.local_rotations, theirs.local_rotations, atol=1e-5)
    assert set(job.seconds) == {"text", "tokens", "motion", "clean-up"} and job.note == ""
    states = [state for state, *_ in seen]
    assert states == sorted(states, key=["starting", "loading", "generating", "done"].index)
    assert {("generating", "generating", step, 5) for step in range(1, 5)} & set(seen)
    assert seen[-1][0] == "done" and set(states) == {"starting", "loading", "generating", "done"}


def test_the_panel_learns_what_runs(client, ask):
    finish(client, client.generate(ask()), 300)
    info = client.info
    assert (info.model, info.licence, info.credits) == ("tiny", "CC0-1.0", ("Nobody.",))
    assert (
        info.text_encoder == "all-MiniLM-L6-v2" and info.device == "cpu" and info.parameters["generator"] > 0
    )
    assert 50e6 < info.memory_bytes < 20e9 and info.device_memory_bytes == 0 and client.state == "ready"


def test_what_is_kept_comes_back(client, ask):
    kept = np.zeros(84, dtype=bool)
    kept[:20] = True
    first = finish(client, client.generate(ask(seed=1)), 300).clips[0]
    again = finish(client, client.generate(ask(seed=2, keep_clip=first, keep_frames=kept)), 300).clips[0]
    np.testing.assert_allclose(again.root_positions[:20], first.root_positions[:20], atol=1e-5)
    np.testing.assert_allclose(again.local_rotations[:20], first.local_rotations[:20], atol=1e-5)


def test_a_model_that_was_exported_again_is_read_again(client, ask, tmp_path):
    """Somebody trains one of their own further, with Blender open."""
    folder = save_tiny_bundle(tmp_path / "mine")
    request = ask(model=str(folder), seed=4)
    finish(client, client.generate(request), 300)
    assert client.info.version != "2"
    config = folder / "config.json"
    text = json.dumps({**json.loads(config.read_text()), "version": "2"})
    config.write_text(text)
    os.utime(config, ns=(0, 0))
    finish(client, client.generate(ask(model=str(folder), seed=4)), 300)
    assert client.info.version == "2"


def test_errors_of_the_pipeline_arrive_and_the_worker_stays(client, ask, tmp_path):
    finish(client, client.generate(ask()), 300)
    pid = client.pid
    job = finish(client, client.generate(ask(model="no such model")), 300)
    assert (
        job.state == "failed" and job.error.code == "bundle_missing" and "no such model" in job.error.message
    )
    job = finish(client, client.generate(ask(device="mps" if sys.platform == "linux" else "cuda")), 300)
    assert job.state == "failed" and job.error.code == "no_device"
    assert finish(client, client.generate(ask()), 300).state == "done" and client.pid == pid


def test_models_change_without_a_new_worker_and_cleanup_can_be_left_out(client, ask):
    finish(client, client.generate(ask()), 300)
    pid = client.pid
    job = finish(client, client.generate(ask(model="starter")), 300)
    assert job.state == "done" and client.info.model == "starter" and client.pid == pid
    assert client.info.licence == "GPL-3.0-or-later"
    raw = finish(client, client.generate(ask(model="starter", foot_cleanup=False)), 300).clips[0]
    assert not np.allclose(raw.local_rotations, job.clips[0].local_rotations, atol=1e-4)
    finish(client, client.generate(ask()), 300)
    assert client.info.model == "tiny" and client.pid == pid


@pytest.mark.parametrize("stage", ["starting", "loading", "generating", "receiving"])
def test_cancelled_at_every_stage_and_generated_again_at_once(client, ask, stage, monkeypatch):
    if stage == "starting":
        client.close()
    # One message a poll, so that no stage is over before it was seen.
    monkeypatch.setattr(worker_client, "_POLL_SECONDS", 0)
    requests = {"loading": ask(model="starter"), "receiving": ask(samples=40)}
    job = client.generate(requests.get(stage) or _long(ask))
    _poll_until(client, lambda: stage in (job.state, job.stage) and (stage != "generating" or job.done > 0))
    client.cancel(job)
    assert job.state == "cancelled" and job.clips is None
    again = finish(client, client.generate(ask(seed=3)), 300)
    assert again.state == "done" and len(again.clips) == 1, again.error
    assert job.state == "cancelled" and job.clips is None


def test_a_cancel_stops_the_work_itself(client, ask):
    finish(client, client.generate(ask()), 300)
    pid = client.pid
    job = client.generate(_long(ask))
    _poll_until(client, lambda: job.done > 1)
    step = time.monotonic()
    _poll_until(client, lambda done=job.done: job.done > done + 1)
    step = (time.monotonic() - step) / 2
    started = time.monotonic()
    client.cancel(job)
    _poll_until(client, lambda: client.state == "ready")
    assert client.pid == pid and time.monotonic() - started < 2 + 10 * step


@posix_only
@pytest.mark.parametrize("stage", ["loading", "generating", "sending"])
def test_killed_at_every_stage_and_generated_again(client, ask, stage):
    finish(client, client.generate(ask()), 300)
    if stage == "sending":
        # More than the system buffers; without polling the worker is stuck in the middle of it.
        job = client.generate(ask(Timeline.from_seconds(240, [("a person walks", 100)]), samples=4))
        _poll_until(client, lambda: job.stage in ("making the motion", "receiving"))
        _wait_for_sleep(client.pid)
    else:
        job = client.generate(ask(model="starter") if stage == "loading" else _long(ask))
        _poll_until(client, lambda: job.state == stage and (stage == "loading" or job.done > 0))
    pid = client.pid
    os.kill(pid, signal.SIGKILL)
    finish(client, job, 60)
    assert job.state == "failed" and job.error.code == "worker_died" and job.clips is None
    doing = "loaded the model" if stage == "loading" else "generated"
    assert (
        f"signal 9 (SIGKILL, as the system does when memory runs out) while it {doing}"
        in job.error.message.replace(f" ({last_lines(client, 1)[0].strip()})", "")
    )
    assert client.state == "failed" and _gone(pid)
    again = finish(client, client.generate(ask(seed=3)), 300)
    assert again.state == "done" and client.state == "ready" and client.error is None


def _wait_for_sleep(pid: int) -> None:
    """Until the process computes no more."""
    if not Path("/proc").exists():
        time.sleep(20)
        return
    used = -1
    while used != (
        used := sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    ):
        time.sleep(1.5)


@posix_only
@pytest.mark.parametrize("stage", ["loading", "generating", "ready"])
def test_the_worker_dies_with_blender(tmp_path, model, stage):
    code = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY)!r})
from kmm_blender.jobs.worker_client import WorkerClient
from kmm_core.protocol import GenerateRequest
from kmm_core.timeline import Timeline
from tests.blender_light.fake_workers import finish
client = WorkerClient(Path(sys.executable), Path({str(tmp_path / "log")!r}))
ready = {stage == "ready"}
timeline = Timeline.from_seconds(30, [("a person walks", 1 if ready else 600)])
job = client.generate(GenerateRequest("a", timeline, model={model!r}, steps=2 if ready else 100, samples=1 if ready else 8))
while job.state != "loading" if {stage == "loading"} else not (job.state == "generating" and job.done or job.finished):
    client.poll(); time.sleep(0.01)
if ready:
    finish(client, job)
print(client.pid, job.state, flush=True)
time.sleep(600)
"""
    blender = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        pid, state = blender.stdout.readline().split()
        assert state == ("done" if stage == "ready" else stage) and not _gone(int(pid))
    finally:
        blender.kill()
        blender.wait()
        blender.stdout.close()
    deadline = time.monotonic() + 30
    while not _gone(int(pid)):
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.05)


def _environment(folder: Path, *packages: str) -> Path:
    """A Python of its own with some packages of this one linked in; its interpreter."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    (library,) = (
        folder.glob("lib/python*/site-packages") if os.name != "nt" else folder.glob("Lib/site-packages")
    )
    site = Path(np.__file__).parents[1]
    if "*" in packages:
        (library / "all.pth").write_text(str(site))
    else:
        for name in packages:
            (library / name).symlink_to(site / name, target_is_directory=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@posix_only
def test_missing_packages_are_named(tmp_path, ask):
    bare = _environment(tmp_path / "bare")
    linked = ["numpy"] + (["numpy.libs"] if (Path(np.__file__).parents[1] / "numpy.libs").exists() else [])
    no_torch = _environment(tmp_path / "no torch", *linked)
    client = WorkerClient(bare, tmp_path / "log", timeouts=PATIENT)
    try:
        job = finish(client, client.generate(ask()), 300)
        assert job.error.code == "worker_not_started" and "No module named 'numpy'" in job.error.message
        client.python = no_torch
        job = finish(client, client.generate(ask()), 300)
        assert (job.error.code, job.error.message) == (
            "backend_incomplete",
            f"The Python {no_torch} has no torch.",
        )
        assert "Press Install" in job.error.hint
        assert client.state == "failed" and client.error.code == "backend_incomplete"
    finally:
        client.close()


@posix_only
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("libtorch.so: wrong ELF class", "backend_broken"),
        # Where Windows has no memory left to promise; in its own language but for the number.
        ("[WinError 1455] Die Auslagerungsdatei ist zu klein. Error loading torch_cpu.dll", "backend_memory"),
    ],
)
def test_a_torch_that_cannot_be_loaded_is_not_a_crash(tmp_path, ask, words, code):
    linked = ["numpy"] + (["numpy.libs"] if (Path(np.__file__).parents[1] / "numpy.libs").exists() else [])
    python = _environment(tmp_path / "env", *linked)
    (library,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (library / "torch").mkdir()
    (library / "torch" / "__init__.py").write_text(f"raise OSError('{words}')")
    client = WorkerClient(python, tmp_path / "log", timeouts=PATIENT)
    try:
        job = finish(client, client.generate(ask()), 300)
        assert job.error.code == code and words in job.error.message
        assert ("Install" in job.error.hint) == (code == "backend_broken") and client.state == "failed"
    finally:
        client.close()


@posix_only
def test_the_worker_takes_kmm_core_from_blender_alone(tmp_path, ask, monkeypatch):
    """Unicode and spaces in every path; other packages beside Blender's kmm_core and in PYTHONPATH stay out of it."""
    packages = tmp_path / "Blender Erweiterungen 拡張" / "site-packages"
    packages.mkdir(parents=True)
    source = Path(kmm_core.__file__).parent
    for name in ("torch", "numpy", "kmm_core"):
        (tmp_path / "decoys" / name).mkdir(parents=True)
        (tmp_path / "decoys" / name / "__init__.py").write_text("raise SystemExit('decoy')")
        if name != "kmm_core":
            (packages / name).symlink_to(tmp_path / "decoys" / name)
    (packages / "kmm_core").mkdir()
    for path in source.iterdir():
        if path.suffix == ".py" or (path / "__init__.py").exists() or path.name == "bundles":
            target = packages / "kmm_core" / path.name
            if path.name == "worker.py":
                target.write_text(path.read_text(encoding="utf-8") + "\nprint('the copy runs', flush=True)\n")
            elif path.name == "launch_worker.py":  # Python runs the file that a link leads to
                target.write_text(path.read_text(encoding="utf-8"))
            else:
                target.symlink_to(path)
    python = _environment(tmp_path / "Umgebung für Bewegung", "*")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "decoys"))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "decoys")
    client = WorkerClient(
        python,
        tmp_path / "Protokoll é" / "wörker.log",
        timeouts=PATIENT,
        launcher=packages / "kmm_core" / "launch_worker.py",
    )
    try:
        job = finish(client, client.generate(ask()), 300)
        assert job.state == "done", job.error
        assert "the copy runs" in last_lines(client, 50)
    finally:
        client.close()


class _FakePipeline:
    """Fails on every device but the CPU."""

    unfamiliar = ()

    def __init__(self, device: str, error: str):
        import torch

        self.device, self._error = torch.device(device), error

    def generate(self, timeline, **settings):
        from kmm_core.pipeline import Generation, Progress

        if self.device.type != "cpu":
            raise RuntimeError(self._error)
        settings["progress"](Progress("tokens", 1, 1))
        turns = np.tile([1.0, 0, 0, 0], (timeline.num_frames, 22, 1))
        clip = MotionClip(np.zeros((timeline.num_frames, 3)), turns, timeline.fps)
        return Generation([clip], {}, self.unfamiliar)


FALLBACKS = {
    "too little memory": ("CUDA out of memory. Tried to allocate 20 GiB", "has too little free memory"),
    "the wrong build": (
        "CUDA error: no kernel image is available\nmore",
        r"failed (CUDA error: no kernel image is available)",
    ),
}


@pytest.mark.parametrize(("error", "reason"), FALLBACKS.values(), ids=FALLBACKS)
def test_where_the_card_fails_the_cpu_does_it_and_says_so(monkeypatch, error, reason):
    from kmm_core.errors import KmmError
    from kmm_core.worker import Worker

    sent, asked = [], []
    worker = Worker(connection=None)
    monkeypatch.setattr(worker, "_send", sent.append)
    monkeypatch.setattr(worker, "_ready", lambda: None)

    def load(request, device):
        asked.append(device)
        return _FakePipeline("cpu" if device == "cpu" else "cuda", error)

    monkeypatch.setattr(worker, "_load", load)
    request = GenerateRequest("a", TIMELINE)
    result = worker._answer(request)
    assert asked == ["auto", "cpu"] and result.takes == 1
    assert result.note == f"The graphics card {reason}, so the CPU was used."
    monkeypatch.setattr(_FakePipeline, "unfamiliar", ("clap",))
    note = worker._answer(request).note
    assert note.startswith(result.note + " ") and 'nothing like "clap"' in note
    # Who asked for the card by name is told instead.
    with pytest.raises((KmmError, RuntimeError), match="too little free graphics memory|no kernel image"):
        worker._answer(replace(request, device="cuda"))


def test_a_card_too_full_to_load_the_model_is_left_for_the_cpu(monkeypatch):
    import torch

    from kmm_core.errors import KmmError
    from kmm_core.worker import Worker

    class Pipeline(_FakePipeline):
        @classmethod
        def load(cls, model, device):
            if device != "cpu":
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 MiB")
            return cls("cpu", "")

    sent = []
    worker = Worker(connection=None)
    monkeypatch.setattr(worker, "_send", sent.append)
    monkeypatch.setattr(worker, "_ready", lambda: None)
    monkeypatch.setattr("kmm_core.worker._import_pipeline", lambda: Pipeline)
    monkeypatch.setattr("kmm_core.pipeline.choose_device", lambda name: torch.device("cuda"))
    request = GenerateRequest("a", TIMELINE)
    assert (
        worker._answer(request).note == "The graphics card has too little free memory, so the CPU was used."
    )
    with pytest.raises(KmmError, match="too little free graphics memory"):
        worker._answer(replace(request, device="cuda"))


def test_short_motion_takes_one_thread_and_long_motion_all(monkeypatch):
    import torch

    from kmm_core.worker import ONE_THREAD_SECONDS, Worker

    used = []

    class Pipeline(_FakePipeline):
        @classmethod
        def load(cls, model, device):
            return cls("cpu", "")

        def generate(self, timeline, **settings):
            used.append(torch.get_num_threads())
            return super().generate(timeline, **settings)

    before = torch.get_num_threads()
    worker = Worker(connection=None)
    for name in ("_send", "_ready"):
        monkeypatch.setattr(worker, name, lambda *_: None)
    monkeypatch.setattr("kmm_core.worker._import_pipeline", lambda: Pipeline)
    try:
        torch.set_num_threads(2)
        half = Timeline(10, (Prompt("walks", 0, 5 * ONE_THREAD_SECONDS),))
        for samples in (1, 2, 3, 1):
            worker._answer(GenerateRequest("a", half, samples=samples))
    finally:
        torch.set_num_threads(before)
    assert used == [1, 1, 2, 1]


def test_too_little_main_memory_is_one_sentence(monkeypatch):
    from kmm_core.worker import Worker

    worker = Worker(connection=None)
    sent = []

    def answer(request):
        if not sent:
            raise MemoryError
        raise KeyboardInterrupt  # ends run()

    monkeypatch.setattr(worker, "_send", sent.append)
    monkeypatch.setattr(worker, "_answer", answer)
    worker._requests.put(GenerateRequest("a", TIMELINE))
    worker._requests.put(GenerateRequest("b", TIMELINE))
    with pytest.raises(KeyboardInterrupt):
        worker.run()
    assert (
        sent[0].code == "out_of_memory" and "too little free main memory" in sent[0].message and sent[0].hint
    )


def test_a_fault_of_ours_is_told_and_logged(monkeypatch, capsys):
    from kmm_core.worker import Worker

    worker, sent = Worker(connection=None), []

    def answer(request):
        if sent:
            raise KeyboardInterrupt
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(worker, "_send", sent.append)
    monkeypatch.setattr(worker, "_answer", answer)
    worker._requests.put(GenerateRequest("a", TIMELINE))
    worker._requests.put(GenerateRequest("b", TIMELINE))
    with pytest.raises(KeyboardInterrupt):
        worker.run()
    assert sent[0].code == "worker_error" and "ZeroDivisionError: division by zero" in sent[0].message
    assert "Traceback" in capsys.readouterr().err


def test_an_old_python_is_told_what_is_needed():
    """The launcher must be understood by the Python that it refuses."""
    import ast

    launcher = Path(kmm_core.__file__).parent / "launch_worker.py"
    ast.parse(launcher.read_text(encoding="utf-8"), feature_version=(3, 6))
    code = f"""
import runpy, sys
sys.version_info = (3, 8, 1)
sys.argv = ["launch_worker.py", "1"]
runpy.run_path({str(launcher)!r}, run_name="__main__")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (
        result.returncode == 1
        and result.stderr.strip() == "KMM needs Python 3.10 or newer; this is Python 3.8."
    )
