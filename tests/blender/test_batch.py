"""kmm_batch.py: shots from files, motion in .blend, FBX, glTF and BVH files, pictures and films, exit codes, the summary.

All but one test put a made-up motion in place of the worker's.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from bl_ext.user_default.kmm import session
from bl_ext.user_default.kmm.batch import export as export_module
from bl_ext.user_default.kmm.batch import render as render_module
from bl_ext.user_default.kmm.batch import run, stop_signals
from bl_ext.user_default.kmm.batch.stage import make_stage
from bl_ext.user_default.kmm.scene import action_writer, takes
from bl_ext.user_default.kmm.scene.character import add_character
from bpy_extras.object_utils import world_to_camera_view

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_INDEX, NUM_JOINTS, REST_PELVIS_HEIGHT

PROMPTS = "a person walks | 0.5\na person waves | 0.5\n"


def walk(frames: int, fps: float, number: int = 0) -> MotionClip:
    """A clip that travels forwards and to the person's left, with a turning arm and a turning body."""
    ramp = np.linspace(0, 1, frames)
    root = np.stack([0.3 * ramp, np.full(frames, REST_PELVIS_HEIGHT), (1.0 + 0.1 * number) * ramp], axis=-1)
    local = np.tile(rotations.IDENTITY, (frames, NUM_JOINTS, 1))
    local[:, 0] = rotations.from_yaw(0.6 * ramp)
    local[:, JOINT_INDEX["left_shoulder"]] = rotations.from_axis_angle(np.array([0.0, 0.0, 1.0]), -1.2 * ramp)
    return MotionClip(root, local, fps)


@pytest.fixture
def made_up(monkeypatch):
    """Takes without a worker: all the rest is as it always is."""

    def generate(plan, timeout, label):
        request = plan.request
        clips = [
            walk(request.timeline.num_frames, request.timeline.fps, number)
            for number in range(request.samples)
        ]
        for record in plan.records(clips):
            session.get().restore(plan.target, record)
            session.get().wait(timeout)

    monkeypatch.setattr(run, "_generate", generate)


@pytest.fixture
def prompts(tmp_path) -> Path:
    path = tmp_path / "läuft und winkt.txt"
    path.write_text(PROMPTS, encoding="utf-8")
    return path


@pytest.fixture
def char_blend(tmp_path, fresh_scene) -> Path:
    """An animator's file: 24 fps, a range of its own, a character called Rig."""
    fresh_scene.render.fps = 24
    fresh_scene.frame_start, fresh_scene.frame_end = 11, 60
    add_character(bpy.context, "Rig")
    path = tmp_path / "char ü.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


def joint_positions(armature, frame: int) -> dict[str, np.ndarray]:
    bpy.context.scene.frame_set(frame)
    return {bone.name: np.array(armature.matrix_world @ bone.head) for bone in armature.pose.bones}


def the_armature():
    return next(item for item in bpy.data.objects if item.type == "ARMATURE")


# --- one shot -----------------------------------------------------------------------------------------


def test_a_shot_becomes_an_action_and_the_file_opened_stays_as_it_was(made_up, prompts, char_blend, tmp_path):
    before = char_blend.read_bytes()
    out = tmp_path / "made on the way" / "shöt.blend"
    code = run.main(
        ["--timeline", str(prompts), "--armature", "Rig", "--start", "-20", "--seed", "7"]
        + ["--action", "shot_010", "--save", str(out), "--root", "object"]
    )
    assert code == 0
    assert char_blend.read_bytes() == before
    bpy.ops.wm.open_mainfile(filepath=str(out))
    scene, armature = bpy.context.scene, bpy.data.objects["Rig"]
    # The scene's own settings are the truth: 1 s at 24 fps is 24 frames.
    assert (scene.render.fps, scene.frame_start, scene.frame_end) == (24, 11, 60)
    action = armature.animation_data.action
    assert action.name == "shot_010" and tuple(action.frame_range) == (-20, 3)
    assert not scene.kmm.takes  # a single take is accepted
    assert [(p.text, p.start, p.end) for p in scene.kmm.prompts] == [
        ("a person walks", -20, -8),
        ("a person waves", -8, 4),
    ]
    assert (scene.kmm.seed, scene.kmm.root) == (7, "OBJECT")
    # Forwards is -Y, the person's left is +X.
    scene.frame_set(3)
    assert armature.matrix_world.translation.y == pytest.approx(-1, abs=0.1)
    assert joint_positions(armature, 3)["pelvis"] == pytest.approx((0.3, -1.0, REST_PELVIS_HEIGHT), abs=1e-3)


def test_paths_that_begin_with_slashes_are_beside_the_blend(made_up, prompts, char_blend, tmp_path):
    words = [
        "--timeline",
        f"//{prompts.name}",
        "--summary",
        "//made/summary.json",
        "--save",
        "//made/out.blend",
    ]
    assert run.main(words) == 0
    content = json.loads((tmp_path / "made" / "summary.json").read_text(encoding="utf-8"))
    assert content["shots"][0]["saved"] == str(tmp_path / "made" / "out.blend")
    # In a list too: beside the .blend of each shot, which stands beside the one that Blender was started with.
    folder, lists = tmp_path / "other", tmp_path / "lists"
    for made in (folder, lists):
        made.mkdir()
    for target in (folder / "char.blend", folder / "jump.txt"):
        target.write_bytes((char_blend if target.suffix == ".blend" else prompts).read_bytes())
    shots = [{"timeline": f"//{prompts.name}"}, {"timeline": "//jump.txt", "blend": "//other/char.blend"}]
    (lists / "shots.json").write_text(json.dumps(shots), encoding="utf-8")
    assert run.main(["--shots", "//lists/shots.json", "--save", "//{shot}.blend"]) == 0
    assert (tmp_path / f"{prompts.stem}.blend").exists() and (folder / "jump.blend").exists()


