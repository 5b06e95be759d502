"""KMM's own ``.npz``: a clip with its joint positions and its prompts, readable by plain NumPy. Light zone.

Keys: ``root_positions`` [F, 3] m, ``local_rotations`` [F, 22, 4] wxyz, ``joint_positions`` [F, 22, 3] m
(Y up), ``fps``, ``joint_names`` [22], ``prompts`` [P] and ``prompt_frames`` [P, 2] (start, end exclusive).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..atomic_write import atomic_write
from ..clip import MotionClip
from ..errors import KmmError
from ..motion import rotations
from ..skeleton import JOINT_NAMES
from ..timeline import Prompt
from .array_file import read_arrays


def write_npz(path: str | Path, clip: MotionClip, prompts: Sequence[Prompt] = ()) -> None:
    """Writes ``clip`` in float32, whole or not at all.

    Args:
        path: the ``.npz`` file.
        clip: F frames.
        prompts: what was asked for, with frame ranges.
    """
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            root_positions=clip.root_positions.astype(np.float32),
            local_rotations=clip.local_rotations.astype(np.float32),
            joint_positions=clip.joint_positions().astype(np.float32),
            fps=np.float64(clip.fps),
            joint_names=np.array(JOINT_NAMES),
            prompts=np.array([prompt.text for prompt in prompts], dtype=np.str_),
            prompt_frames=np.array([[p.start, p.end] for p in prompts], dtype=np.int64).reshape(-1, 2),
        )


def read_npz(path: str | Path) -> MotionClip:
    """Reads a clip; only ``root_positions``, ``local_rotations`` and ``fps`` must be there.

    Raises:
        KmmError: ``bad_npz`` for a missing, broken, huge or foreign file or numbers that are no motion.
            Nothing in the file is ever run (no pickle).
    """
    path = Path(path)
    arrays = read_arrays(path, "bad_npz")
    missing = {"root_positions", "local_rotations", "fps"} - set(arrays)
    if missing:
        found = ", ".join(arrays)[:80] or "nothing"
        raise _bad(path, f"it lacks {', '.join(sorted(missing))}; it holds {found}")
    if "joint_names" in arrays and arrays["joint_names"].tolist() != list(JOINT_NAMES):
        raise _bad(path, "its joint_names are not KMM's 22 joints")
    try:
        root, local = (
            arrays[key].astype(np.float64, casting="same_kind")
            for key in ("root_positions", "local_rotations")
        )
        fps = float(arrays["fps"])
    except (TypeError, ValueError):
        raise _bad(path, "its root_positions, local_rotations and fps are not all numbers") from None
    try:
        MotionClip(root, local, fps)
    except KmmError as error:
        raise KmmError(
            "bad_npz", f"{path.name}: {error.message}", error.hint or "Write the file again."
        ) from None
    length = np.linalg.norm(local, axis=-1)
    if np.abs(length - 1).max() > 0.01:
        raise _bad(path, f"local_rotations have lengths from {length.min():.3g} to {length.max():.3g}, not 1")
    return MotionClip(root, rotations.normalize(local), fps)


def _bad(
    path: Path, reason: str, hint: str = "Give a .npz (not .amass.npz) that kmm-generate wrote."
) -> KmmError:
    return KmmError("bad_npz", f"Cannot read {path.name}: {reason}.", hint)
