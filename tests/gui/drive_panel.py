"""Inside Blender with a window: works the KMM tab as an animator does, with a real mouse, and takes pictures.

    blender --python drive_panel.py -- OUTPUT_FOLDER

Finds each button by what Blender itself says of it: Ctrl C over a button copies its Python call to the clipboard.
Writes OUTPUT_FOLDER/result.json: {"passed": [...], "error": null or a traceback}, and ends Blender.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import bpy

OUTPUT = Path(sys.argv[sys.argv.index("--") + 1])
PACKAGE = "bl_ext.user_default.kmm"
PROMPTS = (
    ("a person walks forward", 1, 61),
    ("a person turns left", 61, 106),
    ("a person raises the left arm", 106, 166),
)
LOOK_AT = 146  # a frame with the arm up
SIDEBAR_WIDTH = 400
ROW = 10  # pixels between two looks for a button; a button is about 20 high
PATIENCE = (
    300  # seconds without news; a worker that starts on a busy machine with two cores may take its time
)
passed: list[str] = []

# A step gives back control to Blender for so many seconds.
Step = Iterator[float]


def xdotool(*words: object) -> None:
    subprocess.run(["xdotool", *map(str, words)], check=True)


def screenshot(name: str) -> None:
    """The whole screen, in 256 colours: small enough for the repository."""
    subprocess.run(
        ["import", "-window", "root", "-dither", "None", "-colors", "256", f"PNG8:{OUTPUT / name}.png"],
        check=True,
    )


def view() -> tuple[bpy.types.Area, bpy.types.Region]:
    """The 3D viewport and its sidebar."""
    area = next(area for area in bpy.context.window.screen.areas if area.type == "VIEW_3D")
    return area, next(region for region in area.regions if region.type == "UI")


def to_screen(x: float, y: float) -> tuple[int, int]:
    """Blender counts from the bottom of its window, which fills the screen; X counts from the top."""
    return int(x), int(bpy.context.window.height - 1 - y)


def wait_for(what: str, condition: Callable[[], bool], seconds: float) -> Step:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        yield 0.05


def drag(start: tuple[int, int], end: tuple[int, int]) -> Step:
    """Moves what is at ``start``, in Blender's pixels, to ``end``, slowly enough to be seen by Blender."""
    xdotool("mousemove", *to_screen(*start))
    yield 0.3
    xdotool("mousedown", 1)
    yield 0.3
    for step in range(1, 11):
        xdotool("mousemove", *to_screen(*(a + (b - a) * step / 10 for a, b in zip(start, end))))
        yield 0.05
    xdotool("mouseup", 1)
    yield 0.3


def open_tab() -> Step:
    """The sidebar, wide enough to read, with the KMM tab in front."""
    area, region = view()
    area.spaces.active.show_region_ui = True
    yield 0.5
    edge = region.y + region.height - 40  # further down there may be no panel, and nothing to hold
    yield from drag((region.x, edge), (region.x - (SIDEBAR_WIDTH - region.width), edge))
    assert region.width > SIDEBAR_WIDTH - 50, f"the sidebar could not be made wider: {region.width}"
    region.active_panel_category = "KMM"
    region.tag_redraw()
    yield 0.5


def raise_timeline() -> Step:
    """Room for the prompt blocks, all of them in view."""
    area = next(area for area in bpy.context.window.screen.areas if area.type == "DOPESHEET_EDITOR")
    middle, top = area.x + area.width // 2, area.y + area.height
    yield from drag((middle, top), (middle, top + 80))
    window = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(area=area, region=window):
        bpy.ops.action.view_all()
    yield 0.3


def click(call: str, below: int | None = None) -> Generator[float, None, int]:
    """Looks for the button that calls ``call`` down the sidebar, and presses it.

    Args:
        call: how the Python call starts.
        below: where to begin, in Blender's pixels; the top of the sidebar by default.

    Returns:
        How high the button is.
    """
    _, region = view()
    manager = bpy.context.window_manager
    x = region.x + region.width // 3  # where two stand side by side: in the first
    for y in range(below or region.y + region.height - ROW, region.y, -ROW):
        manager.clipboard = ""
        xdotool("mousemove", *to_screen(x, y))
        yield 0.08
        xdotool("key", "ctrl+c")
        yield 0.08
        if manager.clipboard.startswith(call):
            xdotool("click", 1)
            passed.append(f"clicked {call}")
            yield 0.2
            return y
    raise AssertionError(f"no button in the sidebar calls {call}")


