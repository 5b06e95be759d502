"""The KMM tab of the sidebar, from the top: Character, Prompts, Generate, Takes, History. Draws, decides nothing.

The Backend panel at its foot is ``backend_panel.py``.
"""

from __future__ import annotations

import textwrap

import bpy

from .. import session
from ..scene import action_writer, prompt_blocks, takes
from ..scene.prompt_blocks import read_blocks
from .prompt_list import active_prompt
from .properties import true_fps
from .rig_report import rig_report


class _Panel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "KMM"


# What a button that is only an icon takes of the sidebar's width, in pixels at a scale of 1.
_ICON_BUTTON = 24


def draw_message(context, layout, text: str, icon: str, beside: int = 0) -> None:
    """A sentence in as many lines as the sidebar's width needs, of which something beside it takes some."""
    width = context.region.width / context.preferences.system.ui_scale - beside
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, max(20, int(width / 7.2) - 6))):
        column.label(text=line, icon=icon if number == 0 else "BLANK1")


def draw_error(context, layout, error) -> None:
    """A KmmError: what happened, and what to do about it."""
    column = layout.column(align=True)
    column.alert = True
    draw_message(context, column, error.message, "ERROR")
    if error.hint:
        draw_message(context, layout, error.hint, "INFO")


def key_count(action, armature) -> str:
    """How many keys an Action holds, and how many a key on every frame would be where it has fewer."""
    curves = action_writer.fcurves(action, armature)
    first, last = action.frame_range
    keys, full = sum(len(curve.keyframe_points) for curve in curves), len(curves) * round(last - first + 1)
    return f"{keys:,} keys" if keys >= full else f"{keys:,} of {full:,} keys"


class KMM_PT_character(_Panel, bpy.types.Panel):
    bl_idname = "KMM_PT_character"
    bl_label = "Character"
    bl_order = 0

    def draw(self, context):
        layout, armature = self.layout, context.scene.kmm.armature
        row = layout.row(align=True)
        row.prop(context.scene.kmm, "armature", text="", icon="ARMATURE_DATA", placeholder="Armature")
        if armature is None:
            layout.operator("kmm.add_character", icon="ADD")
            return
        row.operator("kmm.add_character", text="", icon="ADD")
        report = rig_report(armature)
        column = layout.column(align=True)
        if report.error is not None:
            draw_error(context, column, report.error)
            return
        draw_message(context, column, report.summary, "CHECKMARK")
        for note in report.notes:
            draw_message(context, column, note, "INFO")
        for problem in report.problems:
            draw_message(context, column, problem, "ERROR")
        if report.needs_fk:
            layout.operator("kmm.switch_to_fk", icon="CON_KINEMATIC")


class KMM_PT_prompts(_Panel, bpy.types.Panel):
    bl_idname = "KMM_PT_prompts"
    bl_label = "Prompts"
    bl_order = 1

    def draw(self, context):
        layout, settings = self.layout, context.scene.kmm
        row = layout.row()
        row.template_list(
            "KMM_UL_prompts",
            "",
            settings,
            "prompts",
            settings,
            "active_prompt",
            item_dyntip_propname="text",
            rows=5,
            sort_lock=True,
        )
        buttons = row.column(align=True)
        buttons.operator("kmm.add_prompt", text="", icon="ADD")
        buttons.operator("kmm.remove_prompt", text="", icon="REMOVE")
        buttons.separator()
        buttons.menu("KMM_MT_prompts", text="", icon="DOWNARROW_HLT")
        buttons.separator()
        buttons.operator("kmm.move_prompt", text="", icon="TRIA_UP").direction = "EARLIER"
        buttons.operator("kmm.move_prompt", text="", icon="TRIA_DOWN").direction = "LATER"

        prompt = active_prompt(settings)
        if prompt is None:
            draw_message(
                context, layout, "Press + to add a prompt, or import some from the menu below it.", "INFO"
            )
            return
        fps = true_fps(context.scene)
        column = layout.column(align=True)
        column.prop(prompt, "text", text="", placeholder="what the character does")
        row = column.row(align=True)
        row.prop(prompt, "start")
        row.prop(prompt, "end")

        blocks = read_blocks(settings.prompts)
        covered = prompt_blocks.frame_range(blocks)
        row = layout.row()
        row.active = False
        row.label(text=f"Prompt: {(prompt.end - prompt.start) / fps:.2f} s")
        total = row.row()
        total.alignment = "RIGHT"
        total.label(text=f"Total: {(covered[1] - covered[0]) / fps:.2f} s" if covered else "All are off")
        for first, second in prompt_blocks.overlaps(blocks)[:1]:
            draw_error(context, layout, prompt_blocks.overlap_error(blocks[first], blocks[second]))


class KMM_PT_generate(_Panel, bpy.types.Panel):
    bl_idname = "KMM_PT_generate"
    bl_label = "Generate"
    bl_order = 2

    def draw(self, context):
        layout, settings = self.layout, context.scene.kmm
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        row = column.row(align=True)
        row.prop(settings, "seed")
        row.operator("kmm.new_seed", text="", icon="FILE_REFRESH")
        column.prop(settings, "num_takes")
        column.prop(settings, "quality")
        column.prop(settings, "start_from")

        status = session.get().status
        column = layout.column()
        column.use_property_split = False
        if status.busy:
            column.progress(factor=status.fraction, text=status.text, type="BAR")
            column.operator("kmm.cancel", icon="CANCEL")
        else:
            big = column.row()
            big.scale_y = 1.5
            big.operator("kmm.generate", icon="PLAY")
            column.operator("kmm.regenerate_block", icon="FILE_REFRESH")
        if status.note:
            row = column.row()
            draw_message(context, row, status.note, "INFO", beside=_ICON_BUTTON)
            row.operator("kmm.dismiss_error", text="", icon="X")
        if status.error is not None:
            box = column.box()
            draw_error(context, box, status.error)
            row = box.row(align=True)
            row.operator("kmm.copy_report", icon="COPYDOWN")
            row.operator("kmm.dismiss_error", text="", icon="X")


class KMM_PT_generate_options(_Panel, bpy.types.Panel):
    bl_idname = "KMM_PT_generate_options"
    bl_label = "Options"
    bl_parent_id = "KMM_PT_generate"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context):
        layout, settings = self.layout, context.scene.kmm
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        row = column.row(heading="Guidance")
        row.prop(settings, "set_guidance", text="")
        value = row.row()
        value.active = settings.set_guidance
        value.prop(settings, "guidance", text="")
        column.prop(settings, "root")
        column.prop(settings, "foot_cleanup")
        column.prop(settings, "reduce_keys")
        tolerance = column.column(align=True)
        tolerance.active = settings.reduce_keys
        tolerance.prop(settings, "reduce_degrees")
        tolerance.prop(settings, "reduce_millimetres")


class KMM_PT_takes(_Panel, bpy.types.Panel):
    bl_idname = "KMM_PT_takes"
    bl_label = "Takes"
    bl_order = 3

    @classmethod
    def poll(cls, context):
        return takes.waiting(context.scene)

    def draw(self, context):
        layout, scene = self.layout, context.scene
        shown = takes.shown(scene)
        column = layout.column(align=True)
        column.operator("kmm.show_take", text="Before", depress=shown is None, icon="LOOP_BACK").index = -1
        for index, take in enumerate(scene.kmm.takes):
            row = column.row(align=True)
            row.operator("kmm.show_take", text=take.name, depress=index == shown, icon="ACTION").index = index
        if shown is not None:
            keys = layout.row()
            keys.active = False
            keys.alignment = "RIGHT"
            keys.label(text=key_count(scene.kmm.takes[shown].action, scene.kmm.preview.armature))
        column = layout.column()
        row = column.row(align=True)
        row.prop(scene.kmm, "accept_as", expand=True)
        row = column.row(align=True)
        row.scale_y = 1.5
        row.operator("kmm.accept_take", icon="CHECKMARK")
        row.operator("kmm.reject_takes", icon="X")


class KMM_PT_history(_Panel, bpy.types.Panel):
    bl_idname = "KMM_PT_history"
    bl_label = "History"
    bl_order = 4
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context):
        return len(context.scene.kmm_history.entries) > 0

    def draw(self, context):
        layout, history = self.layout, context.scene.kmm_history
        layout.template_list(
            "UI_UL_list",
            "kmm_history",
            history,
            "entries",
            history,
            "active",
            item_dyntip_propname="details",
            rows=3,
        )
        row = layout.row(align=True)
        row.operator("kmm.restore_take", icon="RECOVER_LAST").index = history.active
        row.operator("kmm.delete_history", text="", icon="TRASH").index = history.active


register, unregister = bpy.utils.register_classes_factory(
    (
        KMM_PT_character,
        KMM_PT_prompts,
        KMM_PT_generate,
        KMM_PT_generate_options,
        KMM_PT_takes,
        KMM_PT_history,
    )
)
