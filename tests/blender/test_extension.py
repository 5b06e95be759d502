"""The extension as Blender and its reviewers see it: valid, quick to enable, gone without a trace, in nobody's way."""

from __future__ import annotations

import os
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import addon_utils
import bpy
import pytest
import tomllib
from fake_workers import fake_worker

import kmm_core

PACKAGE = "bl_ext.user_default.kmm"
REPOSITORY = Path(__file__).resolve().parents[2]
FROM_ZIP = not os.environ.get("KMM_TEST_FROM_CHECKOUT")
MAX_ZIP_BYTES = 90e6
# What an add-on can add to Blender.
BASES = (
    bpy.types.Operator,
    bpy.types.Panel,
    bpy.types.Menu,
    bpy.types.UIList,
    bpy.types.PropertyGroup,
    bpy.types.AddonPreferences,
)

only_from_zip = pytest.mark.skipif(not FROM_ZIP, reason="there is no zip: the checkout is tested")


def our_classes() -> list[type]:
    """The add-on's classes that Blender knows at this moment."""
    found = [cls for base in BASES for cls in base.__subclasses__() if cls.__module__.startswith(PACKAGE)]
    return [cls for cls in found if getattr(cls, "is_registered", False)]


def our_functions() -> list[types.FunctionType]:
    """Every function and method of the add-on's modules: what a timer or a handler could be."""
    modules = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith(PACKAGE) and module is not None
    ]
    owners = [
        *modules,
        *(thing for module in modules for thing in vars(module).values() if isinstance(thing, type)),
    ]
    things = [thing for owner in owners for thing in list(vars(owner).values())]
    return [
        thing
        for thing in things
        if isinstance(thing, types.FunctionType) and str(thing.__module__).startswith(PACKAGE)
    ]


def our_traces() -> dict[str, object]:
    """Everything of the add-on that is registered with Blender, by kind; empty kinds left out."""
    handlers = {
        f"handler {name}": [
            function.__qualname__ for function in listed if function.__module__.startswith(PACKAGE)
        ]
        for name in dir(bpy.app.handlers)
        if isinstance(listed := getattr(bpy.app.handlers, name), list)
    }
    keymaps = [
        item.idname
        for configuration in bpy.context.window_manager.keyconfigs
        for keymap in configuration.keymaps
        for item in keymap.keymap_items
        if item.idname.startswith("kmm.")
    ]
    traces = {
        "classes": [cls.__name__ for cls in our_classes()],
        "types": [name for name in dir(bpy.types) if name.startswith("KMM_")],
        "operators": dir(bpy.ops.kmm),
        "properties": [
            f"{owner.__name__}.{name}"
            for owner in (bpy.types.Scene, bpy.types.WindowManager, bpy.types.Object, bpy.types.Action)
            for name, _ in owner.bl_rna.properties.items()
            if name.startswith("kmm")
        ],
        "timers": [
            function.__qualname__ for function in our_functions() if bpy.app.timers.is_registered(function)
        ],
        "keymaps": keymaps,
        "children": children(),
        **handlers,
    }
    return {kind: found for kind, found in traces.items() if found}


