"""The prompt list's operators, files and markers, inside Blender."""

import bpy
import pytest
from bl_ext.user_default.kmm.ui import timeline_io

from kmm_core.errors import KmmError


@pytest.fixture
def settings(fresh_scene):
    for text, frames in (("walks", 50), ("turns", 40), ("bows", 30)):
        bpy.ops.kmm.add_prompt(text=text)
        prompt = fresh_scene.kmm.prompts[-1]
        prompt.end = prompt.start + frames
    return fresh_scene.kmm


def listed(settings):
    return sorted((prompt.start, prompt.end, prompt.text) for prompt in settings.prompts)


def refusal(operator, **arguments) -> str:
    with pytest.raises(RuntimeError) as caught:
        operator(**arguments)
    return str(caught.value)


def test_prompts_follow_each_other_from_the_first_frame_on(settings):
    assert listed(settings) == [(1, 51, "walks"), (51, 91, "turns"), (91, 121, "bows")]
    assert settings.active_prompt == 2
    assert len({tuple(prompt.color) for prompt in settings.prompts}) == 3


def test_a_prompt_without_a_word_from_the_user_can_be_generated(fresh_scene):
    bpy.ops.kmm.add_prompt()
    assert listed(fresh_scene.kmm) == [(1, 97, "a person walks forward")]


def test_the_preview_range_counts_where_it_is_used(fresh_scene):
    fresh_scene.use_preview_range = True
    fresh_scene.frame_preview_start, fresh_scene.frame_preview_end = 100, 220
    bpy.ops.kmm.add_prompt()
    bpy.ops.kmm.fit_prompts()
    assert listed(fresh_scene.kmm)[0][:2] == (100, 221)


def test_setting_one_edge_beyond_the_other_pushes_it_along(settings):
    prompt = settings.prompts[0]
    prompt.end = -20
    assert (prompt.start, prompt.end) == (-21, -20)
    prompt.start = 300
    assert (prompt.start, prompt.end) == (300, 301)


@pytest.mark.parametrize(("index", "next_text"), [(0, "turns"), (1, "bows"), (2, "turns")])
def test_removing_a_prompt_selects_its_neighbour_and_moves_nothing(settings, index, next_text):
    rest = [row for place, row in enumerate(listed(settings)) if place != index]
    settings.active_prompt = index
    bpy.ops.kmm.remove_prompt()
    assert listed(settings) == rest
    assert settings.prompts[settings.active_prompt].text == next_text


def test_the_last_prompt_can_be_removed(fresh_scene):
    bpy.ops.kmm.add_prompt()
    bpy.ops.kmm.remove_prompt()
    assert len(fresh_scene.kmm.prompts) == 0
    assert "add one with +" in refusal(bpy.ops.kmm.remove_prompt)


def test_moving_swaps_neighbours_in_time(settings):
    bpy.ops.kmm.move_prompt(direction="EARLIER")
    assert listed(settings) == [(1, 51, "walks"), (51, 81, "bows"), (81, 121, "turns")]
    assert settings.prompts[settings.active_prompt].text == "bows"
    bpy.ops.kmm.move_prompt(direction="LATER")
    assert listed(settings) == [(1, 51, "walks"), (51, 91, "turns"), (91, 121, "bows")]


def test_a_duplicate_has_the_text_length_and_color(settings):
    settings.active_prompt = 1
    bpy.ops.kmm.duplicate_prompt()
    assert listed(settings)[-1] == (121, 161, "turns")
    assert tuple(settings.prompts[3].color) == pytest.approx(tuple(settings.prompts[1].color))


def test_split_at_the_current_frame_and_why_it_may_be_grey(settings, fresh_scene):
    settings.active_prompt = 0
    fresh_scene.frame_set(51)
    assert "playhead is at frame 51" in refusal(bpy.ops.kmm.split_prompt)
    fresh_scene.frame_set(20)
    bpy.ops.kmm.split_prompt()
    assert listed(settings)[:2] == [(1, 20, "walks"), (20, 51, "walks")]
    assert settings.prompts[settings.active_prompt].start == 20


def test_fit_fills_the_playback_range(settings, fresh_scene):
    fresh_scene.frame_start, fresh_scene.frame_end = 101, 340
    bpy.ops.kmm.fit_prompts()
    assert listed(settings) == [(101, 201, "walks"), (201, 281, "turns"), (281, 341, "bows")]


