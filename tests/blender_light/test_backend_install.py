"""The installation as Blender sees it: a whole one from an index on this computer, and everything that can go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kmm_blender.jobs.backend import PYTHON_VARIABLE, backend_status, find_python
from kmm_blender.jobs.backend_install import BackendCheck, BackendInstall, SetupProcess
from tests.blender_light.package_index import PackageIndex, served, wheel

# Enough of torch for backend_probe.py.
TORCH = """
__version__ = "2.13.0+cpu"
class ones:
    def __init__(self, *shape, device="cpu"): pass
    def __matmul__(self, other): return self
    def sum(self): return 64.0 ** 3
class cuda:
    is_available = staticmethod(lambda: False)
"""
TORCH_WHEEL = wheel(
    "torch", "2.13.0+cpu", {"torch/__init__.py": TORCH, "torch/lib/libtorch.so": os.urandom(900_000)}
)
PACKAGES = {
    name: [wheel(name, "1.0" if name != "numpy" else "2.0", {f"{name}/{file}.py": "" for file in files})]
    for name, files in (
        ("numpy", ["__init__"]),
        ("safetensors", ["__init__", "torch"]),
        ("tokenizers", ["__init__"]),
        ("einops", ["__init__"]),
    )
}


@pytest.fixture
def index(monkeypatch):
    """An index of our own, and none of this computer's."""
    for name in list(os.environ):
        if name.upper().startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    pages = {f"/simple/{name}/": wheels for name, wheels in PACKAGES.items()}
    with served(PackageIndex(pages | {"/whl/cpu/torch/": [TORCH_WHEEL]})) as index:
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        # No graphics card, whatever this computer has.
        monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
        yield index


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    return tmp_path / "with space, ü and 動" / "backend"


def start(index: PackageIndex, folder: Path, **settings) -> BackendInstall:
    return BackendInstall(
        folder,
        build="cpu",
        pythons=[sys.executable],
        settings={"torch_index": f"{index.url}/whl/", **settings},
    )


