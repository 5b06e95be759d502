"""Shots: what one generation of a batch takes and leaves behind, checked. No bpy."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from kmm_core.errors import KmmError

from .arguments import Options

TIMELINE_SUFFIXES = (".json", ".srt", ".csv", ".txt")
EXPORT_SUFFIXES = (".fbx", ".glb", ".bvh")
FILM_SUFFIX = ".mp4"
MAX_TAKES = 16
# Blender cuts names of Actions here.
MAX_NAME_BYTES = 63
PLACEHOLDER = "{shot}"


@dataclass(frozen=True)
class Shot:
    """One shot. None means: as the .blend has it.

    Attributes:
        name: of the shot, in messages, the summary and for ``{shot}``.
        blend: file to start from, instead of the one that Blender was started with, beside which a path is that begins
            with ``//``.
        timeline: file with prompts, beside ``blend`` where it begins with ``//``; None takes the prompts in the .blend.
        armature: name of the object to animate.
        start: scene frame of the timeline's frame 0.
        seed: as in the panel.
        takes: how many variations.
        quality: "DRAFT", "STANDARD" or "BEST".
        guidance: how closely to follow the text.
        root: "BONE" or "OBJECT".
        start_from: "ORIGIN" or "POSE".
        foot_cleanup: whether to hold planted feet still.
        reduce_keys: whether to keep only the keys that are needed.
        fk: whether to switch a generated Rigify rig to its FK controls.
        action: name of the Action; with several takes a number follows.
        save: .blend to write.
        export: .fbx, .glb and .bvh files to write.
        render: folders for PNG files and .mp4 files to write.
        engine: "WORKBENCH", "CYCLES" or "EEVEE".
        resolution: width and height of pictures.
    """

    name: str
    blend: str | None = None
    timeline: str | None = None
    armature: str | None = None
    start: int | None = None
    seed: int | None = None
    takes: int = 1
    quality: str | None = None
    guidance: float | None = None
    root: str | None = None
    start_from: str | None = None
    foot_cleanup: bool | None = None
    reduce_keys: bool | None = None
    fk: bool = False
    action: str = ""
    save: str | None = None
    export: tuple[str, ...] = ()
    render: tuple[str, ...] = ()
    engine: str | None = None
    resolution: tuple[int, int] | None = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Shot:
        """A shot from the command line's words or the values of a JSON entry.

        Raises:
            KmmError: ``bad_shot`` for a setting that isn't known or has a value that it can't have.
        """
        values = {}
        for name, value in settings.items():
            if name not in _CHECKS:
                raise KmmError(
                    "bad_shot",
                    f'"{str(name)[:40]}" is not a setting of a shot; expected one of {", ".join(_CHECKS)}.',
                    "Correct its spelling, or remove it.",
                )
            if value is not None:
                values[name] = _CHECKS[name](name, value)
        shot = cls(**values)
        return cls(**{**values, "action": shot.action or shot.name})

    def path(self, pattern: str) -> str:
        """An output's path with the shot's name in it."""
        return pattern.replace(PLACEHOLDER, self.name)


def list_shots(options: Options) -> list[dict[str, Any]]:
    """The settings of all shots, not yet checked by ``Shot.from_settings``, so that a bad one can't stop the others.

    Each has a name, and no two have the same or write the same file.

    Raises:
        KmmError: ``bad_shots`` for a list that can't be read, or shots that would overwrite one another;
            ``bad_shot`` for the command line's own settings.
    """
    if options.shots is None:
        action = options.settings.get("action", "")
        return [{"name": action if _can_name_a_file(action) else _stem(options.settings), **options.settings}]
    Shot.from_settings({"name": "all", **options.settings})
    entries = _folder(options.shots) if os.path.isdir(options.shots) else _list(options.shots)
    shots = []
    for entry in entries:
        settings = {**options.settings, **entry}
        for name in ("timeline", "blend"):
            if isinstance(entry.get(name), str) and not entry[name].startswith("//"):
                settings[name] = str(options.shots.parent / entry[name])
        shots.append({**settings, "name": _stem(settings) if entry.get("name") is None else entry["name"]})
    _check_unique(shots)
    return shots


def numbered(path: str, take: int, takes: int) -> str:
    """The path for one of several takes: ``walk.fbx`` as ``walk_2.fbx``, ``frames/`` as ``frames/2/``.

    Args:
        path: with a suffix, or ending in a slash.
        take: from 1.
        takes: how many there are; a single one keeps the path.
    """
    if takes == 1:
        return path
    if path.endswith(("/", "\\")):
        return f"{path}{take}/"
    suffix = PurePath(path).suffix
    return f"{path.removesuffix(suffix)}_{take}{suffix}"


def action_name(shot: Shot, take: int) -> str:
    """The name of a take's Action, with a number where there are several; never longer than Blender keeps it."""
    number = f"_{take}" if shot.takes > 1 else ""
    room = MAX_NAME_BYTES - len(number)
    return shot.action.encode()[:room].decode(errors="ignore") + number


