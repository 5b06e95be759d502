"""The one session of the add-on: the worker's client, the generation under way, and the timer that drives both.

    operator -> request_builder.build_plan -> Session.start -> worker
                                              Session.tick (timer) -> TakeMaker -> scene.kmm.takes

``get()`` is the session while the add-on is enabled. In background mode timers never fire: ``wait`` does their work.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from kmm_core.errors import KmmError

from .jobs.generation_job import GenerationJob
from .jobs.worker_client import WorkerClient
from .scene.action_writer import tweaked
from .scene.request_builder import Plan
from .scene.rig import in_edit_mode
from .scene.take_maker import TakeMaker, Target
from .scene.take_record import TakeRecord
from .ui.preferences import preferences

# Seconds between two looks at the worker: while it generates, while keys are written, and while nothing is under way.
_BUSY, _WRITING, _IDLE = 0.05, 0.005, 0.5
# The main thread is held for about this long at a time while keys are written.
_SLICE_SECONDS = 0.01
# Deleting the armature is noticed after so many seconds.
_TARGET_CHECK = 0.5
# While one of these runs, the takes wait: it shows the scene.
_RENDERS = ("RENDER", "OBJECT_BAKE")
# Their operators may stay listed until the next event after the job.
_RENDER_OPERATORS = ("RENDER_OT_render", "OBJECT_OT_bake")


@dataclass(frozen=True)
class Status:
    """What the panel shows of the generation under way or of the last failure.

    Attributes:
        busy: a generation is under way (Cancel is possible, Generate is not).
        text: one line such as "Generating, 3 of 5, 2 s left"; empty where nothing is under way.
        fraction: 0 to 1 for a progress bar.
        error: why the last generation failed; None after a success, a new start or ``dismiss``.
        note: what to know about the last success, such as that the CPU was used; may be empty.
    """

    busy: bool
    text: str
    fraction: float
    error: KmmError | None
    note: str = ""


@dataclass
class _Task:
    """What is under way: first ``job`` (None where takes come from the history), then ``maker``."""

    target: Target
    started: float
    plan: Plan | None = None
    job: GenerationJob | None = None
    maker: TakeMaker | None = None
    checked: float = field(default=0.0)
    waits: str = ""  # for what, see _waits_for


class Session:
    """Everything that lives as long as the add-on is enabled and isn't in the .blend file.

    Attributes:
        client: None until the first generation.
        python: a Python with torch to use instead of what the preferences say; for scripts and tests.
        longest_block: the longest time that one call held the main thread since the last start, seconds.
        seconds: from the last start to the takes on the armature.
    """

    def __init__(self):
        self.client: WorkerClient | None = None
        self.python: Path | None = None
        self.longest_block = 0.0
        self.seconds = 0.0
        self._task: _Task | None = None
        self._error: KmmError | None = None
        self._note = ""
        self._shown = ""
        # Blender knows a timer by the very object it was given, and self.tick is a new one every time.
        self._timer = self.tick

    # --- for panels and operators -------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a generation is under way."""
        return self._task is not None

    @property
    def status(self) -> Status:
        """For panels; cheap, never touches the scene."""
        task = self._task
        if task is None:
            return Status(False, "", 0.0, self._error, self._note)
        if task.maker is not None:
            return Status(True, task.waits or "Writing keys", 0.9 + 0.1 * task.maker.fraction, None)
        return Status(True, *_progress(task.job), None)

    def start(self, plan: Plan) -> None:
        """Starts generating ``plan``; the takes appear in its scene when it is done.

        Raises:
            KmmError: ``busy`` while another generation is under way; else what ``backend.find_python`` raises.
        """
        self._check_idle()
        client = self._ready_client()
        self._begin(_Task(plan.target, time.perf_counter(), plan, client.generate(plan.request)))

    def restore(self, target: Target, record: TakeRecord) -> None:
        """Makes a take of a stored one, without the worker.

        Raises:
            KmmError: ``busy`` while a generation is under way.
        """
        self._check_idle()
        self._begin(_Task(target, time.perf_counter(), maker=TakeMaker(target, [record], remember=False)))

    def cancel(self) -> None:
        """Stops the generation under way, wherever it is; the scene stays as it was."""
        task, self._task = self._task, None
        if task is None:
            return
        if task.job is not None and self.client is not None:
            self.client.cancel(task.job)
        if task.maker is not None:
            task.maker.discard()
        _redraw()

    def dismiss(self) -> None:
        """Forgets the last failure and the last note."""
        self._error, self._note = None, ""
        _redraw()

    def wait(self, timeout: float | None = None, on_progress: Callable[[Status], None] | None = None) -> None:
        """Drives the session until nothing is under way, for background mode and tests.

        Args:
            timeout: seconds, after which the generation is cancelled.
            on_progress: called whenever the status changes.

        Raises:
            KmmError: why the generation failed, or ``timeout``.
        """
        started, shown = time.monotonic(), None
        while self._task is not None:
            pause = self.tick()
            status = self.status
            if on_progress and status.busy and status != shown:
                on_progress(status)
            shown = status
            if self._task is None:
                break
            if timeout is not None and time.monotonic() - started > timeout:
                self.cancel()
                self._error = KmmError(
                    "timeout",
                    f"The motion was not finished after {timeout:g} s.",
                    "Allow more time, or ask for fewer takes or a shorter timeline.",
                )
                break
            time.sleep(min(pause, 0.01))
        if self._error is not None:
            raise self._error

    def unload(self) -> None:
        """Lets the worker end and free its memory, unless it has a job; the next generation starts it again."""
        if self.client is not None:
            self.client.unload()
            _redraw()

    def restart(self) -> None:
        """Ends the worker at once, whatever it does; the next generation starts a new one."""
        self.cancel()
        if self.client is not None:
            self.client.close()
        _redraw()

    def close(self) -> None:
        """Ends worker and timer: the add-on is being disabled."""
        self.cancel()
        if self.client is not None:
            self.client.close()
            self.client = None
        if bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.unregister(self._timer)

    # --- the timer ----------------------------------------------------------------------------------

    def tick(self) -> float | None:
        """Moves everything on by a few milliseconds. Returns seconds to the next call; None ends the timer."""
        started = time.perf_counter()
        try:
            self._move_on(started)
        except KmmError as error:
            self._fail(error)
        except Exception as error:  # a fault of ours must not leave a progress bar that never ends
            self._fail(
                KmmError(
                    "fault",
                    f"KMM failed because of a bug in it ({type(error).__name__}: {error}).",
                    "Copy the report and open an issue with it; the scene is unchanged.",
                )
            )
            traceback.print_exc()
        self._show_progress()
        self.longest_block = max(self.longest_block, time.perf_counter() - started)
        if self._task is None:
            return (
                _IDLE if self.client is not None and self.client.state not in ("stopped", "failed") else None
            )
        return _BUSY if self._task.maker is None else _WRITING

    def undone(self) -> None:
        """To be called after undo and redo: what is being written must begin anew."""
        if self._task is not None and self._task.maker is not None:
            self._task.maker.restart()

    def _move_on(self, now: float) -> None:
        if self.client is not None:
            self.client.idle_seconds = preferences().idle_seconds
            self.client.poll()
        task = self._task
        if task is None:
            return
        if now - task.checked > _TARGET_CHECK:
            task.checked = now
            task.target.find()
        if task.maker is None:
            self._take_answer(task)
            return
        task.waits = _waits_for(task.target)
        if not task.waits:
            while time.perf_counter() - now < _SLICE_SECONDS:
                if task.maker.step():
                    self._finish(task)
                    return

    def _take_answer(self, task: _Task) -> None:
        job = task.job
        if not job.finished:
            return
        if job.state == "failed":
            raise job.error or KmmError("worker_failed", "The generation failed.")
        if job.state == "cancelled":
            self._task = None
            return
        task.maker = TakeMaker(task.target, task.plan.records(job.clips))

    def _finish(self, task: _Task) -> None:
        self._task = None
        notes = (task.job.note if task.job else "", task.plan.note if task.plan else "", task.maker.note)
        self._note = " ".join(note for note in notes if note)
        self.seconds = time.perf_counter() - task.started
        _push_undo("Generate Takes")
        _redraw()

    def _fail(self, error: KmmError) -> None:
        self.cancel()
        self._error = error
        _redraw()

    def _begin(self, task: _Task) -> None:
        self._error, self._note = None, ""
        self._task = task
        self.longest_block = 0.0
        # With the interval of an idle timer the first look would come late.
        if bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.unregister(self._timer)
        bpy.app.timers.register(self._timer, first_interval=0.0, persistent=True)
        _redraw()

    def _check_idle(self) -> None:
        if self._task is not None:
            raise KmmError("busy", "A generation is under way.", "Wait for it or cancel it.")

    def _ready_client(self) -> WorkerClient:
        settings = preferences()
        python = self.python or settings.worker_python
        if self.client is not None and self.client.python != python:
            self.client.close()
            self.client = None
        if self.client is None:
            self.client = WorkerClient(python, settings.worker_log)
        self.client.poll()  # a worker that died meanwhile is noticed before it is given a job
        return self.client

    def _show_progress(self) -> None:
        status = self.status
        shown = f"{status.text} {status.fraction:.2f}"  # not a redraw for every slice
        if shown != self._shown:
            self._shown = shown
            _redraw()


