"""The parts of the set-up script: the build for the card, downloads that break off, the disk, the lock."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import shutil
import ssl
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kmm_blender.jobs import backend_setup as setup
from kmm_blender.jobs.backend_setup import Card, Choice, SetupError, Wheel, choose_build, download
from kmm_core import worker
from tests.blender_light.package_index import PackageIndex, served, wheel

NAME, DATA = wheel("thing", "1.0", {"thing.py": os.urandom(300_000)})
TRUST = ssl.create_default_context()


@pytest.fixture
def index():
    with served(PackageIndex({"/simple/thing/": [(NAME, DATA)]})) as index:
        yield index


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "téléchargé 動"
    path.mkdir()
    return path


def the_wheel(index: PackageIndex, digest: str = hashlib.sha256(DATA).hexdigest()) -> Wheel:
    return Wheel("thing 1.0", f"{index.url}/files/{NAME}", digest)


def get(index: PackageIndex, folder: Path, **changes) -> Path:
    return download(the_wheel(index, **changes), folder, TRUST, lambda _: None, pause=0.01)


# --- the build for the card


@pytest.mark.parametrize(
    ("capability", "driver", "build"),
    [
        ((12, 0), 581, "cu130"),  # Blackwell
        ((8, 9), 580, "cu130"),  # Ada
        ((8, 9), 572, "cu126"),  # the same with an older driver
        ((7, 5), 580, "cu130"),  # Turing
        ((7, 0), 580, "cu126"),  # Volta
        ((6, 1), 572, "cu126"),  # Pascal
        ((5, 2), 572, "cu126"),  # Maxwell
    ],
)
def test_build_has_kernels_for_the_card_and_runs_on_its_driver(capability, driver, build):
    assert choose_build(Card("GeForce", capability, driver)) == Choice(build)


@pytest.mark.parametrize(
    ("capability", "driver", "reason"),
    [((3, 5), 580, "too old"), ((12, 0), 572, "needs 580"), ((8, 6), 470, "needs 528")],
)
def test_card_that_cannot_be_used_is_told_of(capability, driver, reason):
    choice = choose_build(Card("GeForce", capability, driver))
    assert choice.build == "cpu" and reason in choice.note and "GeForce" in choice.note


def test_without_a_card_the_cpu_is_taken_and_nothing_said():
    assert choose_build(None) == Choice("cpu")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("words", "code", "card"),
    [
        ("NVIDIA GeForce RTX 4070, 8.9, 581.15", 0, Card("NVIDIA GeForce RTX 4070", (8, 9), 581)),
        ("Tesla P4, 6.1, 570.1\nNVIDIA A2, Rev 2, 8.6, 570.1", 0, Card("NVIDIA A2, Rev 2", (8, 6), 570)),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9, None),
        ("Field compute_cap is not a valid field to query.", 2, None),
        ("No devices were found", 0, None),
    ],
)
def test_card_is_read_from_nvidia_smi(folder, monkeypatch, words, code, card):
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{words}\nEND\nexit {code}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    assert setup.find_card() == card


# --- which wheels


def specification(folder: Path) -> setup.Specification:
    return setup.Specification(
        str(folder), "", [], "auto", "", torch_index="http://127.0.0.1:1/", torch="2.0"
    )


def test_resolving_falls_back_to_the_cpu_and_says_so(folder, monkeypatch):
    asked = []

    def dry_run(_python, requirements):
        asked.append(requirements[0])
        if "cu130" in requirements[0]:
            raise SetupError("backend_no_torch", "none", "")
        return [Wheel(requirements[-1], "", "")]

    monkeypatch.setattr(setup, "_dry_run", dry_run)
    monkeypatch.setattr(setup.sys, "platform", "linux")
    wheels, choice = setup.resolve(folder, Choice("cu130"), specification(folder))
    assert choice.build == "cpu" and "cu130 build was not found" in choice.note
    assert asked == ["torch==2.0+cu130", "torch==2.0+cpu", "--no-deps"] and len(wheels) == 2


def test_resolving_takes_the_usual_index_where_pytorchs_is_not_reached_and_on_macos(folder, monkeypatch):
    asked = []

    def dry_run(_python, requirements):
        asked.append(requirements[0])
        if "+" in requirements[0]:
            raise SetupError("backend_no_network", "none", "")
        return []

    monkeypatch.setattr(setup, "_dry_run", dry_run)
    monkeypatch.setattr(setup.sys, "platform", "linux")
    assert setup.resolve(folder, Choice("cpu"), specification(folder))[1].build == "default"
    assert asked == ["torch==2.0+cpu", "torch==2.0", "--no-deps"]
    asked.clear()
    monkeypatch.setattr(setup.sys, "platform", "darwin")
    setup.resolve(folder, Choice("cpu"), specification(folder))
    assert asked == ["torch==2.0", "--no-deps"]


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("WARNING: Retrying ... NewConnectionError('refused')\nERROR: No matching distribution found for torch", "backend_no_network"),
        ("ERROR: Could not find a version that satisfies the requirement torch==9\nERROR: No matching distribution found", "backend_no_torch"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "backend_disk_full"),
        ("ERROR: Could not install packages due to an OSError: [WinError 112] Es steht nicht genug Speicherplatz zur Verfügung", "backend_disk_full"),
        ("Traceback ...\nValueError: x", "backend_pip_failed"),
    ],
)  # fmt: skip
def test_what_pip_says_becomes_a_cause_and_a_remedy(folder, monkeypatch, output, code):
    monkeypatch.setattr(setup, "_run", lambda *_: (1, output))
    python = folder / "env1" / "bin" / "python"
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
    with pytest.raises(SetupError) as caught:
        setup._pip(python, "torch")
    assert caught.value.code == code and caught.value.hint


# --- downloads


def test_download_arrives_whole_and_is_not_repeated(index, folder):
    path = get(index, folder)
    assert path.read_bytes() == DATA and path.name == NAME
    assert get(index, folder) == path and len(index.requests) == 1


def test_broken_download_goes_on_where_it_broke_off(index, folder):
    index.broken[NAME] = 3
    assert get(index, folder).read_bytes() == DATA
    starts = [int(wanted.removeprefix("bytes=").rstrip("-") or 0) for _, _, wanted in index.requests]
    assert len(starts) == 4 and starts == sorted(set(starts))


def test_download_of_an_earlier_session_goes_on(index, folder):
    (folder / f"{NAME}.part").write_bytes(DATA[:1000])
    assert get(index, folder).read_bytes() == DATA
    assert [wanted for _, _, wanted in index.requests] == ["bytes=1000-"]


def test_complete_part_of_an_earlier_session_is_taken(index, folder):
    (folder / f"{NAME}.part").write_bytes(DATA)
    assert get(index, folder).read_bytes() == DATA


def test_server_without_ranges_begins_anew(index, folder):
    index.ranges, index.broken[NAME] = False, 2
    assert get(index, folder).read_bytes() == DATA


def test_damaged_part_is_downloaded_again(index, folder):
    (folder / f"{NAME}.part").write_bytes(b"x" * 1000)
    assert get(index, folder).read_bytes() == DATA
    assert [wanted for _, _, wanted in index.requests] == ["bytes=1000-", ""]


def test_file_with_another_checksum_is_refused_and_leaves_nothing(index, folder):
    with pytest.raises(SetupError, match="SHA-256") as caught:
        get(index, folder, digest="0" * 64)
    assert caught.value.code == "download_damaged" and not list(folder.iterdir())


def test_busy_server_is_asked_again(index, folder):
    index.statuses[NAME] = [503, 429, 500]
    assert get(index, folder).read_bytes() == DATA and len(index.requests) == 4


def test_server_that_refuses_is_not_asked_again(index, folder):
    index.statuses[NAME] = [403]
    with pytest.raises(SetupError, match="403") as caught:
        get(index, folder)
    assert caught.value.code == "download_failed" and len(index.requests) == 1


def test_connection_that_stays_away_is_given_up(index, folder):
    away = Wheel("thing 1.0", "http://127.0.0.1:1/thing.whl", "0" * 64)
    with pytest.raises(SetupError, match="could not be downloaded") as caught:
        download(away, folder, TRUST, lambda _: None, pause=0.01)
    assert caught.value.code == "download_failed"


def test_file_of_a_local_index_is_copied(folder):
    source = folder / "thing%2B.whl"
    source.write_bytes(DATA)
    local = Wheel("thing 1.0", source.as_uri(), hashlib.sha256(DATA).hexdigest())
    assert download(local, folder, TRUST, lambda _: None).read_bytes() == DATA


def test_filename_is_the_unquoted_end_of_the_address():
    address = "https://host/whl/cpu/torch-2.13.0%2Bcpu-cp311-cp311-win_amd64.whl?x=1#sha256=0"
    assert Wheel("torch", address, "").filename == "torch-2.13.0+cpu-cp311-cp311-win_amd64.whl"
    assert (
        Wheel("torch", "https://host/a/..%2F..%2Ftorch-1-py3-none-any.whl", "").filename
        == "torch-1-py3-none-any.whl"
    )
    # pip takes that for torch 1, build 1...; on Windows it names folders.
    address = "https://host/a/torch-1-1%5C..%5C..%5C2-py3-none-any.whl"
    assert Wheel("torch", address, "").filename == "2-py3-none-any.whl"


def test_progress_counts_all_files_and_ends_at_the_total(index, folder):
    told = []
    wheels = [setup.replace(the_wheel(index), size=len(DATA))]
    setup.download_all(wheels, folder, TRUST, lambda **parts: told.append(parts))
    assert told[-1]["stage"] == "Downloading" and told[-1]["done"] == told[-1]["total"] == len(DATA)


# --- the order of things


def test_torch_that_does_not_work_leaves_the_backend_that_did(folder, monkeypatch):
    """A self-test that fails comes before anything of the old backend is touched."""
    (folder / "env1").mkdir()
    (folder / "backend.json").write_text('{"python": "env1/bin/python"}')
    broken = folder / "probe.py"
    broken.write_text("""print('KMM {"torch": "", "missing": "", "problem": "libgomp.so.1: cannot open"}')""")
    made = []

    def make_environment(environment, _pythons):
        made.append(environment.name)
        return Path(sys.executable)

    monkeypatch.setattr(setup, "make_environment", make_environment)
    monkeypatch.setattr(setup, "resolve", lambda _python, choice, _specification: ([], choice))
    monkeypatch.setattr(setup, "_pip", lambda *_: None)
    with pytest.raises(SetupError, match="libgomp") as caught:
        setup.install(setup.Specification(str(folder), "", [], "cpu", str(broken)), lambda **_: None)
    assert caught.value.code == "backend_test_failed" and made == ["env2"]
    assert (folder / "env1").is_dir() and "env1" in (folder / "backend.json").read_text()


@pytest.mark.skipif(os.name == "nt", reason="there the open file itself is the lock")
def test_an_environment_in_which_a_worker_runs_stays(folder, monkeypatch):
    """An installation that finishes during a generation: the worker's environment goes with the next installation."""
    # The user's own, as where the backend's folder is the user's home; Windows and macOS tell no capitals apart.
    for name in ("env2024", "downloads"):
        (folder / name).mkdir()
    for name in ("env1", "env3"):
        (folder / name).mkdir()
        (folder / name / "kmm_in_use").touch()
    (folder / "backend.json").write_text('{"python": "env1/bin/python"}')
    good = folder / "probe.py"
    facts = {"python_version": "3.11", "torch": "2", "device": "cpu", "device_name": "", "device_memory": 0}
    answer = json.dumps(facts | {"missing": "", "problem": "", "note": ""})
    good.write_text(f"print('KMM ' + {answer!r})")

    def make_environment(environment, _pythons):
        shutil.rmtree(environment, ignore_errors=True)
        environment.mkdir()
        (environment / "kmm_in_use").touch()
        (environment / "python").symlink_to(sys.executable)
        return environment / "python"

    monkeypatch.setattr(setup, "make_environment", make_environment)
    monkeypatch.setattr(setup, "resolve", lambda _python, choice, _specification: ([], choice))
    monkeypatch.setattr(setup, "_pip", lambda *_: None)

    def install() -> tuple[str, list[str]]:
        record = setup.install(setup.Specification(str(folder), "", [], "cpu", str(good)), lambda **_: None)
        return record["python"], sorted(path.name for path in folder.glob("env?"))

    monkeypatch.setattr(sys, "prefix", str(folder / "env1"))
    mark = worker._hold_environment()
    assert install() == ("env2/python", ["env1", "env2"])
    assert install() == ("env3/python", ["env1", "env3"])
    mark.close()  # the worker ends
    (folder / "env1" / "kmm_in_use").unlink()  # now the user's as well
    assert install() == ("env2/python", ["env1", "env2"])
    assert (folder / "env2024").is_dir() and (folder / "downloads").is_dir()


