"""What "Copy report" puts on the clipboard: versions, what runs, what failed, the ends of the logs. No bpy."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from kmm_core import __version__
from kmm_core.errors import KmmError

LOG_LINES = 60


def backend_report(facts: Mapping[str, object], errors: Sequence[KmmError], logs: Sequence[Path]) -> str:
    """A report to paste into an issue. Paths in the user's home folder lose their beginning, with the name in it.

    Args:
        facts: names and values, such as Blender's version; those that are None or empty are left out.
        errors: what failed, the newest first.
        logs: files whose last lines are of interest; need not exist.
    """
    lines = ["KMM report", f"KMM: {__version__}", f"System: {platform.platform()} {platform.machine()}"]
    lines += [f"{name}: {value}" for name, value in facts.items() if value not in (None, "")]
    for error in errors:
        lines += ["", f"Error {error.code}: {error.message}", f"Hint: {error.hint}"]
    for log in logs:
        tail = log_tail(log)
        if tail:
            lines += ["", f"--- {log}, its last {len(tail)} lines", *tail]
    return _home_as_tilde("\n".join(lines)) + "\n"


def _home_as_tilde(text: str) -> str:
    """Without the user's folder, however it is spelt: Windows takes either slash and any case, Python's messages double
    backslashes, and JSON escapes letters."""
    home = str(Path.home())
    names = ("|".join(map(re.escape, {name, json.dumps(name)[1:-1]})) for name in re.split(r"[\\/]", home))
    spelt = r"(?:\\\\|[\\/])".join(f"(?:{name})" for name in names)
    # Not where the last name goes on: /home/ann is not the beginning of /home/anna.
    return re.sub(rf"{spelt}(?!\w)", "~", text, flags=re.IGNORECASE if "\\" in home else 0)


def log_tail(log: Path) -> list[str]:
    """The last lines of a log; none where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 300 * LOG_LINES))
            return file.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []
