"""Times "press Generate to keyframes" and how long Blender's main thread is held. Run with Blender's Python (``bpy``).

python -m benchmarks.blender_latency --worker-python .venv/bin/python -o docs/benchmarks/blender_latency.md

The add-on runs as an installed extension from the checkout, with the starter model in a real worker. Blender's timer,
which never fires in the background, is played by a loop that waits as long as the timer would.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = "bl_ext.user_default.kmm"
FPS = 30


@dataclass(frozen=True)
class Cost:
    """One generation, in seconds.

    Attributes:
        total: from pressing the button to the takes on the armature.
        press: what the button itself held the main thread, on the clock.
        press_cpu: the same in processor seconds.
        block: the longest that one call of the timer held the main thread, on the clock.
        block_cpu: the same in processor seconds, which other programs don't lengthen.
        undo: of these calls' time, what Blender itself took to store the undo step; not in ``block``.
    """

    total: float
    press: float
    press_cpu: float
    block: float
    block_cpu: float
    undo: float


def generate(seconds: float) -> Cost:
    """Presses Generate for one take of so many seconds and waits for the keyframes; the take is then rejected."""
    import bpy

    module = sys.modules[f"{PACKAGE}.session"]
    session, push_undo, undo = module.get(), module._push_undo, [0.0, 0.0]

    def timed_push(message: str) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        push_undo(message)
        undo[:] = time.perf_counter() - wall, time.process_time() - cpu

    module._push_undo = timed_push
    settings = bpy.context.scene.kmm
    settings.prompts.clear()
    for start in range(0, round(seconds * FPS), 5 * FPS):
        prompt = settings.prompts.add()
        prompt.text = ("a person walks forward", "a person turns left", "a person waves")[
            start // (5 * FPS) % 3
        ]
        prompt.start, prompt.end = start + 1, start + 5 * FPS + 1
    settings.num_takes = 1
    started, cpu = time.perf_counter(), time.process_time()
    bpy.ops.kmm.generate()
    press, press_cpu = time.perf_counter() - started, time.process_time() - cpu
    block = block_cpu = 0.0
    while session.busy:
        wall, cpu = time.perf_counter(), time.process_time()
        before = list(undo)
        pause = session.tick()
        own, own_cpu = undo if undo != before else (0.0, 0.0)
        block = max(block, time.perf_counter() - wall - own)
        block_cpu = max(block_cpu, time.process_time() - cpu - own_cpu)
        if session.busy:
            time.sleep(pause)
    total = time.perf_counter() - started
    module._push_undo = push_undo
    if session.status.error is not None:
        raise session.status.error
    bpy.ops.kmm.reject_takes()
    return Cost(total, press, press_cpu, block, block_cpu, undo[0])


def enable() -> None:
    """The checkout as an installed extension, in a user folder that is thrown away."""
    folder = Path(tempfile.mkdtemp(prefix="kmm benchmark "))
    os.environ["BLENDER_USER_RESOURCES"] = str(folder)
    subprocess.run([sys.executable, REPOSITORY / "tools" / "build_extension.py", "link", folder], check=True)
    sys.path.insert(0, str(folder / "packages"))
    import bpy  # first: it brings addon_utils
    import addon_utils  # isort: skip

    addon_utils.extensions_refresh()
    if not addon_utils.enable(PACKAGE, default_set=True):
        sys.exit("The add-on could not be enabled, see above.")
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = FPS
    bpy.ops.kmm.add_character()


def enabling_seconds() -> float:
    """How long enabling takes a fresh Blender, imports included, on the clock."""
    code = (
        f"import sys, time; sys.path[:0] = {sys.path[:1]!r}; import bpy, addon_utils, os; start = time.perf_counter(); "
        f"assert addon_utils.enable({PACKAGE!r}); print('seconds', time.perf_counter() - start, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split("seconds ")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker-python", type=Path, default=REPOSITORY / ".venv" / "bin" / "python")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10, help="length of the long generation")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    enable()
    enabling = statistics.median(enabling_seconds() for _ in range(options.repeats))
    import bpy

    session = sys.modules[f"{PACKAGE}.session"].get()
    session.python = options.worker_python
    first = generate(10)
    warm = [generate(10) for _ in range(options.repeats)]
    long = generate(options.minutes * 60)
    lines = [
        "# Press Generate to keyframes on screen",
        "",
        f"One take at {FPS} fps, starter model on the CPU, Blender {bpy.app.version_string} without a window, "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.",
        "",
        "| what | target | measured |",
        "|---|---|---|",
        f"| enabling the extension, median of {options.repeats} | <= 200 ms | {enabling * 1000:.0f} ms |",
        f"| 10 s of motion, first time (worker start included) | <= 6 s | {first.total:.2f} s |",
        f"| 10 s of motion, warm, median of {len(warm)} | <= 0.5 s | {statistics.median(c.total for c in warm):.2f} s |",
        f"| {options.minutes:g} min of motion | | {long.total:.2f} s |",
    ]
    for name, costs in (("10 s", [first, *warm]), (f"{options.minutes:g} min", [long])):
        lines.append(
            f"| longest block of the main thread, {name} | <= 50 ms | "
            f"{max(c.block for c in costs) * 1000:.0f} ms ({max(c.block_cpu for c in costs) * 1000:.0f} ms of processor time); "
            f"the button {max(c.press for c in costs) * 1000:.0f} ms ({max(c.press_cpu for c in costs) * 1000:.0f} ms) |"
        )
        lines.append(
            f"| Blender's own undo step with the new keys, {name} | | {max(c.undo for c in costs) * 1000:.0f} ms |"
        )
    text = "\n".join(lines) + "\n"
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    session.restart()
    sys.stdout.flush()
    os._exit(0)  # bpy 4.x hangs or crashes at exit while something is registered


if __name__ == "__main__":
    main()
