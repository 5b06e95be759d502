"""Sets up the backend, as a process of its own: python backend_setup.py SPECIFICATION.json

    find a Python to build on -> a virtual environment -> the torch build for this card -> the wheels' addresses
    -> download (goes on where it broke off, checked by SHA-256) -> install them offline -> self-test

Standard library only and nothing of KMM, because any Python from 3.10 on has to run it. It tells what it does in lines of
JSON, ends when its standard input closes (Blender cancelled, or is gone), and writes all that happens to its output.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import errno
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

# The torch that KMM is tested with, and the Pythons that it has wheels for. Each build is a version of its own ("2.13.0+cu130").
TORCH = "2.13.0"
TORCH_INDEX = "https://download.pytorch.org/whl/"
PYTHONS = ((3, 10), (3, 14))
# What the worker needs besides. Without their dependencies, which serve other uses (tokenizers would bring a web client).
PACKAGES = ("numpy>=1.26", "safetensors>=0.4.5", "tokenizers>=0.20", "einops>=0.8")
# From this pip on a dry run asks for metadata only; older ones download everything to throw it away.
PIP = "25.3"
# Unpacked wheels against their size, at least: torch for the CPU takes 3.8 times, CUDA's libraries about 2.
UNPACKED = 2
# Marks an environment as ours to remove. A worker holds it locked (kmm_core/worker.py has the same name).
IN_USE = "kmm_in_use"
ATTEMPTS = 5
CHUNK = 1 << 20
_QUIET = getattr(subprocess, "CREATE_NO_WINDOW", 0)
# What programs print in where it is not UTF-8: Windows' own code page.
_CODE_PAGE = "mbcs" if os.name == "nt" else "utf-8"
# Windows moves no file that is open, and virus scanners read large new ones for seconds. Seconds.
_PATIENCE = (0.1, 0.4, 1.0, 3.0, 10.0) if os.name == "nt" else ()


class SetupError(Exception):
    """The parts of a KmmError: code, message, hint."""

    def __init__(self, code: str, message: str, hint: str):
        super().__init__(code, message, hint)
        self.code, self.message, self.hint = code, message, hint


class CudaBuild(NamedTuple):
    """A CUDA build of torch: the cards it has kernels for, by compute capability, and the driver it needs."""

    tag: str
    lowest: tuple[int, int]
    highest: tuple[int, int]
    driver: int


# Newest first; pytorch's RELEASE.md, "PyTorch CUDA Support Matrix" for 2.12 to 2.14, and NVIDIA's minimum drivers.
CUDA_BUILDS = (
    CudaBuild("cu130", (7, 5), (99, 0), 580),
    CudaBuild("cu126", (5, 0), (9, 0), 528),
)


class Card(NamedTuple):
    """A graphics card: name, compute capability, main version of its driver."""

    name: str
    capability: tuple[int, int]
    driver: int


class Choice(NamedTuple):
    """A build of torch ("cu130", "cpu") and, where a card isn't used, why."""

    build: str
    note: str = ""


@dataclass(frozen=True)
class Wheel:
    """A file to download: where it is, the SHA-256 that it must have, and the password that its server asks for."""

    name: str
    url: str
    digest: str
    size: int = 0
    authorization: str = field(default="", repr=False)

    @property
    def filename(self) -> str:
        """As pip wants it: name, version and tags."""
        return re.split(r"[/\\]", urllib.parse.unquote(urllib.parse.urlsplit(self.url).path))[-1]


@dataclass(frozen=True)
class Specification:
    """What to do; Blender writes it, and ``backend_install.py`` says what each part means."""

    folder: str
    progress: str
    pythons: list[str]
    build: str
    probe: str
    torch_index: str = TORCH_INDEX
    torch: str = TORCH


Report = Callable[..., None]


