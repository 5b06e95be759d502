"""What the Character panel says about the chosen armature: how many bones follow, which don't, what is in the way."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kmm_core.errors import KmmError

from ..scene import bone_map, takes
from ..scene.retarget import check_rest_pose
from ..scene.rig import read_rig

# Panels are drawn many times a second; a rig is read at most this often.
_SECONDS = 1.0
_MAX_NAMES = 4


@dataclass(frozen=True)
class RigReport:
    """One line that all is well, sentences about what to know, sentences about what to mend; or why it can't be used.

    ``needs_fk`` says that the last problem is one that ``kmm.switch_to_fk`` mends.
    """

    summary: str = ""
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    needs_fk: bool = False
    error: KmmError | None = None


_last: tuple[tuple[int, int], float, RigReport] | None = None


def rig_report(armature) -> RigReport:
    """The report on ``armature``, not older than a second. Never raises."""
    global _last
    # A session's number of an object is never used again, so another file's objects aren't mistaken for it.
    # Where the file it is linked from is missing, it has no bones, nor is it an armature.
    key = (armature.session_uid, len(getattr(armature.data, "bones", ())))
    if _last is None or _last[0] != key or time.monotonic() - _last[1] > _SECONDS:
        _last = (key, time.monotonic(), _read(armature))
    return _last[2]


def forget_rig_report() -> None:
    """Has the next ``rig_report`` read the rig again; for what was just mended."""
    global _last
    _last = None


def _read(armature) -> RigReport:
    try:
        rig = read_rig(armature)
        found = bone_map.find_bone_map(rig)
        check_rest_pose(rig, found)
    except KmmError as error:
        return RigReport(error=error)
    notes = ()
    if found.unmapped:
        names = ", ".join(found.unmapped[:_MAX_NAMES]) + (", …" if len(found.unmapped) > _MAX_NAMES else "")
        notes = (f"{len(found.unmapped)} other bones keep their pose: {names}",)
    return RigReport(
        f"{len(found.driven)} bones follow the motion",
        notes,
        tuple(filter(None, (takes.unseen(armature), *bone_map.problems(rig, found)))),
        needs_fk=bool(bone_map.settings_to_change(rig)),
    )
