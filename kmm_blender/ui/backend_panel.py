"""The Backend panel: what runs, how it is installed or chosen, and what went wrong.

kmm.install_backend          installs PyTorch outside Blender; asks first, and only with online access. Waits with -b
kmm.use_python               tests the Python that the preferences (or KMM_PYTHON) name. Waits with -b
kmm.cancel_backend           stops either; what was downloaded stays
kmm.restart_worker           ends the worker, whatever it does
kmm.unload_worker            ends an idle worker, which frees its memory
kmm.open_log(log)            shows worker.log or install.log in the system's editor; "WORKER" or "INSTALL"
kmm.copy_report              everything a bug report needs, on the clipboard
"""

from __future__ import annotations

import time

import bpy
from bpy.props import EnumProperty

from kmm_core.errors import KmmError

from .. import session
from ..jobs.backend import INSTALL_LOG, BackendStatus
from ..jobs.backend_install import BackendCheck, BackendInstall, SetupProcess
from ..jobs.backend_report import backend_report
from .panels import draw_error, draw_message
from .preferences import preferences

_TICK_SECONDS = 0.1
# The disk is looked at again after so long, when the panel is drawn.
_STATUS_SECONDS = 2.0

# The installation or test under way, or the last one, whose failure is shown.
_setup: SetupProcess | None = None
_status: BackendStatus | None = None
_status_until = 0.0


def status() -> BackendStatus:
    """What would run the worker, as it was a moment ago; cheap enough for drawing."""
    global _status, _status_until
    if _status is None or time.monotonic() > _status_until:
        _status, _status_until = preferences().backend_status, time.monotonic() + _STATUS_SECONDS
    return _status


def _begin(setup: SetupProcess) -> None:
    """Follows a process that was started: with a timer, or to its end where timers never fire."""
    global _setup
    _setup = setup
    if not bpy.app.background:
        bpy.app.timers.register(_tick, first_interval=0.0, persistent=True)
        return
    shown = ""
    while _tick() is not None:
        line = _progress_text(setup)
        if setup.stage != shown:
            print(f"KMM backend: {line}", flush=True)
        shown = setup.stage
        time.sleep(_TICK_SECONDS)


def _tick() -> float | None:
    """The timer: moves the process on; None ends the timer."""
    global _status
    setup = _setup
    if setup is None:
        return None
    setup.poll()
    _redraw()
    if not setup.finished:
        return _TICK_SECONDS
    _status = None
    if setup.state == "done" and not session.get().busy:
        session.get().restart()  # the next generation runs in what was just installed
    return None


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def _running() -> bool:
    return _setup is not None and not _setup.finished


def _progress_text(setup: SetupProcess) -> str:
    text = setup.stage
    if setup.total:
        text += f" {setup.done / 1e6:.0f} of {setup.total / 1e6:.0f} MB"
    if setup.seconds_left is not None:
        text += f", {_duration(setup.seconds_left)} left"
    return text


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"


# --- operators


class _SetupOperator(bpy.types.Operator):
    """What install and test have in common."""

    def _follow(self, setup: SetupProcess) -> set[str]:
        _begin(setup)
        if setup.state == "failed":
            self.report({"ERROR"}, str(setup.error))
            return {"CANCELLED"}
        if setup.state == "done":
            self.report({"INFO"}, f"KMM backend: {setup.record.summary}")
        return {"FINISHED"}


class KMM_OT_install_backend(_SetupOperator):
    """Download PyTorch and install it outside Blender; nothing is installed into Blender's own Python"""

    bl_idname = "kmm.install_backend"
    bl_label = "Install"

    @classmethod
    def poll(cls, context):
        if _running():
            cls.poll_message_set("The backend is being installed or tested")
            return False
        if status().source in ("user", "variable"):
            cls.poll_message_set(
                "KMM uses a Python that was chosen; clear it first (Preferences > KMM > Python)"
            )
            return False
        if not bpy.app.online_access:
            cls.poll_message_set("Online access is off: allow it in Preferences > System > Network")
            return False
        return True

    def invoke(self, context, _event):
        return context.window_manager.invoke_props_dialog(
            self, width=440, title="Install the KMM Backend", confirm_text="Install"
        )

    def draw(self, context):
        layout, chosen = self.layout, preferences()
        column = layout.column(align=True)
        column.label(text="Downloads PyTorch: 0.2 GB for the CPU, about 3 GB for an NVIDIA card,")
        column.label(text="and unpacks it to 0.9 GB or about 7 GB in")
        column.label(text=str(chosen.backend_path))
        if not chosen.backend_folder:
            column.label(text="Uninstalling KMM deletes it. Blender's own Python is not changed.")
        layout.prop(chosen, "torch_build")

    def execute(self, _context):
        chosen = preferences()
        return self._follow(BackendInstall(chosen.backend_path, build=chosen.torch_build.lower()))


