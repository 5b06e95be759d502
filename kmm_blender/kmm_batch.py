"""Generates motion without a window, with the installed extension; ``-- --help`` lists the options, docs/blender.md explains.

    blender -b char.blend --python kmm_batch.py -- --timeline walk.json --armature Rig --save out.blend

It needs the installed extension but no other file, and may be copied beside your shots. With the extension enabled,
``blender -b char.blend -c kmm ...`` is the same without it.
"""

import importlib
import re
import sys

import addon_utils
import bpy

BACKEND_MISSING = 3
_OURS = re.compile(r"bl_ext\.\w+\.kmm")


def extension() -> str | None:
    """The module of the installed extension, enabled for this run where it is not; None without one."""
    enabled = {addon.module for addon in bpy.context.preferences.addons}
    found = [name for name in enabled if _OURS.fullmatch(name)]
    if found:
        return found[0]
    for module in addon_utils.modules():
        # In the preferences of this process only: Blender saves them from its window, never from here.
        if _OURS.fullmatch(module.__name__) and addon_utils.enable(module.__name__, default_set=True):
            return module.__name__
    return None


if __name__ == "__main__":
    name = extension()
    if name is None:
        print(
            "KMM: the extension KMM Text to Motion is not installed in this Blender. Install it first: "
            "blender --command extension install-file --repo user_default --enable kmm-VERSION.zip",
            file=sys.stderr,
        )
        sys.exit(BACKEND_MISSING)
    behind_dashes = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    sys.exit(importlib.import_module(f"{name}.batch.run").main(behind_dashes))
