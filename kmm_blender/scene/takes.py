"""Takes in the scene: shown on the armature, kept, or removed without a trace.

While takes wait, ``scene.kmm.preview`` remembers what the armature had before: its own Action and slot, how it is
mixed, and the pose. It is saved and undone with the scene. The armature's own F-curves, drivers and NLA are never touched.
While ``preview.basis`` is empty the armature is as the animator has it, and nothing has to be put back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy

from kmm_core.errors import KmmError

from . import action_writer
from .pose_values import read_pose_values, with_other_channels, write_pose_values
from .take_record import TakeRecord

# Custom property of a take's Action: what made it, as JSON.
ACTION_KEY = "kmm_take"
# And one for its keys as they were written, see action_writer.keys_digest.
KEYS_KEY = "kmm_keys"
_LEAVE_TWEAK_MODE = "Leave the NLA editor's tweak mode first"
# How an Action is mixed with the NLA below it. A take replaces what is below while it is shown.
_MIXING = {"action_blend_type": "REPLACE", "action_influence": 1.0, "action_extrapolation": "HOLD"}


@dataclass(frozen=True)
class Accepted:
    """What ``accept`` made: the Action, the NLA track's name ("" where it is the active Action), and what to tell."""

    action: bpy.types.Action
    track: str
    note: str


def waiting(scene: bpy.types.Scene) -> bool:
    """Whether takes wait for Accept or Reject."""
    return bool(scene.kmm.takes)


def blocked(scene: bpy.types.Scene, armature: bpy.types.Object) -> str:
    """Why no take can be added for this armature now, as a sentence; empty where one can."""
    settings, other = scene.kmm, scene.kmm.preview.armature
    if settings.takes and other != armature and not _deleted(other):
        return f"Accept or reject the takes of {other.name} first"
    for elsewhere in bpy.data.scenes:
        if elsewhere != scene and elsewhere.kmm.takes and elsewhere.kmm.preview.armature == armature:
            return f"Accept or reject the takes of {armature.name} in the scene {elsewhere.name} first"
    return _LEAVE_TWEAK_MODE if action_writer.tweaked(armature) else ""


def locked(scene: bpy.types.Scene) -> str:
    """Why waiting takes can't be shown, accepted or rejected now, as a sentence; empty where they can."""
    armature = scene.kmm.preview.armature
    return _LEAVE_TWEAK_MODE if armature is not None and action_writer.tweaked(armature) else ""


def unseen(armature: bpy.types.Object) -> str:
    """Why nothing that KMM makes plays on this armature, as a sentence; empty where it does."""
    data = armature.animation_data
    solo = [track.name for track in data.nla_tracks if track.is_solo] if data and data.use_nla else []
    if not solo:
        return ""
    return f"The NLA track {solo[0]} plays alone, so takes cannot be seen: switch off its star in the NLA editor."


def note_keys_steps(action: bpy.types.Action, armature: bpy.types.Object) -> Iterator[None]:
    """Notes the keys of a take as they were written, so that an edit can be told later; in slices of some milliseconds."""
    for digest in action_writer.keys_digest_steps(action, armature):
        action[KEYS_KEY] = digest  # the last is the whole
        yield


def add(
    scene: bpy.types.Scene,
    armature: bpy.types.Object,
    made: list[tuple[bpy.types.Action, TakeRecord, dict[str, list[float]]]],
) -> None:
    """Adds takes to those that wait and shows the first new one.

    Args:
        scene: where they wait.
        armature: which they move.
        made: Actions whose keys are noted (``note_keys_steps``), what they were made of, and the object's own channels, of
            ``read_pose_values``, with which it stands where they were made for.

    Raises:
        KmmError: ``takes_waiting`` where another armature's takes wait here, or this one's in another scene.
    """
    reason = blocked(scene, armature)
    if reason:
        raise KmmError("takes_waiting", f"The new takes cannot be shown: {reason[0].lower()}{reason[1:]}.")
    settings = scene.kmm
    if settings.takes and settings.preview.armature != armature:
        reject(scene)  # takes of an armature that was deleted
    settings.preview.armature = armature
    first = len(settings.takes)
    for action, record, place in made:
        take = settings.takes.add()
        take.name = f"Take {len(settings.takes)}, seed {record.seed}"
        take.action = action
        take.seed = record.seed
        take.place = json.dumps(place)
        action[ACTION_KEY] = json.dumps(record.summary())
    show(scene, first)


def show(scene: bpy.types.Scene, index: int) -> None:
    """Shows one take on the armature; -1 puts the armature back as it was, with the takes still waiting.

    Raises:
        KmmError: ``no_take`` or ``no_armature`` where there is nothing to show or to show it on; ``nla_tweak_mode``.
    """
    settings = scene.kmm
    armature = _armature(settings)
    action_writer.check_not_tweaked(armature)
    _respect_choice(settings, armature)
    if index < 0:
        _restore(settings.preview, scene, armature)
    else:
        take = _take(settings, index)
        if settings.preview.basis:
            # What another take moved and this one does not must not stay.
            write_pose_values(armature, _pose_kept(settings.preview, armature))
        else:
            _remember(settings.preview, scene, armature)
        _stand_as_made(take, armature, settings.preview.action)
        action_writer.assign(armature, take.action)
        for name, value in _MIXING.items():
            setattr(armature.animation_data, name, value)
    settings.active_take = max(index, 0)


