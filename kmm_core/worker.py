"""The worker: a process that keeps one model warm and answers Blender's requests one after the other.

``launch_worker.py`` starts it. Two threads: the main one generates; the other one listens, so that a cancel is seen
between two decoding steps and the end of Blender at any time. torch is imported with the first request, after ``Hello``.
"""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, BinaryIO

from . import __version__
from .connection import Connection
from .errors import KmmError, lacks_memory
from .process_memory import resident_bytes
from .protocol import (
    PROTOCOL_VERSION,
    Alive,
    Cancel,
    Failure,
    GenerateRequest,
    Hello,
    Message,
    Progress,
    Ready,
    Result,
    clip_parts,
)

if TYPE_CHECKING:
    from .pipeline import Generation, TextToMotion

TOKEN_VARIABLE = "KMM_TOKEN"
# A file in environments that KMM installed (kmm_blender/jobs/backend_setup.py has the same name).
IN_USE = "kmm_in_use"
_ALIVE_SECONDS = 1.0
# Of motion, all takes together. With so few numbers, waking sleeping threads for every operation costs more than they
# save, and far more beside other work (docs/benchmarks/worker_threads.md).
ONE_THREAD_SECONDS = 30
_INSTALL = "Press Install in KMM's Backend panel, or choose a Python there that has it."


