"""Motion files in, prepared clips out: the function behind ``kmm-train prepare``.

Each take goes read -> canonical skeleton -> low-pass -> 30 fps -> floor -> cuts with captions -> checks ->
``clips/<id>.npz`` and a row of ``manifest.jsonl``. ``journal.jsonl`` gets a line when a take is done, so an interrupted
run continues where it stopped, and a run with nothing new ends at once. A file that can't be used is reported
and skipped.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from kmm_core.atomic_write import atomic_write, make_folder_of, replace_file, write_error
from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.evaluate.prompt_sets import held_out_version, not_held_out
from kmm_core.timeline import MIN_FPS
from kmm_core.train.prepared import (
    JOURNAL,
    JSON_LINES,
    MANIFEST,
    PREPARED_FPS,
    PreparedClip,
    clip_path,
    read_manifest,
    save_clip,
    write_manifest,
)

from .captions import mirror_caption
from .data_checks import LARGEST_JOLT, course_doubt, measure
from .recipes import load_recipe
from .recipes.recipe import Cut, Dropped, Recipe, Take, split_of

# Part of every fingerprint: raise it when this module changes what it writes.
PREPARE_VERSION = 7
SHORTEST = round(1.0 * PREPARED_FPS)
LONGEST = round(10.0 * PREPARED_FPS)
SKIPPED = "skipped.jsonl"
# Who stands, turns, walks or runs stays on the floor; a step or a box in the studio would teach bodies to rise.
_ON_THE_FLOOR = {"stand", "turn", "walk", "walk_turn", "walk_uneven", "run", "run_turn"}
# Both soles higher than this (metres) for longer than this (seconds).
_LIFTED, _LIFTED_SECONDS = 0.12, 0.35
# What concurrent.futures takes on Windows, where a wait for more handles fails.
_MOST_PROCESSES = 61 if sys.platform == "win32" else 1 << 20
_FATAL = {"disk_full", "no_permission", "no_folder", "cannot_write"}


@dataclass(frozen=True)
class PrepareSummary:
    """What a run left in ``folder``.

    Attributes:
        source: the recipe's name.
        folder: where the clips lie.
        clips, minutes, captions: what the manifest holds.
        new_takes: takes prepared by this run; the others were done before.
        skipped: files that could not be used, as (file, reason).
        dropped: clips and captions left out on purpose, counted by reason.
        seconds: how long it took.
        note: what the recipe missed in the data without being stopped by it; "" if nothing.
    """

    source: str
    folder: Path
    clips: int
    minutes: float
    captions: int
    new_takes: int
    skipped: tuple[tuple[str, str], ...]
    dropped: dict[str, int]
    seconds: float
    note: str


def prepare(recipe: str | Path, *, data: Path, out: Path, workers: int | None = None) -> PrepareSummary:
    """Prepares one data set.

    Args:
        recipe: a name from ``training.recipes`` or the path of a user's own recipe module.
        data: the data set unpacked, or a folder that holds it, unpacked or as an archive (which is then unpacked
            to ``<out>/.unpacked``).
        out: the clips go to ``<out>/<source>``.
        workers: number of processes; by default one per core.

    Raises:
        KmmError: ``unknown_recipe``, ``bad_recipe``, ``no_data``, ``bad_archive``, or one of those of ``atomic_write``.
    """
    began = time.monotonic()
    chosen = load_recipe(recipe)
    folder = Path(out) / chosen.name
    takes = find_takes(chosen, Path(data), Path(out))
    make_folder_of(clip_path(folder, takes[0].id))
    # A user's own recipe is one file; who changes it need not think of its version.
    own = Path(recipe).read_text(encoding="utf-8") if Path(recipe).suffix == ".py" else ""
    fingerprints = {take.id: _fingerprint(chosen, take, own) for take in takes}
    journal = _read_journal(folder / JOURNAL)
    # A take that an unexpected error stopped is tried again: that was no fault of the file.
    done = {
        key: entry
        for key, entry in journal.items()
        if entry["fingerprint"] == fingerprints.get(key) and not entry.get("unexpected")
    }
    new = [take for take in takes if take.id not in done]
    if new or len(done) != len(journal) or not (folder / MANIFEST).is_file():
        # Start from the entries that still hold, so that stale ones don't come back.
        _write_journal(folder / JOURNAL, done.values())
        work = partial(_prepare_take, str(recipe), folder)
        with _open_journal(folder / JOURNAL) as add:
            for entry in _in_parallel(work, new, workers, chosen.name):
                entry["fingerprint"] = fingerprints[entry["take"]]
                add(entry)
                done[entry["take"]] = entry
        _finish(chosen, folder, done)
    clips = read_manifest(folder)
    return PrepareSummary(
        source=chosen.name,
        folder=folder,
        clips=len(clips),
        minutes=sum(clip.seconds for clip in clips) / 60,
        captions=sum(len(clip.captions) for clip in clips),
        new_takes=len(new),
        skipped=tuple((entry["file"], entry["skipped"]) for entry in done.values() if entry["skipped"]),
        dropped=dict(
            Counter(f"{item['what']}: {item['reason']}" for e in done.values() for item in e["dropped"])
        ),
        seconds=time.monotonic() - began,
        note=chosen.note(takes) if hasattr(chosen, "note") else "",
    )


def find_takes(recipe: Recipe, data: Path, out: Path) -> list[Take]:
    """The takes of ``recipe`` in ``data``, unpacking its archives to ``<out>/.unpacked`` where it must.

    Raises:
        KmmError: ``no_data``, ``bad_archive``, or ``bad_recipe`` for ids of takes that cannot be file names.
    """
    if not data.is_dir():
        raise KmmError("no_data", f"{data} is no folder.", "Give the data set's folder with --data.")
    for folder in (*(data / name for name in recipe.archives), data):
        takes = list(recipe.takes(folder, data)) if folder.is_dir() else []
        if takes:
            return _with_good_ids(recipe, takes)
    for archive in (path for name in recipe.archives for path in sorted(data.glob(f"{name}.tar*"))):
        folder = unpack(archive, out / ".unpacked")
        # Most archives hold one folder of their own name: what matters lies in it.
        while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
            folder = inside[0]
        takes = list(recipe.takes(folder, data))
        if takes:
            return _with_good_ids(recipe, takes)
    raise KmmError(
        "no_data",
        f"{data} holds nothing for the recipe {recipe.name}; expected its files, or a folder or .tar "
        "archive named "
        f"{' or '.join(recipe.archives)}.",
        "Give the data set's folder with --data.",
    )


def _with_good_ids(recipe: Recipe, takes: list[Take]) -> list[Take]:
    """``takes``, whose clips will not overwrite each other's."""
    for take_id, count in Counter(take.id for take in takes).items():
        if count > 1 or "/" in take_id or "\\" in take_id:
            raise KmmError(
                "bad_recipe",
                f"The recipe {recipe.name} calls {count} take(s) {take_id!r}; expected an id for "
                "each, without slashes.",
                'Make it of folder and file, such as "walk_01".',
            )
    return takes


