"""Windows of motion put together from the body parts of several recordings (ours).

Two hours of recordings show few of the ways in which legs, trunk and arms can move together, and a tokenizer trained on
them alone overfits to those few. So it also sees the legs of one recording under the upper body or the arms of others,
blends of two poses, and motion at other speeds (docs/decisions/0016). Shapes: N windows, F frames, D features.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from ..clip import MotionClip
from ..motion import rotations
from ..motion.representation import Representation
from ..skeleton import ARM_JOINTS, JOINT_INDEX, NUM_JOINTS, PARENTS


def _with_descendants(joint: int) -> list[int]:
    """The joint and all its descendants."""
    return [joint] + [
        other for child, parent in enumerate(PARENTS) if parent == joint for other in _with_descendants(child)
    ]


UPPER_BODY = _with_descendants(JOINT_INDEX["spine1"])
ARMS = list(ARM_JOINTS.values())
ALL_BUT_PELVIS = list(range(1, NUM_JOINTS))

# Of the windows, so many get another upper body, other arms, a blend of two bodies; the rest keep their own.
SHARES = (0.35, 0.30, 0.25)
ARM_CHANGES = 0.75  # each of the two
WARPED = 0.5  # of what goes into a window
SLOWEST, FASTEST = 0.65, 1.45


def mixed_windows(
    clips: Sequence[NDArray[np.float32]],
    pick: torch.Tensor,
    form: Representation,
    frames: int,
    seed: int = 0,
) -> NDArray[np.float16]:
    """One window for each entry of ``pick``. Thousands take minutes: a line on stderr says what goes on, a bar how far it is.

    Args:
        clips: features of the recordings, [*, D] each.
        pick: which of them each window is made of, [N, 3]; its legs come from the first.
        form: of the features.
        frames: F.
        seed: of all random draws.

    Returns:
        [N, F, D] in half precision: a pool of thousands should fit into memory.
    """
    rng = np.random.default_rng(seed)
    windows = np.empty((len(pick), frames, form.num_features), dtype=np.float16)
    what = "Putting windows together from several recordings ([data] mixed_bodies)"
    print(f"{what}: {len(pick)}, once at the start of the stage.", file=sys.stderr, flush=True)
    bar = track(pick.tolist(), what.partition(" (")[0], console=Console(stderr=True), transient=True)
    for window, chosen in zip(windows, bar, strict=True):
        body, *others = (_part(clips[index], form, frames + 1, rng) for index in chosen)
        features = form.encode(replace(body, local_rotations=_mixed(body, others, rng)))
        # A clip's first row has no velocity, and 263 has a row less than frames.
        window[:] = features[-frames:]
    return windows


def _part(
    features: NDArray[np.float32], form: Representation, frames: int, rng: np.random.Generator
) -> MotionClip:
    """A stretch of a recording, mirrored or not, at its own or another speed; short ones hold their last pose."""
    speed = 1.0
    if rng.random() < WARPED:
        speed = float(np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST))))
    length = min(len(features), int(np.ceil((frames - 1) * speed)) + 1)
    start = int(rng.integers(len(features) - length + 1))
    stretch = features[start : start + length]
    clip = form.decode(form.mirror(stretch) if rng.random() < 0.5 else stretch, form.fps)
    return replace(clip, fps=form.fps * speed).resample(form.fps, frames)


def _mixed(body: MotionClip, others: Sequence[MotionClip], rng: np.random.Generator) -> NDArray[np.floating]:
    """Local rotations of ``body`` with parts of the others."""
    first, second = (other.local_rotations for other in others)
    local = body.local_rotations.copy()
    draw = rng.random() - np.cumsum(SHARES)
    if draw[0] < 0:
        local[:, UPPER_BODY] = first[:, UPPER_BODY]
    elif draw[1] < 0:
        for arm, other in zip(ARMS, (first, second), strict=True):
            if rng.random() < ARM_CHANGES:
                local[:, arm] = other[:, arm]
    elif draw[2] < 0:
        joints = UPPER_BODY if rng.random() < 0.5 else ALL_BUT_PELVIS
        local[:, joints] = rotations.slerp(local[:, joints], first[:, joints], rng.uniform(0.2, 0.8))
    return local
