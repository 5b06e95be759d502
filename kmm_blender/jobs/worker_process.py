"""WorkerProcess: one run of the worker's process, from its start to the explanation of its end. No bpy."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

import kmm_core
from kmm_core.connection import Connection
from kmm_core.errors import KmmError
from kmm_core.protocol import Hello

LAUNCHER = Path(kmm_core.__file__).parent / "launch_worker.py"
TOKEN_VARIABLE = "KMM_TOKEN"  # as in kmm_core/worker.py, which is not for Blender's process
# Pieces of takes are 1.5 MB; whoever announces more is not our worker.
_MAX_PAYLOAD = 4 << 20
_MAX_LOG = 4 << 20
_MAX_CALLERS = 8
_WINDOWS_ENDS = {
    0xC0000005: "crashed (access violation)",
    0xC0000017: "ran out of memory",
    0xC000001D: "used an instruction that this processor does not have",
    0xC0000135: "did not find a DLL it needs",
    0xC000013A: "was ended by the user or by another program",
    0xC00000FD: "crashed (stack overflow)",
    0xC0000409: "crashed",
}


class WorkerProcess:
    """Starts the worker, listens for it on 127.0.0.1 and lets nobody else in.

    Args:
        python: interpreter of the backend.
        log: what the worker prints is appended here; a log of more than 4 MB is begun anew.
        launcher: script that the interpreter runs.

    Raises:
        KmmError: ``python_missing`` or ``python_broken``.
    """

    def __init__(self, python: Path, log: Path, launcher: Path = LAUNCHER):
        self.connection: Connection | None = None
        self.hello: Hello | None = None
        self._log = log
        self._log_start = 0
        self._callers: list[Connection] = []
        self._token = secrets.token_hex(16)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.bind(("127.0.0.1", 0))
            self._listener.listen(_MAX_CALLERS)
            self._listener.setblocking(False)
            self._process = self._start(python, launcher)
        except BaseException:
            self._listener.close()
            raise

    def _start(self, python: Path, launcher: Path) -> subprocess.Popen[bytes]:
        # -E: Blender's or the user's PYTHONPATH and PYTHONHOME are for another Python. faulthandler: crashes reach the log.
        command = [os.fspath(python), "-E", "-X", "utf8", "-X", "faulthandler", os.fspath(launcher)]
        command.append(str(self._listener.getsockname()[1]))
        output = self._open_log()
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # PASSIVE: between two steps torch's threads sleep instead of spinning, which Blender would feel.
                # OFFLINE: a model with published CLIP must not fetch it, which online access to install does not cover.
                env={
                    "OMP_WAIT_POLICY": "PASSIVE",
                    **os.environ,
                    "HF_HUB_OFFLINE": "1",
                    TOKEN_VARIABLE: self._token,
                },
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except FileNotFoundError:
            raise KmmError(
                "python_missing",
                f"There is no Python at {python}.",
                "Press Install in KMM's Backend panel, or choose a Python there.",
            ) from None
        except OSError as error:
            raise KmmError(
                "python_broken",
                f"{python} cannot be run ({error.strerror or error}); expected a Python interpreter.",
                "Press Install in KMM's Backend panel, or choose a Python there.",
            ) from None
        finally:
            if output != subprocess.DEVNULL:
                os.close(output)

    def _open_log(self) -> int:
        """A file descriptor to append to; where the log can't be written, motion is still generated."""
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            output = os.open(self._log, flags, 0o644)
            if os.fstat(output).st_size > _MAX_LOG:
                os.ftruncate(output, 0)
            os.write(output, f"--- worker started {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
            self._log_start = os.fstat(output).st_size
            return output
        except OSError:
            return subprocess.DEVNULL

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while the process runs."""
        return self._process.poll()

    def accept(self) -> None:
        """Sets ``connection`` and ``hello`` once the worker has come and proved itself.

        Raises:
            KmmError: ``worker_version`` where it has another kmm_core or protocol.
        """
        for _ in range(_MAX_CALLERS):
            try:
                caller, _ = self._listener.accept()
            except OSError:
                break
            self._callers.append(Connection(caller, _MAX_PAYLOAD))
        for caller in list(self._callers):
            try:
                message = caller.receive()
            except KmmError as error:
                # Only a peer of ours says hello at all; others are not worth a word.
                if error.code == "worker_version":
                    raise
                message = None
                caller.close()
            if isinstance(message, Hello) and secrets.compare_digest(
                message.token.encode(), self._token.encode()
            ):
                self._welcome(caller, message)
                return
            if message is not None or caller.closed:
                caller.close()
                self._callers.remove(caller)
        while len(self._callers) > _MAX_CALLERS:  # ours says hello at once
            self._callers.pop(0).close()

    def _welcome(self, caller: Connection, hello: Hello) -> None:
        if hello.version != kmm_core.__version__:
            raise KmmError(
                "worker_version",
                f"The worker has kmm_core {hello.version[:20]}; Blender has {kmm_core.__version__}.",
                "KMM was updated while it ran: restart Blender.",
            )
        self.connection, self.hello = caller, hello
        self._callers.remove(caller)
        self._stop_listening()

    def _stop_listening(self) -> None:
        self._listener.close()
        for caller in self._callers:
            caller.close()
        self._callers = []

    def explain_end(self) -> str:
        """How the process ended, and its last words if it had some, for an error message."""
        code = self.exit_code
        if code is None:
            return "closed its connection"
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = "unknown"
            why = ", as the system does when memory runs out" if name == "SIGKILL" else ""
            what = f"was ended by signal {-code} ({name}{why})"
        else:
            what = _WINDOWS_ENDS.get(code & 0xFFFFFFFF, f"ended with exit code {code}")
        words = self._last_words()
        return f"{what} ({words})" if words else what

    def _last_words(self) -> str:
        """The last line this run of the worker printed."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(self._log_start, os.fstat(file.fileno()).st_size - 4000))
                lines = file.read().decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    def terminate(self) -> None:
        """Asks the process to end."""
        self._process.terminate()

    def kill(self, wait_seconds: float = 0.0) -> None:
        """Ends the process and the connection now, and waits for the system to say so."""
        self._stop_listening()
        if self.connection is not None:
            self.connection.close()
        self._process.kill()
        try:
            self._process.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            pass  # Popen collects it when the next one starts
