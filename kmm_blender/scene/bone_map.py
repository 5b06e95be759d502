"""Which bone of a rig plays which of our joints, told by names and hierarchy. No bpy.

Limbs are found by name (``kmm_core.motion.bone_names``: Mixamo, Unreal, HumanIK, Rokoko, Biped, CMU, SMPL, Daz, VRM and
Rigify); pelvis, spine and neck by how the bones hang together, so that their number and names don't matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kmm_core.errors import KmmError
from kmm_core.motion import bone_names
from kmm_core.skeleton import JOINT_INDEX

from .rig import Rig

# Rigify's own bones beside the controls; only the deforming ones have anything to show, and none is to be keyed.
_MECHANISM = ("DEF-", "ORG-", "MCH-", "VIS-", "tweak_")
# Controls of a generated Rigify rig that bend what hangs from them, though not as its parents.
_RIGIFY_STILL = ("root", "hips", "chest")
# Written by riggers after a limb's word: Rigify's FK controls, Auto-Rig Pro, MakeHuman's first half of a limb.
_SUFFIXES = r"(_fk|_stretch|0?1)(?=$|\.[lrLR]$|_[lr]$)"


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


def find_bone_map(rig: Rig, given: Mapping[str, str] | None = None) -> BoneMap:
    """The bone map of a rig.

    Args:
        rig: what ``read_rig`` returned.
        given: our joint names to bones, where the names don't tell.

    Raises:
        KmmError: ``unknown_rig`` where the head or a joint of an arm or a leg is not found, or ``given`` is wrong.
    """
    raise NotImplementedError


def problems(rig: Rig, bone_map: BoneMap) -> list[str]:
    """What would keep the motion from showing, a sentence each for the panel; empty where all is well."""
    raise NotImplementedError
