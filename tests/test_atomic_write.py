"""Files appear whole: on the disk before they take the place of the old one, and as readable as any other."""

import errno
import os
import stat
import sys
import tempfile

import pytest

from kmm_core import atomic_write as module
from kmm_core.atomic_write import atomic_write, check_writable
from kmm_core.errors import KmmError


def test_it_is_on_the_disk_before_it_replaces_the_old_file(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *given, name=name, real=real: (done.append(name), real(*given))[1]
        )
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert done == ["fsync", "replace"] and (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_it_has_the_permissions_of_any_other_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
        (tmp_path / "b.txt").write_text("new")
    finally:
        os.umask(before)
    ours, any_other = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt"))
    assert ours == any_other


class AsOnWindows:
    """The os module as tempfile sees it there."""

    name = "nt"

    def __getattr__(self, name):
        return getattr(os, name)


@pytest.mark.parametrize("write", [check_writable, lambda path: atomic_write(path).__enter__()])
def test_a_protected_folder_is_named_as_such(tmp_path, monkeypatch, write):
    """As C:/Program Files, or Documents under Defender's folder protection: the folder is there and takes no file."""

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "_os", AsOnWindows())
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(KmmError, match="no permission to write in"):
        write(tmp_path / "a.txt")


class Scanner:
    """Refuses to let a file be moved so many times, as Windows does while another program has it open."""

    def __init__(self, monkeypatch, times):
        self.left, self.real = times, os.replace
        monkeypatch.setattr(os, "replace", self)
        monkeypatch.setattr(module, "_PATIENCE", (0.01,) * 4)

    def __call__(self, source, target):
        self.left -= 1
        if self.left >= 0:
            raise PermissionError(errno.EACCES, "Access is denied")
        self.real(source, target)


def test_a_virus_scanner_that_looks_at_the_new_file_is_waited_for(tmp_path, monkeypatch):
    Scanner(monkeypatch, 4)
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_stays_open_elsewhere_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("old")
    Scanner(monkeypatch, 5)
    with (
        pytest.raises(KmmError, match="a.txt: another program has it open") as caught,
        atomic_write(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("new")
    assert caught.value.code == "no_permission"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_temporary_file_that_cannot_be_removed_hides_no_reason(tmp_path, monkeypatch):
    """Windows removes no file that its writer still has open."""
    monkeypatch.setattr(
        "pathlib.Path.unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "in use"))
    )
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a.txt"):
        raise KeyboardInterrupt


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    link, real = tmp_path / "link.txt", tmp_path / "there" / "real.txt"
    link.symlink_to(real)
    with atomic_write(link) as temporary:
        temporary.write_text("new")
    assert (
        link.is_symlink()
        and real.read_text() == "new"
        and [path.name for path in real.parent.iterdir()] == ["real.txt"]
    )
