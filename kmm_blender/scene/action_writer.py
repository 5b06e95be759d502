"""Motion as Actions, across Blender 4.2 to 5.x: the only file that knows Blender's versions.

4.2 and 4.3 keep F-curves in the Action itself; from 4.4 on an Action has slots and layers, whose strips hold a
channelbag of F-curves a slot; from 5.0 on that is the only way in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from kmm_core.errors import KmmError
from kmm_core.motion.rotations import Array

from .key_reduction import Distance, Reduction, reduce_keys, slopes_of
from .pose_keys import PoseKeys
from .rig import Rig
from .rotation_channels import angle_off, property_name, to_channels

_HAS_SLOTS = bpy.app.version >= (4, 4)
# What 4.4 and later call the slot of an Action from before, where a file is opened whose takes wait.
_LEGACY_SLOT = "OBLegacy Slot"
# Keys are reduced this many frames at a time, so that a timer can stop in between.
_SLICE = 3000
# Keys that are read at once: about 10 ms.
_READ_AT_ONCE = 300_000
_OBJECT_GROUP = "Object Transforms"
# A part of a frame that nobody sees.
_NO_FRAME = 0.01


@dataclass(frozen=True)
class WrittenAction:
    """An Action that was written, or is being written.

    Attributes:
        action: the Action.
        keys: keys in it. A key is where a bone (or the object) is, or how it is turned, at one frame.
        full: what a key on every frame would have been.
    """

    action: bpy.types.Action
    keys: int
    full: int


@dataclass(frozen=True)
class Binding:
    """What animates an object, so that it can be put back: see ``read_binding`` and ``restore_binding``.

    Attributes:
        has_animation_data: False where the object was never animated.
        action: its Action, or None.
        slot: identifier of the Action's slot; empty where there is none. Before 4.4 the one that later versions will make.
        last_slot: identifier that Blender looks for in the next Action assigned; empty before 4.4.
        handle: number of the slot within its Action, which stays where it is renamed; 0 where there is none.
    """

    has_animation_data: bool
    action: bpy.types.Action | None
    slot: str
    last_slot: str = ""
    handle: int = 0


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
    steps = write_action_steps(name, armature, keys, first_frame, tolerance=tolerance, pinned=pinned)
    return list(steps)[-1].action


def write_action_steps(
    name: str,
    armature: bpy.types.Object,
    keys: PoseKeys,
    first_frame: int,
    *,
    tolerance: Reduction | None = None,
    pinned: NDArray[np.bool_] | None = None,
    rig: Rig | None = None,
) -> Iterator[WrittenAction]:
    """``write_action`` in slices of some 10 ms, for a timer that may not hold Blender up.

    ``rig`` is what ``read_rig`` returned, for the scale of an armature that Blender does not show.

    Yields:
        What is written so far. The last one is complete; closing the iterator before that removes the Action.

    Raises:
        KmmError: ``missing_bone``, before anything is made.
        ReferenceError: where an undo took the Action away between two slices.
    """
    _ensure_pose(armature)
    _check_bones(armature, keys)
    action, curves = _new_action(name, armature)
    pinned = np.zeros(keys.num_frames, dtype=bool) if pinned is None else pinned
    always = np.zeros(keys.num_frames, dtype=bool)
    always[1:] |= pinned[1:] != pinned[:-1]  # both sides of where the animator's frames begin or end
    always[:-1] |= pinned[1:] != pinned[:-1]
    written, full, complete = 0, 0, False
    try:
        for channel in _channels(armature, keys, tolerance, rig):
            rows = np.arange(keys.num_frames)
            slopes = None
            if tolerance is not None:
                slopes = slopes_of(channel.values)
                found = []
                for start in range(0, keys.num_frames, _SLICE):
                    part = slice(start, start + _SLICE + 1)  # slices share the frame between them
                    found.append(
                        start
                        + reduce_keys(
                            channel.values[part],
                            slopes[part],
                            channel.distance,
                            channel.tolerance,
                            always[part],
                        )
                    )
                    yield WrittenAction(action, written, full)
                rows = np.unique(np.concatenate(found))
            for _ in _write_channel(curves, channel, rows, slopes, first_frame, pinned):
                yield WrittenAction(action, written, full)
            written += len(rows)
            full += keys.num_frames
            yield WrittenAction(action, written, full)
        complete = True
    finally:
        if not complete:
            _remove(action)


def tweaked(armature: bpy.types.Object) -> bool:
    """Whether an NLA strip of it is in tweak mode, when Blender shows the strip's Action instead of the object's own."""
    return bool(armature.animation_data and armature.animation_data.use_tweak_mode)


def check_not_tweaked(armature: bpy.types.Object) -> None:
    """Refuses to read or change an armature's Action in NLA tweak mode.

    Raises:
        KmmError: ``nla_tweak_mode`` while an NLA strip of the object is being tweaked.
    """
    if tweaked(armature):
        raise KmmError(
            "nla_tweak_mode",
            f"An NLA strip of {armature.name} is being tweaked, which locks its Action.",
            "Press Tab in the NLA editor to leave tweak mode.",
        )


def read_binding(armature: bpy.types.Object) -> Binding:
    """What animates the object now."""
    data = armature.animation_data
    if data is None:
        return Binding(False, None, "")
    if not _HAS_SLOTS:
        return Binding(True, data.action, _LEGACY_SLOT if data.action else "")
    slot, last = data.action_slot, data.last_slot_identifier
    return Binding(True, data.action, slot.identifier if slot else "", last, slot.handle if slot else 0)


def restore_binding(armature: bpy.types.Object, binding: Binding) -> None:
    """Puts back what ``read_binding`` saw.

    Raises:
        KmmError: ``nla_tweak_mode`` while an NLA strip of the object is being tweaked.
    """
    data = armature.animation_data
    if data is None and binding.action is None:
        return
    _bind(armature, binding.action, binding.slot, binding.handle)
    if _HAS_SLOTS:
        armature.animation_data.last_slot_identifier = binding.last_slot
    # Drivers and NLA tracks may have come since: they live there too.
    if not binding.has_animation_data and not data.drivers and not data.nla_tracks:
        armature.animation_data_clear()


def assign(armature: bpy.types.Object, action: bpy.types.Action) -> None:
    """Makes ``action`` the object's Action, bound to the slot that was made for it.

    Raises:
        KmmError: ``nla_tweak_mode`` while an NLA strip of the object is being tweaked.
    """
    slot = _slot(action, armature)
    _bind(armature, action, slot.identifier if slot else "")


def fcurves(action: bpy.types.Action, armature: bpy.types.Object) -> list[bpy.types.FCurve]:
    """The F-curves with which ``action`` moves ``armature``; empty where it has none for it."""
    if not _HAS_SLOTS:
        return list(action.fcurves)
    slot = _slot(action, armature)
    if slot is None:
        return []
    bags = (strip.channelbag(slot) for layer in action.layers for strip in layer.strips)
    return [curve for bag in bags if bag for curve in bag.fcurves]


def keys_digest(action: bpy.types.Action, armature: bpy.types.Object) -> str:
    """A digest of all keys with which ``action`` moves ``armature``; it changes when a key is edited."""
    *_, digest = keys_digest_steps(action, armature)
    return digest


def keys_digest_steps(action: bpy.types.Action, armature: bpy.types.Object) -> Iterator[str]:
    """``keys_digest`` in slices of some milliseconds, for a timer that must not block Blender: the last is the whole."""
    digest, read = hashlib.sha256(), 0
    # Sorted: moving channels up and down in an editor changes no key.
    for curve in sorted(fcurves(action, armature), key=lambda curve: (curve.data_path, curve.array_index)):
        places = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
        curve.keyframe_points.foreach_get("co", places)
        digest.update(f"{curve.data_path} {curve.array_index} ".encode() + places.tobytes())
        read += len(curve.keyframe_points)
        if read > _READ_AT_ONCE:
            read = 0
            yield ""
    yield digest.hexdigest()


def push_to_nla(armature: bpy.types.Object, action: bpy.types.Action, name: str) -> bpy.types.NlaStrip:
    """``action`` as a strip on a new NLA track of its own, above all others, where its keys are.

    It holds the last key for one frame, up to where the next prompt begins: what follows finds the character there, and not
    in its rest pose, and no subframe between two strips shows that. Outside its frames the strip leaves the armature to what
    is below it.
    """
    data = armature.animation_data or armature.animation_data_create()
    first, last = action.frame_range
    # A strip covers its last frame too: the first frame of what begins there is not to be covered.
    begins = (other.frame_start for track in data.nla_tracks for other in track.strips)
    until = min([last + 1, *(frame - _NO_FRAME for frame in begins if last < frame <= last + 1)])
    track = data.nla_tracks.new()
    track.name = name
    strip = track.strips.new(name, round(first), action)
    if _HAS_SLOTS:
        strip.action_slot = _slot(action, armature)
    strip.frame_start_ui = first  # the first key may be between two frames
    strip.action_frame_end = until
    strip.influence = 1.0
    strip.blend_type = "REPLACE"
    strip.extrapolation = "NOTHING"
    return strip


@dataclass(frozen=True)
class _Channel:
    """One property of one bone or of the object: ``values`` [F, C] on every frame, and how far keys may stray."""

    data_path: str
    group: str
    values: Array
    distance: Distance
    tolerance: float


def _channels(
    armature: bpy.types.Object, keys: PoseKeys, reduction: Reduction | None, rig: Rig | None
) -> Iterator[_Channel]:
    """Every property that the keys move. Without ``reduction`` tolerances are 0 and unused."""
    angle = np.radians(reduction.degrees) if reduction else 0.0
    metres = reduction.millimetres / 1000 if reduction else 0.0
    world = Matrix(rig.world) if rig else armature.matrix_world
    length = metres / _scale(world)

    def turning(path: str, group: str, mode: str, quaternions: Array, reach: float) -> _Channel:
        values = to_channels(quaternions, mode)
        return _Channel(
            path + property_name(mode), group, values, angle_off(mode), min(angle, length / reach)
        )

    def moving(path: str, group: str, values: Array, tolerance: float) -> _Channel:
        return _Channel(path + "location", group, values, _apart, tolerance)

    for index, name in enumerate(keys.bone_names):
        bone = armature.pose.bones[name]
        path = f'pose.bones["{bpy.utils.escape_identifier(name)}"].'
        if name in keys.locations:
            yield moving(path, name, keys.locations[name], length)
        reach = _reach(bone.bone) if reduction else 1.0
        yield turning(path, name, bone.rotation_mode, keys.rotations[:, index], reach)
    if keys.object_locations is not None:
        # The object's place is in the units of its parent.
        outside = Matrix(rig.parent_world) if rig else world @ armature.matrix_basis.inverted()
        yield moving("", _OBJECT_GROUP, keys.object_locations, metres / _scale(outside))
    if keys.object_rotations is not None:
        reach = max((bone.tail_local.length for bone in armature.data.bones), default=1.0)
        yield turning("", _OBJECT_GROUP, armature.rotation_mode, keys.object_rotations, reach)


def _scale(matrix) -> float:
    return max(abs(scale) for scale in matrix.to_scale())


def _apart(a: Array, b: Array) -> Array:
    return np.linalg.norm(a - b, axis=-1)


def _reach(bone: bpy.types.Bone) -> float:
    """How far from the bone's head the farthest end of what hangs below it is, at rest, in the armature's units."""
    return max((below.tail_local - bone.head_local).length for below in (bone, *bone.children_recursive))


def _ensure_pose(armature: bpy.types.Object) -> None:
    """An armature that a script made has no pose before the first update; 4.5 and 5.2 crash when its slot changes."""
    if armature.type == "ARMATURE" and armature.pose is None:
        bpy.context.view_layer.update()


def _check_bones(armature: bpy.types.Object, keys: PoseKeys) -> None:
    missing = sorted(set(keys.bone_names) - set(armature.pose.bones.keys()))
    if missing:
        raise KmmError(
            "missing_bone",
            f"{armature.name} has no bone {missing[0]} ({len(missing)} missing of {len(keys.bone_names)}).",
            "Rename the bones back, or generate again for the armature as it is now.",
        )


def _new_action(name: str, armature: bpy.types.Object):
    """An empty Action, and what holds its F-curves for the armature: itself, or a channelbag."""
    action = bpy.data.actions.new(name)
    if not _HAS_SLOTS:
        action.id_root = "OBJECT"
        return action, action
    slot = action.slots.new("OBJECT", armature.name)
    strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
    return action, strip.channelbag(slot, ensure=True)


def _remove(action: bpy.types.Action) -> None:
    try:
        bpy.data.actions.remove(action)
    except ReferenceError:
        pass  # an undo was quicker


def _slot(action: bpy.types.Action, armature: bpy.types.Object):
    """The Action's slot for the object: the one it is bound to, then the one of its name, then any for objects."""
    if not _HAS_SLOTS:
        return None
    data = armature.animation_data
    if data is not None and data.action == action and data.action_slot is not None:
        return data.action_slot
    fitting = [slot for slot in action.slots if slot.target_id_type in ("OBJECT", "UNSPECIFIED")]
    named = [slot for slot in fitting if slot.identifier == f"OB{armature.name}"]
    return next(iter(named or fitting), None)


