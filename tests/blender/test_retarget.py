"""Retargeting in Blender itself: what the armature shows, frame by frame, against the clip that was asked for.

Rigs are made here: our own body or another's proportions, in the naming, axes, units, rest pose and bone rolls of what
people import. Markers (a nose, thumbs) hang from head and hands, so that a twist about a bone does not go unseen.
"""

from __future__ import annotations

import addon_utils
import bpy
import numpy as np
import pytest
from bl_ext.user_default.kmm.scene.action_writer import assign, fcurves, write_action
from bl_ext.user_default.kmm.scene.bone_map import find_bone_map, problems, rigify_settings
from bl_ext.user_default.kmm.scene.character import add_character
from bl_ext.user_default.kmm.scene.fk_switch import switch_to_fk
from bl_ext.user_default.kmm.scene.request_builder import build_plan
from bl_ext.user_default.kmm.scene.retarget import (
    floor_under,
    ground_height,
    pose_to_clip,
    retarget_steps,
)
from bl_ext.user_default.kmm.scene.rig import Pose, read_pose, read_rig
from bl_ext.user_default.kmm.ui.rig_report import rig_report
from mathutils import Matrix, Quaternion, Vector

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.motion import kinematics, rotations
from kmm_core.skeleton import JOINT_INDEX, JOINT_NAMES, REST_OFFSETS, REST_PELVIS_HEIGHT

FRAMES = 8
LIMBS = [
    (f"{side}_{start}", f"{side}_{end}")
    for side in ("left", "right")
    for start, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]
LEG = float(
    np.linalg.norm(REST_OFFSETS[JOINT_INDEX["left_knee"]])
    + np.linalg.norm(REST_OFFSETS[JOINT_INDEX["left_ankle"]])
)
MIXAMO = """Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 LeftToeBase RightToeBase
    Neck LeftShoulder RightShoulder Head LeftArm RightArm LeftForeArm RightForeArm LeftHand RightHand"""
UNREAL = """pelvis thigh_l thigh_r spine_01 calf_l calf_r spine_02 foot_l foot_r spine_03 ball_l ball_r
    neck_01 clavicle_l clavicle_r head upperarm_l upperarm_r lowerarm_l lowerarm_r hand_l hand_r"""


def random_clip(seed=3, frames=FRAMES, start=(0.0, 0.0)):
    """Every joint turns on its own, and the person walks an arc that leads forward and to its left."""
    random = np.random.default_rng(seed)
    first, last = (rotations.from_rotation_vector(random.normal(scale=0.45, size=(22, 3))) for _ in range(2))
    t = np.linspace(0, 1, frames)
    local = rotations.slerp(first[None], last[None], t[:, None])
    local[:, 0] = rotations.multiply(rotations.from_yaw(t * 2.0), local[:, 0])
    root = t[:, None] * np.array([1.0, 0.2, 2.0]) + np.array([start[0], REST_PELVIS_HEIGHT, start[1]])
    return MotionClip(root, local, 30.0)


def make_rig(
    *,
    names=None,
    prefix="",
    arms_down=0.0,
    unit=1.0,
    y_up=False,
    tails="child",
    leave_out=(),
    leg_factor=1.0,
    thigh=0.0,
    floor=0.0,
    root_bone=False,
):
    """An armature object of a person, with markers; in Blender's axes unless ``y_up`` (facing +Z then).

    Args:
        names: its names for our joints, in our order.
        prefix: a namespace.
        arms_down: degrees that the arms hang below the T-pose.
        unit: armature units a metre.
        tails: "child" as riggers do, "up" as some importers do, "random" directions and rolls.
        leave_out: joints without a bone; children hang from the next one above.
        leg_factor: length of the legs against ours.
        thigh: how much longer the thighs, and shorter the shins, are than ours, metres.
        floor: height of the soles in the armature.
        root_bone: a bone on the floor above the pelvis.
    """
    names = dict(zip(JOINT_NAMES, names.split() if names else JOINT_NAMES, strict=True))
    offsets = REST_OFFSETS.copy()
    for side, sign in (("left", 1), ("right", -1)):
        lower = rotations.from_axis_angle(np.array([0, 0, 1.0]), -sign * np.deg2rad(arms_down))
        for part in ("elbow", "wrist"):
            offsets[JOINT_INDEX[f"{side}_{part}"]] = rotations.rotate(
                lower, offsets[JOINT_INDEX[f"{side}_{part}"]]
            )
        for part in ("knee", "ankle"):
            offsets[JOINT_INDEX[f"{side}_{part}"]] *= leg_factor
        offsets[JOINT_INDEX[f"{side}_knee"]] -= [0, thigh, 0]
        offsets[JOINT_INDEX[f"{side}_ankle"]] += [0, thigh, 0]
    height = REST_PELVIS_HEIGHT + LEG * (leg_factor - 1) + floor
    still = np.tile(rotations.IDENTITY, (22, 1))
    at = dict(
        zip(JOINT_NAMES, kinematics.joint_positions(np.array([0, height, 0]), still, offsets), strict=True)
    )
    bones = {}  # name: (head, tail, parent)
    random = np.random.default_rng(0)
    parents = dict(
        zip(JOINT_NAMES, [None if p < 0 else JOINT_NAMES[p] for p in kinematics.PARENTS], strict=True)
    )
    for name, head in at.items():
        if name in leave_out:
            continue
        parent = parents[name]
        while parent in leave_out:
            parent = parents[parent]
        children = [at[child] for child in JOINT_NAMES if parents[child] == name]
        tail = np.mean(children, axis=0) if children else head + np.array([0, 0.08, 0])
        if tails == "up":
            tail = head + np.array([0, 0.05, 0])
        if tails == "random":
            tail = head + rotations.normalize(random.normal(size=3)) * 0.05
        bones[prefix + names[name]] = (head, tail, prefix + names[parent] if parent else None)
    for name, marker in (("head", "Nose"), ("left_wrist", "ThumbLeft"), ("right_wrist", "ThumbRight")):
        bones[marker] = (at[name], at[name] + np.array([0, 0, 0.1]), prefix + names[name])
    if root_bone:
        bones["root"] = (np.zeros(3), np.array([0, 0, -0.2]), None)
        head, tail, _ = bones[prefix + names["pelvis"]]
        bones[prefix + names["pelvis"]] = (head, tail, "root")

    thing = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.mode_set(mode="EDIT")
    edit = thing.data.edit_bones
    for name, (head, tail, _) in bones.items():
        bone = edit.new(name)
        bone.head, bone.tail = (
            (Vector(p) if y_up else Vector((p[0], -p[2], p[1]))) * unit for p in (head, tail)
        )
        bone.roll = random.uniform(-3, 3) if tails == "random" else 0.0
    for name, (_, _, parent) in bones.items():
        edit[name].parent = edit[parent] if parent else None
    bpy.ops.object.mode_set(mode="OBJECT")
    thing.rotation_mode = "QUATERNION"
    thing.scale = [1 / unit] * 3
    if y_up:
        thing.rotation_quaternion = Quaternion((1, 0, 0), np.pi / 2)
    bpy.context.view_layer.update()
    return thing


