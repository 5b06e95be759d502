"""Preferences of the add-on: which Python and model run, on what, and when memory is given back.

``preferences()`` is what the rest of the add-on asks; it gives plain values that need no Blender.
"""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ..jobs.backend import BackendStatus, backend_status, find_python

# The installed name of the add-on, such as bl_ext.user_default.kmm.
PACKAGE = __package__.rpartition(".")[0]
_MODELS = {"STARTER": "starter", "STARTER_NC": "starter-nc"}


class KMM_AP_preferences(bpy.types.AddonPreferences):
    """Settings that hold for every file."""

    bl_idname = PACKAGE

    model: EnumProperty(
        name="Model",
        description="The trained model that generates, and what its licence allows",
        items=(
            (
                "STARTER",
                "Starter",
                "Trained on recordings with permissive licences. The motion it makes is yours, for "
                "commercial work too",
            ),
            (
                "STARTER_NC",
                "Starter NC (non-commercial)",
                "Also trained on a CC BY-NC 4.0 data set: more kinds of motion, but not for commercial work",
            ),
            ("FOLDER", "Folder", "A model exported by kmm-train, your own or someone else's"),
        ),
        default="STARTER",
    )
    model_folder: StringProperty(
        name="Model Folder", description="Folder with the model's config.json", subtype="DIR_PATH"
    )
    device: EnumProperty(
        name="Device",
        description="Where motion is generated",
        items=(
            ("AUTO", "Automatic", "The graphics card where it can be used, else the CPU"),
            ("CPU", "CPU", "The processor: fast enough for this model, and leaves the graphics card alone"),
            ("CUDA", "CUDA", "An NVIDIA graphics card; fails where there is none"),
            ("MPS", "Metal", "The graphics processor of an Apple computer; fails where there is none"),
        ),
        default="AUTO",
    )
    idle_minutes: IntProperty(
        name="Free Memory After",
        description="Minutes without a generation after which the model is unloaded; 0 keeps it for "
        "as long as Blender runs",
        min=0,
        soft_max=120,
        default=10,
    )
    release_before_render: BoolProperty(
        name="Free Memory Before Rendering",
        description="Unload the model when a render starts, so that the render has all of the memory",
        default=True,
    )
    torch_build: EnumProperty(
        name="PyTorch Build",
        description="Which build of PyTorch the Install button takes",
        items=(
            (
                "AUTO",
                "For This Computer",
                "CUDA for an NVIDIA card that can use it (3 GB), else the CPU (200 MB)",
            ),
            ("CPU", "CPU Only", "Small, and fast enough for this model"),
        ),
        default="AUTO",
    )
    python_path: StringProperty(
        name="Python",
        description="A Python that has PyTorch, to use instead of the backend that KMM installs. "
        "Empty: use KMM's own",
        subtype="FILE_PATH",
    )
    backend_folder: StringProperty(
        name="Backend Folder",
        description="Where the backend is installed, up to 8 GB. Empty: in the extension's folder, "
        "which is deleted when KMM is uninstalled",
        subtype="DIR_PATH",
    )

    @property
    def backend_path(self) -> Path:
        """The backend's folder; it need not exist."""
        if self.backend_folder:
            return Path(self.backend_folder)  # not below the .blend that is open: what lies there is run
        return Path(bpy.utils.extension_path_user(PACKAGE, path="backend", create=False))

    @property
    def backend_status(self) -> BackendStatus:
        """What would run the worker. Reads a file or two: not for drawing."""
        return backend_status(self.backend_path, self.python_path)

    @property
    def worker_python(self) -> Path:
        """The Python that the worker runs in.

        Raises:
            KmmError: ``backend_missing``, ``backend_broken`` or ``python_missing``, with what to do.
        """
        return find_python(self.backend_path, self.python_path)

    @property
    def worker_log(self) -> Path:
        """What the worker prints goes here."""
        return self.backend_path / "worker.log"

    @property
    def model_name(self) -> str:
        """``GenerateRequest.model``."""
        return _MODELS.get(self.model) or bpy.path.abspath(self.model_folder)

    @property
    def device_name(self) -> str:
        """``GenerateRequest.device``."""
        return self.device.lower()

    @property
    def idle_seconds(self) -> float | None:
        """``WorkerClient.idle_seconds``: None keeps the model."""
        return self.idle_minutes * 60.0 or None

    def draw(self, _context):
        layout = self.layout
        layout.use_property_split = True
        column = layout.column(heading="Generate")
        column.prop(self, "model")
        if self.model == "FOLDER":
            column.prop(self, "model_folder")
        column.prop(self, "device")
        column.prop(self, "idle_minutes")
        column.prop(self, "release_before_render")
        column = layout.column(heading="Backend")
        column.prop(self, "torch_build")
        column.prop(self, "backend_folder")
        column.prop(self, "python_path")


def preferences() -> KMM_AP_preferences:
    """The add-on's preferences; only while it is enabled."""
    return bpy.context.preferences.addons[PACKAGE].preferences


def register() -> None:
    bpy.utils.register_class(KMM_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(KMM_AP_preferences)
