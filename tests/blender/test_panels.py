"""The panels drawn in every state, against what this version of Blender says that a layout can do."""

from types import SimpleNamespace

import bpy
import pytest
from bl_ext.user_default.kmm import session
from bl_ext.user_default.kmm.scene import takes
from bl_ext.user_default.kmm.ui import panels, prompt_list

from kmm_core.errors import KmmError

FUNCTIONS = bpy.types.UILayout.bl_rna.functions
ICONS = {item.identifier for item in FUNCTIONS["label"].parameters["icon"].enum_items}
CONTAINERS = {"row", "column", "box", "split", "grid_flow"}


class Layout:
    """Takes every call of UILayout, checks it as Blender would, and writes down what would be seen."""

    def __init__(self, seen):
        self.__dict__["seen"] = seen

    def __setattr__(self, name, value):
        assert name in bpy.types.UILayout.bl_rna.properties, f"UILayout has no {name}"

    def __getattr__(self, name):
        parameters = FUNCTIONS[name].parameters

        def call(*arguments, **named):
            given = dict(zip([p.identifier for p in parameters if not p.is_output], arguments)) | named
            for key in given:
                assert key in parameters, f"UILayout.{name} has no {key} in Blender {bpy.app.version_string}"
            assert given.get("icon", "NONE") in ICONS, given["icon"]
            if name in {"prop", "prop_search"}:
                assert given["property"] in given["data"].bl_rna.properties, given
            if name == "operator":
                group, operator = given["operator"].split(".")
                rna = getattr(getattr(bpy.ops, group), operator).get_rna_type()
                self.seen.append(given.get("text") or rna.name)
                return SimpleNamespace()
            if name == "menu":
                assert hasattr(bpy.types, given["menu"])
            self.seen.append(given.get("text") or given.get("property") or name)
            return Layout(self.seen) if name in CONTAINERS else None

        return call


def drawn(*names, width=280) -> list[str]:
    """What the panels show, in order; those that hide themselves show nothing."""
    seen: list[str] = []
    context = SimpleNamespace(
        scene=bpy.context.scene,
        preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1.0)),  # 0 without a window
        region=SimpleNamespace(width=width),
    )
    for name in names:
        panel = getattr(panels, name)
        if not hasattr(panel, "poll") or panel.poll(context):
            panel.draw(SimpleNamespace(layout=Layout(seen)), context)
    return seen


def show_status(monkeypatch, **status):
    full = {"busy": False, "text": "", "fraction": 0.0, "error": None, "note": ""} | status
    monkeypatch.setattr(session, "get", lambda: SimpleNamespace(status=SimpleNamespace(**full)))


def test_an_empty_scene_says_how_to_begin():
    assert "Add KMM Character" in drawn("KMM_PT_character")
    assert any("Press + to add a prompt" in line for line in drawn("KMM_PT_prompts", width=2000))
    assert drawn("KMM_PT_takes", "KMM_PT_history") == []


def test_a_character_is_reported():
    bpy.ops.kmm.add_character()
    assert "22 bones follow the motion" in drawn("KMM_PT_character")


def test_an_armature_that_cannot_be_used_says_why(fresh_scene):
    armature = bpy.data.objects.new("lamp post", bpy.data.armatures.new("lamp post"))
    fresh_scene.collection.objects.link(armature)
    fresh_scene.kmm.armature = armature
    shown = " ".join(drawn("KMM_PT_character"))
    assert "lamp post" in shown
    assert "follow the motion" not in shown


def test_switch_to_fk_is_offered_only_while_a_rig_needs_it(rigify_rig):
    assert "Switch to FK" not in drawn("KMM_PT_character")
    bpy.ops.kmm.add_character()
    assert "Switch to FK" not in drawn("KMM_PT_character")
    bpy.context.scene.kmm.armature = rigify_rig
    *_, notice, button = drawn("KMM_PT_character", width=2000)
    assert "Rigify's FK controls" in notice and button == "Switch to FK"
    bpy.ops.kmm.switch_to_fk()
    assert "Switch to FK" not in drawn("KMM_PT_character")


def test_prompts_show_their_length_and_overlaps(fresh_scene):
    for text in ("walks", "turns"):
        bpy.ops.kmm.add_prompt(text=text)
    assert "Prompt: 4.00 s" in drawn("KMM_PT_prompts")
    assert "Total: 8.00 s" in drawn("KMM_PT_prompts")
    fresh_scene.kmm.prompts[1].start -= 10
    shown = " ".join(drawn("KMM_PT_prompts"))
    assert '"walks" (frames 1 to 97)' in shown and "overlap" in shown
    fresh_scene.kmm.prompts[0].enabled = fresh_scene.kmm.prompts[1].enabled = False
    assert "All are off" in drawn("KMM_PT_prompts")


