"""Inside ``blender -b``: installs the built zip as a user does, points KMM at the worker's Python, saves the preferences.

blender -b --python-exit-code 1 --python prepare_user_folder.py -- ZIP WORKER_PYTHON
"""

import sys

import bpy

archive, worker_python = sys.argv[sys.argv.index("--") + 1 :]
bpy.ops.extensions.package_install_files(filepath=archive, repo="user_default", enable_on_install=True)
preferences = bpy.context.preferences
preferences.addons["bl_ext.user_default.kmm"].preferences.python_path = worker_python
preferences.view.show_splash = False
preferences.view.ui_scale = 1.0
bpy.ops.wm.save_userpref()
