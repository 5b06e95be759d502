"""AMASS in and out: round trip, axes, the pelvis that trans is not, the user's body model, and bad files."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.formats.amass import RestBody, read_amass, write_amass
from kmm_core.motion import rotations
from kmm_core.motion.inverse_kinematics import clip_from_positions
from kmm_core.motion.smpl_rest import SMPL_REST_OFFSETS
from kmm_core.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS, REST_OFFSETS, REST_PELVIS_HEIGHT

FRAMES = 30
ENDS = ("knee", "ankle", "foot", "elbow", "wrist")
LIMBS = [joint for joint, name in enumerate(JOINT_NAMES) if name.endswith(ENDS)]


def a_clip(fps=30.0):
    random = np.random.default_rng(3)
    vectors = random.normal(size=(2, 22, 3)) * 0.5
    t = np.linspace(0, 1, FRAMES)[:, None, None]
    local = rotations.from_rotation_vector((1 - t) * vectors[0] + t * vectors[1])
    return MotionClip(random.normal(size=(1, 3)) + t[:, 0] * [0.5, 0.1, 1.0], local, fps)


def amass_poses(width=156, frames=FRAMES):
    """Standing in SMPL's rest pose in AMASS's world: Y up turned to Z up, 90 degrees about X."""
    poses = np.zeros((frames, width), dtype=np.float64)
    poses[:, 0] = np.pi / 2
    return poses


def save(path, **arrays):
    content = {
        "poses": amass_poses(),
        "trans": np.zeros((FRAMES, 3)),
        "mocap_framerate": 120.0,
        "betas": np.zeros(16),
        "gender": "neutral",
    }
    np.savez(path, **{key: value for key, value in (content | arrays).items() if value is not None})
    return path


def forward_kinematics(poses, trans, joints):
    """SMPL's own joints, Z up, by 4x4 matrices: R about the joint at rest, then trans. [F, 22, 3]."""
    result = np.empty((len(poses), 22, 3))
    for frame, (pose, move) in enumerate(zip(poses, trans, strict=True)):
        world = []
        for joint, parent in enumerate(PARENTS):
            transform = np.eye(4)
            transform[:3, :3] = rotations.to_matrix(
                rotations.from_rotation_vector(pose[3 * joint : 3 * joint + 3])
            )
            transform[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
            world.append(world[parent] @ transform if parent >= 0 else transform)
        result[frame] = np.array(world)[:, :3, 3] + move
    return result


def y_up(points):
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def test_round_trip(tmp_path):
    clip = a_clip(fps=59.94)
    write_amass(tmp_path / "a.amass.npz", clip)
    back = read_amass(tmp_path / "a.amass.npz")
    assert back.fps == clip.fps
    assert np.abs(back.root_positions - clip.root_positions).max() < 1e-5
    assert rotations.angle_between(back.local_rotations, clip.local_rotations).max() < 1e-5
    assert np.abs(back.joint_positions() - clip.joint_positions()).max() < 1e-4
    with np.load(tmp_path / "a.amass.npz", allow_pickle=False) as arrays:
        shapes = {key: arrays[key].shape for key in arrays.files}
        assert str(arrays["gender"]) == "neutral"
    assert shapes == {
        "trans": (FRAMES, 3),
        "poses": (FRAMES, 156),
        "betas": (16,),
        "dmpls": (FRAMES, 8),
        "gender": (),
        "mocap_framerate": (),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["a.amass.npz"]


def test_written_limbs_point_where_ours_point(tmp_path):
    """An independent forward kinematics of SMPL shows the same limbs, and Z up."""
    clip = a_clip()
    write_amass(tmp_path / "a.amass.npz", clip)
    joints = SMPL_REST_OFFSETS.copy()
    for joint, parent in enumerate(PARENTS):
        joints[joint] += joints[parent] if parent >= 0 else [0, -0.24, 0.025]
    with np.load(tmp_path / "a.amass.npz") as arrays:
        shown = y_up(forward_kinematics(arrays["poses"], arrays["trans"], joints))
    ours = clip.joint_positions()
    parents = [PARENTS[joint] for joint in LIMBS]
    for joint, parent in zip(LIMBS, parents, strict=True):
        a, b = shown[:, joint] - shown[:, parent], ours[:, joint] - ours[:, parent]
        cosine = np.sum(a * b, axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.1, JOINT_NAMES[joint]


def test_standing_person_stands_upright_on_the_floor(tmp_path):
    # SMPL's foot joints lie 0.97 m under its pelvis, which is 0.025 m over trans: feet 0.02 m over the floor.
    trans = np.tile([0.5, 2.0, 0.02 + 0.97 - 0.025], (FRAMES, 1))
    clip = read_amass(save(tmp_path / "a.npz", trans=trans))
    joints = clip.joint_positions()[0]
    assert clip.fps == 120
    assert joints[JOINT_INDEX["head"], 1] > 1.4
    assert abs(clip.root_positions[0, 1] - REST_PELVIS_HEIGHT) < 0.01
    assert abs(joints[JOINT_INDEX["left_foot"], 1] - 0.02) < 0.01
    # Facing: SMPL's body looks along its own +Z, which stands along -Y in AMASS and +Z here.
    assert joints[JOINT_INDEX["left_foot"], 2] > joints[JOINT_INDEX["left_ankle"], 2] + 0.1
    assert joints[JOINT_INDEX["left_wrist"], 0] > joints[JOINT_INDEX["right_wrist"], 0] + 1


def test_agrees_with_the_solve_from_positions(tmp_path):
    """SMPL's joints through inverse kinematics and its rotations through read_amass: the same skeleton."""
    poses = amass_poses()
    poses[:, 3 * JOINT_INDEX["left_knee"]] = np.linspace(0.7, 1.2, FRAMES)
    poses[:, 3 * JOINT_INDEX["left_hip"]] = -0.6
    poses[:, 3 * JOINT_INDEX["right_elbow"] + 1] = np.linspace(0.8, 1.4, FRAMES)
    poses[:, 3 * JOINT_INDEX["left_elbow"] + 1] = -1.0
    joints = SMPL_REST_OFFSETS.copy()
    for joint, parent in enumerate(PARENTS):
        joints[joint] += joints[parent] if parent >= 0 else 0
    positions = y_up(forward_kinematics(poses, np.zeros((FRAMES, 3)), joints))
    solved = clip_from_positions(positions, 120.0)
    read = read_amass(save(tmp_path / "a.npz", poses=poses))
    difference = np.degrees(rotations.angle_between(solved.local_rotations, read.local_rotations))
    assert difference.max() < 2


@pytest.mark.parametrize(
    "arrays",
    [
        {"poses": amass_poses(72)},
        {"poses": amass_poses(165)},
        {"poses": amass_poses().reshape(FRAMES, 52, 3)},
        {"poses": amass_poses(), "mocap_framerate": None, "mocap_frame_rate": np.array(120.0)},
        {"poses": None, "root_orient": amass_poses()[:, :3], "pose_body": np.zeros((FRAMES, 63))},
        {
            "poses": None,
            "root_orient": amass_poses()[:, :3],
            "pose_body": np.zeros((FRAMES, 63)),
            "surface_model_type": "smplx",
        },
        {"gender": np.array(b"male"), "betas": np.zeros((1, 10))},
    ],
    ids=["smpl", "smplx", "3d", "frame_rate", "parts", "parts-smplx", "bytes"],
)
def test_layouts(tmp_path, arrays):
    clip = read_amass(save(tmp_path / "a.npz", **arrays))
    reference = read_amass(save(tmp_path / "b.npz"))
    assert clip.fps == 120
    assert np.abs(clip.local_rotations - reference.local_rotations).max() < 1e-9


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"poses": None}, "it lacks poses"),
        ({"trans": None}, "it lacks trans"),
        ({"mocap_framerate": None}, "it lacks a frame rate"),
        ({"mocap_framerate": 0.0}, "not a positive number"),
        ({"mocap_framerate": "fast"}, "not a positive number"),
        ({"poses": amass_poses(100)}, r"poses has shape \[30, 100\]; expected"),
        ({"poses": amass_poses(frames=0), "trans": np.zeros((0, 3))}, "no frame"),
        ({"poses": np.zeros((0, 52, 3)), "trans": np.zeros((0, 3))}, "no frame"),
        ({"poses": amass_poses(frames=29)}, r"trans has shape \[30, 3\]; poses has 29 frames"),
        ({"poses": amass_poses() * np.nan}, "poses hold NaN"),
        ({"trans": np.where(np.eye(FRAMES, 3), np.inf, 0)}, "trans holds NaN or infinity"),
        ({"poses": np.array([{"a": 1}], dtype=object)}, "never loaded"),
        ({"poses": np.full((FRAMES, 156), "x")}, "not numbers"),
        ({"poses": None, "root_orient": np.zeros((3, 3)), "pose_body": np.zeros((4, 63))}, "do not fit"),
        ({"poses": None, "root_orient": np.zeros((63, 3)), "pose_body": np.zeros(63)}, "do not fit"),
    ],
)
def test_bad_files(tmp_path, arrays, message):
    with pytest.raises(KmmError, match=message) as caught:
        read_amass(save(tmp_path / "a.npz", **arrays))
    assert caught.value.code == "bad_amass"
    assert caught.value.hint


