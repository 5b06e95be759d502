"""The .bvh files of ``--export``, imported again: where every rig, with its object, was in the world."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from bl_ext.user_default.kmm.batch.export import export
from bl_ext.user_default.kmm.scene import takes
from bl_ext.user_default.kmm.scene.character import add_character
from mathutils import Quaternion
from scene_snapshot import differences, snapshot
from test_retarget import MIXAMO, UNREAL, make_rig
from test_takes import add_takes, record

from kmm_core.skeleton import REST_PELVIS_HEIGHT

FRAMES = (3, 42)
# The importer of 5.2 joins a neck that only turns to the chest, so that it and the head come back elsewhere.
MISPLACED = ("neck", "head", "nose") if bpy.app.version >= (5, 0) else ()
# A Mixamo rig as Blender imports it: in centimetres, with Y up.
RIGS = {
    "UNREAL": {"names": UNREAL},
    "UNREAL, root bone": {"names": UNREAL, "root_bone": True},
    "MIXAMO": {"names": MIXAMO, "unit": 100.0, "y_up": True},
    "MIXAMO, root bone": {"names": MIXAMO, "unit": 100.0, "y_up": True, "root_bone": True},
}


def moved(armature) -> None:
    armature.location = (1.0, 2.0, 0.3)
    armature.rotation_quaternion = Quaternion((0, 0, 1), 1.0) @ armature.rotation_quaternion


def parented(armature) -> None:
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.location, parent.rotation_euler = (1.0, 2.0, 0.0), (0.0, 0.0, 1.0)
    parent.keyframe_insert("location", frame=1)
    parent.location.x = 5.0
    parent.keyframe_insert("location", frame=50)
    armature.parent = parent


def heads(armature) -> dict[str, np.ndarray]:
    """World positions of the bones' heads, in the first frame, one between and the last."""
    found = []
    for frame in (FRAMES[0], 20, FRAMES[1]):
        bpy.context.scene.frame_set(frame)
        found.append([np.array(armature.matrix_world @ bone.head) for bone in armature.pose.bones])
    return dict(zip(armature.pose.bones.keys(), np.stack(found, axis=1), strict=True))


def check_comes_back(armature, tmp_path) -> bpy.types.Object:
    """Exports, compares what the scene was and is, imports, compares all bones; returns what was imported."""
    scene, path = bpy.context.scene, tmp_path / "motion.bvh"
    expected = heads(armature)
    scene.frame_set(7, subframe=0.25)
    before = snapshot()
    export(scene, armature, path, FRAMES)
    assert not differences(before, snapshot())
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.import_anim.bvh(filepath=str(path), frame_start=FRAMES[0], axis_forward="Y", axis_up="Z")
    imported = bpy.context.object
    found = heads(imported)
    assert found.keys() == expected.keys()
    for name, places in expected.items():
        if name.lower().startswith(MISPLACED):
            continue
        np.testing.assert_allclose(found[name], places, atol=2e-3, err_msg=name)
    return imported


@pytest.mark.parametrize("place", [None, moved, parented])
@pytest.mark.parametrize("root", ["BONE", "OBJECT"])
@pytest.mark.parametrize("rig", RIGS)
def test_every_rig_is_where_it_was_in_the_world(fresh_scene, tmp_path, rig, root, place):
    armature = make_rig(**RIGS[rig])
    if place:
        place(armature)
    bpy.context.view_layer.update()
    fresh_scene.kmm.armature, fresh_scene.kmm.root = armature, root
    add_takes(fresh_scene, armature, record(1, first_frame=FRAMES[0]))
    takes.accept(fresh_scene, "ACTION")
    imported = check_comes_back(armature, tmp_path)
    # The rest pose stands in the world as the motion does, whatever the axes of the rig.
    bones = imported.data.bones
    hips, hand = ("Hips", "LeftHand") if "MIXAMO" in rig else ("pelvis", "hand_l")
    up = bones[hand].head_local - bones[hips].head_local
    assert up.z > 0.4 and up.x > 0.5 and abs(up.y) < 0.2


def test_the_kmm_characters_file_moves_its_root_alone(fresh_scene, tmp_path):
    armature = fresh_scene.kmm.armature = add_character(bpy.context)
    add_takes(fresh_scene, armature, record(1, first_frame=FRAMES[0]))
    takes.accept(fresh_scene, "ACTION")
    armature.pose.bones["left_elbow"].rotation_mode = "ZYX"  # unkeyed; the file takes the order
    armature.hide_viewport = True
    export(fresh_scene, armature, tmp_path / "motion.bvh", FRAMES)
    lines = (tmp_path / "motion.bvh").read_text().splitlines()
    channels = [line.split()[1] for line in lines if "CHANNELS" in line]
    assert channels == ["6"] + ["3"] * 21
    assert sum("Zrotation Yrotation Xrotation" in line for line in lines) >= 1


def test_the_file_is_in_metres_whatever_the_scene_measures_in(fresh_scene, tmp_path):
    texts = []
    for unit in (1.0, 0.01):
        bpy.ops.wm.read_homefile(use_empty=True)
        scene = bpy.context.scene
        scene.unit_settings.system, scene.unit_settings.scale_length = "METRIC", unit
        armature = scene.kmm.armature = add_character(bpy.context)
        bpy.context.view_layer.update()
        add_takes(scene, armature, record(1, first_frame=FRAMES[0]))
        takes.accept(scene, "ACTION")
        assert heads(armature)["pelvis"][0, 2] == pytest.approx(REST_PELVIS_HEIGHT / unit, rel=1e-3)
        export(scene, armature, tmp_path / "motion.bvh", FRAMES)
        texts.append((tmp_path / "motion.bvh").read_text().split())
    numbers = [[float(word) for word in text if word.strip("-").replace(".", "").isdigit()] for text in texts]
    assert len(texts[0]) == len(texts[1])
    np.testing.assert_allclose(numbers[1], numbers[0], atol=1e-3)


def test_bones_that_leave_their_parents_and_follow_others_come_back(fresh_scene, tmp_path):
    """By keys, by a constraint, and without what parents hand down."""
    armature = fresh_scene.kmm.armature = make_rig(names=UNREAL, root_bone=True)
    add_takes(fresh_scene, armature, record(1, first_frame=FRAMES[0]))
    takes.accept(fresh_scene, "ACTION")
    foot, bones = armature.pose.bones["foot_l"], armature.data.bones
    for frame, x in ((3, 0.0), (42, 0.3)):
        foot.location.x = x
        foot.keyframe_insert("location", frame=frame)
    follows = armature.pose.bones["hand_r"].constraints.new("COPY_TRANSFORMS")
    follows.target, follows.subtarget = armature, "hand_l"
    bones["upperarm_l"].use_inherit_rotation = False
    bones["upperarm_r"].use_local_location = False
    check_comes_back(armature, tmp_path)


def test_an_export_that_fails_leaves_nothing_behind(fresh_scene, tmp_path, monkeypatch):
    armature = fresh_scene.kmm.armature = add_character(bpy.context)
    armature.scale.x = 2.0
    bpy.context.view_layer.update()
    before = snapshot()
    with pytest.raises(Exception, match="is scaled by 2, 1, 1"):
        export(fresh_scene, armature, tmp_path / "motion.bvh", FRAMES)
    assert not differences(before, snapshot()) and not list(tmp_path.iterdir())