@pytest.mark.parametrize("asked", [False, True])
def test_a_rigify_rig_is_switched_to_fk_only_if_asked(made_up, prompts, rigify_rig, tmp_path, asked):
    name, blend, out = rigify_rig.name, tmp_path / "rigify.blend", tmp_path / "out.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    arguments = ["--timeline", str(prompts), "--armature", name, "--save", str(out)]
    summary = tmp_path / "summary.json"
    assert run.main([*arguments, "--summary", str(summary), *(["--fk"] if asked else [])]) == 0
    # Without it the motion would not show, which is said.
    (shot,) = json.loads(summary.read_text(encoding="utf-8"))["shots"]
    assert ("Rigify's FK controls are keyed: set" in shot["note"]) != asked
    assert shot["note"].endswith("--fk does that.") != asked
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert bpy.data.objects[name].pose.bones["thigh_parent.L"]["IK_FK"] == asked


def test_what_the_panel_warns_of_is_said(made_up, prompts, char_blend, tmp_path, monkeypatch, capfd):
    bpy.data.objects["Rig"].data.pose_position = "REST"
    monkeypatch.setattr(session.Session, "status", session.Status(False, "", 0.0, None, "The CPU did it."))
    assert run.main(["--timeline", str(prompts), "--summary", str(tmp_path / "summary.json")]) == 0
    (shot,) = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["shots"]
    assert "The armature shows its rest position" in shot["note"] and shot["note"].endswith(
        " The CPU did it."
    )
    output = capfd.readouterr().out
    assert f"KMM {prompts.stem}: note: The armature shows its rest position" in output
    assert f"KMM {prompts.stem}: note: The CPU did it." in output


def test_several_takes_wait_in_the_file_for_the_animator(made_up, prompts, char_blend, tmp_path):
    out = tmp_path / "out.blend"
    assert run.main(["--timeline", str(prompts), "--takes", "2", "--action", "s", "--save", str(out)]) == 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    scene = bpy.context.scene
    assert [take.action.name for take in scene.kmm.takes] == ["s_1", "s_2"]
    assert takes.shown(scene) == 0
    # And they can still be rejected without a trace.
    takes.reject(scene)
    assert bpy.data.objects["Rig"].animation_data is None


def test_without_a_timeline_the_prompts_of_the_file_are_taken(made_up, fresh_scene, tmp_path):
    add_character(bpy.context, "Rig")
    prompt = fresh_scene.kmm.prompts.add()
    prompt.text, prompt.start, prompt.end = "a person bows", 5, 20
    fresh_scene.kmm.seed = 99
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "char.blend"))
    summary = tmp_path / "summary.json"
    assert run.main(["--summary", str(summary)]) == 0
    (shot,) = json.loads(summary.read_text(encoding="utf-8"))["shots"]
    assert shot["prompts"] == [{"text": "a person bows", "start": 5, "end": 20}]
    assert (shot["seed"], shot["armature"]) == (99, "Rig")
    assert shot["takes"][0]["first_frame"] == 5 and shot["takes"][0]["last_frame"] == 19


def test_without_a_blend_there_is_a_stage_at_the_timelines_frame_rate(made_up, tmp_path):
    timeline, out = tmp_path / "t.json", tmp_path / "stage.blend"
    timeline.write_text('{"fps": 23.976, "prompts": [{"text": "a person walks", "start": 0, "end": 12}]}')
    assert run.main(["--timeline", str(timeline), "--save", str(out)]) == 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    scene = bpy.context.scene
    assert scene.render.fps / scene.render.fps_base == pytest.approx(23.976, abs=1e-4)
    assert (scene.frame_start, scene.frame_end) == (1, 12)
    assert_camera_sees_all(scene, range(1, 13))


def test_the_stage_is_in_metres_whatever_the_startup_file_measures_in(made_up):
    """Or a character of 170 units walked off its floor, and stood as tall in a glTF file."""
    scene = bpy.context.scene
    scene.unit_settings.scale_length = 0.01
    make_stage(scene)
    assert tuple(add_character(bpy.context).scale) == (1, 1, 1) and scene.unit_settings.scale_length == 1


def test_the_stage_has_nothing_of_the_users_own_startup_file(made_up, prompts, tmp_path):
    """It had its border, its percentage and its stretched time, and both its scenes."""
    out, scene = tmp_path / "stage.blend", bpy.context.scene
    scene.render.resolution_percentage, scene.render.use_border, scene.render.use_multiview = 25, True, True
    scene.render.use_motion_blur, scene.render.frame_map_new, scene.render.film_transparent = True, 200, True
    bpy.data.scenes.new("Second")
    startup = Path(bpy.utils.user_resource("CONFIG", create=True), "startup.blend")
    # Not save_homefile, which makes keymaps of add-ons the user's own.
    bpy.ops.wm.save_as_mainfile(filepath=str(startup), copy=True)
    try:
        bpy.ops.wm.read_homefile(use_empty=True)
        assert bpy.context.scene.render.use_border
        assert run.main(["--timeline", str(prompts), "--save", str(out)]) == 0
        bpy.ops.wm.open_mainfile(filepath=str(out))
        render = bpy.context.scene.render
        assert (render.resolution_x, render.resolution_y, render.resolution_percentage) == (1280, 720, 100)
        assert not (render.use_border or render.use_multiview or render.use_motion_blur)
        assert not render.film_transparent and render.frame_map_old == render.frame_map_new
        assert len(bpy.data.scenes) == 1
    finally:
        startup.unlink()


