"""``kmm-generate``: prompts in, motion files out. Arguments are checked before anything heavy is imported."""

from __future__ import annotations

import argparse
import io
import json
import math
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .atomic_write import check_writable, make_folder_of
from .errors import KmmError, lacks_memory
from .timeline import DEFAULT_FPS, DEFAULT_PROMPT_SECONDS, Timeline, check_fps, check_seconds, read_timeline

if TYPE_CHECKING:
    from .clip import MotionClip

# Longest first: .amass.npz is also a .npz.
SUFFIXES = (".amass.npz", ".npz", ".bvh", ".gif", ".mp4", ".png")
# The same limits as pipeline.py's, which cannot be imported before torch.
MAX_SAMPLES = 64
MAX_STEPS = 100
MAX_GUIDANCE = 20.0
# BVH files state their frame time with six decimals or a few more: 0.041708 s are 24 / 1.001 frames a second.
_FRAME_TIME_DIGITS = 1e-6
EXIT_FAILED, EXIT_BAD_ARGUMENTS, EXIT_CANCELLED = 1, 2, 130

EPILOG = """\
examples:
  kmm-generate "a person walks forward" --seconds 4 "raises the left arm" --seconds 2 -o shot.bvh
  kmm-generate --timeline shots.json --seed 7 -o shot.npz -o shot.gif
  kmm-generate "a person jumps" --from walk.bvh --keep 0:60 --frames 120 -o continued.bvh

outputs by suffix:
  .bvh        imports into Blender; --unit says metres or centimetres
  .npz        root_positions, local_rotations, joint_positions, fps, joint_names, prompts
  .amass.npz  AMASS keys (SMPL-H poses)
  .gif .mp4   a film (.mp4 needs ffmpeg)
  .png        a contact sheet, one row per sample
Missing folders are created. With --samples N the files are numbered: shot_1.bvh, shot_2.bvh, ...
"""


@dataclass(frozen=True)
class Output:
    """A file to write: its path as given and what kind it is (one of ``SUFFIXES``)."""

    path: Path
    kind: str

    def numbered(self, number: int) -> Path:
        """``shot.amass.npz`` as ``shot_2.amass.npz``."""
        stem = self.path.name[: -len(self.kind)]
        return self.path.with_name(f"{stem}_{number}{self.path.name[-len(self.kind) :]}")

    def paths(self, samples: int) -> list[Path]:
        """The files for so many samples; a contact sheet shows them all in one."""
        if samples == 1 or self.kind == ".png":
            return [self.path]
        return [self.numbered(number) for number in range(1, samples + 1)]


class _Parser(argparse.ArgumentParser):
    """Takes prompts between options, each followed by its own length, and reports errors as KmmError."""

    def error(self, message: str):
        raise _bad_argument(f"{message[:1].upper()}{message[1:300]}.", "See kmm-generate --help.")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """argparse loses the order of positionals among options; so every prompt becomes ``--prompt=...``."""
        takes_value = {
            name: action.option_strings[-1]
            for action in self._actions
            for name in action.option_strings
            if action.nargs != 0
        }
        result, rest = [], list(arguments)
        while rest:
            argument = rest.pop(0)
            if argument == "--":
                result += [f"--prompt={text}" for text in rest]
                break
            if argument in takes_value and rest:
                # Joined, a value may begin with a dash.
                result.append(f"{takes_value[argument]}={rest.pop(0)}")
            elif argument.startswith("-") and argument != "-":
                result.append(argument)
            else:
                result.append(f"--prompt={argument}")
        return self.parse_args(result)


