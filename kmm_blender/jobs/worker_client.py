"""WorkerClient: keeps one worker process warm and feeds it jobs, without threads and without ever blocking. No bpy.

All work is done in ``poll()``: call it from a timer while ``state`` is neither "stopped" nor "failed", or in a loop
where timers never fire (``blender -b``, see ``session.wait``).
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kmm_core.errors import KmmError
from kmm_core.protocol import (
    Alive,
    Cancel,
    ClipPart,
    Failure,
    GenerateRequest,
    Message,
    Progress,
    Ready,
    Result,
)

from .generation_job import GenerationJob
from .take_assembly import TakeAssembly
from .worker_process import LAUNCHER, WorkerProcess

ClientState = Literal["stopped", "starting", "loading", "ready", "busy", "failed"]

# Messages are taken in for this long in one poll; one message adds at most 2 ms. Seconds.
_POLL_SECONDS = 0.003
# The end of a process may be seen this much later than the end of its connection. Seconds.
_LEAVING_SECONDS = 5.0
_AGAIN = "Generate again: a new worker is started. The log and the report in KMM's Backend panel say more."


@dataclass(frozen=True)
class Timeouts:
    """How long a worker may be silent before it is given up, in seconds of polling.

    Attributes:
        hello: from its start to its first message.
        load: between two messages while torch and the model are loaded, when a library may hold everything up.
        silence: between two messages otherwise; one comes every second however long a step takes.
        cancel: from a cancel to its answer; then the process is terminated.
        terminate: from there; then it is killed.
    """

    hello: float = 60.0
    load: float = 300.0
    silence: float = 30.0
    cancel: float = 2.0
    terminate: float = 2.0


class WorkerClient:
    """The worker as Blender sees it. The process starts with the first job.

    Args:
        python: interpreter that has torch; used at the next start of the process.
        log: file for what the worker prints; made if missing.
        idle_seconds: a worker without a job for this long is ended, which frees all its memory; None keeps it.
        timeouts: when to give up.
        launcher: script that the interpreter runs.
    """

    def __init__(
        self,
        python: Path,
        log: Path,
        *,
        idle_seconds: float | None = 600.0,
        timeouts: Timeouts | None = None,
        launcher: Path = LAUNCHER,
    ):
        self.python = python
        self.log = log
        self.idle_seconds = idle_seconds
        self.error: KmmError | None = None
        self._timeouts = timeouts or Timeouts()
        self._launcher = launcher
        self._info: Ready | None = None
        self._worker: WorkerProcess | None = None
        self._queue: deque[GenerationJob] = deque()
        # The job that the worker has; it may already be cancelled, then its answer is awaited.
        self._current: GenerationJob | None = None
        self._takes: TakeAssembly | None = None
        self._loading = False
        self._terminated = False
        # Seconds of polling since the worker's last message, since the cancel, without a job, and since it hung up.
        self._silent = self._cancelling = self._idle = self._leaving = 0.0
        self._polled = 0.0

    @property
    def state(self) -> ClientState:
        """stopped; starting the process; loading a model; ready for a job; busy with one; failed (see ``error``)."""
        if self._worker is None:
            return "stopped" if self.error is None else "failed"
        if self._worker.connection is None:
            return "starting"
        if self._current is None:
            return "ready"
        return "loading" if self._loading else "busy"

    @property
    def info(self) -> Ready | None:
        """What runs, or None while no model is loaded."""
        return self._info

    @property
    def pid(self) -> int | None:
        """Process id of the worker, or None while none runs."""
        return None if self._worker is None else self._worker.pid

    def generate(self, request: GenerateRequest) -> GenerationJob:
        """Queues a job and starts the worker if need be. Never raises: what goes wrong is in ``job.error``."""
        job = GenerationJob(request)
        self._queue.append(job)
        self._idle = 0.0
        if self._worker is None:
            self._start()
        elif self._worker.connection is None:
            _show(job, "starting", "starting the worker")
        self._send_next()
        return job

    def cancel(self, job: GenerationJob) -> None:
        """Cancels a job: its state is "cancelled" at once, and the worker stops before its next decoding step."""
        if job.finished:
            return
        _show(job, "cancelled")
        if job is self._current and self._worker is not None and self._worker.connection is not None:
            self._cancelling = 0.0
            self._takes = None
            self._worker.connection.send(Cancel(job.id))
        elif job in self._queue:
            self._queue.remove(job)

    def poll(self) -> None:
        """Does all pending work. Takes at most a few milliseconds."""
        now = time.monotonic()
        # Not more than a moment for each poll, so that a laptop's sleep or a busy Blender is not held against the worker.
        passed, self._polled = min(now - self._polled, 1.0), now
        if self._worker is None:
            return
        try:
            if self._worker.connection is None:
                self._worker.accept()
            self._send_next()
            self._receive()
            self._check_end(passed)
            self._check_times(passed)
        except KmmError as error:
            self._end(error)

    def unload(self) -> bool:
        """Ends a worker that has no job, which frees all its memory. Returns False, doing nothing, where it has one."""
        if self._current is not None or self._queue:
            return False
        self.close()
        return True

    def close(self) -> None:
        """Ends the worker now; unfinished jobs are cancelled. The client can be used again. Takes milliseconds."""
        for job in [*self._queue, self._current]:
            if job is not None and not job.finished:
                _show(job, "cancelled")
        self._queue.clear()
        self._forget(wait_seconds=2.0)
        self.error = None

    def _start(self) -> None:
        """Starts the process; where that fails, so do all jobs."""
        self.error = None
        try:
            self._worker = WorkerProcess(self.python, self.log, self._launcher)
        except KmmError as error:
            self._fail_queue(error)
            return
        self._silent = self._idle = self._leaving = 0.0
        self._terminated = False
        for job in self._queue:
            _show(job, "starting", "starting the worker")

    def _send_next(self) -> None:
        """Gives the worker the next job when it has none."""
        connection = None if self._worker is None else self._worker.connection
        if connection is None:
            return
        if self._current is None and self._queue:
            job = self._queue[0]
            try:
                connection.send(job.request)
            except KmmError as error:  # too large
                self._queue.popleft()
                _fail(job, error)
                return
            self._current = self._queue.popleft()
            self._takes = TakeAssembly(job.request)
            self._loading = True
            self._silent = self._idle = 0.0
            _show(job, "loading", "loading the model")
            for other in self._queue:
                _show(other, "waiting", "waiting for another job")
        connection.flush()

    def _receive(self) -> None:
        connection = None if self._worker is None else self._worker.connection
        deadline = time.perf_counter() + _POLL_SECONDS
        while connection is not None and (message := connection.receive()) is not None:
            self._silent = 0.0
            self._take(message)
            if time.perf_counter() > deadline:
                return

    def _take(self, message: Message) -> None:
        """One message of the worker."""
        if isinstance(message, Alive):
            return
        if isinstance(message, Ready):
            self._info, self._loading = message, False
            if self._current is not None and self._current.state == "loading":
                _show(self._current, "generating", "reading the prompts")
            return
        if not isinstance(message, (Progress, ClipPart, Result, Failure)):
            raise KmmError(
                "worker_garbage",
                f"The worker sent a {type(message).__name__}, which only Blender sends.",
                _AGAIN,
            )
        job = self._current
        if job is None or message.job != job.id:
            return
        if isinstance(message, (Result, Failure)):
            self._finish(job, message)
        elif job.finished:
            pass  # cancelled, and not yet answered
        elif isinstance(message, Progress):
            _show_progress(job, message)
        elif self._takes is not None:
            self._takes.add(message)
            _show(job, "generating", "receiving", self._takes.frames_received, self._takes.frames_expected)

    def _finish(self, job: GenerationJob, answer: Result | Failure) -> None:
        """The worker's last word on its job.

        Raises:
            KmmError: ``backend_incomplete``, ``backend_broken`` or ``backend_memory``, after which the process is of no use: what Python
                failed to import once, it does not try again.
        """
        if not job.finished:
            if isinstance(answer, Failure):
                _fail(job, KmmError(answer.code, answer.message, answer.hint))
            elif self._takes is not None:
                job.clips, job.seconds, job.note = self._takes.clips(), answer.seconds, answer.note
                _show(job, "done")
        self._current = self._takes = None
        self._loading, self._idle = False, 0.0
        if isinstance(answer, Failure) and answer.code.startswith("backend_"):
            raise KmmError(answer.code, answer.message, answer.hint)
        self._send_next()

    def _check_end(self, passed: float) -> None:
        """Notices that the process is gone, once all it sent was read.

        Raises:
            KmmError: ``worker_died``.
        """
        worker = self._worker
        if worker is None:
            return
        if worker.connection is None:
            gone = worker.exit_code is not None
        else:
            # The end of the connection is seen a moment before the end of the process, and its exit code.
            self._leaving += passed if worker.connection.closed else 0.0
            gone = worker.connection.closed and (
                worker.exit_code is not None or self._leaving > _LEAVING_SECONDS
            )
        if gone:
            raise KmmError(
                "worker_died" if worker.connection is not None else "worker_not_started",
                f"The worker {worker.explain_end()} while {self._doing()}.",
                _AGAIN
                if worker.connection is not None
                else "Press Install in KMM's Backend panel, or choose another Python there.",
            )

    def _check_times(self, passed: float) -> None:
        """Gives up on a worker that does not answer, and ends one that nobody needs.

        Raises:
            KmmError: ``worker_silent``.
        """
        self._silent += passed
        if self._worker is None or (self._worker.connection is not None and self._worker.connection.closed):
            return
        if self._current is None:
            if self._worker.connection is not None:
                self._idle += passed
                if self.idle_seconds is not None and self._idle > self.idle_seconds:
                    self.close()
                return
            limit = self._timeouts.hello
        elif self._current.finished and not self._loading:
            self._cancelling += passed
            if self._cancelling > self._timeouts.cancel + self._timeouts.terminate:
                self._worker.kill()
            elif self._cancelling > self._timeouts.cancel and not self._terminated:
                self._terminated = True
                self._worker.terminate()
            return
        else:
            limit = self._timeouts.load if self._loading else self._timeouts.silence
        if self._silent > limit:
            raise KmmError(
                "worker_silent",
                f"The worker did not answer for {limit:g} s while {self._doing()}; it was ended.",
                _AGAIN,
            )

    def _doing(self) -> str:
        if self._worker is None or self._worker.connection is None:
            return "it started"
        if self._current is None:
            return "it had nothing to do"
        if self._current.finished:
            return "it cancelled a job"
        return "it loaded the model" if self._loading else "it generated"

    def _end(self, error: KmmError) -> None:
        """The worker is lost: its job fails; the jobs behind it get a new worker, unless this one never came up."""
        job, started = self._current, self._worker is not None and self._worker.connection is not None
        if job is not None and job.state == "cancelled":
            self._forget()  # it was ended because its cancel took too long
        else:
            self._forget()
            self.error = error
            if job is not None and not job.finished:
                _fail(job, error)
        if not started:
            self._fail_queue(error)
        elif self._queue:
            self._start()

    def _fail_queue(self, error: KmmError) -> None:
        self.error = error
        while self._queue:
            _fail(self._queue.popleft(), error)

    def _forget(self, wait_seconds: float = 0.0) -> None:
        """Ends the process and drops what is known of it."""
        if self._worker is not None:
            self._worker.kill(wait_seconds)
        self._worker = self._current = self._takes = self._info = None
        self._loading = False


def _show(job: GenerationJob, state, stage: str = "", done: int = 0, total: int = 0) -> None:
    job.state, job.stage, job.done, job.total = state, stage, done, total
    if job.finished:
        job.seconds_left = None


def _show_progress(job: GenerationJob, progress: Progress) -> None:
    if progress.stage == "loading":
        state, stage = "loading", "loading the model"
    else:
        state, stage = "generating", "generating" if progress.done < progress.total else "making the motion"
    _show(job, state, stage, progress.done, progress.total)
    job.seconds_left = progress.seconds_left


def _fail(job: GenerationJob, error: KmmError) -> None:
    job.error = error
    _show(job, "cancelled" if error.code == "cancelled" else "failed")
