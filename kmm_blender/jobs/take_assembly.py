"""TakeAssembly: puts takes together that arrive in pieces, so that none of them blocks Blender's main thread. No bpy."""

from __future__ import annotations

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.protocol import ClipPart, GenerateRequest
from kmm_core.skeleton import NUM_JOINTS


class TakeAssembly:
    """Puts the pieces of a request's takes together, which come in order.

    Args:
        request: says how many takes of which length and frame rate may come.
    """

    def __init__(self, request: GenerateRequest):
        self._takes = request.samples
        self._frames = request.timeline.num_frames
        self._fps = request.timeline.fps
        self._clips: list[MotionClip] = []
        self._received = 0

    @property
    def frames_received(self) -> int:
        """Frames of all takes so far."""
        return len(self._clips) * self._frames + self._received

    @property
    def frames_expected(self) -> int:
        """Frames of all takes."""
        return self._takes * self._frames

    def add(self, part: ClipPart) -> None:
        """The next piece.

        Raises:
            KmmError: ``worker_garbage`` for a piece that does not belong here.
        """
        given = (part.take, part.start, part.num_frames, part.fps)
        expected = (len(self._clips), self._received, self._frames, self._fps)
        if given != expected or part.take >= self._takes:
            raise _wrong(f"a piece of motion (take, start, frames, fps) {given}; expected {expected}")
        if self._received == 0:
            self._root = np.empty((self._frames, 3))
            self._local = np.empty((self._frames, NUM_JOINTS, 4))
        end = self._received + len(part.root_positions)
        self._root[self._received : end] = part.root_positions
        self._local[self._received : end] = part.local_rotations
        self._received = end
        if end == self._frames:
            try:
                self._clips.append(MotionClip(self._root, self._local, self._fps))
            except KmmError as error:
                raise _wrong(f"an invalid take: {error.message}") from None
            self._received = 0

    def clips(self) -> list[MotionClip]:
        """All takes.

        Raises:
            KmmError: ``worker_garbage`` where some are missing.
        """
        if len(self._clips) != self._takes:
            raise _wrong(f"the end of a job after {len(self._clips)} of {self._takes} takes")
        return self._clips


def _wrong(what: str) -> KmmError:
    return KmmError(
        "worker_garbage",
        f"The worker sent {what.removesuffix('.')}.",
        "Generate again; a new worker is started.",
    )
