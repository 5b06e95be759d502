"""The command line of ``-c kmm`` and ``kmm_batch.py`` (everything behind ``--``). No bpy."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kmm_core import __version__
from kmm_core.errors import KmmError

EPILOG = """\
examples:
  blender -b char.blend -c kmm --timeline walk.json --armature Rig --seed 1 --save out.blend
  blender -b -c kmm --timeline walk.srt --render frames/ --render walk.mp4 --engine cycles
  blender -b char.blend -c kmm --shots shots.json --export "out/{shot}.fbx" --summary out/summary.json
If the extension is installed but not enabled: --python kmm_batch.py -- instead of -c kmm.

Settings not given here come from the KMM tab as saved in the .blend, and without --timeline so do the prompts. Without a
.blend you get an empty stage with a KMM character, a floor, a light and a camera that frames the motion.
Paths are relative to the folder Blender was started in; paths that begin with //, to the .blend. {shot} in a path becomes the
shot's name.

exit codes:
  0 done   2 bad arguments   3 backend missing   4 generation failed   5 render failed   6 saving or exporting failed
  1 a bug in KMM itself (a traceback is above)   130, 143 ended by Ctrl-C, SIGTERM
  For a batch: the code of the first shot that failed.
"""


@dataclass(frozen=True)
class Options:
    """The command line.

    Attributes:
        settings: what a shot of a list may also say, as given; only what was given. See ``shots.Shot``.
        shots: list or folder of shots; None where there is only one.
        backend_python: Python with torch, instead of the one that the preferences name.
        device: "auto", "cpu", "cuda" or "mps", instead of the preferences'.
        model: "starter", "starter-nc" or a folder, instead of the preferences'.
        summary: where to write what was done, as JSON.
        timeout: seconds that one shot may take to generate.
    """

    settings: dict[str, Any]
    shots: Path | None
    backend_python: Path | None
    device: str | None
    model: str | None
    summary: Path | None
    timeout: float


class _Parser(argparse.ArgumentParser):
    """Reports errors as KmmError; Blender's interpreter must not be left from in here."""

    def error(self, message: str) -> NoReturn:
        raise KmmError(
            "bad_argument",
            f"{message[:1].upper()}{message[1:300]}.",
            "Give --help instead of the options to list them all.",
        )


def parse(arguments: Sequence[str], absolute: Callable[[str], str] = str) -> Options:
    """The options.

    Args:
        arguments: those behind ``--``.
        absolute: makes a path that begins with // one beside the .blend; those of shots stay as given.

    Raises:
        KmmError: ``bad_argument``.
        SystemExit: after ``--help`` and ``--version``.
    """
    given = vars(_parser(absolute).parse_args(list(arguments)))
    common = {
        name: given.pop(name, None) for name in ("shots", "backend_python", "device", "model", "summary")
    }
    timeout = given.pop("timeout")
    if common["shots"] is not None and "timeline" in given:
        raise KmmError(
            "bad_argument",
            "Both --timeline and --shots were given; expected one of them.",
            "--timeline is one shot, --shots a list or folder of shots.",
        )
    if not timeout > 0:
        raise KmmError(
            "bad_argument", f"--timeout {timeout:g} was given; expected a number of seconds above 0."
        )
    return Options(settings=given, timeout=timeout, **common)


def _parser(absolute: Callable[[str], str]) -> _Parser:
    def path(text: str) -> Path:
        return Path(absolute(text))

    parser = _Parser(
        prog="kmm_batch.py",
        usage="blender -b [FILE.blend] -c kmm [options]",
        description="Generates motion for characters without a window.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # What is not given must not appear: a shot of a list may say it, or the .blend does.
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    shot = parser.add_argument_group("what to generate (each may also be set in an entry of --shots)")
    shot.add_argument("--timeline", metavar="FILE", help="prompts: .json, .srt, .csv or .txt")
    shot.add_argument(
        "--armature",
        metavar="NAME",
        help="object to animate (default: the one chosen in the KMM tab, or the only one)",
    )
    shot.add_argument(
        "--start", help="scene frame where the timeline begins (default: first frame of the scene)"
    )
    shot.add_argument("--seed", help="same seed, same device: same motion")
    shot.add_argument("--takes", help="how many variations (default 1)")
    shot.add_argument("--quality", help="draft, standard or best")
    shot.add_argument("--guidance", help="how closely to follow the text, 0 to 20")
    shot.add_argument("--root", help="bone or object: what carries the character through the scene")
    shot.add_argument("--start-from", help="origin, or pose: continue from the pose at the first frame")
    shot.add_argument(
        "--foot-cleanup",
        action=argparse.BooleanOptionalAction,
        help="hold planted feet still, or leave them as generated",
    )
    shot.add_argument(
        "--reduce-keys", action=argparse.BooleanOptionalAction, help="fewer keys, or a key on every frame"
    )
    shot.add_argument("--fk", action="store_true", help="switch a generated Rigify rig to its FK controls")
    outputs = parser.add_argument_group("what to write (each may also be set in an entry of --shots)")
    outputs.add_argument("--action", metavar="NAME", help="name of the Action (default: the shot's name)")
    outputs.add_argument("--save", metavar="FILE.blend", help="save the scene with the motion")
    outputs.add_argument(
        "--export", action="append", metavar="FILE", help=".fbx, .glb or .bvh; may be repeated"
    )
    outputs.add_argument(
        "--render",
        action="append",
        metavar="FOLDER/|FILE.mp4",
        help="a folder that ends in / for numbered PNG files, or a .mp4 film; may be repeated, "
        "frames are rendered once",
    )
    outputs.add_argument("--engine", help="workbench, cycles or eevee (default: the scene's)")
    outputs.add_argument(
        "--resolution",
        metavar="WxH",
        help="width and height in pixels, such as 1280x720 (default: the scene's)",
    )
    run = parser.add_argument_group("the run")
    run.add_argument(
        "--shots",
        type=path,
        metavar="FILE.json|FOLDER",
        help="a batch: a JSON list, or a folder of timelines",
    )
    run.add_argument(
        "--summary",
        type=path,
        metavar="FILE.json",
        help="JSON file that says what was done, written at the start and after every shot",
    )
    run.add_argument(
        "--backend-python", type=path, metavar="FILE", help="Python that has PyTorch (default: the panel's)"
    )
    run.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), help="where the model runs")
    run.add_argument("--model", type=absolute, metavar="NAME|FOLDER", help="starter, starter-nc or a folder")
    run.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds that generating one shot may take (default 600)",
    )
    run.add_argument("--version", action="version", version=f"KMM {__version__}")
    return parser
