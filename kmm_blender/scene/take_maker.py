"""Turns clips into takes: retargets them, writes Actions, adds them to the history, shows one. In slices, for a timer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError

from ..ui.properties import metre, true_fps
from . import history, takes
from .action_writer import write_action_steps
from .bone_map import find_bone_map
from .key_reduction import Reduction
from .pose_values import read_pose_values
from .reference import Reference
from .retarget import Root, retarget_steps
from .rig import Rig, read_rig
from .seen import seen_at
from .take_record import TakeRecord


@dataclass(frozen=True, eq=False)
class Target:
    """Where takes go. Holds no Python references to datablocks: undo may come in between.

    Attributes:
        scene: whose takes they become.
        armature: which they move.
        root: what carries the character.
        reduction: tolerance for fewer keys, or None.
        action_name: of the takes' Actions; "" for a name made of the prompt and the seed.
    """

    scene: Reference
    armature: Reference
    root: Root
    reduction: Reduction | None
    action_name: str = ""

    @classmethod
    def of(cls, scene: bpy.types.Scene, armature: bpy.types.Object, action_name: str = "") -> Target:
        """The scene's settings for this armature."""
        settings = scene.kmm
        tolerance = Reduction(settings.reduce_degrees, settings.reduce_millimetres * metre(scene))
        return cls(
            scene=Reference.to(scene),
            armature=Reference.to(armature),
            root="object" if settings.root == "OBJECT" else "bone",
            reduction=tolerance if settings.reduce_keys else None,
            action_name=action_name,
        )

    def find(self) -> tuple[bpy.types.Scene, bpy.types.Object]:
        """The scene and the armature as they are now.

        Raises:
            KmmError: ``no_scene`` or ``no_armature`` where they were deleted.
        """
        scene = self.scene.find(bpy.data.scenes)
        if scene is None:
            raise KmmError(
                "no_scene",
                f"The scene {self.scene.name} was deleted while its motion was generated.",
                "Undo the deletion and generate again.",
            )
        armature = self.armature.find(bpy.data.objects)
        # The panel's pointer keeps a deleted object in the file, but in no scene.
        if armature is None or not armature.users_scene:
            raise KmmError(
                "no_armature",
                f"The armature {self.armature.name} was deleted while its motion was generated.",
                "Undo the deletion or choose another armature, and generate again.",
            )
        return scene, armature


class TakeMaker:
    """Makes takes of records; ``step`` it until it returns True. Until then nothing in the scene changes.

    Undo invalidates what it holds: ``restart`` then begins anew.

    Args:
        target: where the takes go.
        records: what they are. Where the scene's frame rate has changed since, they keep their first frame and last as long.
        remember: whether they are new to the history.

    Attributes:
        note: what to know about the takes once they are shown; may be empty.
        fraction: 0 to 1 for a progress bar.
    """

    def __init__(self, target: Target, records: Sequence[TakeRecord], *, remember: bool = True):
        self._target = target
        self._records = records
        self._remember = remember
        self._written: list[Reference] = []
        self._steps = self._make()
        self.note = ""
        self.fraction = 0.0

    def step(self) -> bool:
        """One slice of some milliseconds; True when the takes are shown.

        Raises:
            KmmError: as ``Target.find``, ``read_rig``, ``find_bone_map``, ``retarget_steps``, ``write_action_steps`` and
                ``takes.add``; nothing is left behind then.
        """
        try:
            self.fraction = next(self._steps)
            return False
        except StopIteration:
            return True
        except Exception:
            self.discard()
            raise

    def discard(self) -> None:
        """Removes what was written so far."""
        self._steps.close()
        for reference in self._written:
            action = reference.find(bpy.data.actions)
            if action is not None and action.users == 0:
                bpy.data.actions.remove(action)
        self._written.clear()

    def restart(self) -> None:
        """Begins anew, after an undo or redo."""
        self.discard()
        self._steps = self._make()

    def _make(self) -> Iterator[float]:
        target, share = self._target, 1 / len(self._records)
        scene, armature = target.find()
        # Where the object stands when the take begins, wherever the playhead is: its parent or the NLA may move it.
        with takes.hidden(scene):
            begins = {record.first_frame for record in self._records}
            standing = {frame: _standing(scene, armature, frame) for frame in begins}
        encoded: dict[str, str] = {}
        for number, record in enumerate(self._records):
            rig, _ = standing[record.first_frame]
            bone_map = find_bone_map(rig)
            clip = self._at_scene_rate(record.clip, true_fps(scene))
            for part in retarget_steps(clip, rig, bone_map, root=target.root, floor=record.floor):
                keys = part
                yield share * (number + 0.2)
            # The pose that the motion starts from is the animator's own.
            pinned = np.arange(clip.num_frames) < record.from_pose
            steps = write_action_steps(
                target.action_name or f"KMM {record.name}",
                armature,
                keys,  # pyright: ignore[reportPossiblyUnboundVariable]  # retarget_steps gives at least one
                record.first_frame,
                tolerance=target.reduction,
                pinned=pinned,
                rig=rig,
            )
            for written in steps:
                if len(self._written) == number:
                    self._written.append(Reference.to(written.action))
                yield share * (number + 0.5)
            for _ in takes.note_keys_steps(self._written[number].find(bpy.data.actions), armature):
                yield share * (number + 0.6)
            for text in record.encode_steps():
                encoded[record.id] = text
                yield share * (number + 0.9)
        actions = [reference.find(bpy.data.actions) for reference in self._written]
        places = [standing[record.first_frame][1] for record in self._records]
        takes.add(scene, armature, list(zip(actions, self._records, places)))
        self.note = " ".join(filter(None, (self.note, takes.unseen(armature))))
        if self._remember:
            for record in self._records:
                history.remember(scene, record, encoded[record.id])
        self._written.clear()

    def _at_scene_rate(self, clip: MotionClip, fps: float) -> MotionClip:
        if math.isclose(clip.fps, fps, rel_tol=1e-6):
            return clip
        self.note = (
            f"Generated at {clip.fps:.6g} frames a second, the scene now has {fps:.6g}: the keys are spaced "
            "so that the motion keeps its speed."
        )
        return clip.resample(fps)


def _standing(
    scene: bpy.types.Scene, armature: bpy.types.Object, frame: int
) -> tuple[Rig, dict[str, list[float]]]:
    """The rig, and the object's own channels, as they are in that frame."""
    with seen_at(scene, armature, frame) as (seen, _):
        return read_rig(seen), read_pose_values(seen)["object"]
