"""Which Python runs the worker, and what the folder on disk says about it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path, PureWindowsPath

import pytest

from kmm_blender.jobs import backend
from kmm_blender.jobs.backend import (
    PYTHON_VARIABLE,
    RECORD,
    USER_RECORD,
    BackendRecord,
    backend_status,
    base_pythons,
    find_python,
    read_record,
    write_record,
)
from kmm_blender.jobs.backend_report import backend_report
from kmm_core.errors import KmmError


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A backend's folder, in a path as people have them."""
    path = tmp_path / "Jürgen Müller 動き" / "backend"
    path.mkdir(parents=True)
    return path


def install(folder: Path) -> Path:
    """What an installation leaves, with an interpreter that is a mere file."""
    python = folder / "env1/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    (folder / "env1" / "pyvenv.cfg").write_text(f"home = {folder}\nversion = 3.13.0\n", encoding="utf-8")
    relative = python.relative_to(folder).as_posix()
    write_record(folder / RECORD, BackendRecord(relative, "3.13.0", "2.13.0+cpu", "cpu"))
    return python


def test_nothing_installed_says_what_to_press(folder):
    with pytest.raises(KmmError, match="Press Install") as caught:
        find_python(folder / "not there")
    assert caught.value.code == "backend_missing"


def test_installed_backend_is_found_where_it_was_moved_to(folder):
    install(folder)
    moved = folder.with_name("moved")
    folder.rename(moved)
    (moved / "env1" / "pyvenv.cfg").write_text(f"home = {moved}\n", encoding="utf-8")
    status = backend_status(moved)
    assert status.source == "installed" and status.error is None
    assert status.python == find_python(moved) == moved / "env1/bin/python"
    assert status.record.summary == "torch 2.13.0+cpu on the CPU, Python 3.13.0"


def test_backend_whose_python_is_gone_is_broken(folder):
    install(folder).unlink()
    with pytest.raises(KmmError, match="is no longer there") as caught:
        find_python(folder)
    assert caught.value.code == "backend_broken" and "Install" in caught.value.hint


def test_backend_whose_base_python_went_with_an_update_of_blender_is_broken(folder):
    install(folder)
    (folder / "env1" / "pyvenv.cfg").write_text(
        "home = /opt/blender-4.1/python/bin\ninclude = x", encoding="utf-8"
    )
    with pytest.raises(KmmError, match="blender-4.1") as caught:
        find_python(folder)
    assert caught.value.code == "backend_broken"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"python": 3, "python_version": "", "torch": "", "device": ""}']
)
def test_damaged_record_counts_as_none(folder, text):
    (folder / RECORD).write_text(text, encoding="utf-8")
    assert backend_status(folder).source == "none"


def test_record_comes_back_as_it_was_written(folder):
    record = BackendRecord("env2/bin/python", "3.11.7", "2.13.0+cu130", "cuda", "NVIDIA X", 8 << 30, "note ü")
    write_record(folder / RECORD, record)
    assert read_record(folder / RECORD) == record
    assert record.summary == "torch 2.13.0+cu130 on NVIDIA X (8 GB), Python 3.11.7"


def test_python_of_the_preferences_goes_before_the_installed_one(folder):
    install(folder)
    assert find_python(folder, sys.executable) == Path(sys.executable)
    status = backend_status(folder, sys.executable)
    assert status.source == "user" and status.record is None
    write_record(folder / USER_RECORD, BackendRecord(sys.executable, "3.11.7", "2.13.0", "cpu"))
    assert backend_status(folder, sys.executable).record.torch == "2.13.0"


def test_record_of_another_python_is_not_shown(folder):
    write_record(folder / USER_RECORD, BackendRecord("/other/python", "3.11.7", "2.13.0", "cpu"))
    assert backend_status(folder, sys.executable).record is None


def test_missing_python_of_the_preferences_is_named(folder):
    with pytest.raises(KmmError, match="does not exist") as caught:
        find_python(folder, "/no/such/python")
    assert caught.value.code == "python_missing" and "/no/such/python" in caught.value.message
    with pytest.raises(KmmError, match="is a folder"):
        find_python(folder, str(folder))


