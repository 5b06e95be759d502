"""Files appear whole: on the disk before they take the place of the old one, and as readable as any other."""

import os
import stat
import sys

import pytest

from kmm_core.atomic_write import atomic_write


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
