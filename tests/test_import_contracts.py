"""The light zone as Python sees it: in a fresh interpreter it loads nothing heavy.

How long its import takes is in docs/results.md (benchmarks/starter_report.py): a busy machine would fail a timed test.
"""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
HEAVY = {"torch", "scipy", "PIL", "transformers", "accelerate", "rich", "tokenizers", "einops", "smplx"}

# Imports the modules one after another; for each, which heavy packages it brings.
PROBE = """
import importlib, json, pkgutil, sys
import numpy
heavy, found = set({heavy}), {{}}
for name in {modules}:
    before = heavy & set(sys.modules)
    module = importlib.import_module(name)
    for part in pkgutil.iter_modules(getattr(module, "__path__", [])):
        importlib.import_module(name + "." + part.name)
    found[name] = sorted(heavy & set(sys.modules) - before)
print(json.dumps(found))
"""


def modules_of(contract: str) -> list[str]:
    """The modules and packages that an import contract names."""
    contracts = configparser.ConfigParser()
    contracts.read(REPOSITORY / ".importlinter")
    return contracts[f"importlinter:contract:{contract}"]["source_modules"].split()


def light_zone() -> list[str]:
    return modules_of("light")


def _probe(modules: list[str]) -> dict[str, list[str]]:
    code = PROBE.format(heavy=sorted(HEAVY), modules=modules)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    return json.loads(result.stdout)


def test_light_modules_load_nothing_heavy():
    # The worker says hello before it imports torch.
    modules = [*light_zone(), "kmm_core.generate_cli", "kmm_core.worker"]
    brought = {name: heavy for name, heavy in _probe(modules).items() if heavy}
    assert not brought


def test_the_probe_sees_a_leak():
    assert "torch" in _probe(["kmm_core.motion.kinematics_torch"])["kmm_core.motion.kinematics_torch"]


def test_every_module_of_a_light_folder_is_in_the_contract():
    torch_side = {"kmm_core.motion.kinematics_torch"}
    files = (REPOSITORY / "kmm_core" / "motion").glob("[!_]*.py")
    assert {f"kmm_core.motion.{file.stem}" for file in files} - torch_side <= set(light_zone())


def test_the_extension_without_blender_loads_nothing_heavy():
    # bpy is not here: importing these proves that they do without, too.
    brought = {name: heavy for name, heavy in _probe(modules_of("without-blender")).items() if heavy}
    assert not brought


@pytest.mark.parametrize("module", ["kmm_core.timeline", "kmm_core.errors", "kmm_core.generate_cli"])
def test_prompts_and_errors_need_no_numpy(module):
    code = f"import sys, {module}; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)