def unpack(archive: Path, cache: Path) -> Path:
    """The folder with the archive's contents. Unpacks it the first time, and again if the archive has changed.

    Members that point outside are refused.

    Raises:
        KmmError: ``bad_archive``.
    """
    target = cache / archive.name.split(".tar")[0]
    stamp, status = cache / f"{target.name}.archive", archive.stat()
    version = f"{status.st_size} {status.st_mtime_ns}"
    if target.is_dir() and stamp.is_file() and stamp.read_text() == version:
        return target
    half = cache / f".{target.name}.half"
    shutil.rmtree(half, ignore_errors=True)
    try:
        half.mkdir(parents=True)
        with tarfile.open(archive) as members:
            for member in members:
                # Only plain files and folders below the target; links and devices have no place in motion data.
                inside = (half / member.name).resolve().is_relative_to(half.resolve())
                if not inside or not (member.isfile() or member.isdir()):
                    raise KmmError(
                        "bad_archive",
                        f"{archive}: {member.name} is a link or leaves the folder.",
                        "Don't use it.",
                    )
                members.extract(member, half, set_attrs=False)
        shutil.rmtree(target, ignore_errors=True)
        replace_file(half, target)
        stamp.write_text(version)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and not isinstance(error, tarfile.TarError) and error.errno:
            raise write_error(target, error) from None
        raise KmmError(
            "bad_archive", f"{archive} can't be unpacked ({error}).", "Download it again."
        ) from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return target


