"""The light zone as Python sees it: in a fresh interpreter it loads nothing heavy, and quickly."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "scipy", "PIL", "transformers", "accelerate", "rich", "tokenizers", "einops")

# Modules that both Blender and the worker use. bpy ships NumPy, so NumPy is light.
LIGHT_ZONE = (
    "kmm_core",
    "kmm_core.errors",
    "kmm_core.skeleton",
    "kmm_core.clip",
    "kmm_core.timeline",
    "kmm_core.formats.bvh",
    "kmm_core.formats.npz",
    "kmm_core.motion.rotations",
    "kmm_core.motion.kinematics",
    "kmm_core.motion.placement",
    "kmm_core.motion.representation_272",
    "kmm_core.motion.representation_263",
    "kmm_core.motion.foot_contact",
    "kmm_core.generate_cli",
)

PROBE = """
import json, sys, time
import numpy
started = time.perf_counter()
import {modules}
seconds = time.perf_counter() - started
print(json.dumps({{"seconds": seconds, "modules": sorted(sys.modules)}}))
"""


def _import_in_a_fresh_interpreter(*modules: str) -> dict:
    code = PROBE.format(modules=", ".join(modules))
    return json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.parametrize("module", LIGHT_ZONE)
def test_a_light_module_loads_nothing_heavy(module):
    loaded = _import_in_a_fresh_interpreter(module)["modules"]
    assert module in loaded
    assert not set(HEAVY) & set(loaded)


def test_the_light_zone_imports_in_a_tenth_of_a_second():
    # The fastest of five: the machine may be busy, the code is not slower for it.
    seconds = min(_import_in_a_fresh_interpreter(*LIGHT_ZONE)["seconds"] for _ in range(5))
    print(f"light zone: {seconds * 1e3:.0f} ms besides NumPy")
    assert seconds < 0.1


def test_the_timeline_needs_no_numpy():
    code = "import sys, kmm_core.timeline, kmm_core.errors; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
