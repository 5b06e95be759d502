"""Takes on the armature: shown, accepted, rejected, undone. What the animator had is compared with scene_snapshot.py."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
import pytest
from bl_ext.user_default.kmm.scene import history, take_record, takes
from bl_ext.user_default.kmm.scene.action_writer import fcurves, push_to_nla
from bl_ext.user_default.kmm.scene.character import add_character
from bl_ext.user_default.kmm.scene.prompt_blocks import Block
from bl_ext.user_default.kmm.scene.take_maker import TakeMaker, Target
from bl_ext.user_default.kmm.scene.take_record import TakeRecord
from bl_ext.user_default.kmm.ui.rig_report import rig_report
from scene_snapshot import differences, snapshot

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import rotations
from kmm_core.skeleton import REST_PELVIS_HEIGHT


def record(seed: int = 1, frames: int = 40, first_frame: int = -5) -> TakeRecord:
    """A take in which everything moves."""
    random = np.random.default_rng(seed)
    start, end = (rotations.from_rotation_vector(random.normal(scale=0.3, size=(22, 3))) for _ in range(2))
    t = np.linspace(0, 1, frames)
    local = rotations.slerp(start[None], end[None], t[:, None])
    root = t[:, None] * np.array([0.5, 0.0, 1.5]) + np.array([0.3, REST_PELVIS_HEIGHT, 0.2])
    clip = MotionClip(root.astype("f4").astype(float), local.astype("f4").astype(float), 24.0)
    blocks = (Block("a person walks", first_frame, first_frame + frames),)
    return TakeRecord(
        f"id{seed}", f"walks, seed {seed}", blocks, first_frame, 0.0, False, clip, seed, 1, "starter", "1.0"
    )


def add_takes(scene, armature, *records: TakeRecord) -> None:
    maker = TakeMaker(Target.of(scene, armature), records or (record(1), record(2)))
    while not maker.step():
        pass


def head_in_world(character) -> np.ndarray:
    return np.array(character.matrix_world @ character.pose.bones["head"].head)


@pytest.fixture
def character(fresh_scene) -> bpy.types.Object:
    armature = add_character(bpy.context)
    bpy.context.scene.kmm.armature = armature
    return armature


def nothing(armature) -> None:
    """As it was added."""


def posed(armature) -> None:
    """Posed without keys, beside the origin, one bone in Euler angles, selected in Pose Mode."""
    armature.location = (1.1, -2.2, 0.3)
    armature.rotation_euler = (0.0, 0.0, 0.7)
    armature.pose.bones["left_elbow"].rotation_mode = "XYZ"
    armature.pose.bones["left_elbow"].rotation_euler = (0.1, 0.2, 0.3)
    armature.pose.bones["head"].rotation_quaternion = (0.9, 0.1, 0.2, 0.3)
    armature.pose.bones["pelvis"].location = (0.01, 0.02, 0.03)
    armature.pose.bones["spine1"].scale = (1.1, 1.1, 1.1)
    bpy.ops.object.mode_set(mode="POSE")
    armature.data.bones.active = armature.data.bones["head"]


def animated(armature) -> None:
    """An Action of the animator's own with keys, one channel moved off its key, NLA, a driver, and mixing changed."""
    posed(armature)
    for frame, turn in ((1, 0.1), (20, 0.9)):
        armature.pose.bones["head"].rotation_quaternion = rotations.from_axis_angle(
            np.array([1.0, 0, 0]), turn
        )
        armature.pose.bones["head"].keyframe_insert("rotation_quaternion", frame=frame)
        armature.location.x = turn
        armature.keyframe_insert("location", frame=frame)
    own = armature.animation_data.action
    own.name = "Own Action ü 動"
    strip_action = bpy.data.actions.new("Strip Action")
    armature.animation_data.action = strip_action
    armature.pose.bones["neck"].keyframe_insert("location", frame=3)
    armature.animation_data.action = None
    push_to_nla(armature, strip_action, "Own Track")
    armature.animation_data.action = own
    armature.animation_data.action_blend_type = "ADD"
    armature.animation_data.action_influence = 0.5
    armature.animation_data.action_extrapolation = "NOTHING"
    driver = armature.driver_add("scale", 1).driver
    driver.expression = "0.5 + 0.5"
    bpy.context.scene.frame_set(7, subframe=0.25)
    armature.pose.bones["head"].rotation_quaternion = (0.6, 0.0, 0.8, 0.0)


def drivers_only(armature) -> None:
    """Animation data without an Action."""
    armature.driver_add("scale", 1).driver.expression = "1.0"


STATES = [nothing, posed, animated, drivers_only]


@pytest.fixture(params=STATES, ids=lambda state: state.__name__)
def prepared(request, character) -> bpy.types.Object:
    """The character in each state that an animator may leave it in."""
    request.param(character)
    return character


def test_reject_leaves_no_trace(prepared):
    before, scene = snapshot(), bpy.context.scene
    add_takes(scene, prepared)
    assert differences(before, snapshot()), "the take must show"
    takes.show(scene, 1)
    takes.show(scene, -1)
    assert not own_differences(before)
    takes.show(scene, 0)
    takes.reject(scene)
    assert not differences(before, snapshot())
    assert not takes.waiting(scene) and scene.kmm.preview.armature is None


