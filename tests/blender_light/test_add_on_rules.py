"""Rules of Blender's reviewers that can be read from the source: no threads, no meddling with imports, relative imports; no node by its name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ADD_ON = Path(__file__).resolve().parents[2] / "kmm_blender"
# Run by another Python than Blender's, as scripts of their own.
SCRIPTS = {"jobs/backend_probe.py", "jobs/backend_setup.py"}
FILES = {
    path.relative_to(ADD_ON).as_posix(): path
    for path in sorted(ADD_ON.rglob("*.py"))
    if path.relative_to(ADD_ON).as_posix() not in SCRIPTS
}
FORBIDDEN_IMPORTS = {
    "kmm_blender",
    "bl_ext",
    "threading",
    "_thread",
    "concurrent",
    "multiprocessing",
    "asyncio",
    "pip",
}
FORBIDDEN_NAMES = {"sys.path", "sys.modules"}


def violations(source: str) -> list[str]:
    """What of ``source`` is against the rules, with line numbers."""
    found = []
    for node in ast.walk(ast.parse(source)):
        imported = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported = [node.module or ""]
        found += [f"{node.lineno}: {name}" for name in imported if name.split(".")[0] in FORBIDDEN_IMPORTS]
        if isinstance(node, ast.Attribute) and ast.unparse(node) in FORBIDDEN_NAMES:
            found.append(f"{node.lineno}: {ast.unparse(node)}")
        # Blender names the nodes of a new tree in the language of its interface.
        owner = node.value if isinstance(node, ast.Subscript) else getattr(node, "func", None)
        if isinstance(owner, ast.Attribute) and ast.unparse(owner).removesuffix(".get").endswith(".nodes"):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("file", FILES)
def test_the_rules_are_kept(file):
    assert violations(FILES[file].read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "from kmm_blender import session",
        "import threading",
        "import sys\nsys.path.append('x')",
        "tree.nodes['Principled BSDF']",
        "tree.nodes.get('Background')",
    ],
)
def test_a_violation_is_seen(source):
    assert violations(source)


def test_the_manifest_asks_for_the_clipboard_because_copy_report_writes_to_it():
    assert any(".clipboard" in path.read_text("utf-8") for path in FILES.values())
    permissions = (ADD_ON.parent / "blender_manifest.toml").read_text("utf-8").partition("[permissions]")[2]
    assert {line.split(" = ")[0] for line in permissions.partition("[")[0].split("\n") if line} == {
        "files",
        "network",
        "clipboard",
    }
