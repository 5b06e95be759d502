"""Turns the panel's settings into a plan: the request to the worker, and how to use its answer.

Where the motion starts from a pose, the request has a lead: that pose, held for a moment before the first frame and
kept. So the model begins where the character stands, and the first generated frame is that pose exactly.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import bpy
import numpy as np
from numpy.typing import NDArray

from kmm_core import __version__
from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.protocol import GenerateRequest
from kmm_core.timeline import Timeline

from ..ui.properties import QUALITY_STEPS, true_fps
from . import history, prompt_blocks, takes
from .bone_map import find_bone_map
from .prompt_blocks import Block
from .retarget import check_object_root, check_rest_pose, floor_under, ground_height, pose_to_clip
from .rig import read_pose, read_rig
from .seen import seen_at
from .take_maker import Target
from .take_record import TakeRecord

# How long a starting pose is held before the motion: whole tokens of the model, for it to know.
LEAD_SECONDS = 0.4


@dataclass(frozen=True, eq=False)
class Plan:
    """A request and what to make of its clips.

    Attributes:
        request: for the worker.
        target: where the takes go.
        blocks: the prompts, in scene frames.
        first_frame: scene frame of the takes' first frame.
        lead: frames of the clips before ``first_frame``.
        floor: height in the world that the takes stand on.
        from_pose: whether they start from the character's own pose.
        note: what to know about the takes once they are shown; may be empty.
    """

    request: GenerateRequest
    target: Target
    blocks: tuple[Block, ...]
    first_frame: int
    lead: int
    floor: float
    from_pose: bool
    note: str = ""

    def records(self, clips: Sequence[MotionClip]) -> list[TakeRecord]:
        """The worker's clips as takes."""
        request, words = self.request, self.blocks[0].text.removeprefix("a person ")
        words = words if len(words) <= 28 else words[:27].rstrip() + "…"
        return [
            TakeRecord(
                id=uuid.uuid4().hex,
                name=f"{words}, seed {request.seed}" + (f", take {number}" if request.samples > 1 else ""),
                blocks=self.blocks,
                first_frame=self.first_frame,
                floor=self.floor,
                from_pose=self.from_pose,
                clip=clip.slice(self.lead, clip.num_frames),
                seed=request.seed,
                sample=number,
                model=request.model,
                version=__version__,
            )
            for number, clip in enumerate(clips, start=1)
        ]


def build_plan(
    context: bpy.types.Context,
    *,
    model: str = "starter",
    device: str = "auto",
    seed: int | None = None,
    block: int | None = None,
    action_name: str = "",
) -> Plan:
    """A plan from ``context.scene.kmm``.

    Args:
        context: whose scene.
        model: "starter", "starter-nc" or a bundle's folder.
        device: "auto", "cpu", "cuda" or "mps".
        seed: instead of the panel's.
        block: index of the one prompt to generate; the rest is pinned to the take that is shown, else to the accepted
            take that the armature plays. None generates all prompts.
        action_name: for the takes' Actions.

    Raises:
        KmmError: what ``read_rig``, ``find_bone_map``, ``check_rest_pose``, ``pose_to_clip``, ``to_timeline`` and
            ``GenerateRequest`` raise; ``takes_waiting``; for a block also ``no_block``, ``no_take``, ``other_fps`` or ``nothing_to_keep``.
    """
    scene, settings = context.scene, context.scene.kmm
    armature = settings.armature
    if armature is not None and not armature.users_scene:
        armature = None
    if armature is not None and armature.pose is None:
        context.view_layer.update()  # a script has just made it
    rig = read_rig(armature)
    bone_map = find_bone_map(rig)
    check_rest_pose(rig, bone_map)
    reason = takes.blocked(scene, armature)
    if reason:
        raise KmmError("takes_waiting", f"{reason}.")
    with seen_at(scene, armature, scene.frame_current_final) as (seen, _):
        rig = read_rig(seen)  # its scale, too, is looked at before anything is generated
    if settings.root == "OBJECT":
        check_object_root(rig)
    blocks = [Block(p.text, p.start, p.end, p.enabled) for p in settings.prompts]
    timeline, first_frame = prompt_blocks.to_timeline(blocks, true_fps(scene))
    keep: _Keep | None = None
    note = ""
    floor, from_pose = 0.0, settings.start_from == "POSE"
    if block is not None:
        record, note = _take_to_change(scene, armature), _hand_edits(armature)
        keep = _keep_others(record, blocks, block, timeline, first_frame)
        floor, from_pose = record.floor, record.from_pose and first_frame == record.first_frame
    elif from_pose:
        with takes.hidden(scene), seen_at(scene, armature, first_frame) as (seen, depsgraph):
            rig = read_rig(seen)
            pose = read_pose(seen, rig, depsgraph)
        floor = floor_under(pose, rig, bone_map)
        if floor != ground_height(rig, bone_map):
            note = (
                f"At frame {first_frame} the character stands higher or lower than its object's floor; "
                "the takes go on at its own height."
            )
        start = pose_to_clip(pose, rig, bone_map, fps=timeline.fps, floor=floor)
        timeline, keep = _lead_in(start, timeline)
    request = GenerateRequest(
        job=uuid.uuid4().hex,
        timeline=timeline,
        model=model,
        seed=settings.seed if seed is None else seed,
        samples=settings.num_takes,
        guidance_scale=settings.guidance if settings.set_guidance else None,
        steps=QUALITY_STEPS[settings.quality],
        foot_cleanup=settings.foot_cleanup,
        keep_clip=keep.clip if keep else None,
        keep_frames=keep.frames if keep else None,
        device=device,
    )
    return Plan(
        request=request,
        target=Target.of(scene, armature, action_name),
        blocks=tuple(blocks[i] for i in prompt_blocks.time_order(blocks) if blocks[i].enabled),
        first_frame=first_frame,
        lead=keep.lead if keep else 0,
        floor=floor,
        from_pose=from_pose,
        note=note,
    )