def _progress(job: GenerationJob) -> tuple[str, float]:
    """One line and a fraction for a progress bar."""
    text, fraction = job.stage[:1].upper() + job.stage[1:], 0.0
    if job.total:
        fraction = job.done / job.total
        text += f", {job.done} of {job.total}"
    if job.seconds_left is not None and job.seconds_left >= 1:
        text += f", {job.seconds_left:.0f} s left"
    return text or job.state, 0.9 * fraction if job.state == "generating" else 0.0


def _waits_for(target: Target) -> str:
    """What the takes have to wait for, as a line for the panel: a render would show them, a hand is on the scene."""
    if any(map(bpy.app.is_job_running, _RENDERS)):
        return "Waiting for the render"
    armature = target.armature.find(bpy.data.objects)
    if armature is not None and in_edit_mode(armature):
        return "Waiting until you leave Edit Mode"
    if armature is not None and tweaked(armature):
        return "Waiting until you leave the NLA editor's tweak mode"
    windows = bpy.context.window_manager.windows
    operators = (operator for window in windows for operator in window.modal_operators)
    in_hand = next((operator.name for operator in operators if _is_in_hand(operator.bl_idname)), "")
    return f"Waiting until {in_hand} ends" if in_hand else ""


def _is_in_hand(operator: str) -> bool:
    """Whether the animator's hand is on this modal operator, by its ``bl_idname``, so that it has to end before the takes come.

    Blender's own hold on to F-curves and meshes while they run: a slider of the Graph Editor or a brush would crash with a
    new Action or an undo step. An add-on's may run for as long as Blender does, such as one that shows the keys pressed:
    of those, only ours and such that end in an undo step.
    """
    if operator in _RENDER_OPERATORS:
        return False
    by_python = bpy.types.Operator.bl_rna_get_subclass_py(operator)
    return (
        by_python is None or operator.startswith("KMM_OT_") or "UNDO" in getattr(by_python, "bl_options", ())
    )


