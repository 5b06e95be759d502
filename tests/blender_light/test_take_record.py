"""Takes as text: what is stored comes back exactly, and damage is one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kmm_blender.scene import take_record
from kmm_blender.scene.prompt_blocks import Block
from kmm_blender.scene.take_record import TakeRecord
from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError


@pytest.fixture
def record() -> TakeRecord:
    """2,500 frames, as exact as the worker sends them."""
    random = np.random.default_rng(0)
    root, local = (random.normal(size=(2500, *shape)).astype("f4").astype(float) for shape in ((3,), (22, 4)))
    clip = MotionClip(root, local, 24 / 1.001)
    blocks = (Block("geht über 動", -5, 1000), Block("winkt", 1000, 2495))
    return TakeRecord("id", "geht, seed 7", blocks, -5, 0.25, True, clip, 7, 2, "starter", "1.0")


def test_round_trip(record):
    text = record.encode()
    assert text.isascii()
    again = take_record.decode(text)
    assert np.array_equal(again.clip.root_positions, record.clip.root_positions)
    assert np.array_equal(again.clip.local_rotations, record.clip.local_rotations)
    assert again.clip.fps == record.clip.fps and again.first_frame == -5
    assert again.summary() == record.summary() and again.blocks == record.blocks


def test_encoding_is_sliced(record):
    *slices, text = record.encode_steps()
    letters = len(json.loads(text)["motion"])
    # Three slices of frames, one when they are joined, and one for each 3 << 18 bytes, which are 1 << 20 letters.
    assert slices == [""] * (3 + 1 + -(-letters // (1 << 20))) and take_record.decode(text).seed == 7


@pytest.mark.parametrize(
    "damage",
    [
        lambda table: table.pop("motion"),
        lambda table: table.update(motion="not base64!"),
        lambda table: table.update(motion=table["motion"][:400]),
        lambda table: table.update(frames=2499),
        lambda table: table.update(frames=-1),
        lambda table: table.update(frames=10**30),
        lambda table: table.update(first_frame=float("inf")),
        lambda table: table.update(floor=float("nan")),
        lambda table: table.update(prompts=10**5),
        lambda table: table.update(fps=0),
        lambda table: table.update(prompts=[["too", "short"]]),
    ],
)
def test_damage_is_one_sentence(record, damage):
    table = json.loads(record.encode())
    damage(table)
    with pytest.raises(KmmError, match="damaged"):
        take_record.decode(json.dumps(table))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 1}', "[" * 10**5])
def test_anything_else_is_one_sentence(text):
    with pytest.raises(KmmError, match="damaged"):
        take_record.decode(text)


def test_motion_that_unpacks_to_more_than_is_ever_generated_is_not_unpacked(record, monkeypatch):
    table = json.loads(record.encode()) | {"frames": 10**9}
    monkeypatch.setattr(
        take_record.zlib, "decompressobj", lambda: pytest.fail("a bomb would fill the memory")
    )
    with pytest.raises(KmmError, match="damaged"):
        take_record.decode(json.dumps(table))


def test_a_later_format_is_named(record):
    table = json.loads(record.encode()) | {"format": 9}
    with pytest.raises(KmmError, match="stored in format 9; this version of KMM reads 1"):
        take_record.decode(json.dumps(table))
