"""Workers that never come, fall silent, talk nonsense or die: one sentence for the user, and the next job works.

These workers are scripts without torch; ``test_worker.py`` drives the real one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kmm_blender.jobs import worker_client
from kmm_blender.jobs.worker_client import Timeouts, WorkerClient
from kmm_core.protocol import PART_FRAMES, ClipPart
from tests.blender_light.fake_workers import GOOD, fake_worker, finish, last_lines, request

PYTHON = Path(sys.executable)
SHORT = Timeouts(hello=20, load=1.5, silence=1.5, cancel=0.3, terminate=0.3)


@pytest.fixture
def make(tmp_path):
    """Clients of fake workers, closed at the end."""
    made = []

    def make(body: str, *, connected: bool = True, timeouts: Timeouts = SHORT, **settings) -> WorkerClient:
        log = settings.pop("log", tmp_path / "lögs und mehr" / "worker.log")
        launcher = fake_worker(tmp_path, body, connected=connected)
        made.append(WorkerClient(PYTHON, log, timeouts=timeouts, launcher=launcher, **settings))
        return made[-1]

    yield make
    for client in made:
        client.close()


def _gone(pid: int) -> bool:
    """Whether a process is gone, or dead and only not yet collected."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def _wait_until(true, seconds: float = 20.0, client: WorkerClient | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came to that"
        if client is not None:
            client.poll()
        time.sleep(0.01)


def _works(client: WorkerClient, tmp_path: Path) -> None:
    """A job right after the failure is done by a good worker."""
    fake_worker(tmp_path, GOOD)
    job = finish(client, client.generate(request("next")), 20)
    assert (job.state, job.error, client.state, client.error) == ("done", None, "ready", None)
    assert job.clips[0].num_frames == 60


