"""The KMM character: an armature of the 22 canonical joints, in metres, facing -Y, with a mannequin skinned to it."""

from __future__ import annotations

import bpy

from kmm_core.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS

from ..ui.properties import metre
from .axes import vectors_to_blender
from .mannequin import REST_POSITIONS, build_surface

# What each bone points at: the next joint, or for the last bones how far on they reach. Core axes, metres.
_POINTS_AT = {
    "pelvis": "spine1",
    "spine1": "spine2",
    "spine2": "spine3",
    "spine3": "neck",
    "neck": "head",
    "head": (0.0, 0.16, 0.0),
    "left_collar": "left_shoulder",
    "left_shoulder": "left_elbow",
    "left_elbow": "left_wrist",
    "left_wrist": (0.17, 0.0, 0.0),
    "left_hip": "left_knee",
    "left_knee": "left_ankle",
    "left_ankle": "left_foot",
    "left_foot": (0.0, 0.0, 0.08),
}
# Where a bone's Z axis looks at rest; its X axis then bends the body the way a joint bends: a positive turn about X
# bows trunk and head, curls arms, knees and toes. Left and right mirror each other. Core axes.
_Z_AXIS = {"hip": (0, 0, -1), "knee": (0, 0, -1), "ankle": (0, -1, 0), "foot": (0, -1, 0)}
_Z_FORWARD = (0, 0, 1)

# Linear RGB of the shells and of the joints between them.
_COLOURS = {"KMM Body": (0.62, 0.60, 0.57, 1.0), "KMM Joints": (0.045, 0.07, 0.10, 1.0)}
# Blender's bone colour sets: red right, green left, yellow centre, so that sides are told apart in any view.
_PALETTES = {"right": "THEME01", "left": "THEME03"}
_CENTRE_PALETTE = "THEME09"


def add_character(context: bpy.types.Context, name: str = "KMM Character") -> bpy.types.Object:
    """Adds the character at the 3D cursor, standing on it, and makes it the only selected and the active object.

    Returns:
        The armature object. Its bones are called as the canonical joints; the mesh is its child.
    """
    # One that is hidden can't leave its mode, and need not.
    if context.object is not None and context.object.mode != "OBJECT" and bpy.ops.object.mode_set.poll():
        bpy.ops.object.mode_set(mode="OBJECT")
    armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    armature.location = context.scene.cursor.location
    armature.scale = [metre(context.scene)] * 3
    _link(context, armature)
    for other in context.selected_objects:
        other.select_set(False)
    armature.select_set(True)
    context.view_layer.objects.active = armature

    bpy.ops.object.mode_set(mode="EDIT")
    _add_bones(armature.data)
    bpy.ops.object.mode_set(mode="OBJECT")
    _colour_bones(armature)
    _link(context, _new_mannequin(armature))
    return armature


def _link(context: bpy.types.Context, made: bpy.types.Object) -> None:
    context.collection.objects.link(made)
    view = context.space_data
    if view is not None and view.type == "VIEW_3D" and view.local_view:
        made.local_view_set(view, True)


def _add_bones(armature: bpy.types.Armature) -> None:
    positions = vectors_to_blender(REST_POSITIONS)
    for index, name in enumerate(JOINT_NAMES):
        side, _, part = name.rpartition("_")
        target = _POINTS_AT[name if side != "right" else f"left_{part}"]
        bone = armature.edit_bones.new(name)
        bone.head = positions[index]
        if isinstance(target, str):
            bone.tail = positions[
                JOINT_INDEX[target if side != "right" else target.replace("left_", "right_")]
            ]
        else:
            x, y, z = target
            bone.tail = positions[index] + vectors_to_blender((-x if side == "right" else x, y, z))
        bone.align_roll(vectors_to_blender(_Z_AXIS.get(part, _Z_FORWARD)))
        if index > 0:
            bone.parent = armature.edit_bones[JOINT_NAMES[PARENTS[index]]]
            bone.use_connect = (bone.head - bone.parent.tail).length < 1e-6


def _colour_bones(armature: bpy.types.Object) -> None:
    armature.data.display_type = "STICK"
    armature.show_in_front = True
    for bone in armature.data.bones:
        bone.color.palette = _PALETTES.get(bone.name.partition("_")[0], _CENTRE_PALETTE)


def _new_mannequin(armature: bpy.types.Object) -> bpy.types.Object:
    """The mesh, as a child of the armature, every vertex wholly with one bone."""
    surface = build_surface()
    mesh = bpy.data.meshes.new(armature.name)
    mesh.from_pydata(vectors_to_blender(surface.vertices), (), surface.faces)
    mesh.shade_smooth()
    for name, colour in _COLOURS.items():
        mesh.materials.append(_material(name, colour))
    mesh.polygons.foreach_set("material_index", surface.materials)
    mesh.update()

    mannequin = bpy.data.objects.new(f"{armature.name} Mesh", mesh)
    mannequin.parent = armature
    for index, name in enumerate(JOINT_NAMES):
        group = mannequin.vertex_groups.new(name=name)
        group.add((surface.bones == index).nonzero()[0].tolist(), 1.0, "REPLACE")
    modifier = mannequin.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    return mannequin


def _material(name: str, colour: tuple[float, float, float, float]) -> bpy.types.Material:
    """The character's material of that name, shared by all characters in the file."""
    material = bpy.data.materials.get(name)
    if material is None:
        material = bpy.data.materials.new(name)
        material.diffuse_color = colour
        material.roughness = 0.6
        material.use_nodes = True
        shader = shader_node(material, "BSDF_PRINCIPLED")
        shader.inputs["Base Color"].default_value = colour
        shader.inputs["Roughness"].default_value = 0.6
    return material


def shader_node(owner: bpy.types.Material | bpy.types.World, kind: str) -> bpy.types.ShaderNode:
    """The node of that type in a new material or world. Not by name: Blender names nodes in its interface's language."""
    return next(node for node in owner.node_tree.nodes if node.type == kind)
