"""Finds which joint of a foreign skeleton is which of ours, by the joints' names. Light zone: no torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ..errors import KmmError

# For each of our limbs, the words rigs use, best first. "Foot" is the ankle in most rigs and the toes in
# SMPL, "shoulder" the collar in most rigs and the upper arm in SMPL and 100STYLE: so a joint is given away
# only once, in the order of this table.
_SIDED = (
    ("knee", ("knee", "shin", "calf", "lowerleg", "lowleg", "tibia", "leg")),
    ("hip", ("upleg", "upperleg", "thigh", "thighbend", "femur", "hip", "leg")),
    ("ankle", ("ankle", "foot")),
    ("foot", ("toebase", "toes", "toe", "toe0", "ball", "foot")),
    ("elbow", ("elbow", "forearm", "forearmbend", "lowerarm", "lowarm", "farm", "radius")),
    ("collar", ("collar", "clavicle")),
    ("shoulder", ("upperarm", "uparm", "uarm", "arm", "humerus", "shldr", "shldrbend", "shoulder")),
    ("collar", ("shoulder",)),
    ("wrist", ("wrist", "hand")),
)
# Rigify calls the neck and the head spine.004 and spine.006; Source's is Head1.
_HEADS = ("head", "spine6", "head1")
_NEEDED = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_PREFIXES = (
    r"^(mixamorig\d*[_\- ]*"
    r"|(ccbase|def|org|bip0?\d+|character\d*|rig|jnt|joint|skeleton|jbip|c|m|f)(_avg)?[_\- ]+)"
)


def split_side(name: str) -> tuple[str, str]:
    """A joint's name as (side, word): ``"mixamorig:LeftUpLeg"`` is ("left", "upleg"); side may be ``""``."""
    word = name.rsplit(":", 1)[-1].replace("CC_Base", "ccbase").replace("J_Bip", "jbip")
    for _ in range(2):
        word = re.sub(_PREFIXES, "", word, flags=re.IGNORECASE).lstrip("_-. ")
    if not word.strip("_-. "):
        return "", ""
    for side, spelled, letter in (("left", "left", "l"), ("right", "right", "r")):
        lower = word.lower()
        if lower.startswith(spelled) or lower.endswith(spelled):
            word = word[len(spelled) :] if lower.startswith(spelled) else word[: -len(spelled)]
        elif re.match(rf"^{letter}[_\-. ]", lower):
            word = word[2:]
        elif re.search(rf"[_\-. ]{letter}(?=$|[_\-. ]\d+$)", lower):
            word = re.sub(rf"[_\-. ]{letter}(?=$|[_\-. ]\d+$)", "", word, flags=re.IGNORECASE)
        elif re.match(rf"^{letter}[A-Z]", word) or (lower[0] == letter and lower[1:] in _KNOWN):
            word = word[1:]
        else:
            continue
        return side, _squeeze(word)
    return "", _squeeze(word)


def _bare(names: Sequence[str]) -> Sequence[str]:
    """The names without a beginning and end that all but one of them share: "Robot_", "ValveBiped.Bip01_", "_JNT"."""
    for end in (r"^[^_\-. ]*[_\-. ]+", r"[_\-. ]+[^_\-. ]*$"):
        while names:
            shared, times = Counter("".join(re.findall(end, name)) for name in names).most_common(1)[0]
            if not shared or times < len(names) - 1:
                break
            names = [re.sub(end, "", name) for name in names]
    return names


def _squeeze(word: str) -> str:
    word = re.sub(r"[_\-. ]", "", word).lower()
    return re.sub(r"0+(?=\d)", "", word)


_KNOWN = {word for _, words in _SIDED for word in words}


def find_bone_map(joint_names: Sequence[str], file_name: str = "") -> dict[str, int]:
    """Our joint names to indices of theirs, for the limbs, collars, toes and the head, as far as found.

    Args:
        joint_names: names as in the file.
        file_name: for the message.

    Raises:
        KmmError: ``unknown_skeleton`` where the head or a joint of an arm or leg is not found.
    """
    by_name: dict[tuple[str, str], int] = {}
    # The names as they are come first: "J_Bip_L_Foot" and "J_Sec_Hair" share nothing but "J_".
    for names in (joint_names, _bare(joint_names)):
        for index, name in enumerate(names):
            by_name.setdefault(split_side(name), index)
    found: dict[str, int] = {}
    for ours, words in _SIDED:
        for side in ("left", "right"):
            for word in words:
                index = by_name.get((side, word))
                if index is not None and index not in found.values():
                    found[f"{side}_{ours}"] = index
                    break
    head = next((by_name["", word] for word in _HEADS if ("", word) in by_name), None)
    if head is not None:
        found["head"] = head
    missing = [
        f"{side}_{word}" for word in _NEEDED for side in ("left", "right") if f"{side}_{word}" not in found
    ]
    missing += ["head"] if "head" not in found else []
    if missing:
        raise KmmError(
            "unknown_skeleton",
            f"{file_name or 'The skeleton'} has no joint for the {', '.join(missing[:4])}; its joints are "
            f"{', '.join(list(joint_names)[:6])} ...",
            "Rename the joints to Mixamo's, CMU's or SMPL's names.",
        )
    return found