def shown(scene: bpy.types.Scene) -> int | None:
    """Index of the take that the armature shows; None where it shows none of them."""
    settings = scene.kmm
    armature = settings.preview.armature
    data = None if _deleted(armature) else armature.animation_data
    if data is None or data.action is None:
        return None
    return next((index for index, take in enumerate(settings.takes) if take.action == data.action), None)


@contextmanager
def hidden(scene: bpy.types.Scene) -> Iterator[None]:
    """The armature as the animator has it, to be read; then the take that was shown is shown again."""
    index = shown(scene)
    if index is None:
        yield
        return
    armature = _armature(scene.kmm)
    posed = read_pose_values(armature)
    show(scene, -1)
    _evaluate(scene)
    try:
        yield
    finally:
        show(scene, index)
        write_pose_values(armature, posed)  # with what was posed on the take and not keyed


def accept(scene: bpy.types.Scene, accept_as: str) -> Accepted:
    """Keeps the take that is shown and removes the others.

    Args:
        scene: whose takes.
        accept_as: "ACTION" assigns the take's Action, and the own Action stays in the file; "NLA" puts the take on a
            track of its own above the others, and the own Action stays assigned.

    Raises:
        KmmError: ``no_take``, ``no_armature`` or ``nla_tweak_mode``.
    """
    settings = scene.kmm
    armature = _armature(settings)
    action_writer.check_not_tweaked(armature)
    index = shown(scene)
    if index is None:
        raise KmmError("no_take", "The armature shows none of the takes.", "Show the one to keep.")
    action = settings.takes[index].action
    track, notes = "", []
    if accept_as == "NLA":
        _restore(settings.preview, scene, armature, _pose_kept(settings.preview, armature))
        action_writer.push_to_nla(armature, action, action.name)
        track = armature.animation_data.nla_tracks[-1].name
        own = armature.animation_data.action
        if own is not None:
            notes.append(f"The Action {own.name} stays assigned and plays over the new track.")
        if not armature.animation_data.use_nla:
            notes.append(f"The NLA of {armature.name} is switched off, so the track does not play.")
    else:
        own = _own_action(settings.preview)
        if own is not None:
            notes.append(f"The Action {own.name} is unchanged and stays in the file.")
        notes.append(_uncover_nla(settings.preview, armature, action))
    notes.append(unseen(armature))
    _forget(armature, keep=action)
    _keep_in_file(own)
    return Accepted(action, track, " ".join(filter(None, notes)))


def _uncover_nla(preview, armature: bpy.types.Object, action: bpy.types.Action) -> str:
    """Has an accepted Action hide less of the NLA tracks than a take that is shown; what to tell of the rest, or nothing.

    What is before it shows, such as a take that was accepted earlier. It holds on after its end, where a following prompt
    may continue, unless the animator chose otherwise.
    """
    data = armature.animation_data
    had = json.loads(preview.basis)["mixing"].get("action_extrapolation", "HOLD")
    strips = any(track.strips for track in data.nla_tracks)
    data.action_extrapolation = "HOLD_FORWARD" if had == "HOLD" and strips else had
    if not strips or had == "NOTHING":
        return ""
    return (
        f"From frame {action.frame_range[0]:g} on, {action.name} hides what the NLA tracks do, as long as "
        "it is assigned."
    )


def reject(scene: bpy.types.Scene) -> None:
    """Removes all takes and puts the armature back as it was. Works without the armature too.

    An Action that the animator assigned while a take was shown stays assigned.

    Raises:
        KmmError: ``nla_tweak_mode`` while an NLA strip of the armature is being edited.
    """
    settings = scene.kmm
    armature = settings.preview.armature
    if armature is not None:
        action_writer.check_not_tweaked(armature)
        _respect_choice(settings, armature)
        _restore(settings.preview, scene, armature)
        _forget(armature)
    else:
        _clear(settings, None)


def summary(action: bpy.types.Action | None) -> dict[str, Any]:
    """What made a take's Action (see ``TakeRecord.summary``); empty for any other Action."""
    try:
        found = json.loads(action.get(ACTION_KEY, "")) if action else {}
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def edited(action: bpy.types.Action, armature: bpy.types.Object) -> bool:
    """Whether keys of a take's Action were changed since it was written."""
    return KEYS_KEY in action and action[KEYS_KEY] != action_writer.keys_digest(action, armature)


def _armature(settings) -> bpy.types.Object:
    armature = settings.preview.armature
    if _deleted(armature):
        raise KmmError("no_armature", "The armature of these takes was deleted.", "Reject them, or undo.")
    return armature


def _deleted(armature: bpy.types.Object | None) -> bool:
    # The pointer alone keeps a deleted object in the file, but in no scene.
    return armature is None or not armature.users_scene


