"""Earlier takes, kept in the .blend file as text: ``scene.kmm_history``. They can be shown again without generating.

Not as Actions: those would clutter the Action list, and exporters write every Action of an armature.
"""

from __future__ import annotations

import bpy
from bpy.props import CollectionProperty, IntProperty, PointerProperty, StringProperty

from . import take_record
from .take_record import TakeRecord

# The oldest are forgotten beyond this.
MAX_ENTRIES = 50
MAX_BYTES = 64_000_000


class KMM_PG_history_entry(bpy.types.PropertyGroup):
    """One take; ``name`` is what the panel shows."""

    take_id: StringProperty(name="Id", description="The id that the take's Action carries too")
    details: StringProperty(name="Details", description="Prompts, seed and model of this take")
    record: StringProperty(name="Record", description="The take as scene/take_record.py writes it")
    size: IntProperty(
        name="Size", description="Letters of the record; reading a long one to count them takes time"
    )


class KMM_PG_history(bpy.types.PropertyGroup):
    """``scene.kmm_history``: the newest take first."""

    entries: CollectionProperty(type=KMM_PG_history_entry, name="History", description="Earlier takes")
    active: IntProperty(name="Active", description="The selected earlier take", min=0)


def remember(scene: bpy.types.Scene, record: TakeRecord, encoded: str) -> None:
    """Puts a take on top of the scene's history.

    Args:
        scene: whose history.
        record: the take.
        encoded: the same as text, which the caller may have made in slices.
    """
    entries = scene.kmm_history.entries
    entry = entries.add()
    entry.name = record.name
    entry.take_id = record.id
    entry.details = describe(record)
    entry.record = encoded
    entry.size = len(encoded)
    entries.move(len(entries) - 1, 0)
    total = 0
    for index, entry in enumerate(entries):
        total += entry.size
        if index >= MAX_ENTRIES or (total > MAX_BYTES and index > 0):
            for last in range(len(entries) - 1, index - 1, -1):
                entries.remove(last)
            break


def recall(scene: bpy.types.Scene, take_id: str) -> TakeRecord | None:
    """The take with this id, or None where the history has forgotten it.

    Raises:
        KmmError: ``bad_record`` where it is damaged.
    """
    for entry in scene.kmm_history.entries:
        if entry.take_id == take_id:
            return take_record.decode(entry.record)
    return None


def forget(scene: bpy.types.Scene, index: int) -> None:
    """Forgets one take, or all for -1."""
    history = scene.kmm_history
    if index < 0:
        history.entries.clear()
    elif index < len(history.entries):
        history.entries.remove(index)
    history.active = max(0, min(history.active, len(history.entries) - 1))


def describe(record: TakeRecord) -> str:
    """Prompts, frames, seed and model in a few lines, for a tooltip."""
    lines = [f"{block.start} to {block.end}: {block.text}" for block in record.blocks[:8]]
    if len(record.blocks) > 8:
        lines.append(f"and {len(record.blocks) - 8} more")
    return "\n".join([*lines, f"Seed {record.seed}, take {record.sample}, model {record.model}"])


CLASSES = (KMM_PG_history_entry, KMM_PG_history)


def register() -> None:
    """Adds ``Scene.kmm_history``."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.kmm_history = PointerProperty(type=KMM_PG_history, name="KMM History")


def unregister() -> None:
    """Removes it; what a .blend file stores is kept in it."""
    del bpy.types.Scene.kmm_history
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
