"""Workers that misbehave: scripts for ``WorkerClient(launcher=...)``, and jobs to give them."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

from kmm_core.protocol import GenerateRequest
from kmm_core.timeline import Prompt, Timeline

REPOSITORY = Path(__file__).resolve().parents[2]

# What a script may use: a connection to Blender, a good hello, and motion of the right size.
_PREAMBLE = f"""
import os, signal, socket, sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
import numpy as np
import kmm_core
from kmm_core.clip import MotionClip
from kmm_core.connection import Connection
from kmm_core.protocol import *

def connect():
    return Connection(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))

def send(*messages):
    for message in messages:
        connection.send(message)
        connection.wait_sent()

def hello(connection, **changes):
    fields = dict(token=os.environ["KMM_TOKEN"], protocol=PROTOCOL_VERSION, version=kmm_core.__version__,
                  python="3", process=os.getpid())
    connection.send(Hello(**(fields | changes)))

def receive():
    while (message := connection.receive()) is None:
        if connection.closed:
            os._exit(0)
        connection.wait(1)
    return message

READY = Ready("fake", "1", "CC0-1.0", (), "none", "cpu", "fake", 30.0, "2")

def clip(request, height=1.0):
    frames = request.timeline.num_frames
    turns = np.zeros((frames, 22, 4))
    turns[..., 0] = 1
    return MotionClip(np.full((frames, 3), height), turns, request.timeline.fps)

def do(request, height=1.0, note=""):
    send(READY, Progress(request.job, "tokens", 1, 1, 0.0))
    for take in range(request.samples):
        send(*clip_parts(request.job, take, clip(request, height)))
    send(Result(request.job, request.samples, {{"tokens": 0.1}}, note))
"""

_CONNECTED = """
connection = connect()
hello(connection)
"""

GOOD = """
while True:
    message = receive()
    if isinstance(message, GenerateRequest):
        do(message)
"""


def fake_worker(folder: Path, body: str, *, connected: bool = True) -> Path:
    """A script that runs ``body``, after connecting and saying hello if ``connected``."""
    path = folder / "fake worker.py"
    path.write_text(_PREAMBLE + (_CONNECTED if connected else "") + textwrap.dedent(body), encoding="utf-8")
    return path


def request(job: str = "a", frames: int = 60, **settings) -> GenerateRequest:
    """A job of so many frames at 30 fps."""
    return GenerateRequest(job, Timeline(30, (Prompt("a person walks", 0, frames),)), **settings)


def finish(client, job, seconds=300, each_time=lambda: None):
    """Polls until the job is finished; returns it."""
    deadline = time.monotonic() + seconds
    while not job.finished:
        assert time.monotonic() < deadline, f"still {job.state}"
        client.poll()
        each_time()
        time.sleep(0.005)
    return job


def last_lines(client, count: int) -> list[str]:
    """Of what the worker printed."""
    return client.log.read_text(encoding="utf-8").splitlines()[-count:]
