"""What the scene stores: ``scene.kmm``, with the prompts, the settings, the takes and what a preview replaced.

All of it is saved in the .blend file and takes part in undo. Pointers survive renaming; nothing here is a cache.
``KMM_PG_take`` and ``KMM_PG_preview`` are written by ``scene/takes.py`` alone, the rest by the panel and its operators.
"""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

# Decoding steps of each quality preset; None is the model's own number.
QUALITY_STEPS: dict[str, int | None] = {"DRAFT": 3, "STANDARD": None, "BEST": 12}
DEFAULT_GUIDANCE = 2.0
MAX_SEED = 2**31 - 1
# Colors of new prompts, in turn; dark enough for white text on them.
PALETTE = (
    (0.20, 0.44, 0.69),
    (0.71, 0.42, 0.13),
    (0.24, 0.54, 0.34),
    (0.56, 0.32, 0.62),
    (0.66, 0.30, 0.48),
    (0.15, 0.53, 0.56),
    (0.54, 0.50, 0.17),
    (0.41, 0.42, 0.66),
)


def true_fps(scene) -> float:
    """The scene's frame rate, 23.976 included."""
    return scene.render.fps / scene.render.fps_base


def metre(scene) -> float:
    """How many of the world's units the scene calls a metre: 100 where its unit scale is 0.01."""
    units = scene.unit_settings
    return 1.0 if units.system == "NONE" else 1.0 / units.scale_length