def children() -> list[str]:
    """Processes that this one started and that still run (Linux; elsewhere none are seen)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:  # it has just ended
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.append((status.parent / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.fixture
def enabled_again():
    """Whatever a test does, the add-on is enabled for the next one."""
    yield
    addon_utils.enable(PACKAGE, default_set=True)


def blender_extension_tool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    scripts = Path(bpy.utils.system_resource("SCRIPTS"))
    tool = scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    tags = scripts / "modules" / "_bpy_internal" / "extensions" / "tags.py"
    return subprocess.run(
        [sys.executable, tool, *arguments, "--valid-tags", tags], capture_output=True, text=True, check=False
    )


def test_it_is_enabled_and_leaves_its_traces_where_they_are_looked_for():
    assert PACKAGE in bpy.context.preferences.addons
    traces = our_traces()
    assert {"classes", "types", "operators", "properties"} <= set(traces)
    assert "KMM_OT_generate" in traces["types"]
    assert "Scene.kmm" in traces["properties"]


@only_from_zip
def test_blender_accepts_the_zip_without_a_word_of_warning(extension_zip):
    result = blender_extension_tool("validate", extension_zip)
    assert result.returncode == 0, result.stdout + result.stderr
    assert not result.stderr
    assert "warn" not in result.stdout.lower()


@only_from_zip
def test_blender_would_refuse_a_broken_manifest(tmp_path):
    # The check above means something.
    (tmp_path / "blender_manifest.toml").write_text('schema_version = "1.0.0"\nid = "kmm"\n')
    assert blender_extension_tool("validate", tmp_path).returncode != 0


@only_from_zip
def test_the_zip_holds_what_it_should_and_fits(extension_zip):
    assert extension_zip.stat().st_size <= MAX_ZIP_BYTES
    with zipfile.ZipFile(extension_zip) as archive:
        names = archive.namelist()
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert {"__init__.py", "LICENSE", "NOTICE", "blender_manifest.toml"} <= set(names)
    assert [f"./{name}" for name in names if name.endswith(".whl")] == manifest["wheels"]
    assert not [name for name in names if "__pycache__" in name or "/." in name]
    assert manifest["version"] == kmm_core.__version__
    assert manifest["blender_version_min"] == "4.2.0"


@only_from_zip
def test_kmm_core_is_the_wheels_with_the_starter_model():
    folder = Path(kmm_core.__file__).parent
    assert ".local" in folder.parts, f"imported from {folder}"
    assert (folder / "bundles" / "starter" / "model.safetensors").stat().st_size > 1e6
    assert not (folder.parent / "training").exists()


def test_disabled_and_enabled_ten_times_leaves_nothing(enabled_again):
    before = our_traces()
    for _ in range(10):
        addon_utils.disable(PACKAGE, default_set=True)
        assert our_traces() == {}
        addon_utils.enable(PACKAGE, default_set=True)
        assert our_traces() == before
    addon_utils.disable(PACKAGE, default_set=True)
    assert our_traces() == {}


def test_disabled_in_the_middle_of_a_generation_leaves_nothing(enabled_again, fresh_scene, tmp_path):
    session = sys.modules[f"{PACKAGE}.session"].get()
    session.python = Path(sys.executable)
    client_type = sys.modules[f"{PACKAGE}.jobs.worker_client"].WorkerClient
    launcher = fake_worker(tmp_path, "receive(); time.sleep(600)")
    session.client = client_type(session.python, tmp_path / "worker.log", launcher=launcher)
    bpy.ops.kmm.add_character()
    bpy.ops.kmm.add_prompt()
    bpy.ops.kmm.generate()
    timer = session._timer
    assert bpy.app.timers.is_registered(timer) and any("fake worker" in line for line in children())
    addon_utils.disable(PACKAGE, default_set=True)
    assert our_traces() == {} and not bpy.app.timers.is_registered(timer)


def test_disabled_after_another_script_cleared_the_handlers_leaves_nothing(enabled_again):
    bpy.app.handlers.undo_post.clear()
    addon_utils.disable(PACKAGE, default_set=True)
    assert our_traces() == {}
    addon_utils.enable(PACKAGE, default_set=True)
    assert PACKAGE in bpy.context.preferences.addons and our_traces()


def test_blender_sees_no_policy_violation():
    addon_utils._is_first_reset()
    assert addon_utils._extensions_warnings_get().get(PACKAGE, []) == []


def test_the_policy_check_sees_a_violation(monkeypatch):
    module = sys.modules[PACKAGE]
    monkeypatch.syspath_prepend(str(Path(module.__file__).parent / "scene"))
    addon_utils._is_first_reset()
    found = addon_utils._extensions_warnings_get().get(PACKAGE, [])
    addon_utils._is_first_reset()
    assert any("Policy violation with sys.path" in warning for warning in found)


def test_enabling_loads_nothing_heavy():
    """In a fresh Blender. How long it takes is measured by benchmarks/blender_latency.py."""
    code = f"""