def main(path: str) -> int:
    """Installs; returns the exit code."""
    specification = Specification(**json.loads(Path(path).read_text(encoding="utf-8")))
    threading.Thread(target=_end_with_blender, daemon=True).start()
    with open(specification.progress, "a", encoding="utf-8") as lines:

        def report(**parts: Any) -> None:
            lines.write(json.dumps(parts) + "\n")
            lines.flush()

        try:
            with _lock(Path(specification.folder) / "install.lock"):
                report(record=install(specification, report))
            return 0
        except SetupError as error:
            print(f"{error.code}: {error.message} {error.hint}", flush=True)
            report(error=[error.code, error.message, error.hint])
        except Exception as error:
            traceback.print_exc()
            failure = SetupError(
                "backend_failed",
                f"The installation failed: {type(error).__name__}: {error}.",
                "Copy the report and open an issue with it.",
            )
            if isinstance(error, OSError):
                failure = _disk_error(error, specification.folder)
            report(error=[failure.code, failure.message, failure.hint])
        return 1


def install(specification: Specification, report: Report) -> dict[str, Any]:
    """The whole installation; returns the record of what was installed (``backend.BackendRecord``'s parts)."""
    folder = Path(specification.folder)
    downloads = folder / "kmm_downloads"  # not a name that the user may have where the folder is the home
    downloads.mkdir(parents=True, exist_ok=True)
    old = _installed_environment(folder)
    environment = _free_environment(folder, old)

    report(stage="Making an environment")
    python = make_environment(environment, specification.pythons)
    upgrade_pip(python)

    report(stage="Looking for the right PyTorch")
    choice = Choice("cpu") if specification.build == "cpu" else choose_build(find_card())
    print(f"build {choice.build} {choice.note}", flush=True)
    wheels, choice = resolve(python, choice, specification)
    settings = pip_settings(python)
    if "proxy" in settings:
        os.environ.update(http_proxy=settings["proxy"], https_proxy=settings["proxy"])
    trust = _trust(python, settings.get("cert"))
    wheels = [replace(wheel, authorization=authorization(wheel.url, settings)) for wheel in wheels]
    wheels = [replace(wheel, size=_size(wheel, trust)) for wheel in wheels]
    size = sum(wheel.size for wheel in wheels)
    check_space(folder, size * (1 + UNPACKED) - _present(downloads, wheels))

    files = download_all(wheels, downloads, trust, report)
    entries = [entry for file in files for entry in zipfile.ZipFile(file).infolist()]
    check_space(folder, sum(entry.file_size for entry in entries))
    check_paths([entry.filename for entry in entries], _site_packages(environment))
    report(stage="Installing")
    _pip(python, "--no-index", "--no-deps", "--no-compile", *map(str, files))

    report(stage="Testing")
    found = probe(python, Path(specification.probe))
    record = {
        "python": python.relative_to(folder).as_posix(),
        **{key: found[key] for key in ("python_version", "torch", "device", "device_name", "device_memory")},
        "note": found["note"] or choice.note,
    }
    (folder / "backend.json.new").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _replace(folder / "backend.json.new", folder / "backend.json")
    shutil.rmtree(downloads, ignore_errors=True)
    for other in folder.glob("env[0-9]*"):
        # Where a worker still runs it stays; the next installation will see to it.
        if other != environment and (other.name == old or _is_ours(other)) and not _in_use(other):
            shutil.rmtree(other, ignore_errors=True)
    return record


# --- the environment


def make_environment(environment: Path, pythons: Sequence[str]) -> Path:
    """A fresh virtual environment on the first Python that can make one; returns its interpreter.

    Raises:
        SetupError: ``backend_no_python``, saying why each was not used.
    """
    reasons = []
    for base in pythons:
        reason = _unfit(base)
        if not reason:
            shutil.rmtree(environment, ignore_errors=True)
            environment.mkdir(exist_ok=True)
            (environment / IN_USE).touch()
            code, output = _run([base, "-I", "-m", "venv", str(environment)])
            python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
            if code == 0 and python.is_file():
                return python
            reason = _last_line(output) or f"venv ended with exit code {code}"
        reasons.append(f"{base}: {reason}")
        print(reasons[-1], flush=True)
    lowest, highest = (".".join(map(str, version)) for version in PYTHONS)
    raise SetupError(
        "backend_no_python",
        f"No Python {lowest} to {highest} that can create a virtual environment was found "
        f"({'; '.join(reasons) or 'none at all'}).",
        "Install Python 3.13 with venv (Debian: apt install python3-venv), or point KMM's "
        "preferences at a Python that has PyTorch.",
    )