@pytest.mark.parametrize("size", [None, (480, 200), (1080, 1920)])
def test_a_saved_stage_has_the_resolution_that_its_camera_frames(made_up, prompts, tmp_path, size):
    out = tmp_path / "stage.blend"
    asked = ["--resolution", f"{size[0]}x{size[1]}"] if size else []
    assert run.main(["--timeline", str(prompts), "--save", str(out), *asked]) == 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    scene = bpy.context.scene
    assert (scene.render.resolution_x, scene.render.resolution_y) == (size or (1280, 720))
    assert_camera_sees_all(scene, range(scene.frame_start, scene.frame_end + 1))


@pytest.mark.parametrize("size", [(640, 360), (480, 200), (1080, 1920)])
@pytest.mark.parametrize("blend", [False, True])
def test_the_added_camera_sees_every_take(made_up, prompts, char_blend, tmp_path, monkeypatch, blend, size):
    def walk_apart(frames, fps, number):
        clip = straight(frames, fps)
        clip.root_positions[:, 2] *= 6 * (-1) ** number
        return clip

    def look(scene, paths, frames, *, resolution, **_):
        scene.render.resolution_x, scene.render.resolution_y = resolution
        assert_camera_sees_all(scene, range(frames[0], frames[1] + 1))
        return []

    straight = walk
    monkeypatch.setitem(globals(), "walk", walk_apart)
    monkeypatch.setattr(run, "render", look)
    if not blend:
        bpy.ops.wm.read_homefile(use_empty=True)
    words = ["--timeline", str(prompts), "--takes", "2", "--render", f"{tmp_path}/f/"]
    assert run.main([*words, "--resolution", f"{size[0]}x{size[1]}"]) == 0


def assert_camera_sees_all(scene, frames) -> None:
    """The camera sees both ends of every bone in every frame."""
    armature = the_armature()
    for frame in frames:
        scene.frame_set(frame)
        for bone in armature.pose.bones:
            for place in (bone.head, bone.tail):
                x, y, depth = world_to_camera_view(scene, scene.camera, armature.matrix_world @ place)
                assert 0 < x < 1 and 0 < y < 1 and depth > 0


# --- exports ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".fbx", ".glb", ".bvh"])
def test_exported_motion_comes_back_as_it_was(made_up, prompts, char_blend, tmp_path, suffix):
    out, blend = tmp_path / f"exports ü/motion{suffix}", tmp_path / "out.blend"
    words = ["--timeline", str(prompts), "--save", str(blend), "--export", str(out)]
    assert run.main(words) == 0
    assert (bpy.context.scene.frame_start, bpy.context.scene.frame_end) == (11, 60)
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    expected = [joint_positions(the_armature(), frame) for frame in (11, 34)]

    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = 24
    if suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(out))
    elif suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(out))
    else:
        # As other programs write BVH, Blender's own has Z up.
        bpy.ops.import_anim.bvh(filepath=str(out), axis_forward="Y", axis_up="Z")
    armature = the_armature()
    assert any(item.type == "MESH" for item in bpy.data.objects) == (suffix != ".bvh")
    first, last = armature.animation_data.action.frame_range
    assert last - first == pytest.approx(23, abs=1e-3)
    for frame, joints in zip((round(first), round(last)), expected):
        found = joint_positions(armature, frame)
        for name in ("pelvis", "left_wrist", "right_foot", "head"):
            assert found[name] == pytest.approx(joints[name], abs=2e-3), name


def test_a_take_exported_by_hand_as_the_guide_says_has_its_motion(made_up, prompts, char_blend, tmp_path):
    """File > Export > FBX with the switches off that docs/blender.md names: Blender writes no motion with others."""
    assert run.main(["--timeline", str(prompts), "--save", str(tmp_path / "out.blend")]) == 0
    guide = (Path(__file__).parents[2] / "docs" / "blender.md").read_text("utf-8")
    [sentence] = re.findall(r"In Blender's FBX export switch off (.+?), and set \*Simplify\* to 0", guide)
    known = {item.name: item.identifier for item in bpy.ops.export_scene.fbx.get_rna_type().properties}
    off = {known[name]: False for name in re.findall(r"\*(.+?)\*", sentence)}
    path = str(tmp_path / "by hand.fbx")
    bpy.ops.export_scene.fbx(filepath=path, bake_anim_simplify_factor=0, **off)
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=path)
    assert the_armature().animation_data is not None, "no motion in the file"
    places = [joint_positions(the_armature(), frame)["pelvis"] for frame in (11, 34)]
    assert np.linalg.norm(places[1] - places[0]) > 0.5


def test_every_take_is_exported_under_its_number_with_its_own_motion(made_up, prompts, char_blend, tmp_path):
    words = ["--timeline", str(prompts), "--takes", "2", "--export", str(tmp_path / "m.bvh")]
    assert run.main(words) == 0
    # Blender's BVH: the pelvis' place is the first three numbers of each line.
    ends = [(tmp_path / f"m_{take}.bvh").read_text().splitlines()[-1].split()[:3] for take in (1, 2)]
    assert np.abs(np.array(ends[0], float) - np.array(ends[1], float)).max() == pytest.approx(0.1, abs=1e-3)


