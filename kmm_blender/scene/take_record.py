"""TakeRecord: what made a take and its exact motion, as text that a .blend file can store. No bpy."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.skeleton import NUM_JOINTS
from kmm_core.timeline import MAX_FPS, MAX_SECONDS

from .prompt_blocks import Block

FORMAT = 1
# One float of the root's three and of each joint's four; a row is a frame.
_ROW = 3 + NUM_JOINTS * 4
# So many frames are compressed at once: about 10 ms.
_SLICE_FRAMES = 1000
_SLICE_BYTES = 3 << 18  # a multiple of 3, so that the pieces of base64 fit together


@dataclass(frozen=True, eq=False)
class TakeRecord:
    """One generated take.

    Attributes:
        id: unique; the take's Action carries it too.
        name: what the panel calls it.
        blocks: the prompts that were generated, in scene frames.
        first_frame: scene frame of the clip's first frame.
        floor: height in the world that the clip stands on.
        from_pose: whether the first frame is the animator's own pose.
        clip: the motion before retargeting, at the scene's frame rate of that time, as exact as float32.
        seed: of the request.
        sample: which of the request's takes this is, from 1.
        model: name of the model.
        version: of kmm_core.
    """

    id: str
    name: str
    blocks: tuple[Block, ...]
    first_frame: int
    floor: float
    from_pose: bool
    clip: MotionClip
    seed: int
    sample: int
    model: str
    version: str

    def summary(self) -> dict[str, Any]:
        """Everything but the motion, for JSON."""
        return {
            "format": FORMAT,
            "id": self.id,
            "name": self.name,
            "prompts": [[block.text, block.start, block.end] for block in self.blocks],
            "first_frame": self.first_frame,
            "floor": self.floor,
            "from_pose": self.from_pose,
            "frames": self.clip.num_frames,
            "fps": self.clip.fps,
            "seed": self.seed,
            "sample": self.sample,
            "model": self.model,
            "version": self.version,
        }

    def encode_steps(self) -> Iterator[str]:
        """The record as ASCII text, in slices for a timer: yields "" while compressing; the last is the text."""
        compressor = zlib.compressobj(level=1)
        clip, packed = self.clip, []
        for start in range(0, clip.num_frames, _SLICE_FRAMES):
            part = slice(start, start + _SLICE_FRAMES)
            frames = len(clip.root_positions[part])
            rows = np.concatenate(
                [clip.root_positions[part], clip.local_rotations[part].reshape(frames, -1)], axis=1
            )
            packed.append(compressor.compress(rows.astype("<f4").tobytes()))
            yield ""
        packed.append(compressor.flush())
        raw = b"".join(packed)
        # Base64 needs no escapes, so the long text is put into the JSON as it is.
        text = [json.dumps(self.summary())[:-1] + ', "motion": "']
        yield ""
        for start in range(0, len(raw), _SLICE_BYTES):
            text.append(base64.b64encode(raw[start : start + _SLICE_BYTES]).decode("ascii"))
            yield ""
        yield "".join([*text, '"}'])

    def encode(self) -> str:
        """The record as ASCII text; ``decode`` gives the same record back."""
        *_, text = self.encode_steps()
        return text


def decode(text: str) -> TakeRecord:
    """The record that ``TakeRecord.encode`` wrote.

    Raises:
        KmmError: ``bad_record`` for anything else.
    """
    try:
        table = json.loads(text)
        if table["format"] != FORMAT:
            raise KmmError(
                "bad_record",
                f"This take was stored in format {str(table['format'])[:20]}; this version of KMM reads {FORMAT}.",
                "Update KMM.",
            )
        frames, floor = int(table["frames"]), float(table["floor"])
        if not (0 < frames <= MAX_SECONDS * MAX_FPS and math.isfinite(floor)):
            raise ValueError("more than is ever generated, or nowhere")
        size = frames * _ROW * 4
        decompressor = zlib.decompressobj()
        # Not more than expected, whatever the text claims.
        raw = decompressor.decompress(base64.b64decode(table["motion"], validate=True), size + 1)
        rows = np.frombuffer(raw, "<f4").reshape(frames, _ROW).astype(np.float64)
        return TakeRecord(
            id=str(table["id"]),
            name=str(table["name"]),
            blocks=_blocks(table["prompts"]),
            first_frame=int(table["first_frame"]),
            floor=floor,
            from_pose=bool(table["from_pose"]),
            clip=MotionClip(rows[:, :3], rows[:, 3:].reshape(frames, NUM_JOINTS, 4), float(table["fps"])),
            seed=int(table["seed"]),
            sample=int(table["sample"]),
            model=str(table["model"]),
            version=str(table["version"]),
        )
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError, zlib.error, KmmError) as error:
        if isinstance(error, KmmError) and error.code == "bad_record":
            raise
        raise KmmError(
            "bad_record",
            f"The stored take is damaged ({type(error).__name__}); expected one that KMM wrote.",
            "Generate it again with the same seed.",
        ) from None


def _blocks(prompts: Sequence[Sequence[Any]]) -> tuple[Block, ...]:
    return tuple(Block(str(text), int(start), int(end)) for text, start, end in prompts)