def _stem(settings: Mapping[str, Any]) -> str:
    timeline = settings.get("timeline")
    return Path(timeline).stem if isinstance(timeline, str) and timeline else "shot"


def _folder(folder: Path) -> list[dict[str, Any]]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in TIMELINE_SUFFIXES)
    except OSError as error:
        raise KmmError("bad_shots", f"Cannot read {folder}: {error.strerror}.", "Check the path.") from None
    files = [path for path in files if not _is_list(path)]
    if not files:
        raise KmmError(
            "bad_shots",
            f"The folder {folder} holds no timeline; expected files that end in "
            f"{', '.join(TIMELINE_SUFFIXES)}.",
            "Give the folder that holds the timelines.",
        )
    return [{"name": path.stem, "timeline": str(Path(folder.name, path.name))} for path in files]


def _list(path: Path) -> list[dict[str, Any]]:
    form = 'Expected [{"name": "shot_010", "timeline": "walk.json", "seed": 1}, ...].'
    try:
        entries = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise KmmError("bad_shots", f"Cannot read {path}: {error.strerror}.", "Check the path.") from None
    except (ValueError, RecursionError):
        raise KmmError("bad_shots", f"{path.name} is not complete JSON in UTF-8.", form) from None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise KmmError("bad_shots", f"{path.name} is not a list of shots.", form)
    return entries


def _is_list(path: Path) -> bool:
    """Whether it is a list of shots, which may stand beside the timelines that it names."""
    try:
        return bool(path.suffix.lower() == ".json" and _list(path))
    except KmmError:
        return False


def _check_unique(shots: Sequence[Mapping[str, Any]]) -> None:
    names: set[str] = set()
    writers: dict[str, str] = {}
    for shot in shots:
        name = str(shot["name"])
        if name in names:
            raise KmmError(
                "bad_shots",
                f'Two shots are called "{name}"; expected each name once.',
                'Give them a "name" each, or rename one of the timelines.',
            )
        names.add(name)
        for path in _written(shot):
            # The same file by another spelling, such as out//a.fbx, or A.FBX on Windows.
            file = os.path.normcase(os.path.abspath(path))
            if writers.setdefault(file, name) != name:
                raise KmmError(
                    "bad_shots",
                    f'The shots "{writers[file]}" and "{name}" would both write {path}.',
                    f"Put {PLACEHOLDER} into the path: it becomes the shot's name. Or rename one of them.",
                )


def _written(settings: Mapping[str, Any]) -> Iterator[str]:
    """The files and folders that a shot writes; none where it can't be run."""
    try:
        shot = Shot.from_settings(settings)
    except KmmError:
        return
    paths = [shot.path(shot.save)] if shot.save else []
    for take in range(1, shot.takes + 1):
        paths += [numbered(shot.path(path), take, shot.takes) for path in (*shot.export, *shot.render)]
    for path in paths:
        if path.startswith("//") and shot.blend:
            path = os.path.join(os.path.dirname(shot.blend), path[2:])
        yield path


