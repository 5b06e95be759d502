"""The KMM character inside Blender."""

import bpy
import numpy as np
import pytest
from bl_ext.user_default.kmm.scene import axes
from bl_ext.user_default.kmm.scene.character import add_character
from mathutils import Matrix, Vector

from kmm_core.motion import kinematics, rotations
from kmm_core.skeleton import JOINT_NAMES, MIRROR, PARENTS, REST_PELVIS_HEIGHT


@pytest.fixture
def character():
    return add_character(bpy.context)


def turned(armature, name, degrees_about_x):
    """Where every bone's tail is with one bone turned about its X axis."""
    for bone in armature.pose.bones:
        bone.matrix_basis = Matrix.Identity(4)
    armature.pose.bones[name].matrix_basis = Matrix.Rotation(np.radians(degrees_about_x), 4, "X")
    bpy.context.view_layer.update()
    return {bone.name: bone.tail.copy() for bone in armature.pose.bones}


def test_bones_are_the_canonical_joints(character):
    bones = character.data.bones
    assert set(bones.keys()) == set(JOINT_NAMES)
    joints = kinematics.joint_positions(
        np.array([0.0, REST_PELVIS_HEIGHT, 0.0]), np.tile(rotations.IDENTITY, (22, 1))
    )
    for index, name in enumerate(JOINT_NAMES):
        np.testing.assert_allclose(bones[name].head_local, axes.vectors_to_blender(joints[index]), atol=1e-6)
        parent = bones[name].parent
        assert (JOINT_NAMES.index(parent.name) if parent else -1) == PARENTS[index]
        assert bones[name].use_deform


def test_stands_upright_facing_minus_y_in_metres(character):
    bones = character.data.bones
    assert tuple(character.scale) == (1, 1, 1)
    assert bones["left_foot"].tail_local.y < -0.2 < bones["left_foot"].head_local.y < 0
    assert bones["left_hip"].head_local.x > 0 > bones["right_hip"].head_local.x
    assert 1.7 < bones["head"].tail_local.z < 1.8
    mesh = character.children[0]
    heights = [(mesh.matrix_world @ vertex.co).z for vertex in mesh.data.vertices]
    assert min(heights) == pytest.approx(0, abs=1e-6) and 1.7 < max(heights) < 1.8


def test_turning_about_x_bends_as_joints_bend(character):
    rest = turned(character, "pelvis", 0)
    for name, moves, direction in (
        ("spine1", "head", (0, -1, 0)),
        ("head", "head", (0, -1, 0)),
        ("left_elbow", "left_wrist", (0, -1, 0)),
        ("right_elbow", "right_wrist", (0, -1, 0)),
        ("left_knee", "left_knee", (0, 1, 0)),
        ("right_knee", "right_knee", (0, 1, 0)),
        ("left_hip", "left_hip", (0, 1, 0)),
        ("left_ankle", "left_ankle", (0, 0, -1)),
        ("left_foot", "left_foot", (0, 0, -1)),
    ):
        way = turned(character, name, 40)[moves] - rest[moves]
        assert way.normalized().dot(Vector(direction)) > 0.6, name
        assert abs(way.x) < 0.45 * way.length, f"{name} bends sideways"


def test_left_and_right_bones_mirror_each_other_so_that_poses_can_be_pasted_flipped(character):
    mirror = Matrix.Diagonal((-1, 1, 1))
    for index, name in enumerate(JOINT_NAMES):
        here = character.data.bones[name].matrix_local.to_3x3()
        there = character.data.bones[JOINT_NAMES[MIRROR[index]]].matrix_local.to_3x3()
        # Blender's rule: Y and Z axes are reflections, X turns around so that the frame stays right-handed.
        np.testing.assert_allclose(mirror @ here @ mirror, there, atol=1e-5, err_msg=name)


def test_every_vertex_follows_its_bone_rigidly(character):
    generator = np.random.default_rng(0)
    for bone in character.pose.bones:
        bone.rotation_quaternion = rotations.normalize(generator.normal(size=4) + [3, 0, 0, 0])
    character.pose.bones["pelvis"].location = (0.1, 0.2, 0.3)
    character.location = (1, 2, 3)
    mesh = character.children[0]
    depsgraph = bpy.context.evaluated_depsgraph_get()
    posed = mesh.evaluated_get(depsgraph)
    names = [group.name for group in mesh.vertex_groups]
    moved = {bone.name: bone.matrix @ bone.bone.matrix_local.inverted() for bone in character.pose.bones}
    assert len(posed.data.vertices) == len(mesh.data.vertices)
    for before, after in zip(mesh.data.vertices, posed.data.vertices):
        (group,) = before.groups
        assert group.weight == 1
        expected = moved[names[group.group]] @ before.co
        assert (after.co - expected).length < 1e-5
    assert (posed.matrix_world.translation - Vector((1, 2, 3))).length < 1e-6