def test_reject_after_moving_the_object_with_the_root(prepared):
    before, scene = snapshot(), bpy.context.scene
    scene.kmm.root = "OBJECT"
    add_takes(scene, prepared, record(1))
    scene.kmm.root = "BONE"
    add_takes(scene, prepared, record(2))
    takes.show(scene, 0)
    takes.reject(scene)
    assert not differences(before, snapshot())


def own_differences(before) -> dict:
    """What changed beside takes that wait: their Actions, and what points at the own things meanwhile."""
    changed = differences(before, snapshot())
    return {
        path: values
        for path, values in changed.items()
        if path != "actions" and not path.startswith("actions[KMM") and not path.endswith(".users")
    }


def test_takes_do_not_depend_on_what_was_shown_before(character):
    posed(character)
    scene = bpy.context.scene
    scene.kmm.root = "OBJECT"
    add_takes(scene, character, record(1))
    scene.kmm.root = "BONE"
    add_takes(scene, character, record(2))
    scene.frame_set(20)
    after_object = np.array(character.pose.bones["head"].matrix), np.array(character.matrix_world)
    takes.show(scene, -1)
    scene.frame_set(1)
    takes.show(scene, 1)
    scene.frame_set(20)
    assert np.array_equal(after_object[0], np.array(character.pose.bones["head"].matrix))
    assert np.array_equal(after_object[1], np.array(character.matrix_world))


@pytest.mark.parametrize("shown_at", ["another take", "after Before", "while it plays"])
def test_a_take_stands_where_it_was_made_for_though_the_own_action_moves_the_object(character, shown_at):
    """The take has no keys for the object, so it must not stay where the playhead had taken it."""
    scene, take = bpy.context.scene, record(1)
    for frame, x in ((1, 0.0), (101, 10.0)):
        character.location.x = x
        character.keyframe_insert("location", frame=frame)
    scene.frame_set(1)
    if shown_at == "while it plays":
        maker = TakeMaker(Target.of(scene, character), [take])
        maker.step()
        scene.frame_set(101)
        while not maker.step():
            pass
    else:
        add_takes(scene, character, take, record(2))
        if shown_at == "after Before":
            takes.show(scene, -1)
        scene.frame_set(101)
        takes.show(scene, 1)
        takes.show(scene, 0)
    scene.frame_set(take.first_frame + 15)
    x, y, z = take.clip.joint_positions()[15, 15]
    assert np.allclose(character.matrix_world @ character.pose.bones["head"].head, (x, -z, y), atol=1e-3)
    takes.reject(scene)
    scene.frame_set(101)
    assert character.location.x == 10.0


def test_making_a_take_calls_no_handler_of_other_add_ons(fresh_scene, character, capfd):
    """They would write to the animator's objects what another frame wants there, or not find theirs in that scene."""
    lift = bpy.data.objects.new("Lift", None)
    fresh_scene.collection.objects.link(lift)

    def follow(scene, *_):
        scene.objects["Lift"].location.z = scene.frame_current * 0.1

    lists = bpy.app.handlers.frame_change_pre, bpy.app.handlers.frame_change_post
    before = [list(handlers) for handlers in lists]
    for handlers in lists:
        handlers.append(follow)
    try:
        fresh_scene.frame_set(50)
        add_takes(fresh_scene, character, record())
        assert lift.location.z == pytest.approx(5.0)
        assert all(handlers[-1] is follow for handlers in lists)
        assert "KeyError" not in capfd.readouterr().err
    finally:
        for handlers, those in zip(lists, before, strict=True):
            handlers[:] = those


def test_drivers_that_read_the_active_scene_see_its_values_when_a_take_is_made(fresh_scene, character):
    fresh_scene["height"], fresh_scene["nested"] = 2.0, {"places": [0.0, 0.25]}
    fresh_scene.render.fps, fresh_scene.render.fps_base = 50, 1.0
    lift = bpy.data.objects.new("Lift", None)
    fresh_scene.collection.objects.link(lift)
    character.parent = lift
    driver = lift.driver_add("location", 2).driver
    paths = {"height": '["height"]', "place": '["nested"]["places"][1]', "fps": "render.fps"}
    for name, path in paths.items():
        variable = driver.variables.new()
        variable.name, variable.type = name, "CONTEXT_PROP"
        variable.targets[0].context_property = "ACTIVE_SCENE"
        variable.targets[0].data_path = path
    driver.expression = "height + place + fps / 50"
    fresh_scene.frame_set(20)
    assert lift.matrix_world.translation.z == pytest.approx(3.25)
    take = record()
    add_takes(fresh_scene, character, take)
    fresh_scene.frame_set(take.first_frame)
    pelvis = character.matrix_world @ character.pose.bones["pelvis"].head
    assert pelvis.z == pytest.approx(take.clip.root_positions[0, 1], abs=1e-3)
    assert "nested" in fresh_scene and [scene.name for scene in bpy.data.scenes] == [fresh_scene.name]


