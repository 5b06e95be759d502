"""Actions as they are written, played, bound, stacked and taken back, in whatever Blender runs the tests."""

import bpy
import numpy as np
import pytest
from bl_ext.user_default.kmm.scene import action_writer, rotation_channels
from bl_ext.user_default.kmm.scene.key_reduction import Reduction
from bl_ext.user_default.kmm.scene.pose_keys import PoseKeys

from kmm_core.errors import KmmError
from kmm_core.motion import rotations

BONES = ("hips", 'arm "upper" ü\\', "手")
FIRST_FRAME = -7


@pytest.fixture
def armature():
    """A chain of three bones of half a metre, standing up."""
    armature = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    parent = None
    for index, name in enumerate(BONES):
        bone = armature.data.edit_bones.new(name)
        bone.head, bone.tail, bone.parent = (0, 0, index / 2), (0, 0, index / 2 + 0.5), parent
        parent = bone
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def motion(frames=90, seed=0, **more) -> PoseKeys:
    """Every bone swings, beyond a quarter turn; quaternion signs flip at random, as they may in PoseKeys."""
    generator = np.random.default_rng(seed)
    phases = np.arange(frames)[:, None] * generator.uniform(0.03, 0.12, len(BONES)) + [0.0, 1.0, 2.0]
    axis = rotations.normalize(generator.normal(size=(len(BONES), 3)))
    turns = rotations.from_axis_angle(axis, 1.9 * np.sin(phases))
    turns = turns * generator.choice([-1.0, 1.0], (frames, len(BONES), 1))
    places = np.stack([np.sin(phases[:, 0]), phases[:, 1] / 5, np.cos(phases[:, 2])], axis=-1)
    return PoseKeys(BONES, turns, 30.0, {"hips": places}, **more)


def played(armature, keys, frames=None):
    """What the armature does: basis rotations [F, B, 4] and the hips' location [F, 3], from Blender's evaluation."""
    turns, places = [], []
    for frame in range(keys.num_frames) if frames is None else frames:
        bpy.context.scene.frame_set(FIRST_FRAME + frame)
        pose = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        turns.append([pose[name].matrix_basis.to_quaternion() for name in keys.bone_names])
        places.append(tuple(pose["hips"].matrix_basis.translation))
    return np.array(turns), np.array(places)


def curves_of(action, armature, path_end):
    return sorted(
        (c for c in action_writer.fcurves(action, armature) if c.data_path.endswith(path_end)),
        key=lambda c: (c.data_path, c.array_index),
    )


def snapshot(action, armature):
    """An Action's keys, for comparing before with after."""
    return [
        (curve.data_path, curve.array_index, coordinates(curve))
        for curve in action_writer.fcurves(action, armature)
    ]


def coordinates(curve):
    """Frames and values, one after the other."""
    values = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
    curve.keyframe_points.foreach_get("co", values)
    return values.tolist()


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "ZXY", "YZX", "AXIS_ANGLE"])
def test_blender_plays_what_was_written_in_each_rotation_mode(armature, mode):
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    keys = motion()
    action = action_writer.write_action("Take", armature, keys, FIRST_FRAME)
    assert armature.animation_data is None, "write_action assigned it"
    action_writer.assign(armature, action)
    turns, places = played(armature, keys)
    assert rotations.angle_between(turns, keys.rotations).max() < 1e-3
    np.testing.assert_allclose(places, keys.locations["hips"], atol=1e-5)
    name = rotation_channels.property_name(mode)
    assert {c.data_path.rpartition(".")[2] for c in action_writer.fcurves(action, armature)} == {
        name,
        "location",
    }


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "AXIS_ANGLE"])
def test_nothing_turns_over_between_frames(armature, mode):
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    keys = motion()
    action_writer.assign(armature, action_writer.write_action("Take", armature, keys, FIRST_FRAME))
    steps = rotations.angle_between(keys.rotations[1:], keys.rotations[:-1])
    for frame in range(keys.num_frames - 1):
        bpy.context.scene.frame_set(FIRST_FRAME + frame, subframe=0.5)
        pose = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        between = np.array([pose[name].matrix_basis.to_quaternion() for name in BONES])
        assert (rotations.angle_between(between, keys.rotations[frame]) < steps[frame] + 0.02).all()


