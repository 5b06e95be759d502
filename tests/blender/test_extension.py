"""The extension as Blender sees it."""

from __future__ import annotations

import bpy

PACKAGE = "bl_ext.user_default.kmm"


def test_it_is_enabled():
    assert PACKAGE in bpy.context.preferences.addons
