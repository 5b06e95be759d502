"""Messages between Blender and the worker, and their version. Light zone: no torch.

A message on the wire is 16 bytes (magic, lengths), a JSON header and the arrays of the message as raw float32, one
after the other. No pickle. ``connection.py`` carries them, ``worker.py`` answers them.

Blender sends ``GenerateRequest`` and ``Cancel``. The worker sends ``Hello`` first, before it imports torch; then for
each request ``Ready`` when a model was loaded for it, ``Progress``, ``ClipPart`` for every piece of every take, and one
``Result`` or ``Failure``. ``Alive`` comes every second. The worker ends when either side closes the connection.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clip import MotionClip
from .errors import KmmError
from .skeleton import NUM_JOINTS
from .timeline import Prompt, Timeline

PROTOCOL_VERSION = 1
# The same limits as pipeline.py's, which cannot be imported in Blender's process.
MAX_SAMPLES = 64
MAX_STEPS = 100
MAX_GUIDANCE = 20.0
DEVICES = ("auto", "cpu", "cuda", "mps")
# Enough for a thousand prompts of the greatest length, and for an hour of kept motion at the highest frame rate.
MAX_HEADER_BYTES = 8 << 20
MAX_PAYLOAD_BYTES = 512 << 20
# Frames of one piece of a clip (1.5 MB): small enough that receiving it never holds up Blender's main thread.
PART_FRAMES = 4096

PREFIX = struct.Struct("<4sIQ")
_MAGIC = b"KMM\0"


@dataclass(frozen=True)
class Hello:
    """The worker's first message.

    Attributes:
        token: the random token that Blender put into the worker's environment; proves that it is our worker.
        protocol: PROTOCOL_VERSION of the worker.
        version: of its kmm_core.
        python: version of its Python.
        process: its process id.
    """

    token: str
    protocol: int
    version: str
    python: str
    process: int


@dataclass(frozen=True, eq=False)
class GenerateRequest:
    """What to generate. Arguments are those of ``TextToMotion.generate``; it checks itself.

    Attributes:
        job: name of the job, unique while the worker lives.
        timeline: prompts at the frame rate wanted.
        model: "starter", "starter-nc" or a bundle's folder.
        seed: the same seed, device and settings give the same motion.
        samples: how many takes.
        guidance_scale: None is the model's own.
        steps: decoding steps; None is the model's own.
        foot_cleanup: whether to hold planted feet still.
        keep_clip: motion to keep parts of, at the timeline's fps, or None.
        keep_frames: which of the timeline's frames are kept from it, [F] bool, or None.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        KmmError: ``bad_setting`` or ``bad_keep``.
    """

    job: str
    timeline: Timeline
    model: str = "starter"
    seed: int = 0
    samples: int = 1
    guidance_scale: float | None = None
    steps: int | None = None
    foot_cleanup: bool = True
    keep_clip: MotionClip | None = None
    keep_frames: NDArray[Any] | None = None
    device: str = "auto"

    def __post_init__(self):
        guidance, steps = self.guidance_scale, self.steps
        checks = (
            ("job", isinstance(self.job, str) and bool(self.job), "a name"),
            ("model", isinstance(self.model, str) and bool(self.model), "the name or folder of a model"),
            ("seed", _is_whole(self.seed) and 0 <= self.seed < 2**63, "a whole number from 0 to 2^63 - 1"),
            (
                "samples",
                _is_whole(self.samples) and 1 <= self.samples <= MAX_SAMPLES,
                f"a whole number from 1 to {MAX_SAMPLES}",
            ),
            (
                "steps",
                steps is None or (_is_whole(steps) and 1 <= steps <= MAX_STEPS),
                f"a whole number from 1 to {MAX_STEPS}",
            ),
            (
                "guidance_scale",
                guidance is None or (isinstance(guidance, (int, float)) and 0 <= guidance <= MAX_GUIDANCE),
                f"a number from 0 to {MAX_GUIDANCE:g}",
            ),
            ("device", self.device in DEVICES, f"one of {', '.join(DEVICES)}"),
        )
        for name, good, expected in checks:
            if not good:
                raise KmmError(
                    "bad_setting", f"{name}={getattr(self, name)!r} is not {expected}.", f"Choose {expected}."
                )
        self._check_keep()

    def _check_keep(self) -> None:
        if self.keep_clip is None and self.keep_frames is None:
            return
        if self.keep_clip is None or self.keep_frames is None:
            raise KmmError(
                "bad_keep", "keep_clip and keep_frames belong together; one of them is None.", "Give both."
            )
        object.__setattr__(self, "keep_frames", np.asarray(self.keep_frames, dtype=bool))
        kept, frames = np.flatnonzero(self.keep_frames), self.timeline.num_frames
        if self.keep_frames.shape != (frames,) or not 0 < len(kept) < frames:
            raise KmmError(
                "bad_keep",
                f"{len(kept)} of {self.keep_frames.size} frames are to be kept in a timeline of {frames}.",
                "Keep some of its frames, but not all.",
            )
        if self.keep_clip.fps != self.timeline.fps or self.keep_clip.num_frames <= kept[-1]:
            raise KmmError(
                "bad_keep",
                f"The motion to keep has {self.keep_clip.num_frames} frames at {self.keep_clip.fps:g} fps; "
                f"expected more than {kept[-1]} at {self.timeline.fps:g} fps.",
                "Resample it, or keep fewer frames.",
            )


@dataclass(frozen=True)
class Cancel:
    """Stop this job. The answer is a ``Failure`` with the code ``cancelled``, or the ``Result`` if it was already on
    its way.
    """

    job: str


@dataclass(frozen=True)
class Ready:
    """The loaded model, for the panel. Sent when a model was loaded, and after each job with new memory figures.

    Attributes:
        model: name of the loaded model.
        version: of the model.
        licence: of the model.
        credits: acknowledgements that the data's licences require.
        text_encoder: name of the text encoder.
        device: "cpu", "cuda" or "mps".
        device_name: what the device calls itself.
        fps: the model's own frame rate.
        torch: version of torch.
        parameters: number of weights of each part.
        memory_bytes: main memory of the worker.
        device_memory_bytes: memory it holds on the graphics card; 0 on the CPU.
    """

    model: str
    version: str
    licence: str
    credits: tuple[str, ...]
    text_encoder: str
    device: str
    device_name: str
    fps: float
    torch: str
    parameters: dict[str, int] = field(default_factory=dict)
    memory_bytes: int = 0
    device_memory_bytes: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a job is: ``done`` of ``total`` in a stage: "loading" or "tokens" (decoding steps)."""

    job: str
    stage: str
    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True)
