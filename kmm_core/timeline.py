"""Timelines: which prompt covers which frames. JSON, SRT, CSV and plain text in and out. Light zone.

Standard library only: Blender's panel, the worker, ``kmm-generate`` and the tests all check timelines here.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, zip_longest
from pathlib import Path

from .atomic_write import atomic_write
from .errors import KmmError

DEFAULT_FPS = 30.0
MIN_FPS, MAX_FPS = 1, 240
MAX_SECONDS = 3600
MAX_FRAME = 10**9  # beyond it a number is a mistake, and not worth printing
MAX_TEXT_LENGTH = 500
MAX_PROMPTS = 1000
MAX_FILE_BYTES = 10_000_000
# How long a prompt of a plain-text file lasts when its line does not say.
DEFAULT_PROMPT_SECONDS = 4.0


def in_quotes(text: str, most: int) -> str:
    """``text`` in quotes for a message: of at most so many characters, none of which moves the cursor or hides."""
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return f'"{text}"' if len(text) <= most else f'"{text[: most - 3]}..."'


@dataclass(frozen=True)
class Prompt:
    """What happens in one stretch of frames.

    Attributes:
        text: the sentence; empty only for the gaps that ``Timeline.segments`` returns.
        start: first frame.
        end: the frame after the last one.

    Raises:
        KmmError: ``bad_prompt`` for the text, ``bad_frames`` for the range.
    """

    text: str
    start: int
    end: int

    def __post_init__(self):
        if not isinstance(self.text, str):
            raise KmmError(
                "bad_prompt",
                f"Prompt text {str(self.text)[:40]} is not text; expected a sentence.",
                "Put it in quotes.",
            )
        # One line, single spaces: line breaks of SRT and CSV carry no meaning.
        object.__setattr__(self, "text", " ".join(self.text.split()))
        if len(self.text) > MAX_TEXT_LENGTH:
            raise KmmError(
                "bad_prompt",
                f"The prompt {self.label} has {len(self.text)} characters; at most {MAX_TEXT_LENGTH} "
                "are allowed.",
                "Describe one action per prompt and use several prompts.",
            )
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in self.text) or "\0" in self.text:
            raise KmmError(
                "bad_prompt",
                f"The prompt {self.label} holds characters that are not valid text.",
                "Save the file as UTF-8 or type the prompt again.",
            )
        for name in ("start", "end"):
            object.__setattr__(self, name, _frame(getattr(self, name), name, self.label))
        if self.start < 0 or self.end <= self.start:
            raise KmmError(
                "bad_frames",
                f"The prompt {self.label} covers frames {self.start} to {self.end}; expected a start of "
                "at least 0 and an end after the start.",
                "Give it at least one frame.",
            )

    @property
    def num_frames(self) -> int:
        """Length in frames."""
        return self.end - self.start

    @property
    def label(self) -> str:
        """The text in quotes, short enough for a message."""
        return in_quotes(self.text, 40)


@dataclass(frozen=True)
class Timeline:
    """Prompts with exact frame ranges. Prompts given out of order are sorted by start.

    Attributes:
        fps: frames a second, 1 to 240.
        prompts: at least one; they may touch but not overlap. Frames that none covers are gaps.

    Raises:
        KmmError: ``bad_fps``, ``no_prompts``, ``empty_prompt``, ``timeline_overlap``, ``timeline_too_long``.
    """

    fps: float
    prompts: tuple[Prompt, ...]

    def __post_init__(self):
        object.__setattr__(self, "fps", check_fps(self.fps))
        prompts = tuple(sorted(self.prompts, key=lambda prompt: (prompt.start, prompt.end)))
        object.__setattr__(self, "prompts", prompts)
        if not prompts:
            raise KmmError(
                "no_prompts", "The timeline has no prompts; expected at least one.", "Add a prompt."
            )
        if len(prompts) > MAX_PROMPTS:
            raise KmmError(
                "timeline_too_long",
                f"The timeline has {len(prompts)} prompts; at most {MAX_PROMPTS} are generated at once.",
                "Split it.",
            )
        for prompt in prompts:
            # Zero-width characters alone are as empty as no text.
            if not any(letter.isprintable() and letter != " " for letter in prompt.text):
                raise KmmError(
                    "empty_prompt",
                    f"The prompt for frames {prompt.start} to {prompt.end} is empty; expected a sentence.",
                    'Describe the motion, such as "a person walks forward", or leave the frames uncovered.',
                )
        for first, second in pairwise(prompts):
            if second.start < first.end:
                raise KmmError(
                    "timeline_overlap",
                    f"The prompts {first.label} (frames {first.start} to {first.end}) and {second.label} "
                    f"(frames {second.start} to {second.end}) overlap; they may only touch.",
                    f"Start the second at {first.end} or later, or end the first at {second.start}.",
                )
        if self.num_frames > MAX_SECONDS * self.fps:
            raise KmmError(
                "timeline_too_long",
                f"The timeline lasts {self.num_frames} frames ({self.num_frames / self.fps:.0f} s at "
                f"{self.fps:g} fps); at most {MAX_SECONDS} s are generated at once.",
                "Shorten or split it.",
            )

    @classmethod
    def from_seconds(cls, fps: float, prompts: Sequence[tuple[str, float]]) -> Timeline:
        """Prompts one after the other, each with its length in seconds.

        Boundaries, not lengths, are rounded to frames, so that the total is right to the frame.
        """
        fps = check_fps(fps)
        result, time, end = [], 0.0, 0
        for text, seconds in prompts:
            time += check_seconds(seconds)
            start, end = end, round(time * fps)
            if end == start:
                raise KmmError(
                    "bad_frames",
                    f"{seconds:g} s are less than one frame at {fps:g} fps.",
                    f"Ask for at least {1 / fps:.3f} s.",
                )
            result.append(Prompt(text, start, end))
        return cls(fps, tuple(result))

    @property
    def num_frames(self) -> int:
        """Frames from 0 to the end of the last prompt."""
        return self.prompts[-1].end

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.num_frames / self.fps

    def segments(self) -> tuple[Prompt, ...]:
        """The whole length without holes, from frame 0: the prompts, and gaps as prompts with empty text."""
        result, frame = [], 0
        for prompt in self.prompts:
            if prompt.start > frame:
                result.append(Prompt("", frame, prompt.start))
            result.append(prompt)
            frame = prompt.end
        return tuple(result)


def check_fps(fps: object) -> float:
    """``fps`` as a float.

    Raises:
        KmmError: ``bad_fps`` unless it is a number from 1 to 240.
    """
    number = _number(fps)
    if number is None or not MIN_FPS <= number <= MAX_FPS:
        raise KmmError(
            "bad_fps",
            f"fps={str(fps)[:40]} was given; expected a number from {MIN_FPS} to {MAX_FPS}.",
            "30 is usual.",
        )
    return number


def check_seconds(seconds: object) -> float:
    """``seconds`` as a float.

    Raises:
        KmmError: ``bad_seconds`` unless it is above 0 and at most an hour.
    """
    number = _number(seconds)
    if number is None or not 0 < number <= MAX_SECONDS:
        raise KmmError(
            "bad_seconds",
            f"A length of {str(seconds)[:40]} seconds was given; expected a number above 0 and at most {MAX_SECONDS}.",
            "2 to 10 seconds per prompt work best.",
        )
    return number


def _number(value: object) -> float | None:
    """A finite number as a float, anything else as None; True is not a number here."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _frame(value: object, name: str, label: str) -> int:
    number = _number(value)
    if number is None or number != int(number) or abs(number) > MAX_FRAME:
        raise KmmError(
            "bad_frames",
            f"{name}={str(value)[:40]} of the prompt {label} is not a frame number; expected a whole number.",
            "Count frames from 0; the end is the frame after the last.",
        )
    return int(number)


