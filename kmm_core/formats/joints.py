"""Joint positions from ``.npy`` and ``.npz`` files in the layouts that people have. Light zone: no torch.

``motion.inverse_kinematics.clip_from_positions`` turns them into a clip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import KmmError
from ..motion.rotations import Array
from ..skeleton import NUM_JOINTS
from .array_file import read_array, read_arrays

# Names under which positions are found in an .npz, the first one wins.
POSITION_KEYS = ("joint_positions", "positions", "joints", "motion", "joints3d", "arr_0")
# SMPL's 24 joints, SMPL-H's 52 and SMPL-X's 55 begin with our 22.
_JOINT_COUNTS = (22, 24, 52, 55)
# Range of a person's largest extent, lying or standing, in metres; a file in millimetres or inches is outside it.
_SIZES_M = (0.3, 4.0)
_LAYOUTS = "[F, 22, 3] or [F, 66] (or SMPL's 24, SMPL-H's 52, SMPL-X's 55 joints)"


def read_joints(path: str | Path) -> Array:
    """World positions of the 22 joints, [F, 22, 3] m, float64, from one clip's file.

    Args:
        path: ``.npy``, or ``.npz`` with the positions under one of ``POSITION_KEYS`` or as its only array.
            Y up, metres, SMPL's joint order, as [F, 22, 3] or flat as [F, 66]; further joints are dropped.

    Raises:
        KmmError: ``bad_joints`` for a missing, broken or pickled file, another shape, numbers that are not
            finite, or a unit that is not metres.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        array = _find(path, read_arrays(path, "bad_joints"))
    else:
        array = read_array(path, "bad_joints")
    if array.dtype.kind not in "fiu":
        raise _bad(path, f"it holds {array.dtype}, not numbers", "Save positions as float32.")
    shape = array.shape
    if array.ndim == 2 and shape[1] % 3 == 0:
        array = array.reshape(shape[0], shape[1] // 3, 3)
    if array.ndim != 3 or array.shape[1] not in _JOINT_COUNTS or array.shape[2] != 3 or len(array) == 0:
        raise _bad(
            path, f"its shape is {list(shape)}; expected {_LAYOUTS}", "Reorder it to frames, joints, xyz."
        )
    positions = array[:, :NUM_JOINTS].astype(np.float64)
    if not np.isfinite(positions).all():
        frames = np.flatnonzero(~np.isfinite(positions).all(axis=(1, 2)))
        raise _bad(
            path,
            f"{len(frames)} of {len(positions)} frames hold NaN or infinity, the first is frame {frames[0]}",
            "Repair or drop those frames.",
        )
    size = float(np.median(np.ptp(positions, axis=1).max(axis=1)))
    if not _SIZES_M[0] <= size <= _SIZES_M[1]:
        raise _bad(
            path, f"the person measures {size:.3g} units; expected metres", "Scale the positions to metres."
        )
    return positions


def _find(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    for key in POSITION_KEYS:
        if key in arrays:
            return arrays[key]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    found = ", ".join(arrays)[:80] or "nothing"
    raise _bad(path, f"no array is called {', '.join(POSITION_KEYS)}; it holds {found}", "Rename the array.")


def _bad(path: Path, reason: str, hint: str) -> KmmError:
    return KmmError("bad_joints", f"Cannot read {path.name}: {reason}.", hint)
