"""Retargeting: a motion in foreign skeletons comes back as it was; real recordings keep their limbs' directions."""

import os
from pathlib import Path

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.formats.asf_amc import read_asf_amc
from kmm_core.formats.bvh import read_bvh, write_bvh
from kmm_core.formats.skeletal import SourceMotion
from kmm_core.motion import kinematics, placement, rotations
from kmm_core.motion.bone_names import find_bone_map, split_side
from kmm_core.motion.retarget import as_it_is, to_canonical
from kmm_core.skeleton import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS, PARENTS, REST_OFFSETS

SIDED = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
# How each maker spells the limbs above, for the left side, and the trunk from pelvis to head.
RIGS = {
    "mixamo": (
        "mixamorig:LeftUpLeg mixamorig:LeftLeg mixamorig:LeftFoot mixamorig:LeftToeBase mixamorig:LeftShoulder "
        "mixamorig:LeftArm mixamorig:LeftForeArm mixamorig:LeftHand",
        "mixamorig:Hips mixamorig:Spine mixamorig:Spine1 mixamorig:Spine2 mixamorig:Neck mixamorig:Head",
    ),
    "rokoko": (
        "LeftThigh LeftShin LeftFoot LeftToe LeftShoulder LeftArm LeftForeArm LeftHand",
        "Hips Spine1 Spine2 Spine3 Neck Head",
    ),
    "rigify": (
        "DEF-thigh.L DEF-shin.L DEF-foot.L DEF-toe.L DEF-shoulder.L DEF-upper_arm.L DEF-forearm.L DEF-hand.L",
        "DEF-spine DEF-spine.001 DEF-spine.002 DEF-spine.003 DEF-spine.004 DEF-spine.006",
    ),
    "unreal": (
        "thigh_l calf_l foot_l ball_l clavicle_l upperarm_l lowerarm_l hand_l",
        "pelvis spine_01 spine_02 spine_03 neck_01 head",
    ),
    "biped": (
        "Bip01_L_Thigh|Bip01_L_Calf|Bip01_L_Foot|Bip01_L_Toe0|Bip01_L_Clavicle|Bip01_L_UpperArm|Bip01_L_Forearm|"
        "Bip01_L_Hand",
        "Bip01 Bip01_Spine Bip01_Spine1 Bip01_Spine2 Bip01_Neck Bip01_Head",
    ),
    "smpl": (
        "m_avg_L_Hip m_avg_L_Knee m_avg_L_Ankle m_avg_L_Foot m_avg_L_Collar m_avg_L_Shoulder m_avg_L_Elbow "
        "m_avg_L_Wrist",
        "m_avg_Pelvis m_avg_Spine1 m_avg_Spine2 m_avg_Spine3 m_avg_Neck m_avg_Head",
    ),
    "100style": (
        "LeftHip LeftKnee LeftAnkle LeftToe LeftCollar LeftShoulder LeftElbow LeftWrist",
        "Hips Chest Chest2 Chest3 Neck Head",
    ),
    "daz": ("lThigh lShin lFoot lToe lCollar lShldr lForeArm lHand", "hip abdomen chest chest2 neck head"),
    "acclaim": (
        "lfemur ltibia lfoot ltoes lclavicle lhumerus lradius lhand",
        "root lowerback upperback thorax lowerneck head",
    ),
    "bandai": (
        "UpperLeg_L LowerLeg_L Foot_L Toes_L Shoulder_L UpperArm_L LowerArm_L Hand_L",
        "Hips Spine Chest Chest2 Neck Head",
    ),
    "vroid": (
        "J_Bip_L_UpperLeg J_Bip_L_LowerLeg J_Bip_L_Foot J_Bip_L_ToeBase J_Bip_L_Shoulder J_Bip_L_UpperArm "
        "J_Bip_L_LowerArm J_Bip_L_Hand",
        "J_Bip_C_Hips J_Bip_C_Spine J_Bip_C_Chest J_Bip_C_UpperChest J_Bip_C_Neck J_Bip_C_Head",
    ),
    "without its colon": (
        "mixamorigLeftUpLeg mixamorigLeftLeg mixamorigLeftFoot mixamorigLeftToeBase mixamorigLeftShoulder "
        "mixamorigLeftArm mixamorigLeftForeArm mixamorigLeftHand",
        "mixamorigHips mixamorigSpine mixamorigSpine1 mixamorigSpine2 mixamorigNeck mixamorigHead",
    ),
    "any prefix": (
        "Robot_LeftUpLeg Robot_LeftLeg Robot_LeftFoot Robot_LeftToe Robot_LeftShoulder Robot_LeftArm "
        "Robot_LeftForeArm Robot_LeftHand",
        "Hips Robot_Spine Robot_Spine1 Robot_Spine2 Robot_Neck Robot_Head",
    ),
    "any suffix": (
        "l_upleg_JNT l_leg_JNT l_foot_JNT l_toebase_JNT l_shoulder_JNT l_arm_JNT l_forearm_JNT l_hand_JNT",
        "hips_JNT spine_JNT spine1_JNT spine2_JNT neck_JNT head_JNT",
    ),
    "avatar": (
        "Left leg|Left knee|Left ankle|Left toe|Left shoulder|Left arm|Left elbow|Left wrist",
        "Hips Spine Chest Chest2 Neck Head",
    ),
}
_TO_RIGHT = (("Left", "Right"), ("_L_", "_R_"), (".L", ".R"), ("_L", "_R"))


