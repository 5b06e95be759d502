"""Prompts from and to files (JSON, SRT, CSV, plain text) and timeline markers."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from kmm_core.timeline import Prompt, Timeline, read_timeline, write_timeline

from ..scene import prompt_blocks
from ..scene.prompt_blocks import MAX_MARKER_BYTES, Block, read_blocks
from .prompt_list import append_block, playback_range
from .properties import true_fps
from .reporting_operator import ReportingOperator

SUFFIXES = (".json", ".srt", ".csv", ".txt")


def import_prompts(scene, path: str | Path, first_frame: int, replace: bool = True) -> int:
    """Reads prompts from a file into ``scene.kmm`` at the scene's frame rate; returns how many.

    Args:
        scene: gets the prompts; its frame rate and range stay as they are.
        path: .json, .srt, .csv or .txt.
        first_frame: the scene frame of the file's frame 0.
        replace: whether the prompts that are there are removed.

    Raises:
        KmmError: for a file that can't be read, before anything is changed.
    """
    timeline = read_timeline(path, true_fps(scene))
    _add(scene.kmm, prompt_blocks.from_timeline(timeline, true_fps(scene), first_frame), replace)
    return len(timeline.prompts)


def export_prompts(scene, path: str | Path, first_frame: int) -> Timeline:
    """Writes the enabled prompts to a file of the kind that its suffix says; returns what was written.

    Args:
        scene: whose prompts.
        path: .json, .srt, .csv or .txt.
        first_frame: the scene frame that becomes frame 0, unless a prompt starts earlier.

    Raises:
        KmmError: for prompts that make no timeline, or a file that can't be written.
    """
    timeline, start = prompt_blocks.to_timeline(read_blocks(scene.kmm.prompts), true_fps(scene))
    pause = max(0, start - first_frame)
    shifted = (Prompt(prompt.text, prompt.start + pause, prompt.end + pause) for prompt in timeline.prompts)
    timeline = Timeline(timeline.fps, tuple(shifted))
    write_timeline(path, timeline)
    return timeline


def _add(settings, blocks: list[Block], replace: bool) -> None:
    if replace:
        settings.prompts.clear()
    for block in blocks:
        append_block(settings, block)
    settings.active_prompt = len(settings.prompts) - len(blocks)


class KMM_OT_import_prompts(ReportingOperator, bpy.types.Operator, ImportHelper):
    """Read prompts from a JSON, SRT, CSV or plain-text file; lengths in seconds are kept"""

    bl_idname = "kmm.import_prompts"
    bl_label = "Import Prompts"
    bl_options = {"REGISTER", "UNDO"}

    # Not remembered, so that only a dropped file has a path when the operator is invoked.
    filepath: StringProperty(
        name="File", description="The file to read", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )
    filter_glob: StringProperty(default=";".join(f"*{suffix}" for suffix in SUFFIXES), options={"HIDDEN"})
    use_scene_start: BoolProperty(
        name="At the Scene's Start",
        description="The file's time begins at the first frame of the playback range",
        default=True,
    )
    first_frame: IntProperty(
        name="First Frame", description="The scene frame at which the file's time begins", default=1
    )
    replace: BoolProperty(
        name="Replace",
        description="Remove the existing prompts first. If off, the new ones are added to them",
        default=True,
    )

    def invoke(self, context, event):
        if self.filepath:  # dropped on the timeline: only the options are asked
            return context.window_manager.invoke_props_dialog(self)
        return ImportHelper.invoke(self, context, event)

    def draw(self, context):
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "replace")
        layout.prop(self, "use_scene_start")
        row = layout.row()
        row.active = not self.use_scene_start
        row.prop(self, "first_frame")

    def run(self, context):
        first = playback_range(context.scene)[0] if self.use_scene_start else self.first_frame
        number = import_prompts(context.scene, self.filepath, first, self.replace)
        self.report({"INFO"}, f"{number} prompts imported from {Path(self.filepath).name}")


class KMM_OT_export_prompts(ReportingOperator, bpy.types.Operator, ExportHelper):
    """Write the prompts that are switched on to a JSON, SRT, CSV or plain-text file"""

    bl_idname = "kmm.export_prompts"
    bl_label = "Export Prompts"

    filter_glob: StringProperty(default=";".join(f"*{suffix}" for suffix in SUFFIXES), options={"HIDDEN"})
    file_format: EnumProperty(
        name="Format",
        description="Kind of file",
        items=(
            ("JSON", "JSON", "Frames and frame rate; exact"),
            ("SRT", "SRT", "Subtitles, as video editors read and write them; times in milliseconds"),
            ("CSV", "CSV", "A table for spreadsheets, with frames and frame rate; exact"),
            ("TXT", "Plain Text", "One prompt per line with its length in seconds"),
        ),
    )

    @property
    def filename_ext(self) -> str:
        """ExportHelper asks for the suffix here."""
        return f".{self.file_format.lower()}"

    @classmethod
    def poll(cls, context):
        if not any(prompt.enabled for prompt in context.scene.kmm.prompts):
            cls.poll_message_set("No prompt is switched on: add one, or tick its box")
            return False
        return True

    def run(self, context):
        timeline = export_prompts(context.scene, self.filepath, playback_range(context.scene)[0])
        self.report({"INFO"}, f"{len(timeline.prompts)} prompts exported to {Path(self.filepath).name}")


class KMM_OT_prompts_from_markers(ReportingOperator, bpy.types.Operator):
    """Make a prompt from each named timeline marker; it lasts until the next marker. A marker named "end" leaves a gap"""

    bl_idname = "kmm.prompts_from_markers"
    bl_label = "Prompts from Markers"
    bl_options = {"REGISTER", "UNDO"}

    replace: BoolProperty(
        name="Replace",
        description="Remove the existing prompts first. If off, the new ones are added to them",
        default=True,
    )

    @classmethod
    def poll(cls, context):
        if not context.scene.timeline_markers:
            cls.poll_message_set("The timeline has no markers: add them with M and rename them with F2")
            return False
        return True

    def run(self, context):
        scene = context.scene
        # Markers that switch cameras are named after shots, not motions.
        markers = [(marker.frame, marker.name) for marker in scene.timeline_markers if marker.camera is None]
        blocks = prompt_blocks.from_markers(markers, playback_range(scene)[1], true_fps(scene))
        _add(scene.kmm, blocks, self.replace)
        self.report({"INFO"}, f"{len(blocks)} prompts made from {len(markers)} markers")


class KMM_OT_prompts_to_markers(ReportingOperator, bpy.types.Operator):
    """Add a timeline marker for each prompt that is switched on; existing markers stay"""

    bl_idname = "kmm.prompts_to_markers"
    bl_label = "Markers from Prompts"
    bl_options = {"REGISTER", "UNDO"}

    poll = KMM_OT_export_prompts.poll

    def run(self, context):
        scene = context.scene
        markers = prompt_blocks.to_markers(read_blocks(scene.kmm.prompts))
        present = {(marker.frame, marker.name) for marker in scene.timeline_markers}
        cut = 0
        for frame, name in markers:
            held = name.encode()[:MAX_MARKER_BYTES].decode(errors="ignore")
            cut += held != name
            if (frame, held) not in present:
                scene.timeline_markers.new(held, frame=frame)
        if cut:
            self.report({"WARNING"}, f"{cut} names were cut: a marker holds {MAX_MARKER_BYTES} bytes")


class KMM_FH_prompts(bpy.types.FileHandler):
    """A prompt file dropped on the timeline or dope sheet is imported."""

    bl_idname = "KMM_FH_prompts"
    bl_label = "Prompts"
    bl_import_operator = "kmm.import_prompts"
    bl_file_extensions = ";".join(SUFFIXES)

    @classmethod
    def poll_drop(cls, context):
        return context.area is not None and context.area.type == "DOPESHEET_EDITOR"


register, unregister = bpy.utils.register_classes_factory(
    (
        KMM_OT_import_prompts,
        KMM_OT_export_prompts,
        KMM_OT_prompts_from_markers,
        KMM_OT_prompts_to_markers,
        KMM_FH_prompts,
    )
)