def retarget(*arguments, **options):
    """The keys, which ``retarget_steps`` gives last."""
    *_, keys = retarget_steps(*arguments, **options)
    return keys


def apply(armature, keys, frame):
    """Sets the channels to one row of the keys, as the F-curves would."""
    for name, turn in zip(keys.bone_names, keys.rotations[frame], strict=True):
        armature.pose.bones[name].rotation_mode = "QUATERNION"
        armature.pose.bones[name].rotation_quaternion = turn
    for name, values in keys.locations.items():
        armature.pose.bones[name].location = values[frame]
    if keys.object_locations is not None:
        armature.location = keys.object_locations[frame]
        armature.rotation_mode = "QUATERNION"
        armature.rotation_quaternion = keys.object_rotations[frame]
    bpy.context.view_layer.update()


def heads(armature, bone_names):
    """World heads of bones in the core's axes, [N, 3]."""
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    x, y, z = np.array([evaluated.matrix_world @ evaluated.pose.bones[n].head for n in bone_names]).T
    return np.stack([x, z, -y], axis=-1)


def direction(armature, bone):
    """Where a bone points in the world, in the core's axes, [3]."""
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    x, y, z = (evaluated.matrix_world.to_3x3() @ evaluated.pose.bones[bone].vector).normalized()
    return np.array([x, z, -y])


def degrees_between(a, b):
    a, b = rotations.normalize(a), rotations.normalize(b)
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))


def check_person(armature, clip, keys, bones, *, leg_factor=1.0, markers=True):
    """Limbs point where the clip's do, markers show no twist, and the hips are where legs of that length put them."""
    expected = clip.joint_positions()
    turns = kinematics.global_rotations(clip.local_rotations)
    for frame in range(clip.num_frames):
        apply(armature, keys, frame)
        at = dict(zip(bones, heads(armature, bones.values()), strict=True))
        for start, end in LIMBS:
            wanted = expected[frame, JOINT_INDEX[end]] - expected[frame, JOINT_INDEX[start]]
            assert degrees_between(at[end] - at[start], wanted) < 0.05, f"frame {frame}: {start} to {end}"
        if markers:
            for joint, marker in (
                ("head", "Nose"),
                ("left_wrist", "ThumbLeft"),
                ("right_wrist", "ThumbRight"),
            ):
                wanted = rotations.rotate(turns[frame, JOINT_INDEX[joint]], np.array([0, 0, 1.0]))
                assert degrees_between(direction(armature, marker), wanted) < 0.05, f"frame {frame}: {marker}"
        hips = (at["left_hip"] + at["right_hip"]) / 2
        wanted = expected[frame, [JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]]].mean(axis=0)
        ankle = REST_PELVIS_HEIGHT - 0.08 - LEG
        wanted = (wanted - [0, ankle, 0]) * leg_factor + [0, ankle, 0]
        np.testing.assert_allclose(hips, wanted, atol=1e-4, err_msg=f"frame {frame}: hips")


@pytest.mark.parametrize("root", ["bone", "object"])
@pytest.mark.parametrize(
    "rig", [{}, {"tails": "random"}, {"unit": 100.0, "y_up": True, "tails": "up"}], ids=str
)
def test_every_joint_of_our_own_skeleton_is_where_the_clip_says(rig, root):
    armature, clip = make_rig(**rig), random_clip()
    scanned = read_rig(armature)
    keys = retarget(clip, scanned, find_bone_map(scanned), root=root)
    expected = clip.joint_positions()
    for frame in range(FRAMES):
        apply(armature, keys, frame)
        error = np.abs(heads(armature, JOINT_NAMES) - expected[frame]).max()
        assert error < 1e-4, f"frame {frame}: off by {error * 1000:.3f} mm"


@pytest.mark.parametrize("root", ["bone", "object"])
def test_our_own_character_plays_the_clip_from_its_action_within_a_millimetre(root):
    armature, clip = add_character(bpy.context), random_clip(frames=40)
    armature.location, armature.rotation_euler = (1, 2, 0), (0, 0, 0.5)
    bpy.context.view_layer.update()
    scanned = read_rig(armature)
    keys = retarget(clip, scanned, find_bone_map(scanned), root=root)
    assign(armature, write_action("Take", armature, keys, -5))
    expected = clip.joint_positions()
    for frame in range(clip.num_frames):
        bpy.context.scene.frame_set(frame - 5)
        error = np.linalg.norm(heads(armature, JOINT_NAMES) - expected[frame], axis=-1).max()
        assert error < 1e-3, f"frame {frame}: off by {error * 1000:.2f} mm"