# --- files ------------------------------------------------------------------------------------------


def read_timeline(path: str | Path, fps: float = DEFAULT_FPS) -> Timeline:
    """Reads ``.json``, ``.srt``, ``.csv`` or ``.txt``.

    Args:
        path: the file, UTF-8.
        fps: frames a second for files that do not state one (SRT, plain text, CSV without ``# fps:``).

    Raises:
        KmmError: ``bad_timeline_file`` where it cannot be read; else as ``Timeline``, with the file's name.
    """
    path = Path(path)
    reader = _pick(path, _READERS)
    check_fps(fps)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise _broken(f"it has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read.", "Split it.")
        text = path.read_bytes().decode("utf-8-sig")
        if not text.strip():
            raise _broken("it is empty; expected prompts.", "See examples/ for a file of each kind.")
        return reader(text, fps)
    except UnicodeDecodeError:
        error = _broken("it is not UTF-8 text.", "Save it as UTF-8.")
    except OSError as os_error:
        error = _broken(f"{os_error.strerror or os_error}.", "Check the path.")
    except KmmError as kmm_error:
        error = kmm_error
    raise KmmError(error.code, f"{path.name}: {error.message}", error.hint) from None


def write_timeline(path: str | Path, timeline: Timeline) -> None:
    """Writes ``.json``, ``.srt``, ``.csv`` or ``.txt``; ``read_timeline`` gives the same timeline back.

    SRT and plain text do not state the frame rate: read them with the same fps.

    Raises:
        KmmError: ``bad_timeline_file`` for another suffix, or where the format would lose a prompt, such as one that begins with
            "#" in plain text; as ``atomic_write``. Nothing is written then.
    """
    path = Path(path)
    text = _pick(path, _WRITERS)(timeline)
    _check_holds(path, text, timeline)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _check_holds(path: Path, text: str, timeline: Timeline) -> None:
    try:
        kept = [prompt.text for prompt in _pick(path, _READERS)(text, timeline.fps).prompts]
    except KmmError:
        kept = []
    lost = next(
        (p.text for p, read in zip_longest(timeline.prompts, kept) if p is not None and p.text != read), None
    )
    if lost is not None:
        raise KmmError(
            "bad_timeline_file",
            f"{path.name} cannot hold the prompt {in_quotes(lost, 60)}: in {path.suffix} files that means something else.",
            "Save it as .json, or change the prompt.",
        )


