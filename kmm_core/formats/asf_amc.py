"""Acclaim ASF (skeleton) and AMC (motion), as the CMU and HDM05 databases use them. Light zone: no torch."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import KmmError
from ..motion import rotations
from ..motion.rotations import Array
from .skeletal import SourceMotion

MAX_FILE_BYTES = 1 << 29
# CMU and HDM05 state no rate in the file; both were exported at 120 frames a second.
FPS = 120.0


def read_asf_amc(amc: str | os.PathLike, asf: str | os.PathLike) -> SourceMotion:
    """A trial in its own skeleton. Joint k stands where the bone k of the ASF begins.

    A bone's rotation is C L C^-1 with C from ``axis`` and L from the channels named by ``dof``, so that zero
    means the pose of the ASF's directions.

    Args:
        amc: motion file.
        asf: skeleton file.

    Raises:
        KmmError: ``bad_asf`` or ``bad_amc`` where a file is missing, broken, truncated, empty or too large.
    """
    skeleton = _parse_asf(Path(asf))
    values = _parse_amc(Path(amc), skeleton["dof"])
    return _assemble(Path(amc), skeleton, values)


def _fail(code: str, path: Path, what: str, hint: str = "Download the file again, or leave it out."):
    return KmmError(code, f"{path.name}: {what}", hint)


def _read_lines(code: str, path: Path) -> list[str]:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise _fail(
                code, path, f"the file holds {size / 2**20:.0f} MB, more than the 512 MB that are read."
            )
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        hint = "Check the path and its permissions."
        raise _fail(code, path, f"cannot be read ({error.strerror}).", hint) from error
    lines = [line.strip() for line in text.splitlines()]
    if not any(lines):
        raise _fail(code, path, "the file is empty.")
    return [line for line in lines if line and not line.startswith("#")]


def _axis_order(word: str) -> str:
    # "XYZ" in an ASF means: first about X, then Y, then Z of the fixed frame, so R = Rz Ry Rx.
    return word.upper()[::-1]


def _parse_asf(path: Path) -> dict:
    section = ""
    degrees = True
    names, direction, length, axis, dof = ["root"], {}, {}, {}, {}
    root = {"order": "TX TY TZ RX RY RZ", "axis": "XYZ", "position": "0 0 0", "orientation": "0 0 0"}
    parents: dict[str, str] = {}
    bone = None
    try:
        for line in _read_lines("bad_asf", path):
            key, _, rest = line.replace("\t", " ").partition(" ")
            rest = rest.strip()
            if key.startswith(":"):
                section = key.lower()
            elif section == ":units" and key == "angle":
                degrees = rest.lower().startswith("deg")
            elif section == ":root":
                root[key.lower()] = rest
            elif section == ":bonedata":
                if key == "name":
                    bone = rest
                    names.append(bone)
                    dof[bone] = []
                    axis[bone] = (np.zeros(3), "XYZ")
                elif key == "direction":
                    direction[bone] = _numbers(rest.split(), 3)
                elif key == "length":
                    length[bone] = _numbers([rest], 1)
                elif key == "axis":
                    x, y, z, *order = rest.split()
                    axis[bone] = (_numbers([x, y, z], 3), order[0] if order else "XYZ")
                elif key == "dof":
                    dof[bone] = rest.lower().split()
            elif section == ":hierarchy" and key not in ("begin", "end"):
                for child in rest.split():
                    parents[child] = key
        missing = [
            name for name in names[1:] if not (name in direction and name in length and name in parents)
        ]
        if len(names) < 2 or missing:
            what = (
                f"bone {missing[0]!r} lacks its direction, length or place in :hierarchy"
                if missing
                else "no bones"
            )
            raise _fail(
                "bad_asf", path, f"has {what}; expected an Acclaim skeleton with :bonedata and :hierarchy."
            )
        dof["root"] = root["order"].lower().split()
        axis["root"] = (_numbers(root["orientation"].split(), 3), root["axis"])
        position = _numbers(root["position"].split(), 3)
    except (ValueError, KeyError, IndexError) as error:
        raise _fail("bad_asf", path, f"has a line that does not parse ({str(error)[:60]}).") from error
    known = {"tx", "ty", "tz", "rx", "ry", "rz", "l"}
    for name in names:
        if not set(dof[name]) <= known:
            raise _fail(
                "bad_asf", path, f"bone {name!r} has the dof {' '.join(dof[name])!r}; expected rx, ry, rz."
            )
        if sorted(axis[name][1].upper()) != ["X", "Y", "Z"]:
            raise _fail("bad_asf", path, f"bone {name!r} has the axis order {axis[name][1]!r}; expected XYZ.")
    names = _parents_first(path, names, parents)
    return {
        "names": names, "parents": parents, "direction": direction, "length": length,
        "axis": axis, "dof": dof, "degrees": degrees, "position": position,
    }  # fmt: skip


def _numbers(words: list[str], count: int) -> Array:
    numbers = np.array(words, dtype=float)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"expected {count} numbers, got {' '.join(words)!r}")
    return numbers


def _parents_first(path: Path, names: list[str], parents: dict[str, str]) -> list[str]:
    ordered, waiting = ["root"], names[1:]
    while waiting:
        ready = [name for name in waiting if parents[name] in ordered]
        if not ready:
            raise _fail("bad_asf", path, f"bone {waiting[0]!r} is not connected to the root.")
        ordered += ready
        waiting = [name for name in waiting if name not in ready]
    return ordered


def _parse_amc(path: Path, dof: dict[str, list[str]]) -> dict:
    """Channel values of every bone, each [F, number of dofs]."""
    rows: dict[str, list[str]] = {name: [] for name, kinds in dof.items() if kinds}
    frames = 0
    for line in _read_lines("bad_amc", path):
        key, _, rest = line.replace("\t", " ").partition(" ")
        if key.isdigit() and not rest.strip():
            frames += 1
        elif frames and key in rows:
            rows[key].append(rest)
        elif key.startswith("====="):
            # A published file (CMU 01_01) holds a merge conflict: a cut-off copy, this mark, the whole trial.
            rows, frames = {name: [] for name in rows}, 0
        elif frames and not key.startswith((":", ">>>>>")):
            raise _fail(
                "bad_amc",
                path,
                f"frame {frames} has the line {line[:40]!r}, which names no bone of the ASF file.",
            )
    if not frames:
        raise _fail("bad_amc", path, "has no frames; expected an Acclaim motion file.")
    values = {}
    for name, lines in rows.items():
        try:
            numbers = np.array(" ".join(lines).split(), dtype=float)
        except ValueError as error:
            raise _fail("bad_amc", path, f"bone {name!r} has a word where a number is expected.") from error
        width = len(dof[name])
        if len(lines) != frames or len(numbers) != frames * width:
            raise _fail(
                "bad_amc",
                path,
                f"bone {name!r} has {len(numbers)} numbers in {frames} frames; expected {width} in each. "
                "The file is truncated or belongs to another ASF.",
            )
        if not np.isfinite(numbers).all():
            raise _fail("bad_amc", path, f"bone {name!r} has a number that is not finite.")
        values[name] = numbers.reshape(frames, width)
    return values


def _assemble(path: Path, skeleton: dict, values: dict) -> SourceMotion:
    names, dof = skeleton["names"], skeleton["dof"]
    index = {name: joint for joint, name in enumerate(names)}
    frames = len(next(iter(values.values())))
    to_radians = np.deg2rad(1.0) if skeleton["degrees"] else 1.0
    vector = {name: skeleton["direction"][name] * skeleton["length"][name] for name in names[1:]}
    parents = [-1] + [index[skeleton["parents"][name]] for name in names[1:]]
    offsets = np.zeros((len(names), 3))
    for joint, parent in enumerate(parents):
        if parent > 0:
            offsets[joint] = vector[names[parent]]
    has_children = set(parents)
    end_offsets = np.full((len(names), 3), np.nan)
    for joint in range(1, len(names)):
        if joint not in has_children:
            end_offsets[joint] = vector[names[joint]]
    local = np.tile(rotations.IDENTITY, (frames, len(names), 1))
    translations = np.broadcast_to(offsets, (frames, len(names), 3)).copy()
    translations[:, 0] = skeleton["position"]
    for joint, name in enumerate(names):
        if name not in values:
            continue
        angles, order = skeleton["axis"][name]
        order = _axis_order(order)
        frame = rotations.from_euler(_in_order(angles, order) * to_radians, order)
        turns = np.zeros((frames, 3))
        for column, kind in enumerate(dof[name]):
            if kind[0] == "r":
                turns[:, "xyz".index(kind[1])] = values[name][:, column] * to_radians
            elif kind[0] == "t" and joint == 0:
                translations[:, 0, "xyz".index(kind[1])] += values[name][:, column]
        turn = rotations.from_euler(_in_order(turns, order), order)
        local[:, joint] = rotations.multiply(rotations.multiply(frame, turn), rotations.conjugate(frame))
    return SourceMotion(
        joint_names=tuple(names),
        parents=tuple(parents),
        offsets=offsets,
        end_offsets=end_offsets,
        local_rotations=local,
        local_translations=translations,
        fps=FPS,
        name=path.name,
    )


def _in_order(angles, order: str):
    """Angles about X, Y, Z re-ordered as ``order`` names them, along the last axis."""
    return np.asarray(angles)[..., ["XYZ".index(letter) for letter in order]]
