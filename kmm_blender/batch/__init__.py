"""Generating without a window (``blender -b``): arguments and shots, one after the other with one warm worker, a summary.

    arguments.parse -> shots.list_shots -> run.main: fill scene.kmm, generate, save, export, render -> summary.Summary

``run`` alone, with ``outputs`` and ``stage``, needs bpy.
"""
