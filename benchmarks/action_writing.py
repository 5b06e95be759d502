"""Times writing ten minutes of motion as F-curves against ``keyframe_insert``. Run with Blender's Python (``bpy``).

python -m benchmarks.action_writing -o docs/benchmarks/action_writing.md
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from kmm_blender.scene.action_writer import write_action, write_action_steps
from kmm_blender.scene.key_reduction import Reduction
from kmm_blender.scene.pose_keys import PoseKeys
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_NAMES

_HEAD = """# Action writing

What `kmm_blender/scene/action_writer.py` needs for ten minutes of motion at 30 fps, in each Blender:
`PYTHONPATH=. PYTHON-WITH-BPY -m benchmarks.action_writing -o docs/benchmarks/action_writing.md`.

"""


def _armature() -> bpy.types.Object:
    armature = bpy.data.objects.new("Benchmark", bpy.data.armatures.new("Benchmark"))
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for index, name in enumerate(JOINT_NAMES):
        bone = armature.data.edit_bones.new(name)
        bone.head, bone.tail = (index, 0, 0), (index, 0, 0.3)
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def _keys(frames: int) -> PoseKeys:
    """Smooth made-up motion: every bone swings about its own axis at about a step's pace."""
    generator = np.random.default_rng(0)
    axes = rotations.normalize(generator.normal(size=(len(JOINT_NAMES), 3)))
    phases = np.arange(frames)[:, None] * generator.uniform(0.05, 0.2, len(JOINT_NAMES))
    turns = rotations.from_axis_angle(axes, 0.6 * np.sin(phases))
    places = np.stack([np.sin(phases[:, 0]), np.cos(phases[:, 1]), phases[:, 2] / 10], axis=-1)
    return PoseKeys(JOINT_NAMES, turns, 30.0, {"pelvis": places})


def _insert_keys(armature: bpy.types.Object, keys: PoseKeys) -> None:
    """The obvious way: set a channel, insert a key, bone by bone and frame by frame."""
    for frame in range(keys.num_frames):
        for index, name in enumerate(keys.bone_names):
            bone = armature.pose.bones[name]
            bone.rotation_quaternion = keys.rotations[frame, index]
            bone.keyframe_insert("rotation_quaternion", frame=frame)
        for name, locations in keys.locations.items():
            bone = armature.pose.bones[name]
            bone.location = locations[frame]
            bone.keyframe_insert("location", frame=frame)


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and those the processor spent on it; they differ where other programs run."""

    wall: float
    cpu: float


def _cost(call: Callable[[], object], repeats: int) -> Cost:
    """Median of ``repeats``."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        bpy.data.batch_remove(list(bpy.data.actions))
    return Cost(statistics.median(walls), statistics.median(cpus))


def _longest_slice(steps: Iterable[object]) -> float:
    """Longest time between two yields in CPU seconds."""
    longest, started = 0.0, time.process_time()
    for _ in steps:
        longest = max(longest, time.process_time() - started)
        started = time.process_time()
    return longest


def _put(path: Path, section: str) -> None:
    """Puts this Blender's section into the page; those of other versions stay."""
    heading = section.partition("\n")[0]
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    _, *others = ("\n" + page).split("\n## ")
    kept = [f"## {other.strip()}\n" for other in others if f"## {other}".partition("\n")[0] != heading]
    path.parent.mkdir(parents=True, exist_ok=True)
    newest_first = sorted([*kept, section], reverse=True)
    path.write_text(_HEAD + "\n".join(newest_first), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=18000)
    parser.add_argument("--inserted-frames", type=int, default=1800, help="frames given to keyframe_insert")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else None)

    armature, keys = _armature(), _keys(arguments.frames)

    def written(tolerance: Reduction | None) -> Callable[[], object]:
        return lambda: write_action("Take", armature, keys, 1, tolerance=tolerance)

    every = _cost(written(None), arguments.repeats)
    reduced = _cost(written(Reduction()), arguments.repeats)
    remaining = list(write_action_steps("Take", armature, keys, 1, tolerance=Reduction()))[-1]
    slices = [
        _longest_slice(write_action_steps("Take", armature, keys, 1, tolerance=tolerance))
        for tolerance in (None, Reduction())
    ]
    # Scaled up evenly, which flatters keyframe_insert: each key takes longer the more there are.
    part, share = _keys(arguments.inserted_frames), arguments.frames / arguments.inserted_frames
    once = _cost(lambda: _insert_keys(armature, part), 1)
    inserted = Cost(once.wall * share, once.cpu * share)

    def row(what: str, cost: Cost, longest: float) -> str:
        return (
            f"| {what} | {cost.wall:.2f} | {cost.cpu:.2f} | {inserted.cpu / cost.cpu:.0f} x faster "
            f"| {1000 * longest:.0f} |\n"
        )

    text = (
        f"## Blender {bpy.app.version_string}\n\n"
        f"{arguments.frames:,} frames, {len(JOINT_NAMES)} bones (quaternions) and the pelvis' location; median of "
        f"{arguments.repeats} (keyframe_insert: {arguments.inserted_frames:,} frames once, scaled up), on {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {platform.system()}. The factor and the longest slice, for which a timer holds "
        "Blender up, are in CPU seconds.\n\n"
        "| what | seconds | CPU seconds | against keyframe_insert | longest slice, ms |\n"
        "|---|---:|---:|---:|---:|\n"
        + row("a key on every frame", every, slices[0])
        + row(f"keys reduced to {remaining.keys:,} of {remaining.full:,}", reduced, slices[1])
        + f"| keyframe_insert | {inserted.wall:.1f} | {inserted.cpu:.1f} | 1 | - |\n"
    )
    if arguments.output:
        _put(arguments.output, text)
    print(text, flush=True)
    os._exit(0)  # the bpy module may hang or crash at a normal exit


if __name__ == "__main__":
    main()
