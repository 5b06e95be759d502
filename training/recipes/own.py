"""BVH files of one's own, described in ``captions.csv`` or ``captions.txt`` beside them: for fine-tuning. docs/train.md leads through it."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.timeline import in_quotes
from kmm_core.train.prepared import PREPARED_FPS

from .locomotion import windows
from .recipe import Cut, Dropped, Take
from .skeletal_files import read_skeletal

CAPTIONS = ("captions.csv", "captions.txt")
_FORM = (
    'Write a line for each sentence: "walk_01.bvh | a person walks like a robot" in captions.txt; in captions.csv below the '
    "first line file,caption or file,caption,start_seconds,end_seconds, with sentences that hold commas in quotes."
)
_LONGEST = 300  # frames of a clip; longer takes are cut into equal parts
_STILL = 1e-5  # metres, or parts of a quaternion: nothing that was recorded rests like that
_NAMED = 5  # files in a message


class Own:
    """Every BVH file of a folder and the folders in it. Each clip is trained on: few files leave none to hold out."""

    name = "own"
    version = 1
    licence = "own"
    noncommercial = False
    credit = "you"
    archives: tuple[str, ...] = ()
    share = 1.0
    keeps_every_caption = True

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """A take for each file, with what is said of it.

        Raises:
            KmmError: ``no_data`` without files; ``bad_captions`` where the captions are missing or name no file.
        """
        paths = {
            path.relative_to(folder).with_suffix("").as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() == ".bvh" and not path.name.startswith(".") and path.is_file()
        }
        if not paths:
            raise KmmError(
                "no_data",
                f"{folder} holds no .bvh file.",
                "Export yours as BVH, and give their folder with --data.",
            )
        said: dict[str, list] = {name: [] for name in paths}
        for name, *sentence in _read_captions(folder, list(paths)):
            if sentence not in said[name]:
                said[name].append(sentence)
        return [
            Take(name.replace("/", "_"), (path,), split="train", details={"said": said[name]})
            for name, path in paths.items()
        ]

    def read(self, take: Take) -> MotionClip:
        """The BVH on the canonical skeleton; where no times are named, without the frames at the end that are all the same.

        Raises:
            KmmError: ``no_caption`` where nothing is said of it; as ``read_bvh`` and ``to_canonical``.
        """
        if not take.details["said"]:
            raise KmmError(
                "no_caption", f"{take.files[0].name} has no caption.", f"Add a line to {CAPTIONS[0]}."
            )
        clip = read_skeletal(take.files[0])
        if any(len(sentence) > 1 for sentence in take.details["said"]):
            return clip
        # Blender exports the scene's frames: after an Action's last key its last pose, again and again.
        pose = np.concatenate(
            [clip.root_positions, clip.local_rotations.reshape(clip.num_frames, -1)], axis=1
        )
        moves = (np.abs(np.diff(pose, axis=0)) > _STILL).any(axis=1)
        return clip.slice(0, int(moves.nonzero()[0][-1]) + 2) if moves.any() else clip

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """The take, or the seconds of it that captions name, in parts of at most 10 s."""
        spans: dict[tuple[int, int], list[str]] = {}
        for caption, *seconds in take.details["said"]:
            start, stop = (
                (round(time * PREPARED_FPS) for time in seconds) if seconds else (0, clip.num_frames)
            )
            if stop > clip.num_frames + 1:
                raise KmmError(
                    "bad_captions",
                    f"{in_quotes(caption, 60)} is said of {seconds[0]:g} to {seconds[1]:g} s of {take.files[0].name}, "
                    f"which lasts {clip.num_frames / PREPARED_FPS:.2f} s.",
                    "Correct the times.",
                )
            for first, last in windows(min(stop, clip.num_frames) - start, _LONGEST, 1):
                spans.setdefault((start + first, start + last), []).append(caption)
        for (start, stop), captions in spans.items():
            yield Cut(start, stop, tuple(captions), {})


def _read_captions(folder: Path, names: list[str]) -> Iterator[tuple]:
    """Rows of (file of ``names``, sentence), or (file, sentence, start, end) in seconds."""
    files = [folder / name for name in CAPTIONS if (folder / name).is_file()]
    if not files:
        raise KmmError("bad_captions", f"{folder} holds no {' or '.join(CAPTIONS)}.", _FORM)
    by_name: dict[str, list[str]] = {}
    for name in names:
        for key in {_key(name), _key(name.rsplit("/", 1)[-1])}:
            by_name.setdefault(key, []).append(name)
    unknown: list[str] = []
    for path in files:
        for number, row in _rows(path):
            where = f"{path.name}, line {number}"
            caption = " ".join((row.get("caption") or "").split())
            file = (row.get("file") or "").strip()
            if None in row or not file or not caption:
                raise KmmError("bad_captions", f"{where}: expected a file and what is said of it.", _FORM)
            found = by_name.get(_key(file), [])
            if len(found) > 1:
                raise KmmError(
                    "bad_captions",
                    f"{where}: {file} may be {' or '.join(found)}.",
                    "Write the folder, too, or rename one of the files.",
                )
            if not found:
                unknown.append(f"{file} ({where})")
                continue
            yield found[0], caption, *_seconds(row, where)
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise KmmError(
            "bad_captions",
            f"There is no .bvh file in {folder} for {', '.join(unknown[:_NAMED])}{more}.",
            "Correct the names, or take those lines out.",
        )


def _key(name: str) -> str:
    """The same for a name however it is spelled: capitals, suffix, kind of slash, accents as one letter or two."""
    name = unicodedata.normalize("NFC", name).casefold().strip().replace("\\", "/")
    return name.removesuffix(".bvh")


def _rows(path: Path) -> Iterator[tuple[int, dict]]:
    """Lines of a file with their numbers, by column."""
    lines = _text(path).splitlines(keepends=True)
    if path.suffix == ".txt":
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.startswith("#"):
                name, _, caption = line.partition("|")
                yield number, {"file": name, "caption": caption}
        return
    head = lines[0] if lines else ""
    # Spreadsheets of countries with decimal commas write semicolons.
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        if not {"file", "caption"} <= set(reader.fieldnames):
            raise KmmError(
                "bad_captions", f"{path.name}: its first line is {in_quotes(head.strip(), 60)}.", _FORM
            )
        for row in reader:
            # Spreadsheets write empty rows, too.
            if any(str(value).strip() for value in row.values() if value):
                yield reader.line_num, row
    except csv.Error as error:
        raise KmmError(
            "bad_captions",
            f"{path.name}, line {reader.line_num + 1}: not CSV ({error}); a quotation mark may be alone there.",
            _FORM,
        ) from None


def _text(path: Path) -> str:
    content = path.read_bytes()
    # Excel's "Unicode Text" is UTF-16.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise KmmError(
            "bad_captions",
            f"{path.name}, line {line}: not UTF-8 text.",
            'Save it as UTF-8 (in Excel: "CSV UTF-8").',
        ) from None


def _seconds(row: dict, where: str) -> tuple[float, ...]:
    """Start and end, or nothing where the row names none."""
    given = [row.get(name) or "" for name in ("start_seconds", "end_seconds")]
    if not any(map(str.strip, given)):
        return ()
    try:
        start, end = (float(text.replace(",", ".")) for text in given)
    except ValueError:
        start, end = 0.0, 0.0
    if not 0 <= start < end <= 1e6:
        raise KmmError(
            "bad_captions",
            f"{where}: start_seconds {given[0]} and end_seconds {given[1]}; expected two numbers, the second larger.",
            "Leave both empty for the whole file.",
        )
    return start, end


RECIPE = Own()
