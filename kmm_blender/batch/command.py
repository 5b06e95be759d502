"""``blender -b FILE.blend -c kmm ...``: the batch as a command of Blender's own, without a path to a script."""

from __future__ import annotations

import bpy

_command = None


def _run(arguments: list[str]) -> int:
    from . import run

    return run.main(arguments)


def register() -> None:
    """Adds the command."""
    global _command
    _command = bpy.utils.register_cli_command("kmm", _run)


def unregister() -> None:
    """Removes it."""
    global _command
    bpy.utils.unregister_cli_command(_command)
    _command = None
