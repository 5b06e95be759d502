"""The wire: what is sent is what arrives, and nothing else is taken for a message."""

import json
import math
import socket
import struct
from dataclasses import fields

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.connection import Connection
from kmm_core.errors import KmmError
from kmm_core.protocol import (
    MAX_GUIDANCE,
    MAX_SAMPLES,
    MAX_STEPS,
    PART_FRAMES,
    PREFIX,
    Alive,
    Cancel,
    ClipPart,
    Failure,
    GenerateRequest,
    Hello,
    Progress,
    Ready,
    Result,
    clip_parts,
    decode,
    encode,
    lengths,
)
from kmm_core.timeline import MAX_PROMPTS, MAX_TEXT_LENGTH, Prompt, Timeline

TIMELINE = Timeline(24000 / 1001, (Prompt("geht vörwärts 走", 3, 60), Prompt("waves", 60, 96)))


def _clip(frames: int, fps: float = TIMELINE.fps) -> MotionClip:
    rng = np.random.default_rng(0)
    return MotionClip(rng.normal(size=(frames, 3)), rng.normal(size=(frames, 22, 4)), fps)


def _keep(frames: int = TIMELINE.num_frames) -> np.ndarray:
    kept = np.zeros(frames, dtype=bool)
    kept[[0, 1, 50]] = True
    return kept


MESSAGES = [
    Hello("token", 1, "0.1.0", "3.11.2", 7),
    GenerateRequest("a", TIMELINE),
    GenerateRequest(
        "a",
        TIMELINE,
        model="/mödels/ours",
        seed=2**63 - 1,
        samples=3,
        guidance_scale=2,
        steps=7,
        foot_cleanup=False,
        keep_clip=_clip(96),
        keep_frames=_keep(),
        device="cpu",
    ),
    Cancel("a"),
    Ready("m", "1", "GPL", ("x", "y"), "e", "cpu", "2 threads", 30.0, "2.13", {"generator": 3}, 5, 6),
    Progress("a", "tokens", 1, 6),
    Progress("a", "tokens", 1, 6, 2.5),
    Alive(),
    next(clip_parts("a", 2, _clip(5))),
    Result("a", 2, {"tokens": 0.5}, "on the CPU"),
    Failure("a", "bad_keep", "No.", "Do."),
]