def redraw_timelines() -> None:
    """Redraws the editors that show prompt blocks, and the sidebars."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"DOPESHEET_EDITOR", "VIEW_3D"}:
                area.tag_redraw()


def _redraw(_settings, _context) -> None:
    redraw_timelines()


def _start_changed(prompt, _context) -> None:
    # A block always has at least one frame: the edge that was set pushes the other one.
    if prompt.end <= prompt.start:
        prompt.end = prompt.start + 1
    redraw_timelines()


def _end_changed(prompt, _context) -> None:
    if prompt.end <= prompt.start:
        prompt.start = prompt.end - 1
    redraw_timelines()


def _is_armature(_settings, candidate) -> bool:
    return candidate.type == "ARMATURE"


class KMM_PG_prompt(bpy.types.PropertyGroup):
    """One prompt block: a sentence acted in the scene frames [start, end)."""

    text: StringProperty(
        name="Prompt",
        description='What the character does, one action in one sentence, such as "a person walks forward"',
        update=_redraw,
    )
    start: IntProperty(
        name="Start", description="First frame of this prompt; may be negative", update=_start_changed
    )
    end: IntProperty(
        name="End",
        description="The frame where this prompt stops: the next prompt may start on it",
        default=1,
        update=_end_changed,
    )
    color: FloatVectorProperty(
        name="Color",
        description="Color of the block in the timeline",
        subtype="COLOR_GAMMA",  # the numbers that the overlay draws
        size=3,
        min=0,
        max=1,
        default=PALETTE[0],
        update=_redraw,
    )
    enabled: BoolProperty(
        name="Enabled",
        description="Generate this prompt. If off, its frames are a gap, in which the person stands still",
        default=True,
        update=_redraw,
    )


class KMM_PG_take(bpy.types.PropertyGroup):
    """One generated take that waits for Accept or Reject. ``name`` (of every PropertyGroup) is its label."""

    action: PointerProperty(type=bpy.types.Action, name="Action", description="The take's own Action")
    seed: IntProperty(name="Seed", description="The seed that generated this take")
    place: StringProperty(
        name="Place", description="The object's placement that the keys were made for, as JSON"
    )


class KMM_PG_preview(bpy.types.PropertyGroup):
    """What showing a take replaced on the armature, so that Reject can put it back bit for bit."""

    armature: PointerProperty(
        type=bpy.types.Object, name="Armature", description="The armature that shows a take"
    )
    had_animation_data: BoolProperty(
        name="Had Animation Data", description="Whether the armature had animation data before"
    )
    action: PointerProperty(
        type=bpy.types.Action, name="Own Action", description="The Action assigned before the preview"
    )
    slot_identifier: StringProperty(
        name="Own Slot", description="The Action's slot assigned before the preview"
    )
    basis: StringProperty(name="Own Pose", description="The pose before the preview, as JSON")


class KMM_PG_settings(bpy.types.PropertyGroup):
    """``scene.kmm``: everything that the KMM tab edits."""

    armature: PointerProperty(
        type=bpy.types.Object,
        name="Armature",
        description="The armature that the motion is generated for",
        poll=_is_armature,
    )

    prompts: CollectionProperty(type=KMM_PG_prompt, name="Prompts", description="The prompt blocks")
    active_prompt: IntProperty(name="Active Prompt", description="The selected prompt", min=0, update=_redraw)
    show_blocks: BoolProperty(
        name="Show in Timeline",
        description="Draw the prompts in the timeline and the dope sheet, where they can be dragged",
        default=True,
        update=_redraw,
    )

    seed: IntProperty(
        name="Seed",
        description="The same seed, prompts and settings give the same motion; another seed gives another",
        min=0,
        max=MAX_SEED,
        default=1,
    )
    num_takes: IntProperty(
        name="Takes",
        description="How many different motions to generate, to compare and keep one",
        min=1,
        soft_max=8,
        max=16,
        default=2,
    )
    quality: EnumProperty(
        name="Quality",
        description="How many decoding steps to spend on the motion",
        items=(
            ("DRAFT", "Draft", "Fewest decoding steps, for trying prompts quickly"),
            ("STANDARD", "Standard", "As many decoding steps as the model was tuned for"),
            ("BEST", "Best", "More decoding steps; two to three times as slow"),
        ),
        default="STANDARD",
    )
    set_guidance: BoolProperty(
        name="Set Guidance",
        description="Follow the words as closely as set below. If off, each model uses the value it "
        "was tuned for, which is also the fastest",
        default=False,
    )
    guidance: FloatProperty(
        name="Guidance",
        description="How closely the motion follows the words: low is loose and varied, high is literal",
        min=0,
        soft_min=1,
        soft_max=6,
        max=20,
        default=DEFAULT_GUIDANCE,
        precision=1,
        step=50,
    )
    foot_cleanup: BoolProperty(
        name="Foot Clean-up", description="Hold planted feet still, so that they do not slide", default=True
    )
    start_from: EnumProperty(
        name="Start From",
        description="Where the motion begins",
        items=(
            (
                "POSE",
                "Current Pose",
                "Continue from the pose and place that the armature has at the first frame",
            ),
            ("ORIGIN", "World Origin", "Begin at the world's origin, facing -Y"),
        ),
        default="ORIGIN",
    )
    root: EnumProperty(
        name="Root Motion",
        description="What carries the character through the scene",
        items=(
            ("BONE", "Pelvis Bone", "The pelvis bone moves; the object stays where it is"),
            (
                "OBJECT",
                "Object",
                "The armature object moves over the ground; the pelvis bone only moves relative to it",
            ),
        ),
        default="BONE",
    )
    reduce_keys: BoolProperty(
        name="Reduce Keys",
        description="Keep only the keys that the motion needs, so that it is easy to edit by hand. "
        "Planted feet may then slide a little",
    )
    reduce_degrees: FloatProperty(
        name="Angle",
        description="How many degrees a bone may deviate from the generated motion; the stricter of "
        "angle and distance counts",
        min=0.01,
        soft_max=10,
        max=45,
        default=1.0,
        precision=2,
    )
    reduce_millimetres: FloatProperty(
        name="Distance",
        description="How many millimetres one bone's reduction may move the root or the end of a "
        "limb; the bones of a limb add up",
        min=0.1,
        soft_max=50,
        max=1000,
        default=5.0,
        precision=1,
    )

    takes: CollectionProperty(type=KMM_PG_take, name="Takes", description="The takes to choose from")
    active_take: IntProperty(name="Active Take", description="The take that is shown", min=0)
    accept_as: EnumProperty(
        name="Accept As",
        description="What Accept makes of the take",
        items=(
            ("ACTION", "Action", "Assign the take's Action; an Action in use before stays in the file"),
            ("NLA", "NLA Strip", "Put the take on an NLA track of its own; the Action in use stays assigned"),
        ),
        default="ACTION",
    )
    preview: PointerProperty(type=KMM_PG_preview, name="Preview", description="What a preview replaced")


CLASSES = (KMM_PG_prompt, KMM_PG_take, KMM_PG_preview, KMM_PG_settings)


def register() -> None:
    """Registers the groups and adds ``Scene.kmm``."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.kmm = PointerProperty(type=KMM_PG_settings, name="KMM")


def unregister() -> None:
    """Removes ``Scene.kmm`` and the groups; what a .blend file stores is kept in it."""
    del bpy.types.Scene.kmm
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
