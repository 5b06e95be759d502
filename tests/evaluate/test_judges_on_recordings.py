"""The judges against the labels of real recordings: a few of each kind, or skipped where the data is not there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from kmm_core.evaluate.verdicts import JUDGES
from kmm_core.formats.asf_amc import read_asf_amc
from kmm_core.formats.bvh import read_bvh
from kmm_core.motion.inverse_kinematics import clip_from_positions
from kmm_core.motion.retarget import to_canonical

DATA = Path(os.environ.get("KMM_DATA", "/work/cache"))


def _files(pattern: str, most: int = 6) -> list[Path]:
    files = sorted(DATA.glob(pattern))
    if not files:
        pytest.skip(f"{DATA / pattern} is not there: unpack the archives and set KMM_DATA to their folder")
    return files[:: max(1, len(files) // most)][:most]


def _agreement(clips, judge: str, side: str) -> float:
    return float(np.mean([JUDGES[judge](clip, side).correct for clip in clips]))


@pytest.mark.parametrize(
    "content, judge, side",
    [
        ("raise-up-left-hand", "raises hand", "left"),
        ("raise-up-right-hand", "raises hand", "right"),
        ("raise-up-both-hands", "raises both arms", ""),
        ("wave-left-hand", "waves", "left"),
        ("wave-right-hand", "waves", "right"),
        ("walk-turn-left", "turns", "left"),
        ("walk-turn-right", "turns", "right"),
        ("walk", "walks forward", ""),
    ],
)
def test_bandai_namco(content, judge, side):
    files = _files(f"bandai-namco/*2/data/dataset-2_{content}_normal_*.bvh")
    clips = [to_canonical(read_bvh(path)) for path in files]
    # One label in six may be wrong: some are (data/README.md).
    assert _agreement(clips, judge, side) >= 0.8
    if side:
        assert _agreement([clip.mirrored() for clip in clips], judge, side) <= 0.2


@pytest.mark.parametrize(
    "movement, judge, side",
    [
        ("m06", "raises leg", "right"),
        ("m07", "raises hand", "right"),
        ("m01", "squats", ""),
        ("m03", "lunges", ""),
    ],
)
def test_ui_prmd(movement, judge, side):
    files = _files(f"ui-prmd/joints/{movement}_s0[1-4]_*.npy", 4)
    clips = [clip_from_positions(np.load(path), 30.0) for path in files]
    assert _agreement(clips, judge, side) == 1.0


@pytest.mark.parametrize(
    "label, judge",
    [
        ("kickLFront1Reps", "kicks"),
        ("hopBothLegs1hops", "jumps"),
        ("lieDownFloor", "lies down"),
        ("squat1Reps", "squats"),
    ],
)
def test_hdm05(label, judge):
    files = _files(f"hdm05/subjects/*/*{label}*.amc", 4)
    clips = [to_canonical(read_asf_amc(path, next(path.parent.glob("*.asf")))) for path in files]
    assert _agreement(clips, judge, "") >= 0.75
