"""The .bvh files of kmm-generate in real Blender: upright, true to size, every frame."""

from __future__ import annotations

import bpy
import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.formats.bvh import write_bvh
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_INDEX, JOINT_NAMES, REST_PELVIS_HEIGHT

FRAMES = 50


@pytest.fixture(scope="module")
def clip():
    """Everything moves, all rotations differ, and the path leads 2 m forward and 1 m to the person's left."""
    random = np.random.default_rng(3)
    start, end = (rotations.from_rotation_vector(random.normal(scale=0.5, size=(22, 3))) for _ in range(2))
    t = np.linspace(0, 1, FRAMES)
    local = rotations.slerp(start[None], end[None], t[:, None])
    root = t[:, None] * np.array([1.0, 0.0, 2.0]) + np.array([0.0, REST_PELVIS_HEIGHT, 0.0])
    return MotionClip(root, local, 30.0)


def import_bvh(path, **settings):
    """The armature that Blender makes of the file."""
    bpy.ops.wm.read_homefile(use_empty=True)
    assert bpy.ops.import_anim.bvh(filepath=str(path), **settings) == {"FINISHED"}
    return next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")


def joint_positions(armature, frame):
    """World positions of the joints in Blender, [22, 3] metres, with our axes: Y up, +Z forward."""
    bpy.context.scene.frame_set(frame)
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    heads = [evaluated.matrix_world @ evaluated.pose.bones[name].head for name in JOINT_NAMES]
    x, y, z = np.array(heads).T
    return np.stack([x, z, -y], axis=-1)


@pytest.mark.parametrize(("unit", "settings"), [("m", {}), ("cm", {"global_scale": 0.01})])
def test_every_frame_stands_where_it_was_generated(tmp_path, clip, unit, settings):
    write_bvh(tmp_path / "shot.bvh", clip, unit=unit)
    armature = import_bvh(tmp_path / "shot.bvh", **settings)
    expected = clip.joint_positions()
    for index in range(FRAMES):
        error = np.abs(joint_positions(armature, index + 1) - expected[index]).max()
        assert error < 1e-4, f"frame {index}: off by {error} m"


def test_frame_range_is_exact(tmp_path, clip):
    write_bvh(tmp_path / "shot.bvh", clip)
    armature = import_bvh(tmp_path / "shot.bvh", update_scene_fps=True)
    assert tuple(armature.animation_data.action.frame_range) == (1, FRAMES)
    render = bpy.context.scene.render
    assert render.fps / render.fps_base == pytest.approx(30, abs=1e-3)


def test_a_standing_person_is_upright_faces_the_front_view_and_has_the_stated_size(tmp_path):
    root = np.tile([0.0, REST_PELVIS_HEIGHT, 0.0], (5, 1))
    write_bvh(tmp_path / "shot.bvh", MotionClip(root, np.tile(rotations.IDENTITY, (5, 22, 1)), 30.0))
    armature = import_bvh(tmp_path / "shot.bvh")
    bpy.context.scene.frame_set(3)
    heads = {name: armature.matrix_world @ armature.pose.bones[name].head for name in JOINT_NAMES}
    assert heads["pelvis"].z == pytest.approx(REST_PELVIS_HEIGHT, abs=1e-4)
    assert 1.4 < heads["head"].z < 1.7
    assert 0 < heads["left_foot"].z < 0.05
    assert heads["left_foot"].y < heads["left_ankle"].y, "toes point to -Y, where Blender's front view stands"
    assert heads["left_wrist"].x > 0.5 > -0.5 > heads["right_wrist"].x
    assert len(armature.pose.bones) == len(JOINT_INDEX)