def _push_undo(message: str) -> None:
    """The takes are a step of their own, so that undoing something later doesn't take them away."""
    windows = bpy.context.window_manager.windows
    window = bpy.context.window or (windows[0] if windows else None)
    with bpy.context.temp_override(window=window):
        if bpy.ops.ed.undo_push.poll():
            bpy.ops.ed.undo_push(message=message)


def _redraw() -> None:
    """The sidebars, in every window."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


# --- handlers -----------------------------------------------------------------------------------------


@persistent
def _after_undo(*_) -> None:
    get().undone()


@persistent
def _before_load(*_) -> None:
    # The worker stays warm; what it makes has no scene any more.
    get().cancel()
    get().dismiss()


@persistent
def _before_render(*_) -> None:
    if preferences().release_before_render:
        get().unload()


_HANDLERS = (
    ("undo_post", _after_undo),
    ("redo_post", _after_undo),
    ("load_pre", _before_load),
    ("render_init", _before_render),
)
_session: Session | None = None


def get() -> Session:
    """The session; only while the add-on is enabled."""
    if _session is None:
        raise RuntimeError("The KMM add-on is not enabled.")
    return _session


def register() -> None:
    """Makes the session and its handlers. Starts nothing."""
    global _session
    _session = Session()
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    """Ends the session."""
    global _session
    get().close()
    for name, handler in _HANDLERS:
        handlers = getattr(bpy.app.handlers, name)
        if handler in handlers:  # another script may have cleared the list
            handlers.remove(handler)
    _session = None