# --- pip's own settings


def test_pips_settings_are_read_and_not_printed(tmp_path, monkeypatch, capfd):
    pytest.importorskip("pip")
    for name in [name for name in os.environ if name.upper().startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = tmp_path / "pip.ini"
    settings.write_text(
        "[global]\nproxy = http://me:secret@proxy:8080\ncert = C:\\ca\\it's.pem\ntimeout = 5\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    found = setup.pip_settings(Path(sys.executable))
    assert (found["proxy"], found["cert"]) == ("http://me:secret@proxy:8080", "C:\\ca\\it's.pem")
    monkeypatch.setenv("PIP_PROXY", "http://other:1")
    assert setup.pip_settings(Path(sys.executable))["proxy"] == "http://other:1"
    assert "secret" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("password", ["sec#ret", "sec/ret", "sec@ret"])
def test_a_password_of_an_index_or_proxy_stays_out_of_log_and_message(password, monkeypatch, capfd):
    words = f"'Looking in indexes: https://me:{password}@pypi.work/simple'"
    script = f"print({words}); print('ERROR: Failed to parse: http://me:{password}@proxy:8080'); exit(1)"
    monkeypatch.setattr(setup, "_run", lambda _command, run=setup._run: run([sys.executable, "-c", script]))
    with pytest.raises(SetupError, match=r"Failed to parse: http://\*+@proxy:8080") as caught:
        setup._pip(Path(sys.executable))
    log = capfd.readouterr().out.partition("\n")[2]  # without the command, which holds it in this test alone
    assert "@pypi.work/simple" in log and "ret" not in log + str(caught.value)


def test_downloads_take_the_proxy_that_pip_knows(index, folder, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    environment, sent = folder / "env1", []
    monkeypatch.setattr(setup, "make_environment", lambda *_: environment / "python")
    behind = Wheel("thing 1.0", f"http://pypi.invalid/files/{NAME}", hashlib.sha256(DATA).hexdigest())
    monkeypatch.setattr(setup, "resolve", lambda _python, choice, _specification: ([behind], choice))
    monkeypatch.setattr(setup, "pip_settings", lambda _python: {"proxy": index.url})
    monkeypatch.setattr(setup, "_pip", lambda _python, *words: sent.extend(words))
    with pytest.raises(SetupError, match="does not work"):  # there is nothing to test
        setup.install(setup.Specification(str(folder), "", [], "cpu", ""), lambda **_: None)
    assert [method for method, _, _ in index.requests] == ["HEAD", "GET"]
    assert sent[-1] == str(folder / "kmm_downloads" / NAME)


@pytest.mark.parametrize(
    ("url", "login"),
    [
        ("https://pypi.work/files/thing.whl", b"me:a b"),
        ("https://other.work:8443/thing.whl", b"token:"),
        ("http://pypi.work/files/thing.whl", b""),  # not over a connection that everybody reads
        ("https://pypi.work:444/thing.whl", b""),
        ("https://files.pythonhosted.org/thing.whl", b""),
    ],
)
def test_a_password_is_for_the_server_of_its_index_alone(url, login):
    settings = {
        "index-url": "https://me:a%20b@pypi.work/simple",
        "extra-index-url": "https://download.pytorch.org/whl\nhttps://token@other.work:8443/simple",
    }
    header = setup.authorization(url, settings)
    assert header == ("Basic " + base64.b64encode(login).decode() if login else "")


def test_a_password_does_not_follow_to_another_server(index, folder):
    index.login = "me:secret"
    private = replace(the_wheel(index), authorization="Basic bWU6c2VjcmV0")
    with served(PackageIndex(moved=f"{index.url}")) as elsewhere, pytest.raises(SetupError, match="401"):
        moved = replace(private, url=f"{elsewhere.url}/files/{NAME}")
        download(moved, folder, TRUST, lambda _: None, pause=0.01)
    assert download(private, folder, TRUST, lambda _: None, pause=0.01).read_bytes() == DATA
    assert "secret" not in repr(private) and private.authorization not in repr(private)


# --- the disk


def test_full_disk_names_what_is_needed(folder):
    with pytest.raises(SetupError, match="GB are needed") as caught:
        setup.check_space(folder, 10**18)
    assert caught.value.code == "backend_disk_full"
    setup.check_space(folder, 1000)


@pytest.mark.skipif(os.name == "nt", reason="no such device")
def test_disk_that_fills_while_downloading_is_no_broken_connection(index, folder, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(setup, "open", full, raising=False)
    with pytest.raises(SetupError) as caught:
        get(index, folder)
    assert caught.value.code == "backend_disk_full" and len(index.requests) == 1


def test_path_too_long_for_windows_is_found_before_anything_is_unpacked(folder):
    setup.check_paths(["torch/a.h", "x" * 50], folder, limit=len(str(folder)) + 51)
    with pytest.raises(SetupError, match="Windows allows") as caught:
        setup.check_paths(["torch/a.h", "x" * 50], folder, limit=len(str(folder)) + 50)
    assert caught.value.code == "backend_path_too_long"


def test_second_installation_into_a_folder_is_kept_out(folder):
    hold = "import sys; from pathlib import Path; from kmm_blender.jobs.backend_setup import _lock\nwith _lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(folder / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(SetupError) as caught, setup._lock(folder / "lock"):
            pass
        assert caught.value.code == "backend_busy"
    finally:
        other.kill()
        other.wait()
        other.stdin.close()
        other.stdout.close()
    with setup._lock(folder / "lock"):
        pass  # a process that was killed holds nothing


@pytest.mark.skipif(os.name == "nt", reason="made by fcntl")
def test_a_file_system_without_locks_is_not_another_blender(folder, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")  # a home folder on NFS

    monkeypatch.setattr("fcntl.flock", no_locks)
    with setup._lock(folder / "lock"):
        pass


# --- the Python to build on


def test_no_usable_python_says_why_for_each(folder):
    broken = folder / "python3"
    broken.write_text("#!/bin/sh\necho 'this is not Python'\nexit 3\n", encoding="utf-8")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(SetupError) as caught:
        setup.make_environment(folder / "env1", ["/no/such/python", str(broken)])
    assert caught.value.code == "backend_no_python"
    assert (
        "/no/such/python: No such file" in caught.value.message
        and "this is not Python" in caught.value.message
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("KMM 3 9 64", "64-bit Python 3.9"), ("KMM 3 12 32", "32-bit"), ("KMM 3 99 64", "3.99")],
)
def test_python_that_torch_has_no_build_for_is_unfit(monkeypatch, answer, reason):
    monkeypatch.setattr(setup, "_run", lambda *_, **__: (0, answer))
    assert reason in setup._unfit("python")


def test_python_without_venv_is_unfit(monkeypatch):
    monkeypatch.setattr(
        setup, "_run", lambda command, **_: (1, "No module") if "venv" in command[-1] else (0, "KMM 3 13 64")
    )
    assert "ensurepip" in setup._unfit("python")


# --- Windows


def test_words_in_the_code_page_of_windows_are_read(monkeypatch):
    """A Python whose output is no console writes in it, such as the address of a certificate in the user's folder."""
    monkeypatch.setattr(setup, "_CODE_PAGE", "cp1252")
    for encoding in ("cp1252", "utf-8"):
        words = "C:/Users/Jürgen: Zugriff verweigert\r\nEnde".encode(encoding)
        code, output = setup._run(
            [sys.executable, "-c", f"import os; os.write(1, {words!r})"],
        )
        assert (code, output) == (0, "C:/Users/Jürgen: Zugriff verweigert\nEnde")


def test_settings_of_pip_in_the_code_page_of_windows_are_read(monkeypatch):
    printed = b"global.cert='C:\\\\Users\\\\J\xfcrgen\\\\ca.pem'\r\n"
    monkeypatch.setattr(setup, "_CODE_PAGE", "cp1252")
    monkeypatch.setattr(setup.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=printed))
    assert setup.pip_settings(Path("python")) == {"cert": "C:\\Users\\Jürgen\\ca.pem"}


def test_a_scanner_that_reads_a_new_download_is_waited_for(index, folder, monkeypatch):
    """As virus scanners do on Windows, where a file that is open cannot be moved."""
    refused, replace = [], os.replace

    def busy(source, target):
        if len(refused) < 2:
            refused.append(source)
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(setup, "_PATIENCE", (0.01, 0.01))
    assert get(index, folder).read_bytes() == DATA and len(refused) == 2


def test_the_program_that_ends_others_does_not_get_our_input(monkeypatch):
    """On Windows it would not start before the thread that reads it is through: the installation would stand still."""
    given = {}
    monkeypatch.setattr(setup, "os", SimpleNamespace(name="nt"))
    monkeypatch.setattr(setup.subprocess, "run", lambda _command, **options: given.update(options))
    setup._stop(SimpleNamespace(pid=1))
    assert given["stdin"] == subprocess.DEVNULL
