"""The Backend panel and the preferences: every state drawn, every button's reason, the chosen Python, the report."""

import json
import os
from dataclasses import asdict
from types import SimpleNamespace

import bpy
import pytest
from bl_ext.user_default.kmm import session
from bl_ext.user_default.kmm.jobs import backend
from bl_ext.user_default.kmm.jobs.backend_install import BackendCheck
from bl_ext.user_default.kmm.ui import backend_panel
from bl_ext.user_default.kmm.ui.preferences import preferences
from test_panels import Layout

from kmm_core.errors import KmmError
from kmm_core.protocol import Ready

RECORD = backend.BackendRecord("env1/bin/python", "3.13.1", "2.13.0+cu130", "cuda", "NVIDIA RTX", 8 << 30)
INFO = Ready(
    "starter", "0.1.0", "GPL-3.0-or-later", (), "MiniLM", "cpu", "8 threads", 30.0, "2.13.0", {}, 700 << 20
)
posix = pytest.mark.skipif(os.name == "nt", reason="shell scripts stand in for Python")


@pytest.fixture(autouse=True)
def fresh_backend(tmp_path, monkeypatch):
    """No backend, in a folder of the test's own; nothing remembered from the test before."""
    monkeypatch.delenv("KMM_PYTHON", raising=False)
    chosen = preferences()
    chosen.backend_folder, chosen.python_path = str(tmp_path / "bäckend"), ""
    monkeypatch.setattr(backend_panel, "_setup", None)
    monkeypatch.setattr(backend_panel, "_status", None)
    yield chosen
    for name in ("backend_folder", "python_path", "model", "idle_minutes", "device"):
        chosen.property_unset(name)


def drawn(*panels) -> str:
    """Everything that the panels show."""
    seen: list[str] = []
    context = SimpleNamespace(
        preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1.0)), region=SimpleNamespace(width=3000)
    )
    for panel in panels or (backend_panel.KMM_PT_backend, backend_panel.KMM_PT_backend_setup):
        stand_in = SimpleNamespace(layout=Layout(seen))
        if hasattr(panel, "_draw_facts"):
            stand_in._draw_facts = panel._draw_facts.__get__(stand_in)
        panel.draw(stand_in, context)
    return "\n".join(seen)


def show(monkeypatch, status=None, client=None, setup=None, busy=False):
    if status is not None:
        monkeypatch.setattr(backend_panel, "status", lambda: status)
    monkeypatch.setattr(backend_panel, "_setup", setup)
    of_session = SimpleNamespace(client=client, busy=busy, status=SimpleNamespace(error=None))
    monkeypatch.setattr(session, "get", lambda: of_session)


