"""Bone maps from names and hierarchy alone, without Blender: the rigs that people bring, and what is said of others."""

import numpy as np
import pytest

from kmm_blender.scene.bone_map import find_bone_map, problems, rigify_settings
from kmm_blender.scene.rig import Rig
from kmm_core.errors import KmmError
from kmm_core.skeleton import JOINT_NAMES

LIMBS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
# The limbs above for the left side, and pelvis, spine, neck and head; a dot ends the spine.
RIGS = {
    "our own": (
        "left_hip left_knee left_ankle left_foot left_collar left_shoulder left_elbow left_wrist",
        "pelvis spine1 spine2 spine3 . neck head",
    ),
    "Mixamo": (
        "mixamorig:LeftUpLeg mixamorig:LeftLeg mixamorig:LeftFoot mixamorig:LeftToeBase mixamorig:LeftShoulder "
        "mixamorig:LeftArm mixamorig:LeftForeArm mixamorig:LeftHand",
        "mixamorig:Hips mixamorig:Spine mixamorig:Spine1 mixamorig:Spine2 . mixamorig:Neck mixamorig:Head",
    ),
    "Mixamo, a later namespace": (
        "mixamorig7:LeftUpLeg mixamorig7:LeftLeg mixamorig7:LeftFoot mixamorig7:LeftToeBase mixamorig7:LeftShoulder "
        "mixamorig7:LeftArm mixamorig7:LeftForeArm mixamorig7:LeftHand",
        "mixamorig7:Hips mixamorig7:Spine mixamorig7:Spine1 mixamorig7:Spine2 . mixamorig7:Neck mixamorig7:Head",
    ),
    "Rigify's metarig": (
        "thigh.L shin.L foot.L toe.L shoulder.L upper_arm.L forearm.L hand.L",
        "spine spine.001 spine.002 spine.003 . spine.004 spine.005 spine.006",
    ),
    "Rigify's deforming bones": (
        "DEF-thigh.L DEF-shin.L DEF-foot.L DEF-toe.L DEF-shoulder.L DEF-upper_arm.L DEF-forearm.L DEF-hand.L",
        "DEF-spine DEF-spine.001 DEF-spine.002 DEF-spine.003 . DEF-spine.004 DEF-spine.005 DEF-spine.006",
    ),
    "Unreal 4": (
        "thigh_l calf_l foot_l ball_l clavicle_l upperarm_l lowerarm_l hand_l",
        "pelvis spine_01 spine_02 spine_03 . neck_01 head",
    ),
    "Unreal 5": (
        "thigh_l calf_l foot_l ball_l clavicle_l upperarm_l lowerarm_l hand_l",
        "pelvis spine_01 spine_02 spine_03 spine_04 spine_05 . neck_01 neck_02 head",
    ),
    "HumanIK": (
        "Character1_LeftUpLeg Character1_LeftLeg Character1_LeftFoot Character1_LeftToeBase Character1_LeftShoulder "
        "Character1_LeftArm Character1_LeftForeArm Character1_LeftHand",
        "Character1_Hips Character1_Spine Character1_Spine1 . Character1_Neck Character1_Head",
    ),
    "Rokoko": (
        "LeftThigh LeftShin LeftFoot LeftToe LeftShoulder LeftArm LeftForeArm LeftHand",
        "Hips Spine1 Spine2 Spine3 Spine4 . Neck Head",
    ),
    "CMU": (
        "LeftUpLeg LeftLeg LeftFoot LeftToeBase LeftShoulder LeftArm LeftForeArm LeftHand",
        "Hips LowerBack Spine Spine1 . Neck Neck1 Head",
    ),
    "SMPL": (
        "L_Hip L_Knee L_Ankle L_Foot L_Collar L_Shoulder L_Elbow L_Wrist",
        "Pelvis Spine1 Spine2 Spine3 . Neck Head",
    ),
    "Auto-Rig Pro": (
        "thigh_stretch.l leg_stretch.l foot.l toes_01.l shoulder.l arm_stretch.l forearm_stretch.l hand.l",
        "root.x spine_01.x spine_02.x . neck.x head.x",
    ),
    "MakeHuman": (
        "upperleg01.L lowerleg01.L foot.L toe1-1.L clavicle.L upperarm01.L lowerarm01.L wrist.L",
        "spine05 spine04 spine03 spine02 spine01 . neck01 neck02 head",
    ),
    "Daz": (
        "lThighBend lShin lFoot lToe lCollar lShldrBend lForearmBend lHand",
        "hip abdomenLower abdomenUpper chestLower chestUpper . neckLower neckUpper head",
    ),
    "Character Creator": (
        "CC_Base_L_Thigh CC_Base_L_Calf CC_Base_L_Foot CC_Base_L_ToeBase CC_Base_L_Clavicle CC_Base_L_Upperarm "
        "CC_Base_L_Forearm CC_Base_L_Hand",
        "CC_Base_Hip CC_Base_Waist CC_Base_Spine01 CC_Base_Spine02 . CC_Base_NeckTwist01 CC_Base_Head",
    ),
    "VRM": (
        "J_Bip_L_UpperLeg J_Bip_L_LowerLeg J_Bip_L_Foot J_Bip_L_ToeBase J_Bip_L_Shoulder J_Bip_L_UpperArm "
        "J_Bip_L_LowerArm J_Bip_L_Hand",
        "J_Bip_C_Hips J_Bip_C_Spine J_Bip_C_Chest J_Bip_C_UpperChest . J_Bip_C_Neck J_Bip_C_Head",
    ),
}
MIRRORED = (
    ("Left", "Right"),
    ("left_", "right_"),
    (".L", ".R"),
    (".l", ".r"),
    ("_L_", "_R_"),
    ("L_", "R_"),
)