class Alive:
    """A sign of life: the worker runs, although one step of its work may take long."""


@dataclass(frozen=True, eq=False)
class ClipPart:
    """A piece of a take.

    Attributes:
        job: the job's name.
        take: number of the take from 0.
        start: first frame of the piece.
        num_frames: frames of the whole take.
        fps: frames a second.
        root_positions: [F, 3] metres.
        local_rotations: [F, 22, 4] wxyz.
    """

    job: str
    take: int
    start: int
    num_frames: int
    fps: float
    root_positions: NDArray[Any]
    local_rotations: NDArray[Any]

    def __post_init__(self):
        frames = len(self.root_positions)
        if (
            self.root_positions.shape != (frames, 3)
            or self.local_rotations.shape != (frames, NUM_JOINTS, 4)
            or not 0 < frames <= PART_FRAMES
            or not 0 <= self.start <= self.num_frames - frames
        ):
            raise _broken(f"frames {self.start} to {self.start + frames} of {self.num_frames}")


@dataclass(frozen=True)
class Result:
    """The end of a job whose takes were all sent.

    Attributes:
        job: the job's name.
        takes: how many there were.
        seconds: what each stage took.
        note: what the user should know, such as that the CPU was used; may be empty.
    """

    job: str
    takes: int
    seconds: dict[str, float]
    note: str = ""


@dataclass(frozen=True)
class Failure:
    """The end of a job without motion: the code, message and hint of a KmmError."""

    job: str
    code: str
    message: str
    hint: str = ""


Message = Hello | GenerateRequest | Cancel | Ready | Progress | Alive | ClipPart | Result | Failure
_KINDS = {
    kind.__name__: kind
    for kind in (Hello, GenerateRequest, Cancel, Ready, Progress, Alive, ClipPart, Result, Failure)
}


def clip_parts(job: str, take: int, clip: MotionClip) -> Iterator[ClipPart]:
    """A take in pieces of at most PART_FRAMES."""
    for start in range(0, clip.num_frames, PART_FRAMES):
        part = slice(start, start + PART_FRAMES)
        yield ClipPart(
            job,
            take,
            start,
            clip.num_frames,
            clip.fps,
            clip.root_positions[part],
            clip.local_rotations[part],
        )


def encode(message: Message) -> bytes:
    """The message as it travels.

    Raises:
        KmmError: ``message_too_large``.
    """
    arrays: list[NDArray[np.float32]] = []
    table = {"kind": type(message).__name__}
    table |= {part.name: _pack(getattr(message, part.name), arrays) for part in fields(message)}
    header = json.dumps(table, allow_nan=False).encode("ascii")
    payload = sum(array.nbytes for array in arrays)
    if len(header) > MAX_HEADER_BYTES or payload > MAX_PAYLOAD_BYTES:
        raise KmmError(
            "message_too_large",
            f"The request takes {(len(header) + payload) / 1e6:.0f} MB; at most "
            f"{(MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES) / 1e6:.0f} MB are sent.",
            "Shorten or split the timeline.",
        )
    return b"".join([PREFIX.pack(_MAGIC, len(header), payload), header, *(array.data for array in arrays)])