def test_rows_show_frames_and_stand_in_the_order_of_time(fresh_scene):
    settings = fresh_scene.kmm
    for start in (200, -50, 10):
        prompt = settings.prompts.add()
        prompt.start, prompt.end = start, start + 20
    seen: list[str] = []
    for index, prompt in enumerate(settings.prompts):
        prompt_list.KMM_UL_prompts.draw_item(
            None, bpy.context, Layout(seen), settings, prompt, 0, settings, "active_prompt", index
        )
    assert [line for line in seen if "–" in line] == ["200 – 220", "-50 – -30", "10 – 30"]
    unfiltered = SimpleNamespace(filter_name="", use_filter_invert=False, bitflag_filter_item=1 << 30)
    flags, places = prompt_list.KMM_UL_prompts.filter_items(unfiltered, bpy.context, settings, "prompts")
    assert (flags, places) == ([], [2, 0, 1])


def test_generate_or_progress_and_cancel(monkeypatch):
    show_status(monkeypatch)
    idle = drawn("KMM_PT_generate", "KMM_PT_generate_options")
    assert "Generate" in idle and "Cancel" not in idle
    show_status(monkeypatch, busy=True, text="Generating, 3 of 5, 2 s left", fraction=0.6)
    busy = drawn("KMM_PT_generate")
    assert "Generating, 3 of 5, 2 s left" in busy and "Cancel" in busy and "Generate" not in busy


@pytest.mark.parametrize("width", [60, 160, 280, 900])
def test_a_failure_shows_cause_next_step_and_report(monkeypatch, width):
    show_status(
        monkeypatch, error=KmmError("lost", "The worker ended (exit code -9).", "Press Generate again.")
    )
    shown = drawn("KMM_PT_generate", width=width)
    assert "The worker ended (exit code -9)." in " ".join(shown)
    assert "Press Generate again." in " ".join(shown)
    assert {"Copy Report", "Dismiss"} <= set(shown)


def test_a_note_about_a_success_is_shown(monkeypatch):
    show_status(monkeypatch, note="The CPU was used.")
    assert "The CPU was used." in (shown := drawn("KMM_PT_generate"))
    assert "Dismiss" in shown and "Copy Report" not in shown
    show_status(monkeypatch)
    assert "Dismiss" not in drawn("KMM_PT_generate")


def test_takes_are_one_click_each(monkeypatch, fresh_scene):
    bpy.ops.kmm.add_character()
    for name in ("Take 1", "Take 2"):
        take = fresh_scene.kmm.takes.add()
        take.name = name
        take.action = bpy.data.actions.new(name)
    assert takes.waiting(fresh_scene)
    shown = drawn("KMM_PT_takes")
    assert shown.index("Before") < shown.index("Take 1") < shown.index("Take 2") < shown.index("Accept")
    assert "Reject" in shown


def test_the_take_shown_tells_how_many_keys_it_has(fresh_scene):
    bpy.ops.kmm.add_character()
    armature = fresh_scene.kmm.armature
    pelvis = armature.pose.bones["pelvis"]
    for frame in (1, 2, 3, 4):
        pelvis.location = (frame, 0, 0)
        pelvis.keyframe_insert("location", frame=frame)
    action = armature.animation_data.action
    take = fresh_scene.kmm.takes.add()
    take.name, take.action = "Take 1", action
    fresh_scene.kmm.preview.armature = armature
    assert "12 keys" in drawn("KMM_PT_takes")
    for curve in panels.action_writer.fcurves(action, armature):
        curve.keyframe_points.remove(curve.keyframe_points[1])
    assert "9 of 12 keys" in drawn("KMM_PT_takes")


def test_history_is_shown_once_there_is_some(fresh_scene):
    fresh_scene.kmm_history.entries.add().name = "Take 1"
    assert "Restore" in drawn("KMM_PT_history")


def test_the_menu_draws():
    seen: list[str] = []
    prompt_list.KMM_MT_prompts.draw(SimpleNamespace(layout=Layout(seen)), bpy.context)
    assert {"Duplicate Prompt", "Split at Current Frame", "Import Prompts", "Prompts from Markers"} <= set(
        seen
    )
