"""Pictures of motion: contact sheets, GIFs and films of a shaded figure on a floor grid. Pillow and NumPy.

Left limbs are always blue and right limbs orange, so that a wrong side is seen at a glance.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from .atomic_write import atomic_write
from .clip import MotionClip
from .errors import KmmError
from .motion import kinematics, rotations
from .motion.rotations import Array
from .skeleton import JOINT_INDEX
from .timeline import Prompt

LEFT, RIGHT, CENTRE, FACE = range(4)
COLOURS = np.array([[52, 118, 214], [236, 118, 44], [176, 180, 190], [62, 66, 78]], dtype=np.float32)
BACKGROUND = np.array([250, 250, 252], dtype=np.float32)
FLOOR = np.array([232, 235, 241], dtype=np.float32)
GRID = np.array([196, 202, 214], dtype=np.float32)
INK = (44, 48, 60)
PALE_INK = (128, 134, 148)
TRAIL = (120, 128, 150)

# Of the camera, radians: about +Y from +Z toward +X, and above the floor.
_AZIMUTH, _ELEVATION = np.radians(32), np.radians(16)
_LIGHT = rotations.normalize(np.array([-0.45, 0.75, 0.6])).astype(np.float32)  # in camera axes
_SUPERSAMPLE = 2
_CAMERA_DISTANCE = 6.0  # metres
_TRAIL_SECONDS = 20
MAX_GIF_SECONDS = 180
_GIF_SIZE, _MP4_SIZE = (360, 360), (640, 640)  # H.264 in yuv420p needs even sides
CAPTION_HEIGHT = 32  # pixels under the picture, for the prompt


def _parts() -> list[tuple[str, tuple, str, tuple, float, float, int]]:
    """The figure: (joint, offset in its frame, joint, offset, radius, radius, colour), metres."""
    none = (0.0, 0.0, 0.0)
    parts = [
        ("pelvis", (0, -0.02, 0), "spine2", none, 0.10, 0.10, CENTRE),
        ("spine2", none, "spine3", (0, 0.12, 0), 0.10, 0.10, CENTRE),
        ("neck", (0, -0.03, 0), "head", none, 0.05, 0.048, CENTRE),
        ("head", (0, 0.06, 0.01), "head", (0, 0.13, 0), 0.085, 0.092, CENTRE),
    ]
    for side, colour, x in (("left", LEFT, 1), ("right", RIGHT, -1)):
        parts += [
            ("spine3", (0.065 * x, 0.10, 0), "spine1", (0.05 * x, 0.03, 0), 0.10, 0.092, CENTRE),
            ("spine1", (0.05 * x, 0.03, 0), "pelvis", (0.07 * x, -0.05, 0), 0.092, 0.102, CENTRE),
            ("spine3", (0.06 * x, 0.15, 0), f"{side}_shoulder", none, 0.075, 0.055, CENTRE),
            (f"{side}_shoulder", none, f"{side}_elbow", none, 0.063, 0.044, colour),
            (f"{side}_elbow", none, f"{side}_wrist", none, 0.044, 0.032, colour),
            (f"{side}_wrist", none, f"{side}_wrist", (0.10 * x, 0, 0), 0.038, 0.028, colour),
            (f"{side}_hip", none, f"{side}_knee", none, 0.088, 0.057, colour),
            (f"{side}_knee", none, f"{side}_ankle", none, 0.057, 0.041, colour),
            (f"{side}_ankle", (0, -0.02, -0.02), f"{side}_foot", (0, 0.01, 0), 0.042, 0.037, colour),
            (f"{side}_foot", (0, 0.01, 0), f"{side}_foot", (0, 0.002, 0.07), 0.037, 0.027, colour),
            ("head", (0, 0.10, 0.074), "head", (0.052 * x, 0.10, 0.05), 0.031, 0.03, FACE),
        ]
    return parts


class Scene:
    """One clip in front of one camera. As much as possible is computed for all frames at once.

    Args:
        size: width and height in pixels.
        follow: True moves the camera with the person; False frames the whole path; None follows long paths.
    """

    def __init__(self, clip: MotionClip, size: tuple[int, int], follow: bool | None = None):
        self.size = width, height = size
        self._place_figure(clip)

        # Rows of the camera matrix: right, up, and backward (from the target to the camera).
        backward = np.array(
            [np.sin(_AZIMUTH) * np.cos(_ELEVATION), np.sin(_ELEVATION), np.cos(_AZIMUTH) * np.cos(_ELEVATION)]
        )
        right = np.array([np.cos(_AZIMUTH), 0.0, -np.sin(_AZIMUTH)])
        self.axes = np.stack([right, np.cross(backward, right), backward])

        root = clip.root_positions
        top = max(1.85, float(self.ends[..., 1].max()) + 0.1)
        if follow is None:
            follow = float(np.ptp(root[:, [0, 2]], axis=0).max()) > 1.2
        if follow:
            # A camera that lags over one second keeps the picture calm.
            target = _smooth(root, max(1, round(clip.fps)))
        else:
            target = np.broadcast_to((root.min(0) + root.max(0)) / 2, root.shape)
        around = (self.ends - target[:, None, None]).reshape(-1, 3)
        self.target = target * np.array([1.0, 0, 1.0]) + np.array([0, top / 2 - 0.04, 0])
        around[:, 1] = 0
        depth = _CAMERA_DISTANCE - around @ backward
        half_width = np.abs(around @ right / np.maximum(depth, 1) * _CAMERA_DISTANCE).max() + 0.15
        nearest = _CAMERA_DISTANCE / max(float(depth.min()), 1.0)
        self.distance = _CAMERA_DISTANCE
        # If the path comes close to the camera, it steps back, so that the feet stay in the picture.
        if nearest > 1.5:
            self.distance = _CAMERA_DISTANCE + float(np.max(around @ backward)) * 1.5
            nearest = 1.3
        # Pixels a metre at the target, so that height and width both fit.
        scale = min(height / ((top + 0.22) * max(1.0, 0.5 + nearest / 2)), width / (2 * half_width))
        self.focal = float(scale * self.distance)
        self.centre = np.array([width / 2, height / 2])

        xy, depth = self.project(self.ends)
        self.ends_px, self.ends_depth = xy, depth
        self.radii_px = self.radii * self.focal / depth
        self.trail_frames = round(_TRAIL_SECONDS * clip.fps)
        # Half a second of smoothing: the way taken, without the sway of every step.
        self.trail = _smooth(root, max(1, round(clip.fps / 2))) * np.array([1.0, 0, 1.0])
        self._floor_rays()
        self._floor_cache: tuple[bytes, Array] | None = None

    def _place_figure(self, clip: MotionClip) -> None:
        parts = _parts()
        joints = np.array([[JOINT_INDEX[p[0]], JOINT_INDEX[p[2]]] for p in parts])
        offsets = np.array([[p[1], p[3]] for p in parts], dtype=float)
        turned = rotations.rotate(kinematics.global_rotations(clip.local_rotations)[:, joints], offsets)
        self.ends = clip.joint_positions()[:, joints] + turned  # [F, N, 2, 3] m
        self.radii = np.array([[p[4], p[5]] for p in parts])
        self.part_colours = [p[6] for p in parts]

    def project(self, points: Array, frames: slice | int = slice(None)) -> tuple[Array, Array]:
        """World points [F, ..., 3] m -> pixels [F, ..., 2] (y down) and distance from the eye [F, ...] m."""
        target = self.target[frames]
        target = target.reshape(target.shape[:-1] + (1,) * (points.ndim - target.ndim) + (3,))
        seen = (points - target) @ self.axes.T
        depth = np.maximum(self.distance - seen[..., 2], 0.2)
        return self.centre + seen[..., :2] * np.array([1, -1]) * (self.focal / depth)[..., None], depth

    def _floor_rays(self) -> None:
        """Where each pixel's ray meets the floor, seen from the target's place: [H, W] x and z in metres."""
        width, height = self.size
        x = (np.arange(width) + 0.5 - self.centre[0]) / self.focal
        y = (self.centre[1] - np.arange(height) - 0.5) / self.focal
        right, up, backward = self.axes
        eye = np.array([0, self.target[0, 1], 0]) + backward * self.distance
        direction = x[None, :, None] * right + y[:, None, None] * up - backward
        falling = np.minimum(direction[..., 1], -1e-3)
        t = -eye[1] / falling
        self.floor_xz = (eye + direction * t[..., None])[..., [0, 2]].astype(np.float32)
        # Metres that one pixel covers on the floor, for lines of even width.
        self.floor_step = np.stack(
            [np.hypot(*np.gradient(self.floor_xz[..., axis])) + 1e-6 for axis in (0, 1)], axis=-1
        ).astype(np.float32)
        away = np.hypot(self.floor_xz[..., 0], self.floor_xz[..., 1])
        reach = max(3.2, self.size[0] / self.focal * self.distance * 0.62)
        fade = np.clip(1.25 - away / reach, 0, 1) * (direction[..., 1] < -1e-3)
        self.floor_fade = (fade * fade * (3 - 2 * fade))[..., None].astype(np.float32)
        # The first row of pixels that sees any floor.
        seen = np.flatnonzero(self.floor_fade.max(axis=(1, 2)) > 0)
        self.horizon = int(seen[0]) if len(seen) else height

    def _floor(self, frame: int) -> Array:
        target = self.target[frame, [0, 2]].astype(np.float32)
        if self._floor_cache and self._floor_cache[0] == target.tobytes():
            return self._floor_cache[1]
        image = np.empty((self.size[1], self.size[0], 3), dtype=np.float32)
        image[: self.horizon] = BACKGROUND
        world = self.floor_xz[self.horizon :] + target
        lines = np.zeros(world.shape[:2], dtype=np.float32)
        for spacing, strength in ((1.0, 1.0), (0.5, 0.35)):
            near = np.abs(world - np.round(world / spacing) * spacing) / self.floor_step[self.horizon :]
            lines = np.maximum(lines, strength * np.clip(1.3 - near.min(-1), 0, 1))
        ground = FLOOR - BACKGROUND + (GRID - FLOOR) * lines[..., None]
        image[self.horizon :] = BACKGROUND + ground * self.floor_fade[self.horizon :]
        self._floor_cache = (target.tobytes(), image)
        return image

    def _shadow(self, frame: int) -> Array:
        """How much light is left on each pixel of the floor, [H, W, 1]."""
        mask = Image.new("L", self.size, 0)
        draw = ImageDraw.Draw(mask)
        ends = self.ends[frame]
        # Light from high on the camera's left: shadows fall to the right, longer where the limb is high.
        fall = self.axes[0] * 0.30 - self.axes[2] * np.array([1, 0, 1]) * 0.22
        ground = ends + fall * ends[..., 1:2]
        ground[..., 1] = 0
        xy, depth = self.project(ground, frame)
        widths = self.radii.mean(-1) * 2 * self.focal / depth.mean(-1)
        for (a, b), width in zip(xy, widths):
            draw.line([tuple(a), tuple(b)], fill=255, width=max(1, round(width * 0.8)))
            for x, y in (a, b):
                draw.ellipse([x - width * 0.45, y - width * 0.2, x + width * 0.45, y + width * 0.2], fill=255)
        mask = mask.filter(ImageFilter.GaussianBlur(max(1.0, self.focal / self.distance * 0.018)))
        return 1 - 0.30 * np.asarray(mask, dtype=np.float32)[..., None] / 255

    def image(self, frame: int) -> Image.Image:
        """The picture of one frame."""
        picture = Image.fromarray((self._floor(frame) * self._shadow(frame)).astype(np.uint8))
        trail = self._trail(frame)
        picture.paste(TRAIL, (0, 0), trail)
        figure = self._figure(frame)
        picture.paste(figure, (0, 0), figure)
        return picture

    def _trail(self, frame: int) -> Image.Image:
        """The path up to this frame, as a mask of pixels."""
        s = _SUPERSAMPLE
        mask = Image.new("L", (self.size[0] * s, self.size[1] * s), 0)
        xy, _ = self.project(self.trail[max(0, frame - self.trail_frames) : frame + 1], frame)
        if len(xy) > 1:
            ImageDraw.Draw(mask).line([tuple(point) for point in xy * s], fill=255, width=round(1.5 * s))
        return mask.reduce(s)

    def _figure(self, frame: int) -> Image.Image:
        """The shaded figure on a transparent ground: every part a swept sphere in a depth buffer."""
        s = _SUPERSAMPLE
        width, height = self.size[0] * s, self.size[1] * s
        nearest = np.full((height, width), np.inf, dtype=np.float32)
        normals = np.zeros((height, width, 3), dtype=np.float32)
        colours = np.zeros((height, width), dtype=np.uint8)
        scale = np.float32(self.focal / self.distance * s)
        parts = zip(
            self.ends_px[frame] * s, self.ends_depth[frame], self.radii_px[frame] * s, self.part_colours
        )
        for ends, (depth_a, depth_b), radii, colour in parts:
            ((ax, ay), (bx, by)), (ra, rb) = ends.astype(np.float32), radii.astype(np.float32)
            x0, x1 = int(max(0, min(ax - ra, bx - rb))), int(min(width, max(ax + ra, bx + rb) + 2))
            y0, y1 = int(max(0, min(ay - ra, by - rb))), int(min(height, max(ay + ra, by + rb) + 2))
            if x0 >= x1 or y0 >= y1:
                continue
            box = (slice(y0, y1), slice(x0, x1))
            # The nearest point of the bone's axis, at the share t of its length, is the sphere that a pixel sees.
            x = np.arange(x0, x1, dtype=np.float32)[None, :] - ax
            y = np.arange(y0, y1, dtype=np.float32)[:, None] - ay
            dx, dy = bx - ax, by - ay
            t = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, np.float32(1e-6)), 0, 1)
            radius = ra + t * (rb - ra)
            nx, ny = (x - t * dx) / radius, (t * dy - y) / radius
            nz_squared = 1 - nx * nx - ny * ny
            nz = np.sqrt(np.maximum(nz_squared, 0))
            depth = np.float32(depth_a) + t * np.float32(depth_b - depth_a) - nz * radius / scale
            seen = (nz_squared > 0) & (depth < nearest[box])
            nearest[box][seen] = depth[seen]
            colours[box][seen] = colour
            normals[box][seen] = np.stack([nx[seen], ny[seen], nz[seen]], axis=-1)
        drawn = np.isfinite(nearest)
        picture = np.zeros((height, width, 4), dtype=np.uint8)
        picture[drawn] = _shade(normals[drawn], colours[drawn])
        return Image.fromarray(picture).reduce(s)


def _shade(normals: Array, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Light from the upper left, a highlight, and darker edges. [P, 3], [P] -> opaque RGBA [P, 4]."""
    lit = np.clip(normals @ _LIGHT, 0, 1)
    shade = (0.46 + 0.66 * lit) * (0.62 + 0.38 * np.minimum(normals[:, 2] * 2.2, 1))
    colour = COLOURS[colours] * shade[:, None] + 46 * lit[:, None] ** 24
    return np.concatenate([np.minimum(colour, 255), np.full((len(lit), 1), 255.0)], axis=1).astype(np.uint8)


