"""Where the blocks stand in the timeline, what the mouse takes hold of, and that nothing is left behind."""

from types import SimpleNamespace

import bpy
import pytest
from bl_ext.user_default.kmm.ui import timeline_overlay

HEIGHT = 150


@pytest.fixture
def timeline(fresh_scene, monkeypatch):
    """A context as in a timeline editor with 10 pixels a frame and frame 0 at pixel 100."""
    monkeypatch.setattr(timeline_overlay, "_scale", lambda: 1.0)  # 0 without a window
    for text, frames in (("walks", 20), ("turns", 30)):
        bpy.ops.kmm.add_prompt(text=text)
        prompt = fresh_scene.kmm.prompts[-1]
        prompt.end = prompt.start + frames
    return SimpleNamespace(
        scene=fresh_scene,
        space_data=SimpleNamespace(type="DOPESHEET_EDITOR", mode="TIMELINE", show_markers=True),
        region=SimpleNamespace(
            width=1000,
            height=HEIGHT,
            view2d=SimpleNamespace(view_to_region=lambda x, y, clip: (100 + 10 * x, y)),
        ),
    )


def hit(timeline, frame, *, above=5):
    bottom, _ = timeline_overlay.lane(timeline)
    return timeline_overlay.block_at(timeline, 100 + 10 * frame, bottom + above)


def test_the_mouse_takes_hold_of_body_and_edges(timeline):
    assert hit(timeline, 10) == (0, "BODY")
    assert hit(timeline, 1.2) == (0, "START")
    assert hit(timeline, 20.8) == (0, "END")
    assert hit(timeline, 40) == (1, "BODY")
    assert hit(timeline, 0.5) is None
    assert hit(timeline, 51.5) is None


def test_beside_the_lane_blender_gets_the_mouse(timeline):
    assert hit(timeline, 10, above=-2) is None
    assert hit(timeline, 10, above=timeline_overlay.LANE_HEIGHT + 2) is None


def test_the_selected_block_is_on_top(timeline):
    settings = timeline.scene.kmm
    settings.prompts[1].start = 5
    settings.active_prompt = 0
    assert hit(timeline, 10)[0] == 0
    settings.active_prompt = 1
    assert hit(timeline, 10)[0] == 1


def test_a_block_of_one_frame_still_has_a_body(timeline):
    timeline.scene.kmm.prompts[1].start = 60
    timeline.scene.kmm.prompts[1].end = 61
    assert [hit(timeline, 60 + part)[1] for part in (0.1, 0.5, 0.9)] == ["START", "BODY", "END"]


@pytest.mark.parametrize("height", [30, 45, 80, HEIGHT])
@pytest.mark.parametrize("markers", [False, True])
def test_the_lane_stays_below_the_frame_numbers(timeline, height, markers):
    timeline.region.height = height
    if markers:
        timeline.scene.timeline_markers.new("hit", frame=5)
    bottom, top = timeline_overlay.lane(timeline)
    assert 0 < bottom < top <= height - timeline_overlay.SCRUB_HEIGHT


def test_markers_move_the_lane_up_only_while_they_are_shown(timeline):
    bottom, _ = timeline_overlay.lane(timeline)
    timeline.scene.timeline_markers.new("hit", frame=5)
    assert timeline_overlay.lane(timeline)[0] == bottom + timeline_overlay.MARKER_HEIGHT
    timeline.space_data.show_markers = False
    assert timeline_overlay.lane(timeline)[0] == bottom


def test_hidden_blocks_are_not_in_the_way(timeline):
    timeline.scene.kmm.show_blocks = False
    assert hit(timeline, 10) is None
    timeline.scene.kmm.show_blocks = True
    timeline.space_data.mode = "GPENCIL"
    assert hit(timeline, 10) is None


