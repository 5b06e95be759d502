"""The operator that adds the KMM character."""

from __future__ import annotations

import bpy

from ..scene.character import add_character


class KMM_OT_add_character(bpy.types.Operator):
    """Add a character made for KMM at the 3D cursor: 22 bones and a mannequin, in metres. It becomes the one to animate"""

    bl_idname = "kmm.add_character"
    bl_label = "Add KMM Character"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        if not context.collection or context.collection.library is not None:
            cls.poll_message_set("The active collection is linked from another file: click one of this file")
            return False
        return True

    def execute(self, context):
        context.scene.kmm.armature = add_character(context)
        return {"FINISHED"}


def register() -> None:
    """Registers the operator."""
    bpy.utils.register_class(KMM_OT_add_character)


def unregister() -> None:
    """Removes the operator."""
    bpy.utils.unregister_class(KMM_OT_add_character)