def _unfit(python: str) -> str:
    """Why an environment can't be built on this Python; empty if it can."""
    question = (
        "import struct, sys; print('KMM', sys.version_info[0], sys.version_info[1], struct.calcsize('P') * 8)"
    )
    code, output = _run([python, "-I", "-c", question], timeout=60)
    found = re.search(r"KMM (\d+) (\d+) (\d+)", output)
    if code or not found:
        return _last_line(output) or f"ended with exit code {code}"
    major, minor, bits = map(int, found.groups())
    if not PYTHONS[0] <= (major, minor) <= PYTHONS[1] or bits != 64:
        return f"is a {bits}-bit Python {major}.{minor}"
    code, _ = _run([python, "-I", "-c", "import ensurepip, venv"])
    return "has no venv and ensurepip" if code else ""


def upgrade_pip(python: Path) -> None:
    """A pip that resolves without downloading; the old one does as well, and downloads everything twice."""
    try:
        _pip(python, "--upgrade", f"pip>={PIP}", *_patience())
    except SetupError as error:
        print(f"pip stays as it is: {error.message}", flush=True)


# --- the build of torch


def find_card() -> Card | None:
    """The NVIDIA card of the highest compute capability, as nvidia-smi tells it; None where there is none."""
    windows = Path(os.environ.get("SYSTEMROOT", "C:/Windows")) / "System32" / "nvidia-smi.exe"
    program = shutil.which("nvidia-smi") or (str(windows) if windows.is_file() else None)
    if program is None:
        return None
    code, output = _run(
        [program, "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"], timeout=30
    )
    if code:
        return None
    cards = []
    for line in output.splitlines():
        found = re.fullmatch(r"(.+), (\d+)\.(\d+), (\d+)[.\d]*", line.strip())
        if found:
            name, major, minor, driver = found.groups()
            cards.append(Card(name, (int(major), int(minor)), int(driver)))
    return max(cards, key=lambda card: card.capability, default=None)


def choose_build(card: Card | None) -> Choice:
    """The newest CUDA build that has kernels for the card and runs on its driver; the CPU's, and why, where there is none."""
    if card is None:
        return Choice("cpu")
    fitting = [build for build in CUDA_BUILDS if build.lowest <= card.capability <= build.highest]
    for build in fitting:
        if card.driver >= build.driver:
            return Choice(build.tag)
    if not fitting:
        capability = ".".join(map(str, card.capability))
        return Choice(
            "cpu",
            f"{card.name} (compute capability {capability}) is too old for PyTorch {TORCH}; the CPU is used.",
        )
    needed = min(build.driver for build in fitting)
    return Choice(
        "cpu",
        f"{card.name} has driver {card.driver}; PyTorch needs {needed} or newer: update it and "
        "install again. The CPU is used.",
    )


# --- the wheels


def resolve(python: Path, choice: Choice, specification: Specification) -> tuple[list[Wheel], Choice]:
    """Which files to install, with their addresses; also the build that was found, which may be another one than asked for.

    Raises:
        SetupError: ``backend_no_network`` or ``backend_no_torch``.
    """
    torch = f"torch=={specification.torch}"
    builds = [] if sys.platform == "darwin" else [choice]
    if choice.build != "cpu":
        builds.append(Choice("cpu", f"PyTorch's {choice.build} build was not found; the CPU is used."))
    # A build's version stands in its own index only, so that index can be asked beside the usual ones.
    tries = [
        (build, [f"{torch}+{build.build}", "--extra-index-url", specification.torch_index + build.build])
        for build in builds
    ]
    # macOS has one build, in the usual index; who reaches a mirror of that alone gets what it has.
    tries.append((Choice("default", choice.note), [torch]))
    errors = []
    for found, requirements in tries:
        try:
            wheels = _dry_run(python, requirements)
        except SetupError as error:
            errors.append(error)
            continue
        return wheels + _dry_run(python, ["--no-deps", *PACKAGES]), found
    raise next((error for error in errors if error.code == "backend_no_network"), errors[0])