def test_f_curves_stand_in_groups_named_after_bones(armature):
    keys = motion(object_locations=np.ones((90, 3)), object_rotations=np.tile([1.0, 0, 0, 0], (90, 1)))
    armature.rotation_mode = "QUATERNION"
    action = action_writer.write_action("Take", armature, keys, FIRST_FRAME)
    groups = {}
    for curve in action_writer.fcurves(action, armature):
        groups.setdefault(curve.group.name, []).append(curve.array_index)
    assert groups == {
        "hips": [0, 1, 2, 0, 1, 2, 3],
        BONES[1]: [0, 1, 2, 3],
        BONES[2]: [0, 1, 2, 3],
        "Object Transforms": [0, 1, 2, 0, 1, 2, 3],
    }
    assert all(curve.is_valid for curve in action_writer.fcurves(action, armature))


@pytest.mark.parametrize("tolerance", [None, Reduction(2, 1000)])
def test_generated_keys_are_marked_and_pinned_ones_are_plain(armature, tolerance):
    pinned = np.arange(90) < 10
    action = action_writer.write_action(
        "Take", armature, motion(), FIRST_FRAME, tolerance=tolerance, pinned=pinned
    )
    for curve in action_writer.fcurves(action, armature):
        kinds = {point.co.x - FIRST_FRAME: point.type for point in curve.keyframe_points}
        assert kinds[0] == kinds[9] == "KEYFRAME" and kinds[10] == kinds[89] == "GENERATED"
        assert all((kind == "KEYFRAME") == (frame < 10) for frame, kind in kinds.items())


def test_the_root_can_move_the_object(armature):
    armature.rotation_mode = "ZYX"
    turns = rotations.from_axis_angle([0.0, 0.0, 1.0], np.linspace(0, 5, 90))
    places = np.linspace([0, 0, 0], [3, 2, 1], 90)
    keys = motion(object_locations=places, object_rotations=turns)
    action_writer.assign(armature, action_writer.write_action("Take", armature, keys, FIRST_FRAME))
    for frame in (0, 40, 89):
        bpy.context.scene.frame_set(FIRST_FRAME + frame)
        np.testing.assert_allclose(armature.matrix_world.translation, places[frame], atol=1e-5)
        assert rotations.angle_between(armature.matrix_world.to_quaternion(), turns[frame]) < 1e-3


def test_one_frame(armature):
    for tolerance in (None, Reduction()):
        action = action_writer.write_action("Pose", armature, motion(1), 5, tolerance=tolerance)
        curves = action_writer.fcurves(action, armature)
        assert [len(curve.keyframe_points) for curve in curves] == [1] * 15
        assert action.frame_range[0] == 5


@pytest.mark.parametrize("mode", ["QUATERNION", "YXZ", "AXIS_ANGLE"])
def test_reduced_keys_stay_within_the_tolerance_in_blender(armature, mode):
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    keys = motion(400)
    tolerance = Reduction(degrees=1.0, millimetres=1e6)
    last = list(action_writer.write_action_steps("Take", armature, keys, FIRST_FRAME, tolerance=tolerance))[
        -1
    ]
    action_writer.assign(armature, last.action)
    turns, _ = played(armature, keys)
    off = np.degrees(rotations.angle_between(turns, keys.rotations))
    assert 0.2 < off.max() < 1.02
    assert last.full == 4 * 400 and last.keys < last.full / 6
    held = {c.data_path: len(c.keyframe_points) for c in action_writer.fcurves(last.action, armature)}
    assert max(held.values()) < 100 and last.keys == sum(held.values())
    handles = {
        point.handle_left_type
        for curve in action_writer.fcurves(last.action, armature)
        for point in curve.keyframe_points
    }
    assert handles == {"ALIGNED"}


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_millimetres_hold_at_the_far_end_whatever_the_armatures_unit(armature, scale):
    # The same rig in metres, and in centimetres on an object scaled down.
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in armature.data.edit_bones:
        bone.head, bone.tail = bone.head / scale, bone.tail / scale
    bpy.ops.object.mode_set(mode="OBJECT")
    armature.scale = [scale] * 3
    bpy.context.view_layer.update()
    keys = motion(300)
    turns = keys.rotations.copy()
    turns[:, 1:] = [1, 0, 0, 0]  # the hips alone turn: nothing adds up
    keys = PoseKeys(BONES, turns, 30.0, {"hips": np.zeros((300, 3))})
    tolerance = Reduction(degrees=45, millimetres=2)
    every = action_writer.write_action("Every", armature, keys, FIRST_FRAME)
    few = action_writer.write_action("Few", armature, keys, FIRST_FRAME, tolerance=tolerance)
    ends = []
    for action in (every, few):
        action_writer.assign(armature, action)
        tips = []
        for frame in range(300):
            bpy.context.scene.frame_set(FIRST_FRAME + frame)
            tips.append(armature.matrix_world @ armature.pose.bones[BONES[2]].tail)
        ends.append(np.array(tips))
    off = 1000 * np.linalg.norm(ends[0] - ends[1], axis=-1)
    assert 0.5 < off.max() <= 2.02


