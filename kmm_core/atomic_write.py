"""Files appear whole or not at all: written beside the target, then renamed over it. Light zone: no torch."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import KmmError

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
# Seconds to retry: Windows cannot move an open file, and virus scanners, OneDrive or the search index open new ones.
_PATIENCE = (0.1, 0.2, 0.4, 0.8, 1.6) if os.name == "nt" else ()


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path to write to; puts it in place of ``path`` when the block ends without an error.

    The temporary file stands in the same folder (a rename is atomic only within one file system) and keeps
    the suffix of ``path``, for writers that choose their format by it. It is removed when the block fails.

    Args:
        path: the file to make or replace; its folder must exist.

    Raises:
        KmmError: ``no_folder``, ``no_permission``, ``disk_full`` or ``cannot_write``, naming ``path``.
    """
    path, target = Path(path), Path(os.path.realpath(path))  # a link stays, and what it points to is written
    try:
        temporary = _new_file(target.parent, "".join(path.suffixes[-2:]))
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        replace_file(temporary, target)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):  # the error that led here is the one to report
            temporary.unlink(missing_ok=True)


def replace_file(source: Path, target: Path) -> None:
    """``os.replace``, retried for three seconds if Windows says that one of the two files is open.

    Raises:
        KmmError: ``no_permission`` if it is still open then.
        OSError: all others.
    """
    for pause in _PATIENCE:
        try:
            return os.replace(source, target)
        except PermissionError:
            time.sleep(pause)
    try:
        os.replace(source, target)
    except PermissionError as error:
        if not _PATIENCE:
            raise
        raise KmmError(
            "no_permission",
            f"Cannot write {target}: another program has it open, or it is read-only.",
            "Close it there, or choose another name.",
        ) from error


def check_writable(path: str | os.PathLike) -> None:
    """Finds out before any long work whether ``path`` can be written, and leaves nothing behind.

    Folders that ``make_folder_of`` would create count as existing.

    Raises:
        KmmError: as ``atomic_write``; also ``cannot_write`` where ``path`` is a folder.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise KmmError(
                "cannot_write",
                f"Cannot write {path}: it is a folder; a file name was expected.",
                "Add a file name.",
            )
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        _new_file(folder, "").unlink()
    except OSError as error:
        raise write_error(path, error) from error


def make_folder_of(file: str | os.PathLike) -> None:
    """Creates the folder of ``file`` if it does not exist.

    Raises:
        KmmError: as ``atomic_write``.
    """
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(Path(file), error) from error


def write_error(path: Path, error: OSError) -> KmmError:
    """The OSError of a failed write to ``path`` as one sentence with a remedy."""
    if error.errno in _DISK_FULL:
        return KmmError(
            "disk_full",
            f"Cannot write {path}: the disk is full; no unfinished file was left.",
            "Free some space or choose another disk.",
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
        return KmmError(
            "no_folder",
            f"Cannot write {path}: {path.parent} is not an existing folder.",
            "Create the folder or choose another one.",
        )
    if error.errno in _FORBIDDEN:
        return KmmError(
            "no_permission",
            f"Cannot write {path}: no permission to write in {path.parent}.",
            "Choose another folder or change its permissions.",
        )
    return KmmError(
        "cannot_write",
        f"Cannot write {str(path)[:200]}: {error.strerror or error}.",
        "Choose another file name or folder.",
    )


def _new_file(folder: Path, suffix: str) -> Path:
    """Creates an empty file with an unused name and the permissions of any new file.

    Not by tempfile: in a folder that Windows protects it keeps trying names, as if all were taken.
    """
    path = folder / f".{secrets.token_hex(8)}{suffix}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    return path
