"""KMM Text to Motion: prompts on Blender's timeline become keyframes.

Importing this does nothing and needs no Blender, so that the modules without bpy can be tested outside of it.
"""

from __future__ import annotations

from importlib import import_module

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


def register() -> None:
    """Enables the add-on. Opens no connection, starts no process, reads no model."""
    registered = []
    try:
        for name in _MODULES:
            module = import_module(f".{name}", __package__)
            module.register()
            registered.append(module)
    except Exception:
        # Blender shows the error and keeps the add-on disabled: nothing of it may stay.
        for module in reversed(registered):
            module.unregister()
        raise


def unregister() -> None:
    """Disables the add-on: ends the worker and leaves no class, timer, handler or process behind."""
    for name in reversed(_MODULES):
        import_module(f".{name}", __package__).unregister()
