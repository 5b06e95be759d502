"""All there is of KMM after an update in a running Blender: what to do."""

from __future__ import annotations

import bpy


class KMM_PT_restart(bpy.types.Panel):
    bl_idname = "KMM_PT_restart"
    bl_label = "KMM"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "KMM"

    def draw(self, context):
        column = self.layout.column(align=True)
        column.label(text="KMM was updated.", icon="INFO")
        column.label(text="Restart Blender to use it.", icon="BLANK1")


def register() -> None:
    bpy.utils.register_class(KMM_PT_restart)


def unregister() -> None:
    bpy.utils.unregister_class(KMM_PT_restart)