def contact_sheet(
    clips: Sequence[MotionClip],
    path: str | Path,
    *,
    titles: Sequence[str | Sequence[Prompt]],
    columns: int = 8,
    cell: tuple[int, int] = (168, 190),
) -> None:
    """Writes a PNG with one row a clip: ``columns`` frames spread over its time, frame numbers, and a title.

    Args:
        clips: at least one.
        path: the ``.png`` file.
        titles: one a clip: its prompt, or ``Prompt`` blocks, which are written above the frames they cover.
        columns: pictures a row.
        cell: width and height of one picture in pixels.

    Raises:
        KmmError: a writing error as ``atomic_write``.
    """
    head, title_height, gap = 26, 24, 8
    sheet = Image.new(
        "RGB",
        (columns * cell[0] + 2 * gap, head + len(clips) * (title_height + cell[1] + gap)),
        tuple(int(c) for c in BACKGROUND),
    )
    draw = ImageDraw.Draw(sheet)
    _legend(draw, (sheet.width - gap, 6))
    for row, (clip, title) in enumerate(zip(clips, titles, strict=True)):
        top = head + row * (title_height + cell[1] + gap)
        note = f"{clip.num_frames} frames, {clip.seconds:.1f} s at {clip.fps:g} fps"
        if isinstance(title, str):
            draw.text((gap, top + 2), _fit(title, sheet.width - 2 * gap, 15), fill=INK, font=_font(15))
        else:
            # Frame 0 stands in the middle of the first picture, the last frame in the middle of the last.
            frame_width = (columns - 1) * cell[0] / max(clip.num_frames - 1, 1)
            for prompt in title:
                left = gap + (prompt.start and cell[0] / 2 + prompt.start * frame_width)
                right = min(gap + cell[0] / 2 + prompt.end * frame_width, sheet.width - gap)
                if prompt.end >= clip.num_frames:
                    right = sheet.width - gap
                draw.line(
                    [left, top + title_height - 2, right - 6, top + title_height - 2], fill=TRAIL, width=2
                )
                draw.text((left, top + 2), _fit(prompt.text, right - 6 - left, 15), fill=INK, font=_font(15))
        scene = Scene(clip, cell, follow=True)
        for column, frame in enumerate(np.linspace(0, clip.num_frames - 1, columns).round().astype(int)):
            left = gap + column * cell[0]
            sheet.paste(scene.image(frame), (left, top + title_height))
            draw.text((left + 6, top + title_height + 4), str(frame), fill=PALE_INK, font=_font(12))
        # Below, where it takes no caption's room.
        below = (sheet.width - gap - 4, top + title_height + cell[1] - 4)
        draw.text(below, note, fill=PALE_INK, font=_font(12), anchor="rd")
    with atomic_write(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def write_gif(clip: MotionClip, path: str | Path, prompts: str | Sequence[Prompt]) -> None:
    """Writes an animated GIF that loops, with at most 20 pictures a second.

    Args:
        clip: the motion.
        path: the ``.gif`` file.
        prompts: a text shown throughout, or ``Prompt`` blocks, each shown in its frames.

    Raises:
        KmmError: ``gif_too_long``, or a writing error as ``atomic_write``.
    """
    check_gif_length(clip.seconds)
    step_ms = round(100 / min(20.0, clip.fps)) * 10  # a GIF's clock has steps of 10 ms
    times = np.arange(0, clip.num_frames, clip.fps * step_ms / 1000).astype(int).tolist()
    # One palette for all: no flicker, and far faster than one a frame.
    sample = list(_pictures(clip, times[:: max(1, len(times) // 6)], prompts, _GIF_SIZE))
    strip = Image.new("RGB", (sample[0].width, sample[0].height * len(sample)))
    for index, picture in enumerate(sample):
        strip.paste(picture, (0, index * picture.height))
    palette = strip.quantize(200, dither=Image.Dither.NONE)
    pictures = _pictures(clip, times, prompts, _GIF_SIZE)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    with atomic_write(path) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=step_ms, loop=0
        )


def check_gif_length(seconds: float) -> None:
    """Refuses a long GIF, because a GIF is held in memory while it is written.

    Raises:
        KmmError: ``gif_too_long``.
    """
    if seconds > MAX_GIF_SECONDS:
        raise KmmError(
            "gif_too_long",
            f"A .gif of {seconds:.0f} s was asked for; at most {MAX_GIF_SECONDS} s are written.",
            "Write a .mp4 or a .png instead.",
        )


def write_mp4(clip: MotionClip, path: str | Path, prompts: str | Sequence[Prompt]) -> None:
    """Writes a film with every frame of the motion, through ffmpeg.

    Raises:
        KmmError: ``no_ffmpeg`` where ffmpeg is not installed, ``ffmpeg_failed`` with its last line.
    """
    ffmpeg = find_ffmpeg()
    with atomic_write(path) as temporary:
        command = [ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        command += ["-s", f"{_MP4_SIZE[0]}x{_MP4_SIZE[1]}", "-r", f"{clip.fps:g}", "-i", "-"]
        command += ["-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        process = subprocess.Popen(
            [*command, "-f", "mp4", str(temporary)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            for picture in _pictures(clip, range(clip.num_frames), prompts, _MP4_SIZE):
                try:
                    process.stdin.write(picture.tobytes())
                except OSError:  # Windows raises no BrokenPipeError. ffmpeg gave up; its own message follows
                    break
        except BaseException:
            process.kill()
            process.communicate()  # Windows removes no file that is still open
            raise
        _, complaint = process.communicate()
        if process.returncode:
            if b"No space left on device" in complaint:
                raise OSError(errno.ENOSPC, "ffmpeg said so")
            last = (complaint.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise KmmError(
                "ffmpeg_failed", f"ffmpeg could not write {path}: {last}.", "Write a .gif instead."
            )


def find_ffmpeg() -> str:
    """Where ffmpeg is.

    Raises:
        KmmError: ``no_ffmpeg``, saying how to get it.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise KmmError(
            "no_ffmpeg",
            "A .mp4 needs ffmpeg, and no program of that name was found on the PATH.",
            "Install it (apt install ffmpeg, brew install ffmpeg, winget install ffmpeg) or write a .gif.",
        )
    return ffmpeg


def _pictures(
    clip: MotionClip, frames: Sequence[int], prompts: str | Sequence[Prompt], size: tuple[int, int]
) -> Iterator[Image.Image]:
    scene = Scene(clip, (size[0], size[1] - CAPTION_HEIGHT))
    paper = tuple(int(part) for part in BACKGROUND)
    for frame in frames:
        picture = Image.new("RGB", size, paper)
        picture.paste(scene.image(frame), (0, 0))
        draw = ImageDraw.Draw(picture)
        _legend(draw, (picture.width - 8, 8))
        text = _fit(_text_at(prompts, frame), picture.width - 16, 16)
        draw.text((picture.width / 2, picture.height - 11), text, fill=INK, font=_font(16), anchor="ms")
        draw.text((8, 6), f"{frame / clip.fps:.1f} s", fill=PALE_INK, font=_font(13))
        yield picture


def _text_at(prompts: str | Sequence[Prompt], frame: int) -> str:
    if isinstance(prompts, str):
        return prompts
    return next((p.text for p in prompts if p.start <= frame < p.end), "")


def _legend(draw: ImageDraw.ImageDraw, corner: tuple[float, float]) -> None:
    """'left' and 'right' in their colours; ``corner`` is the upper right one."""
    x, y = corner
    for text, side in (("right", RIGHT), ("left", LEFT)):
        x -= draw.textlength(text, font=_font(13))
        draw.text((x, y), text, fill=INK, font=_font(13))
        draw.ellipse([x - 15, y + 2, x - 5, y + 12], fill=tuple(int(c) for c in COLOURS[side]))
        x -= 26


@lru_cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _fit(text: str, width: float, font_size: int) -> str:
    """``text`` on one line, cut with an ellipsis to fit ``width`` pixels."""
    text = " ".join(text.split())
    font = _font(font_size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..." if text else ""


def _smooth(values: Array, window: int) -> Array:
    """Moving average over ``window`` frames with the ends held. [F, 3]"""
    before = window // 2
    padded = np.pad(values, ((before, window - 1 - before), (0, 0)), mode="edge")
    total = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), padded]), axis=0)
    return (total[window:] - total[:-window]) / window
