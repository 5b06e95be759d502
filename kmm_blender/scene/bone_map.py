"""Finds which bone of a rig corresponds to which of our joints, by names and hierarchy. No bpy.

Limbs are found by name (``kmm_core.motion.bone_names``: Mixamo, Unreal, HumanIK, Rokoko, Biped, CMU, SMPL, Daz, VRM and
Rigify); pelvis, spine and neck by how the bones hang together, so that their number and names don't matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from kmm_core.errors import KmmError
from kmm_core.motion import bone_names
from kmm_core.skeleton import JOINT_NAMES

from .rig import Rig

# Which bone of a limb hangs from which.
_HANGS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
# Rigify's own bones beside the controls; only the deforming ones have anything to show, and none is to be keyed.
_MECHANISM = ("DEF-", "ORG-", "MCH-", "VIS-", "tweak_")
# Controls of a generated Rigify rig that bend what hangs from them, though not as its parents.
_RIGIFY_STILL = ("root", "hips", "chest")
# Their custom properties: full FK limbs that turn with the body, neck and head that turn with what is below.
_RIGIFY_FK = {"IK_FK": 1.0, "FK_limb_follow": 0.0, "neck_follow": 1.0, "head_follow": 1.0}
_OPTIONAL = re.compile("collar|foot")
# What riggers add to a limb's word: Rigify's FK controls, Auto-Rig Pro, MakeHuman's first halves.
_ADDED = r"(_fk|_stretch|0?1(-1)?)(?=$|[._][lr]$)|\.x$"


@dataclass(frozen=True)
class BoneMap:
    """Bones that are driven, by name.

    Attributes:
        joints: our joint names to bones: pelvis, head and limbs, and collars and feet where the rig has them.
        spine: bones between pelvis and neck, lowest first; the arms hang from the last.
        neck: bones between spine and head, lowest first.
        still: bones that driven ones hang from; they are keyed in their rest pose.
        unmapped: deforming bones that stay as they are posed: fingers, face, twists.
        shown: where the driven bones are controls, the bones that show the pose they make.
    """

    joints: Mapping[str, str]
    spine: tuple[str, ...]
    neck: tuple[str, ...]
    still: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    shown: BoneMap | None = None

    @property
    def driven(self) -> tuple[str, ...]:
        """Every bone that follows the motion."""
        return (*self.joints.values(), *self.spine, *self.neck)


def find_bone_map(rig: Rig) -> BoneMap:
    """The bone map of a rig, from the names of its bones.

    Raises:
        KmmError: ``unknown_rig`` where the head or a joint of an arm or a leg is not found.
    """
    generated = _is_generated_rigify(rig)
    usable = [i for i, name in enumerate(rig.bone_names) if not (generated and name.startswith(_MECHANISM))]
    found = _map_bones(rig, usable)
    shown = None
    if generated:
        deforming = [i for i, name in enumerate(rig.bone_names) if name.startswith("DEF-")]
        shown = _map_bones(rig, deforming)
    driven = {rig.index(name) for name in found.driven}
    still = sorted({i for bone in driven for i in rig.way_to_root(bone)} - driven)
    still_names = [rig.bone_names[i] for i in still if i in set(usable)]
    if generated:
        still_names += [n for n in _RIGIFY_STILL if n in rig.bone_names and n not in still_names]
    followed = {rig.index(name) for name in shown.driven} if shown else driven
    # The second half of a Rigify limb follows the first.
    halves = {f"{rig.bone_names[i]}.001" for i in followed} if shown else set()
    unmapped = [
        rig.bone_names[i]
        for i in np.flatnonzero(rig.deforms)
        if i not in followed and i not in still and rig.bone_names[i] not in halves
    ]
    return replace(
        found, still=tuple(still_names), unmapped=tuple(unmapped), shown=shown and _originals(shown)
    )


def problems(rig: Rig, bone_map: BoneMap) -> list[str]:
    """What would keep the motion from showing, one sentence each for the panel; empty if nothing would."""
    result = []
    if rig.shows_rest:
        result.append(
            "The armature shows its rest position; switch it to Pose Position in its Armature properties."
        )
    held = [name for name in bone_map.driven if rig.constrained[rig.index(name)]]
    if held:
        result.append(
            f"Constraints or drivers move {_few(held)}, so keys on them may not show. Mute these, "
            "or choose the armature whose bones are keyed."
        )
    lacking = [name for name in JOINT_NAMES if _OPTIONAL.search(name) and name not in bone_map.joints]
    if lacking:
        result.append(f"The rig has no bones for {_few(lacking)}; the rest moves without them.")
    # The last one, because the panel has a button for it below.
    wrong = [f"{prop} of {bone} to {value:g}" for bone, prop, value in settings_to_change(rig)]
    if wrong:
        result.append(f"Rigify's FK controls are keyed: set {_few(wrong)}.")
    return result


def settings_to_change(rig: Rig) -> list[tuple[str, str, float]]:
    """Those of ``rigify_settings`` that have another value now."""
    return [
        (bone, prop, value) for bone, prop, value in rigify_settings(rig) if rig.settings[bone, prop] != value
    ]


def rigify_settings(rig: Rig) -> list[tuple[str, str, float]]:
    """The settings with which FK controls move a generated Rigify rig: (bone, property, value); else empty."""
    if not _is_generated_rigify(rig):
        return []
    return [(bone, prop, _RIGIFY_FK[prop]) for bone, prop in rig.settings if prop in _RIGIFY_FK]


def _is_generated_rigify(rig: Rig) -> bool:
    names = set(rig.bone_names)
    return "torso" in names and {"thigh_fk.L", "upper_arm_fk.L", "DEF-thigh.L"} <= names


def _map_bones(rig: Rig, usable: list[int]) -> BoneMap:
    """Joints, spine and neck among the ``usable`` bones."""
    usable_names = {rig.bone_names[i] for i in usable}

    def way(bone: int) -> list[int]:
        """The usable bones from this one to the root; a deforming bone of Rigify hangs from copies of the others."""
        copies = [rig.bone_names[i].replace("ORG-", "DEF-") for i in rig.way_to_root(bone)]
        return [rig.index(name) for name in copies if name in usable_names]

    bones = _find_limbs(rig, usable, way)
    ways = {name: way(bone) for name, bone in bones.items()}
    over_pelvis = (set(ways["left_hip"]) & set(ways["right_hip"]) & set(ways["head"])) - set(bones.values())
    if not over_pelvis:
        raise KmmError(
            "unknown_rig",
            f"The hips and the head of '{rig.name}' have no common parent bone.",
            "Parent the legs and the spine to the pelvis bone.",
        )
    bones["pelvis"] = max(over_pelvis, key=lambda bone: len(rig.way_to_root(bone)))
    below = {*ways["left_hip"], *way(bones["pelvis"])}
    trunk = [bone for bone in reversed(ways["head"][1:]) if bone not in below]
    arms = [
        f"{side}_collar" if f"{side}_collar" in bones else f"{side}_shoulder" for side in ("left", "right")
    ]
    carriers = [i for i, bone in enumerate(trunk) if all(bone in ways[arm] for arm in arms)]
    chest = carriers[-1] + 1 if carriers else 0
    names = [rig.bone_names[bone] for bone in trunk]
    return BoneMap(
        joints={ours: rig.bone_names[bones[ours]] for ours in JOINT_NAMES if ours in bones},
        spine=tuple(names[:chest]),
        neck=tuple(names[chest:]),
    )


def _find_limbs(rig: Rig, usable: list[int], way: Callable[[int], list[int]]) -> dict[str, int]:
    """Bones of head and limbs by their names. One that does not hang from its limb is left out where another will do.

    So the pole target knee.L is not taken for the knee that is called shin.L.
    """
    bones = _find_named(rig, usable)
    for side in ("left", "right"):
        for upper, lower in ((f"{side}_{a}", f"{side}_{b}") for a, b in _HANGS):
            found, rest = bones, usable
            while found[upper] not in way(found[lower]):
                rest = [i for i in rest if i != found[lower]]
                try:
                    found = _find_named(rig, rest)
                except KmmError:
                    break
            else:
                bones, usable = found, rest
    return bones


def _find_named(rig: Rig, usable: list[int]) -> dict[str, int]:
    """Bones of head and limbs by their names alone.

    Raises:
        KmmError: ``unknown_rig`` where one is not found.
    """
    # A name as it is goes before one that is made plain, and a bone that deforms before one that doesn't.
    plain = [re.sub(_ADDED, "", rig.bone_names[i], flags=re.IGNORECASE) for i in usable]
    ranked = sorted(
        (
            (name != rig.bone_names[i], not rig.deforms[i], i, name)
            for i, name in zip(usable, plain, strict=True)
        )
    )
    order = [i for *_, i, _ in ranked]
    try:
        limbs = bone_names.find_bone_map([name for *_, name in ranked], rig.name)
    except KmmError as error:
        raise KmmError(
            "unknown_rig",
            f"'{rig.name}' is not a human rig that KMM recognises: {error.message}",
            "Rename its bones as Mixamo, Rigify or Unreal do (LeftUpLeg, thigh.L, thigh_l), or use a "
            "KMM Character.",
        ) from None
    return {ours: order[place] for ours, place in limbs.items()}


def _originals(deforming: BoneMap) -> BoneMap:
    """The same map with Rigify's ORG bones, which hold the whole pose; DEF bones share a limb's twist out."""
    return BoneMap(
        joints={ours: bone.replace("DEF-", "ORG-") for ours, bone in deforming.joints.items()},
        spine=tuple(bone.replace("DEF-", "ORG-") for bone in deforming.spine),
        neck=tuple(bone.replace("DEF-", "ORG-") for bone in deforming.neck),
    )


def _few(things: list[str]) -> str:
    return ", ".join(things[:4]) + (f" and {len(things) - 4} more" if len(things) > 4 else "")