RIGS = {
    "T-pose": {},
    "A-pose": {"arms_down": 45.0},
    "arms down, bones rolled at random": {"arms_down": 85.0, "tails": "random"},
    "Mixamo: namespace, centimetres, Y up": {
        "names": MIXAMO,
        "prefix": "mixamorig:",
        "unit": 100.0,
        "y_up": True,
        "arms_down": 5.0,
    },
    "Unreal: A-pose, root bone": {"names": UNREAL, "arms_down": 40.0, "root_bone": True, "unit": 100.0},
    "long legs, all bones upright": {"names": MIXAMO, "leg_factor": 1.4, "tails": "up"},
    "no toes, collars, neck": {
        "leave_out": ("left_foot", "right_foot", "left_collar", "right_collar", "neck"),
        "arms_down": 30.0,
    },
    "two spine bones": {"names": UNREAL, "leave_out": ("spine2",)},
    "one spine bone": {"leave_out": ("spine2", "spine3")},
    "no spine": {"leave_out": ("spine1", "spine2", "spine3", "neck")},
}


@pytest.mark.parametrize("root", ["bone", "object"])
@pytest.mark.parametrize("rig", RIGS.values(), ids=RIGS.keys())
def test_limbs_of_any_rig_point_where_the_clip_says(rig, root):
    armature, clip = make_rig(**rig), random_clip()
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    assert len(bone_map.driven) == 22 - len(rig.get("leave_out", ()))
    keys = retarget(clip, scanned, bone_map, root=root)
    check_person(armature, clip, keys, dict(bone_map.joints), leg_factor=rig.get("leg_factor", 1.0))


def test_a_spine_of_fewer_bones_bends_as_ours_does_over_the_length_of_each():
    local = np.tile(rotations.IDENTITY, (1, 22, 1))
    for name, degrees in (("spine1", 20), ("spine2", 30), ("spine3", 40)):
        local[:, JOINT_INDEX[name]] = rotations.from_axis_angle(np.array([1.0, 0, 0]), np.deg2rad(degrees))
    scanned = read_rig(make_rig(leave_out=("spine2",)))
    keys = retarget(MotionClip(np.zeros((1, 3)), local, 30.0), scanned, find_bone_map(scanned))
    lower, upper = (np.linalg.norm(REST_OFFSETS[JOINT_INDEX[name]]) for name in ("spine2", "spine3"))
    bend = (20 * lower + 50 * upper) / (lower + upper)
    turns = dict(
        zip(keys.bone_names, rotations.angle_between(keys.rotations[0], rotations.IDENTITY), strict=True)
    )
    assert np.degrees(turns["spine1"]) == pytest.approx(bend, abs=0.3)
    assert np.degrees(turns["spine3"]) == pytest.approx(90 - bend, abs=0.3)


def bent_legs(*hip_degrees):
    """A clip of frames with both legs bent: thighs forward by so many degrees, shins back as far; the ankles stay in place."""
    turn = np.deg2rad(np.asarray(hip_degrees, dtype=float))
    local = np.tile(rotations.IDENTITY, (len(turn), 22, 1))
    for side in ("left", "right"):
        forward = rotations.from_axis_angle(np.array([-1.0, 0, 0]), turn)
        local[:, JOINT_INDEX[f"{side}_hip"]] = forward
        local[:, JOINT_INDEX[f"{side}_knee"]] = rotations.from_axis_angle(np.array([1.0, 0, 0]), 1.5 * turn)
    clip = MotionClip(np.zeros((len(turn), 3)), local, 30.0)
    ankles = clip.joint_positions()[:, [JOINT_INDEX["left_ankle"], JOINT_INDEX["right_ankle"]]].mean(axis=1)
    return MotionClip(np.array([0, REST_PELVIS_HEIGHT - 0.08 - LEG, 0]) - ankles, local, 30.0)


@pytest.mark.parametrize("root", ["bone", "object"])
def test_feet_stay_where_they_stand_whatever_the_share_of_the_thigh(root):
    """Thighs 6 cm longer and shins shorter than ours, in a squat: by rotations alone the feet would rise and slide."""
    armature, clip = make_rig(thigh=0.06), bent_legs(0, 30, 60, 90)
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    keys = retarget(clip, scanned, bone_map, root=root)
    joints = [JOINT_INDEX["left_ankle"], JOINT_INDEX["right_ankle"]]
    for frame in range(clip.num_frames):
        apply(armature, keys, frame)
        ankles = heads(armature, ["left_ankle", "right_ankle"])
        np.testing.assert_allclose(ankles, clip.joint_positions()[frame, joints], atol=3e-3)
        pose = read_pose(armature, scanned, bpy.context.evaluated_depsgraph_get())
        back = pose_to_clip(pose, scanned, bone_map, floor=0.0)
        np.testing.assert_allclose(back.joint_positions()[0], clip.joint_positions()[frame], atol=2e-4)


def test_of_a_lifted_and_a_standing_foot_the_standing_one_stays():
    clip = bent_legs(60, 60)
    local = clip.local_rotations.copy()
    for name in ("right_hip", "right_knee"):
        local[:, JOINT_INDEX[name]] = rotations.IDENTITY
    armature, clip = make_rig(thigh=0.06), MotionClip(clip.root_positions, local, 30.0)
    scanned = read_rig(armature)
    apply(armature, retarget(clip, scanned, find_bone_map(scanned)), 0)
    wanted = clip.joint_positions()[0, JOINT_INDEX["right_ankle"]]
    np.testing.assert_allclose(heads(armature, ["right_ankle"])[0], wanted, atol=3e-3)


def test_hips_do_not_jerk_where_the_feet_of_a_runner_pass_each_other():
    local = np.tile(rotations.IDENTITY, (60, 22, 1))
    for side, phase in (("left", 0.0), ("right", np.pi)):
        swing = 2 * np.pi * 1.4 * np.arange(60) / 30 + phase
        forward, back = 0.3 + 0.6 * np.sin(swing), 0.9 + 0.8 * np.sin(swing + 1.8)
        local[:, JOINT_INDEX[f"{side}_hip"]] = rotations.from_axis_angle(np.array([-1.0, 0, 0]), forward)
        local[:, JOINT_INDEX[f"{side}_knee"]] = rotations.from_axis_angle(np.array([1.0, 0, 0]), back)
    scanned = read_rig(make_rig(thigh=0.06))
    clip = MotionClip(np.tile([0, REST_PELVIS_HEIGHT, 0], (60, 1)), local, 30.0)
    places = retarget(clip, scanned, find_bone_map(scanned)).locations["pelvis"]
    assert np.linalg.norm(np.diff(places, 2, axis=0), axis=1).max() < 0.03