@pytest.mark.parametrize("mover", ["parent", "parent in a hidden collection", "NLA"])
def test_a_take_is_the_same_wherever_the_playhead_is_when_it_is_made(character, mover):
    """It is made for where the object stands in the take's own first frame."""
    scene, take = bpy.context.scene, record(1, first_frame=21)
    moved = character
    if mover != "NLA":
        moved = character.parent = bpy.data.objects.new("Parent", None)
        folder = bpy.data.collections.new("Folder")
        scene.collection.children.link(folder)
        folder.objects.link(moved)
        bpy.context.view_layer.layer_collection.children["Folder"].exclude = "hidden" in mover
    for frame, x in ((1, 0.0), (101, 10.0)):
        moved.location.x = x
        moved.keyframe_insert("location", frame=frame)
    if mover == "NLA":
        own = character.animation_data.action
        character.animation_data.action = None
        push_to_nla(character, own, "Own Track")
    x, y, z = take.clip.joint_positions()[0, 15]
    played = []
    for playhead in (1, 21, 80):
        scene.frame_set(playhead)
        add_takes(scene, character, take)
        scene.frame_set(21)
        assert np.allclose(head_in_world(character), (x, -z, y), atol=1e-3), playhead
        scene.frame_set(50)
        played.append(head_in_world(character))
        takes.reject(scene)
    assert np.allclose(played, played[0], atol=1e-5)


def test_an_object_moved_by_hand_without_a_key_is_where_the_take_is_made_for(character):
    """Going to the take's first frame in a scene of its own must not lose what was moved and not keyed."""
    scene, take = bpy.context.scene, record(1, first_frame=21)
    character.location, character.rotation_euler.z = (3.0, 4.0, 0.0), 1.0
    scene.frame_set(80)
    add_takes(scene, character, take)
    assert character.location[:] == (3.0, 4.0, 0.0)
    scene.frame_set(31)
    x, y, z = take.clip.joint_positions()[10, 15]
    assert np.allclose(head_in_world(character), (x, -z, y), atol=1e-3)


def test_reject_after_scrubbing_shows_the_own_action_there(character):
    animated(character)
    scene = bpy.context.scene
    scene.frame_set(15)
    expected = snapshot()
    scene.frame_set(7, subframe=0.25)
    add_takes(scene, character)
    scene.frame_set(15)
    takes.reject(scene)
    assert not differences(expected, snapshot())


def test_own_pose_edited_between_takes_is_kept(character):
    scene = bpy.context.scene
    add_takes(scene, character)
    takes.show(scene, -1)
    character.pose.bones["head"].location = (0.5, 0.0, 0.0)
    before = snapshot()
    takes.show(scene, 1)
    takes.show(scene, -1)
    assert not own_differences(before)
    takes.show(scene, 0)
    takes.reject(scene)
    assert character.pose.bones["head"].location[:] == (0.5, 0.0, 0.0)


def test_an_action_assigned_while_a_take_is_shown_stays(character):
    animated(character)
    scene, own = bpy.context.scene, character.animation_data.action
    add_takes(scene, character)
    mine = bpy.data.actions.new("Assigned Meanwhile")
    character.animation_data.action = mine
    character.pose.bones["neck"].keyframe_insert("location", frame=9)
    takes.show(scene, 1)
    takes.show(scene, -1)
    assert character.animation_data.action == mine
    takes.show(scene, 0)
    takes.reject(scene)
    assert character.animation_data.action == mine and own.use_fake_user
    assert [len(curve.keyframe_points) for curve in fcurves(mine, character)] == [1, 1, 1]
    add_takes(scene, character)
    character.animation_data.action = own
    takes.reject(scene)
    assert character.animation_data.action == own and mine.use_fake_user


def test_an_armature_whose_take_was_unlinked_gets_its_own_action_back(character):
    animated(character)
    scene, own = bpy.context.scene, character.animation_data.action
    add_takes(scene, character)
    character.animation_data.action = None
    takes.reject(scene)
    assert character.animation_data.action == own


def test_accept_as_action_keeps_the_own_one_in_the_file(character):
    animated(character)
    own, scene = character.animation_data.action, bpy.context.scene
    curves = [
        (curve.data_path, [tuple(point.co) for point in curve.keyframe_points])
        for curve in fcurves(own, character)
    ]
    add_takes(scene, character)
    takes.show(scene, 1)
    accepted = takes.accept(scene, "ACTION")
    assert character.animation_data.action == accepted.action
    assert takes.summary(accepted.action)["seed"] == 2
    assert own.users == 1 and own.use_fake_user
    assert "Own Action ü 動" in accepted.note
    assert curves == [
        (curve.data_path, [tuple(point.co) for point in curve.keyframe_points])
        for curve in fcurves(own, character)
    ]
    assert [action.name for action in bpy.data.actions if takes.summary(action)] == [accepted.action.name]
    assert [track.name for track in character.animation_data.nla_tracks] == ["Own Track"]
    assert len(character.animation_data.drivers) == 1


