"""The shown take as numbered PNG files and as films. Frames are rendered once; films are made of them."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bpy

from kmm_core.atomic_write import atomic_write, check_writable, make_folder_of, write_error
from kmm_core.errors import KmmError

from .stop_signals import left_to_blender

# What Blender calls the engines; EEVEE had another name from 4.2 to 4.5.
_ENGINES = {
    "WORKBENCH": ("BLENDER_WORKBENCH",),
    "CYCLES": ("CYCLES",),
    "EEVEE": ("BLENDER_EEVEE", "BLENDER_EEVEE_NEXT"),
}

# The chunk that every PNG file ends with, and its checksum.
_PNG_END = b"IEND\xaeB`\x82"


def check_can_render(paths: Sequence[str]) -> None:
    """Finds out before any long work whether this Blender can make what is wanted.

    Raises:
        KmmError: ``no_ffmpeg`` for a film, where Blender was built without FFmpeg.
    """
    films = [path for path in paths if not _is_folder(path)]
    if films and not _has_ffmpeg():
        raise KmmError(
            "no_ffmpeg",
            f"This Blender was built without FFmpeg and cannot write {films[0]}.",
            "Render to a folder that ends in /, and join the PNG files with another program, such as ffmpeg "
            "-framerate 30 -start_number 1 -i frames/%04d.png film.mp4.",
        )


def render(
    scene: bpy.types.Scene,
    paths: Sequence[str],
    frames: tuple[int, int],
    *,
    engine: str | None = None,
    resolution: tuple[int, int] | None = None,
) -> list[Path]:
    """Renders the frames; returns the folders and films that were written.

    Args:
        scene: with a camera.
        paths: folders (ending in a slash) for ``0001.png`` and so on, and ``.mp4`` files; made where missing.
        frames: first and last scene frame.
        engine: "WORKBENCH", "CYCLES" or "EEVEE"; the scene's by default.
        resolution: of the pictures; the scene's by default.

    Raises:
        KmmError: ``no_camera``, ``no_engine``, ``render_failed``; as ``check_writable``.
    """
    if scene.camera is None:
        raise KmmError(
            "no_camera", f"The scene {scene.name} has no camera to render with.", "Add one to the .blend."
        )
    targets = [Path(bpy.path.abspath(path)) for path in paths]
    folders = [target for path, target in zip(paths, targets) if _is_folder(path)]
    films = [target for path, target in zip(paths, targets) if not _is_folder(path)]
    for target in [*(folder / "0001.png" for folder in folders), *films]:
        make_folder_of(target)
        check_writable(target)
    with tempfile.TemporaryDirectory(prefix="kmm_frames_") as temporary:
        first, *copies = folders or [Path(temporary)]
        pictures = _render_frames(scene, first, frames, engine, resolution)
        for folder in copies:
            for picture in pictures:
                with atomic_write(folder / picture.name) as part:
                    part.write_bytes(picture.read_bytes())
        for film in films:
            _write_film(scene, pictures, film)
    return targets


def set_resolution(scene: bpy.types.Scene, resolution: tuple[int, int]) -> None:
    """Pictures of so many pixels, whatever percentage of them the scene renders."""
    scene.render.resolution_x, scene.render.resolution_y = resolution
    scene.render.resolution_percentage = 100


def _has_ffmpeg() -> bool:
    return bpy.app.build_options.codec_ffmpeg


def _is_folder(path: str) -> bool:
    return path.endswith(("/", "\\"))


def _literal(path: str) -> str:
    """The path as ``filepath`` takes it: since 5.0 braces are Blender's own placeholders there."""
    return path.replace("{", "{{").replace("}", "}}") if bpy.app.version >= (5, 0) else path


def _render_frames(
    scene: bpy.types.Scene,
    folder: Path,
    frames: tuple[int, int],
    engine: str | None,
    resolution: tuple[int, int] | None,
) -> list[Path]:
    """Renders to ``folder``. The scene's settings stay changed: a batch saves before it renders."""
    settings = scene.render
    if engine:
        _choose_engine(scene, engine)
    if resolution:
        set_resolution(scene, resolution)
    settings.use_multiview = False  # or each frame is two files, with other names
    scene.frame_start, scene.frame_end, scene.frame_step = max(frames[0], 0), max(frames[1], 0), 1
    # A film or a layered file would be one file, and placeholders would pass for frames.
    _choose_format(settings, "IMAGE", "PNG")
    settings.use_file_extension = settings.use_overwrite = True
    settings.use_placeholder = False
    settings.filepath = _literal(f"{folder}/")
    pictures = [Path(settings.frame_path(frame=frame)) for frame in range(frames[0], frames[1] + 1)]
    for picture in pictures:
        try:
            picture.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(picture, error) from error
    for frame, picture in zip(range(frames[0], 0), pictures):
        # A scene's range begins at 0; frames before it are rendered one by one.
        scene.frame_set(frame)
        settings.filepath = _literal(str(picture))
        _render(scene, f"the frame {frame}", write_still=True)
    if frames[1] >= 0:
        settings.filepath = _literal(f"{folder}/")
        _render(scene, f"the frames {max(frames[0], 0)} to {frames[1]}", animation=True)
    bad = [picture for picture in pictures if not _is_whole(picture)]
    if bad:
        raise KmmError(
            "render_failed",
            f"Blender rendered without an error, but {len(bad)} of {len(pictures)} frames are missing or cut off, "
            f"the first is {bad[0]}.",
            "Its messages are above in the log; the disk may be full.",
        )
    return pictures