def to_right(name):
    for left, right in _TO_RIGHT:
        if left in name:
            return name.replace(left, right)
    return name[:-2] + "_r" if name.endswith("_l") else "r" + name[1:]


def joint_names_of(rig):
    limbs, trunk = RIGS[rig]
    limbs = limbs.split("|") if "|" in limbs else limbs.split()
    names = dict(zip(("pelvis", "spine1", "spine2", "spine3", "neck", "head"), trunk.split()))
    for part, name in zip(SIDED, limbs):
        names[f"left_{part}"], names[f"right_{part}"] = name, to_right(name)
    return tuple(names[name] for name in JOINT_NAMES)


def a_walk(frames=60):
    """A walk with swinging arms: knees bend about X, elbows about Y, as in our skeleton's rest pose."""
    swing = np.sin(np.linspace(0, 4 * np.pi, frames))
    turns = np.zeros((frames, NUM_JOINTS, 3))

    def turn(name, axis, angle):
        turns[:, JOINT_INDEX[name], axis] += angle

    for side, sign in (("left", 1), ("right", -1)):
        turn(f"{side}_hip", 0, -0.2 + 0.4 * sign * swing)
        turn(f"{side}_knee", 0, 0.5 + 0.4 * sign * swing)
        turn(f"{side}_ankle", 0, 0.1 * swing)
        turn(f"{side}_shoulder", 2, -sign * 1.1)
        turn(f"{side}_elbow", 1, -sign * (0.6 + 0.3 * swing))
        turn(f"{side}_wrist", 2, sign * 0.2 * swing)
    turn("spine1", 1, 0.1 * swing)
    turn("spine3", 0, 0.1 + 0.05 * swing)
    turn("head", 1, 0.3 * swing)
    turn("pelvis", 1, 0.4 + 0.1 * swing)
    root = np.stack(
        [0.5 * np.linspace(0, 1, frames), 0.9 + 0.02 * swing, 2 * np.linspace(0, 1, frames)], axis=-1
    )
    return MotionClip(root, rotations.from_rotation_vector(turns), 30.0)


def in_foreign_skeleton(clip, names, frames_of_joints=None, axes=rotations.IDENTITY, unit=1.0):
    """The clip as a file would hold it, in joints whose own axes differ from ours.

    Args:
        frames_of_joints: for every joint, its own axes in our rest pose, [22, 4]; the file's zero pose follows.
        axes: turns our world into the file's.
        unit: file units a metre.
    """
    own = np.tile(rotations.IDENTITY, (NUM_JOINTS, 1)) if frames_of_joints is None else frames_of_joints
    world = rotations.multiply(kinematics.global_rotations(clip.local_rotations), own)
    local = world.copy()
    offsets = REST_OFFSETS * unit
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            local[:, joint] = rotations.multiply(rotations.conjugate(world[:, parent]), world[:, joint])
            offsets[joint] = rotations.rotate(rotations.conjugate(own[parent]), offsets[joint])
    local[:, 0] = rotations.multiply(axes, world[:, 0])
    translations = np.broadcast_to(offsets, (clip.num_frames, NUM_JOINTS, 3)).copy()
    translations[:, 0] = rotations.rotate(axes, clip.root_positions) * unit
    ends = np.full((NUM_JOINTS, 3), np.nan)
    return SourceMotion(tuple(names), PARENTS, offsets, ends, local, translations, clip.fps, "foreign.bvh")


