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
TEXT_MARGIN = 6

TEXT_COLOR = (1.0, 1.0, 1.0, 0.95)
OFF_COLOR = (0.16, 0.16, 0.16, 1.0)
OFF_TEXT_COLOR = (1.0, 1.0, 1.0, 0.4)
CLASH_COLOR = (0.95, 0.15, 0.10, 0.75)


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


def _bottom_to_top(settings, blocks: list[Block]) -> list[int]:
    """Indices in the order of drawing: the selected block last, so that it can be taken hold of."""
    return sorted(prompt_blocks.time_order(blocks), key=lambda index: index == settings.active_prompt)


def block_at(context, x: float, y: float) -> tuple[int, str] | None:
    """The block and the part of it ("BODY", "START", "END") at a place in the region, pixels."""
    if not _is_shown(context):
        return None
    bottom, top = lane(context)
    if not bottom <= y <= top:
        return None
    settings = context.scene.kmm
    blocks = read_blocks(settings.prompts)
    for index in reversed(_bottom_to_top(settings, blocks)):
        left, right = _pixels(context, blocks[index])
        if left <= x <= right:
            # Short blocks keep a body to hold them by.
            handle = min(HANDLE_WIDTH * _scale(), (right - left) / 4)
            return index, "START" if x - left <= handle else "END" if right - x <= handle else "BODY"
    return None


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


class _Rectangles:
    """Rectangles that are drawn at once."""

    def __init__(self):
        self.corners: list[tuple[float, float]] = []
        self.colors: list[tuple[float, float, float, float]] = []
        self.triangles: list[tuple[int, int, int]] = []

    def add(self, left: float, bottom: float, right: float, top: float, color) -> None:
        first = len(self.corners)
        self.corners += ((left, bottom), (right, bottom), (right, top), (left, top))
        self.colors += (color,) * 4
        self.triangles += ((first, first + 1, first + 2), (first, first + 2, first + 3))

    def draw(self) -> None:
        shader = gpu.shader.from_builtin("FLAT_COLOR")
        attributes = {"pos": self.corners, "color": self.colors}
        gpu.state.blend_set("ALPHA")
        batch_for_shader(shader, "TRIS", attributes, indices=self.triangles).draw(shader)
        gpu.state.blend_set("NONE")


def _draw() -> None:
    context = bpy.context
    if not _is_shown(context):
        return
    settings, width, scale = context.scene.kmm, context.region.width, _scale()
    blocks = read_blocks(settings.prompts)
    places = [_pixels(context, block) for block in blocks]
    bottom, top = lane(context)
    line = max(1, round(scale))
    seen = [i for i in _bottom_to_top(settings, blocks) if places[i][1] >= 0 and places[i][0] <= width]
    rectangles = _Rectangles()
    for index in seen:
        left, right = places[index]
        inner_right = max(right - line, left + line)
        rectangles.add(left, bottom, right, top, _outline(blocks[index], index == settings.active_prompt))
        shade = (*settings.prompts[index].color, 1.0) if blocks[index].enabled else OFF_COLOR
        rectangles.add(left + line, bottom + line, inner_right, top - line, shade)
    text_from = [left for left, _ in places]
    for first, second in prompt_blocks.overlaps(blocks):
        left, right = places[second][0], min(places[first][1], places[second][1])
        rectangles.add(left, bottom, right, top, CLASH_COLOR)
        text_from[second] = max(text_from[second], right)
    rectangles.draw()
    if top - bottom < TEXT_HEIGHT * scale:
        return
    margin = TEXT_MARGIN * scale
    blf.size(0, TEXT_SIZE * scale)
    for index in seen:
        # The text stays in the window while its block reaches out of it.
        left, right = max(text_from[index], 0) + margin, min(places[index][1], width) - margin
        blf.color(0, *(TEXT_COLOR if blocks[index].enabled else OFF_TEXT_COLOR))
        blf.position(0, left, bottom + (top - bottom) * 0.32, 0)
        blf.draw(0, _fitting(blocks[index].text, right - left))


def _outline(block: Block, active: bool) -> tuple[float, float, float, float]:
    if active:
        return 1.0, 1.0, 1.0, 0.9
    return 0.0, 0.0, 0.0, 0.7 if block.enabled else 0.3


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