ENVIRONMENTS = {
    "no such Python": ("missing", None, "python_missing", r"There is no Python at .*missing\. Press Install"),
    "not a program": ("notes", "just text\n", "python_broken", r"notes cannot be run .*; expected a Python"),
    "another program": (
        "program",
        "#!/bin/sh\necho I am no snake\nexit 4\n",
        "worker_not_started",
        r"ended with exit code 4 \(I am no snake\) while it started\. Press Install",
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
@pytest.mark.parametrize(("name", "content", "code", "message"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_a_wrong_python_is_explained(make, tmp_path, name, content, code, message):
    client = make(GOOD)
    client.python = tmp_path / name
    if content:
        client.python.write_text(content)
        client.python.chmod(0o755)
    job, behind = client.generate(request("a")), client.generate(request("b"))
    for each in (job, behind):
        finish(client, each, 20)
        assert each.state == "failed" and each.error.code == code
        assert re.search(message, str(each.error))
    assert client.state == "failed" and client.error.code == code
    client.python = PYTHON
    _works(client, tmp_path)


# body, is there a hello first, code, message
FAULTS = {
    "a broken environment": (
        "raise ImportError('DLL load failed')",
        False,
        "worker_not_started",
        r"exit code 1 \(ImportError: DLL load failed\) while it started",
    ),
    "an end while loading": (
        "receive(); sys.exit('no more')",
        True,
        "worker_died",
        r"\(no more\) while it loaded",
    ),
    "a crash": (
        "do_nothing = send(READY) if receive() else 0; import ctypes; ctypes.string_at(0)",
        True,
        "worker_died",
        r"signal 11 \(SIGSEGV\) \(.+\) while it generated",
    ),
    "no answer at all": (
        "time.sleep(60)",
        True,
        "worker_silent",
        r"did not answer for 1.5 s while it loaded",
    ),
    "silence later": (
        "receive(); send(READY); time.sleep(60)",
        True,
        "worker_silent",
        r"did not answer for 1.5 s while it generated; it was ended",
    ),
    "another protocol": (
        "hello(connect(), protocol=99); time.sleep(60)",
        False,
        "worker_version",
        r"speaks protocol 99; Blender speaks 1\. KMM was updated while it ran: restart Blender",
    ),
    "another version": (
        "hello(connect(), version='9.9'); time.sleep(60)",
        False,
        "worker_version",
        r"has kmm_core 9\.9; Blender has .*restart Blender",
    ),
    "garbage": (
        "receive(); connection._socket.sendall(os.urandom(100_000)); time.sleep(60)",
        True,
        "worker_garbage",
        r"where a message should start",
    ),
    "prints into the stream": (
        "receive(); connection._socket.sendall(b'Downloading weights: 3%\\n'); time.sleep(60)",
        True,
        "worker_garbage",
        r"Downloading weig",
    ),
    "a message of Blender's": (
        "receive(); send(Cancel('a')); time.sleep(60)",
        True,
        "worker_garbage",
        r"a Cancel",
    ),
    "a huge message": (
        "receive(); connection._socket.sendall(PREFIX.pack(b'KMM\\0', 2, 1 << 33)); time.sleep(60)",
        True,
        "worker_garbage",
        r"a message of 8,589,934,594 bytes",
    ),
    "too few takes": (
        "r = receive(); send(READY, *clip_parts(r.job, 0, clip(r)), Result(r.job, 2, {})); time.sleep(60)",
        True,
        "worker_garbage",
        r"the end of a job after 1 of 2 takes",
    ),
    "too many takes": (
        "r = receive(); send(READY, *[p for t in range(3) for p in clip_parts(r.job, t, clip(r))]); time.sleep(60)",
        True,
        "worker_garbage",
        r"a piece of motion .* \(2, 0, 60, 30.0\); expected",
    ),
    "takes of another length": (
        "r = receive(); send(READY, *clip_parts(r.job, 0, clip(r).slice(0, 30))); time.sleep(60)",
        True,
        "worker_garbage",
        r"\(0, 0, 30, 30.0\); expected \(0, 0, 60, 30.0\)",
    ),
    "numbers that are none": (
        "r = receive(); p = next(clip_parts(r.job, 0, clip(r))); p.root_positions[3] = np.nan; send(p); time.sleep(60)",
        True,
        "worker_garbage",
        r"not finite",
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("body", "connected", "code", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_sentence_and_the_next_job_works(make, tmp_path, body, connected, code, message):
    client = make(body, connected=connected)
    job = client.generate(request(samples=2))
    pid = client.pid
    finish(client, job, 20)
    assert job.state == "failed" and job.clips is None
    assert job.error.code == code, job.error
    assert re.search(message, str(job.error)) and job.error.hint
    assert client.state == "failed" and client.error is job.error
    _wait_until(lambda: _gone(pid), 5)
    _works(client, tmp_path)


def test_a_worker_that_never_comes(make, tmp_path):
    client = make("time.sleep(60)", connected=False, timeouts=Timeouts(hello=1))
    job = finish(client, client.generate(request()), 20)
    assert job.error.code == "worker_silent"
    assert "did not answer for 1 s while it started" in job.error.message


def test_garbage_before_the_hello_lets_nobody_in(make):
    body = "s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.sendall(b'GET / HTTP/1.1' * 9); time.sleep(60)"
    client = make(body, connected=False, timeouts=Timeouts(hello=1))
    job = finish(client, client.generate(request()), 20)
    assert job.error.code == "worker_silent" and client.info is None


def test_strangers_do_not_keep_the_worker_out(make):
    client = make(
        """
        silent = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(12)]
        hello(connect(), token="guessed")
        hello(connect(), token="gera\\u00e4ten")
        connection = connect()
        hello(connection)
        do(receive(), height=2.0)
        """,
        connected=False,
    )
    job = finish(client, client.generate(request()), 20)
    assert job.state == "done" and job.clips[0].root_positions[0, 1] == 2


def test_a_long_step_is_not_silence(make):
    client = make(
        """
        r = receive()
        send(READY)
        for _ in range(6):
            time.sleep(0.5)
            send(Alive())
        do(r)
        """
    )
    assert finish(client, client.generate(request()), 20).state == "done"


def test_the_workers_errors_arrive_whole(make):
    client = make("r = receive(); send(Failure(r.job, 'bad_thing', 'It is bad.', 'Be good.')); receive()")
    job = finish(client, client.generate(request()), 20)
    assert (job.state, job.error.code, str(job.error)) == ("failed", "bad_thing", "It is bad. Be good.")
    assert client.state == "ready"


def test_a_flood_of_messages_neither_blocks_nor_outlives_a_cancel(make, tmp_path):
    client = make("r = receive(); send(READY)\nwhile True: send(Progress(r.job, 'tokens', 1, 2))")
    job = client.generate(request())
    _wait_until(lambda: job.state == "generating", client=client)
    pid, longest = client.pid, 0.0
    for _ in range(20):
        time.sleep(0.02)
        started = time.thread_time()
        client.poll()
        longest = max(longest, time.thread_time() - started)
    assert longest < 0.02
    client.cancel(job)
    assert job.state == "cancelled"
    _wait_until(lambda: client.state == "stopped", 10, client)
    _wait_until(lambda: _gone(pid), 5)
    _works(client, tmp_path)


def test_prints_go_to_the_log_and_the_log_stays_small(make):
    client = make(
        """
        r = receive()
        os.system("echo from a child process")
        for n in range(60_000):
            print("a library prints a line of some length, and then another one, and so on", n)
        sys.stdout.flush()
        print("Gr\\u00fc\\u00dfe", file=sys.stderr, flush=True)
        do(r)
        """
    )
    assert finish(client, client.generate(request()), 20).state == "done"
    assert last_lines(client, 1) == ["Grüße"] and len(last_lines(client, 50)) == 50
    assert client.log.stat().st_size > 4 << 20
    client.close()
    client.generate(request())
    assert client.log.stat().st_size < 4 << 20


def test_a_log_that_cannot_be_written_stops_nothing(make, tmp_path):
    (tmp_path / "file").write_text("")
    client = make("do(receive()); receive()", log=tmp_path / "file" / "worker.log")
    assert finish(client, client.generate(request()), 20).state == "done"


def test_last_words_of_an_earlier_run_are_not_repeated(make, tmp_path):
    client = make("receive(); sys.exit('first words')")
    assert "first words" in finish(client, client.generate(request()), 20).error.message
    fake_worker(tmp_path, "receive(); os._exit(5)")
    message = finish(client, client.generate(request()), 20).error.message
    assert "exit code 5" in message and "first words" not in message


def test_jobs_behind_a_job_that_kills_the_worker_are_done(make):
    client = make(
        """
        while True:
            r = receive()
            if r.job == "b":
                os._exit(7)
            do(r)
        """
    )
    jobs = [client.generate(request(name)) for name in "abc"]
    assert [job.state for job in jobs] == ["starting"] * 3
    states = [finish(client, job, 20).state for job in jobs]
    assert states == ["done", "failed", "done"] and "exit code 7" in jobs[1].error.message


def test_notes_and_seconds_arrive(make):
    client = make("do(receive(), note='The CPU did it.'); receive()")
    job = finish(client, client.generate(request()), 20)
    assert (
        job.note == "The CPU did it."
        and job.seconds == {"tokens": 0.1}
        and job.seconds_left is None
        and client.info.model == "fake"
    )


def test_answers_of_a_cancelled_job_do_not_reach_the_next(make):
    client = make(
        """
        a = receive()
        send(READY)
        assert isinstance(receive(), Cancel)
        do(a, height=1.0)
        do(receive(), height=2.0)
        """,
        timeouts=Timeouts(cancel=20),
    )
    first = client.generate(request("a"))
    _wait_until(lambda: first.state == "generating", client=client)
    client.cancel(first)
    second = finish(client, client.generate(request("b")), 20)
    assert first.state == "cancelled" and first.clips is None
    assert second.clips[0].root_positions[0, 1] == 2


def test_a_cancel_that_is_not_answered_ends_the_worker(make, tmp_path):
    # Termination is asked for first; killing it would come too late here.
    timeouts = Timeouts(cancel=0.3, terminate=60)
    client = make("r = receive(); send(READY); time.sleep(60)", timeouts=timeouts)
    job = client.generate(request())
    _wait_until(lambda: job.state == "generating", client=client)
    pid = client.pid
    client.cancel(job)
    started = time.monotonic()
    fake_worker(tmp_path, GOOD)
    after = finish(client, client.generate(request("b")), 20)
    assert after.state == "done" and time.monotonic() - started < 10
    assert job.state == "cancelled" and job.error is None and _gone(pid)


def test_an_end_some_time_after_hanging_up_is_still_explained(make):
    """The system may close a process's sockets well before it says how the process ended."""
    client = make("receive(); send(READY); time.sleep(1.2); connection.close(); time.sleep(1); os._exit(6)")
    job = finish(client, client.generate(request()), 20)
    assert "exit code 6 while it generated" in job.error.message


def test_hanging_up_without_an_end_is_an_end(make, monkeypatch):
    monkeypatch.setattr("kmm_blender.jobs.worker_client._LEAVING_SECONDS", 0.3)
    client = make("receive(); send(READY); connection.close(); time.sleep(60)")
    job = client.generate(request())
    pid = client.pid
    finish(client, job, 20)
    assert "The worker closed its connection while it generated" in job.error.message
    _wait_until(lambda: _gone(pid), 5)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_that_ignores_termination_is_killed(make):
    client = make("signal.signal(signal.SIGTERM, signal.SIG_IGN); r = receive(); send(READY); time.sleep(60)")
    job = client.generate(request())
    _wait_until(lambda: job.state == "generating", client=client)
    pid = client.pid
    client.cancel(job)
    _wait_until(lambda: client.state == "stopped", 10, client)
    _wait_until(lambda: _gone(pid), 5)


def test_a_cancel_while_loading_waits_for_the_model(make):
    """A model that was nearly loaded is of use to the next job."""
    client = make(
        """
        a = receive()
        time.sleep(1.2)
        assert isinstance(receive(), Cancel)
        send(READY, Failure(a.job, "cancelled", "Cancelled."))
        do(receive())
        """
    )
    job = client.generate(request())
    _wait_until(lambda: job.state == "loading", client=client)
    pid = client.pid
    client.cancel(job)
    assert finish(client, client.generate(request("b")), 20).state == "done" and client.pid == pid


def test_cancel_before_the_worker_came_and_of_a_waiting_job(make):
    client = make(GOOD)
    first, second, third = (client.generate(request(name)) for name in "abc")
    client.cancel(first)
    client.cancel(third)
    assert (first.state, third.state) == ("cancelled", "cancelled") and client.state == "starting"
    assert finish(client, second, 20).state == "done"
    client.cancel(second)
    assert second.state == "done", "what is finished stays finished"


def test_close_ends_the_worker_and_its_jobs_at_once(make, tmp_path):
    client = make("r = receive(); send(READY); time.sleep(60)")
    first, second = client.generate(request("a")), client.generate(request("b"))
    _wait_until(lambda: first.state == "generating", client=client)
    pid, started = client.pid, time.monotonic()
    client.close()
    assert time.monotonic() - started < 1 and _gone(pid)
    assert (first.state, second.state, client.state, client.info) == (
        "cancelled",
        "cancelled",
        "stopped",
        None,
    )
    client.close()
    _works(client, tmp_path)


def test_unload_only_without_a_job(make):
    client = make(GOOD)
    job = client.generate(request())
    assert client.unload() is False
    finish(client, job, 20)
    pid = client.pid
    assert client.unload() is True and client.state == "stopped" and _gone(pid)


def test_an_idle_worker_is_ended(make):
    client = make(GOOD, idle_seconds=0.3)
    assert finish(client, client.generate(request()), 20).state == "done"
    pid = client.pid
    _wait_until(lambda: client.state == "stopped", 5, client)
    assert client.error is None and _gone(pid)
    assert finish(client, client.generate(request()), 20).state == "done"


def test_a_worker_that_dies_without_a_job_is_noticed(make, tmp_path):
    client = make("do(receive()); time.sleep(0.2); os._exit(9)")
    assert finish(client, client.generate(request()), 20).state == "done"
    _wait_until(lambda: client.state == "failed", 5, client)
    assert "exit code 9 while it had nothing to do" in client.error.message
    _works(client, tmp_path)


def test_a_sleeping_laptop_is_not_a_silent_worker(make, monkeypatch):
    """However much time has passed between two polls, only a moment of it is held against the worker."""
    client = make("r = receive(); send(READY); time.sleep(0.5); do(r)")
    job = client.generate(request())
    _wait_until(lambda: job.state == "generating", client=client)
    real, jump = time.monotonic, 3600.0
    monkeypatch.setattr("kmm_blender.jobs.worker_client.time.monotonic", lambda: real() + jump)
    client.poll()
    monkeypatch.undo()
    assert finish(client, job, 20).state == "done"


def test_a_job_that_is_too_large_to_send_fails_alone(make, monkeypatch):
    from kmm_core.clip import MotionClip

    client = make(GOOD)
    assert finish(client, client.generate(request("a")), 20).state == "done"
    kept = np.zeros(60, dtype=bool)
    kept[0] = True
    turns = np.zeros((60, 22, 4))
    turns[..., 0] = 1
    large = request("b", keep_clip=MotionClip(np.zeros((60, 3)), turns, 30.0), keep_frames=kept)
    monkeypatch.setattr("kmm_core.protocol.MAX_PAYLOAD_BYTES", 1000)
    job = finish(client, client.generate(large), 5)
    assert (job.state, job.error.code, client.state) == ("failed", "message_too_large", "ready")


def test_ten_minutes_in_four_takes_are_taken_in_small_sips(make, monkeypatch):
    """18,000 frames x 4 are 26 MB: a poll whose time is up takes one message, and no message is large."""
    monkeypatch.setattr(worker_client, "_POLL_SECONDS", -1.0)
    client = make("do(receive()); receive()", timeouts=Timeouts())
    taken, take = [], client._take
    monkeypatch.setattr(client, "_take", lambda message: (taken.append(message), take(message)))
    job = client.generate(request(frames=18_000, samples=4))
    end, most = time.monotonic() + 60, 0
    while not job.finished:
        assert time.monotonic() < end
        before = len(taken)
        client.poll()
        most = max(most, len(taken) - before)
        time.sleep(0.001)
    assert job.state == "done" and len(job.clips) == 4 and job.clips[3].num_frames == 18_000
    assert most == 1
    parts = [len(message.root_positions) for message in taken if isinstance(message, ClipPart)]
    assert len(parts) == 4 * 5 and sum(parts) == 4 * 18_000 and max(parts) == PART_FRAMES


def test_a_blender_that_does_not_poll_for_long_loses_nothing(make):
    client = make("do(receive()); receive()", timeouts=SHORT)
    job = client.generate(request(frames=18_000))
    _wait_until(lambda: job.state != "starting", client=client)
    time.sleep(2.5)
    assert finish(client, job, 20).state == "done"


_CLIENT = """
import sys
from pathlib import Path
sys.path.insert(0, {repository!r})
from kmm_blender.jobs.worker_client import WorkerClient
from tests.blender_light.fake_workers import finish, request
client = WorkerClient(Path(sys.executable), Path({log!r}), launcher=Path({launcher!r}))
job = client.generate(request())
print(client.pid, flush=True)
finish(client, job)
"""


@pytest.mark.parametrize("own", [None, "ACTIVE"])
def test_the_workers_threads_sleep_between_steps_unless_the_user_says_otherwise(make, monkeypatch, own):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if own:
        monkeypatch.setenv("OMP_WAIT_POLICY", own)
    client = make("r = receive(); print(os.environ['OMP_WAIT_POLICY'], flush=True); do(r)")
    finish(client, client.generate(request()), 20)
    assert last_lines(client, 1) == [own or "PASSIVE"]


def test_the_worker_downloads_nothing(make, monkeypatch):
    """A stranger's model may name a text encoder that transformers would fetch, whatever Blender's online access says."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    client = make("r = receive(); print(os.environ['HF_HUB_OFFLINE'], flush=True); do(r)")
    finish(client, client.generate(request()), 20)
    assert last_lines(client, 1) == ["1"]


def test_no_handle_or_socket_of_the_client_reaches_the_worker(make, tmp_path):
    """Else the worker would not see the end of Blender, or would keep its files open."""
    client = make(
        """
        r = receive()
        print(sorted(os.readlink(f"/proc/self/fd/{n}")[:6] for n in os.listdir("/proc/self/fd") if int(n) > 2
                     and os.path.exists(f"/proc/self/fd/{n}")), flush=True)
        do(r)
        """
    )
    with (tmp_path / "a file of Blender's").open("w"):
        finish(client, client.generate(request()), 20)
    if Path("/proc/self/fd").exists():
        assert last_lines(client, 1)[0].count("socket") == 1
        assert str(tmp_path)[:6] not in last_lines(client, 1)[0]


def test_closing_by_the_end_of_the_interpreter_leaves_no_worker(tmp_path):
    from tests.blender_light.fake_workers import REPOSITORY

    launcher = fake_worker(tmp_path, "receive(); receive()")
    code = _CLIENT.format(repository=str(REPOSITORY), log=str(tmp_path / "log"), launcher=str(launcher))
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(client.stdout.readline())
    time.sleep(0.5)
    client.kill()
    client.wait()
    client.stdout.close()
    _wait_until(lambda: _gone(pid), 5)