def own_axes(**turned):
    """Axes of the joints, [22, 4]: ``part=rotation`` for the left side, mirrored for the right."""
    result = np.tile(rotations.IDENTITY, (NUM_JOINTS, 1))
    for part, q in turned.items():
        result[JOINT_INDEX[f"left_{part}"]] = q
        result[JOINT_INDEX[f"right_{part}"]] = np.asarray(q) * np.array([1, 1, -1, -1])
    return result


def assert_same_motion(found, clip, millimetres=1.0, degrees=0.1):
    placed = placement.face_forward(placement.put_on_floor(clip))
    distance = np.linalg.norm(found.joint_positions() - placed.joint_positions(), axis=-1).max()
    angle = np.rad2deg(rotations.angle_between(found.local_rotations, placed.local_rotations)).max(axis=0)
    assert distance * 1000 < millimetres
    assert angle.max() < degrees, dict(zip(JOINT_NAMES, angle.round(1)))


@pytest.mark.parametrize("rig", RIGS)
def test_names_of_many_makers_are_understood(rig):
    clip = a_walk()
    assert_same_motion(to_canonical(in_foreign_skeleton(clip, joint_names_of(rig), unit=100.0)), clip)


def about(axis, degrees):
    return rotations.from_axis_angle(np.eye(3)["xyz".index(axis)], np.deg2rad(degrees))


REST_POSES = {
    "arms hang": own_axes(**dict.fromkeys(("shoulder", "elbow", "wrist"), about("z", 90))),
    "A-pose": own_axes(**dict.fromkeys(("shoulder", "elbow", "wrist"), about("z", 45))),
    # Acclaim: legs 20 degrees apart, feet leaning with them.
    "legs apart": own_axes(**dict.fromkeys(("hip", "knee", "ankle", "foot"), about("z", -20))),
    "elbows turned": own_axes(**dict.fromkeys(("shoulder", "elbow"), about("x", 30))),
}


@pytest.mark.parametrize("pose", REST_POSES)
def test_the_rest_pose_is_told_from_the_file(pose):
    clip = a_walk()
    foreign = in_foreign_skeleton(clip, joint_names_of("mixamo"), REST_POSES[pose])
    assert_same_motion(to_canonical(foreign), clip)


@pytest.mark.parametrize("collar_length", [1.0, 0.0])
def test_a_file_whose_zero_rotations_are_no_pose_at_all(collar_length):
    # As Bandai Namco's: bones along +X on the left and the centre, along -X on the right.
    own = own_axes()
    for side, half_turn in (("left", 0), ("right", 180)):
        for part in ("hip", "knee", "ankle", "foot"):
            joint = JOINT_INDEX[f"{side}_{part}"]
            own[joint] = rotations.multiply(about("z", -90), about("z", half_turn))
        # The foot's bone slopes down to the toes; X lies along it.
        down = rotations.between([1.0, 0, 0], REST_OFFSETS[JOINT_INDEX["left_foot"]])
        own[JOINT_INDEX[f"{side}_ankle"]] = rotations.multiply(down, about("x", 90))
        own[JOINT_INDEX[f"{side}_foot"]] = own[JOINT_INDEX[f"{side}_ankle"]]
    for name in ("pelvis", "spine1", "spine2", "spine3", "neck", "head"):
        own[JOINT_INDEX[name]] = about("z", 90)
    clip = a_walk()
    foreign = in_foreign_skeleton(clip, joint_names_of("bandai"), own, unit=100.0)
    shoulders = [JOINT_INDEX["left_shoulder"], JOINT_INDEX["right_shoulder"]]
    foreign.offsets[shoulders] *= collar_length
    foreign.local_translations[:, shoulders] *= collar_length
    found = to_canonical(foreign)
    # Where the collars rest cannot be told exactly; limbs, hips and chest can.
    placed = placement.face_forward(placement.put_on_floor(clip))
    for name in ("pelvis", "spine3", "left_hip", "right_knee", "left_elbow", "right_elbow", "left_shoulder"):
        joint = JOINT_INDEX[name]
        ours, theirs = (kinematics.global_rotations(c.local_rotations)[:, joint] for c in (found, placed))
        assert np.rad2deg(rotations.angle_between(ours, theirs)).max() < 1.0, name