def _take(settings, index: int):
    if not 0 <= index < len(settings.takes) or settings.takes[index].action is None:
        raise KmmError(
            "no_take",
            f"Take {index + 1} of {len(settings.takes)} does not exist or its Action was deleted.",
            "Select another one, or reject them and restore it from the history.",
        )
    return settings.takes[index]


def _remember(preview, scene: bpy.types.Scene, armature: bpy.types.Object) -> None:
    binding = action_writer.read_binding(armature)
    own = binding.action
    # Where the scene is deleted while takes wait, nothing else would hold it: see _own_action.
    kept = own is not None and not own.use_fake_user and own.library is None
    if kept:
        own.use_fake_user = True
    preview.armature = armature
    preview.had_animation_data = binding.has_animation_data
    preview.action = own
    preview.slot_identifier = binding.slot
    mixing = (
        {name: getattr(armature.animation_data, name) for name in _MIXING}
        if binding.has_animation_data
        else {}
    )
    preview.basis = json.dumps(
        {
            "frame": scene.frame_current_final,
            "kept": kept,
            "last_slot": binding.last_slot,
            "slot_handle": binding.handle,
            "mixing": mixing,
            "pose": read_pose_values(armature),
        }
    )


def _own_action(preview) -> bpy.types.Action | None:
    """The own Action, without the fake user that keeps it in the file while a take is shown."""
    own = preview.action
    if own is not None and preview.basis and json.loads(preview.basis).get("kept"):
        own.use_fake_user = False
    return own


def _stand_as_made(take, armature: bpy.types.Object, own: bpy.types.Action | None) -> None:
    """Puts the object where the take's keys expect it, as far as the own Action moves it: it may play on meanwhile."""
    if not take.place or own is None:
        return
    animated = {curve.data_path for curve in action_writer.fcurves(own, armature)}
    made_for = {"object": json.loads(take.place), "bones": {}}
    write_pose_values(armature, with_other_channels(made_for, read_pose_values(armature), animated))


def _respect_choice(settings, armature: bpy.types.Object) -> None:
    """Where the animator assigned another Action while a take was shown, that is what the armature has from now on."""
    preview, data = settings.preview, armature.animation_data
    chosen = data.action if data else None
    takes_own = [take.action for take in settings.takes] + [preview.action]
    if not preview.basis or chosen is None or chosen in takes_own:
        return
    replaced = preview.action  # keeps the fake user
    preview.action, preview.basis = None, ""
    _keep_in_file(replaced)


def _keep_in_file(action: bpy.types.Action | None) -> None:
    """Blender drops an Action that nothing uses when it saves."""
    if action is not None and action.users == 0 and action.library is None:
        action.use_fake_user = True


def _pose_kept(preview, armature: bpy.types.Object) -> dict[str, Any]:
    """The own pose, with what the animator posed while a take was shown: channels that neither take nor NLA moves."""
    before = json.loads(preview.basis)["pose"]
    data = armature.animation_data
    if data is None or data.action is None:
        return before
    strips = [strip.action for track in data.nla_tracks for strip in track.strips if strip.action]
    animated = {
        curve.data_path
        for action in (data.action, *strips)
        for curve in action_writer.fcurves(action, armature)
    }
    return with_other_channels(before, read_pose_values(armature), animated)


def _restore(
    preview, scene: bpy.types.Scene, armature: bpy.types.Object, pose: dict[str, Any] | None = None
) -> None:
    """The armature's own Action, mixing and pose; another pose where one is given."""
    if not preview.basis:
        return
    before = json.loads(preview.basis)
    for name, value in before["mixing"].items():
        if armature.animation_data:
            setattr(armature.animation_data, name, value)
    action_writer.restore_binding(
        armature,
        action_writer.Binding(
            preview.had_animation_data,
            _own_action(preview),
            preview.slot_identifier,
            before["last_slot"],
            before.get("slot_handle", 0),
        ),
    )
    if scene.frame_current_final == before["frame"]:
        # Evaluated first, so that unkeyed changes to keyed channels come back too.
        _evaluate(scene)
    write_pose_values(armature, pose or before["pose"])
    if scene.frame_current_final != before["frame"]:
        armature.update_tag(refresh={"OBJECT", "DATA", "TIME"})
    preview.action = None
    preview.basis = ""


def _evaluate(scene: bpy.types.Scene) -> None:
    for layer in scene.view_layers:
        layer.update()


def _forget(armature: bpy.types.Object, keep: bpy.types.Action | None = None) -> None:
    """Ends the preview of this armature in every scene: a copy of a scene copies it too."""
    for scene in bpy.data.scenes:
        if scene.kmm.preview.armature == armature:
            _clear(scene.kmm, keep)


def _clear(settings, keep: bpy.types.Action | None) -> None:
    actions = [take.action for take in settings.takes if take.action not in (None, keep)]
    settings.takes.clear()
    for name in ("active_take", "preview"):
        settings.property_unset(name)
    _remove_unused(actions)


def _remove_unused(actions: list[bpy.types.Action]) -> None:
    # One that was meanwhile given to something else stays.
    for action in actions:
        if action.users == 0:
            bpy.data.actions.remove(action)