def test_accept_as_nla_strip_changes_nothing_but_the_new_track(prepared):
    before, scene = snapshot(), bpy.context.scene
    tracks = len(prepared.animation_data.nla_tracks) if prepared.animation_data else 0
    own = prepared.animation_data.action if prepared.animation_data else None
    add_takes(scene, prepared)
    accepted = takes.accept(scene, "NLA")
    data = prepared.animation_data
    assert data.action == own and len(data.nla_tracks) == tracks + 1
    strip = data.nla_tracks[-1].strips[0]
    assert strip.action == accepted.action
    assert (strip.frame_start, strip.frame_end) == (-5.0, 35.0)  # the last key, at 34, is held for a frame
    assert ("stays assigned" in accepted.note) == (own is not None)
    changed = {
        path
        for path in differences(before, snapshot())
        if ".nla_tracks" not in path
        and not path.startswith(("actions", "objects[KMM Character].animation_data"))
    }
    # Only the pose that the new track makes is different, where no own Action hides it.
    pose = (".pose.bones", ".bound_box", ".dimensions")
    assert not [path for path in changed if not any(part in path for part in pose)]


@pytest.mark.parametrize("had", ["HOLD", "NOTHING", "HOLD_FORWARD"])
def test_an_accepted_action_leaves_the_nla_what_is_before_it(character, had):
    """Such as the take before it, accepted as a strip: holding its first pose backwards would hide that."""
    scene, (first, second) = bpy.context.scene, (record(1), record(2, first_frame=100))
    add_takes(scene, character, first)
    takes.accept(scene, "NLA")
    scene.frame_set(10)
    expected = head_in_world(character)
    character.animation_data.action_extrapolation = had
    add_takes(scene, character, second)
    note = takes.accept(scene, "ACTION").note
    scene.frame_set(10)
    assert np.allclose(head_in_world(character), expected, atol=1e-5)
    x, y, z = second.clip.joint_positions()[-1, 15]
    scene.frame_set(139)
    assert np.allclose(head_in_world(character), (x, -z, y), atol=1e-3)
    scene.frame_set(140)  # where the next prompt begins
    assert np.allclose(head_in_world(character), (x, -z, y), atol=1e-3) == (had != "NOTHING")
    assert ("From frame 100 on, KMM walks, seed 2 hides what the NLA tracks do" in note) == (had != "NOTHING")


def test_without_nla_an_accepted_action_is_mixed_as_the_own_one_was(character):
    scene = bpy.context.scene
    for had in ("NOTHING", "HOLD"):
        character.animation_data_create().action_extrapolation = had
        add_takes(scene, character)
        assert character.animation_data.action_extrapolation == "HOLD"
        assert "NLA" not in takes.accept(scene, "ACTION").note
        assert character.animation_data.action_extrapolation == had


def test_accepted_motion_is_the_take(character):
    scene = bpy.context.scene
    take = record(1)
    add_takes(scene, character, take)
    takes.accept(scene, "ACTION")
    expected = take.clip.joint_positions()
    for frame in (0, 17, 39):
        scene.frame_set(take.first_frame + frame)
        head = character.matrix_world @ character.pose.bones["head"].head
        x, y, z = expected[frame, 15]
        assert np.linalg.norm(np.array(head) - (x, -z, y)) < 1e-3


