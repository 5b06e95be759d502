"""The values of an armature's pose and object channels, to be put back exactly. JSON keeps them exactly too."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import bpy

_CHANNELS = ("location", "rotation_quaternion", "rotation_euler", "rotation_axis_angle", "scale")


def read_pose_values(armature: bpy.types.Object) -> dict[str, Any]:
    """All channels of the object and its bones, whatever their rotation mode."""
    return {
        "object": _read(armature),
        "bones": {bone.name: _read(bone) for bone in armature.pose.bones},
    }


def with_other_channels(
    values: dict[str, Any], now: dict[str, Any], animated: Collection[str]
) -> dict[str, Any]:
    """``values``, but channels that nothing animates as they are ``now``; both of ``read_pose_values``.

    Args:
        values: some earlier ones.
        now: others of the same armature.
        animated: data paths of F-curves, such as ``pose.bones["head"].location``.
    """

    def chosen(before: dict[str, list[float]], after: dict[str, list[float]], path: str):
        return {
            name: value if path + name in animated else after.get(name, value)
            for name, value in before.items()
        }

    return {
        "object": chosen(values["object"], now["object"], ""),
        "bones": {
            name: chosen(
                channels,
                now["bones"].get(name, channels),
                f'pose.bones["{bpy.utils.escape_identifier(name)}"].',
            )
            for name, channels in values["bones"].items()
        },
    }


def write_pose_values(armature: bpy.types.Object, values: dict[str, Any]) -> None:
    """Puts back what ``read_pose_values`` returned, also into renamed bones; those that are gone are skipped."""
    _write(armature, values["object"])
    bones, before = armature.pose.bones, values["bones"]
    for index, (name, channels) in enumerate(before.items()):
        bone = bones.get(name)
        if bone is None and len(bones) == len(before) and bones[index].name not in before:
            bone = bones[index]  # renaming keeps their order
        if bone:
            _write(bone, channels)


def _read(owner: Any) -> dict[str, list[float]]:
    return {name: list(getattr(owner, name)) for name in _CHANNELS}


def _write(owner: Any, channels: dict[str, list[float]]) -> None:
    for name, value in channels.items():
        if list(getattr(owner, name)) != value:
            setattr(owner, name, value)