def test_the_left_hand_stays_the_left_one():
    armature = make_rig(names=MIXAMO, arms_down=45.0)
    local = np.tile(rotations.IDENTITY, (1, 22, 1))
    # The left arm is raised straight up from the T-pose.
    local[:, JOINT_INDEX["left_shoulder"]] = rotations.from_axis_angle(np.array([0, 0, 1.0]), np.pi / 2)
    clip = MotionClip(np.array([[0, REST_PELVIS_HEIGHT, 0]]), local, 30.0)
    scanned = read_rig(armature)
    apply(armature, retarget(clip, scanned, find_bone_map(scanned)), 0)
    hands = {
        name: armature.matrix_world @ armature.pose.bones[name].head
        for name in ("LeftHand", "RightHand", "Head")
    }
    assert hands["LeftHand"].z > hands["Head"].z > hands["RightHand"].z
    assert hands["RightHand"].x < -0.5 < 0 < hands["LeftHand"].x
    assert direction(armature, "Nose") @ [0, 0, 1] > 0.99, "the person faces the front view"


@pytest.mark.parametrize("mode", ["XYZ", "QUATERNION", "AXIS_ANGLE"])
def test_the_object_may_stand_anywhere_turned_parented_and_with_deltas(mode):
    armature, clip = make_rig(arms_down=20.0, unit=100.0), random_clip()
    parent = bpy.data.objects.new("Cart", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.location, parent.rotation_euler, parent.scale = (3, -2, 1), (0.1, 0.2, 1.0), (2, 2, 2)
    armature.rotation_mode = mode
    armature.rotation_euler, armature.rotation_quaternion = (0.3, 0.1, 0.5), (0.8, 0.1, 0.2, 0.5)
    armature.rotation_axis_angle = (0.4, 0.0, 0.6, 0.8)
    armature.location, armature.delta_location = (1, 2, 3), (0.5, 0, 0)
    armature.delta_rotation_euler, armature.delta_rotation_quaternion = (0, 0, 0.7), (0.9, 0, 0, 0.3)
    armature.parent, armature.matrix_parent_inverse = parent, Matrix.Translation((1, 1, 0))
    bpy.context.view_layer.update()
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    legs = scanned.scale * 100  # the parent makes the person twice as tall
    for root in ("bone", "object"):
        keys = retarget(clip, scanned, bone_map, root=root)
        if keys.object_rotations is not None and mode != "QUATERNION":
            # The writer turns quaternions into the object's own mode; here they are set the long way round.
            euler = [Quaternion(q) for q in keys.object_rotations]
            for frame in range(FRAMES):
                apply_bones_only(armature, keys, frame)
                armature.location = keys.object_locations[frame]
                if mode == "XYZ":
                    armature.rotation_euler = euler[frame].to_euler("XYZ")
                else:
                    axis, angle = euler[frame].to_axis_angle()
                    armature.rotation_axis_angle = (angle, *axis)
                bpy.context.view_layer.update()
                check_limbs(armature, clip, frame)
        else:
            for frame in range(FRAMES):
                apply(armature, keys, frame)
                check_limbs(armature, clip, frame)
        hips = heads(armature, ["left_hip", "right_hip"]).mean(axis=0)
        wanted = clip.joint_positions()[-1, [JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]]].mean(axis=0)
        np.testing.assert_allclose(hips, wanted * legs, atol=1e-3)


def apply_bones_only(armature, keys, frame):
    for name, turn in zip(keys.bone_names, keys.rotations[frame], strict=True):
        armature.pose.bones[name].rotation_quaternion = turn
    for name, values in keys.locations.items():
        armature.pose.bones[name].location = values[frame]


def check_limbs(armature, clip, frame, bones=None):
    bones = bones or dict(zip(JOINT_NAMES, JOINT_NAMES, strict=True))
    at = dict(zip(bones, heads(armature, bones.values()), strict=True))
    expected = dict(zip(JOINT_NAMES, clip.joint_positions()[frame], strict=True))
    for start, end in LIMBS:
        assert degrees_between(at[end] - at[start], expected[end] - expected[start]) < 0.05, (
            frame,
            start,
            end,
        )


def test_the_object_carries_the_way_and_the_heading():
    armature, clip = make_rig(names=MIXAMO, unit=100.0, y_up=True), random_clip()
    scanned = read_rig(armature)
    keys = retarget(clip, scanned, find_bone_map(scanned), root="object")
    x, _, z = clip.root_positions.T
    hips = clip.joint_positions()[:, [JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]]].mean(axis=1)
    np.testing.assert_allclose(
        keys.object_locations[:, :2], np.stack([hips[:, 0], -hips[:, 2]], axis=1), atol=1e-6
    )
    np.testing.assert_allclose(keys.object_locations[:, 2], 0, atol=1e-6)
    assert np.ptp(x) > 0.9 and np.ptp(z) > 1.9
    for turn in keys.object_rotations:
        up = Quaternion(turn) @ Vector((0, 1, 0))
        assert up.z == pytest.approx(1, abs=1e-6), "the object stays upright"
    forward = np.array([Quaternion(turn) @ Vector((0, 0, 1)) for turn in keys.object_rotations])
    faced = np.unwrap(np.arctan2(forward[:, 0], -forward[:, 1]))
    np.testing.assert_allclose(faced, np.unwrap(rotations.yaw(clip.local_rotations[:, 0])), atol=1e-6)
    assert np.ptp(faced) > 1
    # What the pelvis bone has left to do stays within a stride, also where the person stands beside the origin.
    assert np.abs(keys.locations["Hips"]).max() / 100 < 0.4
    armature.data.transform(Matrix.Translation((50, 0, 200)))
    beside = retarget(clip, read_rig(armature), find_bone_map(scanned), root="object")
    np.testing.assert_allclose(beside.locations["Hips"], keys.locations["Hips"], atol=1e-3)


