"""AMASS ``.npz`` (SMPL, SMPL-H, SMPL-X parameters) in and out. Light zone: torch only with a body model.

AMASS (Mahmood et al. 2019) stores, Z up, axis-angle rotations of SMPL's joints against its rest pose, and
``trans``, which is not the pelvis: the body turns about its pelvis joint where that stands at rest, J0, so
the pelvis is at J0 + trans. The rest joints depend on the person's shape; they come from the user's body
model by its joint regressor or, without one, from the proportions of the mean shape.
"""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..atomic_write import atomic_write
from ..clip import MotionClip
from ..errors import KmmError
from ..motion import rotations
from ..motion.rotations import Array
from ..motion.smpl_motion import SmplMotion
from ..motion.smpl_rest import SMPL_REST_OFFSETS, SMPL_REST_PELVIS, rest_pose
from ..skeleton import JOINT_INDEX, NUM_JOINTS, PARENTS, REST_OFFSETS
from .array_file import read_arrays

_RATE_KEYS = ("mocap_framerate", "mocap_frame_rate", "fps")
_POSE_KEYS = ("poses", "root_orient", "pose_body", "pose_jaw", "surface_model_type")
_KEYS = (*_RATE_KEYS, *_POSE_KEYS, "trans", "betas", "gender")
_MODEL_OF_WIDTH = {66: "smplh", 72: "smpl", 156: "smplh", 165: "smplx"}
_SITES = {
    "smpl": "https://smpl.is.tue.mpg.de",
    "smplh": "https://mano.is.tue.mpg.de (Extended SMPL+H model for AMASS)",
    "smplx": "https://smpl-x.is.tue.mpg.de",
}
_GENDERS = ("neutral", "female", "male")
_SMPLH_WIDTH = 156
_NUM_BETAS = 16
# The pelvis joint of the mean shape in its model's own axes, metres.
_REST_PELVIS = {
    "smpl": SMPL_REST_PELVIS,
    "smplh": SMPL_REST_PELVIS,
    "smplx": np.array([0.0, -0.35, 0.01]),
}
_LEGS = [JOINT_INDEX[name] for name in ("left_knee", "right_knee", "left_ankle", "right_ankle")]
_LEFT_LEG = [JOINT_INDEX[name] for name in ("left_hip", "left_knee", "left_ankle", "left_foot")]
# Turns the Z-up world into ours: -90 degrees about X.
_Z_UP_TO_Y_UP = rotations.from_axis_angle(np.array([1.0, 0.0, 0.0]), -np.pi / 2)


@dataclass(frozen=True)
class RestBody:
    """A body at rest in SMPL's own axes (Y up).

    Attributes:
        pelvis: the pelvis joint, [3] m.
        offsets: each joint from its parent, [22, 3] m.
    """

    pelvis: Array
    offsets: Array

    @property
    def scale(self) -> float:
        """Length of our legs over this body's."""
        lengths = np.linalg.norm(self.offsets[_LEGS], axis=-1).sum()
        return float(np.linalg.norm(REST_OFFSETS[_LEGS], axis=-1).sum() / lengths)

    @property
    def lift(self) -> float:
        """What to add to the height of the scaled pelvis so that our feet stand where this body's do, m."""
        return float(self.scale * self.offsets[_LEFT_LEG, 1].sum() - REST_OFFSETS[_LEFT_LEG, 1].sum())


def read_amass(path: str | Path, body_models: str | Path | None = None) -> MotionClip:
    """The clip of an AMASS file, at its own frame rate, in the canonical size.

    Args:
        path: ``.npz`` with ``poses`` ([F, 72] SMPL, [F, 156] SMPL-H, [F, 165] SMPL-X) or ``root_orient`` and
            ``pose_body``, with ``trans`` [F, 3] m and a frame rate.
        body_models: folder of the user's own body models (``SMPLH_NEUTRAL.npz`` or
            ``smplh/neutral/model.npz``, ...) for the person's exact joints; without it, the mean shape's.

    Raises:
        KmmError: ``bad_amass`` for a broken or foreign file; ``body_model_missing``, ``bad_body_model`` or
            ``smplx_missing`` where ``body_models`` is given and the model cannot be used.
    """
    model, motion, arrays = _read(Path(path))
    if body_models is None:
        body = RestBody(_REST_PELVIS[model], SMPL_REST_OFFSETS)
    else:
        betas = np.asarray(arrays.get("betas", np.zeros(0)), dtype=np.float64).reshape(-1)
        body = read_rest_body(body_models, model, _gender(arrays), betas)

    local = motion.rotations.copy()
    local[:, 0] = rotations.multiply(_Z_UP_TO_Y_UP, local[:, 0])
    # World rotation of ours = world rotation of SMPL's * ours in SMPL's rest pose. So, against the parent:
    rest_world = rest_pose(body.offsets)
    local = rotations.multiply(local, rest_world)
    local[:, 1:] = rotations.multiply(rotations.conjugate(rest_world[list(PARENTS[1:])]), local[:, 1:])
    root = rotations.rotate(_Z_UP_TO_Y_UP, motion.translation + body.pelvis) * body.scale
    root[:, 1] += body.lift
    return MotionClip(root, rotations.make_continuous(local), motion.fps)