def test_locations_are_reduced_in_metres(armature):
    armature.scale = [0.01] * 3
    bpy.context.view_layer.update()
    places = np.zeros((200, 3))
    places[:, 1] = 300 * np.sin(np.arange(200) / 9)  # centimetres
    keys = PoseKeys(("hips",), np.tile([1.0, 0, 0, 0], (200, 1, 1)), 30.0, {"hips": places})
    action = action_writer.write_action("Take", armature, keys, 0, tolerance=Reduction(1, 10))
    (curve,) = (c for c in curves_of(action, armature, "location") if c.array_index == 1)
    off = np.array([curve.evaluate(frame) for frame in range(200)]) - places[:, 1]
    assert 0.1 < np.abs(off).max() <= 1.01  # of the armature's centimetres


@pytest.mark.parametrize("parent_scale", [0.01, 100.0])
def test_the_objects_place_is_reduced_in_metres_below_a_scaled_parent(armature, parent_scale):
    """Importers leave characters below an Empty that is scaled; the object's place counts in its units."""
    armature.parent = bpy.data.objects.new("Empty", None)
    bpy.context.scene.collection.objects.link(armature.parent)
    armature.parent.scale = [parent_scale] * 3
    armature.scale = [1 / parent_scale] * 3
    bpy.context.view_layer.update()
    metres = 3 * np.sin(np.arange(200) / 9)
    places = np.stack([metres / parent_scale, np.zeros(200), np.zeros(200)], axis=-1)
    still = np.tile([1.0, 0, 0, 0], (200, 1, 1))
    keys = PoseKeys(("hips",), still, 30.0, {}, object_locations=places, object_rotations=still[:, 0])
    action = action_writer.write_action("Take", armature, keys, 0, tolerance=Reduction(1, 10))
    action_writer.assign(armature, action)
    off = []
    for frame in range(200):
        bpy.context.scene.frame_set(frame)
        off.append(abs(armature.matrix_world.translation.x - metres[frame]))
    assert 0.001 < max(off) <= 0.0101


def test_slices_are_many_and_the_last_one_is_whole(armature):
    keys = motion(3500)
    whole = action_writer.write_action("Whole", armature, keys, 0, tolerance=Reduction())
    steps = list(action_writer.write_action_steps("Sliced", armature, keys, 0, tolerance=Reduction()))
    # Four properties in stretches of 3,000 frames, a pause before each of their 15 curves and one when all are written.
    assert len(steps) == 4 * (2 + 1) + 15
    assert len({step.action for step in steps}) == 1
    assert snapshot(steps[-1].action, armature) == snapshot(whole, armature)
    for curve in action_writer.fcurves(whole, armature):
        frames = coordinates(curve)[::2]
        assert frames == sorted(set(frames)), "stretches share a frame: it must be keyed once"


def test_stopping_in_between_leaves_no_action(armature):
    steps = action_writer.write_action_steps("Take", armature, motion(), 0)
    next(steps)
    assert len(bpy.data.actions) == 1
    steps.close()
    assert len(bpy.data.actions) == 0


def test_missing_bones_are_named_and_nothing_is_made(armature):
    keys = PoseKeys(("hips", "tail"), np.tile([1.0, 0, 0, 0], (2, 2, 1)), 30.0)
    with pytest.raises(
        KmmError, match=r"Rig has no bone tail \(1 missing of 2\)\. Rename the bones back"
    ) as caught:
        action_writer.write_action("Take", armature, keys, 0)
    assert caught.value.code == "missing_bone"
    assert len(bpy.data.actions) == 0


def test_writing_touches_nothing_of_the_animators(armature):
    armature.location = (1, 2, 3)
    armature.keyframe_insert("location", frame=3)
    armature.pose.bones["hips"].keyframe_insert("location", frame=4)
    own = armature.animation_data.action
    before = snapshot(own, armature)
    binding = action_writer.read_binding(armature)
    action_writer.write_action("Take", armature, motion(), 0)
    assert action_writer.read_binding(armature) == binding and binding.action == own
    assert snapshot(own, armature) == before
    assert tuple(armature.location) == (1, 2, 3)


def test_restoring_after_a_take_on_an_armature_that_was_never_animated(armature):
    binding = action_writer.read_binding(armature)
    action_writer.assign(armature, action_writer.write_action("Take", armature, motion(), 0))
    for _ in range(2):  # the second time as if the animator had cleared it
        action_writer.restore_binding(armature, binding)
        assert armature.animation_data is None


