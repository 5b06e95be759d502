"""The values of an armature's pose and object channels, to be put back exactly. JSON keeps them exactly too."""

from __future__ import annotations

from typing import Any

import bpy

_CHANNELS = ("location", "rotation_quaternion", "rotation_euler", "rotation_axis_angle", "scale")


def read_pose_values(armature: bpy.types.Object) -> dict[str, Any]:
    """All channels of the object and its bones, whatever their rotation mode."""
    return {
        "object": _read(armature),
        "bones": {bone.name: _read(bone) for bone in armature.pose.bones},
    }


def write_pose_values(armature: bpy.types.Object, values: dict[str, Any]) -> None:
    """Puts back what ``read_pose_values`` returned; bones that are gone are skipped."""
    _write(armature, values["object"])
    for name, channels in values["bones"].items():
        bone = armature.pose.bones.get(name)
        if bone:
            _write(bone, channels)


def _read(owner: Any) -> dict[str, list[float]]:
    return {name: list(getattr(owner, name)) for name in _CHANNELS}


def _write(owner: Any, channels: dict[str, list[float]]) -> None:
    for name, value in channels.items():
        if list(getattr(owner, name)) != value:
            setattr(owner, name, value)