def _pick(path: Path, functions: dict[str, Callable]) -> Callable:
    if path.suffix.lower() not in functions:
        raise KmmError(
            "bad_timeline_file",
            f"{path.name} has the suffix {path.suffix or '(none)'}; expected one of {', '.join(functions)}.",
            "Rename the file to match its format.",
        )
    return functions[path.suffix.lower()]


def _exact(fps: float) -> str:
    """Every digit, for rates such as 24 / 1.001; 30 for 30.0."""
    return repr(fps).removesuffix(".0")


def _broken(message: str, hint: str) -> KmmError:
    return KmmError("bad_timeline_file", message, hint)


def _at_line(line: int, error: KmmError) -> KmmError:
    return KmmError(error.code, f"line {line}: {error.message}", error.hint)


_JSON_FORM = 'Expected {"fps": 30, "prompts": [{"text": "a person walks", "start": 0, "end": 60}]}.'


def _from_json(text: str, fps: float) -> Timeline:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise _broken(f"it is not complete JSON (broken{where}).", _JSON_FORM) from None
    if not isinstance(content, dict) or not isinstance(content.get("prompts"), list) or "fps" not in content:
        raise _broken('it needs "fps" and a list "prompts".', _JSON_FORM)
    prompts = []
    for number, entry in enumerate(content["prompts"], start=1):
        if not isinstance(entry, dict) or set(entry) != {"text", "start", "end"}:
            raise _broken(f"prompt {number} needs exactly text, start and end.", _JSON_FORM)
        prompts.append(Prompt(entry["text"], entry["start"], entry["end"]))
    return Timeline(content["fps"], tuple(prompts))


def _to_json(timeline: Timeline) -> str:
    prompts = [{"text": p.text, "start": p.start, "end": p.end} for p in timeline.prompts]
    rows = ",\n".join("    " + json.dumps(prompt, ensure_ascii=False) for prompt in prompts)
    return f'{{\n  "fps": {_exact(timeline.fps)},\n  "prompts": [\n{rows}\n  ]\n}}\n'


_SRT_TIME = r"(\d+):(\d{1,2}):(\d{1,2})[,.](\d{1,3})"
_SRT_TIMES = re.compile(rf"\s*{_SRT_TIME}\s*-->\s*{_SRT_TIME}")
# <i>, </font>, {\an8}; but "less < 1 and > 0" is text. None holds another, or a long line of "<a<a<a" takes hours.
_SRT_MARKUP = re.compile(r"</?[a-z][^<>]*>|\{\\[^{}]*\}", re.IGNORECASE)
_SRT_FORM = (
    'Expected blocks of a number, "00:00:00,000 --> 00:00:02,000" and the prompt, with blank lines between.'
)


def _from_srt(text: str, fps: float) -> Timeline:
    prompts: list[Prompt] = []
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        if not lines[index].strip():
            index += 1
            continue
        if lines[index].strip().isdigit():  # the cue's number, which carries nothing
            index += 1
        times = _SRT_TIMES.match(lines[index]) if index < len(lines) else None
        if times is None:
            raise _broken(f"line {min(index + 1, len(lines))}: expected the times of a cue here.", _SRT_FORM)
        line = index + 1
        spoken = []
        index += 1
        while index < len(lines) and lines[index].strip():
            if _SRT_TIMES.match(lines[index]):  # the next cue, with no blank line before it
                if spoken and spoken[-1].strip().isdigit():
                    spoken.pop()
                break
            spoken.append(_SRT_MARKUP.sub("", lines[index]))
            index += 1
        if not "".join(spoken).strip():
            raise _broken(
                f"line {line}: this cue has no prompt; expected a sentence below the times.", _SRT_FORM
            )
        start, end = (_srt_seconds(times.groups()[part : part + 4]) for part in (0, 4))
        prompts.append(_timed(" ".join(spoken), start, end, fps, line))
    return Timeline(fps, tuple(prompts))