def to_right(name):
    for left, right in MIRRORED:
        if left in name:
            return name.replace(left, right)
    return name[:-2] + "_r" if name.endswith("_l") else "r" + name[1:]


def hierarchy(limbs, trunk):
    """Bone names to their parents' names, parents first."""
    spine, neck = (part.split() for part in trunk.split(" . "))
    parents = {spine[0]: None}
    for bone, parent in zip([*spine[1:], *neck], [*spine, *neck[:-1]], strict=True):
        parents[bone] = parent
    for side in (str, to_right):
        hip, knee, ankle, foot, collar, shoulder, elbow, wrist = (side(name) for name in limbs.split())
        parents |= {hip: spine[0], knee: hip, ankle: knee, foot: ankle}
        parents |= {collar: spine[-1], shoulder: collar, elbow: shoulder, wrist: elbow}
    return parents, spine, neck


def rig_of(parents, *, deforms=None, constrained=(), settings=None, shows_rest=False):
    """A Rig with these bones; where they are doesn't matter here."""
    names, count = tuple(parents), len(parents)
    return Rig(
        name="Rig",
        bone_names=names,
        parents=tuple(names.index(parent) if parent else -1 for parent in parents.values()),
        rest_rotations=np.tile([1.0, 0, 0, 0], (count, 1)),
        heads=np.zeros((count, 3)),
        inherits_rotation=np.ones(count, bool),
        moves=np.ones(count, bool),
        local_location=np.ones(count, bool),
        deforms=np.array([deforms is None or name in deforms for name in names]),
        constrained=np.array([name in constrained for name in names]),
        copies=(-1,) * count,
        shows_rest=shows_rest,
        settings=settings or {},
        world=np.eye(4),
        scale=1.0,
        parent_world=np.eye(4),
        delta_location=np.zeros(3),
        delta_rotation=np.array([1.0, 0, 0, 0]),
    )


@pytest.mark.parametrize("rig", RIGS.values(), ids=RIGS.keys())
def test_rigs_that_people_bring(rig):
    limbs, trunk = rig
    parents, spine, neck = hierarchy(limbs, trunk)
    found = find_bone_map(rig_of(parents))
    for part, bone in zip(LIMBS, limbs.split(), strict=True):
        assert found.joints[f"left_{part}"] == bone
        assert found.joints[f"right_{part}"] == to_right(bone)
    assert found.joints["pelvis"] == spine[0] and found.joints["head"] == neck[-1]
    assert found.spine == tuple(spine[1:]) and found.neck == tuple(neck[:-1])
    assert found.still == () and found.unmapped == () and found.shown is None
    assert list(found.joints) == [name for name in JOINT_NAMES if name in found.joints]


def mixamo(**extra):
    parents, _, _ = hierarchy(*RIGS["Mixamo"])
    return parents | extra


@pytest.mark.parametrize("rig, extra", [("VRM", "J_Sec_Hair1_01"), ("Character Creator", "CC_Hair_01")])
def test_hair_that_shares_part_of_the_prefix_is_no_hindrance(rig, extra):
    parents, _, neck = hierarchy(*RIGS[rig])
    joints = find_bone_map(rig_of(parents)).joints
    assert find_bone_map(rig_of(parents | {extra: neck[-1]})).joints == joints


def test_a_prefix_that_all_bones_share_but_a_root_that_does_not_deform():
    parents, _, _ = hierarchy(*RIGS["Rokoko"])
    robot = {"Root": None} | {
        f"Robot_{name}": f"Robot_{up}" if up else "Root" for name, up in parents.items()
    }
    found = find_bone_map(rig_of(robot, deforms=set(robot) - {"Root"}))
    assert found.joints == {
        ours: f"Robot_{bone}" for ours, bone in find_bone_map(rig_of(parents)).joints.items()
    }


