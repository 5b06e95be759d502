"""Splices generated motion between frames that were kept, so that kept frames are untouched and nothing jumps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..clip import MotionClip
from . import rotations
from .representation_272 import headings

# The pose's misfit at a seam fades out over this time, at most up to the next seam. Seconds.
_FADE = 0.4


def splice(generated: MotionClip, original: MotionClip, kept: NDArray[np.bool_]) -> MotionClip:
    """``generated``, with the frames ``kept`` [F] taken from ``original`` and the rest fitted to them.

    Each generated stretch is turned and moved as a whole to start where the kept frame before it ends; what is then
    missing to the kept frame after it is spread evenly over the stretch; differences of the pose fade out near
    the seams. (An offset that fades is Bollo's inertialization without its velocity term.)
    """
    frames = generated.num_frames
    root, local = generated.root_positions.copy(), generated.local_rotations.copy()
    shown = np.flatnonzero(kept)
    root[shown], local[shown] = original.root_positions[shown], original.local_rotations[shown]
    edges = np.flatnonzero(np.diff(np.concatenate([[True], kept, [True]]).astype(int)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        before = start - 1 if start > 0 else None
        after = stop if stop < frames else None
        piece = generated.slice(start - (before is not None), stop + (after is not None))
        piece = _fit(piece, original, before, after)
        inside = slice(int(before is not None), int(before is not None) + stop - start)
        root[start:stop], local[start:stop] = piece.root_positions[inside], piece.local_rotations[inside]
    return MotionClip(root, local, generated.fps)


def _fit(piece: MotionClip, original: MotionClip, before: int | None, after: int | None) -> MotionClip:
    """A stretch with the neighbouring kept frames at its ends, brought to meet them."""
    if before is not None:
        piece = _place(piece, 0, original, before)
    elif after is not None:
        piece = _place(piece, -1, original, after)
    if before is not None and after is not None:
        share = np.linspace(0, 1, piece.num_frames)
        turn = _wrap(_heading(original, after) - _heading(piece, -1))
        # Turning about the start first, then what is left of the way, both spread evenly.
        spread = rotations.from_yaw(share * turn)
        origin = piece.root_positions[0]
        path = origin + rotations.rotate(spread, piece.root_positions - origin)
        pelvis = rotations.multiply(spread, piece.local_rotations[:, 0])
        missing = (original.root_positions[after] - path[-1]) * np.array([1.0, 0.0, 1.0])
        turned = np.concatenate([pelvis[:, None], piece.local_rotations[:, 1:]], axis=1)
        piece = replace(piece, root_positions=path + share[:, None] * missing, local_rotations=turned)
    fade = _FADE * piece.fps
    if before is not None and after is not None:
        fade = min(fade, piece.num_frames - 1)
    for frame, kept in ((0, before), (-1, after)):
        if kept is not None:
            piece = _fade_misfit(piece, frame, original, kept, fade)
    return piece


def _place(piece: MotionClip, frame: int, original: MotionClip, kept: int) -> MotionClip:
    """The piece turned and moved on the floor so that its ``frame`` stands where ``original`` stands at ``kept``."""
    piece = piece.moved(yaw=_heading(original, kept) - _heading(piece, frame))
    way = original.root_positions[kept] - piece.root_positions[frame]
    return piece.moved(translation=way * np.array([1.0, 0.0, 1.0]))


def _fade_misfit(piece: MotionClip, frame: int, original: MotionClip, kept: int, fade: float) -> MotionClip:
    """Adds the difference to the kept pose at ``frame`` (first or last), gone ``fade`` frames away from it."""
    distance = np.arange(piece.num_frames)
    distance = distance if frame == 0 else distance[::-1]
    t = np.clip(distance / max(1.0, fade), 0, 1)
    weight = 1 - t * t * (3 - 2 * t)
    misfit = rotations.multiply(
        original.local_rotations[kept], rotations.conjugate(piece.local_rotations[frame])
    )
    offset = rotations.slerp(rotations.IDENTITY, misfit, weight[:, None])
    height = (original.root_positions[kept] - piece.root_positions[frame]) * np.array([0.0, 1.0, 0.0])
    return replace(
        piece,
        root_positions=piece.root_positions + weight[:, None] * height,
        local_rotations=rotations.multiply(offset, piece.local_rotations),
    )


def _heading(clip: MotionClip, frame: int) -> float:
    return float(headings(clip.local_rotations[frame : frame + 1 or None, 0])[0])


def _wrap(angle: float) -> float:
    return (angle + np.pi) % (2 * np.pi) - np.pi
