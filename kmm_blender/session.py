"""The one session of the add-on: the worker's client, the generation under way, and the timer that drives both.

    operator -> request_builder.build_plan -> Session.start -> worker ... timer: Session.tick -> takes.add

``get()`` is the session while the add-on is enabled. In background mode timers never fire: ``wait`` does their work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kmm_core.errors import KmmError


@dataclass(frozen=True)
class Status:
    """What the panel shows of the generation under way or of the last failure.

    Attributes:
        busy: a generation is under way (Cancel is possible, Generate is not).
        text: one line such as "Generating, 3 of 5, 2 s left"; empty where nothing is under way.
        fraction: 0 to 1 for a progress bar.
        error: why the last generation failed; None after a success, a new start or ``dismiss``.
    """

    busy: bool
    text: str
    fraction: float
    error: KmmError | None


class Session:
    """Everything that lives as long as the add-on is enabled and isn't in the .blend file."""

    client = None  # WorkerClient | None: None until the first Generate

    @property
    def status(self) -> Status:
        """For panels; cheap, never touches the scene."""
        raise NotImplementedError

    def start(self, plan) -> None:
        """Starts generating ``plan`` (request_builder.Plan); the takes appear in the plan's scene when it is done.

        Raises:
            KmmError: ``busy`` while another generation is under way; else what ``WorkerClient`` raises.
        """
        raise NotImplementedError

    def cancel(self) -> None:
        """Stops the generation under way, wherever it is; the scene stays as it was."""
        raise NotImplementedError

    def wait(self, timeout: float, on_progress: Callable[[Status], None] | None = None) -> None:
        """Drives the session until nothing is under way, for background mode and tests.

        Raises:
            KmmError: why the generation failed, or ``timeout``.
        """
        raise NotImplementedError

    def dismiss(self) -> None:
        """Forgets the last failure."""
        raise NotImplementedError

    def unload(self) -> None:
        """Lets the worker end and free its memory; the next generation starts it again."""
        raise NotImplementedError

    def restart(self) -> None:
        """Ends the worker at once, whatever it does; the next generation starts a new one."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends worker and timer: the add-on is being disabled."""
        raise NotImplementedError


def get() -> Session:
    """The session; only while the add-on is enabled."""
    raise NotImplementedError