def _same(one, other) -> bool:
    if isinstance(one, MotionClip):
        return all(_same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return np.array_equal(np.asarray(one, np.float32), other) if isinstance(one, np.ndarray) else one == other


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_arrives_as_it_was(message):
    wire = bytearray(encode(message))
    header, payload = lengths(wire[: PREFIX.size])
    assert len(wire) == PREFIX.size + header + payload
    arrived = decode(wire[PREFIX.size : PREFIX.size + header], wire[PREFIX.size + header :])
    assert type(arrived) is type(message)
    for part in fields(message):
        assert _same(getattr(message, part.name), getattr(arrived, part.name)), part.name


def test_a_take_in_pieces_is_the_whole_take():
    clip = _clip(2 * PART_FRAMES + 1)
    parts = list(clip_parts("a", 0, clip))
    assert [part.start for part in parts] == [0, PART_FRAMES, 2 * PART_FRAMES]
    assert np.array_equal(np.concatenate([part.root_positions for part in parts]), clip.root_positions)
    assert np.array_equal(np.concatenate([part.local_rotations for part in parts]), clip.local_rotations)


def test_the_longest_timeline_fits_into_a_message():
    prompts = tuple(Prompt("\U0001f57a" * MAX_TEXT_LENGTH, n, n + 1) for n in range(MAX_PROMPTS))
    assert encode(GenerateRequest("a", Timeline(240, prompts)))


def test_too_much_is_refused_by_the_sender(monkeypatch):
    monkeypatch.setattr("kmm_core.protocol.MAX_PAYLOAD_BYTES", 1000)
    with pytest.raises(KmmError, match=r"takes 0 MB; at most") as error:
        encode(GenerateRequest("a", TIMELINE, keep_clip=_clip(96), keep_frames=_keep()))
    assert error.value.code == "message_too_large"


def _wire(table, payload: bytes = b"") -> bytes:
    header = table if isinstance(table, bytes) else json.dumps(table).encode()
    return PREFIX.pack(b"KMM\0", len(header), len(payload)) + header + payload


PROGRESS = {"kind": "Progress", "job": "a", "stage": "tokens", "done": 1, "total": 2, "seconds_left": None}
PART = {
    "kind": "ClipPart",
    "job": "a",
    "take": 0,
    "start": 0,
    "num_frames": 9,
    "fps": 30,
    "root_positions": [1, 3],
    "local_rotations": [1, 22, 4],
}
GARBAGE = {
    "something else": (b"HTTP/1.1 400 Bad Request\r\n", r"where a message should start"),
    "an endless header": (PREFIX.pack(b"KMM\0", 1 << 30, 0), r"a message of 1,073,741,824 bytes"),
    "an endless payload": (PREFIX.pack(b"KMM\0", 2, 1 << 40), r"a message of 1,099,511,627,778 bytes"),
    "no JSON": (_wire(b"{"), "JSONDecodeError"),
    "not text": (_wire(b"\xff\xff"), "UnicodeDecodeError"),
    "deep JSON": (_wire(b"[" * 100_000), "RecursionError"),
    "a list": (_wire([]), "TypeError|AttributeError"),
    "no kind": (_wire({}), "KeyError: 'kind'"),
    "an unknown kind": (_wire({"kind": "Attack"}), "KeyError: 'Attack'"),
    "a missing field": (_wire({"kind": "Cancel"}), "KeyError: 'job'"),
    "a further field": (_wire({"kind": "Cancel", "job": "a", "b": 1}), "more than a Cancel holds"),
    "a further payload": (_wire({"kind": "Cancel", "job": "a"}, b"1234"), "more than a Cancel holds"),
    "a number for text": (_wire({"kind": "Cancel", "job": 1}), "1 is not str"),
    "text for a number": (_wire(PROGRESS | {"done": "1"}), "'1' is not int"),
    "truth for a number": (_wire(PROGRESS | {"done": True}), "True is not int"),
    "not a number": (_wire(PROGRESS | {"seconds_left": math.nan}), "NaN is not JSON"),
    "a short payload": (_wire(PART, b"1234"), "a payload that is too short"),
    "a negative shape": (_wire(PART | {"root_positions": [-1, 3]}, b""), "-1 is not a length"),
    "another shape": (_wire(PART | {"root_positions": [3, 1]}, bytes(364)), "frames 0 to 3 of 9"),
    "frames past the end": (_wire(PART | {"start": 9}, bytes(364)), "frames 9 to 10 of 9"),
}


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        return one, server.accept()[0]


@pytest.fixture
def ends():
    one, theirs = _tcp_pair()
    ours = Connection(one)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("garbage", "message"), GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_one_sentence(ends, garbage, message):
    ours, theirs = ends
    theirs.sendall(garbage)
    ours.wait(1)
    with pytest.raises(KmmError, match=message) as error:
        ours.receive()
    assert error.value.code == "worker_garbage" and error.value.hint


def test_another_protocol_is_told_apart_from_garbage(ends):
    ours, theirs = ends
    theirs.sendall(_wire({"kind": "Hello", "protocol": 9, "whatever": "else"}))
    ours.wait(1)
    with pytest.raises(KmmError, match=r"speaks protocol 9; Blender speaks 1\. .*restart Blender") as error:
        ours.receive()
    assert error.value.code == "worker_version"


def test_a_peer_may_announce_only_so_much():
    one, other = _tcp_pair()
    ours = Connection(one, max_payload=100)
    other.sendall(PREFIX.pack(b"KMM\0", 2, 101))
    ours.wait(1)
    with pytest.raises(KmmError, match="a message of 103 bytes"):
        ours.receive()
    ours.close()
    other.close()


def test_a_message_may_come_byte_by_byte(ends):
    ours, theirs = ends
    wire = encode(Failure("a", "b", "c"))
    for byte in wire[:-1]:
        theirs.sendall(bytes([byte]))
        assert ours.receive() is None
    theirs.sendall(wire[-1:] + encode(Alive()))
    ours.wait(1)
    assert ours.receive() == Failure("a", "b", "c") and ours.receive() == Alive() and ours.receive() is None
    assert not ours.closed


def test_what_was_sent_before_the_end_is_still_read(ends):
    ours, theirs = ends
    theirs.sendall(encode(Cancel("a")) + encode(Cancel("b"))[:-3])
    theirs.close()
    ours.wait(1)
    assert ours.receive() == Cancel("a") and not ours.closed
    assert ours.receive() is None and ours.closed


def test_sending_never_blocks_and_loses_nothing(ends):
    ours, theirs = ends
    request = GenerateRequest(
        "a",
        Timeline(30, (Prompt("walks", 0, 20_000),)),
        keep_clip=_clip(20_000, 30),
        keep_frames=_keep(20_000),
    )
    ours.send(request)
    assert ours.pending
    there = Connection(theirs)
    while (arrived := there.receive()) is None:
        ours.flush()
    assert not ours.pending and _same(request.keep_clip, arrived.keep_clip)


def test_sending_to_a_peer_that_is_gone_only_closes(ends):
    ours, theirs = ends
    theirs.close()
    ours.send(Cancel("a"))
    ours.wait(1)
    while not ours.closed:
        ours.send(Cancel("b"))
    ours.wait(1)
    ours.wait_sent()


SETTINGS = {
    "seed": (-1, 2**63, 1.5, "1", True),
    "samples": (0, MAX_SAMPLES + 1, 1.0, None),
    "steps": (0, MAX_STEPS + 1, 2.5),
    "guidance_scale": (-0.1, MAX_GUIDANCE + 1, "2", math.nan),
    "device": ("gpu", ""),
    "model": ("", None),
    "job": ("", 3),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in SETTINGS for value in SETTINGS[name]])
