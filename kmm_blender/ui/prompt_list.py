"""The list of prompts in the panel, and the operators that change it."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, StringProperty

from kmm_core.errors import KmmError

from ..scene import prompt_blocks
from ..scene.prompt_blocks import Block, read_blocks
from .properties import PALETTE, true_fps

EXAMPLE_PROMPT = "a person walks forward"


def playback_range(scene) -> tuple[int, int]:
    """The frames that play: the first, and the one after the last."""
    if scene.use_preview_range:
        return scene.frame_preview_start, scene.frame_preview_end + 1
    return scene.frame_start, scene.frame_end + 1


def active_prompt(settings):
    """The selected prompt of ``scene.kmm``, or None where there is none."""
    return (
        settings.prompts[min(settings.active_prompt, len(settings.prompts) - 1)] if settings.prompts else None
    )


def append_block(settings, block: Block, color=None):
    """Adds a block to ``scene.kmm.prompts``, by default in the color used least, and selects it."""
    used = [tuple(round(value, 3) for value in prompt.color) for prompt in settings.prompts]
    prompt = settings.prompts.add()
    prompt.text = block.text
    prompt.start, prompt.end = block.start, block.end
    prompt.enabled = block.enabled
    prompt.color = color or min(PALETTE, key=used.count)
    settings.active_prompt = len(settings.prompts) - 1
    return prompt


class KMM_UL_prompts(bpy.types.UIList):
    """Prompts in the order of time, whatever their order in memory."""

    bl_idname = "KMM_UL_prompts"

    def draw_item(self, context, layout, settings, prompt, icon, active_data, active_property, index=0):
        row = layout.row(align=True)
        row.prop(prompt, "enabled", text="")
        row = row.row(align=True)
        row.active = prompt.enabled
        swatch = row.row()
        swatch.ui_units_x = 0.5
        swatch.prop(prompt, "color", text="")
        row.prop(prompt, "text", text="", emboss=False, placeholder="what the character does")
        frames = row.row()
        frames.alignment = "RIGHT"
        frames.alert = prompt.enabled and any(
            index in pair for pair in prompt_blocks.overlaps(read_blocks(settings.prompts))
        )
        frames.label(text=f"{prompt.start} – {prompt.end}")

    def filter_items(self, context, settings, property_name):
        prompts = getattr(settings, property_name)
        flags = (
            bpy.types.UI_UL_list.filter_items_by_name(
                self.filter_name, self.bitflag_filter_item, prompts, "text", reverse=self.use_filter_invert
            )
            if self.filter_name
            else []
        )
        places = [0] * len(prompts)
        for place, index in enumerate(prompt_blocks.time_order(read_blocks(prompts))):
            places[index] = place
        return flags, places


class _PromptOperator:
    """What the operators on the selected prompt share."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        if not context.scene.kmm.prompts:
            cls.poll_message_set("There is no prompt yet: add one with +")
            return False
        return True

    def change(self, settings, function, *arguments) -> set[str]:
        """Moves the blocks to where ``function(blocks, *arguments)`` puts them."""
        try:
            blocks = function(read_blocks(settings.prompts), *arguments)
        except KmmError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        prompt_blocks.place_blocks(settings.prompts, blocks)
        return {"FINISHED"}


class KMM_OT_add_prompt(bpy.types.Operator):
    """Add a prompt of four seconds after the selected one, or after all prompts if there is no room"""

    bl_idname = "kmm.add_prompt"
    bl_label = "Add Prompt"
    bl_options = {"REGISTER", "UNDO"}

    text: StringProperty(
        name="Prompt",
        description="What the character does, one action in one sentence",
        default=EXAMPLE_PROMPT,
    )

    def execute(self, context):
        settings, scene = context.scene.kmm, context.scene
        block = prompt_blocks.new_block(
            read_blocks(settings.prompts), settings.active_prompt, true_fps(scene), playback_range(scene)[0]
        )
        append_block(settings, Block(self.text, block.start, block.end))
        return {"FINISHED"}


class KMM_OT_remove_prompt(_PromptOperator, bpy.types.Operator):
    """Remove the selected prompt; the other prompts stay where they are"""

    bl_idname = "kmm.remove_prompt"
    bl_label = "Remove Prompt"

    def execute(self, context):
        settings = context.scene.kmm
        index = min(settings.active_prompt, len(settings.prompts) - 1)
        order = prompt_blocks.time_order(read_blocks(settings.prompts))
        place = order.index(index)
        order.remove(index)
        settings.prompts.remove(index)
        # Select the one that took its place in time.
        selected = order[min(place, len(order) - 1)] if order else 0
        settings.active_prompt = selected - (selected > index)
        return {"FINISHED"}