def test_python_that_this_account_may_not_see_is_a_missing_one(folder, monkeypatch):
    """As on a farm's machine, where KMM_PYTHON names a folder of the artist's."""
    stat = os.stat

    def forbidden(path, *more, **named):
        if "locked" in os.fsdecode(path):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, *more, **named)

    install(folder)
    (folder / "env1" / "pyvenv.cfg").write_text("home = /locked/bin\n")
    monkeypatch.setattr(os, "stat", forbidden)
    for variable in ("/home/locked/bin/python", "~no-such-account/locked/python"):
        monkeypatch.setenv(PYTHON_VARIABLE, variable)
        assert backend_status(folder).error.code == "python_missing"
    assert "may not see" in backend_status(folder).error.message
    monkeypatch.delenv(PYTHON_VARIABLE)
    assert backend_status(folder).error.code == "backend_broken"


def test_variable_goes_before_everything(folder, monkeypatch):
    install(folder)
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    assert backend_status(folder, "/no/such/python").source == "variable"
    assert find_python(folder, "/no/such/python") == Path(sys.executable)
    monkeypatch.setenv(PYTHON_VARIABLE, "/also/none")
    with pytest.raises(KmmError, match=PYTHON_VARIABLE) as caught:
        find_python(folder)
    assert caught.value.code == "python_missing"


def test_base_pythons_begin_with_blenders_own_and_never_with_blender(monkeypatch):
    assert base_pythons()[0] == sys.executable
    monkeypatch.setattr(backend.sys, "executable", "/opt/blender/blender")
    assert "/opt/blender/blender" not in base_pythons()


def test_a_python_planted_in_the_current_folder_is_not_taken(folder, monkeypatch):
    """Windows looks there first, and it is where the .blend lies that was double-clicked."""
    planted = folder / "python3"
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.touch(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.pathsep.join([os.curdir, os.path.dirname(sys.executable)]))
    assert all(map(os.path.isabs, base_pythons()))


def test_record_that_cannot_be_written_says_so(folder):
    with pytest.raises(KmmError) as caught:
        write_record(folder / "none" / RECORD, BackendRecord("p", "3", "2", "cpu"))
    assert caught.value.code == "no_folder"


def test_report_has_all_and_not_the_users_name(folder, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: folder.parent)
    log = folder / "worker.log"
    log.write_text("\n".join(f"line {number}" for number in range(500)), encoding="utf-8")
    text = backend_report(
        {"Blender": "5.2", "Backend": folder / "env1", "Empty": "", "None": None},
        [KmmError("worker_failed", f"It ended in {folder}.", "Generate again.")],
        [log, folder / "none.log"],
    )
    assert (
        "Blender: 5.2" in text
        and "Error worker_failed: It ended in ~" in text
        and "Hint: Generate again." in text
    )
    assert "line 499" in text and "line 3\n" not in text
    assert "Jürgen" not in text and "None:" not in text and "none.log" not in text


@pytest.mark.parametrize(
    "words",
    [
        r"C:\Users\Jürgen K\kmm\env1 is broken",
        r"FileNotFoundError: [WinError 3] not found: 'C:\\Users\\Jürgen K\\kmm'",
        "C:/Users/Jürgen K/kmm and c:\\users\\jürgen k",
        r'KMM {"executable": "C:\\Users\\J\u00fcrgen K\\python.exe"}',
    ],
)
def test_report_leaves_the_name_out_however_windows_and_python_spell_it(folder, monkeypatch, words):
    monkeypatch.setattr(Path, "home", lambda: PureWindowsPath(r"C:\Users\Jürgen K"))
    log = folder / "worker.log"
    log.write_text(words + r" and C:\Users\Jürgen Kurz", encoding="utf-8")
    text = backend_report({}, [KmmError("x", words)], [log])
    assert "~" in text and "Kurz" in text
    left = text.replace(str(log), "").replace("Jürgen Kurz", "").casefold()
    assert "rgen" not in left


def test_record_holds_plain_json(folder):
    python = install(folder)
    assert json.loads((folder / RECORD).read_text(encoding="utf-8"))["python"] == os.path.relpath(
        python, folder
    )
