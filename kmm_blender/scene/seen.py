"""An armature as Blender evaluates it, even if it is hidden or the playhead is at another frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import bpy


@contextmanager
def seen_at(
    scene: bpy.types.Scene, armature: bpy.types.Object, frame: float
) -> Iterator[tuple[bpy.types.Object, bpy.types.Depsgraph]]:
    """The armature as it stands in that frame: itself where the screen shows that, else an evaluated copy.

    The frame is one of F-curves: where the scene stretches time, the playhead is at another while the screen shows it.

    Yields:
        What ``read_rig`` and ``read_pose_values`` may read, and the depsgraph for ``read_pose``; only within the block.
    """
    # What is hidden stands where it was when it was last seen; in a file that was opened that is nowhere.
    shown = scene == bpy.context.scene and armature.visible_get()
    if shown and math.isclose(scene.frame_current_final, frame, abs_tol=1e-4):
        yield armature, bpy.context.evaluated_depsgraph_get()
        return
    # In a scene of its own, for a moment: going there in this one would reset whatever was moved and not keyed.
    elsewhere, hidden = bpy.data.scenes.new("KMM"), armature.hide_viewport
    try:
        _copy_what_drivers_read(scene, elsewhere)
        armature.hide_viewport = False
        elsewhere.collection.objects.link(armature)
        with _no_frame_handlers():
            elsewhere.frame_set(math.floor(frame), subframe=frame - math.floor(frame))
        layer = elsewhere.view_layers[0]
        layer.update()
        yield armature.evaluated_get(layer.depsgraph), layer.depsgraph
    finally:
        armature.hide_viewport = hidden
        bpy.data.batch_remove([elsewhere])  # scenes.remove crashes 4.2 where the context has no window


def _copy_what_drivers_read(scene: bpy.types.Scene, elsewhere: bpy.types.Scene) -> None:
    """Custom properties and the frame rate, which a driver takes from whatever scene is evaluated."""
    elsewhere.render.fps, elsewhere.render.fps_base = scene.render.fps, scene.render.fps_base
    for name, value in scene.items():
        # Before 5.0 those that add-ons register are among them, such as our own history, which is large.
        if name not in scene.bl_rna.properties:
            elsewhere[name] = value


@contextmanager
def _no_frame_handlers() -> Iterator[None]:
    """Other add-ons' handlers write to the animator's objects what another frame, or another scene, wants there."""
    lists = bpy.app.handlers.frame_change_pre, bpy.app.handlers.frame_change_post
    held = [list(handlers) for handlers in lists]
    try:
        for handlers in lists:
            handlers.clear()
        yield
    finally:
        for handlers, before in zip(lists, held, strict=True):
            handlers[:] = before