@pytest.mark.parametrize("end", ["ACTION", "NLA", "reject", "another assigned", "scene deleted"])
def test_the_own_action_outlives_the_scene_whose_takes_wait(character, end, tmp_path):
    """The scene alone knows the own Action meanwhile; Blender drops what nothing uses when it saves."""
    character.pose.bones["head"].keyframe_insert("location", frame=1)
    own, scene = character.animation_data.action, bpy.data.scenes.new("Second")
    scene.collection.objects.link(character)
    add_takes(scene, character)
    if end == "scene deleted":
        bpy.data.scenes.remove(scene)
    elif end == "another assigned":
        character.animation_data.action = bpy.data.actions.new("Mine")
        takes.show(scene, 0)
    elif end == "reject":
        takes.reject(scene)
    else:
        takes.accept(scene, end)
    # Only where nothing uses it but that.
    assert own.use_fake_user == (end not in ("NLA", "reject"))
    name, path = own.name, str(tmp_path / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert name in bpy.data.actions


@pytest.mark.parametrize("accept_as", ["ACTION", "NLA"])
def test_what_keeps_a_take_from_playing_is_said(character, accept_as):
    """A track whose star is on plays alone, and an NLA that is off plays no track; both are the animator's to change."""
    strip_action = bpy.data.actions.new("Strip Action")
    push_to_nla(character, strip_action, "Own Track")
    data, scene = character.animation_data, bpy.context.scene
    data.nla_tracks[0].is_solo = True
    maker = TakeMaker(Target.of(scene, character), [record(1)])
    while not maker.step():
        pass
    scene.frame_set(30)
    assert character.pose.bones["head"].matrix_basis == character.pose.bones["head"].matrix_basis.Identity(4)
    assert "The NLA track Own Track plays alone" in maker.note
    assert "The NLA track Own Track plays alone" in rig_report(character).problems[0]
    accepted = takes.accept(scene, accept_as)
    assert "The NLA track Own Track plays alone" in accepted.note
    data.use_nla = False
    add_takes(scene, character, record(2))
    note = takes.accept(scene, accept_as).note
    assert "plays alone" not in note and ("NLA of KMM Character is switched off" in note) == (
        accept_as == "NLA"
    )
    data.use_nla, data.nla_tracks[0].is_solo = True, False
    add_takes(scene, character, record(3))
    note = takes.accept(scene, accept_as).note
    assert "plays alone" not in note and "switched off" not in note


def test_a_take_with_a_key_between_frames_is_not_shifted_on_its_nla_track(character):
    scene, head = bpy.context.scene, character.pose.bones["head"]
    add_takes(scene, character)
    head.keyframe_insert("location", frame=-20.5)
    takes.accept(scene, "NLA")
    strip = character.animation_data.nla_tracks[-1].strips[0]
    assert (strip.frame_start, strip.frame_end, strip.scale) == (-20.5, 35.0, 1.0)
    assert tuple(strip.action.frame_range) == (-20.5, 34.0)
    expected = record(1).clip.joint_positions()[:, 15]
    for frame in (-5, 10, 34):
        scene.frame_set(frame)
        x, y, z = expected[frame + 5]
        assert np.allclose(head_in_world(character), (x, -z, y), atol=1e-3)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_between_takes_on_nla_tracks_the_character_is_never_at_rest(character, order):
    """Whichever was accepted last, and so lies above: the second begins on the frame after the first one's last."""
    scene, both = bpy.context.scene, (record(1), record(2, first_frame=35))
    for number in order:
        add_takes(scene, character, both[number])
        takes.accept(scene, "NLA")
    first, second = (take.clip.joint_positions()[:, 15] * (1, 1, -1) for take in both)
    for frame, expected in ((34, first[-1]), (34.5, first[-1]), (34.98, first[-1]), (35, second[0])):
        scene.frame_set(int(frame), subframe=frame % 1)
        assert np.allclose(head_in_world(character), expected[[0, 2, 1]], atol=1e-3), frame
    # The next prompt begins where the last one ends, and goes on from the pose there.
    for frame in (74, 74.5, 75):
        scene.frame_set(int(frame), subframe=frame % 1)
        assert np.allclose(head_in_world(character), second[-1, [0, 2, 1]], atol=1e-3), frame


def test_accept_needs_a_take_on_show(character):
    scene = bpy.context.scene
    add_takes(scene, character)
    takes.show(scene, -1)
    with pytest.raises(KmmError, match="shows none of the takes"):
        takes.accept(scene, "ACTION")


def test_show_names_a_take_that_is_gone(character):
    scene = bpy.context.scene
    add_takes(scene, character)
    bpy.data.actions.remove(scene.kmm.takes[1].action)
    with pytest.raises(KmmError, match="Take 2 of 2 does not exist"):
        takes.show(scene, 1)
    takes.reject(scene)


def test_a_take_given_to_something_else_survives_reject(character):
    scene = bpy.context.scene
    add_takes(scene, character)
    given = scene.kmm.takes[0].action
    empty = bpy.data.objects.new("Empty", None)
    empty.animation_data_create().action = given
    takes.reject(scene)
    assert [action.name for action in bpy.data.actions] == [given.name]


def test_deleted_armature(character):
    scene = bpy.context.scene
    add_takes(scene, character)
    bpy.ops.object.delete()
    with pytest.raises(KmmError, match="was deleted"):
        takes.accept(scene, "ACTION")
    with pytest.raises(KmmError, match="was deleted"):
        takes.show(scene, 1)
    takes.reject(scene)
    assert not takes.waiting(scene) and not bpy.data.actions


def test_takes_of_a_deleted_armature_make_room_for_another(character):
    scene = bpy.context.scene
    add_takes(scene, character)
    bpy.ops.object.delete()
    other = add_character(bpy.context, "Other")
    add_takes(scene, other, record(3))
    assert [take.seed for take in scene.kmm.takes] == [3] and takes.shown(scene) == 0


@pytest.mark.parametrize("mode", ["POSE", "EDIT"])
def test_renamed_armature_and_bone(character, mode):
    posed(character)
    before, scene = snapshot(), bpy.context.scene
    add_takes(scene, character)

    def rename(names: dict[str, str]) -> None:
        bpy.ops.object.mode_set(mode=mode)
        bones = character.data.edit_bones if mode == "EDIT" else character.data.bones
        for old, new in names.items():
            bones[old].name = new
        bpy.ops.object.mode_set(mode="POSE")

    character.name = "Renamed ü"
    rename({"head": "Kopf", "left_elbow": "Ellbogen"})
    takes.show(scene, 1)
    takes.reject(scene)
    character.name = "KMM Character"
    rename({"Kopf": "head", "Ellbogen": "left_elbow"})
    # Edit Mode itself may change what is selected.
    assert not [path for path in differences(before, snapshot()) if ".select" not in path]


def test_a_bone_deleted_while_takes_wait_leaves_the_others_their_pose(character):
    posed(character)
    add_takes(bpy.context.scene, character)
    bpy.ops.object.mode_set(mode="EDIT")
    character.data.edit_bones.remove(character.data.edit_bones["spine1"])
    bpy.ops.object.mode_set(mode="POSE")
    takes.reject(bpy.context.scene)
    bones = character.pose.bones
    assert tuple(bones["head"].rotation_quaternion) == pytest.approx((0.9, 0.1, 0.2, 0.3))
    assert tuple(bones["pelvis"].location) == pytest.approx((0.01, 0.02, 0.03))
    assert {tuple(bone.scale) for bone in bones} == {(1, 1, 1)}  # that of the bone that is gone is no other's


def test_another_armature_waits_for_its_turn(character):
    scene = bpy.context.scene
    add_takes(scene, character)
    other = add_character(bpy.context, "Other")
    with pytest.raises(KmmError, match="accept or reject the takes of KMM Character first"):
        add_takes(scene, other)
    assert other.animation_data is None
    assert [action.name for action in bpy.data.actions] == [take.action.name for take in scene.kmm.takes]


def test_one_armature_in_two_scenes(character):
    first = bpy.context.scene
    second = bpy.data.scenes.new("Second")
    second.collection.objects.link(character)
    before = snapshot()
    add_takes(first, character)
    with pytest.raises(KmmError, match="in the scene Scene first"):
        add_takes(second, character)
    takes.reject(first)
    assert not differences(before, snapshot())


def test_an_action_that_was_replaced_outlives_the_takes_of_a_copied_scene(character):
    """The copy's preview uses it too, until the takes are gone."""
    animated(character)
    scene, own = bpy.context.scene, character.animation_data.action
    add_takes(scene, character)
    bpy.ops.scene.new(type="LINK_COPY")
    character.animation_data.action = bpy.data.actions.new("Mine")
    takes.reject(scene)
    assert own.use_fake_user and character.animation_data.action.name == "Mine"


def test_a_copied_scene_forgets_the_takes_too(character):
    scene = bpy.context.scene
    add_takes(scene, character)
    bpy.ops.scene.new(type="LINK_COPY")
    copy = bpy.context.scene
    assert copy != scene and takes.waiting(copy)
    takes.reject(copy)
    assert not takes.waiting(scene) and not bpy.data.actions
    assert character.animation_data is None


def test_nla_tweak_mode_is_refused(character):
    animated(character)
    data = character.animation_data
    strip = data.nla_tracks[0].strips[0]
    data.nla_tracks.active = data.nla_tracks[0]
    data.nla_tracks[0].select = strip.select = True
    data.use_tweak_mode = True
    if not data.use_tweak_mode:
        pytest.skip("tweak mode needs the NLA editor here")
    before = snapshot()
    with pytest.raises(KmmError, match="tweak mode"):
        add_takes(bpy.context.scene, character)
    assert not differences(before, snapshot())


def test_tweak_mode_while_takes_wait_is_refused_and_loses_nothing(character):
    """There the armature shows a strip's Action, which is neither a take nor chosen by the animator."""
    animated(character)
    before, scene, data = snapshot(), bpy.context.scene, character.animation_data
    add_takes(scene, character)
    data.nla_tracks.active = data.nla_tracks[0]
    data.nla_tracks[0].select = data.nla_tracks[0].strips[0].select = True
    data.use_tweak_mode = True
    if not data.use_tweak_mode:
        pytest.skip("tweak mode needs the NLA editor here")
    for refused in (
        lambda: takes.show(scene, 1),
        lambda: takes.show(scene, -1),
        lambda: takes.accept(scene, "ACTION"),
        lambda: takes.reject(scene),
    ):
        with pytest.raises(KmmError, match="is being tweaked, which locks its Action"):
            refused()
    with pytest.raises(RuntimeError, match="Leave the NLA editor's tweak mode first"):
        bpy.ops.kmm.reject_takes()
    assert len(scene.kmm.takes) == 2 and scene.kmm.preview.action.name == "Own Action ü 動"
    data.use_tweak_mode = False
    data.nla_tracks[0].select = data.nla_tracks[0].strips[0].select = False
    takes.reject(scene)
    changed = differences(before, snapshot())
    assert not {path for path in changed if "select" not in path and "active" not in path}, changed


@pytest.mark.parametrize("end", ["another take", "more takes", "NLA", "ACTION", "reject"])
def test_a_bone_that_no_take_moves_keeps_the_pose_it_is_given_while_one_is_shown(character, end):
    """As fingers do: KMM has no motion for them. Here the head's place, which takes leave alone."""
    scene, head = bpy.context.scene, character.pose.bones["head"]
    head.location = (0.1, 0.0, 0.0)
    add_takes(scene, character)
    head.location = (0.5, 0.0, 0.0)
    if end == "another take":
        takes.show(scene, 1)
    elif end == "more takes":
        add_takes(scene, character, record(3))
    elif end == "reject":
        takes.reject(scene)
    else:
        takes.accept(scene, end)
    assert head.location.x == pytest.approx(0.1 if end == "reject" else 0.5)
    if takes.waiting(scene):
        takes.reject(scene)
        assert head.location.x == pytest.approx(0.1)


def test_saved_and_loaded_while_takes_wait(character, tmp_path):
    animated(character)
    before, scene = snapshot(), bpy.context.scene
    add_takes(scene, character)
    path = str(tmp_path / "takes ü.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    scene = bpy.context.scene
    assert takes.shown(scene) == 0 and len(scene.kmm_history.entries) == 2
    takes.reject(scene)
    assert not differences(before, snapshot())


@pytest.mark.parametrize("how", ["excluded", "collection", "object"])
def test_a_hidden_armature_of_a_file_just_opened_gets_the_same_keys(character, how, tmp_path):
    """Blender evaluates nothing that is hidden, so that its matrix is the identity until somebody looks."""
    scene = bpy.context.scene
    scene.kmm.reduce_keys = True
    collection = bpy.data.collections.new("Cast")
    scene.collection.children.link(collection)
    for thing in (character, *character.children):
        thing.users_collection[0].objects.unlink(thing)
        collection.objects.link(thing)
    for frame, x in ((1, 0.0), (31, 3.0)):
        character.location.x = x
        character.keyframe_insert("location", index=0, frame=frame)
    character.location.y, character.rotation_euler.z, character.scale = 2.0, 1.0, (0.01, 0.01, 0.01)
    scene.frame_set(11)

    def keys() -> dict:
        scene = bpy.context.scene
        add_takes(scene, scene.kmm.armature, record(1))
        take = scene.kmm.takes[0]
        found = {
            (curve.data_path, curve.array_index): [tuple(point.co) for point in curve.keyframe_points]
            for curve in fcurves(take.action, scene.kmm.armature)
        }
        takes.reject(scene)
        return found

    seen = keys()
    if how == "excluded":
        bpy.context.view_layer.layer_collection.children["Cast"].exclude = True
    else:
        (collection if how == "collection" else character).hide_viewport = True
        bpy.data.objects.remove(character.children[0])
    path = str(tmp_path / "hidden.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    hidden = keys()
    assert hidden.keys() == seen.keys()
    assert all(np.allclose(hidden[curve], seen[curve], rtol=1e-3, atol=1e-3) for curve in seen)
    assert [scene.name for scene in bpy.data.scenes] == ["Scene"]


def test_reduced_keys_stray_by_the_scenes_own_millimetres(character):
    """A scene of centimetres, as game artists set it up, has characters of 170 units."""
    scene = bpy.context.scene
    scene.kmm.reduce_keys, scene.kmm.reduce_degrees, scene.kmm.reduce_millimetres = True, 45, 10
    frames = np.rint(20 + 19 * np.sin(np.linspace(0, 20, 200))).astype(int)  # to and fro
    still = record(1)
    clip = MotionClip(still.clip.root_positions[frames], still.clip.local_rotations[frames], 24.0)

    def keys() -> int:
        add_takes(scene, character, replace(still, clip=clip))
        number = sum(len(curve.keyframe_points) for curve in fcurves(scene.kmm.takes[0].action, character))
        takes.reject(scene)
        return number

    in_metres = keys()
    scene.unit_settings.scale_length = 0.01
    character.scale = (100, 100, 100)
    bpy.context.view_layer.update()
    assert keys() == in_metres


@pytest.mark.skipif(bpy.app.version < (4, 4), reason="Actions have slots from Blender 4.4 on")
@pytest.mark.parametrize("meanwhile", ["renamed", "removed"])
@pytest.mark.parametrize("others", [False, True])
def test_the_own_actions_slot_is_another_while_a_take_is_shown(character, meanwhile, others):
    """It comes back renamed, and never is one of another object's animation taken for it."""
    animated(character)
    scene, data = bpy.context.scene, character.animation_data
    if others:
        data.action = bpy.data.actions.new("Shared")
        data.action.slots.new("OBJECT", "Prop")
        data.action_slot = data.action.slots.new("OBJECT", character.name)
    action, slot = data.action, data.action_slot
    add_takes(scene, character)
    if meanwhile == "renamed":
        slot.name_display = "Hero"
    else:
        action.slots.remove(slot)
    takes.reject(scene)
    assert data.action == action
    assert (data.action_slot and data.action_slot.identifier) == (
        "OBHero" if meanwhile == "renamed" else None
    )


# --- undo -------------------------------------------------------------------------------------------


def test_accept_is_one_undo_step(character):
    animated(character)
    scene = bpy.context.scene
    scene.frame_set(3)  # undo lets Blender evaluate Actions anew, which loses what was not keyed
    bpy.ops.ed.undo_push(message="before")
    before = snapshot()
    add_takes(scene, character)
    bpy.ops.ed.undo_push(message="takes")
    waiting = snapshot()
    takes.accept(bpy.context.scene, "ACTION")
    bpy.ops.ed.undo_push(message="accept")
    accepted = snapshot()
    bpy.ops.ed.undo()
    assert takes.shown(bpy.context.scene) == 0 and not differences(waiting, snapshot())
    bpy.ops.ed.redo()
    assert not takes.waiting(bpy.context.scene) and not differences(accepted, snapshot())
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    assert not takes.waiting(bpy.context.scene) and not differences(before, snapshot())


def test_reject_after_undo_and_redo(character):
    animated(character)
    bpy.context.scene.frame_set(3)
    bpy.ops.ed.undo_push(message="before")
    before = snapshot()
    add_takes(bpy.context.scene, character)
    bpy.ops.ed.undo_push(message="takes")
    bpy.ops.ed.undo()
    bpy.ops.ed.redo()
    assert takes.shown(bpy.context.scene) == 0
    takes.reject(bpy.context.scene)
    bpy.ops.ed.undo_push(message="reject")
    assert not differences(before, snapshot())
    bpy.ops.ed.undo()
    assert takes.shown(bpy.context.scene) == 0


def test_undo_while_keys_are_written(character):
    """The slices that were written are gone with the undo; the maker begins anew and ends with the same takes."""
    scene = bpy.context.scene
    bpy.ops.ed.undo_push(message="one")
    character.location.x = 3.0
    bpy.ops.ed.undo_push(message="two")
    maker = TakeMaker(Target.of(scene, character), (record(1), record(2)))
    while len(bpy.data.actions) < 2:
        assert not maker.step()
    bpy.ops.ed.undo()
    assert not bpy.data.actions
    maker.restart()
    while not maker.step():
        pass
    scene = bpy.context.scene
    assert (
        takes.shown(scene) == 0
        and len(bpy.data.actions) == 2
        and scene.kmm.preview.armature.location.x == 0.0
    )


def test_deleting_the_armature_while_keys_are_written(character):
    scene = bpy.context.scene
    maker = TakeMaker(Target.of(scene, character), (record(1), record(2)))
    for _ in range(3):
        maker.step()
    maker.discard()
    assert not bpy.data.actions
    bpy.ops.object.delete()
    maker.restart()
    with pytest.raises(KmmError, match="was deleted while its motion was generated"):
        maker.step()
    bpy.data.scenes.new("Another")
    bpy.data.scenes.remove(scene)
    maker.restart()
    with pytest.raises(KmmError, match="The scene Scene was deleted"):
        maker.step()


# --- history ----------------------------------------------------------------------------------------


def test_history_gives_the_very_same_take_back(character):
    scene = bpy.context.scene
    add_takes(scene, character, record(1))
    written = [
        list(point.co)
        for curve in fcurves(scene.kmm.takes[0].action, character)
        for point in curve.keyframe_points
    ]
    takes.reject(scene)
    entry = scene.kmm_history.entries[0]
    assert entry.name == "walks, seed 1" and "-5 to 35: a person walks" in entry.details
    stored = take_record.decode(entry.record)
    maker = TakeMaker(Target.of(scene, character), [stored], remember=False)
    while not maker.step():
        pass
    again = [
        list(point.co)
        for curve in fcurves(scene.kmm.takes[0].action, character)
        for point in curve.keyframe_points
    ]
    assert again == written and len(scene.kmm_history.entries) == 1


def test_a_take_of_another_frame_rate_is_as_fast_as_it_was(character):
    """Frames stay where they are when the scene's rate changes, so a take that is restored then must be made for it."""
    scene, there, notes = bpy.context.scene, {}, []
    for fps in (24, 60):
        scene.render.fps = fps
        maker = TakeMaker(Target.of(scene, character), [record(1)])
        while not maker.step():
            pass
        notes.append(maker.note)
        curves = fcurves(scene.kmm.takes[0].action, character)
        there[fps] = [curve.evaluate(-5 + fps / 2) for curve in curves]  # half a second in
        assert scene.kmm.takes[0].action.frame_range[:] == (-5, -5 + 39 * fps // 24)
        takes.reject(scene)
    assert notes[0] == "" and "Generated at 24 frames a second, the scene now has 60" in notes[1]
    assert np.allclose(there[24], there[60], atol=2e-3)


def test_history_is_bounded(fresh_scene, monkeypatch):
    scene = bpy.context.scene
    monkeypatch.setattr(history, "MAX_ENTRIES", 3)
    for seed in range(5):
        take = record(seed, frames=4)
        history.remember(scene, take, take.encode())
    assert [entry.take_id for entry in scene.kmm_history.entries] == ["id4", "id3", "id2"]
    monkeypatch.setattr(history, "MAX_BYTES", 1)
    history.remember(scene, record(9, frames=4), record(9, frames=4).encode())
    assert [entry.take_id for entry in scene.kmm_history.entries] == ["id9"]
    assert history.recall(scene, "id9").seed == 9 and history.recall(scene, "id4") is None


def test_history_can_be_forgotten(character):
    scene = bpy.context.scene
    add_takes(scene, character)
    scene.kmm_history.active = 1
    history.forget(scene, 1)
    assert len(scene.kmm_history.entries) == 1 and scene.kmm_history.active == 0
    history.forget(scene, -1)
    assert not scene.kmm_history.entries