def test_a_hidden_character_is_exported_and_stays_hidden(made_up, prompts, char_blend, tmp_path):
    for item in bpy.data.objects:
        item.hide_set(True)
        item.hide_select = True
    code = run.main(["--timeline", str(prompts), "--export", str(tmp_path / "m.fbx")])
    assert code == 0 and (tmp_path / "m.fbx").stat().st_size > 10_000
    assert all(item.hide_get() and item.hide_select for item in bpy.data.objects)


def test_gltf_of_a_file_with_two_scenes_has_the_mesh_and_no_other_scene(
    made_up, prompts, fresh_scene, tmp_path
):
    bpy.context.window.scene = bpy.data.scenes.new("Two")
    add_character(bpy.context, "Rig")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "two.blend"))
    assert run.main(["--timeline", str(prompts), "--export", str(tmp_path / "m.glb")]) == 0
    data = (tmp_path / "m.glb").read_bytes()
    content = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])  # the first chunk
    assert [scene["name"] for scene in content["scenes"]] == ["Two"]
    assert len(content["meshes"]) == len(content["animations"]) == 1


@pytest.mark.parametrize("suffix", [".fbx", ".glb", ".bvh"])
def test_exports_need_no_window(made_up, prompts, char_blend, tmp_path, suffix):
    """As with ``blender -b char.blend -c kmm``, where the first shot has none."""
    with bpy.context.temp_override(window=None):
        assert not hasattr(bpy.context, "selected_objects")
        assert run.main(["--timeline", str(prompts), "--export", str(tmp_path / f"m{suffix}")]) == 0
    assert (tmp_path / f"m{suffix}").stat().st_size > 1000


def test_an_exporter_that_fails_is_exit_code_6(made_up, prompts, char_blend, tmp_path, monkeypatch, capfd):
    def fail(path, frames):
        Path(path).write_text("half a file")
        raise RuntimeError(
            'Error: Python: Traceback (most recent call last):\n  File "x"\nOSError: no room\nLocation: y\n'
        )

    (tmp_path / "m.fbx").write_text("from yesterday")
    monkeypatch.setitem(export_module._EXPORTERS, ".fbx", fail)
    assert run.main(["--timeline", str(prompts), "--export", str(tmp_path / "m.fbx")]) == 6
    (line,) = capfd.readouterr().err.splitlines()
    assert "Blender could not export m.fbx: OSError: no room. Export it from" in line
    # What was there stays, and nothing else.
    assert (tmp_path / "m.fbx").read_text() == "from yesterday"
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".blend", ".fbx", ".txt"]
    monkeypatch.setitem(export_module._EXPORTERS, ".fbx", lambda path, frames: None)
    assert run.main(["--timeline", str(prompts), "--export", str(tmp_path / "m.fbx")]) == 6
    assert "wrote no m.fbx" in capfd.readouterr().err


def test_exporters_that_cannot_go_below_frame_0_say_so(prompts, char_blend, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(run, "_generate", None)  # it is told before anything is generated
    words = ["--timeline", str(prompts), "--start", "-5", "--export", str(tmp_path / "m.fbx")]
    assert run.main(words) == 6
    assert "begins at frame -5; Blender's exporters write frames from 0 on" in capfd.readouterr().err


def test_places_that_cannot_be_written_are_exit_code_6(made_up, prompts, char_blend, tmp_path, capfd):
    (tmp_path / "file").touch()
    for option, name in (("--save", "a.blend"), ("--export", "a.glb")):
        assert run.main(["--timeline", str(prompts), option, str(tmp_path / "file" / name)]) == 6
        assert name in capfd.readouterr().err


def test_a_blend_that_a_full_disk_cut_off_is_noticed_and_replaces_nothing(
    made_up, prompts, char_blend, tmp_path, monkeypatch, capfd
):
    """As Blender 5.2 does it with compressed files: no error, and half a file."""
    out = tmp_path / "out.blend"
    words = ["--timeline", str(prompts), "--save", str(out)]
    assert run.main(words) == 0
    good = out.read_bytes()
    assert [library.filepath for library in bpy.data.libraries] == []

    def check(part, path):
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
        whole(part, path)

    whole = run._check_whole
    monkeypatch.setattr(run, "_check_whole", check)
    assert run.main(words) == 6
    assert (
        f"Blender wrote only a part of {out}, which was removed; the disk may be full."
        in capfd.readouterr().err
    )
    assert out.read_bytes() == good
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".blend", ".blend", ".txt"]


def test_a_saved_blend_leaves_a_backup_as_blender_does(made_up, prompts, char_blend, tmp_path):
    out = tmp_path / "out.blend"
    out.write_bytes(b"of yesterday")
    words = ["--timeline", str(prompts), "--save", str(out)]
    assert run.main(words) == 0
    assert (tmp_path / "out.blend1").read_bytes() == b"of yesterday"
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".blend", ".blend", ".blend1", ".txt"]


# --- pictures and films -------------------------------------------------------------------------------


@pytest.fixture
def quick_cycles(monkeypatch):
    """One sample a pixel, whatever the stage says."""
    choose = render_module._choose_engine

    def quick(scene, engine):
        choose(scene, engine)
        scene.cycles.samples, scene.cycles.use_denoising = 1, False

    monkeypatch.setattr(render_module, "_choose_engine", quick)