def _fingerprint(recipe: Recipe, take: Take, own: str) -> str:
    """Changes when a file, the recipe (``own``: the text of a user's), this module or the sentences kept for tests do."""
    parts = [str(PREPARE_VERSION), held_out_version(), recipe.name, str(recipe.version)]
    parts.append(json.dumps(take.details, sort_keys=True))
    parts += [own] if own else []
    for path in take.files:
        status = path.stat() if path.exists() else None
        parts.append(
            f"{path.name}:{status.st_size}:{status.st_mtime_ns}" if status else f"{path.name}:missing"
        )
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()[:24]


def _prepare_take(recipe_name: str, folder: Path, take: Take) -> dict:
    """Prepares one take and returns its journal entry. Runs in a worker process."""
    recipe = load_recipe(recipe_name)
    entry = {"take": take.id, "file": str(take.files[0]), "rows": [], "dropped": [], "skipped": ""}
    try:
        clip = on_floor_at_30_fps(recipe.read(take))
        for cut in recipe.cuts(take, clip):
            if isinstance(cut, Dropped):
                entry["dropped"].append(asdict(cut))
            else:
                for result in _keep(recipe, folder, take, clip, cut):
                    entry["dropped" if isinstance(result, Dropped) else "rows"].append(asdict(result))
    except Exception as error:
        if isinstance(error, KmmError) and error.code in _FATAL:
            raise
        entry["skipped"] = str(error) if isinstance(error, KmmError) else f"{type(error).__name__}: {error}"
        entry["unexpected"] = not isinstance(error, KmmError)
        entry["rows"] = []
    return entry


def on_floor_at_30_fps(clip: MotionClip) -> MotionClip:
    """A whole take as the recipes' ``cuts`` see it.

    Raises:
        KmmError: ``bad_fps`` for a rate that is a mistake: at 30 fps such a take could fill the memory.
    """
    from kmm_core.motion.placement import face_forward, put_on_floor

    from .low_pass import low_pass

    if clip.fps < MIN_FPS:
        raise KmmError("bad_fps", f"It states {clip.fps:g} frames a second; expected at least {MIN_FPS}.")
    if clip.fps > PREPARED_FPS:
        clip = low_pass(clip)
    return face_forward(put_on_floor(clip.resample(PREPARED_FPS)))


def _keep(
    recipe: Recipe, folder: Path, take: Take, clip: MotionClip, cut: Cut
) -> Iterator[PreparedClip | Dropped]:
    """The clip of a cut, saved, and what was left out of it: captions that its motion contradicts, or all of it."""
    from kmm_core.motion.placement import face_forward, sole_heights

    piece = clip.slice(cut.start, cut.stop)
    if cut.stretch != 1:
        piece = replace(piece, fps=piece.fps / cut.stretch).resample(PREPARED_FPS)
    clip_id = f"{take.id}_{cut.start:05d}_{cut.stop:05d}" + ("_slow" if cut.stretch > 1 else "")
    split = take.split or split_of(recipe.name, take.recording or take.id)
    if cut.change is not None:
        piece, clip_id = cut.change(piece), f"{clip_id}_{cut.change.__name__}"
        if split != "train":
            yield Dropped(
                "clip", "made of a recording that is held out, where only recordings count", clip_id
            )
            return
    piece = face_forward(piece)
    captions = cut.captions
    if not getattr(recipe, "keeps_every_caption", False):
        # A data set's own test split is measured with as it is.
        own_test = take.split == "test"
        doubts = {text: "" if own_test else course_doubt(text, piece) for text in not_held_out(captions)}
        captions = tuple(text for text, doubt in doubts.items() if not doubt)
        for text, doubt in doubts.items():
            if doubt:
                yield Dropped("caption", "a way that the motion does not go", f"{clip_id}: {text}: {doubt}")
    lifted = (sole_heights(piece).min(axis=-1) > _LIFTED).sum() / PREPARED_FPS
    if not captions:
        yield Dropped("clip", "no caption is left", clip_id)
    elif piece.num_frames < SHORTEST:
        yield Dropped("clip", "shorter than 1 s", clip_id)
    elif piece.num_frames > LONGEST:
        yield Dropped("clip", "longer than 10 s", clip_id)
    elif (jolt := measure(piece).jolt) > LARGEST_JOLT:
        yield Dropped("clip", "a joint jumps between frames", f"{clip_id}: {jolt:.2f} m")
    elif cut.labels.get("action") in _ON_THE_FLOOR and lifted > _LIFTED_SECONDS:
        yield Dropped("clip", "both feet are off the floor for long", f"{clip_id}: {lifted:.1f} s")
    else:
        save_clip(clip_path(folder, clip_id), piece)
        yield PreparedClip(
            id=clip_id,
            source=recipe.name,
            licence=recipe.licence,
            noncommercial=recipe.noncommercial,
            split=split,
            recording=take.recording or take.id,
            start=round(cut.start / PREPARED_FPS, 4),
            frames=piece.num_frames,
            captions=captions,
            mirrored_captions=tuple(mirror_caption(text) for text in captions),
            labels=cut.labels,
        )