def _srt_seconds(parts: Sequence[str]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours[:6]) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _timed(text: str, start: float, end: float, fps: float, line: int) -> Prompt:
    """A prompt from times in seconds of any size."""
    try:
        first, end_frame = (round(min(max(time * fps, -MAX_FRAME), MAX_FRAME)) for time in (start, end))
        return Prompt(text, first, end_frame)
    except KmmError as error:
        raise _at_line(line, error) from None


def _to_srt(timeline: Timeline) -> str:
    def stamp(frame: int) -> str:
        ms = round(frame * 1000 / timeline.fps)
        return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

    return "\n".join(
        f"{number}\n{stamp(prompt.start)} --> {stamp(prompt.end)}\n{prompt.text}\n"
        for number, prompt in enumerate(timeline.prompts, start=1)
    )


_CSV_FORM = (
    "Expected the first line text,start,end (frames) or text,start_seconds,end_seconds; "
    'a line "# fps: 24" above it sets the frame rate.'
)


def _from_csv(text: str, fps: float) -> Timeline:
    lines = text.splitlines()
    skipped = 0
    while skipped < len(lines) and (lines[skipped].startswith("#") or not lines[skipped].strip()):
        stated = re.fullmatch(r"#\s*fps\b\s*[:=]?\s*(.*?)[,;\s]*", lines[skipped], re.IGNORECASE)
        fps = check_fps(stated.group(1).replace(",", ".")) if stated else fps
        skipped += 1
    head = lines[skipped] if skipped < len(lines) else ""
    # Spreadsheets of countries with decimal commas write semicolons.
    delimiter, point = (";", ",") if ";" in head else (",", ".")
    rows = csv.reader(io.StringIO("\n".join(lines[skipped:])), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip().lower() for name in next(rows, [])]
        seconds = columns == ["text", "start_seconds", "end_seconds"]
        if not seconds and columns != ["text", "start", "end"]:
            raise _broken("its first line does not name the columns.", _CSV_FORM)
        prompts = []
        for row in rows:
            line = skipped + rows.line_num
            if not any(field.strip() for field in row):
                continue
            if len(row) != 3:
                raise _broken(
                    f"line {line}: {len(row)} fields; expected 3.", "Put text with commas in quotes."
                )
            if seconds:
                start, end = (_number(field.replace(point, ".")) for field in row[1:])
                if start is None or end is None:
                    raise _broken(f"line {line}: {row[1][:20]}, {row[2][:20]} are not numbers.", _CSV_FORM)
                prompts.append(_timed(row[0], start, end, fps, line))
            else:
                try:
                    prompts.append(Prompt(row[0], row[1], row[2]))  # type: ignore[arg-type] - Prompt reads numbers
                except KmmError as error:
                    raise _at_line(line, error) from None
    except csv.Error as error:
        raise _broken(f"line {skipped + rows.line_num}: not CSV ({error}).", _CSV_FORM) from None
    return Timeline(fps, tuple(prompts))


def _to_csv(timeline: Timeline) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["text", "start", "end"])
    writer.writerows([p.text, p.start, p.end] for p in timeline.prompts)
    return f"# fps: {_exact(timeline.fps)}\n{buffer.getvalue()}"


def _from_text(text: str, fps: float) -> Timeline:
    """One prompt a line, one after the other: ``walks | 2.5``; ``| 1`` alone is a pause before the next; # comments."""
    timed: list[tuple[str, float]] = []
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip() or content.lstrip().startswith("#"):
            continue
        sentence, bar, length = content.rpartition("|")
        if not bar:
            sentence, length = content, str(DEFAULT_PROMPT_SECONDS)
        try:
            timed.append((sentence, check_seconds(length.strip().removesuffix("s").strip())))
            # Checks this line now, for the line number in the message.
            Timeline.from_seconds(fps, [(sentence.strip() or "pause", timed[-1][1])])
        except KmmError as error:
            raise _at_line(line, error) from None
    if any(sentence.strip() for sentence, _ in timed) and not timed[-1][0].strip():
        raise _broken(
            "its last line is a pause, and nothing comes after it.",
            "Leave it out, or let the last prompt last longer.",
        )
    # Pauses take their place in the sum of times, then leave a gap.
    ends = [round(time * fps) for time in accumulate(seconds for _, seconds in timed)]
    spoken = zip((sentence for sentence, _ in timed), [0, *ends], ends)
    return Timeline(fps, tuple(Prompt(*prompt) for prompt in spoken if prompt[0].strip()))


def _to_text(timeline: Timeline) -> str:
    lines = (f"{p.text} | {p.num_frames / timeline.fps:.9g}".strip() for p in timeline.segments())
    return "\n".join(lines) + "\n"


_READERS = {".json": _from_json, ".srt": _from_srt, ".csv": _from_csv, ".txt": _from_text}
_WRITERS = {".json": _to_json, ".srt": _to_srt, ".csv": _to_csv, ".txt": _to_text}