@pytest.mark.parametrize("toes", [True, False], ids=["toes", "an End Site"])
@pytest.mark.parametrize(
    ("axes", "unit"), [(about("x", 90), 39.37), (rotations.multiply(about("y", 180), about("x", -90)), 1.0)]
)
def test_up_axis_and_unit_are_found(axes, unit, toes):
    clip = a_walk()
    names = [name if toes or "Toe" not in name else "unnamed" for name in joint_names_of("rokoko")]
    rest = in_foreign_skeleton(clip, names, axes=rotations.IDENTITY, unit=unit)
    ankles, feet = (
        [JOINT_INDEX[f"{side}_{part}"] for side in ("left", "right")] for part in ("ankle", "foot")
    )
    rest.end_offsets[ankles] = rest.offsets[feet]
    # The whole file in other axes: the zero pose as well as the motion.
    turned = SourceMotion(
        rest.joint_names,
        rest.parents,
        rotations.rotate(axes, rest.offsets),
        rotations.rotate(axes, rest.end_offsets),
        rotations.multiply(rotations.multiply(axes, rest.local_rotations), rotations.conjugate(axes)),
        rotations.rotate(axes, rest.local_translations),
        rest.fps,
    )
    assert_same_motion(to_canonical(turned), clip)


def test_a_leading_rest_pose_is_dropped_and_nothing_else():
    clip = a_walk()
    rest = MotionClip(np.array([[0, 0.975, 0.0]]), np.tile(rotations.IDENTITY, (1, NUM_JOINTS, 1)), 30.0)
    joined = MotionClip(
        np.concatenate([rest.root_positions, clip.root_positions]),
        np.concatenate([rest.local_rotations, clip.local_rotations]),
        30.0,
    )
    names = joint_names_of("mixamo")
    assert to_canonical(in_foreign_skeleton(clip, names)).num_frames == clip.num_frames
    assert_same_motion(to_canonical(in_foreign_skeleton(joined, names)), clip)


def test_missing_collars_toes_and_neck_are_done_without():
    clip = a_walk()
    names = list(joint_names_of("unreal"))
    for part in ("collar", "foot"):
        for side in ("left", "right"):
            names[JOINT_INDEX[f"{side}_{part}"]] = f"unnamed_{part}"
    found = to_canonical(in_foreign_skeleton(clip, names))
    elbow = JOINT_INDEX["left_elbow"]
    assert found.num_frames == clip.num_frames
    assert np.linalg.norm(found.joint_positions()[:, elbow], axis=-1).min() > 0.5


def test_jumps_stay_in_the_air_and_the_floor_is_under_the_feet():
    clip = a_walk()
    high = clip.root_positions.copy()
    high[20:30, 1] += 0.5
    found = to_canonical(
        in_foreign_skeleton(MotionClip(high, clip.local_rotations, 30), joint_names_of("smpl"))
    )
    lowest = placement.sole_heights(found).min(axis=1)
    assert abs(np.percentile(lowest, 5)) < 1e-6
    assert lowest[20:30].min() > 0.4


@pytest.mark.parametrize("pitch", [0.15, -0.15])
def test_feet_that_stand_still_are_flat_however_the_skeleton_was_fitted(pitch):
    clip = a_walk().slice(0, 1).resample(30.0, num_frames=60)
    for part, angle in (("hip", 0.0), ("knee", 0.0), ("ankle", pitch)):
        for side in ("left", "right"):
            clip.local_rotations[:, JOINT_INDEX[f"{side}_{part}"]] = rotations.from_axis_angle(
                [1.0, 0, 0], angle
            )
    found = to_canonical(in_foreign_skeleton(clip, joint_names_of("mixamo")))
    ankles = [JOINT_INDEX["left_ankle"], JOINT_INDEX["right_ankle"]]
    toward = rotations.rotate(kinematics.global_rotations(found.local_rotations)[:, ankles], [0.0, 0, 1])
    assert np.abs(toward[..., 1]).max() < 1e-3


