"""KMM Text to Motion: prompts on Blender's timeline become keyframes.

Importing this does nothing and needs no Blender, so that the modules without bpy can be tested outside of it.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

# Each has register() and unregister(); property groups come before what uses them, parent panels before their children.
_MODULES = (
    "ui.properties",
    "scene.history",
    "ui.preferences",
    "ui.character_operators",
    "ui.prompt_list",
    "ui.timeline_io",
    "ui.generate_operators",
    "ui.panels",
    "ui.backend_panel",
    "ui.timeline_overlay",
    "session",
    "batch.command",
)


_registered = []


def register() -> None:
    """Enables the add-on. Opens no connection, starts no process, reads no model."""
    try:
        for name in _MODULES if _core_is_as_new() else ("ui.restart_panel",):
            module = import_module(f".{name}", __package__)
            module.register()
            _registered.append(module)
    except Exception:
        # Blender shows the error and keeps the add-on disabled: nothing of it may stay.
        unregister()
        raise


def unregister() -> None:
    """Disables the add-on: ends the worker and leaves no class, timer, handler or process behind."""
    while _registered:
        _registered.pop().unregister()


def _core_is_as_new() -> bool:
    """False after an update in a running Blender, which keeps the older kmm_core, a wheel, in memory until it restarts."""
    manifest = Path(__file__).with_name("blender_manifest.toml")
    if not manifest.is_file():  # a checkout
        return True
    version = re.search(r'^version = "(.+)"$', manifest.read_text("utf-8"), re.MULTILINE)
    return version is None or version[1] == import_module("kmm_core").__version__