import os, sys
sys.path[:0] = {[entry for entry in sys.path if "packages" in Path(entry).name and "kmm tests" in entry]!r}
import bpy, addon_utils
assert addon_utils.enable("{PACKAGE}")
print("heavy", sorted({{"torch", "scipy", "PIL", "transformers"}} & set(sys.modules)), flush=True)
os._exit(0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "heavy []" in result.stdout


def test_an_update_in_a_running_blender_asks_for_a_restart():
    """Blender keeps the older kmm_core in memory then, with which the new add-on can't work. In a process of its own."""
    code = f"""
import os, sys
sys.path[:0] = {[entry for entry in sys.path if "packages" in Path(entry).name and "kmm tests" in entry]!r}
import bpy, addon_utils, kmm_core
def shown(): return [name for name in dir(bpy.types) if name.startswith("KMM_PT_")]
version, kmm_core.__version__ = kmm_core.__version__, "0.0.1"
assert addon_utils.enable("{PACKAGE}")
print("older core", shown())
addon_utils.disable("{PACKAGE}")
print("disabled", shown())
kmm_core.__version__ = version
assert addon_utils.enable("{PACKAGE}")
print("same version", "KMM_PT_restart" in shown(), len(shown()) > 5, flush=True)
os._exit(0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "older core ['KMM_PT_restart']" in result.stdout, result.stdout + result.stderr
    assert "disabled []" in result.stdout and "same version False True" in result.stdout


def test_everything_has_its_name():
    """KMM_OT_generate is kmm.generate, and all panels of the viewport are in the KMM tab."""
    for cls in our_classes():
        assert cls.__name__.startswith("KMM_") or issubclass(cls, bpy.types.AddonPreferences)
        if issubclass(cls, bpy.types.Operator):
            assert cls.bl_idname == "kmm." + cls.__name__.removeprefix("KMM_OT_")
        if issubclass(cls, bpy.types.Panel) and cls.bl_space_type == "VIEW_3D":
            assert cls.bl_category == "KMM"


def grey_buttons() -> dict[str, str]:
    """Operators that can't be used now, and the reason that stands at the end of their tooltips."""
    reasons = {}
    for cls in our_classes():
        # Internal ones have no button: keys and the mouse call them.
        if not issubclass(cls, bpy.types.Operator) or "INTERNAL" in getattr(cls, "bl_options", ()):
            continue
        operator = getattr(bpy.ops.kmm, cls.bl_idname.removeprefix("kmm."))
        if not operator.poll():
            with pytest.raises(RuntimeError) as caught:
                operator()
            reasons[cls.bl_idname] = str(caught.value).partition("poll() ")[2]
    return reasons


def test_a_grey_button_says_why(fresh_scene):
    settings, seen = fresh_scene.kmm, {}

    def look() -> None:
        found = grey_buttons()
        assert not [name for name, reason in found.items() if "incorrect" in reason or len(reason) < 15], (
            found
        )
        seen.update(found)

    look()  # an empty scene
    bpy.ops.kmm.add_character()
    look()
    bpy.ops.kmm.add_prompt()
    bpy.ops.object.mode_set(mode="EDIT")
    look()
    bpy.ops.object.mode_set(mode="OBJECT")
    fresh_scene.frame_current = 500
    look()
    settings.prompts[0].enabled = False
    look()
    settings.preview.armature = settings.armature
    settings.takes.add().action = bpy.data.actions.new("Take")  # one that is not shown
    look()
    settings.armature = None
    look()
    # Every button that can be grey was; a linked collection is for test_character.py.
    polled = {
        cls.bl_idname
        for cls in our_classes()
        if issubclass(cls, bpy.types.Operator)
        and "poll"
        in {name for base in cls.__mro__ for name in vars(base) if base.__module__.startswith(PACKAGE)}
        and "INTERNAL" not in getattr(cls, "bl_options", ())
    }
    assert polled - set(seen) == {"kmm.add_character"}


def test_every_control_has_a_tooltip():
    """Operators, properties and the choices of properties; Blender itself adds the full stop."""
    tooltips = {}
    for cls in our_classes():
        if issubclass(cls, bpy.types.Operator):
            shown = getattr(bpy.ops.kmm, cls.bl_idname.removeprefix("kmm.")).get_rna_type()
            tooltips[cls.bl_idname] = shown.description
        elif issubclass(cls, (bpy.types.PropertyGroup, bpy.types.AddonPreferences)):
            shown = cls.bl_rna
        else:
            continue
        for name in cls.__annotations__:
            control = shown.properties[name]
            if not control.is_hidden:
                tooltips[f"{cls.__name__}.{name}"] = control.description
                for choice in getattr(control, "enum_items_static", ()):
                    tooltips[f"{cls.__name__}.{name}: {choice.name}"] = choice.description
    assert len(tooltips) > 50
    assert not [control for control, tooltip in tooltips.items() if not tooltip or tooltip.endswith(".")]
