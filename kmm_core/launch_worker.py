"""Runs the worker with the backend's Python and the kmm_core beside this file, whatever else is installed there.

    python -E launch_worker.py PORT

So both sides of the wire always have the same kmm_core, and the backend's Python sees nothing else of Blender's packages.
This file alone must also be understood by a Python that is too old.
"""

import sys


def load_package(folder):
    """Imports the package in ``folder`` as kmm_core, without putting the folder around it on the path."""
    import importlib.util
    import os

    spec = importlib.util.spec_from_file_location(
        "kmm_core", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["kmm_core"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    # Python puts the folder of the script first; names such as "text" in here are not top-level modules.
    folder = sys.path.pop(0)
    if sys.version_info < (3, 10):  # noqa: UP036 - this Python is the user's choice
        sys.exit("KMM needs Python 3.10 or newer; this is Python {}.{}.".format(*sys.version_info))
    load_package(folder)
    from kmm_core.worker import main

    main(int(sys.argv[1]))