def read_smpl_motion(path: str | Path) -> SmplMotion:
    """The parameters of an AMASS file unchanged, for code that works with SMPL's own rotations.

    Args:
        path: as ``read_amass``.

    Raises:
        KmmError: ``bad_amass`` for a broken or foreign file.
    """
    return _read(Path(path))[1]


def to_smpl_motion(clip: MotionClip) -> SmplMotion:
    """The same motion as parameters of SMPL-H's mean shape, Z up: what ``write_amass`` writes."""
    body = RestBody(SMPL_REST_PELVIS, SMPL_REST_OFFSETS)
    rest_world = rest_pose(body.offsets)
    local = rotations.multiply(clip.local_rotations, rotations.conjugate(rest_world))
    local[:, 1:] = rotations.multiply(rest_world[list(PARENTS[1:])], local[:, 1:])
    to_z_up = rotations.conjugate(_Z_UP_TO_Y_UP)
    local[:, 0] = rotations.multiply(to_z_up, local[:, 0])
    root = (clip.root_positions - [0.0, body.lift, 0.0]) / body.scale
    return SmplMotion(local, rotations.rotate(to_z_up, root) - body.pelvis, clip.fps)


def write_amass(path: str | Path, clip: MotionClip) -> None:
    """Writes ``clip`` as SMPL-H parameters of the mean shape, Z up, whole or not at all.

    ``read_amass`` without a body model gives the same clip back.

    Args:
        path: the file, usually ``NAME.amass.npz``. Keys: ``trans`` [F, 3] m, ``poses`` [F, 156] (hands flat),
            ``betas`` [16] zeros, ``gender`` neutral, ``mocap_framerate``, ``dmpls`` [F, 8] zeros.
        clip: F frames.

    Raises:
        KmmError: where the file cannot be written.
    """
    motion = to_smpl_motion(clip)
    poses = np.zeros((clip.num_frames, _SMPLH_WIDTH), dtype=np.float32)
    poses[:, : NUM_JOINTS * 3] = rotations.to_rotation_vector(motion.rotations).reshape(clip.num_frames, -1)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            trans=motion.translation.astype(np.float32),
            poses=poses,
            betas=np.zeros(_NUM_BETAS, dtype=np.float32),
            dmpls=np.zeros((clip.num_frames, 8), dtype=np.float32),
            gender=np.array("neutral"),
            mocap_framerate=np.float64(clip.fps),
        )


def read_rest_body(folder: str | Path, model: str, gender: str, betas: Array) -> RestBody:
    """The rest joints of a person, from the user's own body model through ``smplx``.

    Args:
        folder: where the body models are.
        model: ``smpl``, ``smplh`` or ``smplx``.
        gender: ``neutral``, ``female`` or ``male``.
        betas: shape coefficients, any number; those that the model lacks are dropped.

    Raises:
        KmmError: ``body_model_missing``, ``bad_body_model`` or ``smplx_missing``.
    """
    file = _find_model(Path(folder), model, gender)
    try:
        import smplx
        import torch
        from smplx.lbs import vertices2joints
        from smplx.utils import Struct
    except ImportError as error:
        raise KmmError(
            "smplx_missing",
            f"The body model {file.name} needs the Python package {error.name or 'smplx'}, which is missing.",
            "Run: pip install smplx torch; or leave the body model out to read with mean proportions.",
        ) from None
    # Read here and handed over: smplx itself would unpickle the file, and needs hand data that AMASS's files lack.
    needed = ("v_template", "shapedirs", "J_regressor", "posedirs", "kintree_table", "weights", "f")
    arrays = read_arrays(file, "bad_body_model", needed)
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise _bad_model(file, f"it lacks {', '.join(missing)}")
    try:
        available = arrays["shapedirs"].shape[-1]
        shape = torch.zeros(1, min(len(betas), available) or 1)
        shape[0, : len(betas)] = torch.as_tensor(betas[:available], dtype=torch.float32)
        with contextlib.redirect_stdout(io.StringIO()):  # smplx prints remarks on the shape coefficients
            body = smplx.SMPL("", data_struct=Struct(**arrays), num_betas=shape.shape[1])
        with torch.no_grad():
            vertices = body.forward_shape(shape).v_shaped
            joints = vertices2joints(body.J_regressor, vertices)[0, :NUM_JOINTS].double().numpy()
    except (ValueError, RuntimeError, IndexError, TypeError) as error:
        raise _bad_model(file, f"its arrays do not fit together ({error})") from None
    if joints.shape != (NUM_JOINTS, 3) or not np.isfinite(joints).all():
        raise _bad_model(file, f"it gives {len(joints)} joints or numbers that are not finite")
    offsets = joints - joints[[max(parent, 0) for parent in PARENTS]]
    return RestBody(joints[0], offsets)