def test_fit_says_why_it_cannot(settings, fresh_scene):
    fresh_scene.frame_start = fresh_scene.frame_end = 1
    before = listed(settings)
    assert "it would have none left" in refusal(bpy.ops.kmm.fit_prompts)
    assert listed(settings) == before


@pytest.mark.parametrize("suffix", timeline_io.SUFFIXES)
@pytest.mark.parametrize(("fps", "base"), [(24, 1), (24, 1.001), (120, 1)])
def test_prompts_survive_the_way_through_a_file(settings, fresh_scene, tmp_path, suffix, fps, base):
    fresh_scene.render.fps, fresh_scene.render.fps_base = fps, base
    settings.prompts[0].text = "geht, winkt: 動く"
    settings.prompts[2].start += 10
    before = listed(settings)
    path = str(tmp_path / f"shot ü 動{suffix}")
    bpy.ops.kmm.export_prompts(filepath=path)
    bpy.ops.kmm.import_prompts(filepath=path)
    assert listed(settings) == before
    assert settings.active_prompt == 0
    assert (fresh_scene.render.fps, fresh_scene.frame_start, fresh_scene.frame_end) == (fps, 1, 250)


def test_an_import_keeps_seconds_at_another_frame_rate_and_can_add(settings, fresh_scene, tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"fps": 60, "prompts": [{"text": "jumps", "start": 30, "end": 90}]}')
    bpy.ops.kmm.import_prompts(filepath=str(path), replace=False, use_scene_start=False, first_frame=-100)
    assert len(settings.prompts) == 4
    assert listed(settings)[0] == (-88, -64, "jumps")
    assert settings.prompts[settings.active_prompt].text == "jumps"


def test_a_broken_file_changes_nothing(settings, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text("{")
    before = listed(settings)
    assert "broken.json" in refusal(bpy.ops.kmm.import_prompts, filepath=str(path))
    assert listed(settings) == before


def test_an_export_into_nowhere_is_explained(settings, fresh_scene, tmp_path):
    with pytest.raises(KmmError) as caught:
        timeline_io.export_prompts(fresh_scene, tmp_path / "missing" / "a.json", 1)
    assert caught.value.code == "no_folder"
    assert "missing" in refusal(bpy.ops.kmm.export_prompts, filepath=str(tmp_path / "missing" / "a.json"))


def test_export_without_prompts_is_grey_and_says_why(settings):
    for prompt in settings.prompts:
        prompt.enabled = False
    assert "No prompt is switched on" in refusal(bpy.ops.kmm.export_prompts, filepath="/tmp/a.json")


def test_prompts_survive_the_way_through_markers(settings, fresh_scene):
    settings.prompts[2].start += 5
    before = listed(settings)
    bpy.ops.kmm.prompts_to_markers()
    bpy.ops.kmm.prompts_to_markers()  # again: adds none twice
    assert len(fresh_scene.timeline_markers) == 5
    bpy.ops.kmm.prompts_from_markers()
    assert listed(settings) == before


def test_markers_of_long_prompts_are_not_added_twice(fresh_scene):
    """A marker holds the first 63 bytes, here cut within a letter of two."""
    prompt = fresh_scene.kmm.prompts.add()
    prompt.text, prompt.start, prompt.end = "a" * 62 + "ü and more", 1, 50
    for _ in range(2):
        bpy.ops.kmm.prompts_to_markers()
        assert [(m.frame, m.name) for m in fresh_scene.timeline_markers] == [(1, "a" * 62), (50, "end")]


def test_camera_markers_are_no_prompts(fresh_scene):
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    fresh_scene.timeline_markers.new("shot 10", frame=1).camera = camera
    assert "named after a motion" in refusal(bpy.ops.kmm.prompts_from_markers)
    fresh_scene.timeline_markers.new("walks", frame=30)
    bpy.ops.kmm.prompts_from_markers()
    assert listed(fresh_scene.kmm) == [(30, 251, "walks")]


def test_no_markers_is_grey_and_says_why(fresh_scene):
    assert "has no markers" in refusal(bpy.ops.kmm.prompts_from_markers)


def test_prompts_are_stored_in_the_file(settings, tmp_path):
    before = listed(settings)
    path = str(tmp_path / "file.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_homefile(use_empty=True)
    assert listed(bpy.context.scene.kmm) == []
    bpy.ops.wm.open_mainfile(filepath=path)
    assert listed(bpy.context.scene.kmm) == before