def fake_python(tmp_path, **found):
    """A program that answers as backend_probe.py does."""
    table = {"python_version": "3.12.1", "bits": 64, "torch": "2.13.0", "device": "cpu", "device_name": "",
             "device_memory": 0, "missing": "", "problem": "", "note": ""} | found  # fmt: skip
    path = tmp_path / "python ü"
    path.write_text(f"#!/bin/sh\necho 'KMM {json.dumps(table)}'\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_without_a_backend_the_panel_shows_both_ways_to_one():
    text = drawn()
    assert "KMM has no backend yet" in text and "Press Install" in text
    assert "Install\n" in text and "python_path" in text and "Copy Report" in text
    assert "Restart" not in text


def test_online_access_decides_whether_install_can_be_pressed():
    system = bpy.context.preferences.system
    before = system.use_online_access
    try:
        system.use_online_access = False
        assert "Installing needs online access, which is off." in drawn()
        assert not bpy.ops.kmm.install_backend.poll()
        with pytest.raises(RuntimeError, match="Online access is off"):
            bpy.ops.kmm.install_backend()
        system.use_online_access = True
        assert "online access" not in drawn()
        assert bpy.ops.kmm.install_backend.poll()
    finally:
        system.use_online_access = before


def test_progress_of_an_installation_is_shown_and_nothing_else_can_be_started(monkeypatch):
    setup = SimpleNamespace(
        finished=False,
        stage="Downloading",
        done=50_000_000,
        total=200_000_000,
        seconds_left=100.0,
        error=None,
    )
    assert backend_panel._progress_text(setup) == "Downloading 50 of 200 MB, 2 min left"
    show(monkeypatch, setup=setup)
    text = drawn()
    assert "Downloading 50 of 200 MB" in text and "Cancel" in text
    assert "KMM has no backend yet" not in text and "Install" not in text
    assert not bpy.ops.kmm.install_backend.poll() and not bpy.ops.kmm.use_python.poll()
    assert bpy.ops.kmm.cancel_backend.poll()


def test_a_failed_installation_shows_cause_remedy_and_report(monkeypatch):
    error = KmmError("download_failed", "The connection ended.", "Press Install again.")
    show(monkeypatch, setup=SimpleNamespace(finished=True, error=error, state="failed", stage="Downloading"))
    text = drawn()
    assert (
        "The connection ended." in text and "Press Install again." in text and text.count("Copy Report") == 2
    )
    assert "download_failed: The connection ended." in backend_panel.report_text()
    bpy.ops.kmm.dismiss_backend()
    assert "The connection ended." not in drawn()


def test_what_runs_is_named(monkeypatch):
    status = backend.BackendStatus("installed", "/env1/bin/python", RECORD)
    show(monkeypatch, status, SimpleNamespace(state="ready", info=INFO))
    text = drawn()
    for words in (
        "ready",
        "starter 0.1.0",
        "GPL-3.0-or-later",
        "MiniLM",
        "CPU, 8 threads",
        "700 MB",
        "2.13.0",
    ):
        assert words in text
    assert bpy.ops.kmm.unload_worker.poll() and bpy.ops.kmm.restart_worker.poll()


def test_a_python_that_runs_the_worker_needs_no_test(monkeypatch):
    status = backend.BackendStatus("user", "/usr/bin/python3")
    show(monkeypatch, status)
    assert "has not been tested yet" in drawn()
    show(monkeypatch, status, SimpleNamespace(state="ready", info=INFO))
    assert "has not been tested yet" not in drawn()


def test_before_the_first_generation_the_tested_backend_is_named(monkeypatch):
    show(monkeypatch, backend.BackendStatus("installed", "/env1/bin/python", RECORD))
    text = drawn()
    assert "starts with Generate" in text and "NVIDIA RTX" in text and "2.13.0+cu130" in text
    assert not bpy.ops.kmm.unload_worker.poll() and not bpy.ops.kmm.restart_worker.poll()
    with pytest.raises(RuntimeError, match="No model is loaded"):
        bpy.ops.kmm.unload_worker()


def test_why_a_card_is_not_used_is_shown(monkeypatch):
    note = "The driver is too old; the CPU is used."
    record = backend.BackendRecord("env1/bin/python", "3.13.1", "2.13.0+cpu", "cpu", note=note)
    show(monkeypatch, backend.BackendStatus("installed", "/env1/bin/python", record))
    assert note in drawn()


def test_a_generation_under_way_cannot_be_unloaded(monkeypatch):
    show(monkeypatch, client=SimpleNamespace(state="busy", info=INFO), busy=True)
    with pytest.raises(RuntimeError, match="under way"):
        bpy.ops.kmm.unload_worker()


@posix
def test_a_chosen_python_is_tested_and_remembered(fresh_backend, tmp_path, monkeypatch):
    fresh_backend.python_path = fake_python(
        tmp_path, device="cuda", device_name="NVIDIA T4", device_memory=16 << 30
    )
    assert "has not been tested yet" in drawn()
    assert bpy.ops.kmm.use_python() == {"FINISHED"}
    assert preferences().backend_status.record.device_name == "NVIDIA T4"
    text = drawn()
    assert (
        "Tested: torch 2.13.0 on NVIDIA T4 (16 GB), Python 3.12.1" in text
        and "has not been tested" not in text
    )
    assert not bpy.ops.kmm.install_backend.poll()


@posix
def test_a_python_without_torch_is_refused_with_what_is_missing(fresh_backend, tmp_path):
    fresh_backend.python_path = fake_python(tmp_path, torch="", missing="torch, einops")
    with pytest.raises(RuntimeError, match="has no torch, einops"):
        bpy.ops.kmm.use_python()
    assert "has no torch, einops" in drawn() and "-m pip install torch einops" in drawn()


def test_a_python_that_is_not_there_is_named(fresh_backend, tmp_path):
    fresh_backend.python_path = str(tmp_path / "none")
    with pytest.raises(KmmError, match="does not exist"):
        _ = fresh_backend.worker_python
    with pytest.raises(RuntimeError, match="does not exist"):
        bpy.ops.kmm.use_python()
    assert "does not exist" in drawn()


@posix
def test_opening_a_file_does_not_choose_what_is_run(fresh_backend, tmp_path):
    """ "//" is the folder of the .blend that is open, in which a stranger may have put a program."""
    planted = fake_python(tmp_path)
    (tmp_path / "backend.json").write_text(json.dumps(asdict(RECORD)))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "stranger.blend"))
    try:
        fresh_backend.python_path = f"//{os.path.basename(planted)}"
        assert fresh_backend.backend_status.python is None
        fresh_backend.python_path, fresh_backend.backend_folder = "", "//"
        assert fresh_backend.backend_status.record is None
    finally:
        bpy.ops.wm.read_homefile(use_empty=True)


