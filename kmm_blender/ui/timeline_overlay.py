"""Prompt blocks drawn in the timeline and the dope sheet, and the operator that drags them there.

The blocks stand in one lane above the scrollbar (and the markers). A press on a block starts the drag; anywhere else it
goes on to Blender's own tools.
"""

from __future__ import annotations

import blf
import bpy
import gpu
from gpu_extras.batch import batch_for_shader

from ..scene import prompt_blocks
from ..scene.prompt_blocks import Block, read_blocks
from .properties import redraw_timelines, true_fps

# Pixels at a resolution scale of 1.
LANE_HEIGHT = 22
LANE_BOTTOM = 22  # above the horizontal scrollbar
MARKER_HEIGHT = 20  # markers stand between scrollbar and lane
SCRUB_HEIGHT = 24  # Blender's strip of frame numbers, at the top
TEXT_HEIGHT = 15  # lower lanes show no text
HANDLE_WIDTH = 6  # how near to an edge the mouse takes hold of it
TEXT_SIZE = 11

WARNING_COLOR = (0.93, 0.26, 0.20, 1.0)
TEXT_COLOR = (1.0, 1.0, 1.0, 0.95)


def _scale() -> float:
    return bpy.context.preferences.system.ui_scale


def lane(context) -> tuple[float, float]:
    """Bottom and top of the lane of blocks in this region, pixels. In a timeline with no room it gets thin."""
    scale = _scale()
    bottom = LANE_BOTTOM
    if context.scene.timeline_markers and context.space_data.show_markers:
        bottom += MARKER_HEIGHT
    room = context.region.height / scale - SCRUB_HEIGHT
    top = min(bottom + LANE_HEIGHT, room)
    return max(1, min(bottom, top - LANE_HEIGHT)) * scale, top * scale


def _is_shown(context) -> bool:
    space, settings = context.space_data, context.scene.kmm
    return (
        settings.show_blocks
        and len(settings.prompts) > 0
        and space.type == "DOPESHEET_EDITOR"
        and space.mode in {"TIMELINE", "DOPESHEET", "ACTION"}
    )


def _pixels(context, block: Block) -> tuple[float, float]:
    view = context.region.view2d
    left, _ = view.view_to_region(block.start, 0, clip=False)
    right, _ = view.view_to_region(block.end, 0, clip=False)
    return left, right


def block_at(context, x: float, y: float) -> tuple[int, str] | None:
    """The block and the part of it ("BODY", "START", "END") at a place in the region, pixels."""
    if not _is_shown(context):
        return None
    bottom, top = lane(context)
    if not bottom <= y <= top:
        return None
    settings = context.scene.kmm
    blocks = read_blocks(settings.prompts)
    # The selected block is drawn last, so it is on top.
    order = [index for index in prompt_blocks.time_order(blocks) if index != settings.active_prompt]
    on_top = [settings.active_prompt] if settings.active_prompt < len(blocks) else []
    for index in [*on_top, *reversed(order)]:
        left, right = _pixels(context, blocks[index])
        if left <= x <= right:
            # Short blocks keep a body to hold them by.
            handle = min(HANDLE_WIDTH * _scale(), (right - left) / 4)
            return index, "START" if x - left <= handle else "END" if right - x <= handle else "BODY"
    return None


def _rectangle(shader, left: float, bottom: float, right: float, top: float, color) -> None:
    corners = ((left, bottom), (right, bottom), (right, top), (left, top))
    batch = batch_for_shader(shader, "TRIS", {"pos": corners}, indices=((0, 1, 2), (0, 2, 3)))
    shader.uniform_float("color", color)
    batch.draw(shader)


def _fitting(text: str, width: float) -> str:
    """The text, cut where it gets wider than ``width`` pixels; empty where not even a few letters fit."""
    if blf.dimensions(0, text)[0] <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if blf.dimensions(0, text[:middle].rstrip() + "…")[0] <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…" if low >= 2 else ""


def _draw() -> None:
    context = bpy.context
    if not _is_shown(context):
        return
    settings, region, scale = context.scene.kmm, context.region, _scale()
    blocks = read_blocks(settings.prompts)
    clashing = {index for pair in prompt_blocks.overlaps(blocks) for index in pair}
    bottom, top = lane(context)
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    shader.bind()
    order = [index for index in prompt_blocks.time_order(blocks) if index != settings.active_prompt]
    order += [settings.active_prompt] if settings.active_prompt < len(blocks) else []
    for index in order:
        block, active = blocks[index], index == settings.active_prompt
        left, right = _pixels(context, block)
        if right < 0 or left > region.width:
            continue
        line = max(1, round(scale))
        red, green, blue = settings.prompts[index].color
        outline = (1, 1, 1, 0.9) if active else (0, 0, 0, 0.7)
        if index in clashing:
            outline = WARNING_COLOR
        shader.bind()
        _rectangle(shader, left, bottom, right, top, outline if block.enabled or active else (0, 0, 0, 0.3))
        _rectangle(
            shader,
            left + line,
            bottom + line,
            max(right - line, left + line),
            top - line,
            (red, green, blue, 1) if block.enabled else (red * 0.4, green * 0.4, blue * 0.4, 1),
        )
        if top - bottom < TEXT_HEIGHT * scale:
            continue
        # The text keeps inside of the window while its block reaches out of it.
        pad = 6 * scale
        text_left, text_right = max(left, 0) + pad, min(right, region.width) - pad
        blf.size(0, TEXT_SIZE * scale)
        blf.color(0, *(TEXT_COLOR if block.enabled else (1, 1, 1, 0.4)))
        blf.position(0, text_left, bottom + (top - bottom) * 0.32, 0)
        blf.draw(0, _fitting(block.text, text_right - text_left))
    gpu.state.blend_set("NONE")


class KMM_OT_drag_prompt(bpy.types.Operator):
    """Drag a prompt block in the timeline: its body moves it, its edges change its length"""

    bl_idname = "kmm.drag_prompt"
    bl_label = "Drag Prompt"
    bl_options = {"UNDO", "BLOCKING", "INTERNAL"}

    @classmethod
    def poll(cls, context):
        return context.space_data is not None and context.region is not None and _is_shown(context)

    def invoke(self, context, event):
        found = block_at(context, event.mouse_region_x, event.mouse_region_y)
        if found is None:
            return {"PASS_THROUGH"}
        settings = context.scene.kmm
        self.index, self.part = found
        settings.active_prompt = self.index
        self.before = read_blocks(settings.prompts)
        self.pressed_at = self._frame(context, event)
        context.window.cursor_modal_set("HAND" if self.part == "BODY" else "MOVE_X")
        context.window_manager.modal_handler_add(self)
        self._show_status(context)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        if event.type in {"RIGHTMOUSE", "ESC"} and event.value == "PRESS":
            prompt_blocks.place_blocks(context.scene.kmm.prompts, self.before)
            return self._end(context, "CANCELLED")
        if event.type == "LEFTMOUSE" and event.value == "RELEASE":
            # A mere click selects, which makes no undo step in Blender's other lists either.
            moved = read_blocks(context.scene.kmm.prompts) != self.before
            return self._end(context, "FINISHED" if moved else "CANCELLED")
        mode = "RIPPLE" if event.shift else "ALONE" if event.ctrl else "NORMAL"
        frames = round(self._frame(context, event) - self.pressed_at)
        blocks = prompt_blocks.drag(self.before, self.index, self.part, frames, mode)
        prompt_blocks.place_blocks(context.scene.kmm.prompts, blocks)
        self._show_status(context)
        return {"RUNNING_MODAL"}

    def _frame(self, context, event) -> float:
        return context.region.view2d.region_to_view(event.mouse_region_x, 0)[0]

    def _show_status(self, context) -> None:
        prompt = context.scene.kmm.prompts[self.index]
        frames = prompt.end - prompt.start
        context.workspace.status_text_set(
            f"Frames {prompt.start} – {prompt.end}, {frames / true_fps(context.scene):.2f} s      {self._keys()}"
        )

    def _keys(self) -> str:
        if self.part == "BODY":
            return "Shift: later prompts move along      Esc: cancel"
        others = "earlier" if self.part == "START" else "later"
        return f"Shift: {others} prompts move along      Ctrl: only this edge      Esc: cancel"

    def _end(self, context, result: str) -> set[str]:
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)
        redraw_timelines()
        return {result}


class KMM_OT_edit_prompt(bpy.types.Operator):
    """Write the text of the prompt block under the mouse"""

    bl_idname = "kmm.edit_prompt"
    bl_label = "Edit Prompt"
    bl_options = {"UNDO", "INTERNAL"}

    text: bpy.props.StringProperty(
        name="Prompt", description="What the character does, one action in one sentence"
    )

    poll = KMM_OT_drag_prompt.poll

    def invoke(self, context, event):
        found = block_at(context, event.mouse_region_x, event.mouse_region_y)
        if found is None:
            return {"PASS_THROUGH"}
        settings = context.scene.kmm
        settings.active_prompt = found[0]
        self.text = settings.prompts[found[0]].text
        return context.window_manager.invoke_props_dialog(self, width=400)

    def draw(self, context):
        self.layout.activate_init = True
        self.layout.prop(self, "text", text="")

    def execute(self, context):
        settings = context.scene.kmm
        settings.prompts[settings.active_prompt].text = self.text
        return {"FINISHED"}


CLASSES = (KMM_OT_drag_prompt, KMM_OT_edit_prompt)
_handles: list = []  # what draw_handler_add gave, for unregister
_keys: list = []  # keymap and key, for unregister


def register() -> None:
    """Registers the operators, their keys and the drawing."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    _handles.append(bpy.types.SpaceDopeSheetEditor.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL"))
    config = bpy.context.window_manager.keyconfigs.addon
    if config is None:  # in background mode
        return
    keymap = config.keymaps.new(name="Dopesheet", space_type="DOPESHEET_EDITOR")
    for operator, value in (("kmm.drag_prompt", "PRESS"), ("kmm.edit_prompt", "DOUBLE_CLICK")):
        # Any modifier: Shift and Ctrl change what a drag does, also when they were held before it.
        _keys.append((keymap, keymap.keymap_items.new(operator, "LEFTMOUSE", value, any=True)))


def unregister() -> None:
    """Takes all of it back."""
    for keymap, key in _keys:
        keymap.keymap_items.remove(key)
    _keys.clear()
    for handle in _handles:
        bpy.types.SpaceDopeSheetEditor.draw_handler_remove(handle, "WINDOW")
    _handles.clear()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    redraw_timelines()
