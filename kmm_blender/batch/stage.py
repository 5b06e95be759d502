"""A place for the motion where no .blend was given: a floor, light, and a camera that frames the whole motion."""

from __future__ import annotations

import math

import bpy
from mathutils import Euler, Vector

from ..scene import takes
from ..scene.character import shader_node

# From the front and its left, a little above: a walk towards the camera and one across it both show.
_CAMERA_ANGLES = Euler((math.radians(80), 0, math.radians(28)))
_MARGIN = 1.12
# The motion is looked at in about so many frames to place the camera.
_LOOKS = 40
_FLOOR = (0.7, 0.71, 0.73, 1)
_SKY = (0.36, 0.38, 0.42, 1)


def make_stage(scene: bpy.types.Scene) -> None:
    """Floor, sun and sky in an empty scene of metres, and settings that render a person in seconds."""
    # An app template's startup file may measure in centimetres.
    scene.unit_settings.system, scene.unit_settings.scale_length = "METRIC", 1.0
    floor = bpy.data.meshes.new("Floor")
    size = 50.0
    floor.from_pydata(
        [(-size, -size, 0), (size, -size, 0), (size, size, 0), (-size, size, 0)], [], [(0, 1, 2, 3)]
    )
    material = bpy.data.materials.new("Floor")
    material.diffuse_color = _FLOOR
    material.use_nodes = True
    shader_node(material, "BSDF_PRINCIPLED").inputs["Base Color"].default_value = _FLOOR
    floor.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new("Floor", floor))

    sun = bpy.data.lights.new("Sun", "SUN")
    sun.energy, sun.angle = 4.0, math.radians(6)
    light = bpy.data.objects.new("Sun", sun)
    light.rotation_euler = (math.radians(40), math.radians(-15), math.radians(35))
    scene.collection.objects.link(light)

    world = bpy.data.worlds.new("World")
    world.color = _SKY[:3]
    world.use_nodes = True
    shader_node(world, "BACKGROUND").inputs["Color"].default_value = _SKY
    scene.world = world

    scene.render.resolution_x, scene.render.resolution_y = 1280, 720
    shading = scene.display.shading
    shading.color_type, shading.background_type = "MATERIAL", "WORLD"
    shading.show_shadows = shading.show_cavity = True
    # One pass a picture instead of eight: on a machine without graphics that is what takes the time.
    scene.display.render_aa = "FXAA"
    if hasattr(scene, "cycles"):
        scene.cycles.samples = 16
    scene.render.use_persistent_data = True


def set_frame_rate(scene: bpy.types.Scene, fps: float) -> None:
    """``fps`` as Blender stores it: 23.976 is 24 / 1.001."""
    scene.render.fps = round(fps)
    scene.render.fps_base = round(fps) / fps


def add_camera(scene: bpy.types.Scene, armature: bpy.types.Object, frames: tuple[int, int]) -> None:
    """A camera that stands still and sees the armature in all frames of all takes; it becomes the scene's.

    At the scene's resolution: in wider or narrower pictures the motion may leave the view.
    """
    camera = bpy.data.objects.new("KMM Camera", bpy.data.cameras.new("KMM Camera"))
    camera.rotation_euler = _CAMERA_ANGLES
    scene.collection.objects.link(camera)
    scene.camera = camera
    points = _places(scene, armature, frames)
    middle = sum(points, Vector()) / len(points)
    points = [middle + (point - middle) * _MARGIN for point in points]
    layer = bpy.context.view_layer
    layer.update()
    place, _ = camera.camera_fit_coords(
        bpy.context.evaluated_depsgraph_get(), [value for point in points for value in point]
    )
    camera.location = place
    camera.data.clip_end = max(100.0, (place - middle).length * 4)


def _places(scene: bpy.types.Scene, armature: bpy.types.Object, frames: tuple[int, int]) -> list[Vector]:
    """World positions of both ends of all bones, now and then in the motion of every take that waits. Metres."""
    before, points = (scene.frame_current, scene.frame_subframe), []
    first, last = frames
    shown = takes.shown(scene)  # comes last, and so stays shown
    for number in sorted(range(len(scene.kmm.takes)), key=lambda number: number == shown) or [None]:
        if number is not None:
            takes.show(scene, number)
        for frame in {*range(first, last + 1, max(1, (last - first) // _LOOKS)), last}:
            scene.frame_set(frame)
            for bone in armature.pose.bones:
                points += [armature.matrix_world @ bone.head, armature.matrix_world @ bone.tail]
    scene.frame_set(before[0], subframe=before[1])
    return points