def test_restoring_keeps_a_driver_that_came_meanwhile(armature):
    binding = action_writer.read_binding(armature)
    action_writer.assign(armature, action_writer.write_action("Take", armature, motion(), 0))
    armature.driver_add("location", 0)
    action_writer.restore_binding(armature, binding)
    assert armature.animation_data.action is None and len(armature.animation_data.drivers) == 1


def test_restoring_the_animators_own_action(armature):
    armature.keyframe_insert("location", frame=3)
    own = armature.animation_data.action
    binding = action_writer.read_binding(armature)
    action_writer.assign(armature, action_writer.write_action("Take", armature, motion(), 0))
    assert armature.animation_data.action != own
    action_writer.restore_binding(armature, binding)
    assert armature.animation_data.action == own
    assert action_writer.read_binding(armature) == binding
    action_writer.restore_binding(armature, action_writer.Binding(True, None, ""))
    assert armature.animation_data.action is None


@pytest.mark.skipif(bpy.app.version >= (4, 4), reason="Actions have no slots before Blender 4.4")
def test_the_slot_that_later_versions_will_make_is_remembered(armature):
    """A file saved while takes wait may be opened there: with no slot the own Action would move nothing."""
    armature.keyframe_insert("location", frame=1)
    assert action_writer.read_binding(armature).slot == "OBLegacy Slot"


@pytest.mark.skipif(bpy.app.version < (4, 4), reason="Actions have slots from Blender 4.4 on")
def test_each_armature_plays_its_own_slot(armature):
    """An Action with two slots, as a second import or an animator's own work leaves it.

    The second armature has no pose yet: changing its slot crashed Blender 4.5 and 5.2.
    """
    action = action_writer.write_action("Take", armature, motion(), 0)
    other = bpy.data.objects.new("Other", armature.data)
    bpy.context.scene.collection.objects.link(other)
    slot = action.slots.new("OBJECT", "Other")
    action.slots.active = slot
    action_writer.assign(armature, action)
    assert armature.animation_data.action_slot.identifier == "OBRig"
    action_writer.assign(other, action)
    assert other.animation_data.action_slot.identifier == "OBOther"
    assert action_writer.fcurves(action, other) == []
    assert len(action_writer.fcurves(action, armature)) == 15
    # The animator's choice of slot comes back, and no slot at all as well.
    action_writer.restore_binding(armature, action_writer.Binding(True, action, "OBOther"))
    assert armature.animation_data.action_slot == slot
    action_writer.restore_binding(armature, action_writer.Binding(True, action, ""))
    assert armature.animation_data.action_slot is None


def test_a_renamed_armature_still_plays_its_take(armature):
    action = action_writer.write_action("Take", armature, motion(), FIRST_FRAME)
    armature.name = "Renamed"
    action_writer.assign(armature, action)
    turns, _ = played(armature, motion(), [50])
    assert rotations.angle_between(turns[0], motion().rotations[50]).max() < 1e-3


def test_tweak_mode_is_explained(armature):
    action = action_writer.write_action("Take", armature, motion(), 0)
    action_writer.push_to_nla(armature, action, "Strip")
    armature.animation_data.nla_tracks[0].select = True
    armature.animation_data.nla_tracks.active = armature.animation_data.nla_tracks[0]
    armature.animation_data.use_tweak_mode = True
    with pytest.raises(
        KmmError, match="NLA strip of Rig is being tweaked.*Press Tab in the NLA editor"
    ) as caught:
        action_writer.assign(armature, action)
    assert caught.value.code == "nla_tweak_mode"


def test_an_nla_strip_plays_the_take_above_the_animators_tracks(armature):
    armature.pose.bones["hips"].location = (5, 5, 5)
    armature.pose.bones["hips"].keyframe_insert("location", frame=-100)
    own = armature.animation_data.action
    below = armature.animation_data.nla_tracks.new()
    below.strips.new("own", -100, own)
    armature.animation_data.action = None
    keys = motion()
    action = action_writer.write_action("Take", armature, keys, FIRST_FRAME)
    strip = action_writer.push_to_nla(armature, action, "KMM take")
    tracks = armature.animation_data.nla_tracks
    assert [track.name for track in tracks][-1] == "KMM take" and len(tracks) == 2
    assert (strip.frame_start, strip.frame_end, strip.influence) == (FIRST_FRAME, FIRST_FRAME + 90, 1)
    turns, places = played(armature, keys)
    assert rotations.angle_between(turns, keys.rotations).max() < 1e-3
    np.testing.assert_allclose(places, keys.locations["hips"], atol=1e-5)
    _, outside = played(armature, keys, [-20, 200])
    np.testing.assert_allclose(outside, [[5, 5, 5], [5, 5, 5]], atol=1e-5)
