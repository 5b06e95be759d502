"""The operators of the Character panel: one adds the KMM character, one makes a Rigify rig follow its FK controls."""

from __future__ import annotations

import bpy

from kmm_core.errors import KmmError

from ..scene.character import add_character
from ..scene.fk_switch import switch_to_fk
from .rig_report import forget_rig_report


class KMM_OT_add_character(bpy.types.Operator):
    """Add a character made for KMM at the 3D cursor: 22 bones and a mannequin, in metres. It becomes the one to animate"""

    bl_idname = "kmm.add_character"
    bl_label = "Add KMM Character"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        into = context.collection
        if not into or into.library is not None:
            cls.poll_message_set("The active collection is linked from another file: click one of this file")
            return False
        if into.override_library is not None:
            cls.poll_message_set("The active collection is a library override: click one of this file")
            return False
        return True

    def execute(self, context):
        context.scene.kmm.armature = add_character(context)
        return {"FINISHED"}


class KMM_OT_switch_to_fk(bpy.types.Operator):
    """Let this Rigify rig follow its FK controls, which KMM keys: sets the rig's properties IK_FK, neck_follow and head_follow to 1 and FK_limb_follow to 0. Keys on IK controls stay, but have no effect. Ctrl-Z undoes it"""

    bl_idname = "kmm.switch_to_fk"
    bl_label = "Switch to FK"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        if context.scene.kmm.armature is None:
            cls.poll_message_set("No character is chosen: choose a Rigify rig in the Character panel")
            return False
        return True

    def execute(self, context):
        try:
            changed = switch_to_fk(context.scene.kmm.armature)
        except KmmError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        forget_rig_report()
        if not changed:
            self.report({"INFO"}, "There is nothing to switch: every FK control of this rig already moves it")
            return {"CANCELLED"}
        self.report({"INFO"}, f"{changed} properties of the rig were changed; it follows its FK controls now")
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((KMM_OT_add_character, KMM_OT_switch_to_fk))
