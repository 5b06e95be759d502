"""BVH (Biovision hierarchy): any skeleton in, canonical clips out. Light zone: no torch."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import numpy as np

from ..atomic_write import atomic_write
from ..clip import MotionClip
from ..errors import KmmError
from ..motion import rotations
from ..motion.rotations import Array
from ..skeleton import JOINT_NAMES, PARENTS, REST_OFFSETS
from .skeletal import SourceMotion

MAX_FILE_BYTES = 1 << 29
_CHANNELS = {a + kind for a in "XYZ" for kind in ("position", "rotation")}
# Tips of the canonical skeleton's last bones, metres: they give importers a bone to draw.
_TIPS = {
    "head": (0.0, 0.18, 0.0),
    "left_wrist": (0.17, 0.0, 0.0),
    "right_wrist": (-0.17, 0.0, 0.0),
    "left_foot": (0.0, 0.0, 0.07),
    "right_foot": (0.0, 0.0, 0.07),
}
_UNITS = {"m": 1.0, "cm": 100.0}


def read_bvh(path: str | os.PathLike) -> SourceMotion:
    """The file's skeleton and motion, in its own axes and units.

    Position channels replace the joint's OFFSET, as Blender and MotionBuilder read them; below the root they
    add to it where the file's numbers show that it was written so.

    Args:
        path: a .bvh file.

    Raises:
        KmmError: ``bad_bvh`` where the file is missing, broken, truncated, empty or too large.
    """
    path = Path(path)
    header, motion = _split(path, _read_text(path))
    names, parents, offsets, ends, channels = _parse_hierarchy(path, header)
    values, fps = _parse_motion(path, motion, sum(map(len, channels)))
    return _assemble(path, names, parents, offsets, ends, channels, values, fps)


def _fail(path: Path, what: str, hint: str = "Export the file again as BVH, or leave it out."):
    return KmmError("bad_bvh", f"{path.name}: {what}", hint)


def _read_text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise _fail(
                path,
                f"holds {size / 2**20:.0f} MB, more than the {MAX_FILE_BYTES / 2**20:.0f} MB that are read.",
                "Cut it into shorter takes.",
            )
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise _fail(
            path, f"cannot be read ({error.strerror}).", "Check the path and its permissions."
        ) from error


def _split(path: Path, text: str) -> tuple[str, str]:
    """The text before and after the line MOTION."""
    if not text.strip():
        raise _fail(path, "the file is empty; expected a BVH file that starts with HIERARCHY.")
    if not text.lstrip().upper().startswith("HIERARCHY"):
        first = text.split(maxsplit=1)[0][:30]
        raise _fail(path, f"starts with {first!r}; expected HIERARCHY.", "Check that it is a BVH file.")
    # The keyword stands on a line of its own, so a joint called "Motion" does not match.
    keyword = re.search(r"^[ \t}]*(MOTION)(?=\s|$)", text, re.IGNORECASE | re.MULTILINE)
    if keyword is None:
        raise _fail(path, "ends before its MOTION section; the file is truncated.")
    return text[: keyword.start(1)], text[keyword.end() :]


def _parse_hierarchy(path: Path, header: str):
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[list[str]] = []
    ends: dict[int, list[float]] = {}
    # Joint index by nesting depth; an End Site is -2.
    stack: list[int] = []
    pending: int | None = None
    for line in header.replace("{", "\n{\n").replace("}", "\n}\n").splitlines()[1:]:
        word, _, rest = line.strip().replace("\t", " ").partition(" ")
        rest = rest.strip()
        key = word.upper()
        if not word:
            continue
        if key in ("ROOT", "JOINT"):
            pending = len(names)
            names.append(rest or f"joint_{pending}")
            parents.append(stack[-1] if stack else -1)
            offsets.append([0.0, 0.0, 0.0])
            channels.append([])
        elif key == "END":
            pending = -2
        elif key == "{":
            if pending is None:
                raise _fail(path, "has a '{' that follows no ROOT, JOINT or End Site.")
            stack.append(pending)
            pending = None
        elif key == "}":
            if not stack:
                raise _fail(path, "has one '}' too many in its HIERARCHY.")
            stack.pop()
        elif key == "OFFSET" and stack:
            try:
                offset = [float(value) for value in rest.split()]
            except ValueError:
                offset = []
            if len(offset) != 3 or not np.isfinite(offset).all():
                raise _fail(
                    path, f"has the line 'OFFSET {rest[:40]}'; expected three numbers with decimal points."
                )
            if stack[-1] >= 0:
                offsets[stack[-1]] = offset
            elif len(stack) > 1 and stack[-2] >= 0:
                ends.setdefault(stack[-2], offset)
        elif key == "CHANNELS" and stack and stack[-1] >= 0:
            count, *kinds = rest.split() or [""]
            # Some writers use other capitals.
            kinds = [kind[:1].upper() + kind[1:].lower() for kind in kinds]
            if not count.isdigit() or int(count) != len(kinds) or not set(kinds) <= _CHANNELS:
                raise _fail(
                    path,
                    f"has the line 'CHANNELS {rest[:60]}'; expected a count and that many channels.",
                )
            channels[stack[-1]] = kinds
        else:
            raise _fail(path, f"has the unexpected line {line.strip()[:40]!r} in its HIERARCHY.")
    if stack or pending is not None:
        raise _fail(path, "has a HIERARCHY that is not closed; the file is truncated.")
    if not names:
        raise _fail(path, "has no joints; expected a ROOT.")
    end_offsets = np.full((len(names), 3), np.nan)
    for joint, offset in ends.items():
        end_offsets[joint] = offset
    return names, parents, np.array(offsets), end_offsets, channels


def _parse_motion(path: Path, motion: str, num_channels: int) -> tuple[Array, float]:
    """Channel values [F, C] and frames a second."""
    numbers = motion
    found = {}
    for key in ("Frames:", "Frame Time:"):
        line = re.search(
            key.replace(" ", r"\s*").replace(":", r"\s*:\s*(\S*)"), numbers[:2000], re.IGNORECASE
        )
        try:
            found[key] = float(line[1]) if line else np.nan
        except ValueError:
            found[key] = np.nan
        if not (line and 0 < found[key] < np.inf and 1 / found[key] < np.inf):
            given = f"'{key} {line[1][:30]}'" if line else "no such line"
            raise _fail(path, f"has {given} after MOTION; expected '{key}' and a positive number.")
        numbers = numbers[line.end() :]
    frames = int(found["Frames:"])
    if num_channels == 0:
        raise _fail(path, "has no CHANNELS, so it holds no motion.")
    # Some files hold many frames per line; but a line that is a little too long would shift all that follows.
    width = len(numbers.lstrip().partition("\n")[0].split())
    if width > num_channels and width % num_channels:
        raise _fail(path, f"has {width} numbers in its first frame; its CHANNELS name {num_channels}.")
    try:
        with warnings.catch_warnings():
            # NumPy stops at a word that is not a number: older versions warn, newer ones raise.
            warnings.simplefilter("error")
            values = np.fromstring(numbers, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        raise _fail(path, "has a word among the numbers of its motion; expected numbers only.") from error
    if len(values) < frames * num_channels:
        raise _fail(
            path,
            f"states {frames} frames of {num_channels} channels but holds {len(values) // num_channels}; "
            "the file is truncated.",
        )
    values = values[: frames * num_channels].reshape(frames, num_channels)
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise _fail(path, f"has a number that is not finite in frame {int(np.argmax(bad))}.")
    fps = 1 / found["Frame Time:"]
    # Frame times are rounded to six digits: 0.033333 means 30 frames a second.
    return values, float(round(fps)) if fps > 0.5 and abs(fps - round(fps)) < 0.02 else fps


def _assemble(path: Path, names, parents, offsets, ends, channels, values, fps) -> SourceMotion:
    frames, joints = len(values), len(names)
    local_rotations = np.tile(rotations.IDENTITY, (frames, joints, 1))
    translations = np.broadcast_to(offsets, (frames, joints, 3)).copy()
    columns: dict[str, list[tuple[int, list[int]]]] = {}
    start = 0
    for joint, kinds in enumerate(channels):
        at = [start + index for index in range(len(kinds))]
        start += len(kinds)
        order = "".join(kind[0] for kind in kinds if kind.endswith("rotation"))
        if order:
            rotation_columns = [column for column, kind in zip(at, kinds) if kind.endswith("rotation")]
            columns.setdefault(order, []).append((joint, rotation_columns))
        position = {kind[0]: column for column, kind in zip(at, kinds) if kind.endswith("position")}
        if position:
            given = np.stack(
                [values[:, position[a]] if a in position else np.zeros(frames) for a in "XYZ"], axis=-1
            )
            middle = np.median(given, axis=0)
            nearer_zero = np.linalg.norm(middle) < np.linalg.norm(middle - offsets[joint])
            adds = parents[joint] >= 0 and nearer_zero and offsets[joint].any()
            translations[:, joint] = given + (offsets[joint] if adds else 0)
    for order, users in columns.items():
        indices = [joint for joint, _ in users]
        angles = np.deg2rad(values[:, [at for _, at in users]])
        local_rotations[:, indices] = rotations.from_euler(angles, order)
    return SourceMotion(
        joint_names=tuple(names),
        parents=tuple(parents),
        offsets=offsets,
        end_offsets=ends,
        local_rotations=local_rotations,
        local_translations=translations,
        fps=fps,
        name=path.name,
    )


def write_bvh(path: str | os.PathLike, clip: MotionClip, *, unit: str = "m") -> None:
    """Writes the clip as BVH: Y up, ZXY rotations in degrees, every frame. Atomic.

    Blender's importer with its default settings (forward -Z, up Y) stands the person upright. With
    ``unit="cm"`` set its scale to 0.01.

    Args:
        path: the file to write.
        clip: motion of the canonical skeleton.
        unit: ``"m"`` or ``"cm"``: what one unit of length in the file is.

    Raises:
        KmmError: ``bad_unit``; as ``atomic_write`` where the file cannot be written.
    """
    if unit not in _UNITS:
        raise KmmError(
            "bad_unit", f"unit={unit!r} is not known; expected 'm' or 'cm'.", "Choose one of the two."
        )
    scale = _UNITS[unit]
    lines = ["HIERARCHY"]
    order: list[int] = []
    _write_joint(lines, order, 0, scale)
    # Unwrapped, so that curves through the frames do not jump by a full turn.
    angles = np.rad2deg(np.unwrap(rotations.to_euler(clip.local_rotations[:, order], "ZXY"), axis=0))
    values = np.concatenate([clip.root_positions * scale, angles.reshape(clip.num_frames, -1)], axis=1)
    lines += ["MOTION", f"Frames: {clip.num_frames}", f"Frame Time: {1 / clip.fps:.8f}"]
    row = " ".join(["%.6f"] * values.shape[1])
    lines += [row % tuple(frame) for frame in values]
    with atomic_write(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def _write_joint(lines: list[str], order: list[int], joint: int, scale: float, depth: int = 0) -> None:
    """Adds the joint and those below it, depth first; ``order`` collects the joints as they are written."""
    order.append(joint)
    name = JOINT_NAMES[joint]
    indent = "  " * depth
    # The root stands at zero, so readers that add OFFSET to its position agree with those that do not.
    offset = REST_OFFSETS[joint] * scale
    if name == "neck":
        # Blender connects a bone to its parent's tail if both seem to be at the same place. It compares points in
        # different coordinate frames, which would agree here by chance: a micrometre keeps them apart.
        offset = offset + np.array([0.0, 1e-6, 0.0]) * scale
    position = "6 Xposition Yposition Zposition" if depth == 0 else "3"
    lines += [
        f"{indent}{'ROOT' if depth == 0 else 'JOINT'} {name}",
        f"{indent}{{",
        f"{indent}  OFFSET " + " ".join(f"{value:.6f}" for value in offset),
        f"{indent}  CHANNELS {position} Zrotation Xrotation Yrotation",
    ]
    for child, parent in enumerate(PARENTS):
        if parent == joint:
            _write_joint(lines, order, child, scale, depth + 1)
    if name in _TIPS:
        tip = " ".join(f"{value * scale:.6f}" for value in _TIPS[name])
        lines += [f"{indent}  End Site", f"{indent}  {{", f"{indent}    OFFSET {tip}", f"{indent}  }}"]
    lines.append(f"{indent}}}")
