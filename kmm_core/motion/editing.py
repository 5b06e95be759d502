"""Fits generated motion between kept frames: the kept frames do not change, and nothing jumps at the seams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..clip import MotionClip
from . import rotations
from .representation_272 import headings

# The difference of pose and place at a seam fades out over this time, or up to the next seam if that is nearer. Seconds.
_FADE = 0.4


def splice(generated: MotionClip, original: MotionClip, kept: NDArray[np.bool_]) -> MotionClip:
    """``generated``, with the frames in ``kept`` [F] replaced by those of ``original`` and the rest fitted to them.

    Each generated stretch is turned and moved as a whole so that it starts at the kept frame before it. The gap that
    then remains to the kept frame after it is spread evenly over the stretch. Differences of pose and speed fade out
    near the seams (inertialization, after Bollo 2018).
    """
    frames = generated.num_frames
    root, local = generated.root_positions.copy(), generated.local_rotations.copy()
    shown = np.flatnonzero(kept)
    root[shown], local[shown] = original.root_positions[shown], original.local_rotations[shown]
    edges = np.flatnonzero(np.diff(np.concatenate([[True], kept, [True]]).astype(int)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        # Two frames on each side: one to meet, and one more to know its speed.
        first, last = max(0, start - 2), min(frames, stop + 2)
        piece = _fit(
            generated.slice(first, last),
            original.slice(first, last),
            kept[first:last],
            start - first,
            stop - first,
        )
        inside = slice(start - first, stop - first)
        root[start:stop], local[start:stop] = piece.root_positions[inside], piece.local_rotations[inside]
    return MotionClip(root, local, generated.fps)


def _fit(
    piece: MotionClip, original: MotionClip, kept: NDArray[np.bool_], start: int, stop: int
) -> MotionClip:
    """The frames start to stop and their neighbours, fitted to the neighbours that are kept."""
    before = start - 1 if start > 0 else None
    after = stop if stop < len(kept) else None
    if before is not None:
        piece = _place(piece, original, before)
    elif after is not None:
        piece = _place(piece, original, after)
    fade = _FADE * piece.fps
    if before is not None and after is not None:
        fade = min(fade, after - before)
        share = (np.arange(piece.num_frames) - before) / (after - before)
        turn = _wrap(_heading(original, after) - _heading(piece, after))
        # First a turn about the start, then the remaining distance; both are spread evenly.
        spread = rotations.from_yaw(share * turn)
        origin = piece.root_positions[before]
        path = origin + rotations.rotate(spread, piece.root_positions - origin)
        pelvis = rotations.multiply(spread, piece.local_rotations[:, 0])
        missing = (original.root_positions[after] - path[after]) * np.array([1.0, 0.0, 1.0])
        turned = np.concatenate([pelvis[:, None], piece.local_rotations[:, 1:]], axis=1)
        piece = replace(piece, root_positions=path + share[:, None] * missing, local_rotations=turned)
    for frame, outwards in ((before, -1), (after, 1)):
        if frame is not None:
            piece = _fade_misfit(piece, original, kept, frame, outwards, fade)
    return piece


def _place(piece: MotionClip, original: MotionClip, frame: int) -> MotionClip:
    """The piece turned and moved on the floor so that it stands at ``frame`` where ``original`` stands."""
    piece = piece.moved(yaw=_heading(original, frame) - _heading(piece, frame))
    way = original.root_positions[frame] - piece.root_positions[frame]
    return piece.moved(translation=way * np.array([1.0, 0.0, 1.0]))


def _fade_misfit(
    piece: MotionClip, original: MotionClip, kept: NDArray[np.bool_], frame: int, outwards: int, fade: float
) -> MotionClip:
    """Adds the difference to the kept ``frame``, fading to nothing ``fade`` frames inwards of it.

    Its speed is matched where the next frame ``outwards`` (-1 or 1) is kept too; the quintic starts and ends without
    acceleration.
    """
    beside = frame + outwards
    beside = beside if 0 <= beside < len(kept) and kept[beside] else frame
    move, move_beside = (original.root_positions[i] - piece.root_positions[i] for i in (frame, beside))
    turn, turn_beside = (
        rotations.multiply(original.local_rotations[i], rotations.conjugate(piece.local_rotations[i]))
        for i in (frame, beside)
    )
    speed = rotations.to_rotation_vector(rotations.multiply(turn, rotations.conjugate(turn_beside)))

    t = np.clip((frame - np.arange(piece.num_frames)) * outwards / fade, 0, 1)
    of_misfit = (1 + 3 * t + 6 * t**2) * (1 - t) ** 3
    of_speed = fade * (t + 3 * t**2) * (1 - t) ** 3
    offset = rotations.multiply(
        rotations.from_rotation_vector(of_speed[:, None, None] * speed),
        rotations.slerp(rotations.IDENTITY, turn, of_misfit[:, None]),
    )
    return replace(
        piece,
        root_positions=piece.root_positions
        + of_misfit[:, None] * move
        + of_speed[:, None] * (move - move_beside),
        local_rotations=rotations.multiply(offset, piece.local_rotations),
    )


def _heading(clip: MotionClip, frame: int) -> float:
    return float(headings(clip.local_rotations[frame : frame + 1, 0])[0])


def _wrap(angle: float) -> float:
    return (angle + np.pi) % (2 * np.pi) - np.pi
