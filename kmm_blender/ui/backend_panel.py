"""The Backend panel: what runs, how it is installed or chosen, and what went wrong.

kmm.install_backend          installs PyTorch beside Blender; asks first, and only with online access
kmm.cancel_install           stops that; what was downloaded stays
kmm.use_python               tests the Python of the preferences
kmm.restart_worker           ends the worker, whatever it does
kmm.unload_worker            ends an idle worker, which frees its memory
kmm.open_log(log)            shows worker.log or install.log in the system's editor; "WORKER" or "INSTALL"
kmm.copy_report              everything a bug report needs, on the clipboard
"""

from __future__ import annotations


def register() -> None:
    pass


def unregister() -> None:
    pass