class KMM_OT_use_python(_SetupOperator):
    """Test whether the chosen Python can run KMM's worker; nothing is installed into it"""

    bl_idname = "kmm.use_python"
    bl_label = "Use This Python"

    @classmethod
    def poll(cls, context):
        if _running():
            cls.poll_message_set("The backend is being installed or tested")
            return False
        if status().source not in ("user", "variable"):
            cls.poll_message_set("Choose a Python first: the field beside this button")
            return False
        return True

    def execute(self, _context):
        chosen = preferences()
        now = chosen.backend_status
        if now.python is None:
            self.report({"ERROR"}, str(now.error))
            return {"CANCELLED"}
        return self._follow(BackendCheck(chosen.backend_path, now.python))


class KMM_OT_cancel_backend(bpy.types.Operator):
    """Stop the installation or the test; what was downloaded stays for the next try"""

    bl_idname = "kmm.cancel_backend"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context):
        if not _running():
            cls.poll_message_set("Nothing is being installed or tested")
            return False
        return True

    def execute(self, _context):
        _setup.cancel()
        return {"FINISHED"}


class KMM_OT_dismiss_backend(bpy.types.Operator):
    """Forget this message"""

    bl_idname = "kmm.dismiss_backend"
    bl_label = "Dismiss"

    def execute(self, _context):
        global _setup
        if not _running():
            _setup = None
        return {"FINISHED"}


class KMM_OT_restart_worker(bpy.types.Operator):
    """End the worker at once, even while it generates; the next generation starts a new one"""

    bl_idname = "kmm.restart_worker"
    bl_label = "Restart"

    @classmethod
    def poll(cls, context):
        if _worker_state() == "stopped":
            cls.poll_message_set("The worker is not running; Generate starts it")
            return False
        return True

    def execute(self, _context):
        session.get().restart()
        return {"FINISHED"}


class KMM_OT_unload_worker(bpy.types.Operator):
    """Free the memory of the model; the next generation loads it again, in a few seconds"""

    bl_idname = "kmm.unload_worker"
    bl_label = "Unload"

    @classmethod
    def poll(cls, context):
        if session.get().busy:
            cls.poll_message_set("A generation is under way; cancel it or wait")
            return False
        if _worker_state() != "ready":
            cls.poll_message_set("No model is loaded")
            return False
        return True

    def execute(self, _context):
        session.get().unload()
        return {"FINISHED"}


class KMM_OT_open_log(bpy.types.Operator):
    """Show what the worker, or the last installation, printed"""

    bl_idname = "kmm.open_log"
    bl_label = "Open Log"

    log: EnumProperty(
        name="Log",
        description="Which log to show",
        items=(
            ("WORKER", "Worker", "What the worker printed"),
            ("INSTALL", "Installation", "What the last installation or test printed"),
        ),
        options={"SKIP_SAVE"},
    )

    def execute(self, _context):
        chosen = preferences()
        path = chosen.worker_log if self.log == "WORKER" else chosen.backend_path / INSTALL_LOG
        if not path.is_file():
            self.report({"WARNING"}, f"There is no log yet at {path}")
            return {"CANCELLED"}
        return bpy.ops.wm.path_open(filepath=str(path))


class KMM_OT_copy_report(bpy.types.Operator):
    """Copy versions, the backend's state, the last error and the ends of the logs, for a bug report"""

    bl_idname = "kmm.copy_report"
    bl_label = "Copy Report"

    def execute(self, context):
        context.window_manager.clipboard = report_text()
        self.report({"INFO"}, "The report is on the clipboard")
        return {"FINISHED"}


def report_text() -> str:
    """The report that ``kmm.copy_report`` copies."""
    chosen, now, client = preferences(), preferences().backend_status, session.get().client
    facts = {
        "Blender": f"{bpy.app.version_string} ({bpy.app.build_platform.decode()})",
        "Online access": bpy.app.online_access,
        "Backend": f"{now.source}, {now.python}",
        "Tested": now.record.summary if now.record else "never",
        "Note": now.record.note if now.record else "",
        "Chosen": f"model {chosen.model_name}, device {chosen.device_name}",
        "Worker": _worker_state(),
        "Running": client.info if client else None,
        "Last setup": f"{_setup.state}, {_setup.stage}" if _setup else "",
    }
    errors = [session.get().status.error, _setup.error if _setup else None, now.error]
    logs = [chosen.backend_path / INSTALL_LOG, chosen.worker_log]
    return backend_report(facts, [error for error in errors if error is not None], logs)


def _worker_state() -> str:
    client = session.get().client
    return client.state if client is not None else "stopped"


# --- the panel