def test_a_connected_pelvis_leaves_the_way_to_the_bone_above():
    armature, clip = make_rig(names=UNREAL, root_bone=True), random_clip()
    bpy.ops.object.mode_set(mode="EDIT")
    edit = armature.data.edit_bones
    edit["root"].tail = edit["pelvis"].head
    edit["pelvis"].use_connect = True
    bpy.ops.object.mode_set(mode="OBJECT")
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    keys = retarget(clip, scanned, bone_map)
    assert np.ptp(keys.locations["root"], axis=0).max() > 1
    check_person(armature, clip, keys, dict(bone_map.joints))


def test_bones_that_ignore_their_parents_and_locations_in_the_armatures_axes():
    armature, clip = make_rig(names=UNREAL, root_bone=True, tails="random"), random_clip()
    for name in ("head", "upperarm_l", "thigh_r"):
        armature.data.bones[name].use_inherit_rotation = False
    armature.data.bones["pelvis"].use_local_location = False
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    check_person(armature, clip, retarget(clip, scanned, bone_map), dict(bone_map.joints))


def test_twist_bones_and_a_root_that_were_posed_are_put_back_to_rest():
    armature, clip = make_rig(names=UNREAL, root_bone=True), random_clip()
    bpy.ops.object.mode_set(mode="EDIT")
    edit = armature.data.edit_bones
    twist = edit.new("upperarm_twist_01_l")
    twist.head, twist.tail = (
        edit["upperarm_l"].head.lerp(edit["lowerarm_l"].head, 0.5),
        edit["lowerarm_l"].head,
    )
    twist.parent = edit["upperarm_l"]
    edit["lowerarm_l"].parent = twist
    bpy.ops.object.mode_set(mode="OBJECT")
    for name in ("root", "upperarm_twist_01_l"):
        armature.pose.bones[name].rotation_mode = "QUATERNION"
        armature.pose.bones[name].rotation_quaternion = (0.8, 0.6, 0, 0)
    armature.pose.bones["root"].location = (1, 2, 3)
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    assert set(bone_map.still) == {"root", "upperarm_twist_01_l"}
    check_person(armature, clip, retarget(clip, scanned, bone_map), dict(bone_map.joints))


@pytest.mark.parametrize(
    "name", ["T-pose", "Mixamo: namespace, centimetres, Y up", "arms down, bones rolled at random"]
)
def test_a_pose_comes_back_as_the_clip_that_made_it(name):
    armature, clip = make_rig(**RIGS[name]), random_clip(start=(2.0, -3.0))
    armature.location, armature.rotation_mode = (4, 5, 0), "XYZ"
    armature.rotation_euler.rotate_axis("X", 0.4)
    bpy.context.view_layer.update()
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    keys = retarget(clip, scanned, bone_map)
    for frame in (0, FRAMES - 1):
        apply(armature, keys, frame)
        pose = read_pose(armature, scanned, bpy.context.evaluated_depsgraph_get())
        back = pose_to_clip(pose, scanned, bone_map, fps=24.0, floor=0.0)
        assert (back.num_frames, back.fps) == (1, 24.0)
        np.testing.assert_allclose(back.joint_positions()[0], clip.joint_positions()[frame], atol=2e-4)


def test_the_motion_starts_where_the_character_stands_and_faces():
    armature = make_rig(names=MIXAMO, unit=100.0, y_up=True, leg_factor=0.8)
    armature.location = (2, 3, 0.5)
    armature.rotation_quaternion = Quaternion((0, 0, 1), 1.1) @ armature.rotation_quaternion
    bpy.context.view_layer.update()
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    assert ground_height(scanned, bone_map) == pytest.approx(0.5, abs=1e-5)
    before = heads(armature, ["Hips"])[0]
    pose = pose_to_clip(
        read_pose(armature, scanned, bpy.context.evaluated_depsgraph_get()), scanned, bone_map
    )
    keys = retarget(pose, scanned, bone_map, floor=ground_height(scanned, bone_map))
    apply(armature, keys, 0)
    np.testing.assert_allclose(heads(armature, ["Hips"])[0], before, atol=1e-4)
    facing = direction(armature, "Nose")
    np.testing.assert_allclose(facing, [np.sin(1.1), 0, np.cos(1.1)], atol=1e-4)


def bent(**degrees) -> MotionClip:
    """One frame of our own skeleton, with joints turned forward about X; the root stays at standing height."""
    local = np.tile(rotations.IDENTITY, (1, 22, 1))
    for joint, angle in degrees.items():
        local[0, JOINT_INDEX[joint]] = rotations.from_axis_angle(np.array([1.0, 0, 0]), np.deg2rad(angle))
    return MotionClip(np.array([[0.0, REST_PELVIS_HEIGHT, 0.0]]), local, 30.0)


POSES = {
    "standing": bent(),
    "on tiptoe": bent(left_ankle=50, right_ankle=50),
    "sitting": bent(left_hip=-85, right_hip=-85, left_knee=85, right_knee=85),
    "sitting on the floor": bent(left_hip=-90, right_hip=-90),
    "lying": bent(pelvis=-90),
    "lying prone": bent(pelvis=90),
    "on one leg": bent(left_hip=-80, left_knee=90),
    "bowing": bent(left_hip=-80, right_hip=-80, pelvis=80),
}