class Drag:
    """The operator worked with made-up mouse events: without a window Blender runs no modal operator."""

    def __init__(self, timeline, frame):
        operator = timeline_overlay.KMM_OT_drag_prompt
        names = ("invoke", "modal", "_frame", "_show_status", "_keys", "_end")
        self.operator = type("Operator", (), {name: operator.__dict__[name] for name in names})()
        self.timeline, self.statuses, self.cursors = timeline, [], []
        timeline.region.view2d.region_to_view = lambda x, y: ((x - 100) / 10, y)
        timeline.workspace = SimpleNamespace(status_text_set=self.statuses.append)
        timeline.window = SimpleNamespace(
            cursor_modal_set=self.cursors.append, cursor_modal_restore=lambda: self.cursors.append("restored")
        )
        timeline.window_manager = SimpleNamespace(modal_handler_add=lambda operator: None)
        self.started = self.operator.invoke(timeline, self.event("LEFTMOUSE", "PRESS", frame))

    def event(self, kind, value, frame, **modifiers):
        keys = {"shift": False, "ctrl": False} | modifiers
        middle = sum(timeline_overlay.lane(self.timeline)) / 2
        return SimpleNamespace(
            type=kind, value=value, mouse_region_x=100 + 10 * frame, mouse_region_y=middle, **keys
        )

    def move(self, frame, **modifiers):
        return self.operator.modal(self.timeline, self.event("MOUSEMOVE", "NOTHING", frame, **modifiers))

    def release(self, frame):
        return self.operator.modal(self.timeline, self.event("LEFTMOUSE", "RELEASE", frame))

    def escape(self, frame):
        return self.operator.modal(self.timeline, self.event("ESC", "PRESS", frame))


def spans(timeline):
    return [(prompt.start, prompt.end) for prompt in timeline.scene.kmm.prompts]


def test_dragging_a_body_moves_the_block_and_selects_it(timeline):
    drag = Drag(timeline, 40)
    assert drag.started == {"RUNNING_MODAL"}
    assert timeline.scene.kmm.active_prompt == 1
    assert drag.move(47.4) == {"RUNNING_MODAL"}
    assert spans(timeline) == [(1, 21), (28, 58)]
    assert drag.statuses[-1].startswith("Frames 28 – 58, 1.25 s")
    assert drag.move(50) == {"RUNNING_MODAL"}
    assert drag.release(50) == {"FINISHED"}
    assert spans(timeline) == [(1, 21), (31, 61)]
    assert (drag.statuses[-1], drag.cursors[-1]) == (None, "restored")


def test_an_edge_takes_its_neighbour_along_unless_ctrl_or_shift_is_held(timeline):
    drag = Drag(timeline, 20.8)
    drag.move(24.8)
    assert spans(timeline) == [(1, 25), (25, 51)]
    drag.move(16.8, ctrl=True)
    assert spans(timeline) == [(1, 17), (21, 51)]
    drag.move(24.8, shift=True)
    assert spans(timeline) == [(1, 25), (25, 55)]


def test_escape_puts_everything_back_and_a_click_makes_no_undo_step(timeline):
    before = spans(timeline)
    drag = Drag(timeline, 40)
    drag.move(90)
    assert drag.escape(90) == {"CANCELLED"}
    assert spans(timeline) == before
    assert Drag(timeline, 40).release(40) == {"CANCELLED"}
    assert (drag.statuses[-1], drag.cursors[-1]) == (None, "restored")


def test_a_press_beside_the_blocks_goes_on_to_blender(timeline):
    assert Drag(timeline, 80).started == {"PASS_THROUGH"}


def test_registering_again_leaves_one_drawing_and_none_behind():
    handles, keys = len(timeline_overlay._handles), len(timeline_overlay._keys)
    timeline_overlay.unregister()
    assert (timeline_overlay._handles, timeline_overlay._keys) == ([], [])
    assert not hasattr(bpy.types, "KMM_OT_drag_prompt")
    timeline_overlay.register()
    assert (len(timeline_overlay._handles), len(timeline_overlay._keys)) == (handles, keys)
    assert handles == 1