def test_pictures_and_a_film_of_the_same_frames(made_up, tmp_path, quick_cycles):
    timeline, summary = tmp_path / "t.json", tmp_path / "summary.json"
    timeline.write_text('{"fps": 25, "prompts": [{"text": "a person walks", "start": 0, "end": 3}]}')
    frames, film = f"{tmp_path}/frames ü/", str(tmp_path / "the film.mp4")
    words = ["--timeline", str(timeline), "--render", frames, "--render", film, "--engine", "cycles"]
    assert run.main([*words, "--start", "-1", "--resolution", "64x36", "--summary", str(summary)]) == 0
    assert sorted(path.name for path in Path(frames).iterdir()) == ["-0001.png", "0000.png", "0001.png"]
    image = bpy.data.images.load(f"{frames}0001.png")
    assert tuple(image.size) == (64, 36)
    # Something is in the picture: neither one colour nor black.
    pixels = np.array(image.pixels[:]).reshape(-1, 4)[:, :3]
    assert pixels.std(axis=0).max() > 0.02 and pixels.mean() > 0.05
    clip = bpy.data.movieclips.load(film)
    assert (clip.frame_duration, tuple(clip.size), round(clip.fps)) == (3, (64, 36), 25)
    (shot,) = json.loads(summary.read_text(encoding="utf-8"))["shots"]
    assert shot["takes"][0]["rendered"] == [frames, film]
    assert [scene.name for scene in bpy.data.scenes] == [bpy.context.scene.name]


def test_braces_in_a_folder_that_is_there_are_no_placeholders_of_blenders(
    fresh_scene, tmp_path, quick_cycles
):
    """Since 5.0 they are: pictures went elsewhere without an error, or there were none."""
    fresh_scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    fresh_scene.collection.objects.link(fresh_scene.camera)
    for name in ("{blend_name}", "of {b}", "one { and }} two"):
        folder = tmp_path / name
        paths = [f"{folder}/", f"{folder}/film {{x}}.mp4"]
        render_module.render(fresh_scene, paths, (-1, 1), engine="CYCLES", resolution=(32, 18))
        found = sorted(path.name for path in folder.iterdir())
        assert found == ["-0001.png", "0000.png", "0001.png", "film {x}.mp4"], name
    assert len(list(tmp_path.iterdir())) == 3


def test_a_film_needs_no_window(fresh_scene, tmp_path, quick_cycles):
    fresh_scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    fresh_scene.collection.objects.link(fresh_scene.camera)
    film = tmp_path / "film.mp4"
    with bpy.context.temp_override(window=None):
        render_module.render(fresh_scene, [str(film)], (1, 2), engine="CYCLES", resolution=(32, 18))
    assert film.stat().st_size > 500 and list(bpy.data.scenes) == [fresh_scene]


def test_a_file_without_a_camera_gets_one_that_is_not_saved(
    made_up, prompts, char_blend, tmp_path, quick_cycles, capfd
):
    out = tmp_path / "out.blend"
    bpy.context.scene.kmm.prompts.clear()
    prompts.write_text("a person walks | 0.05")
    words = [
        "--timeline",
        str(prompts),
        "--save",
        str(out),
        "--render",
        f"{tmp_path}/f/",
        "--engine",
        "cycles",
    ]
    assert run.main([*words, "--resolution", "32x18"]) == 0
    assert "no camera: one that frames the motion was added" in capfd.readouterr().out
    assert (tmp_path / "f" / "0011.png").exists()
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert bpy.context.scene.camera is None


def test_of_several_views_one_is_rendered_and_that_is_said(
    made_up, prompts, char_blend, tmp_path, quick_cycles
):
    """Blender names the pictures of views in another way, and all frames were missing once they were rendered."""
    prompts.write_text("a person walks | 0.09")
    out, frames, summary = tmp_path / "out.blend", tmp_path / "frames", tmp_path / "summary.json"
    bpy.context.scene.render.use_multiview = True
    words = ["--timeline", str(prompts), "--takes", "2", "--save", str(out), "--render", f"{frames}/"]
    words += ["--engine", "cycles", "--resolution", "32x18", "--summary", str(summary)]
    assert run.main(words) == 0
    assert sorted(path.name for path in frames.glob("*/*")) == ["0011.png"] * 2 + ["0012.png"] * 2
    (shot,) = json.loads(summary.read_text(encoding="utf-8"))["shots"]
    assert shot["note"].count("The scene has several views (Stereoscopy); one is rendered.") == 1
    bpy.ops.wm.open_mainfile(filepath=str(out))
    assert bpy.context.scene.render.use_multiview


def test_what_stops_a_render_is_exit_code_5(made_up, prompts, char_blend, tmp_path, monkeypatch, capfd):
    words = ["--timeline", str(prompts), "--render"]
    (tmp_path / "file").touch()
    assert run.main([*words, f"{tmp_path}/file/frames/"]) == 5
    assert "is not an existing folder" in capfd.readouterr().err
    monkeypatch.setitem(render_module._ENGINES, "EEVEE", ("NO_SUCH_ENGINE",))
    assert run.main([*words, f"{tmp_path}/frames/", "--engine", "eevee"]) == 5
    assert "This Blender has no Eevee" in capfd.readouterr().err
    monkeypatch.setattr(render_module, "_has_ffmpeg", lambda: False)
    assert run.main([*words, f"{tmp_path}/film.mp4"]) == 5
    assert "built without FFmpeg and cannot write" in capfd.readouterr().err
    assert not (tmp_path / "film.mp4").exists()


