"""Blender as a module (bpy) with the add-on installed and enabled, in a user folder of its own that is thrown away.

Two ways, and in both the add-on is ``bl_ext.user_default.kmm``, so that a test file can say at its top
``from bl_ext.user_default.kmm.scene import axes`` and ``from kmm_core.clip import MotionClip``:

* the built zip (``make test``): ``KMM_EXTENSION_ZIP``, else the newest ``dist/kmm-*.zip``; ``kmm_core`` is the wheel in it;
* ``KMM_TEST_FROM_CHECKOUT=1``: the files of the checkout as they are, for a quick inner loop.

``KMM_TEST_PYTHON`` is the Python that workers run in (with torch), ``.venv/bin/python`` unless said otherwise.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXIT_STATUS = pytest.StashKey[int]()
PACKAGE = "bl_ext.user_default.kmm"
# A name as people have them: spaces and letters that are not ASCII, in every path of every test.
USER_FOLDER = Path(tempfile.mkdtemp(prefix="kmm tests ü 動 "))
os.environ["BLENDER_USER_RESOURCES"] = str(USER_FOLDER)  # read when bpy is imported

import bpy  # noqa: E402


def _zip_to_test() -> Path | None:
    if named := os.environ.get("KMM_EXTENSION_ZIP"):
        return Path(named)
    return max((REPOSITORY / "dist").glob("kmm-*.zip"), key=lambda path: path.stat().st_mtime, default=None)


def _install_zip() -> None:
    """As a user does it, with the checkout out of sight."""
    # pytest started as `python -m pytest`, or PYTHONPATH, would show the checkout's kmm_core instead of the wheel's.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != REPOSITORY]
    archive = _zip_to_test()
    if archive is None:
        pytest.exit(
            "There is no dist/kmm-*.zip to test: run make extension, or set KMM_TEST_FROM_CHECKOUT=1.", 4
        )
    try:
        bpy.ops.extensions.package_install_files(
            filepath=str(archive), repo="user_default", enable_on_install=True
        )
    except RuntimeError as error:
        pytest.exit(f"Blender could not install {archive}: {error}", 3)
    if PACKAGE not in bpy.context.preferences.addons:
        pytest.exit(f"Blender installed {archive} and did not enable it.", 3)


def _enable_checkout() -> None:
    """The add-on's files linked to where Blender looks for extensions; ``kmm_core`` from the checkout."""
    import addon_utils

    script = REPOSITORY / "tools" / "build_extension.py"
    subprocess.run([sys.executable, script, "link", USER_FOLDER], check=True)
    sys.path.insert(0, str(USER_FOLDER / "packages"))
    addon_utils.extensions_refresh()
    # One broken module must not stop the tests of another: here, and only here, they run without the rest.
    if not addon_utils.enable(PACKAGE, default_set=True):
        print(
            "The add-on could not be enabled, see above: its modules can be imported, its classes are missing."
        )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Installs before test files are collected, because they import from the add-on."""
    session.config.stash[EXIT_STATUS] = 3  # until there is another: pytest's word for "something broke"
    if os.environ.get("KMM_TEST_FROM_CHECKOUT"):
        _enable_checkout()
    else:
        _install_zip()


def pytest_report_header() -> list[str]:
    way = "the checkout" if os.environ.get("KMM_TEST_FROM_CHECKOUT") else "the built zip"
    return [f"Blender {bpy.app.version_string}, KMM from {way}"]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the process at once: bpy 4.5 hangs and 4.2 crashes at exit while something is registered."""
    if EXIT_STATUS not in config.stash:
        return
    if PACKAGE in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_disable(module=PACKAGE)  # ends a worker that is still there
    shutil.rmtree(USER_FOLDER, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(config.stash[EXIT_STATUS])


_reached: list[object] = []


def _watch_sockets(event: str, arguments: tuple) -> None:
    """Notes every address beyond this machine that this process, Blender's, wants to reach."""
    if event == "socket.connect":
        host = (
            arguments[1][0] if isinstance(arguments[1], tuple) else "localhost"
        )  # else a Unix socket's path
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in ("127.0.0.1", "::1", "localhost", "", None):
        _reached.append(arguments)


sys.addaudithook(_watch_sockets)


@pytest.fixture(autouse=True)
def offline() -> Iterator[None]:
    """Blender's online access is off, as by default, and no test may reach for anything but loopback."""
    assert not bpy.app.online_access
    yield
    reached = _reached.copy()
    _reached.clear()
    assert not reached, f"the network was asked for {reached}"


@pytest.fixture(autouse=True)
def fresh_scene() -> bpy.types.Scene:
    """An empty file for every test: no objects, no Actions, the scene's settings as Blender makes them."""
    bpy.ops.wm.read_homefile(use_empty=True)
    return bpy.context.scene


_GENERATE_A_RIG = """
import os, sys
import addon_utils, bpy
addon_utils.enable("rigify", default_set=True)
bpy.ops.wm.read_homefile(use_empty=True)
bpy.ops.object.armature_basic_human_metarig_add()
bpy.ops.pose.rigify_generate()
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])
os._exit(0)
"""


@pytest.fixture(scope="session")
def rigify_blend(tmp_path_factory) -> Path:
    """A file with a generated rig. Made in a process of its own: Rigify, disabled again, leaves Blender 4.2 to crash later."""
    path = tmp_path_factory.mktemp("rigify") / "rig.blend"
    code = f"import bpy\n{_GENERATE_A_RIG}"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, timeout=300)
    return path


@pytest.fixture
def rigify_rig(rigify_blend, fresh_scene) -> bpy.types.Object:
    """A generated rig of Rigify, which ships with Blender: its limbs follow IK controls, as Rigify makes them."""
    bpy.ops.wm.open_mainfile(filepath=str(rigify_blend))
    return bpy.context.view_layer.objects.active


@pytest.fixture(scope="session")
def extension_zip() -> Path | None:
    """The zip that is tested."""
    return _zip_to_test()


@pytest.fixture(scope="session")
def worker_python() -> Path:
    """The Python that has torch; tests that start a real worker ask for it."""
    python = Path(os.environ.get("KMM_TEST_PYTHON", REPOSITORY / ".venv" / "bin" / "python"))
    if not python.exists():
        pytest.skip(f"{python} is not there; make test makes it, or set KMM_TEST_PYTHON")
    return python