def follow(process: SetupProcess, until=lambda process: False, seconds: float = 500) -> list[str]:
    """Polls until it is finished, or ``until`` holds; returns the stages seen."""
    stages, end = [process.stage], time.monotonic() + seconds
    while not process.finished and not until(process):
        assert time.monotonic() < end, (process.stage, process.log.read_text("utf-8"))
        # Time of this thread alone: how long Blender would be held on a computer with nothing else to do.
        before = time.thread_time()
        process.poll()
        assert time.thread_time() - before < 0.02
        if process.stage != stages[-1]:
            stages.append(process.stage)
        time.sleep(0.01)
    return stages


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_installs_over_a_connection_that_breaks_beside_the_backend_that_is_there(index, folder):
    (folder / "env1").mkdir(parents=True)
    (folder / "backend.json").write_text('{"python": "env1/bin/python"}')
    index.broken[TORCH_WHEEL[0]] = 1
    job = start(index, folder)
    stages = follow(job)
    assert job.state == "done", (job.error, job.log.read_text("utf-8"))
    assert stages == [
        "Starting", "Making an environment", "Looking for the right PyTorch", "Downloading", "Installing", "Testing",
    ]  # fmt: skip
    starts = [wanted for method, path, wanted in index.requests if "torch-" in path and method == "GET"]
    assert len(starts) == 2 and starts[1].startswith("bytes=4")
    assert job.record.torch == "2.13.0+cpu" and job.record.device == "cpu"
    # The old one is gone, and so is all that only the installation needed.
    assert leftovers(folder) == ["backend.json", "env2", "install.lock", "install.log"]
    python = find_python(folder)
    assert backend_status(folder).record == job.record and python.is_relative_to(folder / "env2")
    told = subprocess.run(
        [python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True, check=True
    )
    assert told.stdout == "2.13.0+cpu\n"


def test_a_private_index_with_a_password_in_its_address_is_used_and_the_password_told_to_nobody(
    index, folder, monkeypatch
):
    index.login = "me@work:sec%ret"
    private = index.url.replace("http://", "http://me%40work:sec%25ret@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{private}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{private}/whl/cpu")
    job = start(index, folder, torch_index="http://127.0.0.1:9/whl/")
    follow(job)
    assert job.state == "done", (job.error, job.log.read_text("utf-8"))
    assert not any(b"sec%" in path.read_bytes() for path in folder.glob("*.*"))


def test_cancel_ends_the_process_and_what_it_started(index, folder):
    job = start(index, folder)
    follow(job, until=lambda job: (folder / "env1").is_dir())  # venv runs as a child of it
    process = job._process
    job.cancel()
    follow(job, seconds=20)
    assert job.state == "cancelled" and job.error is None and process.returncode is not None
    assert backend_status(folder).source == "none"
    assert not [name for name in leftovers(folder) if "progress" in name or "specification" in name]


def test_installation_ends_when_blender_is_gone(index, folder):
    """As the end of Blender closes the pipe, whatever its cause."""
    blender = (
        "import sys, time; from pathlib import Path; from kmm_blender.jobs.backend_install import BackendInstall\n"
        "job = BackendInstall(Path(sys.argv[1]), pythons=[sys.executable], settings={'torch_index': sys.argv[2]})\n"
        "print(job._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", blender, str(folder), f"{index.url}/whl/"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 20
    while _runs(child):
        assert time.monotonic() < end, "the installation outlived Blender"
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
        # A dead process whose parent has not asked for its end yet still has its number.
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_killed_installation_says_so(index, folder):
    job = start(index, folder)
    job._process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    follow(job)
    assert job.error.code == "backend_failed" and "exit code" in job.error.message and job.error.hint


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for Python")
def test_programs_planted_in_the_current_folder_are_not_run(folder, tmp_path, monkeypatch):
    """Windows starts nvidia-smi or taskkill from there first, and it is where the .blend lies that was double-clicked."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\npwd\n")
    python.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    job = BackendInstall(Path(folder.relative_to(tmp_path)), pythons=[str(python)])
    follow(job)
    assert job.log.read_text("utf-8").strip() == str(folder)


def test_python_to_build_on_that_is_none(folder, tmp_path):
    job = BackendInstall(folder, pythons=[str(tmp_path / "no python")])
    assert job.finished and job.error.code == "python_broken" and "no python" in job.error.message
    assert BackendInstall(folder, pythons=[]).error.code == "backend_no_python"


def test_a_file_that_cannot_be_removed_yet_does_not_hide_the_end(index, folder, monkeypatch):
    """Windows removes none that a virus scanner looks at."""

    def refuse(*_, **__):
        raise PermissionError(13, "in use")

    job = start(index, folder)
    monkeypatch.setattr(Path, "unlink", refuse)
    job.close()
    assert job.state == "cancelled"


def test_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    for job in (
        BackendInstall(tmp_path / "file" / "backend", pythons=[sys.executable]),
        BackendCheck(tmp_path / "file" / "backend", Path(sys.executable)),
    ):
        assert job.error.code == "backend_folder" and "Backend Folder" in job.error.hint


def test_closing_ends_the_process(index, folder):
    job = start(index, folder)
    job.close()
    assert job.state == "cancelled" and job._process.returncode is not None


# --- a Python of the user's own


def script(path: Path, text: str) -> Path:
    """A program that is run instead of a Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def check(folder: Path, python: Path) -> BackendCheck:
    job = BackendCheck(folder, python)
    follow(job)
    return job


def test_python_with_torch_passes_and_is_remembered(folder):
    job = check(folder, Path(sys.executable))
    assert job.state == "done", job.error
    status = backend_status(folder, sys.executable)
    assert status.record == job.record and status.record.torch and status.python == Path(sys.executable)


def test_python_without_torch_names_what_is_missing(folder, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare ü"], check=True)
    python = tmp_path / "bare ü" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    job = check(folder, python)
    assert job.error.code == "python_incomplete"
    assert "torch, numpy, safetensors, tokenizers, einops" in job.error.message
    assert f"{python} -m pip install torch numpy" in job.error.hint
    assert backend_status(folder, str(python)).record is None


@pytest.mark.skipif(os.name == "nt", reason="shell scripts stand in for Python")
@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("echo 'not a Python at all'; exit 0", "python_broken", "not a Python at all"),
        ("kill -SEGV $$", "python_broken", "exit code -11"),
        ("echo 'Unknown option: -X' >&2; exit 2", "python_broken", "Unknown option"),
        ("echo 'KMM {broken'", "python_broken", "KMM"),
    ],
)
def test_program_that_is_no_python(folder, tmp_path, text, code, words):
    job = check(folder, script(tmp_path / "python", text))
    assert job.state == "failed" and job.error.code == code and words in job.error.message and job.error.hint


@pytest.mark.skipif(os.name == "nt", reason="shell scripts stand in for Python")
@pytest.mark.parametrize(
    ("table", "code", "words"),
    [
        ('"python_version": "3.8.1", "bits": 64', "python_too_old", "Python 3.8.1"),
        ('"python_version": "3.11.1", "bits": 32', "python_too_old", "32-bit"),
        ('"problem": "import torch: DLL load failed"', "python_broken", "DLL load failed"),
    ],
)
def test_python_that_will_not_do(folder, tmp_path, table, code, words):
    whole = f'{{"torch": "", "missing": "", "problem": "", "python_version": "3.11", "bits": 64, {table}}}'
    job = check(folder, script(tmp_path / "python", f"echo 'noise'; echo 'KMM {whole}'"))
    assert job.error.code == code and words in job.error.message and job.error.hint


@pytest.mark.skipif(os.name == "nt", reason="shell scripts stand in for Python")
def test_python_that_never_answers_is_ended(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("kmm_blender.jobs.backend_install._CHECK_SECONDS", 0.3)
    job = check(folder, script(tmp_path / "python", "echo waiting; exec sleep 60"))
    assert job.error.code == "python_broken" and "exit code" in job.error.message


@pytest.mark.skipif(os.name == "nt", reason="shell scripts stand in for Python")
def test_check_can_be_cancelled(folder, tmp_path):
    job = BackendCheck(folder, script(tmp_path / "python", "exec sleep 60"))
    job.poll()
    job.cancel()
    follow(job, seconds=20)
    assert job.state == "cancelled"


def test_file_that_cannot_be_run(folder, tmp_path):
    (tmp_path / "python.txt").write_text("text")
    job = BackendCheck(folder, tmp_path / "python.txt")
    assert job.error.code == "python_broken" and "cannot be run" in job.error.message