@dataclass(frozen=True, eq=False)
class _Keep:
    """Motion to keep: ``frames`` [F] bool of the timeline, from ``clip``; the first ``lead`` frames are not keyed."""

    clip: MotionClip
    frames: NDArray[np.bool_]
    lead: int = 0


def _lead_in(pose: MotionClip, timeline: Timeline) -> tuple[Timeline, _Keep]:
    """The timeline with the pose held before it, and on its first frame."""
    if timeline.num_frames < 2:
        raise KmmError(
            "bad_frames",
            "The prompts cover one frame, and that one is the pose to start from; expected at least "
            "2 frames.",
            "Make the prompt longer, or start from the world's origin.",
        )
    lead = math.ceil(LEAD_SECONDS * timeline.fps)
    prompts = tuple(replace(p, start=p.start + lead, end=p.end + lead) for p in timeline.prompts)
    timeline = Timeline(timeline.fps, prompts)
    held = MotionClip(
        np.repeat(pose.root_positions[:1], lead + 1, axis=0),
        np.repeat(pose.local_rotations[:1], lead + 1, axis=0),
        timeline.fps,
    )
    return timeline, _Keep(held, np.arange(timeline.num_frames) <= lead, lead)


def _take_to_change(scene: bpy.types.Scene, armature: bpy.types.Object) -> TakeRecord:
    """The take that the armature shows or plays."""
    data = armature.animation_data
    found = takes.summary(data.action if data else None)
    if not found:
        raise KmmError(
            "no_take",
            f"{armature.name} plays no Action that KMM made, so there is no motion to keep for the "
            "other prompts.",
            "Generate all prompts first, or show the take to change.",
        )
    record = history.recall(scene, str(found.get("id")))
    if record is None:
        raise KmmError(
            "no_take",
            f"The motion of {data.action.name} is no longer in this scene's history.",
            "Generate all prompts again; the history keeps only the latest takes.",
        )
    return record


def _hand_edits(armature: bpy.types.Object) -> str:
    """What to tell where keys of the take to change were edited; mostly nothing."""
    action = armature.animation_data.action
    if not takes.edited(action, armature):
        return ""
    return (
        f"Keys of {action.name} were changed by hand: the new takes keep the motion as it was generated, "
        "without those changes."
    )


def _keep_others(
    record: TakeRecord, blocks: list[Block], index: int, timeline: Timeline, first_frame: int
) -> _Keep:
    """Every frame that the take covers and the block ``index`` does not."""
    if not (0 <= index < len(blocks) and blocks[index].enabled):
        raise KmmError(
            "no_block", "No prompt that is switched on is selected.", "Select the one to regenerate."
        )
    if record.clip.fps != timeline.fps:
        raise KmmError(
            "other_fps",
            f"The take was generated at {record.clip.fps:.6g} frames a second; the scene has "
            f"{timeline.fps:.6g}.",
            "Generate all prompts again.",
        )
    frames = np.arange(first_frame, first_frame + timeline.num_frames)
    rows = np.clip(frames - record.first_frame, 0, record.clip.num_frames - 1)
    block = blocks[index]
    kept = (frames - record.first_frame == rows) & ((frames < block.start) | (frames >= block.end))
    if record.from_pose and first_frame == record.first_frame:
        kept[0] = True  # the animator's own pose
    if not kept[1:].any():
        raise KmmError(
            "nothing_to_keep",
            f"The take has no frames outside the prompt {block.label}.",
            "Press Generate: a new seed gives a new motion.",
        )
    clip = MotionClip(record.clip.root_positions[rows], record.clip.local_rotations[rows], timeline.fps)
    return _Keep(clip, kept)