def _finish(recipe: Recipe, folder: Path, done: dict[str, dict]) -> None:
    """The manifest and the list of skipped files from the journal's entries; clips of no row are removed."""
    rows = [row for entry in done.values() for row in entry["rows"]]
    clips = [PreparedClip(**{**row, "captions": tuple(row["captions"])}) for row in rows]
    # A family of n clips weighs sqrt(n): rare actions are seen more often, without repeating a few clips for ever.
    families = Counter(
        (clip.labels.get("action"), clip.labels.get("side"), clip.labels.get("turn")) for clip in clips
    )
    raw = [
        families[clip.labels.get("action"), clip.labels.get("side"), clip.labels.get("turn")] ** -0.5
        * getattr(recipe, "emphasis", {}).get(clip.labels.get("action"), 1.0)
        * getattr(recipe, "style_emphasis", {}).get(clip.labels.get("style"), 1.0)
        for clip in clips
    ]
    scale = recipe.share / max(sum(raw), 1e-9)
    clips = [replace(clip, weight=round(weight * scale, 6)) for clip, weight in zip(clips, raw, strict=True)]
    write_manifest(folder, sorted(clips, key=lambda clip: clip.id))
    kept = {clip.id for clip in clips}
    for path in (folder / "clips").glob("*.npz"):
        if path.stem not in kept:
            path.unlink()
    with atomic_write(folder / SKIPPED) as temporary, temporary.open("w", encoding="utf-8") as file:
        for entry in done.values():
            if entry["skipped"]:
                file.write(json.dumps({"file": entry["file"], "reason": entry["skipped"]}) + "\n")
            for item in entry["dropped"]:
                file.write(json.dumps({"file": entry["file"], **item}) + "\n")


def _in_parallel(work, takes: list[Take], workers: int | None, name: str) -> Iterator[dict]:
    """``work`` of every take, as they come, with a progress bar."""
    from rich.progress import Progress

    workers = min(workers or os.cpu_count() or 1, max(1, len(takes)), _MOST_PROCESSES)
    with Progress(transient=True) as progress:
        bar = progress.add_task(f"Preparing {name}", total=len(takes))
        if workers == 1:
            for take in takes:
                yield work(take)
                progress.advance(bar)
            return
        with _one_thread_each():
            # spawn: fork would copy the threads' locks of whatever is loaded here.
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
            with pool:
                for entry in pool.map(work, takes, chunksize=4):
                    yield entry
                    progress.advance(bar)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever; this one ends."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Child processes inherit these, so that two of them don't fight over the cores."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _read_journal(path: Path) -> dict[str, dict]:
    """Entries by take; a line that a killed run left unfinished is ignored."""
    entries: dict[str, dict] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                entries[entry["take"]] = entry
            except (ValueError, KeyError, TypeError):
                continue
    return entries


def _write_journal(path: Path, entries: Iterable[dict]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", **JSON_LINES) as file:
        for entry in entries:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


@contextmanager
def _open_journal(path: Path):
    with path.open("a", **JSON_LINES) as file:

        def add(entry: dict) -> None:
            try:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
                file.flush()
            except OSError as error:
                raise write_error(path, error) from None

        yield add