# --- what a setting may be ----------------------------------------------------------------------------


def _bad(name: str, value: object, expected: str) -> KmmError:
    option = name.replace("_", "-")
    return KmmError("bad_shot", f"{option}: {str(value)[:60]!r} was given; expected {expected}.")


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise _bad(name, value, "a text")
    return value


def _name(name: str, value: object) -> str:
    text = _text(name, value)
    if not _can_name_a_file(text):
        raise _bad(name, value, "a name that can be part of a file name")
    return text


def _can_name_a_file(text: str) -> bool:
    return text not in ("", "..") and PurePath(text).name == text and "\\" not in text and ":" not in text


def _whole(low: int, high: int) -> Callable[[str, object], int]:
    def check(name: str, value: object) -> int:
        try:
            number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            raise _bad(name, value, f"a whole number from {low} to {high}")
        return number

    return check


def _guidance(name: str, value: object) -> float:
    try:
        number = (
            float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
        )
    except ValueError:
        number = math.nan
    if not 0 <= number <= 20:
        raise _bad(name, value, "a number from 0 to 20")
    return number


def _choice(*choices: str) -> Callable[[str, object], str]:
    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or value.upper() not in choices:
            raise _bad(name, value, " or ".join(choice.lower() for choice in choices))
        return value.upper()

    return check


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _bad(name, value, "true or false")
    return value


def _check_placeholders(name: str, path: str) -> None:
    """A misspelt one would be part of the file's name, and every shot would write the same file."""
    for word in re.findall(r"{\s*\w+\s*}", path):
        if word != PLACEHOLDER:
            raise _bad(
                name, word, f"{PLACEHOLDER}, which becomes the shot's name, and nothing else in braces"
            )


def _paths(expected: str, good: Callable[[str], bool]) -> Callable[[str, object], tuple[str, ...]]:
    def check(name: str, value: object) -> tuple[str, ...]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(path, str) and good(path) for path in values):
            raise _bad(name, value, expected)
        for path in values:
            _check_placeholders(name, path)
        return tuple(values)

    return check


def _save(name: str, value: object) -> str:
    path = _text(name, value)
    if not path.lower().endswith(".blend"):
        raise _bad(name, value, "a file that ends in .blend")
    _check_placeholders(name, path)
    return path


def _resolution(name: str, value: object) -> tuple[int, int]:
    parts = value.lower().split("x") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) != 2:
        raise _bad(name, value, "width and height, such as 1280x720")
    width, height = (_whole(16, 16384)(name, part) for part in parts)
    if width % 2 or height % 2:
        raise _bad(name, value, "even numbers, which films need")
    return width, height


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "name": _name,
    "blend": _text,
    "timeline": _text,
    "armature": _text,
    "start": _whole(-1_000_000, 1_000_000),
    "seed": _whole(0, 2**31 - 1),
    "takes": _whole(1, MAX_TAKES),
    "quality": _choice("DRAFT", "STANDARD", "BEST"),
    "guidance": _guidance,
    "root": _choice("BONE", "OBJECT"),
    "start_from": _choice("ORIGIN", "POSE"),
    "foot_cleanup": _flag,
    "reduce_keys": _flag,
    "fk": _flag,
    "action": _text,
    "save": _save,
    "export": _paths(
        f"files that end in {', '.join(EXPORT_SUFFIXES)}",
        lambda path: PurePath(path).suffix.lower() in EXPORT_SUFFIXES,
    ),
    "render": _paths(
        f"a folder that ends in / (for PNG files), or a file that ends in {FILM_SUFFIX}",
        lambda path: path.endswith(("/", "\\")) or PurePath(path).suffix.lower() == FILM_SUFFIX,
    ),
    "engine": _choice("WORKBENCH", "CYCLES", "EEVEE"),
    "resolution": _resolution,
}
