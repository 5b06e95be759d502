"""Reads untrusted ``.npy`` and ``.npz`` files: sizes are capped, pickles are refused. Light zone: no torch."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ..errors import KmmError

# An hour of AMASS at 120 fps is 600 MB; a larger file is no motion file, or is made to fill the memory.
MAX_BYTES = 1_000_000_000
_BROKEN = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    SyntaxError,  # a .npy header that does not parse
    tokenize.TokenError,  # likewise
    MemoryError,
    NotImplementedError,
    RuntimeError,  # an encrypted archive
    zipfile.BadZipFile,
    zlib.error,
)


def read_array(path: str | Path, code: str) -> np.ndarray:
    """The array of a ``.npy`` file.

    Args:
        path: the file.
        code: code of the error raised.

    Raises:
        KmmError: ``code`` for a missing, empty, broken, huge or pickled file.
    """
    path = Path(path)
    _check_file(path, code)
    try:
        # The header is read first, so that a false shape cannot claim more memory than the file has data.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise _bad(path, code, "it is an .npz archive", "Rename it to .npz.")
        return np.array(array)
    except _BROKEN as error:
        raise _unreadable(path, code, error) from None


def read_arrays(path: str | Path, code: str, keys: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file, by name.

    Args:
        path: the file.
        code: code of the error raised.
        keys: arrays wanted, where the file has them; the others are not unpacked. All by default.

    Raises:
        KmmError: ``code`` for a missing, empty, broken, huge or pickled file.
    """
    path = Path(path)
    _check_file(path, code)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        wanted = [name for name in members if keys is None or name in keys]
        size = sum(members[name] for name in wanted)
        if size > MAX_BYTES:
            raise _bad(path, code, f"it unpacks to {size:,} bytes; at most {MAX_BYTES:,} are read", "Cut it.")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in wanted}
    except _BROKEN as error:
        raise _unreadable(path, code, error) from None


def _check_file(path: Path, code: str) -> None:
    if not path.exists():
        raise _bad(path, code, "there is no such file", "Check the path.")
    if path.is_dir():
        raise _bad(path, code, "it is a folder", "Give one of the files in it.")
    size = path.stat().st_size
    if size == 0:
        raise _bad(path, code, "the file is empty", "Get it again.")
    if size > MAX_BYTES:
        raise _bad(path, code, f"it has {size:,} bytes; at most {MAX_BYTES:,} are read", "Cut it.")


def _unreadable(path: Path, code: str, error: Exception) -> KmmError:
    if isinstance(error, PermissionError):
        return _bad(path, code, "no permission to read it", "Change its permissions.")
    if "pickle" in str(error) or "Python objects" in str(error):
        return _bad(
            path,
            code,
            "it holds Python objects (a pickle), which could run code and are never loaded",
            "Save plain number arrays with numpy.save or numpy.savez.",
        )
    return _bad(path, code, "it is broken, cut short or not a NumPy file", "Get it again.")


def _bad(path: Path, code: str, reason: str, hint: str) -> KmmError:
    return KmmError(code, f"Cannot read {path.name}: {reason}.", hint)
