"""The shown take as .fbx, .glb or .bvh, with settings that game engines take; docs/blender.md says how to import them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import addon_utils
import bpy

from kmm_core.atomic_write import atomic_write, check_writable, make_folder_of
from kmm_core.errors import KmmError

from .bvh_stand_in import bvh_stand_in

# Blender's own exporters; a factory start-up has them enabled, a user may have switched them off.
_ADD_ONS = {".fbx": "io_scene_fbx", ".glb": "io_scene_gltf2", ".bvh": "io_anim_bvh"}


def check_can_export(paths: Sequence[str], first_frame: int) -> None:
    """Finds out before any long work whether Blender can export what is wanted.

    Raises:
        KmmError: ``negative_frames``.
    """
    if paths and first_frame < 0:
        raise KmmError(
            "negative_frames",
            f"The motion begins at frame {first_frame}; Blender's exporters write frames from 0 on.",
            "Choose a --start of 0 or later.",
        )


def export(scene: bpy.types.Scene, armature: bpy.types.Object, path: Path, frames: tuple[int, int]) -> None:
    """Writes the armature, the meshes that follow it, and its motion.

    Args:
        scene: with the armature in it.
        armature: with the take's Action assigned.
        path: .fbx, .glb or .bvh; its folder is made.
        frames: first and last scene frame; see ``check_can_export``.

    Raises:
        KmmError: ``export_failed``; as ``check_writable``.
    """
    make_folder_of(path)
    check_writable(path)
    suffix = path.suffix.lower()
    try:
        if not addon_utils.check(_ADD_ONS[suffix])[1]:
            addon_utils.enable(_ADD_ONS[suffix])
        # An earlier export stays until this one is whole.
        with (
            atomic_write(path) as part,
            _window(scene),
            _only_frames(scene, frames),
            _selected(scene, armature),
        ):
            _EXPORTERS[suffix](str(part), frames)
            if not part.stat().st_size:
                raise KmmError(
                    "export_failed",
                    f"Blender's exporter wrote no {path.name} and gave no reason.",
                    "Its messages are above in the log.",
                )
    except (RuntimeError, AttributeError, TypeError) as error:
        # What Blender's exporters raise, and what it raises without them. Of a traceback the last line is the reason.
        lines = [line for line in str(error).strip().splitlines() if not line.startswith("Location: ")]
        raise KmmError(
            "export_failed",
            f"Blender could not export {path.name}: {lines[-1][:300] if lines else type(error).__name__}.",
            "Export it from Blender's File menu to see whether the scene is the reason.",
        ) from error


def _fbx(path: str, frames: tuple[int, int]) -> None:
    bpy.ops.export_scene.fbx(
        filepath=path,
        use_selection=True,
        object_types={"ARMATURE", "MESH"},
        # Bones of their own at the tips are in the way of other programs' retargeting.
        add_leaf_bones=False,
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=False,
        bake_anim_simplify_factor=0,
    )


def _glb(path: str, frames: tuple[int, int]) -> None:
    bpy.ops.export_scene.gltf(
        filepath=path,
        export_format="GLB",
        use_selection=True,
        use_active_scene=True,
        export_animation_mode="ACTIVE_ACTIONS",
        export_frame_range=True,
        # Time 0 of the file is the motion's first frame, wherever it stands in the scene.
        export_anim_slide_to_zero=True,
    )


def _bvh(path: str, frames: tuple[int, int]) -> None:
    with bvh_stand_in(bpy.context.scene, bpy.context.view_layer.objects.active, frames) as only_roots_move:
        bpy.ops.export_anim.bvh(
            filepath=path,
            frame_start=frames[0],
            frame_end=frames[1],
            root_transform_only=only_roots_move,
        )


_EXPORTERS = {".fbx": _fbx, ".glb": _glb, ".bvh": _bvh}


def _window(scene: bpy.types.Scene):
    """A context with a window that shows the scene: with ``-c``, Blender gives the file that it was started with none."""
    window = bpy.context.window or next(iter(bpy.context.window_manager.windows), None)
    if window is not None and window.scene != scene:  # --scene
        window.scene = scene
    return bpy.context.temp_override(window=window, scene=scene, view_layer=bpy.context.view_layer)


@contextmanager
def _only_frames(scene: bpy.types.Scene, frames: tuple[int, int]) -> Iterator[None]:
    """The exporters take the scene's frame range."""
    before = scene.frame_start, scene.frame_end
    scene.frame_start, scene.frame_end = frames
    try:
        yield
    finally:
        scene.frame_start, scene.frame_end = before


@contextmanager
def _selected(scene: bpy.types.Scene, armature: bpy.types.Object) -> Iterator[None]:
    """The armature and its meshes selected, the armature active, whatever is hidden or selected in the file."""
    layer = bpy.context.view_layer
    character = [armature, *_meshes(scene, armature)]
    if any(item.name not in layer.objects for item in character):
        raise KmmError(
            "export_failed",
            f"{armature.name} or one of its meshes is in a collection that the view layer "
            f"{layer.name} excludes.",
            "Include the collection in the view layer.",
        )
    selected, active = [item for item in layer.objects if item.select_get()], layer.objects.active
    hidden = [(item, item.hide_viewport, item.hide_get(), item.hide_select) for item in character]
    try:
        for item in selected:
            item.select_set(False)
        for item in character:
            item.hide_viewport = item.hide_select = False
            item.hide_set(False)
            item.select_set(True)
        layer.objects.active = armature
        yield
    finally:
        for item, in_viewport, by_eye, unselectable in hidden:
            item.select_set(False)
            item.hide_set(by_eye)
            item.hide_viewport, item.hide_select = in_viewport, unselectable
        for item in selected:
            item.select_set(True)
        layer.objects.active = active


def _meshes(scene: bpy.types.Scene, armature: bpy.types.Object) -> Sequence[bpy.types.Object]:
    """The meshes that the armature deforms or carries."""
    return [
        item
        for item in scene.objects
        if item.type == "MESH" and (item.find_armature() == armature or item.parent == armature)
    ]