def _find_model(folder: Path, model: str, gender: str) -> Path:
    name = f"{model.upper()}_{gender.upper()}.npz"
    places = [folder / name, folder / model / name, folder / model / gender / "model.npz"]
    for place in places:
        if place.is_file():
            return place
    raise KmmError(
        "body_model_missing",
        f"No {model.upper()} body model for gender {gender} in {folder}; looked for "
        f"{', '.join(str(place.relative_to(folder)) for place in places)}.",
        f"Register at {_SITES[model]}, download it and put {name} into {folder} (.npz, not .pkl: a pickle "
        "can run code); or leave the body model out to read with mean proportions.",
    )


def _read(path: Path) -> tuple[str, SmplMotion, dict[str, np.ndarray]]:
    """Returns the model's name, its parameters, and all arrays of the file."""
    arrays = read_arrays(path, "bad_amass", _KEYS)
    for key in ("poses", "root_orient", "pose_body", "trans", "betas"):
        if key in arrays and arrays[key].dtype.kind not in "fiu":
            raise _bad(path, f"{key} holds {arrays[key].dtype}, not numbers")
    model, poses = _poses(path, arrays)
    trans, fps = _trans(path, arrays, len(poses)), _fps(path, arrays)
    return model, SmplMotion(rotations.from_rotation_vector(poses), trans, fps), arrays


def _poses(path: Path, arrays: dict[str, np.ndarray]) -> tuple[str, Array]:
    """The model's name and the rotation vectors of the 22 joints, [F, 22, 3]."""
    if "poses" in arrays:
        flat = arrays["poses"]
        flat = flat.reshape(len(flat), math.prod(flat.shape[1:])) if flat.ndim == 3 else flat
        if flat.ndim != 2 or flat.shape[1] not in _MODEL_OF_WIDTH:
            raise _bad(
                path,
                f"poses has shape {list(arrays['poses'].shape)}; expected [F, 72] (SMPL), [F, 156] "
                "(SMPL-H) or [F, 165] (SMPL-X)",
            )
        model = _MODEL_OF_WIDTH[flat.shape[1]]
    elif "root_orient" in arrays and "pose_body" in arrays:
        root, body = arrays["root_orient"], arrays["pose_body"]
        if body.ndim != 2 or body.shape[1] < 63 or root.shape != (len(body), 3):
            raise _bad(
                path,
                f"root_orient {list(root.shape)} and pose_body {list(body.shape)} do not fit; expected "
                "[F, 3] and [F, 63]",
            )
        flat = np.concatenate([root, body[:, :63]], axis=1)
        is_smplx = "pose_jaw" in arrays or "smplx" in str(arrays.get("surface_model_type"))
        model = "smplx" if is_smplx else "smplh"
    else:
        found = ", ".join(arrays) or "nothing else"
        raise _bad(path, f"it lacks poses (or root_orient and pose_body); it holds {found}")
    poses = flat[:, : NUM_JOINTS * 3].astype(np.float64).reshape(-1, NUM_JOINTS, 3)
    if len(poses) == 0:
        raise _bad(path, "it has no frame")
    if not np.isfinite(poses).all():
        raise _bad(path, "its poses hold NaN or infinity", "Drop those frames.")
    return model, poses


def _trans(path: Path, arrays: dict[str, np.ndarray], frames: int) -> Array:
    if "trans" not in arrays:
        raise _bad(path, "it lacks trans")
    trans = arrays["trans"].astype(np.float64)
    if trans.shape != (frames, 3):
        raise _bad(
            path, f"trans has shape {list(trans.shape)}; poses has {frames} frames, so [{frames}, 3] is due"
        )
    if not np.isfinite(trans).all():
        raise _bad(path, "its trans holds NaN or infinity", "Drop those frames.")
    return trans


def _fps(path: Path, arrays: dict[str, np.ndarray]) -> float:
    for key in _RATE_KEYS:
        if key in arrays:
            rate = np.asarray(arrays[key]).reshape(-1)
            fps = float(rate[0]) if len(rate) == 1 and rate.dtype.kind in "fiu" else float("nan")
            if not (np.isfinite(fps) and fps > 0):
                raise _bad(path, f"{key} is {arrays[key]}, not a positive number")
            return fps
    raise _bad(path, f"it lacks a frame rate ({', '.join(_RATE_KEYS)})")


def _gender(arrays: dict[str, np.ndarray]) -> str:
    value = next(iter(np.asarray(arrays.get("gender")).reshape(-1)), None)
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text if text in _GENDERS else "neutral"


def _bad(path: Path, reason: str, hint: str = "Give a motion file of AMASS (*_poses.npz).") -> KmmError:
    return KmmError("bad_amass", f"Cannot read {path.name}: {reason}.", hint)


def _bad_model(file: Path, reason: str) -> KmmError:
    return KmmError("bad_body_model", f"Cannot use body model {file.name}: {reason}.", "Download it again.")
