"""Where the backend is on disk, and which Python the worker runs in. No bpy; starts no process.

The backend is a Python with torch. Its folder, under the extension's own user folder, holds:

    backend.json         what the installed environment can do; written last, so it is there only for one that works
    env1/ or env2/ ...   that environment; an installation fills another one, so that a working backend stays until
                         the new one has passed its self-test, and one in which a worker runs stays until it has ended
    kmm_downloads/       wheels of an installation under way; what arrived stays for the next try
    install.log          what the installation did
    user_python.json     what the Python that the user chose can do, once it was checked
    worker.log           what the worker prints
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from kmm_core.atomic_write import atomic_write
from kmm_core.errors import KmmError

RECORD, USER_RECORD = "backend.json", "user_python.json"
INSTALL_LOG = "install.log"
# A farm's machines, and tests, name the Python here; it goes before everything else.
PYTHON_VARIABLE = "KMM_PYTHON"
# Interpreters of this system to make the environment from, where Blender's own can't be used.
_SYSTEM_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.14", "python3.10", "python3", "python")


@dataclass(frozen=True)
class BackendRecord:
    """What a Python could do when it was last tested.

    Attributes:
        python: the interpreter; a path relative to the backend's folder if it is inside it.
        python_version: such as "3.11.7".
        torch: its version, with the build: "2.13.0+cpu".
        device: "cpu", "cuda" or "mps": where a small computation ran, and where "auto" generates.
        device_name: what the graphics card calls itself; empty on the CPU.
        device_memory: bytes of the graphics card; 0 on the CPU.
        note: what the user should know, such as why the CPU is used beside a graphics card; may be empty.
    """

    python: str
    python_version: str
    torch: str
    device: str
    device_name: str = ""
    device_memory: int = 0
    note: str = ""

    @property
    def summary(self) -> str:
        """One line: "torch 2.13.0+cpu on the CPU, Python 3.11.7"."""
        where = "the CPU"
        if self.device != "cpu":
            where = f"{self.device_name or self.device} ({self.device_memory / 2**30:.0f} GB)"
        return f"torch {self.torch} on {where}, Python {self.python_version}"


@dataclass(frozen=True)
class BackendStatus:
    """Which Python would run the worker, as far as files on disk tell.

    Attributes:
        source: "variable" (KMM_PYTHON), "user" (the Python of the preferences), "installed" or "none".
        python: the interpreter, or None where there is none to start.
        record: what it could do when it was tested, or None if it never was.
        error: why there is no interpreter, with what to do; None where ``python`` is given.
    """

    source: Literal["variable", "user", "installed", "none"]
    python: Path | None = None
    record: BackendRecord | None = None
    error: KmmError | None = None


def backend_status(folder: Path, user_python: str = "") -> BackendStatus:
    """Looks at the disk for the Python to use: KMM_PYTHON, the user's, the installed one, in this order.

    Args:
        folder: the backend's folder; need not exist.
        user_python: path of the Python that the preferences name, or "".
    """
    variable = os.environ.get(PYTHON_VARIABLE, "")
    if variable or user_python:
        source = "variable" if variable else "user"
        python = Path(os.path.expanduser(variable or user_python))
        # os.path and not Path, which raises where this account may not look, as on a farm's machine.
        if not os.path.isfile(python):
            return BackendStatus(source, error=_no_file(source, python))
        record = read_record(folder / USER_RECORD)
        return BackendStatus(source, python, record if record and record.python == str(python) else None)
    record = read_record(folder / RECORD)
    if record is None:
        return BackendStatus(
            "none",
            error=KmmError(
                "backend_missing",
                "KMM has no backend yet: to generate, it needs a Python with PyTorch outside Blender.",
                "Press Install in KMM > Backend, or point KMM's preferences at a Python that has PyTorch.",
            ),
        )
    python = folder / record.python
    gone = _missing_part(python)
    if gone is not None:
        return BackendStatus(
            "installed",
            record=record,
            error=KmmError(
                "backend_broken",
                f"The backend needs {gone}, which is no longer there; Blender may have been updated "
                "or moved.",
                "Press Install in KMM > Backend to install it anew.",
            ),
        )
    return BackendStatus("installed", python, record)


def find_python(folder: Path, user_python: str = "") -> Path:
    """The Python that the worker runs in.

    Args:
        folder: the backend's folder; need not exist.
        user_python: path of the Python that the preferences name, or "".

    Raises:
        KmmError: ``backend_missing``, ``backend_broken`` or ``python_missing``.
    """
    status = backend_status(folder, user_python)
    if status.python is None:
        raise status.error or KmmError("backend_missing", "There is no backend.")
    return status.python


def base_pythons() -> list[str]:
    """Interpreters to make the environment from: Blender's own first, which nothing is installed into, then the system's.

    They are only found here; the installation tries them and takes the first one that works.
    """
    found = [sys.executable] if Path(sys.executable or "").name.lower().startswith("python") else []
    # Windows looks into the current folder first: that of a .blend which was double-clicked, whoever filled it.
    found += [path for name in _SYSTEM_PYTHONS if (path := shutil.which(name)) and os.path.isabs(path)]
    return list(dict.fromkeys(found))


def read_record(path: Path) -> BackendRecord | None:
    """Reads a record; None if there is none or it is not valid."""
    try:
        return record_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def write_record(path: Path, record: BackendRecord) -> None:
    """Writes a record.

    Raises:
        KmmError: where the folder can't be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def record_from(table: Any) -> BackendRecord:
    """A record from what JSON gave, other keys left out.

    Raises:
        ValueError: where a part is missing or of another type.
    """
    try:
        parts = {part.name: table[part.name] for part in fields(BackendRecord) if part.name in table}
        record = BackendRecord(**parts)
    except TypeError as error:
        raise ValueError(f"not a record of a backend: {error}") from error
    for part in fields(BackendRecord):
        expected = int if part.type == "int" else str
        if not isinstance(getattr(record, part.name), expected):
            raise ValueError(f"{part.name}={getattr(record, part.name)!r} is not of type {part.type}")
    return record


def _missing_part(python: Path) -> Path | None:
    """What an environment's interpreter needs and isn't there: itself, or the Python that it was built on."""
    try:
        settings = (python.parent.parent / "pyvenv.cfg").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return python.parent.parent / "pyvenv.cfg"
    home = next(
        (line.partition("=")[2].strip() for line in settings.splitlines() if line.startswith("home")), ""
    )
    return next((path for path in (Path(home), python) if not os.path.exists(path)), None)


def _no_file(source: str, python: Path) -> KmmError:
    where = (
        f"The variable {PYTHON_VARIABLE}"
        if source == "variable"
        else "The setting Python in KMM's preferences"
    )
    what = (
        "which is a folder"
        if os.path.isdir(python)
        else "which does not exist or which this account may not see"
    )
    return KmmError(
        "python_missing",
        f"{where} names {python}, {what}; expected a Python such as python.exe or bin/python3.",
        "Correct it, or clear it to use the backend that KMM installs.",
    )