class KMM_OT_clear_prompts(_PromptOperator, bpy.types.Operator):
    """Remove all prompts"""

    bl_idname = "kmm.clear_prompts"
    bl_label = "Remove All Prompts"

    def execute(self, context):
        context.scene.kmm.prompts.clear()
        context.scene.kmm.active_prompt = 0
        return {"FINISHED"}


class KMM_OT_move_prompt(_PromptOperator, bpy.types.Operator):
    """Swap the selected prompt in time with the one before or after it"""

    bl_idname = "kmm.move_prompt"
    bl_label = "Move Prompt"

    direction: EnumProperty(
        name="Direction",
        description="Where the prompt goes",
        items=(
            ("EARLIER", "Earlier", "Swap places with the prompt before"),
            ("LATER", "Later", "Swap places with the prompt after"),
        ),
    )

    @classmethod
    def description(cls, context, properties):
        return f"Play the selected prompt {properties.direction.lower()}: it swaps places in time with its neighbor"

    def execute(self, context):
        settings = context.scene.kmm
        index = min(settings.active_prompt, len(settings.prompts) - 1)
        step = -1 if self.direction == "EARLIER" else 1
        return self.change(settings, prompt_blocks.swap_with_neighbour, index, step)


class KMM_OT_duplicate_prompt(_PromptOperator, bpy.types.Operator):
    """Copy the selected prompt to the first free place after it that is long enough"""

    bl_idname = "kmm.duplicate_prompt"
    bl_label = "Duplicate Prompt"

    def execute(self, context):
        settings = context.scene.kmm
        index = min(settings.active_prompt, len(settings.prompts) - 1)
        copy = prompt_blocks.duplicate(read_blocks(settings.prompts), index)
        append_block(settings, copy, color=tuple(settings.prompts[index].color))
        return {"FINISHED"}


class KMM_OT_split_prompt(_PromptOperator, bpy.types.Operator):
    """Split the selected prompt in two at the current frame"""

    bl_idname = "kmm.split_prompt"
    bl_label = "Split at Current Frame"

    @classmethod
    def poll(cls, context):
        if not super().poll(context):
            return False
        prompt = active_prompt(context.scene.kmm)
        if not prompt.start < context.scene.frame_current < prompt.end:
            cls.poll_message_set(
                f"The playhead is at frame {context.scene.frame_current}: move it between the frames "
                f"{prompt.start} and {prompt.end} of the selected prompt"
            )
            return False
        return True

    def execute(self, context):
        settings = context.scene.kmm
        prompt = active_prompt(settings)
        first, second = prompt_blocks.split(read_blocks([prompt])[0], context.scene.frame_current)
        prompt.end = first.end
        append_block(settings, second)
        return {"FINISHED"}


class KMM_OT_fit_prompts(_PromptOperator, bpy.types.Operator):
    """Stretch or squeeze all prompts together so that they fill the playback range"""

    bl_idname = "kmm.fit_prompts"
    bl_label = "Fit to Playback Range"

    def execute(self, context):
        return self.change(context.scene.kmm, prompt_blocks.fit, *playback_range(context.scene))


class KMM_MT_prompts(bpy.types.Menu):
    """More actions for prompts"""

    bl_idname = "KMM_MT_prompts"
    bl_label = "Prompts"

    def draw(self, context):
        layout = self.layout
        layout.operator("kmm.duplicate_prompt", icon="DUPLICATE")
        layout.operator("kmm.split_prompt", icon="MOD_EDGESPLIT")
        layout.operator("kmm.fit_prompts", icon="PREVIEW_RANGE")
        layout.prop(context.scene.kmm, "show_blocks")
        layout.separator()
        layout.operator("kmm.prompts_from_markers", icon="MARKER_HLT")
        layout.operator("kmm.prompts_to_markers", icon="MARKER")
        layout.separator()
        layout.operator("kmm.import_prompts", icon="IMPORT")
        layout.operator("kmm.export_prompts", icon="EXPORT")
        layout.separator()
        layout.operator("kmm.clear_prompts", icon="TRASH")


register, unregister = bpy.utils.register_classes_factory(
    (
        KMM_UL_prompts,
        KMM_OT_add_prompt,
        KMM_OT_remove_prompt,
        KMM_OT_clear_prompts,
        KMM_OT_move_prompt,
        KMM_OT_duplicate_prompt,
        KMM_OT_split_prompt,
        KMM_OT_fit_prompts,
        KMM_MT_prompts,
    )
)
