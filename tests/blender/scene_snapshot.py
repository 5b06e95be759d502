"""Everything about the objects, Actions and settings of a file as one flat table, to compare before and after.

Walks Blender's own description of its data (RNA), so that nothing is forgotten: scene settings, frame, selection,
objects and their animation data, F-curves with every key, drivers, NLA, slots, poses with all channels and evaluated
matrices, users and fake users. Left out: what KMM itself keeps in the scene (settings, history), meshes, the interface.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

KINDS = (
    "scenes",
    "objects",
    "actions",
    "armatures",
    "collections",
    "cameras",
    "lights",
    "node_groups",
    "texts",
)
_SKIPPED = {
    "rna_type",
    "preview",
    "kmm",
    "kmm_history",
    "bl_rna",
    "session_uid",
    "depsgraph",
    "original",
    "particle_edit",
}
# Pointers to these lead back to what is walked anyway.
_NAMED_ONLY = (
    "PoseBone",
    "Bone",
    "EditBone",
    "ViewLayer",
    "LayerCollection",
    "Action",
    "ActionSlot",
    "FCurve",
    "ActionGroup",
)


def snapshot() -> dict[str, Any]:
    """Path of every property to its value."""
    for scene in bpy.data.scenes:
        for layer in scene.view_layers:
            layer.update()
    table: dict[str, Any] = {}
    for kind in KINDS:
        for datablock in getattr(bpy.data, kind):
            where = f"{kind}[{datablock.name}]"
            _walk(datablock, where, table, depth=0)
            for key, value in datablock.items():
                if key not in _SKIPPED:
                    table[f"{where}[{key!r}]"] = repr(value.to_dict() if hasattr(value, "to_dict") else value)
        table[kind] = [datablock.name for datablock in getattr(bpy.data, kind)]
    return table


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What changed: path to (before, after)."""
    return {
        path: (before.get(path), after.get(path))
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }


def _walk(struct: Any, where: str, table: dict[str, Any], depth: int) -> None:
    for prop in struct.bl_rna.properties:
        # Painting is not ours, and Blender 4.2 crashes when asked for a brush of a file that was closed.
        if prop.identifier in _SKIPPED or prop.identifier.endswith(("paint", "sculpt")):
            continue
        path = f"{where}.{prop.identifier}"
        try:
            value = getattr(struct, prop.identifier)
        except (AttributeError, RuntimeError):  # not readable in this context
            continue
        if prop.type == "COLLECTION":
            table[path] = len(value)
            if prop.identifier == "keyframe_points":
                _keys(value, path, table)
                continue
            for index, item in enumerate(value):
                _step(item, f"{path}[{index}]", table, depth)
        elif prop.type == "POINTER":
            _step(value, path, table, depth)
        elif getattr(prop, "is_array", False):
            table[path] = tuple(_flat(value))
        else:
            table[path] = value


def _step(value: Any, path: str, table: dict[str, Any], depth: int) -> None:
    if value is None:
        table[path] = None
    elif isinstance(value, bpy.types.ID) and not value.is_embedded_data:
        table[path] = value.name_full
    # The bones of a pose, and the parts of an Action, are walked where they live, one step below their owner.
    elif (
        type(value).__name__ in _NAMED_ONLY
        and depth > 0
        and "pose.bones" not in path[-14:]
        and "[" not in path[-4:]
    ):
        table[path] = getattr(value, "name", getattr(value, "data_path", type(value).__name__))
    elif depth < 7:
        _walk(value, path, table, depth + 1)


def _keys(points: Any, path: str, table: dict[str, Any]) -> None:
    """All keys of an F-curve at once: there may be thousands."""
    for prop in bpy.types.Keyframe.bl_rna.properties:
        if prop.identifier != "rna_type":
            size = prop.array_length if getattr(prop, "is_array", False) else 1
            values = np.zeros(len(points) * size, dtype=np.float32 if prop.type == "FLOAT" else np.int32)
            points.foreach_get(prop.identifier, values)
            table[f"{path}.{prop.identifier}"] = values.tobytes()


def _flat(value: Any):
    for item in value:
        if hasattr(item, "__len__"):
            yield from _flat(item)
        else:
            yield item
