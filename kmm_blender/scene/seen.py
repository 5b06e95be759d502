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
        armature.hide_viewport = False
        elsewhere.collection.objects.link(armature)
        elsewhere.frame_set(math.floor(frame), subframe=frame - math.floor(frame))
        layer = elsewhere.view_layers[0]
        layer.update()
        yield armature.evaluated_get(layer.depsgraph), layer.depsgraph
    finally:
        armature.hide_viewport = hidden
        bpy.data.batch_remove([elsewhere])  # scenes.remove crashes 4.2 where the context has no window