def _is_whole(picture: Path) -> bool:
    """Whether a PNG file is there with its end; on a full disk Blender leaves empty and half ones, and says nothing."""
    try:
        return picture.read_bytes().endswith(_PNG_END)
    except OSError:
        return False


def _choose_engine(scene: bpy.types.Scene, engine: str) -> None:
    for name in _ENGINES[engine]:
        try:
            scene.render.engine = name
        except TypeError:  # not in this Blender
            continue
        if engine == "CYCLES" and not _has_denoiser():
            scene.cycles.use_denoising = False
        return
    raise KmmError(
        "no_engine",
        f"This Blender has no {engine.capitalize()}.",
        "Enable its add-on, or choose another --engine.",
    )


def _has_denoiser() -> bool:
    """Some builds, such as Debian's, come without OpenImageDenoise, and Cycles fails when it is asked for."""
    import _cycles  # pyright: ignore[reportMissingImports]

    return bool(getattr(_cycles, "with_openimagedenoise", True))


def _choose_format(settings: bpy.types.RenderSettings, media: str, file_format: str) -> None:
    # Since 5.0 films are a kind of medium of their own, which decides what formats there are.
    if hasattr(settings.image_settings, "media_type"):
        settings.image_settings.media_type = media
    settings.image_settings.file_format = file_format


def _render(scene: bpy.types.Scene, what: str, **how: bool) -> None:
    try:
        with left_to_blender():
            result = bpy.ops.render.render(scene=scene.name, **how)
    except RuntimeError as error:
        raise KmmError(
            "render_failed",
            f"Blender could not render {what}: {str(error).strip()[:300]}.",
            "Render a frame of the scene in Blender's window to see why.",
        ) from error
    if "FINISHED" not in result:  # without an error: Blender's handler saw Ctrl-C, and ours did not
        signal.raise_signal(signal.SIGINT)


def _write_film(scene: bpy.types.Scene, pictures: Sequence[Path], path: Path) -> None:
    """H.264 of the pictures at the scene's frame rate, by Blender's own FFmpeg."""
    film = bpy.data.scenes.new("KMM film")
    try:
        settings = film.render
        settings.fps, settings.fps_base = scene.render.fps, scene.render.fps_base
        width, height = _size(pictures[0])
        # H.264 stores colours for blocks of 2 x 2 pixels.
        settings.resolution_x, settings.resolution_y = width - width % 2, height - height % 2
        # The pictures hold what the scene's own view transform made of the light.
        film.view_settings.view_transform = "Standard"
        editor = film.sequence_editor_create()
        strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # before 4.4
        strip = strips.new_image("frames", str(pictures[0]), channel=1, frame_start=1)
        for picture in pictures[1:]:
            strip.elements.append(picture.name)
        film.frame_start, film.frame_end = 1, len(pictures)
        _choose_format(settings, "VIDEO", "FFMPEG")
        settings.image_settings.color_mode = "RGB"
        settings.ffmpeg.format, settings.ffmpeg.codec = "MPEG4", "H264"
        settings.ffmpeg.constant_rate_factor, settings.ffmpeg.audio_codec = "HIGH", "NONE"
        with atomic_write(path) as part:
            settings.filepath = _literal(str(part))
            _render(film, path.name, animation=True)
            if not part.stat().st_size:
                raise KmmError(
                    "render_failed",
                    f"Blender wrote nothing into {path.name}; its FFmpeg may lack an H.264 encoder.",
                    "Render to a folder that ends in / and join the PNG files with another program.",
                )
            if not _has_frames(part):
                raise KmmError(
                    "render_failed",
                    f"Blender wrote only a part of {path}, which was removed; the disk may be full.",
                    "Free some space or choose another disk.",
                )
    finally:
        bpy.data.batch_remove([film])  # scenes.remove crashes 4.2 where the context has no window


def _has_frames(film: Path) -> bool:
    """Whether the film can be played; Blender does not say where it could not write the end, which tells of the frames."""
    clip = bpy.data.movieclips.load(str(film))
    try:
        return clip.frame_duration > 0
    finally:
        bpy.data.movieclips.remove(clip)


def _size(picture: Path) -> tuple[int, int]:
    image = bpy.data.images.load(str(picture))
    try:
        return image.size[0], image.size[1]
    finally:
        bpy.data.images.remove(image)