def _dry_run(python: Path, requirements: Sequence[str]) -> list[Wheel]:
    """pip's own answer to what it would install, and from where."""
    answer = python.parent.parent / "resolved.json"
    _pip(
        python,
        *("--dry-run", "--ignore-installed", "--only-binary", ":all:", "--report", str(answer)),
        *_patience(),
        *requirements,
    )
    wheels = []
    for item in json.loads(answer.read_text(encoding="utf-8"))["install"]:
        source = item["download_info"]
        digest = source.get("archive_info", {}).get("hashes", {}).get("sha256", "")
        name = f"{item['metadata']['name']} {item['metadata']['version']}"
        if not digest:
            raise SetupError(
                "backend_no_checksum",
                f"The package index gives no SHA-256 for {name}, so the download could not be checked.",
                "Use an index that does, or point KMM's preferences at a Python that has PyTorch.",
            )
        wheels.append(Wheel(name, source["url"], digest))
    return wheels


def pip_settings(python: Path) -> dict[str, str]:
    """pip's own settings, by name, from its files and the environment: what it is reached by, our downloads need too."""
    # Not by _run: an address may hold a password, which is not for the log.
    answer = subprocess.run(
        [str(python), "-I", "-m", "pip", "config", "list"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        creationflags=_QUIET,
    )
    found = dict(re.findall(r"^(.+?)=(['\"].*['\"])$", _text(answer.stdout), re.MULTILINE))
    return {
        key.removeprefix(f"{place}."): ast.literal_eval(value)
        for place in ("global", "install", ":env:")  # the last one counts
        for key, value in found.items()
        if key.startswith(f"{place}.")
    }


def authorization(url: str, settings: Mapping[str, str]) -> str:
    """The header for a file on the server of an index whose address, in pip's settings, holds a password; pip leaves it out of
    the addresses of files. Empty where there is none."""
    wanted = urllib.parse.urlsplit(url)
    for index in f"{settings.get('index-url', '')} {settings.get('extra-index-url', '')}".split():
        parts = urllib.parse.urlsplit(index)
        login, at, host = parts.netloc.rpartition("@")
        if at and (parts.scheme, host) == (wanted.scheme, wanted.netloc):
            login = login if ":" in login else f"{login}:"
            return "Basic " + base64.b64encode(urllib.parse.unquote_to_bytes(login)).decode()
    return ""


def _patience() -> list[str]:
    return ["--retries", "2", "--timeout", "20"]


def _pip(python: Path, *arguments: str) -> None:
    """``pip install`` of the environment, with the user's own settings of index and proxy.

    Raises:
        SetupError: ``backend_no_network``, ``backend_no_torch``, ``backend_disk_full`` or ``backend_pip_failed``.
    """
    command = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    code, output = _run([*command, "--no-color", "--no-user", *arguments])
    if code == 0:
        return
    last = next((line for line in reversed(output.splitlines()) if line.startswith("ERROR:")), "")
    last = last.removeprefix("ERROR: ") or _last_line(output) or f"exit code {code}"
    if re.search(r"No space left|not enough space|WinError 112\b", output):  # the last one in any language
        raise _no_space(python.parent.parent, 0)
    if re.search(
        r"NewConnectionError|NameResolution|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Connection(Reset|Refused)?Error|Network is unreachable",
        output,
    ):
        raise SetupError(
            "backend_no_network",
            f"The package index can't be reached: {last}",
            "Check the connection and the proxy (pip's own settings are honoured), and press Install again.",
        )
    if "No matching distribution" in output or "Could not find a version" in output:
        raise SetupError(
            "backend_no_torch",
            f"A package that the backend needs has no build for this computer: {last}",
            "Point KMM's preferences at a Python that has PyTorch.",
        )
    raise SetupError("backend_pip_failed", f"pip failed: {last}", "Open the log to see all that pip printed.")


# --- the download


def download_all(wheels: Sequence[Wheel], folder: Path, trust: ssl.SSLContext, report: Report) -> list[Path]:
    """Downloads what isn't there yet; tells bytes and seconds left over all of them.

    Raises:
        SetupError: ``download_failed``, ``download_damaged`` or ``backend_disk_full``.
    """
    total, finished, files = sum(wheel.size for wheel in wheels), 0, []
    began, told, at_start = time.monotonic(), 0.0, _present(folder, wheels)

    def progress(so_far: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < 0.2:
            return
        told, got = now, finished + so_far
        speed = max(got - at_start, 0) / max(now - began, 1e-3)
        left = (total - got) / speed if speed and now - began > 2 else None
        report(stage="Downloading", done=got, total=total, seconds_left=left)

    for wheel in wheels:
        files.append(download(wheel, folder, trust, progress))
        finished += wheel.size or files[-1].stat().st_size
        told = 0.0
        progress(0)
    return files


def download(
    wheel: Wheel, folder: Path, trust: ssl.SSLContext, progress: Callable[[int], None], pause: float = 1.0
) -> Path:
    """One file, continuing where an earlier try stopped; gives up after five tries in a row without progress.

    Args:
        wheel: what to download.
        folder: where to; the unfinished file has ".part" at its end.
        trust: certificates for https.
        progress: told how many bytes of this file are there.
        pause: seconds before the first repetition; they double.

    Raises:
        SetupError: ``download_failed``, ``download_damaged`` or ``backend_disk_full``.
    """
    target = folder / wheel.filename
    if target.is_file() and _digest(target) == wheel.digest:
        return target
    part = folder / f"{wheel.filename}.part"
    failures = damaged = 0
    while True:
        had = part.stat().st_size if part.is_file() else 0
        try:
            _fetch(wheel, part, had, trust, progress)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # there is no more than we have: the digest will tell
                pass
            elif error.code < 500 and error.code not in (408, 429):
                raise _failed(wheel, f"the server says {error.code} {error.reason}") from error
            else:
                failures = _again(wheel, error, failures, pause)
                continue
        except (OSError, http.client.HTTPException) as error:
            if had < (part.stat().st_size if part.is_file() else 0):
                failures = 0
            failures = _again(wheel, error, failures, pause)
            continue
        if _digest(part) == wheel.digest:
            _replace(part, target)
            return target
        part.unlink()
        damaged += 1
        if damaged == 2:
            raise SetupError(
                "download_damaged",
                f"{wheel.name} was downloaded twice, each time with a SHA-256 other than the one in "
                f"the index ({wheel.digest[:12]}...).",
                "A proxy or a virus scanner may be changing downloads: ask whoever runs it, or try "
                "another network.",
            )


def _again(wheel: Wheel, error: Exception, failures: int, pause: float) -> int:
    """Waits before the next try; returns the failures so far."""
    failures += 1
    print(f"{wheel.name}: {error}; try {failures} of {ATTEMPTS}", flush=True)
    if failures == ATTEMPTS:
        raise _failed(wheel, str(error)) from error
    time.sleep(pause * 2 ** (failures - 1))
    return failures


def _failed(wheel: Wheel, why: str) -> SetupError:
    return SetupError(
        "download_failed",
        f"{wheel.name} could not be downloaded: {why}.",
        "Check the connection, and press Install again: it continues where it stopped.",
    )


def _fetch(
    wheel: Wheel, part: Path, had: int, trust: ssl.SSLContext, progress: Callable[[int], None]
) -> None:
    """Appends what is missing of a file; begins anew where the server can't go on in the middle.

    Raises:
        OSError, HTTPException: where the connection fails or ends early.
        SetupError: ``backend_disk_full``.
    """
    with _open(wheel, trust, start=had) as answer:
        goes_on = getattr(answer, "status", None) == 206
        length = answer.headers.get("Content-Length")
        size = begin = had if goes_on else 0
        if not goes_on:
            _write(part, b"", "wb")
        while chunk := answer.read(CHUNK):
            _write(part, chunk, "ab")
            size += len(chunk)
            progress(size)
        if length is not None and size - begin < int(length):
            raise ConnectionError(f"the connection ended after {size - begin} of {length} bytes")


def _write(path: Path, chunk: bytes, mode: str) -> None:
    """Writes to the disk, whose errors are not the connection's."""
    try:
        with open(path, mode) as file:
            file.write(chunk)
    except OSError as error:
        raise _disk_error(error, path.parent) from error


def _replace(source: Path, target: Path) -> None:
    """``os.replace``, again where Windows says that a file is open."""
    for pause in _PATIENCE:
        try:
            return os.replace(source, target)
        except PermissionError:
            time.sleep(pause)
    os.replace(source, target)


def _open(wheel: Wheel, trust: ssl.SSLContext, start: int = 0, method: str = "GET"):
    request = urllib.request.Request(wheel.url, headers={"User-Agent": "KMM backend set-up"}, method=method)
    if start:
        request.add_header("Range", f"bytes={start}-")
    if wheel.authorization:
        request.add_unredirected_header("Authorization", wheel.authorization)  # for that server alone
    return urllib.request.urlopen(request, timeout=30, context=trust)


def _size(wheel: Wheel, trust: ssl.SSLContext) -> int:
    """Bytes of a file, 0 where the server won't say."""
    try:
        with _open(wheel, trust, method="HEAD") as answer:
            return int(answer.headers.get("Content-Length") or 0)
    except (OSError, http.client.HTTPException, ValueError):
        return 0


def _trust(python: Path, own: str | None = None) -> ssl.SSLContext:
    """The system's certificates and pip's, with those of its setting cert: a Python of its own on macOS finds none of the system's."""
    trust = ssl.create_default_context()
    if own:
        trust.load_verify_locations(**{"capath" if os.path.isdir(own) else "cafile": own})
    for certificates in _site_packages(python.parent.parent).glob("pip/_vendor/certifi/cacert.pem"):
        trust.load_verify_locations(certificates)
    return trust


def _present(folder: Path, wheels: Sequence[Wheel]) -> int:
    """Bytes of these wheels that an earlier try left."""
    paths = (folder / f"{wheel.filename}{end}" for wheel in wheels for end in ("", ".part"))
    return sum(path.stat().st_size for path in paths if path.is_file())


def _digest(path: Path) -> str:
    value = sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            value.update(chunk)
    return value.hexdigest()


# --- the disk


def check_space(folder: Path, needed: int) -> None:
    """Whether the disk holds so many bytes more.

    Raises:
        SetupError: ``backend_disk_full``.
    """
    if shutil.disk_usage(folder).free < needed:
        raise _no_space(folder, needed)


def check_paths(names: Sequence[str], site_packages: Path, limit: int | None = None) -> None:
    """Whether Windows, in its usual setting, can make the longest path of these files.

    Raises:
        SetupError: ``backend_path_too_long``.
    """
    if limit is None:
        if os.name != "nt" or _windows_long_paths():
            return
        limit = 259
    length = len(str(site_packages / max(names, key=len, default="")))
    if length > limit:
        raise SetupError(
            "backend_path_too_long",
            f"A file of PyTorch would have a path of {length} characters in {site_packages}; Windows "
            f"allows {limit}.",
            "Choose a Backend Folder with a shorter path, such as C:/kmm, in KMM's preferences.",
        )


def _windows_long_paths() -> bool:
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:  # pyright: ignore[reportAttributeAccessIssue]
            return winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1  # pyright: ignore[reportAttributeAccessIssue]
    except OSError:
        return False


def _disk_error(error: OSError, folder: str | Path) -> SetupError:
    """What a failing disk means."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return _no_space(Path(folder), 0)
    return SetupError(
        "backend_folder",
        f"The folder {folder} can't be written: {error.strerror or error}.",
        "Choose another Backend Folder in KMM's preferences, or make this one writable.",
    )


def _no_space(folder: Path, needed: int) -> SetupError:
    free = shutil.disk_usage(folder).free
    wanted = f"; about {needed / 1e9:.1f} GB are needed" if needed else ""
    return SetupError(
        "backend_disk_full",
        f"The disk of {folder} has {free / 1e9:.1f} GB left{wanted}.",
        "Make room, or choose a Backend Folder on another disk in KMM's preferences, and press "
        "Install again.",
    )


def _site_packages(environment: Path) -> Path:
    if os.name == "nt":
        return environment / "Lib" / "site-packages"
    return next(environment.glob("lib/python*/site-packages"), environment)


def _installed_environment(folder: Path) -> str:
    """The folder of the environment that works now; "" where there is none."""
    try:
        return Path(json.loads((folder / "backend.json").read_text(encoding="utf-8"))["python"]).parts[0]
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _free_environment(folder: Path, old: str) -> Path:
    """Where the new environment goes: not where the backend is that works now, a worker still runs, or the user has something."""
    places = (folder / f"env{number}" for number in itertools.count(1) if f"env{number}" != old)
    return next(place for place in places if not place.exists() or (_is_ours(place) and not _in_use(place)))


def _is_ours(environment: Path) -> bool:
    return (environment / IN_USE).exists()


def _in_use(environment: Path) -> bool:
    """Whether a worker runs in this environment, of this Blender or another one."""
    mark = environment / IN_USE
    try:
        if os.name == "nt":
            mark.unlink()  # an open file can't be removed there, and a closed one goes with its environment anyway
        else:
            import fcntl

            with mark.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Keeps a second Blender out; the system takes the lock back however this process ends.

    Raises:
        SetupError: ``backend_busy``.
    """
    with open(path, "w") as file:
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # Anything else says that this file system has no locks, as some network folders.
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise SetupError(
                    "backend_busy",
                    "Another Blender is installing the backend into the same folder.",
                    "Wait until it is done; this Blender will find what it installed.",
                ) from error
        yield


# --- the test


def probe(python: Path, script: Path) -> dict[str, Any]:
    """What the environment can do.

    Raises:
        SetupError: ``backend_test_failed``.
    """
    _, output = _run([str(python), "-E", "-X", "utf8", str(script)])
    found = re.search(r"^KMM (\{.*\})$", output, re.MULTILINE)
    table = json.loads(found.group(1)) if found else {}
    problem = table.get("problem") or (f"without {table['missing']}" if table.get("missing") else "")
    if not table.get("torch") or problem:
        raise SetupError(
            "backend_test_failed",
            "The backend was installed but does not work: "
            f"{problem or _last_line(output) or 'it said nothing'}.",
            "Copy the report and open an issue with it; on Windows, Microsoft's Visual C++ "
            "Redistributable may be missing.",
        )
    return table


# --- processes

_child: subprocess.Popen[bytes] | None = None


def _run(command: Sequence[str], timeout: float | None = None) -> tuple[int, str]:
    """Runs a program to its end; returns its exit code and all that it printed, which goes into the log as well."""
    global _child
    print(f"$ {subprocess.list2cmdline(command)}", flush=True)
    try:
        _child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            creationflags=_QUIET,
            start_new_session=os.name != "nt",
        )
    except OSError as error:
        return 127, error.strerror or str(error)
    try:
        printed, _ = _child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _stop(_child)
        return 124, "no answer"
    finally:
        code, _child = _child.poll(), None
    # pip hides the password of an address, but not one with a #, ? or / in it that stands there as it is.
    output = re.sub(r"://\S*@", "://****@", _text(printed))
    print(output, flush=True)
    return code or 0, output


def _text(printed: bytes) -> str:
    """What a program printed, whichever of the two encodings it is in."""
    try:
        text = printed.decode("utf-8")
    except UnicodeDecodeError:
        text = printed.decode(_CODE_PAGE, "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ends a program and those that it started."""
    if os.name == "nt":
        subprocess.run(
            ["taskkill", "/F", "/T", "/PID", str(child.pid)],
            # A program that got ours would not even start before our thread that reads it is through.
            stdin=subprocess.DEVNULL,
            capture_output=True,
            creationflags=_QUIET,
        )
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _end_with_blender() -> None:
    """Waits for the end of standard input, and ends everything."""
    # os.read and not sys.stdin: a thread that holds its lock keeps Python from ending.
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    child = _child
    if child is not None:
        _stop(child)
    os._exit(3)


def _last_line(output: str) -> str:
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")[:300]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