def test_placement_faces_forward_at_the_origin():
    placed = placement.face_forward(a_walk().moved(yaw=2.2, translation=(3, 0, 4)))
    assert abs(placement.facing(placed)[0]) < 1e-9
    np.testing.assert_allclose(placed.root_positions[0, [0, 2]], 0, atol=1e-9)
    left = placed.joint_positions()[0, JOINT_INDEX["left_hip"]]
    assert left[0] > 0.08


def test_names_that_say_nothing_are_refused():
    names = [f"bone_{k}" for k in range(NUM_JOINTS)]
    with pytest.raises(KmmError) as caught:
        to_canonical(in_foreign_skeleton(a_walk(), names))
    assert caught.value.code == "unknown_skeleton"
    assert "foreign.bvh" in caught.value.message and "left_hip" in caught.value.message


def test_bones_without_length_are_refused():
    foreign = in_foreign_skeleton(a_walk(), joint_names_of("smpl"))
    foreign.offsets[JOINT_INDEX["left_knee"]] = 0
    with pytest.raises(KmmError, match="at the same place"):
        to_canonical(foreign)


def test_a_skeleton_without_a_spine_is_refused():
    foreign = in_foreign_skeleton(a_walk(), joint_names_of("smpl"))
    parents = list(foreign.parents)
    for name in ("neck", "left_collar", "right_collar"):
        parents[JOINT_INDEX[name]] = 0
    flat = SourceMotion(**{**vars(foreign), "parents": tuple(parents)})
    with pytest.raises(KmmError, match="can serve as a spine"):
        to_canonical(flat)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mixamorig:LeftUpLeg", ("left", "upleg")),
        ("Bip001 R Toe0", ("right", "toe0")),
        ("upper_arm.R.001", ("right", "upperarm1")),
        ("CC_Base_L_Thigh", ("left", "thigh")),
        ("lowerback", ("", "lowerback")),
        ("LHipJoint", ("", "lhipjoint")),
        ("Left", ("left", "")),
        ("_", ("", "")),
    ],
)
def test_sides_are_read_from_names(name, expected):
    assert split_side(name) == expected


def test_foot_is_the_ankle_unless_there_is_an_ankle():
    base = ["LeftHip", "LeftKnee", "LeftFoot", "LeftShoulder", "LeftArm", "LeftElbow", "LeftHand", "Head"]
    names = base + [name.replace("Left", "Right") for name in base[:-1]]
    found = find_bone_map(names)
    assert names[found["left_ankle"]] == "LeftFoot" and "left_foot" not in found
    assert names[found["left_collar"]] == "LeftShoulder"
    found = find_bone_map([*names, "LeftAnkle", "RightAnkle"])
    assert names[found["left_foot"]] == "LeftFoot"


# --- real recordings -------------------------------------------------------------------------------------------

DATA = Path(os.environ.get("KMM_DATA", "/work/cache"))
REAL = [
    "bandai-namco/Bandai-Namco-Research-Motiondataset-2/data/dataset-2_raise-up-left-hand_normal_001.bvh",
    "bandai-namco/Bandai-Namco-Research-Motiondataset-2/data/dataset-2_walk_normal_001.bvh",
    "cmu/bvh/07_12.bvh",
    "cmu/bvh/06_04.bvh",
    "cmu/bvh/118_06.bvh",
    "cmu/bvh/131_02.bvh",
    "cmu/subjects/02/02_01.amc",
    "cmu-dance/martial/08.bvh",
    "extras/fair1/dab.bvh",
]