def test_fingers_faces_and_helpers_stay_as_they_are():
    parents = mixamo(Finger="mixamorig:LeftHand", Jaw="mixamorig:Head", Target=None)
    found = find_bone_map(rig_of(parents, deforms=set(parents) - {"Target"}))
    assert found.unmapped == ("Finger", "Jaw")
    assert found.still == ()


def test_bones_above_and_between_driven_ones_are_kept_at_rest():
    parents = {"Armature": None} | mixamo()
    parents["mixamorig:Hips"] = "Armature"
    parents["Twist"] = "mixamorig:LeftArm"
    parents["mixamorig:LeftForeArm"] = "Twist"
    found = find_bone_map(rig_of(dict(sorted(parents.items(), key=lambda item: depth(parents, item[0])))))
    assert set(found.still) == {"Armature", "Twist"}
    assert found.joints["left_elbow"] == "mixamorig:LeftForeArm"


def depth(parents, name):
    return 0 if name is None else 1 + depth(parents, parents[name])


def test_spine_and_pelvis_side_by_side_as_in_biped():
    parents, _, _ = hierarchy(*RIGS["Unreal 4"])
    parents = {"Bip": None} | {
        bone: "Bip" if bone in ("pelvis", "spine_01") else up for bone, up in parents.items()
    }
    found = find_bone_map(rig_of(parents))
    assert found.joints["pelvis"] == "Bip"
    assert found.spine == ("spine_01", "spine_02", "spine_03")
    assert found.still == ("pelvis",)


def test_bones_that_deform_win_over_controls_of_the_same_name():
    parents, _, _ = hierarchy(*RIGS["Unreal 4"])
    copies = {"ctrl:" + name: parent and "ctrl:" + parent for name, parent in parents.items()}
    found = find_bone_map(rig_of(copies | parents, deforms=set(parents)))
    assert not any("ctrl" in name for name in found.driven)


@pytest.mark.parametrize("deforms", [True, False])
def test_pole_targets_and_ik_controls_are_not_taken_for_limbs(deforms):
    """They have the words for knee, elbow, ankle and wrist that are tried first, and hang from no limb."""
    parents, _, _ = hierarchy(*RIGS["Rigify's metarig"])
    controls = {f"{word}.{side}": None for word in ("knee", "elbow", "ankle", "wrist") for side in "LR"}
    rig = rig_of(controls | parents, deforms=None if deforms else set(parents))
    assert find_bone_map(rig).joints == find_bone_map(rig_of(parents)).joints


def test_a_pole_target_is_no_knee_where_the_foot_hangs_from_the_root():
    parents, _, _ = hierarchy(*RIGS["Rigify's metarig"])
    parents |= {"foot.L": "spine", "foot.R": "spine"}
    rig = rig_of({"knee.L": None, "knee.R": None} | parents)
    assert find_bone_map(rig).joints == find_bone_map(rig_of(parents)).joints


def test_limbs_without_hierarchy_are_found_all_the_same():
    """As the deforming bones of Auto-Rig Pro: what moves them is constraints."""
    parents, _, _ = hierarchy(*RIGS["Auto-Rig Pro"])
    joints = find_bone_map(rig_of(parents)).joints
    parents |= {f"{bone}_stretch.{side}": "root.x" for bone in ("leg", "forearm") for side in "lr"}
    assert find_bone_map(rig_of(parents)).joints == joints


def test_a_rig_that_is_no_person():
    with pytest.raises(KmmError) as caught:
        find_bone_map(rig_of({"Root": None, "Tail": "Root", "Wheel.L": "Root"}))
    assert caught.value.code == "unknown_rig"
    assert "left_hip" in caught.value.message and "'Rig'" in caught.value.message
    assert "Mixamo" in caught.value.hint


def test_legs_that_hang_from_nothing():
    parents = mixamo()
    for side in ("Left", "Right"):
        parents[f"mixamorig:{side}UpLeg"] = None
    with pytest.raises(KmmError, match="have no common parent bone") as caught:
        find_bone_map(rig_of(parents))
    assert caught.value.code == "unknown_rig"


def test_missing_joints_and_constraints_are_reported():
    parents = mixamo()
    for side in ("Left", "Right"):
        del parents[f"mixamorig:{side}ToeBase"]
    rig = rig_of(parents, constrained={"mixamorig:LeftHand"})
    constraints, lacking = problems(rig, find_bone_map(rig))
    assert "mixamorig:LeftHand" in constraints and "Mute" in constraints
    assert "left_foot, right_foot" in lacking
    assert rigify_settings(rig) == []


def test_an_armature_switched_to_its_rest_position_is_reported():
    rig = rig_of(mixamo(), shows_rest=True)
    assert "rest position" in problems(rig, find_bone_map(rig))[0]
