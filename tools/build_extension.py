"""The extension: built into the zip that users install, put into a repository, or linked to this checkout.

    python tools/build_extension.py build             # dist/kmm-<version>.zip, with kmm_core as a wheel in it
    python tools/build_extension.py repository        # dist/repository/: that zip, index.json and index.html
    python tools/build_extension.py link DIR          # DIR as BLENDER_USER_RESOURCES runs the checkout's own files

Building and checking is Blender's own work: the program named by BLENDER, else the bpy of a .venv-bpy*, else the blender
on the PATH. Standard library only, so that every Python from 3.10 on can run this.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ADD_ON = REPOSITORY / "kmm_blender"
CORE = REPOSITORY / "kmm_core"
LICENCES = ("LICENSE", "NOTICE")
DIST = REPOSITORY / "dist"
STAGE = REPOSITORY / "build" / "extension"


def version() -> str:
    """The version of everything, read from where it stands without importing it."""
    return re.search(r'^__version__ = "(.+)"$', (CORE / "__init__.py").read_text("utf-8"), re.MULTILINE)[1]


def blender_extension_command() -> tuple[list[str], list[str]]:
    """Blender's extension tool: the words to start it with, and those that ``build`` and ``validate`` need besides."""
    blender = os.environ.get("BLENDER")
    modules = sorted(REPOSITORY.glob(".venv-bpy*/lib/python*/site-packages/bpy/*/scripts"))
    if not blender and modules:
        scripts = modules[-1]
        python = Path(*scripts.parts[: len(REPOSITORY.parts) + 1]) / "bin" / "python"
        tool = scripts / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
        tags = scripts / "modules" / "_bpy_internal" / "extensions" / "tags.py"
        return [str(python), str(tool)], ["--valid-tags", str(tags)]
    blender = blender or shutil.which("blender")
    if not blender:
        sys.exit(
            "Blender builds the extension, and none was found. Name it: BLENDER=/path/to/blender "
            "make extension; "
            "or let make make .venv-bpy5 (it needs Python 3.13 or 3.11)."
        )
    return [blender, "--command", "extension"], []


def build() -> Path:
    """Stages, builds and checks the zip; Blender's complaints end the program."""
    stage(STAGE)
    archive = DIST / f"kmm-{version()}.zip"
    DIST.mkdir(exist_ok=True)
    tool, tags = blender_extension_command()
    subprocess.run([*tool, "build", "--source-dir", STAGE, "--output-filepath", archive, *tags], check=True)
    subprocess.run([*tool, "validate", archive, *tags], check=True)
    for older in set(DIST.glob("kmm-*.zip")) - {archive}:
        older.unlink()
    return archive


def build_repository() -> None:
    """A folder that any web server can offer: users add its index.json in Blender and get updates from then on."""
    archive, folder = build(), DIST / "repository"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(archive, folder)
    tool, _ = blender_extension_command()
    subprocess.run([*tool, "server-generate", "--repo-dir", folder, "--html"], check=True)


def stage(folder: Path) -> None:
    """Fills ``folder``, emptied first, with the add-on, its manifest, the licences and the wheel."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ADD_ON, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in LICENCES:
        shutil.copy(REPOSITORY / name, folder)
    (folder / "wheels").mkdir()
    wheel = write_wheel(folder / "wheels")
    write_manifest(folder, wheels=[f"./wheels/{wheel.name}"])


def link(folder: Path) -> None:
    """Links in a user folder of Blender's: the add-on as an installed extension, kmm_core in ``packages``.

    ``folder/packages`` has to be in PYTHONPATH: there is no wheel. New files of the add-on's top folder need another call.
    """
    extension, packages = folder / "extensions" / "user_default" / "kmm", folder / "packages"
    for emptied in (extension, packages):
        shutil.rmtree(emptied, ignore_errors=True)
        emptied.mkdir(parents=True)
    for path in ADD_ON.iterdir():
        (extension / path.name).symlink_to(path, target_is_directory=path.is_dir())
    write_manifest(extension, wheels=[])
    (packages / "kmm_core").symlink_to(CORE, target_is_directory=True)


def write_manifest(folder: Path, wheels: list[str]) -> None:
    """The repository's manifest with what is known only now, ahead of its tables."""
    template = (REPOSITORY / "blender_manifest.toml").read_text("utf-8")
    listed = ", ".join(f'"{wheel}"' for wheel in wheels)
    head = f'version = "{version()}"\nwheels = [{listed}]\n'
    (folder / "blender_manifest.toml").write_text(
        template.replace("schema_version", f"{head}schema_version", 1), "utf-8"
    )


def write_wheel(folder: Path) -> Path:
    """``kmm_core`` alone, models included, as a wheel: the same bytes for the same code, and no build back-end needed.

    The local part of its version is a hash of the content: Blender unpacks a wheel only if it has none of that version.
    """
    files = {
        path.relative_to(REPOSITORY).as_posix(): path.read_bytes()
        for path in sorted(CORE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    content = hashlib.sha256()
    for name, data in files.items():
        content.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
    number = f"{version()}+{content.hexdigest()[:8]}"
    info = f"kmm_core-{number}.dist-info"
    files |= {f"{info}/licenses/{name}": (REPOSITORY / name).read_bytes() for name in LICENCES}
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.4\nName: kmm-core\nVersion: {number}\nLicense-Expression: GPL-3.0-or-later\n"
    ).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: kmm\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for name, data in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()

    wheel = folder / f"kmm_core-{number}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)  # dated 1980: the content alone decides the bytes
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return wheel


def main() -> None:
    """Carries out the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["build", "repository", "link"])
    parser.add_argument("folder", type=Path, nargs="?", help="for link: Blender's user folder")
    arguments = parser.parse_args()
    if (arguments.what == "link") != (arguments.folder is not None):
        parser.error("link, and only link, needs a folder")
    try:
        if arguments.what == "build":
            build()
        elif arguments.what == "repository":
            build_repository()
        else:
            link(arguments.folder)
    except subprocess.CalledProcessError as error:
        sys.exit(f"Blender refused: its message is above (exit code {error.returncode}).")


if __name__ == "__main__":
    main()