def test_stands_on_the_cursor_and_is_the_only_one_selected():
    other = bpy.data.objects.new("Other", None)
    bpy.context.collection.objects.link(other)
    other.select_set(True)
    bpy.context.scene.cursor.location = (1, -2, 0.5)
    character = add_character(bpy.context, "Ana ü")
    assert tuple(character.location) == (1, -2, 0.5)
    assert (bpy.context.selected_objects, bpy.context.object) == ([character], character)
    assert bpy.context.mode == "OBJECT"
    assert character.name == "Ana ü"


@pytest.mark.parametrize(
    ("system", "unit", "scale"), [("METRIC", 0.01, 100), ("NONE", 0.01, 1), ("METRIC", 1, 1)]
)
def test_it_is_as_tall_as_a_person_in_the_scenes_own_units(system, unit, scale):
    units = bpy.context.scene.unit_settings
    units.system, units.scale_length = system, unit
    character = add_character(bpy.context)
    bpy.context.view_layer.update()
    assert np.allclose(character.scale, scale) and 1.6 * scale < character.dimensions.z < 1.8 * scale


def test_a_second_one_is_independent_and_shares_materials(character):
    bpy.ops.object.mode_set(mode="POSE")
    second = add_character(bpy.context)
    assert character.mode == "OBJECT"
    assert second.name != character.name and second.data != character.data
    first_mesh, second_mesh = character.children[0].data, second.children[0].data
    assert first_mesh != second_mesh and list(first_mesh.materials) == list(second_mesh.materials)
    assert len(set(first_mesh.materials)) == 2


def test_it_is_seen_although_the_active_collection_is_hidden():
    hidden = bpy.data.collections.new("Props")
    bpy.context.scene.collection.children.link(hidden)
    layer = bpy.context.view_layer.layer_collection.children["Props"]
    bpy.context.view_layer.active_layer_collection = layer
    layer.hide_viewport = True
    character = add_character(bpy.context)
    assert character.visible_get() and character.children[0].visible_get()
    assert len(character.data.bones) == 22


@pytest.mark.parametrize("mode", ["POSE", "EDIT"])
def test_it_is_added_although_the_active_object_was_hidden_in_another_mode(character, mode):
    bpy.ops.object.mode_set(mode=mode)
    character.hide_viewport = True
    bpy.ops.kmm.add_character()
    added = bpy.context.object
    assert added != character and len(added.data.bones) == 22 and bpy.context.mode == "OBJECT"
    character.hide_viewport = False
    assert len(character.data.bones) == 22


def test_the_operator_makes_it_the_one_to_animate():
    assert bpy.ops.kmm.add_character() == {"FINISHED"}
    assert bpy.context.scene.kmm.armature == bpy.context.object
    assert bpy.context.object.type == "ARMATURE"


def test_the_operator_is_grey_where_a_linked_collection_is_active(tmp_path):
    library = bpy.data.collections.new("Set")
    bpy.data.libraries.write(str(tmp_path / "set ü.blend"), {library})
    bpy.data.collections.remove(library)
    with bpy.data.libraries.load(str(tmp_path / "set ü.blend"), link=True) as (_, wanted):
        wanted.collections = ["Set"]
    bpy.context.scene.collection.children.link(bpy.data.collections["Set"])
    layers = bpy.context.view_layer.layer_collection.children
    bpy.context.view_layer.active_layer_collection = layers["Set"]
    with pytest.raises(RuntimeError, match="linked from another file: click one of this file"):
        bpy.ops.kmm.add_character()


def test_the_operator_is_grey_where_an_overridden_collection_is_active(tmp_path):
    library = bpy.data.collections.new("Set")
    library.objects.link(bpy.data.objects.new("Chair", None))
    bpy.data.libraries.write(str(tmp_path / "set ü.blend"), {library})
    bpy.data.objects.remove(bpy.data.objects["Chair"])
    bpy.data.collections.remove(library)
    with bpy.data.libraries.load(str(tmp_path / "set ü.blend"), link=True) as (_, wanted):
        wanted.collections = ["Set"]
    scene, layer = bpy.context.scene, bpy.context.view_layer
    scene.collection.children.link(bpy.data.collections["Set"])
    override = bpy.data.collections["Set"].override_hierarchy_create(scene, layer, do_fully_editable=True)
    layer.active_layer_collection = next(
        child for child in layer.layer_collection.children if child.collection == override
    )
    with pytest.raises(RuntimeError, match="is a library override: click one of this file"):
        bpy.ops.kmm.add_character()
    assert not bpy.data.armatures