def test_a_request_checks_its_settings(name, value):
    with pytest.raises(KmmError, match=rf"{name}=.* is not ") as error:
        GenerateRequest(**{"job": "a", "timeline": TIMELINE, name: value})
    assert error.value.code == "bad_setting" and error.value.hint.startswith("Choose")


def test_the_limits_are_the_pipelines():
    from kmm_core import pipeline

    assert (pipeline.MAX_SAMPLES, pipeline.MAX_STEPS, pipeline.MAX_GUIDANCE) == (
        MAX_SAMPLES,
        MAX_STEPS,
        MAX_GUIDANCE,
    )


@pytest.mark.parametrize(
    ("clip", "frames", "message"),
    [
        (_clip(96), None, "belong together"),
        (None, _keep(), "belong together"),
        (_clip(96), _keep(95), "3 of 95 frames are to be kept in a timeline of 96"),
        (_clip(96), np.ones(96), "96 of 96"),
        (_clip(96), np.zeros(96), "0 of 96"),
        (_clip(50), _keep(), "50 frames at 23.976 fps; expected more than 50 at 23.976 fps"),
        (_clip(96, 30), _keep(), "96 frames at 30 fps"),
    ],
)
def test_a_request_checks_what_is_kept(clip, frames, message):
    with pytest.raises(KmmError, match=message) as error:
        GenerateRequest("a", TIMELINE, keep_clip=clip, keep_frames=frames)
    assert error.value.code == "bad_keep" and error.value.hint


def test_a_piece_checks_itself():
    with pytest.raises(KmmError, match="frames 0 to 2 of 1"):
        ClipPart("a", 0, 0, 1, 30.0, np.zeros((2, 3)), np.zeros((2, 22, 4)))


def test_the_prefix_has_sixteen_bytes():
    assert PREFIX.size == 16 and struct.calcsize("<4sIQ") == 16