@pytest.mark.parametrize("keep", [0, 10, 1000, 30_000])
def test_truncated_files(tmp_path, keep):
    file = save(tmp_path / "a.npz")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(KmmError, match="empty" if keep == 0 else "broken, cut short"):
        read_amass(file)


def test_nothing_is_left_where_writing_fails(tmp_path):
    with pytest.raises(KmmError, match="is not an existing folder"):
        write_amass(tmp_path / "no" / "a.amass.npz", a_clip())
    assert not list(tmp_path.iterdir())


def body_model(path, joints, **change):
    """A body of one vertex per joint; its first shape coefficient makes it taller."""
    count = len(joints)
    content = {
        "v_template": joints,
        "shapedirs": np.stack([joints * [0, 1, 0], np.zeros_like(joints)], axis=-1),
        "J_regressor": np.eye(count),
        "posedirs": np.zeros((count, 3, 9 * (count - 1))),
        "kintree_table": np.array([[2**32 - 1, *range(count - 1)], range(count)], dtype=np.int64),
        "weights": np.eye(count),
        "f": np.array([[0, 1, 2]]),
        "part_names": np.array([{"a": 1}], dtype=object),  # SMPL-X files hold pickles beside the numbers
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{key: value for key, value in (content | change).items() if value is not None})


