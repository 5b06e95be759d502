"""Motion as Actions, across Blender 4.2 to 5.x: the only file that knows Blender's versions.

4.2 and 4.3 keep F-curves in the Action itself; from 4.4 on an Action has slots and layers, whose strips hold a
channelbag of F-curves a slot; from 5.0 on that is the only way in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from .key_reduction import Reduction
from .pose_keys import PoseKeys


@dataclass(frozen=True)
class KeyCount:
    """How many keys an Action holds. A key is one bone (or the object) at one frame, whatever its channels.

    Attributes:
        written: keys in the Action.
        full: what a key on every frame would have been.
    """

    written: int
    full: int


@dataclass(frozen=True)
class WrittenAction:
    """An Action that was written: ``action`` and its ``key_count``."""

    action: bpy.types.Action
    key_count: KeyCount


@dataclass(frozen=True)
class Binding:
    """What animates an object, so that it can be put back: see ``read_binding`` and ``restore_binding``.

    Attributes:
        has_animation_data: False where the object was never animated.
        action: its Action, or None.
        slot: identifier of the Action's slot; empty where there is none, or no slots (before 4.4).
    """

    has_animation_data: bool
    action: bpy.types.Action | None
    slot: str


def write_action(
    name: str,
    armature: bpy.types.Object,
    keys: PoseKeys,
    first_frame: int,
    *,
    tolerance: Reduction | None = None,
    pinned: NDArray[np.bool_] | None = None,
) -> bpy.types.Action:
    """A new Action that moves ``armature`` as ``keys`` say; nothing else is touched and nothing is assigned.

    Rotations are written in each bone's own rotation mode and never flip between frames. F-curves are grouped by bone.

    Args:
        name: of the Action; Blender adds a number where it is taken.
        armature: for its bones' rotation modes and lengths, and the slot's name.
        keys: the motion; row i is keyed at ``first_frame + i``.
        first_frame: scene frame of the first key; may be negative.
        tolerance: how far the keys may stray to become fewer; None keys every frame.
        pinned: [F] frames that were the animator's and are marked KEYFRAME instead of GENERATED; always keyed.

    Raises:
        KmmError: ``missing_bone`` where ``keys`` name a bone that the armature lacks.
    """
    for written in write_action_steps(
        name, armature, keys, first_frame, tolerance=tolerance, pinned=pinned
    ):
        result = written
    return result.action


def write_action_steps(
    name: str,
    armature: bpy.types.Object,
    keys: PoseKeys,
    first_frame: int,
    *,
    tolerance: Reduction | None = None,
    pinned: NDArray[np.bool_] | None = None,
) -> Iterator[WrittenAction]:
    """``write_action`` in slices, for a timer that may not hold Blender up: yields after each bone; the last is whole."""
    raise NotImplementedError


def read_binding(armature: bpy.types.Object) -> Binding:
    """What animates the object now."""
    raise NotImplementedError


def restore_binding(armature: bpy.types.Object, binding: Binding) -> None:
    """Puts back what ``read_binding`` saw."""
    raise NotImplementedError


def assign(armature: bpy.types.Object, action: bpy.types.Action, slot: str = "") -> None:
    """Makes ``action`` the object's Action, bound to the slot named, or to the one made for such objects.

    Raises:
        KmmError: ``nla_tweak_mode`` while an NLA strip of the object is being tweaked.
    """
    raise NotImplementedError


def fcurves(action: bpy.types.Action, armature: bpy.types.Object) -> list[bpy.types.FCurve]:
    """The F-curves with which ``action`` moves ``armature``; empty where it has none for it."""
    raise NotImplementedError


def key_count(action: bpy.types.Action, armature: bpy.types.Object) -> int:
    """Keys in the Action: one for each group (bone or object) and frame."""
    raise NotImplementedError


def push_to_nla(armature: bpy.types.Object, action: bpy.types.Action, name: str) -> bpy.types.NlaStrip:
    """``action`` as a strip on a new NLA track of its own, above all others, where its keys are."""
    raise NotImplementedError
