"""Runs a batch in Blender: for each shot what an animator would do in the panel, then saving, exporting and rendering.

    for each shot: open the .blend -> fill scene.kmm -> generate, as the Generate button does -> save -> export -> render

Every shot starts from the file as it is on disk, so no shot sees what another one left behind.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy

from kmm_core.atomic_write import atomic_write, check_writable, make_folder_of
from kmm_core.errors import KmmError
from kmm_core.timeline import read_timeline

from .. import session
from ..scene import takes
from ..scene.bone_map import find_bone_map, problems, settings_to_change
from ..scene.character import add_character
from ..scene.fk_switch import switch_to_fk
from ..scene.request_builder import Plan, build_plan
from ..scene.rig import read_rig
from ..ui.preferences import preferences
from ..ui.timeline_io import import_prompts
from . import exit_codes, stage
from .arguments import Options, parse
from .exit_codes import ShotError
from .export import check_can_export, export
from .render import check_can_render, render, set_resolution
from .shots import Shot, action_name, list_shots, numbered
from .stop_signals import StopSignals
from .summary import ShotReport, Summary, TakeReport

# Failures of the worker that no other shot can be spared.
_BACKEND_CODES = {
    "backend_missing",
    "backend_broken",
    "backend_incomplete",
    "python_missing",
    "python_broken",
    "worker_not_started",
    "worker_version",
}
_SECONDS_BETWEEN_LINES = 0.5


def main(arguments: Sequence[str]) -> int:
    """Carries out a command line; returns the exit code. Failures are printed, never raised.

    Args:
        arguments: those behind ``--``; see ``arguments.parse``.

    Raises:
        SystemExit: after ``--help`` and ``--version``.
    """
    try:
        options = parse(arguments, bpy.path.abspath)
        _check_opened()
        settings = list_shots(options)
        summary = Summary(bpy.app.version_string, planned=len(settings))
        if options.summary:
            check_writable(options.summary)
            summary.write(options.summary)  # one of an earlier run must not pass for this one's
    except KmmError as error:
        _print_error("", error)
        return exit_codes.BAD_ARGUMENTS
    with _backend_settings(options), StopSignals() as stop:
        _run(options, settings, summary, stop)
    done = sum(not report.exit_code for report in summary.shots)
    _print("", f"{done} of {summary.planned} shots done, exit code {summary.exit_code}")
    return summary.exit_code


def _check_opened() -> None:
    """With ``-c``, Blender goes on with an empty file where it can't open the one that it was started with.

    Raises:
        KmmError: ``cannot_open``.
    """
    own = itertools.takewhile(lambda word: word not in ("--", "-c", "--command"), sys.argv[1:])
    named = [word for word in own if word.lower().endswith(".blend")]
    if named and not bpy.data.filepath:
        raise KmmError(
            "cannot_open", f"Blender did not open {named[-1]}.", "Check the path; its message is above."
        )


def _run(options: Options, shots: Sequence[dict[str, Any]], summary: Summary, stop: StopSignals) -> None:
    opened = bpy.data.filepath
    if len(shots) > 1:
        _tell_early(shots)
    for number, settings in enumerate(shots, start=1):
        report = ShotReport(str(settings["name"]))
        summary.shots.append(report)
        label = report.name if len(shots) == 1 else f"{number}/{len(shots)} {report.name}"
        try:
            with stop.interrupting():
                _run_shot(settings, report, options, summary, label, opened, fresh=number == 1)
                _print(label, "done")
        except (Exception, KeyboardInterrupt) as error:
            _fail(report, label, stop.error or error)
        if options.summary:
            try:
                summary.write(options.summary)
                summary.unwritten = False
            except KmmError as error:
                summary.unwritten = True
                _print_error("summary", error)
        if report.exit_code == exit_codes.NO_BACKEND or (stop.error and report.exit_code):
            break  # no other shot would fare better


def _tell_early(shots: Sequence[dict[str, Any]]) -> None:
    """Prints what is known to be wrong with a shot before the first one is begun, which may be hours earlier."""
    for number, settings in enumerate(shots, start=1):
        try:
            shot = Shot.from_settings(settings)
            check_can_render(shot.render)
            check_can_export(shot.export, shot.start or 0)
            if shot.timeline is not None and not shot.timeline.startswith("//"):
                read_timeline(shot.timeline)
        except KmmError as error:
            # It is still tried in its turn, by when a file may have come.
            _print(f"{number}/{len(shots)} {settings['name']}", f"note: this shot will fail. {error}")


def _fail(report: ShotReport, label: str, error: BaseException) -> None:
    """Notes and prints why a shot failed. A fault of ours must not take the other shots along."""
    if isinstance(error, ShotError):
        report.fail(error.exit_code, error)
        _print_error(label, error)
        return
    traceback.print_exception(error)
    report.fail(1, KmmError("fault", f"{type(error).__name__}: {error}"))
    _print(label, "FAILED: a bug in KMM, see the traceback above")


def _run_shot(
    settings: dict[str, Any],
    report: ShotReport,
    options: Options,
    summary: Summary,
    label: str,
    opened: str,
    *,
    fresh: bool,
) -> None:
    with _step(report, exit_codes.BAD_ARGUMENTS):
        shot = Shot.from_settings(settings)
    with _step(report, exit_codes.RENDER_FAILED):
        check_can_render(shot.render)
    if not (shot.save or shot.export or shot.render):
        _note(report, label, "The motion is not kept: give --save, --export or --render.")
    with _step(report, exit_codes.BAD_ARGUMENTS):
        on_stage = _open(shot, opened, fresh)
        plan = _prepare(shot, options, on_stage, label)
        rig = read_rig(bpy.context.scene.kmm.armature)
        _note(report, label, *problems(rig, find_bone_map(rig)))
        if settings_to_change(rig):
            _note(report, label, "--fk does that.")
    with _step(report, exit_codes.EXPORT_FAILED):
        check_can_export(shot.export, plan.first_frame)
    report.armature = plan.target.armature.name
    report.seed = plan.request.seed
    report.prompts = [{"text": b.text, "start": b.start, "end": b.end} for b in plan.blocks]
    with _step(report, exit_codes.GENERATION_FAILED, "generate"):
        _generate(plan, options.timeout, label)
    current = session.get()
    _note(report, label, current.status.note)
    if current.client is not None and current.client.info is not None:
        summary.backend = asdict(current.client.info)
        if summary.backend["device"] == "cpu":
            # There is no graphics memory to free for rendering, and the worker stays warm for the next shot.
            preferences().release_before_render = False

    scene = bpy.context.scene
    armature = scene.kmm.preview.armature
    frames = plan.first_frame, max(block.end for block in plan.blocks) - 1
    actions = [take.action for take in scene.kmm.takes]
    for number, action in enumerate(actions, start=1):
        action.name = action_name(shot, number)
        report.takes.append(TakeReport(action.name, *frames))
    if on_stage:
        scene.frame_start, scene.frame_end = frames
        _add_camera(shot, scene, armature, frames)
    takes.show(scene, 0)
    # Several takes wait in the panel for the animator who opens the file, with the first one shown.
    if shot.takes == 1:
        takes.accept(scene, "ACTION")
    _make_files(shot, report, armature, frames, label)


# --- the steps ----------------------------------------------------------------------------------------


def _open(shot: Shot, opened: str, fresh: bool) -> bool:
    """The file that the shot starts from; True where it is an empty stage."""
    path = bpy.path.abspath(shot.blend, start=os.path.dirname(opened)) if shot.blend else opened
    if not path:
        # Not the user's own: its border, views or time stretching would be in every picture.
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        return True
    if fresh and path == opened:
        return False  # as Blender was started, with the scene that its own --scene chose
    try:
        bpy.ops.wm.open_mainfile(filepath=path, load_ui=False)
    except RuntimeError as error:
        raise KmmError(
            "cannot_open", f"Blender cannot open {path}: {str(error).strip()[:200]}.", "Check the path."
        ) from None
    return False


def _prepare(shot: Shot, options: Options, on_stage: bool, label: str) -> Plan:
    """Fills the KMM tab's settings with the shot's."""
    scene = bpy.context.scene
    settings = scene.kmm
    timeline = None if shot.timeline is None else bpy.path.abspath(shot.timeline)
    if on_stage and shot.armature is not None:
        raise KmmError(
            "no_armature",
            f'There is no .blend, so no armature "{shot.armature}" either.',
            "Name the .blend before --python or -c, or leave --armature out for a KMM character.",
        )
    if on_stage:
        if timeline is not None:
            stage.set_frame_rate(scene, read_timeline(timeline).fps)
        stage.make_stage(scene)
        settings.armature = add_character(bpy.context)
    else:
        settings.armature = _find_armature(scene, shot.armature)
    if takes.waiting(scene):
        _print(
            label,
            "takes of earlier generations were still waiting in the file and were rejected; the "
            "history keeps them",
        )
        takes.reject(scene)
    if shot.fk and (changed := switch_to_fk(settings.armature)):
        _print(label, f"--fk set {changed} properties of the rig, so that its FK controls move it")
    if timeline is not None:
        import_prompts(scene, timeline, scene.frame_start if shot.start is None else shot.start)
    elif not settings.prompts:
        raise KmmError(
            "no_prompts",
            "There is no prompt; expected at least one.",
            "Give --timeline, or a .blend with prompts in its KMM tab.",
        )
    settings.num_takes = shot.takes
    for name in ("seed", "quality", "guidance", "root", "start_from", "foot_cleanup", "reduce_keys"):
        value = getattr(shot, name)
        if value is not None:
            setattr(settings, name, value)
    if shot.guidance is not None:
        settings.set_guidance = True
    chosen = preferences()
    return build_plan(
        bpy.context,
        model=options.model or chosen.model_name,
        device=options.device or chosen.device_name,
        action_name=action_name(shot, 1),
    )


def _find_armature(scene: bpy.types.Scene, name: str | None) -> bpy.types.Object:
    armatures = {item.name: item for item in scene.objects if item.type == "ARMATURE"}
    there = ", ".join(sorted(armatures)) or "none"
    if name is not None:
        if name not in armatures:
            raise KmmError(
                "no_armature",
                f'The scene {scene.name} has no armature "{name}"; it has: {there}.',
                "Correct --armature.",
            )
        return armatures[name]
    if scene.kmm.armature is not None and scene.kmm.armature.name in armatures:
        return scene.kmm.armature
    if len(armatures) != 1:
        raise KmmError(
            "no_armature",
            f"The scene {scene.name} has {len(armatures)} armatures ({there}); expected one to animate.",
            "Name it with --armature, or choose it in the KMM tab and save the file.",
        )
    return next(iter(armatures.values()))


def _generate(plan: Plan, timeout: float, label: str) -> None:
    printed, at = "", -_SECONDS_BETWEEN_LINES

    def show(status: session.Status) -> None:
        nonlocal printed, at
        if status.text != printed and time.monotonic() - at >= _SECONDS_BETWEEN_LINES:
            printed, at = status.text, time.monotonic()
            _print(label, f"{status.fraction:4.0%} {status.text}")

    current = session.get()
    current.start(plan)
    current.wait(timeout, show)


def _make_files(
    shot: Shot, report: ShotReport, armature: bpy.types.Object, frames: tuple[int, int], label: str
) -> None:
    """Saves, exports and renders. Saves first: what the others change for their purposes is not to be kept."""
    scene = bpy.context.scene
    if shot.save:
        with _step(report, exit_codes.EXPORT_FAILED, "save"):
            _save(_path(shot, shot.save))
            report.saved = _path(shot, shot.save)
    for number, take in enumerate(report.takes, start=1):
        if shot.takes > 1:
            takes.show(scene, number - 1)
        for pattern in shot.export:
            with _step(report, exit_codes.EXPORT_FAILED, "export"):
                path = numbered(_path(shot, pattern), number, shot.takes)
                _print(label, f"exporting {path}")
                export(scene, armature, Path(path), frames)
                take.exported.append(path)
        if shot.render:
            with _step(report, exit_codes.RENDER_FAILED, "render"):
                paths = [numbered(_path(shot, pattern), number, shot.takes) for pattern in shot.render]
                _print(
                    label,
                    f"rendering {take.action}, frames {frames[0]} to {frames[1]}, to {' and '.join(paths)}",
                )
                if scene.camera is None:
                    _print(
                        label, "the scene has no camera: one that frames the motion was added for rendering"
                    )
                    _add_camera(shot, scene, armature, frames)
                if scene.render.use_multiview:
                    _note(report, label, "The scene has several views (Stereoscopy); one is rendered.")
                render(scene, paths, frames, engine=shot.engine, resolution=shot.resolution)
                take.rendered += paths


def _add_camera(
    shot: Shot, scene: bpy.types.Scene, armature: bpy.types.Object, frames: tuple[int, int]
) -> None:
    """One that frames the motion in pictures of the shot's resolution, which the scene gets first."""
    if shot.resolution:
        set_resolution(scene, shot.resolution)
    stage.add_camera(scene, armature, frames)