def read_real(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there: unpack the archives and set KMM_DATA to their folder")
    return read_bvh(path) if path.suffix == ".bvh" else read_asf_amc(path, next(path.parent.glob("*.asf")))


@pytest.mark.parametrize("name", REAL)
def test_limbs_of_real_recordings_keep_their_directions_and_knees_bend_forward(name):
    source = read_real(name)
    bones = find_bone_map(source.joint_names)
    clip = to_canonical(source)
    _, theirs = source.slice(source.num_frames - clip.num_frames, source.num_frames).forward_kinematics()
    ours = clip.joint_positions()
    # Limbs' directions as seen from the body, which does not depend on the file's axes or where the clip stands.
    pairs = [(f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in _BONES]
    their_bones = rotations.normalize(
        np.stack([theirs[:, bones[b]] - theirs[:, bones[a]] for a, b in pairs], axis=1)
    )
    our_bones = rotations.normalize(
        np.stack([ours[:, JOINT_INDEX[b]] - ours[:, JOINT_INDEX[a]] for a, b in pairs], axis=1)
    )
    # One rotation takes all of theirs onto all of ours, in every frame.
    turn = np.linalg.svd(np.einsum("fbi,fbj->ij", our_bones, their_bones))
    turn = turn[0] @ np.diag([1, 1, np.linalg.det(turn[0] @ turn[2])]) @ turn[2]
    cosine = np.einsum("fbi,fbi->fb", our_bones, their_bones @ turn.T)
    assert np.rad2deg(np.arccos(np.clip(cosine, -1, 1))).max() < 2.0
    for side in ("left", "right"):
        thigh, shin = (our_bones[:, pairs.index((f"{side}_{a}", f"{side}_{b}"))] for a, b in _BONES[:2])
        axis = rotations.rotate(
            rotations.conjugate(
                kinematics.global_rotations(clip.local_rotations)[:, JOINT_INDEX[f"{side}_hip"]]
            ),
            np.cross(thigh, shin),
        )
        assert axis[:, 0].min() > -0.1, "a knee bends backward"


_BONES = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))


def test_a_real_left_hand_rises_on_the_left():
    positions = to_canonical(read_real(REAL[0])).joint_positions()
    rise = np.ptp(positions[..., 1], axis=0)
    assert rise[JOINT_INDEX["left_wrist"]] > 0.5 > 0.2 > rise[JOINT_INDEX["right_wrist"]]
    assert positions[0, JOINT_INDEX["left_hip"], 0] > 0.05


def test_a_real_walk_goes_forward_on_flat_feet_that_touch_the_floor():
    clip = to_canonical(read_real(REAL[1]))
    heading = placement.facing(clip)
    velocity = np.gradient(clip.root_positions, axis=0)
    forward = velocity[:, 0] * np.sin(heading) + velocity[:, 2] * np.cos(heading)
    assert (forward * clip.fps).mean() > 0.5
    positions = clip.joint_positions()
    speed = np.linalg.norm(np.gradient(positions, axis=0), axis=-1) * clip.fps
    foot, ankle = JOINT_INDEX["left_foot"], JOINT_INDEX["left_ankle"]
    still = (speed[:, foot] < 0.15) & (speed[:, ankle] < 0.15)
    assert still.sum() > 10
    assert np.abs(positions[still, foot, 1] - 0.02).max() < 0.02
    flat = kinematics.global_rotations(clip.local_rotations)[still, ankle]
    pitch = np.rad2deg(np.arcsin(rotations.rotate(flat, [0.0, 0.0, 1.0])[:, 1]))
    assert np.abs(pitch).max() < 6


def test_a_real_recording_survives_writing_and_reading(tmp_path):
    clip = to_canonical(read_real(REAL[0]))
    write_bvh(tmp_path / "a.bvh", clip, unit="cm")
    again = to_canonical(read_bvh(tmp_path / "a.bvh"))
    np.testing.assert_allclose(again.joint_positions(), clip.joint_positions(), atol=0.02)


def test_only_our_own_skeleton_is_read_as_it_is():
    clip = MotionClip(np.ones((2, 3)), np.tile(rotations.IDENTITY, (2, NUM_JOINTS, 1)), 30.0)
    offsets = np.array(REST_OFFSETS) * 100
    translations = np.broadcast_to(offsets, (2, NUM_JOINTS, 3)).copy()
    translations[:, 0] = 100

    def source(names=JOINT_NAMES, offsets=offsets, translations=translations) -> SourceMotion:
        tips = np.full((NUM_JOINTS, 3), np.nan)
        return SourceMotion(names, PARENTS, offsets, tips, clip.local_rotations, translations, 30.0)

    assert np.allclose(as_it_is(source()).root_positions, clip.root_positions)
    assert as_it_is(source(names=("Hips", *JOINT_NAMES[1:]))) is None
    longer = offsets.copy()
    longer[JOINT_INDEX["left_knee"]] *= 1.1
    assert as_it_is(source(offsets=longer)) is None
    stretched = translations.copy()
    stretched[1, JOINT_INDEX["left_knee"]] *= 1.1
    assert as_it_is(source(translations=stretched)) is None