def test_frames_that_blender_left_out_are_noticed(made_up, prompts, char_blend, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(render_module, "_render", lambda scene, what, **how: None)
    assert run.main(["--timeline", str(prompts), "--render", f"{tmp_path}/frames/"]) == 5
    said = f"24 of 24 frames are missing or cut off, the first is {tmp_path / 'frames' / '0011.png'}"
    assert said in capfd.readouterr().err


@pytest.fixture
def two_pictures(monkeypatch):
    """Frames drawn by hand instead of rendered; the film of them is made by Blender."""
    by_blender, drawn = render_module._render, []

    def draw(scene, what, **how):
        if scene.name == "KMM film":
            return by_blender(scene, what, **how)
        for frame in range(scene.frame_start, scene.frame_end + 1):
            drawn.append(Path(scene.render.frame_path(frame=frame)))
            image = bpy.data.images.new("frame", 64, 36)
            image.filepath_raw, image.file_format = str(drawn[-1]), "PNG"
            image.save()

    monkeypatch.setattr(render_module, "_render", draw)
    return drawn


def test_frames_and_films_that_a_full_disk_cut_off_are_noticed(
    made_up, prompts, char_blend, two_pictures, tmp_path, monkeypatch, capfd
):
    """Blender renders on, leaves empty or half files and reports no error."""
    prompts.write_text("a person walks | 0.09")
    words = ["--timeline", str(prompts), "--render"]
    film = tmp_path / "film.mp4"
    assert run.main([*words, f"{tmp_path}/frames/", "--render", str(film)]) == 0
    good, whole = film.read_bytes(), render_module._has_frames
    monkeypatch.setattr(
        render_module, "_has_frames", lambda part: os.truncate(part, len(good) // 2) or whole(part)
    )
    assert run.main([*words, str(film)]) == 5
    assert f"Blender wrote only a part of {film}, which was removed" in capfd.readouterr().err
    assert film.read_bytes() == good

    draw = render_module._render

    def cut_off(scene, what, **how):
        draw(scene, what, **how)
        os.truncate(two_pictures[-1], 20)

    monkeypatch.setattr(render_module, "_render", cut_off)
    assert run.main([*words, f"{tmp_path}/frames/"]) == 5
    assert "1 of 2 frames are missing or cut off, the first is" in capfd.readouterr().err


def test_frames_that_cannot_be_copied_or_replaced_are_no_fault_of_ours(
    made_up, prompts, char_blend, two_pictures, tmp_path, monkeypatch, capfd
):
    prompts.write_text("a person walks | 0.09")
    words = ["--timeline", str(prompts), "--render"]
    (tmp_path / "frames" / "0011.png").mkdir(parents=True)
    assert run.main([*words, f"{tmp_path}/frames/"]) == 5
    assert "Cannot write" in (error := capfd.readouterr().err) and "Traceback" not in error
    assert run.main([*words, f"{tmp_path}/others/", "--render", f"{tmp_path}/frames/"]) == 5
    assert "0011.png" in (error := capfd.readouterr().err) and "Traceback" not in error


# --- failures and batches -----------------------------------------------------------------------------


def test_bad_arguments_are_exit_code_2(made_up, prompts, char_blend, tmp_path, capfd):
    for words, said in (
        (["--sead", "1"], "Unrecognized arguments: --sead 1"),
        (["--seed", "x"], "seed: 'x' was given"),
        (["--timeline", str(tmp_path / "none.json")], "none.json: No such file"),
        (["--timeline", str(prompts), "--armature", "Rg"], 'has no armature "Rg"; it has: Rig.'),
        ([], "There is no prompt; expected at least one. Give --timeline, or a .blend with prompts"),
        (["--shots", str(tmp_path / "none.json")], "Cannot read"),
        (["--summary", str(tmp_path)], "it is a folder"),
    ):
        assert run.main(words) == 2, words
        assert said in capfd.readouterr().err


def test_a_shot_that_leaves_no_file_says_so(made_up, prompts, char_blend, tmp_path, capfd):
    assert run.main(["--timeline", str(prompts)]) == 0
    assert "note: The motion is not kept: give --save, --export or --render." in capfd.readouterr().out
    assert run.main(["--timeline", str(prompts), "--save", str(tmp_path / "out.blend")]) == 0
    assert "The motion is not kept" not in capfd.readouterr().out


def test_a_blend_that_blender_could_not_open_is_no_empty_stage(
    made_up, prompts, char_blend, tmp_path, monkeypatch, capfd
):
    words = ["--timeline", str(prompts), "--save", str(tmp_path / "out.blend")]
    monkeypatch.setattr(sys, "argv", ["blender", "-b", char_blend.name, "-c", "kmm", *words])
    assert run.main(words) == 0
    bpy.ops.wm.read_homefile(use_empty=True)  # as Blender does it
    monkeypatch.setattr(sys, "argv", ["blender", "-b", "chr.blend", "-c", "kmm", *words])
    assert run.main(words) == 2
    assert "Blender did not open chr.blend." in capfd.readouterr().err
    # One that is only an option of ours was not to be opened.
    monkeypatch.setattr(sys, "argv", ["blender", "-b", "-c", "kmm", *words])
    assert run.main(words) == 0


def test_an_armature_needs_a_blend(made_up, prompts, capfd):
    assert run.main(["--timeline", str(prompts), "--armature", "Rig"]) == 2
    assert 'There is no .blend, so no armature "Rig" either.' in capfd.readouterr().err


def test_which_armature_must_be_clear(made_up, prompts, char_blend, capfd):
    add_character(bpy.context, "Other")
    assert run.main(["--timeline", str(prompts)]) == 2
    assert "has 2 armatures (Other, Rig); expected one to animate" in capfd.readouterr().err
    bpy.context.scene.kmm.armature = bpy.data.objects["Other"]
    assert run.main(["--timeline", str(prompts), "--action", "theirs"]) == 0
    assert bpy.data.objects["Other"].animation_data.action.name == "theirs"


def test_one_failed_shot_does_not_stop_the_rest(made_up, prompts, char_blend, tmp_path):
    shots, summary = tmp_path / "shots.json", tmp_path / "summary.json"
    shots.write_text(
        json.dumps(
            [
                {"name": "a", "timeline": prompts.name},
                {"name": "b", "timeline": "none.srt"},
                {"name": "c", "blend": "none.blend", "timeline": prompts.name},
                {"name": "d", "timeline": prompts.name, "seed": 5},
            ]
        )
    )
    words = ["--shots", str(shots), "--save", f"{tmp_path}/out/{{shot}}.blend", "--summary", str(summary)]
    assert run.main(words) == 2
    content = json.loads(summary.read_text(encoding="utf-8"))
    assert [shot["exit_code"] for shot in content["shots"]] == [0, 2, 2, 0]
    assert (content["planned"], content["done"], content["failed"]) == (4, 2, 2)
    assert content["shots"][1]["error"]["code"] == "bad_timeline_file"
    assert content["shots"][2]["error"]["code"] == "cannot_open"
    # No shot sees what another one left behind.
    bpy.ops.wm.open_mainfile(filepath=content["shots"][3]["saved"])
    assert [action.name for action in bpy.data.actions] == ["d"]


def test_what_is_wrong_with_a_later_shot_is_told_before_the_first(
    made_up, prompts, char_blend, tmp_path, capfd
):
    shots = [
        {"name": "a", "timeline": prompts.name},
        {"name": "b", "timeline": prompts.name, "sead": 1},
        {"name": "c", "timeline": "none.srt"},
        {"name": "d", "timeline": prompts.name, "start": -1, "export": str(tmp_path / "d.bvh")},
    ]
    (tmp_path / "shots.json").write_text(json.dumps(shots))
    assert run.main(["--shots", str(tmp_path / "shots.json"), "--save", f"{tmp_path}/{{shot}}.blend"]) == 2
    early, _, later = capfd.readouterr().out.partition("KMM 1/4 a: done")
    assert [line[:9] for line in early.splitlines() if "this shot will fail" in line] == [
        "KMM 2/4 b",
        "KMM 3/4 c",
        "KMM 4/4 d",
    ]
    assert '"sead" is not a setting of a shot' in early and "none.srt: No such file" in early
    assert "KMM: 1 of 4 shots done, exit code 2" in later


def test_a_summary_of_an_earlier_run_does_not_pass_for_this_ones(
    made_up, prompts, char_blend, tmp_path, monkeypatch
):
    summary, generate = tmp_path / "made" / "summary.json", run._generate
    summary.parent.mkdir()
    summary.write_text('{"planned": 9, "done": 9, "exit_code": 0}')

    def look(*words):
        content = json.loads(summary.read_text(encoding="utf-8"))
        assert (content["planned"], content["done"], content["shots"]) == (1, 0, [])
        generate(*words)

    monkeypatch.setattr(run, "_generate", look)
    assert run.main(["--timeline", str(prompts), "--summary", str(summary)]) == 0


def test_a_summary_that_cannot_be_written_is_exit_code_6(
    made_up, prompts, char_blend, tmp_path, monkeypatch, capfd
):
    write = run.Summary.write

    def on_a_full_disk(summary, path):
        if summary.shots:
            raise KmmError("disk_full", "Cannot write it: the disk is full.", "Free some space.")
        write(summary, path)

    monkeypatch.setattr(run.Summary, "write", on_a_full_disk)
    assert run.main(["--timeline", str(prompts), "--summary", str(tmp_path / "summary.json")]) == 6
    output = capfd.readouterr()
    assert "KMM summary: FAILED: Cannot write it" in output.err
    assert "KMM: 1 of 1 shots done, exit code 6" in output.out


def test_a_fault_of_ours_is_exit_code_1_and_stops_no_other_shot(
    prompts, char_blend, tmp_path, monkeypatch, capfd
):
    def fail(plan, timeout, label):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(run, "_generate", fail)
    folder = tmp_path / "batch"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(PROMPTS)
    assert run.main(["--shots", str(folder)]) == 1
    output = capfd.readouterr()
    assert "0 of 2 shots done" in output.out and "ZeroDivisionError" in output.err


def test_a_failed_generation_is_exit_code_4(prompts, char_blend, monkeypatch, capfd):
    def fail(plan, timeout, label):
        raise KmmError("out_of_memory", "No memory is left.", "Ask for less.")

    monkeypatch.setattr(run, "_generate", fail)
    assert run.main(["--timeline", str(prompts)]) == 4
    assert "No memory is left. Ask for less." in capfd.readouterr().err


def test_without_a_backend_no_other_shot_is_tried(prompts, char_blend, tmp_path, capfd):
    folder = tmp_path / "batch"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(PROMPTS)
    summary = tmp_path / "summary.json"
    words = ["--shots", str(folder), "--summary", str(summary), "--backend-python", str(tmp_path / "none")]
    assert run.main(words) == 3
    content = json.loads(summary.read_text(encoding="utf-8"))
    assert (content["planned"], len(content["shots"])) == (2, 1)
    assert content["shots"][0]["error"]["code"] == "python_missing"
    assert session.get().python is None


def test_guidance_is_the_models_own_unless_a_shot_names_it(
    made_up, monkeypatch, prompts, char_blend, tmp_path
):
    asked, generate = [], run._generate

    def note(plan, *rest):
        asked.append(plan.request.guidance_scale)
        generate(plan, *rest)

    monkeypatch.setattr(run, "_generate", note)
    for words in ([], ["--guidance", "3"]):
        out = str(tmp_path / f"{len(words)}.blend")
        assert run.main(["--timeline", str(prompts), "--armature", "Rig", "--save", out, *words]) == 0
    assert asked == [None, 3.0]


def test_the_script_finds_the_extension_and_exits_with_the_code(prompts, char_blend, monkeypatch, capfd):
    script = Path(run.__file__).parents[1] / "kmm_batch.py"
    monkeypatch.setattr(sys, "argv", ["blender", "-b", "--python", str(script), "--", "--takes", "99"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(script), run_name="__main__")
    assert exit_.value.code == 2
    assert "takes: '99' was given" in capfd.readouterr().err


def test_a_batch_with_the_real_worker_starts_it_once(worker_python, prompts, char_blend, tmp_path, capfd):
    folder = tmp_path / "batch"
    folder.mkdir()
    (folder / "a.txt").write_text("a person walks forward | 1")
    (folder / "b.srt").write_text("1\n00:00:00,000 --> 00:00:01,500\na person waves\n", encoding="utf-8")
    summary = tmp_path / "summary.json"
    words = ["--shots", str(folder), "--backend-python", str(worker_python), "--device", "cpu"]
    words += ["--save", f"{tmp_path}/{{shot}}.blend", "--summary", str(summary), "--quality", "draft"]
    assert run.main(words) == 0
    assert session.get().client is None or session.get().client.state == "stopped"
    content = json.loads(summary.read_text(encoding="utf-8"))
    assert content["backend"]["model"] == "starter" and content["backend"]["device"] == "cpu"
    assert [shot["takes"][0]["last_frame"] for shot in content["shots"]] == [11 + 24 - 1, 11 + 36 - 1]
    output = capfd.readouterr().out
    assert output.count("Starting the worker") == 1, output
    bpy.ops.wm.open_mainfile(filepath=content["shots"][1]["saved"])
    armature = the_armature()
    curves = action_writer.fcurves(armature.animation_data.action, armature)
    assert len({curve.data_path for curve in curves}) == NUM_JOINTS + 1


# --- Ctrl-C and SIGTERM -------------------------------------------------------------------------------


@pytest.fixture
def three_shots(tmp_path, char_blend) -> list[str]:
    folder = tmp_path / "batch"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_text(PROMPTS)
    return ["--shots", str(folder), "--summary", str(tmp_path / "summary.json")]


def assert_stopped_in_the_second_shot(tmp_path, capfd, code: int, name: str) -> None:
    content = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert [shot["exit_code"] for shot in content["shots"]] == [0, code]
    assert (content["planned"], content["done"], content["exit_code"]) == (3, 1, code)
    assert content["shots"][1]["error"]["message"] == f"{name} ended the batch before this shot was done."
    output = capfd.readouterr()
    assert f"KMM 2/3 b: FAILED: {name} ended the batch" in output.err and "Traceback" not in output.err
    assert f"KMM: 1 of 3 shots done, exit code {code}" in output.out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_one_ctrl_c_ends_the_batch_and_what_is_finished_is_kept(
    made_up, three_shots, tmp_path, monkeypatch, capfd, number, code, name
):
    generate = run._generate

    def stopped(plan, timeout, label):
        if label == "2/3 b":
            signal.raise_signal(number)
        generate(plan, timeout, label)

    monkeypatch.setattr(run, "_generate", stopped)
    assert run.main([*three_shots, "--export", f"{tmp_path}/{{shot}}.bvh"]) == code
    assert_stopped_in_the_second_shot(tmp_path, capfd, code, name)
    assert [path.name for path in tmp_path.glob("*.bvh")] == ["a.bvh"]


def test_ctrl_c_inside_one_of_blenders_exporters_is_no_failed_export(
    made_up, three_shots, tmp_path, monkeypatch, capfd
):
    def export(path, frames):
        Path(path).write_text("half a file")
        if the_armature().animation_data.action.name == "b":
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise RuntimeError("Error: Python: Traceback\nKeyboardInterrupt\n") from None

    monkeypatch.setitem(export_module._EXPORTERS, ".bvh", export)
    assert run.main([*three_shots, "--export", f"{tmp_path}/{{shot}}.bvh"]) == 130
    assert_stopped_in_the_second_shot(tmp_path, capfd, 130, "Ctrl-C")
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".bvh"] == ["a.bvh"]


def test_ctrl_c_while_blender_renders_is_seen_by_blender_and_ends_the_batch(monkeypatch):
    """In ``blender -b`` its own handler is there during a render, which then is cancelled without an error."""
    before = stop_signals._c_handler("PyOS_getsig", signal.SIGTERM)
    seen = []

    def render(scene, **how):
        seen.append(stop_signals._c_handler("PyOS_getsig", signal.SIGTERM))
        return {"CANCELLED"}

    monkeypatch.setattr(render_module.bpy, "ops", SimpleNamespace(render=SimpleNamespace(render=render)))
    scene = SimpleNamespace(name="Scene")
    with stop_signals.StopSignals() as stop, pytest.raises(KeyboardInterrupt), stop.interrupting():
        render_module._render(scene, "the frames 1 to 3", animation=True)
    assert seen == [before] and stop.error.exit_code == 130


def test_ctrl_c_between_two_shots_ends_the_batch_with_the_next(
    made_up, three_shots, tmp_path, monkeypatch, capfd
):
    write = run.Summary.write

    def stopped(summary, path):
        write(summary, path)
        if len(summary.shots) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(run.Summary, "write", stopped)
    assert run.main(three_shots) == 130
    assert_stopped_in_the_second_shot(tmp_path, capfd, 130, "Ctrl-C")