@pytest.mark.parametrize("lift", [0.0, 0.08, -0.08, 0.6, -1.3])
@pytest.mark.parametrize("name", POSES)
def test_the_floor_is_the_objects_own_unless_the_pose_is_well_off_it(name, lift):
    """However a person is posed, something rests on the floor; ours has the height of the joint, not of the skin."""
    clip = POSES[name]
    armature = make_rig(names=UNREAL, leg_factor=0.8)
    armature.location.z = 0.5
    bpy.context.view_layer.update()
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    # The lowest joint where our toes are when standing, but who lies has no toes below.
    down = clip.joint_positions()[0, :, 1].min() - bent().joint_positions()[0, :, 1].min()
    resting = MotionClip(clip.root_positions - [0.0, down, 0.0], clip.local_rotations, 30.0)
    apply(armature, retarget(resting, scanned, bone_map, floor=0.5 + lift), 0)
    pose = read_pose(armature, scanned, bpy.context.evaluated_depsgraph_get())
    moved = abs(lift) > 0.2
    assert floor_under(pose, scanned, bone_map) == pytest.approx(
        0.5 + lift * moved, abs=0.04 if moved else 1e-9
    )


def test_a_pose_of_scaled_bones_is_refused():
    """The keys would put a person of the rest pose's size there: it sank into the floor, with bent legs."""
    armature = make_rig(names=UNREAL, root_bone=True)
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    for scale in (1.0, 1.05, 0.5):
        armature.pose.bones["root"].scale = [scale] * 3
        bpy.context.view_layer.update()
        pose = read_pose(armature, scanned, bpy.context.evaluated_depsgraph_get())
        if scale != 0.5:
            pose_to_clip(pose, scanned, bone_map)
    with pytest.raises(KmmError, match="are 0.50 times as long") as caught:
        pose_to_clip(pose, scanned, bone_map)
    assert caught.value.code == "scaled_pose" and "Alt+S" in caught.value.hint


@pytest.mark.parametrize("floor", [0.0, -0.98])
def test_a_rig_whose_origin_is_its_hips_still_stands_on_the_floor(floor):
    armature = make_rig(floor=floor)
    standing = MotionClip(
        np.array([[0, REST_PELVIS_HEIGHT, 0]]), np.tile(rotations.IDENTITY, (1, 22, 1)), 30.0
    )
    scanned = read_rig(armature)
    apply(armature, retarget(standing, scanned, find_bone_map(scanned)), 0)
    foot = heads(armature, ["left_foot"])[0]
    assert 0 <= foot[1] < 0.03


@pytest.fixture
def rigify():
    """Rigify, which ships with Blender, enabled for a test."""
    addon_utils.enable("rigify", default_set=True)
    yield
    bpy.ops.wm.read_homefile(use_empty=True)  # no bone may keep what disabling takes away
    addon_utils.disable("rigify", default_set=True)


def test_rigifys_metarig(rigify):
    bpy.ops.object.armature_human_metarig_add()
    armature, clip = bpy.context.object, random_clip()
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    assert bone_map.joints["pelvis"] == "spine" and bone_map.joints["head"] == "spine.006"
    assert bone_map.spine == ("spine.001", "spine.002", "spine.003")
    assert bone_map.neck == ("spine.004", "spine.005")
    assert bone_map.joints["left_shoulder"] == "upper_arm.L" and bone_map.joints["right_foot"] == "toe.R"
    assert problems(scanned, bone_map) == []
    keys = retarget(clip, scanned, bone_map)
    check_limbs_of(armature, clip, keys, bone_map.joints)


def test_the_controls_of_a_generated_rigify_rig(rigify_rig):
    armature, clip = rigify_rig, random_clip()
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    assert bone_map.joints["pelvis"] == "torso" and bone_map.joints["left_shoulder"] == "upper_arm_fk.L"
    assert not any(name.startswith(("DEF-", "ORG-", "MCH-")) for name in (*bone_map.driven, *bone_map.still))
    assert set(bone_map.unmapped) == {f"DEF-{part}.{side}" for part in ("pelvis", "breast") for side in "LR"}
    [sentence] = problems(scanned, bone_map)
    assert "IK_FK" in sentence
    bpy.context.view_layer.update()
    assert switch_to_fk(armature) > 0
    bpy.context.view_layer.update()
    shown = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["ORG-thigh.L"]
    assert shown.constraints["Copy Transforms.001"].influence == 0  # at once, not with the next frame
    scanned = read_rig(armature)
    assert problems(scanned, bone_map) == []
    keys = retarget(clip, scanned, bone_map)
    check_limbs_of(armature, clip, keys, bone_map.shown.joints)
    pose = read_pose(armature, scanned, bpy.context.evaluated_depsgraph_get())
    back = pose_to_clip(pose, scanned, bone_map, floor=0.0)
    np.testing.assert_allclose(back.root_positions[0], clip.root_positions[-1], atol=1e-4)
    # Controls for the middle of the spine and the neck are shared out over more bones than we have.
    turns, wanted = (kinematics.global_rotations(c.local_rotations[-1]) for c in (back, clip))
    exact = [i for i, name in enumerate(JOINT_NAMES) if name not in ("spine1", "spine2", "neck")]
    assert np.degrees(rotations.angle_between(turns, wanted)[exact]).max() < 0.05


def custom_properties(armature):
    """Without Rigify's own groups of parameters, which are never the same object twice."""
    items = {(bone.name, key): value for bone in armature.pose.bones for key, value in bone.items()}
    return {key: value for key, value in items.items() if isinstance(value, (int, float))}


def test_switch_to_fk_sets_what_is_needed_in_one_undo_step(rigify_rig):
    name = rigify_rig.name
    bpy.context.scene.kmm.armature = rigify_rig
    bpy.ops.ed.undo_push(message="before")
    before, wanted = custom_properties(rigify_rig), rigify_settings(read_rig(rigify_rig))
    assert bpy.ops.kmm.switch_to_fk("EXEC_DEFAULT", True) == {"FINISHED"}
    after = custom_properties(rigify_rig)
    assert after == before | {(bone, prop): value for bone, prop, value in wanted} != before
    assert [type(value) for value in after.values()] == [type(value) for value in before.values()]
    assert bpy.ops.kmm.switch_to_fk("EXEC_DEFAULT", True) == {"CANCELLED"}
    bpy.ops.ed.undo()
    assert custom_properties(bpy.data.objects[name]) == before


def key_it(armature, bone, prop):
    armature.pose.bones[bone].keyframe_insert(f'["{prop}"]', frame=1)


