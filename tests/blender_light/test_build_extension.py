"""The extension's zip: its wheel is whole, and the same for the same code; a build that fails leaves what was there."""

import base64
import csv
import hashlib
import importlib.util
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(tmp_path):
    """tools/build_extension.py on a small checkout of its own."""
    spec = importlib.util.spec_from_file_location(
        "build_extension", REPOSITORY / "tools" / "build_extension.py"
    )
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    checkout = tmp_path / "checkout"
    for name in ("kmm_core/__init__.py", "kmm_blender/__init__.py", *tool.LICENCES, "blender_manifest.toml"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, checkout / name)
    (checkout / "kmm_core/bundles/minilm").mkdir(parents=True)
    (checkout / "kmm_core/bundles/minilm/LICENSE").write_bytes(b"Apache\n")
    (checkout / "kmm_core/__pycache__").mkdir()
    (checkout / "kmm_core/__pycache__/a.pyc").write_bytes(b"")
    tool.REPOSITORY, tool.ADD_ON, tool.CORE = checkout, checkout / "kmm_blender", checkout / "kmm_core"
    tool.DIST, tool.STAGE = checkout / "dist", checkout / "build" / "extension"
    return tool


def test_a_wheel_is_whole_and_its_record_true(tool, tmp_path):
    wheel = tool.write_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    [record] = [name for name in content if name.endswith(".dist-info/RECORD")]
    rows = {name: (digest, size) for name, digest, size in csv.reader(content[record].decode().splitlines())}
    assert rows.keys() == content.keys() and rows.pop(record) == ("", "")
    for name, (digest, size) in rows.items():
        expected = base64.urlsafe_b64encode(hashlib.sha256(content[name]).digest()).decode().rstrip("=")
        assert (digest, size) == (f"sha256={expected}", str(len(content[name])))
    ours = {name for name in content if name.startswith("kmm_core/")}
    assert ours == {"kmm_core/__init__.py", "kmm_core/bundles/minilm/LICENSE"}
    assert {name.rpartition("/")[2] for name in content if "/licenses/" in name} == {"LICENSE", "NOTICE"}


def test_the_same_code_gives_the_same_bytes_and_other_code_another_version(tool, tmp_path):
    wheels = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        if number == 2:
            (tool.CORE / "new.py").write_text("")
        os.utime(tool.CORE / "__init__.py", (number, number))
        wheels.append(tool.write_wheel(folder))
    first, again, other = wheels
    assert first.name == again.name and first.read_bytes() == again.read_bytes()
    assert other.name != first.name and other.name.startswith(f"kmm_core-{tool.version()}+")


def test_a_build_that_fails_leaves_the_zip_and_the_repository(tool, monkeypatch):
    (tool.DIST / "repository").mkdir(parents=True)
    files = [tool.DIST / "kmm-0.0.1.zip", tool.DIST / "repository" / "index.json"]
    for file in files:
        file.write_text("old")
    monkeypatch.setattr(
        tool, "blender_extension_command", lambda: ([sys.executable, "-c", "raise SystemExit(1)"], [])
    )
    monkeypatch.setattr(sys, "argv", ["build_extension.py", "repository"])
    with pytest.raises(SystemExit, match="Blender refused"):
        tool.main()
    assert [file.read_text() for file in files] == ["old", "old"]