def lengths(prefix: bytes | bytearray, max_payload: int = MAX_PAYLOAD_BYTES) -> tuple[int, int]:
    """Bytes of header and payload that follow a prefix.

    Raises:
        KmmError: ``worker_garbage`` for anything that isn't the start of a message.
    """
    magic, header, payload = PREFIX.unpack(prefix)
    if magic != _MAGIC:
        raise _broken(f"the bytes {bytes(prefix)!r} where a message should start")
    if header > MAX_HEADER_BYTES or payload > max_payload:
        raise _broken(f"a message of {header + payload:,} bytes")
    return header, payload


def decode(header: bytes | bytearray | memoryview, payload: bytearray | memoryview) -> Message:
    """The message that these bytes are. Its arrays are views of the payload.

    Raises:
        KmmError: ``worker_version`` for the hello of another protocol, else ``worker_garbage``.
    """
    try:
        table = json.loads(bytes(header), parse_constant=_no_constant)
        kind = _KINDS[table.pop("kind")]
        if kind is Hello and table["protocol"] != PROTOCOL_VERSION:
            raise KmmError(
                "worker_version",
                f"The worker speaks protocol {str(table['protocol'])[:20]}; Blender speaks {PROTOCOL_VERSION}.",
                "KMM was updated while it ran: restart Blender.",
            )
        reader = _ArrayReader(memoryview(payload))
        message = kind(**{p.name: _unpack(str(p.type), table.pop(p.name), reader) for p in fields(kind)})
        if table or reader.rest.nbytes:
            raise ValueError(f"more than a {kind.__name__} holds")
        return message
    except KmmError as error:
        raise error if error.code.startswith("worker_") else _broken(error.message) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise _broken(f"{type(error).__name__}: {str(error)[:120]}") from None


def _pack(value: Any, arrays: list[NDArray[np.float32]]) -> Any:
    """A field as JSON; arrays are collected separately, and only their shape stays."""
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value, dtype="<f4"))
        return list(value.shape)
    if isinstance(value, MotionClip):
        return {
            "fps": value.fps,
            "root_positions": _pack(value.root_positions, arrays),
            "local_rotations": _pack(value.local_rotations, arrays),
        }
    if isinstance(value, Timeline):
        return {"fps": value.fps, "prompts": [[p.text, p.start, p.end] for p in value.prompts]}
    return value


@dataclass
class _ArrayReader:
    """Takes arrays off the payload in the order in which they were packed."""

    rest: memoryview

    def take(self, shape: list[int]) -> NDArray[np.float32]:
        size = math.prod(_whole(length) for length in shape) * 4
        if size > self.rest.nbytes:
            raise ValueError("a payload that is too short")
        array, self.rest = np.frombuffer(self.rest[:size], dtype="<f4"), self.rest[size:]
        return array.reshape(shape)


_SCALARS = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


def _unpack(kind: str, value: Any, reader: _ArrayReader) -> Any:
    """A field from JSON, checked against its annotation."""
    if kind.endswith(" | None"):
        return None if value is None else _unpack(kind.removesuffix(" | None"), value, reader)
    if kind in _SCALARS:
        if not isinstance(value, _SCALARS[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise ValueError(f"{value!r} is not {kind}")
        return float(value) if kind == "float" else value
    if kind.startswith("NDArray"):
        return reader.take(value)
    if kind == "MotionClip":
        root, local = reader.take(value["root_positions"]), reader.take(value["local_rotations"])
        return MotionClip(root.astype(np.float64), local.astype(np.float64), value["fps"])
    if kind == "Timeline":
        return Timeline(value["fps"], tuple(Prompt(*prompt) for prompt in value["prompts"]))
    if kind == "tuple[str, ...]":
        return tuple(_unpack("str", item, reader) for item in value)
    # dict[str, int] or dict[str, float]
    inner = kind.removeprefix("dict[str, ").removesuffix("]")
    return {str(key): _unpack(inner, item, reader) for key, item in value.items()}


def _whole(number: Any) -> int:
    if not _is_whole(number) or number < 0:
        raise ValueError(f"{number!r} is not a length")
    return number


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _broken(what: str) -> KmmError:
    return KmmError(
        "worker_garbage",
        f"The worker sent {what}; expected a message of protocol {PROTOCOL_VERSION}.",
        "Generate again; if it happens again, copy the report and install the backend anew.",
    )