def key_it_in_the_nla(armature, bone, prop):
    key_it(armature, bone, prop)
    data = armature.animation_data
    data.nla_tracks.new().strips.new("IK", 1, data.action)
    data.action = None


def key_it_in_a_meta_strip(armature, bone, prop):
    key_it_in_the_nla(armature, bone, prop)
    armature.animation_data.nla_tracks[0].strips[0].select = True
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.ui_type = "NLA_EDITOR"
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        assert bpy.ops.nla.meta_add() == {"FINISHED"}


def drive_it(armature, bone, prop):
    armature.pose.bones[bone].driver_add(f'["{prop}"]')


@pytest.mark.parametrize("animate", [key_it, key_it_in_the_nla, key_it_in_a_meta_strip, drive_it])
def test_switch_to_fk_leaves_animated_properties_to_the_animator(rigify_rig, animate):
    animate(rigify_rig, "thigh_parent.L", "IK_FK")
    bpy.context.scene.kmm.armature = rigify_rig
    before = custom_properties(rigify_rig)
    with pytest.raises(RuntimeError, match=r"IK_FK of thigh_parent\.L is animated or driven"):
        bpy.ops.kmm.switch_to_fk()
    assert custom_properties(rigify_rig) == before
    data = rigify_rig.animation_data
    for track in data.nla_tracks:
        track.mute = True
    for curve in [*(fcurves(data.action, rigify_rig) if data.action else []), *data.drivers]:
        curve.mute = True
    assert bpy.ops.kmm.switch_to_fk() == {"FINISHED"}