def test_preferences_give_plain_values(fresh_backend, tmp_path):
    chosen = fresh_backend
    assert (chosen.model_name, chosen.device_name, chosen.idle_seconds) == ("starter", "auto", 600)
    chosen.model, chosen.device, chosen.idle_minutes = "STARTER_NC", "CPU", 0
    assert (chosen.model_name, chosen.device_name, chosen.idle_seconds) == ("starter-nc", "cpu", None)
    chosen.model, chosen.model_folder = "FOLDER", str(tmp_path)
    assert os.path.samefile(chosen.model_name, tmp_path)
    chosen.property_unset("model_folder")
    with pytest.raises(KmmError) as caught:
        _ = chosen.worker_python
    assert caught.value.code == "backend_missing"


def test_the_backend_stands_in_the_extensions_own_folder_unless_another_was_chosen(fresh_backend, tmp_path):
    assert os.path.basename(fresh_backend.backend_path) == "bäckend"
    fresh_backend.backend_folder = ""
    own = bpy.utils.extension_path_user("bl_ext.user_default.kmm")
    assert str(fresh_backend.backend_path).startswith(own)
    assert not fresh_backend.backend_path.exists()


def test_preferences_can_be_drawn(fresh_backend):
    fresh_backend.model = "FOLDER"
    seen: list[str] = []
    type(fresh_backend).draw(
        SimpleNamespace(layout=Layout(seen), model="FOLDER", bl_rna=fresh_backend.bl_rna), bpy.context
    )
    assert {"model", "model_folder", "device", "python_path", "backend_folder", "torch_build"} <= set(seen)


@posix
def test_the_report_tells_versions_errors_and_logs(fresh_backend, tmp_path):
    fresh_backend.python_path = fake_python(tmp_path, torch="", problem="import torch: DLL load failed")
    with pytest.raises(RuntimeError):
        bpy.ops.kmm.use_python()
    text = backend_panel.report_text()
    assert f"Blender: {bpy.app.version_string}" in text and "Error python_broken" in text
    assert "DLL load failed" in text and "install.log" in text and "model starter, device auto" in text
    assert bpy.ops.kmm.copy_report() == {"FINISHED"}


def test_a_log_that_is_not_there_yet_is_said():
    assert bpy.ops.kmm.open_log(log="INSTALL") == {"CANCELLED"}


@posix
def test_disabling_the_add_on_ends_a_test_under_way(tmp_path):
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    setup = BackendCheck(tmp_path, sleeper)
    backend_panel._setup = setup
    backend_panel.unregister()
    try:
        assert setup.state == "cancelled" and setup._process.returncode is not None
    finally:
        backend_panel.register()