def _save(path: str) -> None:
    make_folder_of(path)
    check_writable(path)
    try:
        with atomic_write(path) as part:
            part.unlink()  # Blender would keep it as a backup
            bpy.ops.wm.save_as_mainfile(filepath=str(part), copy=True)
            _check_whole(part, path)
            if bpy.context.preferences.filepaths.save_version and os.path.exists(path):
                os.replace(path, f"{path}1")  # as Blender does it
    except RuntimeError as error:
        raise KmmError("cannot_write", f"Blender cannot save {path}: {str(error).strip()[:200]}.") from None


def _check_whole(part: Path, path: str) -> None:
    """On a full disk Blender may write the beginning of a compressed file and report a success."""
    try:
        with bpy.data.libraries.load(str(part)):
            pass
    except OSError:
        raise KmmError(
            "cannot_write",
            f"Blender wrote only a part of {path}, which was removed; the disk may be full.",
            "Free some space or choose another disk.",
        ) from None


def _path(shot: Shot, pattern: str) -> str:
    """An output's path; one that begins with // is beside the .blend, or where Blender was started without one."""
    return bpy.path.abspath(shot.path(pattern))


# --- errors and lines ---------------------------------------------------------------------------------


@contextmanager
def _step(report: ShotReport, exit_code: int, name: str = "") -> Iterator[None]:
    """Times a step, and gives its errors their exit code."""
    started = time.perf_counter()
    try:
        yield
    except KmmError as error:
        code = exit_codes.NO_BACKEND if error.code in _BACKEND_CODES else exit_code
        raise ShotError(code, error) from error
    finally:
        if name:
            report.seconds[name] = round(report.seconds.get(name, 0.0) + time.perf_counter() - started, 3)


@contextmanager
def _backend_settings(options: Options) -> Iterator[None]:
    """The Python that the command line names; afterwards everything as before, and no worker."""
    current, release = session.get(), preferences().release_before_render
    python = current.python
    current.python = options.backend_python or python
    try:
        yield
    finally:
        current.restart()
        current.python = python
        preferences().release_before_render = release


def _note(report: ShotReport, label: str, *notes: str) -> None:
    """Tells what to know about a shot, on stdout and in the summary."""
    for note in filter(None, notes):
        _print(label, f"note: {note}")
        report.note = f"{report.note} {note}".lstrip()


def _print(label: str, text: str) -> None:
    print(f"KMM {label}: {text}" if label else f"KMM: {text}", flush=True)


def _print_error(label: str, error: KmmError) -> None:
    sys.stdout.flush()
    reason = " ".join(str(error).split())  # one line, whatever Blender said
    print(f"KMM {label}: FAILED: {reason}" if label else f"KMM: {reason}", file=sys.stderr, flush=True)
