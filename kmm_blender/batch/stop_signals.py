"""Ctrl-C and SIGTERM end a batch in order: its files whole, its worker gone, its summary written. No bpy.

Blender's own handler only notes the first Ctrl-C, which cancels a render and nothing else; the second ends the process.
"""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from kmm_core.errors import KmmError

from .exit_codes import ShotError

# C handlers as they were before the batch, by signal.
_blenders: dict[int, int | None] = {}


class StopSignals:
    """As a context manager, watches for the signals. The second one of a kind ends the process at once.

    Attributes:
        error: None until a signal came; its exit code is 128 and the signal's number, as shells have it.
    """

    def __init__(self):
        self.error: ShotError | None = None
        self._interrupting = False

    def __enter__(self) -> StopSignals:
        # Should a build of Blender not export that, its own handlers stay.
        for number in (signal.SIGINT, signal.SIGTERM) if hasattr(ctypes.pythonapi, "PyOS_setsig") else ():
            _blenders[number] = _c_handler("PyOS_getsig", number)
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number in _blenders:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        _blenders.clear()

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Where a signal raises KeyboardInterrupt, also one that came before; elsewhere it is only noted.

        A signal while an operator or a handler of Blender's runs Python is noted, and may raise another error or none.
        """
        self._interrupting = True
        try:
            if self.error:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupting = False

    def _note(self, number: int, _frame) -> None:
        signal.signal(number, signal.SIG_DFL)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        self.error = ShotError(
            128 + number,
            KmmError(
                "stopped", f"{name} ended the batch before this shot was done.", "Shots before it are kept."
            ),
        )
        if self._interrupting:
            raise KeyboardInterrupt


@contextmanager
def left_to_blender() -> Iterator[None]:
    """For C code that Python's handlers would have to wait for: Blender's are there for as long, and cancel a render."""
    ours = {number: _c_handler("PyOS_setsig", number, handler) for number, handler in _blenders.items()}
    try:
        yield
    finally:
        for number, handler in ours.items():
            _c_handler("PyOS_setsig", number, handler)


def _c_handler(function: str, number: int, *handler: int | None) -> int | None:
    """Python's C API: its module ``signal`` neither tells nor sets a handler that is not Python's."""
    call = getattr(ctypes.pythonapi, function)
    call.argtypes = [ctypes.c_int, ctypes.c_void_p][: 1 + len(handler)]
    call.restype = ctypes.c_void_p
    return call(number, *handler)