class _AddPrompt(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        namespace.prompts = [*namespace.prompts, {"text": values}]


class _AddLength(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        if not namespace.prompts:
            raise _bad_argument(
                f"{option_string} {values} stands before any prompt.", "Put it after its prompt."
            )
        prompt = namespace.prompts[-1]
        if "seconds" in prompt or "frames" in prompt:
            raise _bad_argument(
                f'The prompt "{prompt["text"][:40]}" has two lengths.',
                "Give each prompt --seconds or --frames once.",
            )
        prompt[self.dest] = values


class _Once(argparse.Action):
    """For files of which only one is read: a second would silently take the place of the first."""

    def __call__(self, parser, namespace, values, option_string=None):
        if getattr(namespace, self.dest) is not None:
            raise _bad_argument(f"{option_string} was given twice; one file is read.", "Leave one out.")
        setattr(namespace, self.dest, values)


def _parser() -> _Parser:
    parser = _Parser(
        prog="kmm-generate",
        usage='kmm-generate "PROMPT" --seconds S ["PROMPT" --seconds S ...] -o FILE [-o FILE ...] [options]',
        description="Generates human motion from text.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--prompt", action=_AddPrompt, dest="prompts", default=[], metavar="TEXT", help="a prompt"
    )
    parser.add_argument(
        "--seconds",
        action=_AddLength,
        default=argparse.SUPPRESS,
        help=f"length of the prompt before it (default {DEFAULT_PROMPT_SECONDS:g})",
    )
    parser.add_argument(
        "--frames",
        action=_AddLength,
        default=argparse.SUPPRESS,
        help="length of the prompt before it, in frames",
    )
    parser.add_argument(
        "--timeline",
        action=_Once,
        type=Path,
        metavar="FILE",
        help="prompts from a .json, .srt, .csv or .txt file",
    )
    parser.add_argument(
        "-o", "--output", action="append", required=True, metavar="FILE", help="may be repeated"
    )
    parser.add_argument("--fps", help=f"frames a second (default {DEFAULT_FPS:g}, or the timeline's)")
    parser.add_argument(
        "--seed", help="same seed, same device: same motion (default: a new one, which is printed)"
    )
    parser.add_argument(
        "--samples", default="1", help=f"variations to generate, 1 to {MAX_SAMPLES} (default 1)"
    )
    parser.add_argument(
        "--bundle", default="starter", metavar="NAME|PATH", help="starter, starter-nc or a folder"
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument(
        "--guidance",
        help=f"how closely to follow the text, 0 to {MAX_GUIDANCE:g}; 1 adds no guidance and is "
        "fastest (default: the model's)",
    )
    parser.add_argument("--steps", help=f"decoding steps, 1 to {MAX_STEPS} (default: the model's)")
    parser.add_argument(
        "--no-foot-cleanup", action="store_true", help="leave feet as generated, without clean-up"
    )
    parser.add_argument(
        "--from",
        dest="source",
        action=_Once,
        type=Path,
        metavar="FILE",
        help="a .npz or .bvh whose --keep frames stay as they are",
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="A:B",
        help="frames to keep from --from, B excluded; may be repeated, for in-betweening",
    )
    parser.add_argument(
        "--unit", default="m", choices=("m", "cm"), help="length unit of .bvh files (default m)"
    )
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--version", action="version", version=f"kmm-generate {__version__}")
    return parser


@dataclass(frozen=True)
class Request:
    """The arguments, checked. ``timeline`` is None where a file is still to be read."""

    timeline: Timeline | None
    fps: float | None
    outputs: tuple[Output, ...]
    seed: int
    samples: int
    guidance: float | None
    steps: int | None
    keep: tuple[tuple[int, int | None], ...]
    options: argparse.Namespace


def _check_arguments(options: argparse.Namespace) -> Request:
    """Everything that can be found wrong without touching a file."""
    if bool(options.prompts) == bool(options.timeline):
        raise _bad_argument(
            "Got both prompts and --timeline." if options.prompts else "Got no prompt and no --timeline.",
            'Give either, for example: kmm-generate "a person walks forward" --seconds 4 -o shot.bvh',
        )
    if bool(options.keep) != bool(options.source):
        raise _bad_argument("--from and --keep belong together.", "For example --from walk.bvh --keep 0:60.")
    fps = None if options.fps is None else check_fps(options.fps)
    return Request(
        timeline=_timeline_from_prompts(options.prompts, fps or DEFAULT_FPS) if options.prompts else None,
        fps=fps,
        outputs=tuple(_output(path) for path in options.output),
        seed=secrets.randbelow(2**31)
        if options.seed is None
        else _whole("--seed", options.seed, 0, 2**63 - 1),
        samples=_whole("--samples", options.samples, 1, MAX_SAMPLES),
        guidance=None if options.guidance is None else _guidance(options.guidance),
        steps=None if options.steps is None else _whole("--steps", options.steps, 1, MAX_STEPS),
        keep=tuple(_frame_range(text) for text in options.keep),
        options=options,
    )


def _timeline_from_prompts(prompts: Sequence[dict[str, str]], fps: float) -> Timeline:
    if any("frames" in prompt for prompt in prompts):
        if any("seconds" in prompt for prompt in prompts):
            raise _bad_argument("Got both --seconds and --frames.", "Use one of the two for all prompts.")
        default = max(1, round(DEFAULT_PROMPT_SECONDS * fps))
        lengths = [_whole("--frames", prompt.get("frames", default), 1, 10**6) / fps for prompt in prompts]
    else:
        lengths = [check_seconds(prompt.get("seconds", DEFAULT_PROMPT_SECONDS)) for prompt in prompts]
    return Timeline.from_seconds(fps, [(prompt["text"], length) for prompt, length in zip(prompts, lengths)])


def _output(name: str) -> Output:
    path = Path(name)
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return Output(path, suffix)
    raise _bad_argument(
        f"The output {name!r} has no known suffix; expected one of {', '.join(SUFFIXES)}.",
        "For example shot.bvh.",
    )


def _whole(option: str, value: object, low: int, high: int) -> int:
    try:
        number = int(str(value)[:30])
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise _bad_argument(
            f"{option} {str(value)[:30]} was given; expected a whole number from {low} to {high}."
        )
    return number


def _guidance(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= MAX_GUIDANCE:
        raise _bad_argument(
            f"--guidance {value[:30]} was given; expected a number from 0 to {MAX_GUIDANCE:g}."
        )
    return number


def _frame_range(text: str) -> tuple[int, int | None]:
    first, colon, last = text.partition(":")
    start, end = (int(part) if part.isdecimal() and len(part) < 10 else part for part in (first, last))
    start, end = (0 if start == "" else start), (None if end == "" else end)
    if not colon or isinstance(start, str) or isinstance(end, str) or (end is not None and end <= start):
        raise _bad_argument(f"--keep {text[:30]} is not a range of frames.", "For example 0:60, 90: or :30.")
    return start, end


def _bad_argument(message: str, hint: str = "") -> KmmError:
    return KmmError("bad_argument", message, hint)


# --- files and generation ---------------------------------------------------------------------------------


def _read_timeline(request: Request) -> Timeline:
    if request.timeline is not None:
        return request.timeline
    path = request.options.timeline
    timeline = read_timeline(path, request.fps or DEFAULT_FPS)
    if request.fps is not None and abs(1 / timeline.fps - 1 / request.fps) >= _FRAME_TIME_DIGITS:
        raise KmmError(
            "bad_fps",
            f"{path.name} counts frames at {timeline.fps:g} fps and --fps {request.fps:g} was given.",
            "Leave --fps out.",
        )
    return timeline


def _read_kept(request: Request, timeline: Timeline) -> tuple[MotionClip, Any] | None:
    """The motion given by --from at the timeline's frame rate, and the mask of frames to keep."""
    if request.options.source is None:
        return None
    import numpy as np

    path: Path = request.options.source
    if path.suffix.lower() == ".npz":
        from .formats.npz import read_npz

        clip = read_npz(path)
    elif path.suffix.lower() == ".bvh":
        from .formats.bvh import read_bvh
        from .motion.retarget import as_it_is, to_canonical

        source = read_bvh(path)
        clip = as_it_is(source) or to_canonical(source)
    else:
        raise KmmError(
            "bad_source", f"--from {path.name} is neither .npz nor .bvh.", "Convert it to one of them."
        )
    if abs(1 / clip.fps - 1 / timeline.fps) < _FRAME_TIME_DIGITS:
        clip, length = replace(clip, fps=timeline.fps), clip.num_frames
    else:
        # Little more than the timeline takes (its last token may reach beyond it): of a file that states one frame a day a
        # second frame is far away.
        length = np.floor((clip.num_frames - 1) * timeline.fps / clip.fps + 1e-6) + 1
        clip = clip.resample(timeline.fps, int(min(length, timeline.num_frames + timeline.fps)))
    mask = np.zeros(timeline.num_frames, dtype=bool)
    for start, end in request.keep:
        end = min(clip.num_frames, timeline.num_frames) if end is None else end
        if not start < end <= min(clip.num_frames, timeline.num_frames):
            raise KmmError(
                "bad_keep",
                f"--keep {start}:{end} does not fit: {path.name} has {length:.0f} frames at "
                f"{timeline.fps:g} fps and the timeline {timeline.num_frames}.",
                "Keep frames that both have.",
            )
        mask[start:end] = True
    return clip, mask


def _write(output: Output, clips: Sequence[MotionClip], timeline: Timeline, unit: str) -> list[str]:
    """Writes one output for all samples; gives the paths written."""
    make_folder_of(output.path)
    paths = output.paths(len(clips))
    if output.kind == ".png":
        from .render import contact_sheet

        contact_sheet(clips, output.path, titles=[timeline.prompts] * len(clips))
        return [str(output.path)]
    for path, clip in zip(paths, clips):
        if output.kind == ".bvh":
            from .formats.bvh import write_bvh

            write_bvh(path, clip, unit=unit)
        elif output.kind == ".npz":
            from .formats.npz import write_npz

            write_npz(path, clip, timeline.prompts)
        elif output.kind == ".amass.npz":
            from .formats.amass import write_amass

            write_amass(path, clip)
        elif output.kind == ".gif":
            from .render import write_gif

            write_gif(clip, path, timeline.prompts)
        else:
            from .render import write_mp4

            write_mp4(clip, path, timeline.prompts)
    return [str(path) for path in paths]


@contextmanager
def _progress_bar():
    """A callback for ``generate(progress=...)`` that draws on stderr where a person looks at it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total)
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total)

        yield show


def _generate(request: Request, load: Callable[..., Any] | None) -> dict[str, Any]:
    """Checks files, loads the model, generates, writes. Returns the report that --json prints."""
    options = request.options
    timeline = _read_timeline(request)
    for output in request.outputs:
        for path in output.paths(request.samples):
            check_writable(path)
        if output.kind == ".mp4":
            from .render import find_ffmpeg

            find_ffmpeg()
        elif output.kind == ".gif":
            from .render import check_gif_length

            check_gif_length(timeline.seconds)
    kept = _read_kept(request, timeline)

    clock = time.perf_counter()
    if load is None:
        from .pipeline import TextToMotion

        load = TextToMotion.load
    pipeline = load(options.bundle, device=options.device)
    seconds = {"load": time.perf_counter() - clock}
    keep = None
    if kept is not None:
        from .pipeline import Keep

        keep = Keep(*kept)
    with _progress_bar() as progress:
        result = pipeline.generate(
            timeline,
            seed=request.seed,
            samples=request.samples,
            guidance_scale=request.guidance,
            steps=request.steps,
            foot_cleanup=not options.no_foot_cleanup,
            keep=keep,
            progress=progress,
        )
    seconds.update(result.seconds)
    clock = time.perf_counter()
    written = []
    try:
        for output in request.outputs:
            written += _write(output, result.clips, timeline, options.unit)
    except KmmError as error:
        again = f"{error.hint} --seed {request.seed} makes the same motion again.".lstrip()
        raise KmmError(error.code, error.message, again) from error
    seconds["write"] = time.perf_counter() - clock
    info = pipeline.info
    return {
        "frames": timeline.num_frames,
        "fps": timeline.fps,
        "seed": request.seed,
        "samples": request.samples,
        "seconds": {stage: round(value, 4) for stage, value in seconds.items()},
        "device": str(info.device),
        "model": info.model,
        "version": info.version,
        "licence": info.licence,
        "credits": list(info.credits),
        "text_encoder": info.text_encoder,
        "parameters": dict(info.parameters),
        "unfamiliar": list(result.unfamiliar),
        "cut": list(result.cut),
        "note": result.note,
        "outputs": written,
    }


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Any] | None = None) -> int:
    """Runs ``kmm-generate``.

    Args:
        arguments: the command line without the program's name; by default the process's own.
        load: makes the pipeline from a bundle's name and ``device=``; by default ``TextToMotion.load``.

    Returns:
        Exit code: 0, 1 for a failure, 2 for bad arguments, 130 when cancelled.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a path may hold letters that a redirected stream can't
            stream.reconfigure(errors="backslashreplace")
    debug = "--debug" in arguments
    failure = EXIT_BAD_ARGUMENTS
    try:
        request = _check_arguments(_parser().parse(arguments))
        failure = EXIT_FAILED
        report = _generate(request, load)
        try:
            print(json.dumps(report, indent=2) if request.options.json else _summary(report), flush=True)
        except OSError as error:
            sys.stdout = None  # what it still holds would fail again at the end of Python
            raise KmmError(
                "cannot_write",
                f"All files were written, but the report could not be printed ({error.strerror}).",
            ) from error
        if report["note"] and not request.options.json:
            print(f"kmm-generate: note: {report['note']}", file=sys.stderr)
        return 0
    except KeyboardInterrupt:
        return _complain("cancelled; no unfinished file was left.", EXIT_CANCELLED)
    except KmmError as error:
        if debug:
            raise
        return _complain(str(error), EXIT_CANCELLED if error.code == "cancelled" else failure)
    except ModuleNotFoundError as error:
        if debug:
            raise
        return _complain(
            f"the package {error.name} is not installed. Install KMM with all it needs: pip install "
            "kmm-core.",
            EXIT_FAILED,
        )
    except Exception as error:
        if debug:
            raise
        if lacks_memory(error):
            return _complain("not enough memory. Shorten the timeline or ask for fewer samples.", EXIT_FAILED)
        return _complain(
            f"unexpected {type(error).__name__}: {error}. Run it with --debug and report what it prints.",
            EXIT_FAILED,
        )


def _summary(report: dict[str, Any]) -> str:
    length = report["frames"] / report["fps"]
    taken = sum(report["seconds"].values())
    return (
        f"{', '.join(report['outputs'])}: {report['frames']} frames "
        f"({length:.1f} s at {report['fps']:g} fps), seed {report['seed']}, "
        f"{report['model']} ({report['licence']}) on {report['device']}, {taken:.1f} s."
    )


def _complain(message: str, code: int) -> int:
    # One line, whatever an exception's text holds.
    print("kmm-generate: " + " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