class KMM_PT_backend(bpy.types.Panel):
    bl_idname = "KMM_PT_backend"
    bl_label = "Backend"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "KMM"
    bl_order = 9

    def draw(self, context):
        layout, setup, now = self.layout, _setup, status()
        failure = setup.error if setup is not None and setup.finished else None
        if failure is not None:
            _draw_failure(context, layout, failure)
        if now.python is not None:
            self._draw_facts(context, now)
            if setup is not None and setup.state == "done":
                draw_message(context, layout, f"Tested: {setup.record.summary}", "CHECKMARK")
            row = layout.row(align=True)
            row.operator("kmm.restart_worker", icon="FILE_REFRESH")
            row.operator("kmm.unload_worker", icon="TRASH")
        elif not _running():
            if failure is None:
                draw_error(context, layout, now.error)
            _draw_choice(context, layout, big=True)
        if _running():
            factor = setup.done / setup.total if setup.total else 0.0
            layout.progress(factor=factor, text=_progress_text(setup), type="BAR")
            layout.operator("kmm.cancel_backend", icon="CANCEL")
        row = layout.row(align=True)
        row.operator_menu_enum("kmm.open_log", "log", icon="TEXT")
        row.operator("kmm.copy_report", icon="COPYDOWN")

    def _draw_facts(self, context, now: BackendStatus) -> None:
        """What runs, or what would."""
        layout, client = self.layout, session.get().client
        info, record = client.info if client else None, now.record
        column = layout.column(align=True)
        _draw_fact(column, "Worker", _WORKER_WORDS.get(_worker_state(), _worker_state()))
        if info is not None:
            _draw_fact(column, "Model", f"{info.model} {info.version}")
            _draw_fact(column, "Licence", info.licence)
            _draw_fact(column, "Text", info.text_encoder)
            _draw_fact(column, "Device", _device(info.device, info.device_name))
            memory = _size(info.memory_bytes)
            if info.device_memory_bytes:
                memory += f", {_size(info.device_memory_bytes)} on the card"
            _draw_fact(column, "Memory", memory)
            _draw_fact(column, "PyTorch", info.torch)
        else:
            _draw_fact(column, "Model", preferences().model_name)
            if record is not None:
                _draw_fact(column, "Device", _device(record.device, record.device_name))
                _draw_fact(column, "PyTorch", record.torch)
        if record is not None and record.note:
            draw_message(context, layout, record.note, "INFO")
        if record is None and info is None:
            draw_message(context, layout, "This Python has not been tested yet.", "INFO")
            layout.operator("kmm.use_python", icon="CHECKMARK")


class KMM_PT_backend_setup(bpy.types.Panel):
    bl_idname = "KMM_PT_backend_setup"
    bl_label = "Settings"
    bl_parent_id = "KMM_PT_backend"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "KMM"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        layout, chosen = self.layout, preferences()
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.prop(chosen, "model")
        if chosen.model == "FOLDER":
            column.prop(chosen, "model_folder")
        column.prop(chosen, "device")
        column.prop(chosen, "idle_minutes")
        column.prop(chosen, "release_before_render")
        if status().python is not None:
            _draw_choice(context, layout, big=False)


_WORKER_WORDS = {
    "stopped": "starts with Generate",
    "starting": "starting",
    "loading": "loading the model",
    "ready": "ready",
    "busy": "generating",
    "failed": "ended with an error",
}


def _draw_choice(context, layout, *, big: bool) -> None:
    """Install, or a Python of one's own."""
    column = layout.column()
    column.use_property_split = False
    if not bpy.app.online_access:
        draw_message(context, column, "Installing needs online access, which is off.", "INTERNET_OFFLINE")
        column.operator(
            "screen.userpref_show", text="Open Preferences", icon="PREFERENCES"
        ).section = "SYSTEM"
    row = column.row()
    row.scale_y = 1.4 if big else 1.0
    row.operator("kmm.install_backend", icon="IMPORT")
    row = column.row(align=True)
    row.prop(preferences(), "python_path", text="", placeholder="or a Python that has PyTorch")
    row.operator("kmm.use_python", text="", icon="CHECKMARK")


def _draw_failure(context, layout, error: KmmError) -> None:
    """What went wrong, with the ways to more."""
    box = layout.box()
    draw_error(context, box, error)
    row = box.row(align=True)
    row.operator("kmm.copy_report", icon="COPYDOWN")
    row.operator("kmm.open_log", icon="TEXT").log = "INSTALL"
    row.operator("kmm.dismiss_backend", text="", icon="X")


def _device(device: str, name: str) -> str:
    """Such as "NVIDIA GeForce RTX 4070" or "CPU, 8 threads"."""
    if device == "cpu":
        return f"CPU, {name}" if name else "CPU"
    return name or device.upper()


def _draw_fact(column, name: str, value: str) -> None:
    split = column.split(factor=0.3)
    left = split.row()
    left.active = False
    left.label(text=name)
    split.label(text=value)


_CLASSES = (
    KMM_OT_install_backend,
    KMM_OT_use_python,
    KMM_OT_cancel_backend,
    KMM_OT_dismiss_backend,
    KMM_OT_restart_worker,
    KMM_OT_unload_worker,
    KMM_OT_open_log,
    KMM_OT_copy_report,
    KMM_PT_backend,
    KMM_PT_backend_setup,
)


def register() -> None:
    for kind in _CLASSES:
        bpy.utils.register_class(kind)


def unregister() -> None:
    """Ends an installation or test under way, too."""
    global _setup, _status
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if _setup is not None:
        _setup.close()
    _setup = _status = None
    for kind in reversed(_CLASSES):
        bpy.utils.unregister_class(kind)