def main(port: int) -> None:
    """Connects to Blender and works until Blender is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for Blender, whose end ends us
    mark = _hold_environment()  # noqa: F841 - for as long as this process runs
    connection = Connection(socket.create_connection(("127.0.0.1", port), timeout=10))
    token = os.environ.pop(TOKEN_VARIABLE, "")
    connection.send(Hello(token, PROTOCOL_VERSION, __version__, platform.python_version(), os.getpid()))
    worker = Worker(connection)
    threading.Thread(target=worker.listen, daemon=True).start()
    worker.run()


class Worker:
    """Requests in, motion out.

    Args:
        connection: to Blender.
    """

    def __init__(self, connection: Connection):
        self._connection = connection
        self._sending = threading.Lock()
        self._requests: queue.SimpleQueue[GenerateRequest] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._pipeline: TextToMotion | None = None
        self._loaded: tuple[str, str, int] | None = None
        self._threads = 0  # of torch, known once it is loaded
        # What a job takes after its tokens, over what the tokens take: learned from the job before.
        self._rest_share = 0.2

    def listen(self) -> None:
        """Takes messages in, tells once a second that the process runs, and ends it when Blender is gone."""
        told = time.monotonic()
        while True:
            self._connection.wait(_ALIVE_SECONDS)
            try:
                while (message := self._connection.receive()) is not None:
                    if isinstance(message, Cancel):
                        self._cancelled.add(message.job)
                    elif isinstance(message, GenerateRequest):
                        self._requests.put(message)
            except KmmError as error:
                print(error, file=sys.stderr, flush=True)
                os._exit(2)
            if self._connection.closed:
                # At once, also in the middle of a decoding step; nothing here needs saving.
                os._exit(0)
            # While the main thread sends, that tells it as well.
            if time.monotonic() - told >= _ALIVE_SECONDS and self._sending.acquire(blocking=False):
                try:
                    self._connection.send(Alive())
                    told = time.monotonic()
                finally:
                    self._sending.release()

    def run(self) -> None:
        """Answers requests for ever."""
        while True:
            request = self._requests.get()
            try:
                answer: Message = self._answer(request)
            except KmmError as error:
                answer = Failure(request.job, error.code, error.message, error.hint)
            except MemoryError:
                answer = Failure(request.job, "out_of_memory", *_out_of_memory("main memory"))
            except Exception as error:
                traceback.print_exc()
                answer = Failure(
                    request.job,
                    "worker_error",
                    f"The worker failed: {type(error).__name__}: {str(error)[:300]}",
                    "This is a bug in KMM or its backend: copy the report, and generate again.",
                )
            self._cancelled.discard(request.job)
            self._send(answer)

    def _answer(self, request: GenerateRequest) -> Result:
        """Loads the model if need be, generates and sends the takes."""
        self._check_cancel(request)
        pipeline, note = None, ""
        try:
            pipeline = self._load(request, request.device)
            self._check_cancel(request)
            generation = self._generate(pipeline, request)
        except RuntimeError as error:
            from .pipeline import choose_device  # a card can be too full to load the model, too

            if (pipeline.device if pipeline else choose_device(request.device)).type == "cpu":
                if lacks_memory(error):
                    raise MemoryError from error
                raise
            traceback.print_exc()
            full = lacks_memory(error)
            if request.device != "auto":
                if full:
                    raise KmmError("out_of_memory", *_out_of_memory("graphics memory")) from error
                raise
            reason = "has too little free memory" if full else f"failed ({str(error).splitlines()[0][:120]})"
            note = f"The graphics card {reason}, so the CPU was used."
            generation = self._generate(self._load(request, "cpu"), request)
        for take, clip in enumerate(generation.clips):
            for part in clip_parts(request.job, take, clip):
                self._check_cancel(request)
                self._send(part)
        self._send(self._ready())
        note = " ".join(filter(None, (note, generation.note)))
        return Result(request.job, len(generation.clips), generation.seconds, note)

    def _load(self, request: GenerateRequest, device: str) -> TextToMotion:
        """The pipeline for this model and device, kept from the job before where it is the same, and was not exported anew."""
        if self._pipeline is None or self._loaded != (request.model, device, _written(request.model)):
            self._send(Progress(request.job, "loading", 0, 2))
            pipeline_type = _import_pipeline()
            import torch

            self._threads = self._threads or torch.get_num_threads()
            self._check_cancel(request)
            self._send(Progress(request.job, "loading", 1, 2))
            self._pipeline = None  # never two models in memory
            _empty_device_cache()
            written = _written(request.model)
            self._pipeline = pipeline_type.load(request.model, device)
            self._loaded = (request.model, device, written)
        self._send(self._ready())
        return self._pipeline

    def _generate(self, pipeline: TextToMotion, request: GenerateRequest) -> Generation:
        import torch

        from .pipeline import Keep

        short = request.timeline.seconds * request.samples <= ONE_THREAD_SECONDS
        torch.set_num_threads(1 if short else self._threads)
        started = time.perf_counter()
        steps: list[float] = []  # when each was finished

        def report(progress) -> None:
            steps.append(time.perf_counter())
            left = None
            if progress.done > 1:  # the first step warms up
                step = (steps[-1] - steps[0]) / (progress.done - 1)
                left = step * (progress.total - progress.done) + step * progress.total * self._rest_share
            self._send(Progress(request.job, progress.stage, progress.done, progress.total, left))

        keep = None
        if request.keep_clip is not None and request.keep_frames is not None:
            keep = Keep(request.keep_clip, request.keep_frames)
        generation = pipeline.generate(
            request.timeline,
            seed=request.seed,
            samples=request.samples,
            guidance_scale=request.guidance_scale,
            steps=request.steps,
            foot_cleanup=request.foot_cleanup,
            keep=keep,
            progress=report,
            cancel=lambda: request.job in self._cancelled,
        )
        self._rest_share = (time.perf_counter() - steps[-1]) / (steps[-1] - started)
        return generation

    def _ready(self) -> Ready:
        import torch

        assert self._pipeline is not None
        info, device = self._pipeline.info, self._pipeline.device
        on_cuda = device.type == "cuda"
        return Ready(
            model=info.model,
            version=info.version,
            licence=info.licence,
            credits=tuple(info.credits),
            text_encoder=info.text_encoder,
            device=device.type,
            device_name=torch.cuda.get_device_name(device) if on_cuda else f"{self._threads} threads",
            fps=info.fps,
            torch=torch.__version__,
            parameters=info.parameters,
            memory_bytes=resident_bytes(),
            device_memory_bytes=torch.cuda.memory_reserved(device) if on_cuda else 0,
        )

    def _check_cancel(self, request: GenerateRequest) -> None:
        if request.job in self._cancelled:
            raise KmmError("cancelled", "Generation was cancelled.", "Nothing was written.")

    def _send(self, message: Message) -> None:
        with self._sending:
            self._connection.send(message)
            self._connection.wait_sent()


def _hold_environment() -> BinaryIO | None:
    """Opens and locks the mark of an environment that KMM installed: no installation removes it while this is open."""
    try:
        mark = open(os.path.join(sys.prefix, IN_USE), "rb")  # noqa: SIM115 - left open
    except OSError:
        return None  # a Python of the user's own
    if sys.platform != "win32":  # there an open file can't be removed
        import fcntl

        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return mark


def _import_pipeline() -> type[TextToMotion]:
    """Imports torch and all that generation needs.

    Raises:
        KmmError: ``backend_incomplete``, ``backend_broken`` or ``backend_memory``.
    """
    try:
        from .pipeline import TextToMotion
    except ModuleNotFoundError as error:
        traceback.print_exc()
        raise KmmError(
            "backend_incomplete", f"The Python {sys.executable} has no {error.name}.", _INSTALL
        ) from None
    except (
        Exception
    ) as error:  # a library that is damaged or made for another system fails in ways of its own
        traceback.print_exc()
        if lacks_memory(error):
            raise KmmError(
                "backend_memory",
                f"There is too little free main memory to load torch ({str(error)[:200]}).",
                "Close other programs, or enlarge Windows' paging file, and generate again.",
            ) from None
        raise KmmError(
            "backend_broken",
            f"torch cannot be loaded in {sys.executable} ({type(error).__name__}: {str(error)[:200]}).",
            _INSTALL,
        ) from None
    return TextToMotion


def _empty_device_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _written(model: str) -> int:
    """When the model was written: who trains one of their own exports it to the same folder again."""
    from .bundle import CONFIG, bundle_folder  # loads torch

    return (bundle_folder(model) / CONFIG).stat().st_mtime_ns


def _out_of_memory(which: str) -> tuple[str, str]:
    return (
        f"There is too little free {which} for this job.",
        "Ask for fewer takes or a shorter timeline, close other programs, or choose the CPU in the "
        "preferences.",
    )