def work_the_panel() -> Step:
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    yield from open_tab()
    settings = bpy.context.scene.kmm

    height = yield from click("bpy.ops.kmm.add_character(")
    yield from wait_for("a character in the scene", lambda: settings.armature is not None, 20)
    character = settings.armature
    for text, start, end in PROMPTS:
        bpy.ops.kmm.add_prompt()
        prompt = settings.prompts[settings.active_prompt]
        prompt.text, prompt.start, prompt.end = text, start, end
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = PROMPTS[0][1], PROMPTS[-1][2] - 1
    yield from raise_timeline()
    frame_the(character)
    yield 0.5
    screenshot("blender_prompts")

    session = sys.modules[f"{PACKAGE}.session"]
    height = yield from click("bpy.ops.kmm.generate(", below=height)
    yield from wait_for("the generation starts", lambda: session.get().status.busy, 20)
    pictured, said, silent = False, "", 0.0
    longest, last = 0.0, time.monotonic()
    while (status := session.get().status).busy:
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        if status.text != said:
            said, silent = status.text, now
        if now > silent + PATIENCE:
            raise AssertionError(f"nothing new in {PATIENCE} s: {said}")
        if not pictured and status.fraction > 0:
            screenshot("blender_progress")
            pictured, last = True, time.monotonic()
        yield 0.01
    passed.append(f"generated; longest wait for Blender's main loop {longest * 1e3:.0f} ms")
    error = session.get().status.error
    if error is not None:
        raise AssertionError(f"generation failed: {error}")
    yield from wait_for("takes", lambda: len(settings.takes) == settings.num_takes, 20)
    bpy.context.scene.frame_set(LOOK_AT)
    frame_the(character)
    yield 0.5
    screenshot("blender_panel")

    yield from click("bpy.ops.kmm.accept_take(", below=height)
    yield from wait_for("the take is kept", lambda: len(settings.takes) == 0, 20)
    action = character.animation_data.action
    assert action is not None, "no Action on the character after Accept"
    assert tuple(action.frame_range) == (PROMPTS[0][1], PROMPTS[-1][2] - 1), action.frame_range[:]
    yield 0.5
    screenshot("blender_accepted")
    passed.append(f"accepted: {action.name}, frames {action.frame_range[0]:g} to {action.frame_range[1]:g}")
    yield from ask_for_the_unknown(settings)
    yield from render_meanwhile(settings)
    yield from work_two_windows()


def ask_for_the_unknown(settings) -> Step:
    """A prompt that nothing recorded is like: the panel names it beside the takes."""
    session = sys.modules[f"{PACKAGE}.session"]
    settings.prompts[len(settings.prompts) - 1].text = "plays the guitar"
    bpy.ops.kmm.generate()
    yield from wait_for("the generation of an unknown action", lambda: not session.get().busy, PATIENCE)
    note = session.get().status.note
    assert "plays the guitar" in note and "walks" not in note, f"the note says {note!r}"
    yield 0.5
    screenshot("blender_note")
    bpy.ops.kmm.reject_takes()
    passed.append(f"was told: {note}")


def render_meanwhile(settings) -> Step:
    """An animation is rendered while takes are made: they must not be in the picture."""
    session, scene = sys.modules[f"{PACKAGE}.session"], bpy.context.scene
    character, before = settings.armature, settings.armature.animation_data.action
    render = scene.render
    render.engine, render.resolution_x, render.resolution_y = "CYCLES", 16, 16
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    render.filepath = str(OUTPUT / "render" / "frame")
    bpy.context.preferences.view.render_display_type = "NONE"
    bpy.ops.kmm.generate()
    bpy.ops.render.render("INVOKE_DEFAULT", animation=True)
    yield from wait_for("a render", lambda: bpy.app.is_job_running("RENDER"), 20)
    waits = "Waiting for the render"
    yield from wait_for("takes that wait", lambda: session.get().status.text == waits, PATIENCE)
    assert not settings.takes and character.animation_data.action == before
    screenshot("blender_waits")
    xdotool("key", "Escape")
    yield from wait_for("the takes after the render", lambda: not session.get().busy, PATIENCE)
    assert not bpy.app.is_job_running("RENDER") and len(settings.takes) == settings.num_takes
    bpy.ops.kmm.reject_takes()
    assert character.animation_data.action == before
    passed.append("takes waited for a render")


def work_two_windows() -> Step:
    """A second window with a scene of its own: Generate is pressed there, and the first window's scene is left alone."""
    first, scene = bpy.context.window, bpy.context.scene
    bpy.ops.wm.window_new_main()  # one of its own: a child window shows its parent's scene
    yield 1.0
    second = next(window for window in bpy.context.window_manager.windows if window != first)
    with bpy.context.temp_override(window=second):
        bpy.ops.scene.new(type="EMPTY")
        other = second.scene
        bpy.ops.kmm.add_character()
        bpy.ops.kmm.add_prompt()
        bpy.ops.kmm.generate()
    session = sys.modules[f"{PACKAGE}.session"]
    yield from wait_for("the generation of the second window", lambda: not session.get().busy, PATIENCE)
    assert session.get().status.error is None, session.get().status.error
    assert len(other.kmm.takes) == other.kmm.num_takes and not scene.kmm.takes
    assert first.scene == scene and second.scene == other, "a window shows another scene"
    assert other.kmm.armature.animation_data.action == other.kmm.takes[0].action
    with bpy.context.temp_override(window=second):
        bpy.ops.kmm.reject_takes()
    assert not other.kmm.takes and other.kmm.armature.animation_data is None
    with bpy.context.temp_override(window=second):
        bpy.ops.wm.window_close()
    yield 0.5
    passed.append("generated in a second window with a scene of its own")


def frame_the(character: bpy.types.Object) -> None:
    """The character, wherever it has walked, in the left half of the viewport."""
    area, _ = view()
    camera = area.spaces.active.region_3d
    camera.view_location = character.matrix_world @ character.pose.bones["pelvis"].head
    camera.view_distance = 5.0


def main() -> None:
    steps = work_the_panel()

    def tick() -> float | None:
        error = None
        try:
            return next(steps)
        except StopIteration:
            pass
        except Exception:
            error = traceback.format_exc()
            screenshot("failure")
        (OUTPUT / "result.json").write_text(json.dumps({"passed": passed, "error": error}))
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(tick, first_interval=2.0)


main()