def _bind(armature: bpy.types.Object, action: bpy.types.Action | None, slot: str, handle: int = 0) -> None:
    check_not_tweaked(armature)
    data = armature.animation_data or armature.animation_data_create()
    _ensure_pose(armature)
    data.action = action
    if _HAS_SLOTS and action is not None:
        # Blender has picked a slot by itself, perhaps another one, or none where the slot was renamed meanwhile.
        named = next((each for each in action.slots if each.identifier == slot), None)
        data.action_slot = next((each for each in action.slots if each.handle == handle), named)


def _enum(name: str, item: str) -> int:
    """The number by which foreach_set knows an enum's item."""
    return bpy.types.Keyframe.bl_rna.properties[name].enum_items[item].value


def _write_channel(
    curves,
    channel: _Channel,
    rows: NDArray[np.int64],
    slopes: Array | None,
    first_frame: int,
    pinned: NDArray[np.bool_],
) -> Iterator[None]:
    """F-curves for one property, a pause before each.

    Linear between the keys where every frame has one, else cubic with ``slopes``.
    """
    group = curves.groups.get(channel.group) or curves.groups.new(channel.group)
    frames = first_frame + rows
    types = np.where(pinned[rows], _enum("type", "KEYFRAME"), _enum("type", "GENERATED")).astype(np.int32)
    interpolation = _enum("interpolation", "LINEAR" if slopes is None else "BEZIER")
    handle = _enum("handle_left_type", "AUTO_CLAMPED" if slopes is None else "ALIGNED")
    # A handle a third of the way to the next key makes time even along the curve.
    before = np.diff(frames, prepend=frames[0] - 3) / 3
    after = np.diff(frames, append=frames[-1] + 3) / 3

    def interleaved(times: NDArray, values: Array) -> NDArray[np.float32]:
        return np.stack([times, values], axis=-1).astype(np.float32).ravel()

    for index, values in enumerate(channel.values[rows].T):
        yield
        curve = curves.fcurves.new(channel.data_path, index=index)
        curve.group = group
        curve.color_mode = "AUTO_YRGB" if channel.values.shape[1] == 4 else "AUTO_RGB"
        points = curve.keyframe_points
        points.add(len(rows))
        points.foreach_set("co", interleaved(frames, values))
        points.foreach_set("type", types)
        for name, value in (
            ("interpolation", interpolation),
            ("handle_left_type", handle),
            ("handle_right_type", handle),
        ):
            points.foreach_set(name, np.full(len(rows), value, dtype=np.int32))
        if slopes is not None:
            slope = slopes[rows, index]
            points.foreach_set("handle_left", interleaved(frames - before, values - before * slope))
            points.foreach_set("handle_right", interleaved(frames + after, values + after * slope))
        curve.update()