def link_into_new_file(armature, folder):
    """The armature linked into an empty file, and chosen there."""
    name, path = armature.name, str(folder / "rig.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (_, target):
        target.objects = [name]
    [linked] = target.objects
    bpy.context.scene.collection.objects.link(linked)
    bpy.context.scene.kmm.armature = linked
    return linked


def override_chosen_armature():
    settings = bpy.context.scene.kmm
    settings.armature = settings.armature.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
    settings.armature.override_library.is_system_override = False
    return settings.armature


def test_switch_to_fk_of_a_linked_rig_needs_an_override(rigify_rig, tmp_path):
    linked = link_into_new_file(rigify_rig, tmp_path)
    before = custom_properties(linked)
    with pytest.raises(RuntimeError, match="is linked from .* and can't be animated here"):
        bpy.ops.kmm.switch_to_fk()
    assert custom_properties(linked) == before
    override_chosen_armature()
    assert bpy.ops.kmm.switch_to_fk() == {"FINISHED"}
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    scanned = read_rig(bpy.context.scene.kmm.armature)
    assert all(scanned.settings[bone, prop] == value for bone, prop, value in rigify_settings(scanned))


def test_switch_to_fk_sets_nothing_that_an_override_would_lose(rigify_rig, tmp_path):
    rigify_rig.pose.bones["thigh_parent.L"].property_overridable_library_set('["IK_FK"]', False)
    link_into_new_file(rigify_rig, tmp_path)
    override = override_chosen_armature()
    before = custom_properties(override)
    with pytest.raises(
        RuntimeError, match=r"IK_FK of thigh_parent\.L can't be changed in a library override"
    ):
        bpy.ops.kmm.switch_to_fk()
    assert custom_properties(override) == before


def test_switch_to_fk_has_nothing_to_do_for_other_rigs():
    armature = make_rig()
    assert switch_to_fk(armature) == 0


def check_limbs_of(armature, clip, keys, bones):
    for frame in range(FRAMES):
        apply(armature, keys, frame)
        check_limbs(armature, clip, frame, bones)


@pytest.mark.parametrize("root", ["bone", "object"])
def test_long_motion_in_slices_is_the_same_motion(root):
    armature, clip = make_rig(), random_clip(frames=2500)
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    *pauses, keys = retarget_steps(clip, scanned, bone_map, root=root)
    # Three slices; then they are joined, a slice at a time for each kind of turn.
    assert pauses == [None] * (9 if root == "object" else 6) and keys.num_frames == 2500
    for frame in (0, 999, 1000, 2499):
        apply(armature, keys, frame)
        check_limbs(armature, clip, frame)
    steps = np.sum(keys.rotations[1:] * keys.rotations[:-1], axis=-1)
    assert steps.min() > 0.99, "no quaternion flips its sign"
    if root == "object":
        assert np.abs(np.diff(keys.object_locations, axis=0)).max() < 0.01


def test_several_frames_of_a_pose_make_a_clip_of_as_many():
    armature, clip = make_rig(), random_clip()
    scanned = read_rig(armature)
    bone_map = find_bone_map(scanned)
    keys = retarget(clip, scanned, bone_map)
    poses = []
    for frame in range(FRAMES):
        apply(armature, keys, frame)
        poses.append(read_pose(armature, scanned, bpy.context.evaluated_depsgraph_get()))
    pose = Pose(
        *(np.concatenate([getattr(p, name) for p in poses]) for name in ("rotations", "heads", "worlds"))
    )
    back = pose_to_clip(pose, scanned, bone_map)
    np.testing.assert_allclose(back.joint_positions(), clip.joint_positions(), atol=2e-4)


def test_a_limb_without_length_and_a_person_without_sides_are_refused():
    armature = make_rig()
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in armature.data.edit_bones:
        if bone.name.startswith(("left_wrist", "ThumbLeft")):
            bone.translate(
                armature.data.edit_bones["left_elbow"].head - armature.data.edit_bones["left_wrist"].head
            )
    bpy.ops.object.mode_set(mode="OBJECT")
    scanned = read_rig(armature)
    with pytest.raises(KmmError, match="left_elbow and the next bone at the same place") as caught:
        retarget(random_clip(), scanned, find_bone_map(scanned))
    assert caught.value.code == "unknown_rig"
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in armature.data.edit_bones:
        bone.head.x = 0
        bone.tail = bone.head + Vector((0, 0, 0.05))  # Blender removes bones without a length
    bpy.ops.object.mode_set(mode="OBJECT")
    scanned = read_rig(armature)
    with pytest.raises(KmmError, match="left and right sides are at the same place") as caught:
        retarget(random_clip(), scanned, find_bone_map(scanned))
    assert caught.value.code == "unknown_rig"


@pytest.mark.parametrize("upside_down", ["spine1", "_hip"])
def test_a_rest_pose_with_trunk_and_legs_on_one_side_is_refused_before_generating(upside_down):
    """As the bones of some BVH data sets lie, all along one axis: limbs came out right and the trunk upside down."""
    armature = make_rig()
    scene = bpy.context.scene
    scene.kmm.armature = armature
    bpy.ops.kmm.add_prompt()
    bpy.ops.object.mode_set(mode="EDIT")
    edit = armature.data.edit_bones
    for top in [bone for bone in edit if bone.name.endswith(upside_down)]:
        for bone in (top, *top.children_recursive):
            for end in ("head", "tail"):
                x, y, z = getattr(bone, end)
                setattr(bone, end, (x, y, 2 * edit["pelvis"].head.z - z))
    bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(KmmError, match="hips are not between its neck and its feet") as caught:
        build_plan(bpy.context)
    assert caught.value.code == "unknown_rig" and "T-pose" in caught.value.hint
    assert rig_report(armature).error.message == caught.value.message


def failure(armature):
    with pytest.raises(KmmError) as caught:
        read_rig(armature)
    return caught.value


def test_what_cannot_be_animated_is_said_plainly(tmp_path):
    assert failure(None).code == "no_armature"
    empty = bpy.data.objects.new("Lamp", None)
    assert (
        failure(empty).code == "not_an_armature"
        and "'Lamp' is an object of type EMPTY" in failure(empty).message
    )
    boneless = bpy.data.objects.new("Boneless", bpy.data.armatures.new("Boneless"))
    assert failure(boneless).code == "no_bones"


@pytest.mark.parametrize(
    ("scale", "words"), [((1, 1, 2), "1, 1, 2"), ((-1, 1, 1), "mirrored"), ((0, 0, 0), "0, 0, 0")]
)
def test_mirrored_and_stretched_objects(scale, words):
    armature = make_rig()
    armature.scale = scale
    bpy.context.view_layer.update()
    error = failure(armature)
    assert error.code == "bad_scale" and words in error.message and error.hint


@pytest.mark.parametrize("stretch", [(1, 2, 1), (-1, 1, 1)])
def test_an_object_below_a_stretched_or_mirrored_parent_cannot_carry_the_way(stretch):
    """Its own scale makes up for the parent's as it stands, and no longer once it turns."""
    armature = make_rig()
    parent = bpy.data.objects.new("Stretched", None)
    bpy.context.collection.objects.link(parent)
    armature.parent = parent
    parent.scale, armature.scale = stretch, [1 / side for side in stretch]
    bpy.context.view_layer.update()
    rig = read_rig(armature)
    clip = random_clip()
    retarget(clip, rig, find_bone_map(rig))
    settings = bpy.context.scene.kmm
    settings.armature, settings.root = armature, "OBJECT"
    for use in (
        lambda: build_plan(bpy.context),  # before anything is generated
        lambda: retarget(clip, rig, find_bone_map(rig), root="object"),
    ):
        with pytest.raises(KmmError, match="The parent of '.*' is stretched or mirrored") as caught:
            use()
        assert caught.value.code == "bad_scale" and "Pelvis Bone" in caught.value.hint


def test_edit_mode():
    armature = make_rig()
    bpy.ops.object.mode_set(mode="EDIT")
    assert failure(armature).code == "edit_mode"
    bpy.ops.object.mode_set(mode="OBJECT")


def test_linked_and_overridden_armatures(tmp_path):
    make_rig()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "person.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "person.blend"), link=True) as (source, target):
        target.objects = list(source.objects)
    linked = target.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    error = failure(linked)
    assert error.code == "linked_armature" and "person.blend" in error.message and "Override" in error.hint
    override = linked.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
    assert override.override_library.is_system_override
    error = failure(override)
    assert error.code == "linked_armature" and "override" in error.message
    override.override_library.is_system_override = False
    assert read_rig(override).bone_names


def test_a_renamed_bone_is_noticed_when_the_pose_is_read():
    armature = make_rig()
    scanned = read_rig(armature)
    armature.data.bones["left_hip"].name = "something else"
    with pytest.raises(KmmError) as caught:
        read_pose(armature, scanned, bpy.context.evaluated_depsgraph_get())
    assert caught.value.code == "changed_armature" and "'left_hip'" in caught.value.message


def test_constraints_on_driven_bones_are_reported():
    armature = make_rig()
    armature.pose.bones["left_wrist"].constraints.new("COPY_ROTATION")
    scanned = read_rig(armature)
    [sentence] = problems(scanned, find_bone_map(scanned))
    assert "left_wrist" in sentence
    armature.pose.bones["left_wrist"].constraints[0].mute = True
    armature.data.pose_position = "REST"
    [sentence] = problems(read_rig(armature), find_bone_map(scanned))
    assert "Pose Position" in sentence
    armature.data.pose_position = "POSE"
    scanned = read_rig(armature)
    assert problems(scanned, find_bone_map(scanned)) == []
    assert rigify_settings(scanned) == []


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "AXIS_ANGLE"])
def test_drivers_on_driven_bones_are_reported(mode):
    armature = make_rig()
    elbow = armature.pose.bones["left_elbow"]
    elbow.rotation_mode = mode
    elbow.driver_add("scale", 0)
    elbow.driver_add("rotation_euler" if mode == "QUATERNION" else "rotation_quaternion", 1)  # without effect
    scanned = read_rig(armature)
    assert problems(scanned, find_bone_map(scanned)) == []
    in_use = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}
    driver = elbow.driver_add(in_use.get(mode, "rotation_euler"), 1)
    [sentence] = problems(read_rig(armature), find_bone_map(scanned))
    assert "left_elbow" in sentence and "drivers" in sentence
    driver.mute = True
    assert problems(read_rig(armature), find_bone_map(scanned)) == []