def own_joints(count=52):
    """Joints of our own skeleton, pelvis at (0.1, -0.3, 0.05), the rest of them at the wrists."""
    joints = np.concatenate([REST_OFFSETS, np.zeros((count - 22, 3))])
    for joint in range(count):
        parent = PARENTS[joint] if joint < 22 else 20
        joints[joint] += joints[parent] if joint else [0.1, -0.3, 0.05]
    return joints


@pytest.mark.parametrize("place", ["SMPLH_MALE.npz", "smplh/SMPLH_MALE.npz", "smplh/male/model.npz"])
def test_body_model_gives_exact_joints(tmp_path, place):
    pytest.importorskip("smplx")
    body_model(tmp_path / "models" / place, own_joints())
    random = np.random.default_rng(0)
    poses = amass_poses()
    poses[:, 3:66] += random.normal(size=63) * 0.3
    trans = random.normal(size=(FRAMES, 3))
    file = save(tmp_path / "a.npz", poses=poses, trans=trans, gender="male")
    clip = read_amass(file, tmp_path / "models")
    # The body has our own bones, so its joints and ours must be at the same places.
    expected = y_up(forward_kinematics(poses, trans, own_joints()))
    assert np.abs(clip.joint_positions() - expected).max() < 1e-5


def test_shape_coefficients_change_the_size(tmp_path):
    pytest.importorskip("smplx")
    body_model(tmp_path / "SMPLH_NEUTRAL.npz", own_joints())
    trans = np.linspace(0, 1, FRAMES)[:, None] * [1.0, 0, 0]
    tall = np.array([0.25, 0, 9, 9])  # more than the model has
    walked = read_amass(save(tmp_path / "a.npz", betas=tall, trans=trans), tmp_path).root_positions
    assert np.ptp(walked[:, 0]) == pytest.approx(1 / 1.25, abs=1e-6)


