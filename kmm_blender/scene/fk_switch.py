"""Switches a generated Rigify rig to FK, so that the controls that KMM keys move it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import bpy

from kmm_core.errors import KmmError

from .action_writer import fcurves
from .bone_map import settings_to_change
from .rig import read_rig


def switch_to_fk(armature: bpy.types.Object | None) -> int:
    """Sets the custom properties that ``bone_map.settings_to_change`` names, all of them or none.

    Returns:
        How many were changed; 0 where the rig is no generated Rigify rig, or is switched already.

    Raises:
        KmmError: what ``read_rig`` raises; ``animated_setting`` where the next frame would change a property back;
            ``fixed_setting`` where a library override would lose it.
    """
    changes = settings_to_change(read_rig(armature))
    bones = armature.pose.bones
    moving = set(_animated_paths(armature.animation_data))
    for bone, prop, _ in changes:
        key = f'["{bpy.utils.escape_identifier(prop)}"]'
        if f'pose.bones["{bpy.utils.escape_identifier(bone)}"]{key}' in moving:
            raise KmmError(
                "animated_setting",
                f"{prop} of {bone} is animated or driven, so the next frame would change it back.",
                "Remove or mute its keys or driver, or key the switch to FK yourself.",
            )
        if armature.override_library and not bones[bone].is_property_overridable_library(key):
            raise KmmError(
                "fixed_setting",
                f"{prop} of {bone} can't be changed in a library override.",
                "Set it in the file that the armature is linked from.",
            )
    for bone, prop, value in changes:
        bones[bone][prop] = type(bones[bone][prop])(value)  # a whole number stays one
    if changes:
        armature.update_tag()
    return len(changes)


def _animated_paths(data: bpy.types.AnimData | None) -> Iterator[str]:
    """Data paths of what plays on an armature: drivers, and F-curves of its Action and its NLA tracks."""
    if data is None:
        return
    actions = [data.action]
    if data.use_nla:
        actions += _strip_actions(
            strip for track in data.nla_tracks if not track.mute for strip in track.strips
        )
    curves = list(data.drivers)
    for action in filter(None, actions):
        curves += fcurves(action, data.id_data)
    yield from (curve.data_path for curve in curves if not curve.mute)


def _strip_actions(strips: Iterable[bpy.types.NlaStrip]) -> Iterator[bpy.types.Action | None]:
    """Actions of strips, also of those inside meta-strips."""
    for strip in strips:
        if not strip.mute:
            yield strip.action
            yield from _strip_actions(strip.strips)
