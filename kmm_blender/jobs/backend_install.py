"""BackendInstall and BackendCheck: a subprocess sets up or tests the backend while Blender goes on. No bpy, no threads.

Call ``poll()`` from a timer until ``finished``; everything else is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from kmm_core.errors import KmmError

from .backend import INSTALL_LOG, USER_RECORD, BackendRecord, base_pythons, record_from, write_record

TorchBuild = Literal["auto", "cpu"]
SetupState = Literal["running", "done", "failed", "cancelled"]

_SETUP = Path(__file__).with_name("backend_setup.py")
_PROBE = Path(__file__).with_name("backend_probe.py")
# A process that was told to end gets this long before it is ended.
_GRACE_SECONDS = 2.0
# Importing torch from a cold disk with a virus scanner in between takes a minute; longer is a fault.
_CHECK_SECONDS = 180.0


class SetupProcess:
    """What installation and check have in common: a process, its log and what became of it.

    Attributes:
        state: running, done, failed or cancelled.
        stage: what is being done, a few words for the panel.
        done: how much of the stage is finished, of ``total``; bytes while downloading.
        total: size of the stage; 0 where it is unknown.
        seconds_left: of the download, or None.
        record: what the backend can do, once the state is "done".
        error: why, once the state is "failed".
        log: file with everything that the process printed.
    """

    def __init__(self, folder: Path, stage: str):
        self.state: SetupState = "running"
        self.stage = stage
        self.done = 0
        self.total = 0
        self.seconds_left: float | None = None
        self.record: BackendRecord | None = None
        self.error: KmmError | None = None
        self.log = folder / INSTALL_LOG
        self._folder = folder
        self._process: subprocess.Popen[Any] | None = None
        self._kill_at: float | None = None
        # Two Blenders may use one folder at the same time.
        self._own = f".{os.getpid()}-{secrets.token_hex(4)}"

    @property
    def finished(self) -> bool:
        """Whether the state will not change any more."""
        return self.state != "running"

    def poll(self) -> None:
        """Does all pending work. Takes at most a few milliseconds."""
        if self.finished or self._process is None:
            return
        ended = self._process.poll() is not None
        self._read()
        if self._kill_at is not None:
            if ended:
                self._finish("cancelled")
            elif time.monotonic() > self._kill_at:
                self._process.kill()
        elif ended:
            self._end(self._process.returncode)

    def cancel(self) -> None:
        """Stops; what was downloaded stays for the next try. The state is "cancelled" once the process has ended."""
        if self._process is None or self.finished or self._kill_at is not None:
            return
        self.stage, self.total, self.seconds_left = "Cancelling", 0, None
        self._kill_at = time.monotonic() + _GRACE_SECONDS
        self._ask_to_end(self._process)

    def close(self) -> None:
        """Stops and waits a moment for it: the add-on is being disabled."""
        self.cancel()
        if self._process is None or self.finished:
            return
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_GRACE_SECONDS)
        self._finish("cancelled")

    def _ask_to_end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()

    def _read(self) -> None:
        """Takes in what the process tells while it runs."""

    def _end(self, code: int) -> None:
        """The process ended by itself: sets ``record`` or ``error``."""
        raise NotImplementedError

    def _start(self, command: Sequence[str], **streams: Any) -> None:
        """Starts the process; where that fails the state is "failed" at once."""
        try:
            self._process = subprocess.Popen(
                command, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0), **streams
            )
        except OSError as error:
            self._fail(
                KmmError(
                    "python_broken",
                    f"{command[0]} cannot be run ({error.strerror or error}); expected a Python interpreter.",
                    "Choose another Python in KMM's preferences, or clear it and press Install.",
                )
            )

    def _fail(self, error: KmmError) -> None:
        self.error = error
        self._finish("failed")

    def _finish(self, state: SetupState) -> None:
        self.state, self.seconds_left = state, None
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        for path in self._folder.glob(f"*{self._own}"):
            with contextlib.suppress(OSError):  # Windows removes none that a virus scanner looks at
                path.unlink()


class BackendInstall(SetupProcess):
    """An installation of the backend; starts at once.

    Args:
        folder: the backend's folder; made if missing.
        build: "auto" takes CUDA for a graphics card that can use it; "cpu" never does.
        pythons: interpreters to build on, the best one first; by default Blender's own and the system's.
        settings: parts of ``backend_setup.Specification`` to change, for tests.
    """

    def __init__(
        self,
        folder: Path,
        *,
        build: TorchBuild = "auto",
        pythons: Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ):
        super().__init__(folder, "Starting")
        pythons = base_pythons() if pythons is None else list(pythons)
        if not pythons:
            self._fail(
                KmmError(
                    "backend_no_python",
                    "No Python to build the backend with was found, neither Blender's own nor one on "
                    "this computer.",
                    "Install Python 3.13, or point KMM's preferences at a Python that has PyTorch.",
                )
            )
            return
        progress = folder / f"progress{self._own}"
        specification = {
            "folder": os.fspath(folder.absolute()),
            "progress": os.fspath(progress.absolute()),
            "pythons": pythons,
            "build": build,
            "probe": os.fspath(_PROBE),
            **(settings or {}),
        }
        path = folder / f"specification{self._own}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(specification), encoding="utf-8")
            self._lines = progress.open("ab+")
            log = self.log.open("wb")
        except OSError as error:
            self._fail(_folder_error(folder, error))
            return
        with log:
            self._start(
                [pythons[0], "-I", "-X", "utf8", os.fspath(_SETUP), os.fspath(path.absolute())],
                cwd=folder,  # Windows starts programs such as nvidia-smi from the current folder first
                stdin=subprocess.PIPE,  # it ends when this closes, also where Blender crashes
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _ask_to_end(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()

    def _read(self) -> None:
        while True:
            position = self._lines.tell()
            line = self._lines.readline()
            if not line.endswith(b"\n"):
                self._lines.seek(position)  # the rest of it is still to come
                return
            told = json.loads(line)
            if "stage" in told and self._kill_at is None:
                self.stage = told["stage"]
                self.done, self.total = told.get("done", 0), told.get("total", 0)
                self.seconds_left = told.get("seconds_left")
            elif "record" in told:
                self.record = record_from(told["record"])
            elif "error" in told:
                self.error = KmmError(*told["error"])

    def _end(self, code: int) -> None:
        if self.record is not None:
            self._finish("done")
            return
        self._fail(
            self.error
            or KmmError(
                "backend_failed",
                f"The installation ended with exit code {code} and gave no reason ({_last_line(self.log)}).",
                "Press Install again; if it happens again, copy the report and open an issue with it.",
            )
        )

    def _finish(self, state: SetupState) -> None:
        if hasattr(self, "_lines"):
            self._lines.close()
        super()._finish(state)


class BackendCheck(SetupProcess):
    """A test of a Python that the user points at; starts at once. Nothing is installed into it.

    A Python that can run the worker is remembered in the backend's folder.

    Args:
        folder: the backend's folder; made if missing.
        python: the interpreter.
    """

    def __init__(self, folder: Path, python: Path):
        super().__init__(folder, "Testing")
        self._python = python
        self._until = time.monotonic() + _CHECK_SECONDS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            output = self.log.open("wb")
        except OSError as error:
            self._fail(_folder_error(folder, error))
            return
        with output:
            # As the worker is started: without the variables that are for another Python.
            self._start(
                [os.fspath(python), "-E", "-X", "utf8", os.fspath(_PROBE)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def _read(self) -> None:
        if time.monotonic() > self._until and self._process is not None and self._process.poll() is None:
            self._process.kill()

    def _end(self, code: int) -> None:
        found = _answer(self.log)
        if found is None:
            self._fail(
                KmmError(
                    "python_broken",
                    f"{self._python} did not pass the test: exit code {code} ({_last_line(self.log)}).",
                    "Choose a Python 3.10 or newer that has PyTorch, or clear the setting and press Install.",
                )
            )
            return
        error = python_error(self._python, found)
        if error is not None:
            self._fail(error)
            return
        parts = ("python_version", "torch", "device", "device_name", "device_memory", "note")
        record = record_from({"python": os.fspath(self._python)} | {part: found[part] for part in parts})
        try:
            write_record(self._folder / USER_RECORD, record)
        except KmmError as problem:
            self._fail(problem)
            return
        self.record = record
        self._finish("done")


def python_error(python: Path, found: Mapping[str, Any]) -> KmmError | None:
    """Why a Python cannot run the worker, from what ``backend_probe.py`` found; None if it can."""
    if not found["torch"] and not found["missing"] and not found["problem"]:
        return KmmError(
            "python_too_old",
            f"{python} is a {found['bits']}-bit Python {found['python_version']}; expected 64 bits "
            "and 3.10 or newer.",
            "Choose another Python, or clear the setting and press Install.",
        )
    if found["missing"]:
        return KmmError(
            "python_incomplete",
            f"{python} has no {found['missing']}.",
            f"Install it there ({python} -m pip install {found['missing'].replace(',', '')}), or "
            "clear the setting and press Install.",
        )
    if found["problem"]:
        return KmmError(
            "python_broken",
            f"{python} has PyTorch's packages, but they do not work: {found['problem'][:300]}",
            "Reinstall them, choose another Python, or clear the setting and press Install.",
        )
    return None


def _answer(log: Path) -> dict[str, Any] | None:
    """The line of ``backend_probe.py``, among whatever else was printed."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((json.loads(line[4:]) for line in reversed(lines) if line.startswith("KMM {")), None)
    except (OSError, ValueError):
        return None


def _last_line(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4000))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it printed nothing")


def _folder_error(folder: Path, error: OSError) -> KmmError:
    return KmmError(
        "backend_folder",
        f"The backend's folder {folder} can't be written: {error.strerror or error}.",
        "Choose another Backend Folder in KMM's preferences, or make this one writable.",
    )