def test_missing_body_model_tells_how_to_get_it(tmp_path):
    with pytest.raises(KmmError) as caught:
        read_amass(save(tmp_path / "a.npz", gender="female"), tmp_path)
    assert caught.value.code == "body_model_missing"
    assert "SMPLH_FEMALE.npz" in caught.value.message
    assert "Register at https://mano.is.tue.mpg.de" in caught.value.hint
    assert "put SMPLH_FEMALE.npz into" in caught.value.hint
    parts = {"poses": None, "root_orient": amass_poses()[:, :3], "pose_body": np.zeros((FRAMES, 63))}
    for arrays, name in (
        ({"gender": np.array([], dtype=str)}, "SMPLH_NEUTRAL"),
        (parts, "SMPLH_NEUTRAL"),
        (parts | {"pose_jaw": np.zeros((FRAMES, 3))}, "SMPLX_NEUTRAL"),
        (parts | {"surface_model_type": "smplx"}, "SMPLX_NEUTRAL"),
    ):
        with pytest.raises(KmmError, match=name):
            read_amass(save(tmp_path / "a.npz", **arrays), tmp_path)


def test_missing_smplx_tells_how_to_get_it(tmp_path, monkeypatch):
    body_model(tmp_path / "SMPLH_NEUTRAL.npz", own_joints())
    monkeypatch.setitem(sys.modules, "smplx", None)
    with pytest.raises(KmmError, match="needs the Python package smplx") as caught:
        read_amass(save(tmp_path / "a.npz"), tmp_path)
    assert caught.value.code == "smplx_missing"
    assert "pip install smplx" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"J_regressor": None}, "it lacks J_regressor"),
        ({"J_regressor": np.eye(7)}, "do not fit together"),
        ({"v_template": own_joints() * np.nan}, "not finite"),
        ({"shapedirs": np.zeros(3)}, "do not fit together"),
        ({"weights": np.array([{"a": 1}], dtype=object)}, "never loaded"),
    ],
)
def test_broken_body_models(tmp_path, change, message):
    pytest.importorskip("smplx")
    body_model(tmp_path / "SMPLH_NEUTRAL.npz", own_joints(), **change)
    with pytest.raises(KmmError, match=message) as caught:
        read_amass(save(tmp_path / "a.npz"), tmp_path)
    assert caught.value.code == "bad_body_model"


def test_reading_without_a_body_model_loads_no_torch(tmp_path):
    write_amass(tmp_path / "a.amass.npz", a_clip())
    code = (
        "import sys; from kmm_core.formats.amass import read_amass; "
        f"read_amass({str(tmp_path / 'a.amass.npz')!r}); "
        "print('torch' in sys.modules, 'smplx' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


def test_scale_agrees_with_leg_lengths():
    """The mean shape's legs are a little longer than ours."""
    body = RestBody(np.zeros(3), SMPL_REST_OFFSETS)
    ours = 0.40 + 0.41
    theirs = sum(np.linalg.norm(SMPL_REST_OFFSETS[JOINT_INDEX[f"left_{name}"]]) for name in ("knee", "ankle"))
    assert body.scale == pytest.approx(ours / theirs, abs=1e-9)
