"""From the panel to keys: the session, its operators, and what may go wrong. The scene is compared before and after.

Most tests have a worker that answers at once with made-up motion (fake_workers.py); the last ones start the real one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from bl_ext.user_default.kmm import session
from bl_ext.user_default.kmm.jobs.worker_client import Timeouts, WorkerClient
from bl_ext.user_default.kmm.scene import request_builder, takes
from bl_ext.user_default.kmm.scene.action_writer import fcurves, push_to_nla
from bl_ext.user_default.kmm.scene.character import add_character
from bl_ext.user_default.kmm.scene.request_builder import build_plan
from bl_ext.user_default.kmm.scene.rig import read_rig
from bl_ext.user_default.kmm.scene.take_maker import Target
from bl_ext.user_default.kmm.ui.rig_report import rig_report
from fake_workers import GOOD, fake_worker
from scene_snapshot import differences, snapshot

from kmm_core.errors import KmmError
from kmm_core.skeleton import JOINT_NAMES

# Answers when the test says so, by making a file.
PATIENT = (
    """
message = receive()
while not os.path.exists({go!r}):
    time.sleep(0.01)
    if connection.closed: os._exit(0)
do(message)
"""
    + GOOD
)


@pytest.fixture
def character(fresh_scene) -> bpy.types.Object:
    """A character with two prompts from frame -10 to 50."""
    armature = add_character(bpy.context)
    settings = bpy.context.scene.kmm
    settings.armature = armature
    for text, start, end in (("a person walks forward", -10, 20), ("a person waves", 20, 50)):
        prompt = settings.prompts.add()
        prompt.text, prompt.start, prompt.end = text, start, end
    return armature


@pytest.fixture
def animated(character) -> bpy.types.Object:
    """The character with the animator's own Action, a driver and an NLA strip, and a pose that has no keys."""
    head = character.pose.bones["head"]
    for frame, turn in ((-10, 0.1), (20, 0.9)):
        head.rotation_quaternion = (1.0, turn, 0.0, 0.0)
        head.keyframe_insert("rotation_quaternion", frame=frame)
    character.driver_add("scale", 1).driver.expression = "0.5 + 0.5"
    push_to_nla(character, bpy.data.actions.new("Strip ü"), "Track")
    head.location.x = 0.1
    return character


@pytest.fixture
def worker(tmp_path):
    """Makes the session use a fake worker whose script is given."""
    current = session.get()

    def use(body: str, connected: bool = True, **timeouts) -> WorkerClient:
        current.python = Path(sys.executable)
        current.client = WorkerClient(
            current.python,
            tmp_path / "worker ü.log",
            timeouts=Timeouts(**timeouts),
            launcher=fake_worker(tmp_path, body, connected=connected),
        )
        return current.client

    yield use
    current.cancel()
    current.dismiss()
    if current.client is not None:
        current.client.close()
    current.client = current.python = None


def wait_until(condition, seconds: float = 30.0) -> None:
    """Ticks the session, as Blender's timer would, until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        session.get().tick()
        time.sleep(0.01)


def generate(seconds: float = 60.0) -> None:
    assert bpy.ops.kmm.generate() == {"FINISHED"}
    session.get().wait(seconds)


# --- one generation ---------------------------------------------------------------------------------


def test_generate_shows_takes_and_reject_leaves_no_trace(animated, worker):
    worker(GOOD)
    before, scene = snapshot(), bpy.context.scene
    generate()
    assert [take.seed for take in scene.kmm.takes] == [1, 1] and takes.shown(scene) == 0
    action = scene.kmm.takes[0].action
    assert tuple(action.frame_range) == (-10.0, 49.0)
    assert takes.summary(action)["prompts"] == [
        ["a person walks forward", -10, 20],
        ["a person waves", 20, 50],
    ]
    status = session.get().status
    assert not status.busy and status.error is None
    assert bpy.ops.kmm.show_take(index=1) == {"FINISHED"} and takes.shown(scene) == 1
    assert bpy.ops.kmm.reject_takes() == {"FINISHED"}
    assert not differences(before, snapshot())


def test_nothing_changes_before_the_takes_are_there(character, worker, tmp_path):
    go = tmp_path / "go"
    worker(PATIENT.format(go=str(go)))
    before = snapshot()
    bpy.ops.kmm.generate()
    wait_until(lambda: session.get().status.text.startswith("Loading"))
    assert not differences(before, snapshot())
    assert not bpy.ops.kmm.generate.poll() and bpy.ops.kmm.cancel.poll()
    with pytest.raises(KmmError, match="A generation is under way"):
        session.get().start(build_plan(bpy.context))
    go.touch()
    wait_until(lambda: not session.get().busy)
    assert takes.waiting(bpy.context.scene)


def test_generating_is_one_undo_step(character, worker):
    worker(GOOD)
    bpy.ops.ed.undo_push(message="before")
    generate()
    assert takes.shown(bpy.context.scene) == 0
    bpy.ops.ed.undo()
    assert not takes.waiting(bpy.context.scene) and not bpy.data.actions
    assert bpy.context.scene.kmm.armature.animation_data is None
    bpy.ops.ed.redo()
    assert takes.shown(bpy.context.scene) == 0 and len(bpy.data.actions) == 2


@pytest.mark.parametrize(("fps", "base"), [(24, 1.001), (120, 1.0)])
def test_scene_frame_rate_is_the_truth(character, worker, fps, base):
    client = worker(GOOD)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps, base
    asked = []
    generate_request = client.generate
    client.generate = lambda request: asked.append(request) or generate_request(request)
    generate()
    assert asked[0].timeline.fps == pytest.approx(fps / base) and asked[0].timeline.num_frames == 60
    keys = fcurves(scene.kmm.takes[0].action, character)[0].keyframe_points
    assert [key.co.x for key in keys] == list(range(-10, 50))
    assert (scene.render.fps, scene.render.fps_base) == (fps, pytest.approx(base))


def test_start_from_pose_begins_with_that_pose(character, worker):
    worker(GOOD)
    scene = bpy.context.scene
    scene.kmm.start_from = "POSE"
    character.location = (2.0, 1.0, 0.0)
    character.rotation_euler.z = 1.0
    character.pose.bones["left_shoulder"].rotation_quaternion = (0.9, 0.3, 0.2, 0.1)
    character.pose.bones["pelvis"].location = (0.1, -0.05, 0.1)
    character.pose.bones["head"].location = (0.0, 0.02, 0.0)
    scene.frame_set(-10)
    expected = joint_positions(character)
    plan = build_plan(bpy.context)
    assert (
        plan.request.keep_frames.sum() == plan.lead + 1 and plan.request.timeline.num_frames == 60 + plan.lead
    )
    # A fake worker keeps nothing, so its part is played here.
    made = plan.request.keep_clip.resample(plan.request.timeline.fps, 60 + plan.lead)
    task = plan.records([made])
    maker = session.TakeMaker(plan.target, task)
    while not maker.step():
        pass
    scene.frame_set(-10)
    moved = np.linalg.norm(joint_positions(character) - expected, axis=1)
    assert moved.max() < 1e-3, dict(zip(JOINT_NAMES, moved))
    assert [record.sample for record in plan.records([made, made])] == [1, 2]


def joint_positions(character) -> np.ndarray:
    """World positions of the joints that the hierarchy places (locations of single bones but the pelvis are not ours)."""
    bpy.context.view_layer.update()
    names = [name for name in JOINT_NAMES if name != "head"]
    return np.array([character.matrix_world @ character.pose.bones[name].head for name in names])


@pytest.mark.parametrize("stretched", [1, 2])
def test_start_from_pose_reads_the_first_frame_and_comes_back(character, stretched):
    scene = bpy.context.scene
    scene.kmm.start_from = "POSE"
    # Takes are keyed at the prompts' frames, so it is there that they go on, also where the scene stretches time.
    scene.render.frame_map_new = 100 * stretched
    for frame, height in ((-10, 0.5), (30, 1.5)):
        character.location.z = height
        character.keyframe_insert("location", frame=frame)
    scene.frame_set(30, subframe=0.5)
    character.pose.bones["head"].location.x = 0.25  # not keyed
    before = snapshot()
    plan = build_plan(bpy.context)
    assert not differences(before, snapshot())
    assert plan.from_pose and np.allclose(np.diff(plan.request.keep_clip.root_positions, axis=0), 0)
    first = plan.request.keep_clip.root_positions[0]
    for frame in (-10, -20, 0):
        scene.frame_set(frame)
        again = build_plan(bpy.context)
        assert np.allclose(first, again.request.keep_clip.root_positions[0])
        assert plan.floor == pytest.approx(0.5) == again.floor


@pytest.mark.parametrize(("object_at", "pelvis_at"), [(0.0, 1.0), (1.0, -1.0), (0.0, -0.5)])
def test_start_from_pose_goes_on_at_the_height_of_the_character(character, object_at, pelvis_at):
    """On a platform by its keys, or made for the world's floor on an object that stands elsewhere."""
    scene = bpy.context.scene
    scene.kmm.start_from = "POSE"
    character.location.z = object_at
    character.pose.bones["pelvis"].location.y = pelvis_at
    bpy.context.view_layer.update()
    plan = build_plan(bpy.context)
    assert plan.floor == pytest.approx(object_at + pelvis_at, abs=0.02)
    assert plan.request.keep_clip.joint_positions()[0, :, 1].min() == pytest.approx(0.0, abs=0.1)
    assert "higher or lower than its object's floor" in plan.note


def test_start_from_pose_of_who_stands_on_the_objects_floor_has_no_note(character):
    bpy.context.scene.kmm.start_from = "POSE"
    character.location.z = 1.0
    bpy.context.view_layer.update()
    plan = build_plan(bpy.context)
    assert plan.floor == pytest.approx(1.0) and plan.note == ""


def test_an_armature_that_a_script_just_made_can_be_animated(character):
    made = bpy.data.objects.new("Made", character.data)
    bpy.context.scene.collection.objects.link(made)
    bpy.context.scene.kmm.armature = made
    assert made.pose is None
    assert build_plan(bpy.context).target.armature.name == "Made"


def test_an_armature_that_was_never_shown_says_so(character):
    away = bpy.data.collections.new("Away")
    bpy.context.scene.collection.children.link(away)
    bpy.context.view_layer.layer_collection.children["Away"].exclude = True
    made = bpy.data.objects.new("Made", character.data)
    away.objects.link(made)
    bpy.context.view_layer.update()
    with pytest.raises(
        KmmError, match="'Made' has not been shown.*a collection that is switched on"
    ) as caught:
        read_rig(made)
    assert caught.value.code == "never_shown" == rig_report(made).error.code
    bpy.context.scene.kmm.armature = made
    bpy.context.view_layer.layer_collection.children["Away"].exclude = False
    assert build_plan(bpy.context).target.armature.name == "Made"


@pytest.mark.parametrize("mesh", [True, False])
@pytest.mark.parametrize("frame", [-10, 30])
def test_start_from_pose_of_a_hidden_armature(character, frame, mesh):
    """Switched off in viewports, as rigs often are; Blender leaves it where it was when it was last seen."""
    scene = bpy.context.scene
    scene.kmm.start_from = "POSE"
    for key, x in ((-10, 0.0), (30, 10.0)):
        character.location.x = x
        character.keyframe_insert("location", frame=key)
    scene.frame_set(30)
    character.hide_viewport = True
    if not mesh:
        bpy.data.objects.remove(character.children[0])
    scene.frame_set(frame)
    before = snapshot()
    plan = build_plan(bpy.context)
    assert np.allclose(plan.request.keep_clip.root_positions[0, [0, 2]], 0, atol=0.05)
    assert not differences(before, snapshot())


def test_start_from_pose_leaves_what_others_have_without_keys(fresh_scene, character):
    """Going to the first frame and back would put every other animated object back on its keys."""
    scene = bpy.context.scene
    scene.kmm.start_from = "POSE"
    prop = bpy.data.objects.new("Prop", None)
    scene.collection.objects.link(prop)
    character.parent = prop  # even one that the pose depends on
    for frame, x in ((-10, 0.0), (50, 60.0)):
        prop.location.x = x
        prop.keyframe_insert("location", frame=frame)
    scene.frame_set(20)
    prop.location = (7.0, 8.0, 9.0)
    before = snapshot()
    plan = build_plan(bpy.context)
    assert prop.location[:] == (7.0, 8.0, 9.0) and not differences(before, snapshot())
    assert [scene.name for scene in bpy.data.scenes] == ["Scene"]
    # In the first frame the prop is at its first key.
    assert np.allclose(plan.request.keep_clip.root_positions[0, [0, 2]], 0, atol=0.05)
    assert plan.floor == pytest.approx(0)


def test_regenerate_says_that_edited_keys_are_not_in_the_new_takes(character, worker):
    worker(GOOD)
    generate()
    bpy.ops.kmm.accept_take()
    assert build_plan(bpy.context, block=1).note == ""
    action = character.animation_data.action
    fcurves(action, character)[0].keyframe_points[3].co.y += 0.1
    bpy.context.scene.kmm.active_prompt = 1
    bpy.ops.kmm.regenerate_block()
    session.get().wait(60)
    assert f"Keys of {action.name} were changed by hand" in session.get().status.note


def test_guidance_is_the_models_own_until_it_is_set(character):
    settings = bpy.context.scene.kmm
    settings.guidance = 3.5
    assert build_plan(bpy.context).request.guidance_scale is None
    settings.set_guidance = True
    assert build_plan(bpy.context).request.guidance_scale == 3.5


def test_regenerate_pins_the_other_prompts(character, worker):
    worker(GOOD)
    scene = bpy.context.scene
    generate()
    scene.kmm.active_prompt = 1
    plan = build_plan(bpy.context, block=1)
    assert plan.request.keep_frames.tolist() == [True] * 30 + [False] * 30
    assert bpy.ops.kmm.regenerate_block() == {"FINISHED"}
    session.get().wait(60)
    assert takes.shown(scene) == 2 and len(scene.kmm.takes) == 4
    seed = scene.kmm.takes[2].seed
    assert seed != scene.kmm.seed
    bpy.ops.kmm.accept_take()
    assert takes.summary(character.animation_data.action)["seed"] == seed
    assert build_plan(bpy.context, block=0).request.keep_frames.tolist() == [False] * 30 + [True] * 30


def test_regenerate_says_what_is_missing(character, worker):
    scene = bpy.context.scene
    with pytest.raises(KmmError, match="plays no Action that KMM made"):
        build_plan(bpy.context, block=0)
    worker(GOOD)
    generate()
    with pytest.raises(KmmError, match="No prompt that is switched on is selected"):
        build_plan(bpy.context, block=7)
    scene.render.fps = 25
    with pytest.raises(KmmError, match="generated at 24 frames a second; the scene has 25"):
        build_plan(bpy.context, block=0)
    scene.render.fps = 24
    scene.kmm.prompts.remove(1)
    scene.kmm.prompts[0].end = 50
    with pytest.raises(KmmError, match="no frames outside the prompt"):
        build_plan(bpy.context, block=0)
    bpy.ops.kmm.delete_history(index=-1)
    with pytest.raises(KmmError, match="no longer in this scene's history"):
        build_plan(bpy.context, block=0)


def test_a_prompt_put_before_the_pose_begins_with_no_pose(character, worker):
    """The animator's pose is then somewhere inside: the new first frame is neither pinned nor marked as theirs."""
    worker(GOOD)
    scene = bpy.context.scene
    scene.kmm.start_from = "POSE"
    generate()
    plan = build_plan(bpy.context, block=0)
    assert plan.from_pose and plan.request.keep_frames[:2].tolist() == [True, False]
    prompt = scene.kmm.prompts.add()
    prompt.text, prompt.start, prompt.end = "a person sits", -40, -10
    plan = build_plan(bpy.context, block=2)
    assert plan.first_frame == -40 and not plan.from_pose and plan.request.keep_frames.sum() == 60
    scene.kmm.active_prompt = 2
    bpy.ops.kmm.regenerate_block()
    session.get().wait(60)
    (mark,) = {curve.keyframe_points[0].type for curve in fcurves(character.animation_data.action, character)}
    assert mark != "KEYFRAME"
    assert not build_plan(bpy.context, block=2).request.keep_frames[0]


def test_start_from_pose_needs_two_frames(character):
    scene = bpy.context.scene
    scene.kmm.start_from = "POSE"
    scene.kmm.prompts.remove(1)
    scene.kmm.prompts[0].end = -9
    with pytest.raises(KmmError, match="expected at least 2 frames"):
        build_plan(bpy.context)


def test_history_restores(character, worker):
    worker(GOOD)
    scene = bpy.context.scene
    generate()
    bpy.ops.kmm.reject_takes()
    assert len(scene.kmm_history.entries) == 2
    assert bpy.ops.kmm.restore_take(index=1) == {"FINISHED"}
    session.get().wait(30)
    assert takes.shown(scene) == 0 and len(scene.kmm_history.entries) == 2
    with pytest.raises(RuntimeError, match="The history has 2 takes; number 10"):
        bpy.ops.kmm.restore_take(index=9)


def test_new_seed(character):
    seeds = set()
    for _ in range(3):
        bpy.ops.kmm.new_seed()
        seeds.add(bpy.context.scene.kmm.seed)
    assert len(seeds) > 1


# --- a worker that fails ----------------------------------------------------------------------------

FAILURES = {
    "killed while loading": ("receive(); os.kill(os.getpid(), signal.SIGKILL)", True, {}, "SIGKILL"),
    "killed while generating": (
        "r = receive(); send(READY, Progress(r.job, 'tokens', 1, 5, 3.0)); os.kill(os.getpid(), signal.SIGKILL)",
        True,
        {},
        "SIGKILL",
    ),
    "killed while sending": (
        "r = receive(); send(READY, *clip_parts(r.job, 0, clip(r))); os.kill(os.getpid(), signal.SIGKILL)",
        True,
        {},
        "SIGKILL",
    ),
    "never answers": ("time.sleep(600)", False, {"hello": 0.3}, ""),
    "silent with a job": ("receive(); time.sleep(600)", True, {"load": 0.3}, ""),
    "answers garbage": (
        "connect()._socket.sendall(b'HTTP/1.1 200 OK' * 100); time.sleep(600)",
        False,
        {"hello": 2},
        "",
    ),
    "speaks another version": (
        "connection = connect(); hello(connection, protocol=99); time.sleep(600)",
        False,
        {"hello": 5},
        "",
    ),
    "prints to stdout and fails": ("print('no torch here' * 5, flush=True); sys.exit(3)", False, {}, ""),
    "sends motion that is none": ("r = receive(); do(r, height=float('nan'))", True, {}, ""),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_worker_that_fails_leaves_the_scene_and_a_message(case, animated, worker):
    body, connected, timeouts, words = FAILURES[case]
    worker(body, connected, **timeouts)
    before = snapshot()
    bpy.ops.kmm.generate()
    with pytest.raises(KmmError) as caught:
        session.get().wait(60)
    assert words in str(caught.value) and caught.value.hint
    status = session.get().status
    assert not status.busy and status.error is caught.value
    assert not differences(before, snapshot())
    assert bpy.ops.kmm.generate.poll(), "the button must not stay grey"
    bpy.ops.kmm.dismiss_error()
    assert session.get().status.error is None


def test_a_note_can_be_dismissed():
    session.get()._note = "The CPU was used."
    bpy.ops.kmm.dismiss_error()
    assert session.get().status.note == ""


def test_waiting_has_an_end(character, worker):
    worker("receive(); send(READY)\nwhile True: time.sleep(0.1); send(Alive())")
    bpy.ops.kmm.generate()
    with pytest.raises(KmmError, match="not finished after 1 s") as caught:
        session.get().wait(1)
    assert caught.value.code == "timeout" and not session.get().status.busy


def test_generate_again_after_a_crash(character, worker, tmp_path):
    crashed = tmp_path / "crashed"
    worker(f"""
        r = receive()
        if not os.path.exists({str(crashed)!r}):
            open({str(crashed)!r}, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        do(r)
        """)
    bpy.ops.kmm.generate()
    with pytest.raises(KmmError):
        session.get().wait(60)
    generate()
    assert takes.waiting(bpy.context.scene)


def test_no_backend_is_said_at_once(character, monkeypatch):
    monkeypatch.delenv("KMM_PYTHON", raising=False)
    with pytest.raises(RuntimeError, match="KMM has no backend yet"):
        bpy.ops.kmm.generate()
    monkeypatch.setenv("KMM_PYTHON", "/nowhere/python ü")
    with pytest.raises(RuntimeError, match="names /nowhere/python ü"):
        bpy.ops.kmm.generate()
    assert not session.get().busy


# --- cancel -----------------------------------------------------------------------------------------

STAGES = {
    "starting": lambda: session.get().status.text.startswith("Starting"),
    "loading": lambda: session.get().status.text.startswith("Loading"),
    "generating": lambda: session.get().status.text == "Generating, 2 of 5, 3 s left",
    "receiving": lambda: session.get().status.text.startswith("Receiving"),
    "writing": lambda: session.get().status.text.startswith("Writing"),
}


# The first job stays where the test wants to see it until it is cancelled; the others are done.
STUCK = """
message = receive()
if {stage!r} == "generating":
    send(READY, Progress(message.job, "tokens", 2, 5, 3.0))
if {stage!r} == "receiving":
    send(READY, next(clip_parts(message.job, 0, clip(message))))
if {stage!r} in ("generating", "receiving"):
    assert isinstance(receive(), Cancel)
    send(Failure(message.job, "cancelled", "It was cancelled.", ""))
else:
    do(message)
"""


@pytest.mark.parametrize("stage", STAGES)
def test_cancel_and_generate_again_at_once(stage, animated, worker):
    # Writing is over too quickly to be seen by a timer, so it gets more to do.
    client = worker(STUCK.format(stage=stage) + GOOD)
    scene = bpy.context.scene
    for prompt in scene.kmm.prompts:
        prompt.end += 2000 if prompt.start == 20 else 0
    before = snapshot()
    bpy.ops.kmm.generate()
    wait_until(STAGES[stage])
    assert bpy.ops.kmm.cancel() == {"FINISHED"}
    assert not session.get().busy
    assert not differences(before, snapshot())
    generate()
    assert takes.shown(scene) == 0 and len(scene.kmm.takes) == 2 and client.state == "ready"


# --- the scene changes meanwhile --------------------------------------------------------------------


@pytest.fixture
def under_way(character, worker, tmp_path):
    """A generation under way; calling it lets the worker answer and waits for what follows."""
    go = tmp_path / "go"
    worker(PATIENT.format(go=str(go)))
    bpy.ops.ed.undo_push(message="one")
    bpy.context.scene.kmm.seed = 5
    bpy.ops.ed.undo_push(message="two")
    bpy.ops.kmm.generate()
    wait_until(lambda: session.get().status.text.startswith("Loading"))

    def go_on() -> None:
        go.touch()
        session.get().wait(60)

    return go_on


def test_undo_and_redo_during_a_generation(under_way):
    bpy.ops.ed.undo()
    assert bpy.context.scene.kmm.seed == 1
    bpy.ops.ed.redo()
    bpy.ops.ed.undo()
    under_way()
    scene = bpy.context.scene
    assert takes.shown(scene) == 0 and scene.kmm.takes[0].seed == 5 and scene.kmm.seed == 1
    before_undo = len(bpy.data.actions)
    bpy.ops.ed.undo()
    assert not takes.waiting(bpy.context.scene) and before_undo == 2 and not bpy.data.actions


def test_undo_while_keys_are_written(under_way, tmp_path):
    (tmp_path / "go").touch()
    wait_until(lambda: session.get().status.text.startswith("Writing"))
    bpy.ops.ed.undo()
    session.get().wait(60)
    assert takes.shown(bpy.context.scene) == 0 and len(bpy.data.actions) == 2


def test_undo_of_the_character(fresh_scene, worker, tmp_path):
    """The armature is undone away: the generation ends with a sentence."""
    bpy.ops.ed.undo_push(message="empty")
    armature = add_character(bpy.context)
    scene = bpy.context.scene
    scene.kmm.armature = armature
    prompt = scene.kmm.prompts.add()
    prompt.text, prompt.start, prompt.end = "a person walks", 1, 40
    bpy.ops.ed.undo_push(message="character")
    go = tmp_path / "go"
    worker(PATIENT.format(go=str(go)))
    bpy.ops.kmm.generate()
    bpy.ops.ed.undo()
    with pytest.raises(KmmError, match="armature KMM Character was deleted"):
        session.get().wait(60)
    assert not bpy.data.actions and not bpy.data.objects


def test_deleted_armature(under_way):
    bpy.ops.object.delete()
    with pytest.raises(KmmError, match="was deleted while its motion was generated"):
        session.get().wait(60)
    assert not bpy.data.actions
    assert not bpy.ops.kmm.generate.poll()


def test_renamed_armature_and_scene(under_way):
    armature = bpy.context.scene.kmm.armature
    armature.name, bpy.context.scene.name = "Umbenannt ü 動", "Szene ß"
    under_way()
    assert armature.animation_data.action == bpy.context.scene.kmm.takes[0].action


def test_deleted_bone(under_way):
    armature = bpy.context.scene.kmm.armature
    bpy.ops.object.mode_set(mode="EDIT")
    armature.data.edit_bones.remove(armature.data.edit_bones["left_knee"])
    bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(KmmError) as caught:
        under_way()
    assert caught.value.hint and not bpy.data.actions


@pytest.mark.parametrize("whose", ["its own", "another's that shares the bones"])
def test_edit_mode_is_waited_for(under_way, tmp_path, character, whose):
    if whose != "its own":
        twin = character.copy()
        bpy.context.scene.collection.objects.link(twin)
        bpy.context.view_layer.objects.active = twin
    bpy.ops.object.mode_set(mode="EDIT")
    character.data.edit_bones["head"].name = "Head"
    (tmp_path / "go").touch()
    wait_until(lambda: session.get().status.text == "Waiting until you leave Edit Mode")
    for _ in range(5):
        session.get().tick()
    assert session.get().busy and not bpy.data.actions
    bpy.ops.object.mode_set(mode="OBJECT")
    session.get().wait(30)
    assert takes.shown(bpy.context.scene) == 0


def test_tweak_mode_is_waited_for(under_way, tmp_path, character):
    strip = push_to_nla(character, bpy.data.actions.new("Strip ü"), "Track")
    data = character.animation_data
    data.nla_tracks.active, data.nla_tracks[0].select, strip.select = data.nla_tracks[0], True, True
    data.use_tweak_mode = True
    if not data.use_tweak_mode:
        pytest.skip("tweak mode needs the NLA editor here")
    (tmp_path / "go").touch()
    wait_until(lambda: session.get().status.text == "Waiting until you leave the NLA editor's tweak mode")
    for _ in range(5):
        session.get().tick()
    assert session.get().busy and not takes.waiting(bpy.context.scene)
    data.use_tweak_mode = False
    session.get().wait(30)
    assert takes.shown(bpy.context.scene) == 0


class AddOnPaints(bpy.types.Operator):
    bl_idname, bl_label, bl_options = "other.paints", "Paints", {"REGISTER", "UNDO"}


class AddOnShowsKeys(bpy.types.Operator):
    bl_idname, bl_label = "other.shows_keys", "Shows Keys"


@pytest.mark.parametrize(
    ("operator", "waits"),
    [
        ("TRANSFORM_OT_translate", True),
        ("GRAPH_OT_blend_to_neighbor", True),  # with a new Action, 5.2 crashed
        ("SCULPT_OT_brush_stroke", True),  # with an undo step, 5.2 crashed
        ("PAINT_OT_image_paint", True),
        ("KMM_OT_drag_prompt", True),
        ("OTHER_OT_paints", True),
        ("OTHER_OT_shows_keys", False),  # runs as long as Blender does
        ("RENDER_OT_render", False),  # its job is waited for, and it may be listed long after that
    ],
)
def test_a_hand_on_the_scene_is_waited_for(character, monkeypatch, operator, waits):
    target = Target.of(bpy.context.scene, character)
    running = SimpleNamespace(bl_idname=operator, name="That")
    # Without a window none runs; the empty one is there because there may be several.
    windows = [SimpleNamespace(modal_operators=[]), SimpleNamespace(modal_operators=[running])]
    context = SimpleNamespace(window_manager=SimpleNamespace(windows=windows))
    blender = SimpleNamespace(app=bpy.app, data=bpy.data, types=bpy.types, context=context)
    monkeypatch.setattr(session, "bpy", blender)
    for add_on in (AddOnPaints, AddOnShowsKeys):
        bpy.utils.register_class(add_on)
    try:
        assert session._waits_for(target) == ("Waiting until That ends" if waits else "")
        windows.pop()
        assert session._waits_for(target) == ""
    finally:
        for add_on in (AddOnPaints, AddOnShowsKeys):
            bpy.utils.unregister_class(add_on)


def test_another_file_is_loaded(under_way, tmp_path):
    path = str(tmp_path / "other ü.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert not session.get().busy
    before = snapshot()
    (tmp_path / "go").touch()
    wait_until(lambda: session.get().client.state == "ready")
    assert not differences(before, snapshot()) and not takes.waiting(bpy.context.scene)
    generate()
    assert takes.waiting(bpy.context.scene)


def test_two_scenes(under_way):
    first = bpy.context.scene
    second = bpy.data.scenes.new("Second")
    # Not window.scene: setting that now and then crashes the module of 4.2, which has no window.
    with bpy.context.temp_override(scene=second):
        under_way()
    assert takes.shown(first) == 0 and not takes.waiting(second)


def test_deleted_scene(under_way):
    first = bpy.context.scene
    second = bpy.data.scenes.new("Second")
    second.collection.objects.link(first.kmm.armature)
    bpy.data.scenes.remove(first)
    with pytest.raises(KmmError, match="The scene Scene was deleted"):
        session.get().wait(60)


def test_closing_the_add_on_ends_the_worker(under_way):
    pid = session.get().client.pid
    session.get().close()
    assert not bpy.app.timers.is_registered(session.get()._timer)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("the worker is still there")


# --- armatures that can't be animated ---------------------------------------------------------------


@pytest.fixture
def library(fresh_scene, tmp_path) -> str:
    """A file with the character in a collection."""
    add_character(bpy.context, "Linked")
    collection = bpy.data.collections.new("Crowd")
    for item in list(bpy.context.scene.collection.all_objects):
        collection.objects.link(item)
    bpy.context.scene.collection.children.link(collection)
    path = str(tmp_path / "library ü.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (_, into):
        into.collections = ["Crowd"]
    bpy.context.scene.collection.children.link(bpy.data.collections["Crowd"])
    prompt = bpy.context.scene.kmm.prompts.add()
    prompt.text, prompt.start, prompt.end = "a person walks", 1, 30
    return path


@pytest.fixture
def small_render(fresh_scene) -> None:
    """One sample of eight pixels, which needs no graphics."""
    render = fresh_scene.render
    render.engine, render.resolution_x, render.resolution_y = "CYCLES", 8, 8
    fresh_scene.cycles.samples, fresh_scene.cycles.use_denoising = 1, False
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    fresh_scene.collection.objects.link(camera)
    fresh_scene.camera = camera


@pytest.mark.parametrize("release", [True, False])
def test_memory_is_given_back_before_a_render_if_asked(small_render, character, worker, release):
    chosen = bpy.context.preferences.addons[session.__package__].preferences
    client = worker(GOOD)
    generate()
    assert client.state == "ready"
    chosen.release_before_render = release
    try:
        bpy.ops.render.render()
    finally:
        chosen.property_unset("release_before_render")
    assert client.state == ("stopped" if release else "ready")


def test_a_worker_that_waits_hears_of_a_new_time_to_wait(character, worker):
    """Not only with the next generation, for which the model would be loaded again."""
    chosen = bpy.context.preferences.addons[session.__package__].preferences
    client = worker(GOOD)
    generate()
    try:
        for minutes, seconds in ((1, 60.0), (0, None)):
            chosen.idle_minutes = minutes
            session.get().tick()
            assert client.idle_seconds == seconds
    finally:
        chosen.property_unset("idle_minutes")


def test_a_render_does_not_take_the_worker_from_a_generation(small_render, under_way):
    bpy.ops.render.render()
    assert session.get().busy
    under_way()
    assert takes.shown(bpy.context.scene) == 0


def test_linked_armature(library):
    armature = bpy.data.objects["Linked"]
    assert armature.library
    bpy.context.scene.kmm.armature = armature
    assert not bpy.ops.kmm.generate.poll()
    with pytest.raises(KmmError, match="is linked from"):
        build_plan(bpy.context)


@pytest.mark.parametrize("overridden", [False, True])
def test_the_file_of_a_linked_armature_is_missing(library, tmp_path, overridden):
    """Blender leaves an Empty in its place, or an armature without bones; panels must be drawn all the same."""
    scene, armature = bpy.context.scene, bpy.data.objects["Linked"]
    if overridden:
        override = bpy.data.collections["Crowd"].override_hierarchy_create(
            scene, bpy.context.view_layer, do_fully_editable=True
        )
        armature = next(item for item in override.all_objects if item.type == "ARMATURE")
    scene.kmm.armature = armature
    path = str(tmp_path / "shot.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    Path(library).unlink()
    with contextlib.suppress(RuntimeError):  # Blender 4.2 and 5 tell of it in their own ways
        bpy.ops.wm.open_mainfile(filepath=path)
    error = rig_report(bpy.context.scene.kmm.armature).error
    assert error.code == "missing_library" and "library ü.blend" in error.message and error.hint


def test_overridden_armature(library, worker, tmp_path):
    """An override that the user may edit can be animated, and survives saving; Reject leaves it as it was."""
    scene = bpy.context.scene
    override = bpy.data.collections["Crowd"].override_hierarchy_create(
        scene, bpy.context.view_layer, do_fully_editable=True
    )
    armature = next(item for item in override.all_objects if item.type == "ARMATURE")
    assert armature.override_library and not armature.library
    scene.kmm.armature = armature
    worker(GOOD)
    before = snapshot()
    generate()
    assert takes.shown(scene) == 0
    path = str(tmp_path / "override.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    scene = bpy.context.scene
    assert takes.shown(scene) == 0
    takes.reject(scene)
    changed = differences(before, snapshot())
    # Blender itself notes in an override what was once animated.
    assert not [path for path in changed if ".override_library" not in path], changed


def test_armature_without_people_in_it(fresh_scene):
    data = bpy.data.armatures.new("Tail")
    armature = bpy.data.objects.new("Tail", data)
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for number in range(4):
        bone = data.edit_bones.new(f"tail{number}")
        bone.head, bone.tail = (0, 0, number), (0, 0, number + 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    settings = bpy.context.scene.kmm
    settings.armature = armature
    prompt = settings.prompts.add()
    prompt.text, prompt.start, prompt.end = "a person walks", 1, 30
    before = snapshot()
    with pytest.raises(RuntimeError, match="Tail"):
        bpy.ops.kmm.generate()
    assert not differences(before, snapshot())


def test_grey_buttons(fresh_scene):
    assert not bpy.ops.kmm.generate.poll()
    assert not bpy.ops.kmm.cancel.poll()
    assert not bpy.ops.kmm.accept_take.poll()
    assert not bpy.ops.kmm.restore_take.poll()
    armature = add_character(bpy.context)
    bpy.context.scene.kmm.armature = armature
    assert not bpy.ops.kmm.generate.poll()
    prompt = bpy.context.scene.kmm.prompts.add()
    assert bpy.ops.kmm.generate.poll()
    prompt.enabled = False
    assert not bpy.ops.kmm.generate.poll()


# --- the real worker --------------------------------------------------------------------------------


def test_real_worker(character, worker_python):
    """The starter model: from the panel to an accepted Action, and a block regenerated with the rest pinned exactly."""
    current, scene = session.get(), bpy.context.scene
    current.python = worker_python
    seen = []
    try:
        scene.kmm.num_takes = 1
        bpy.ops.kmm.generate()
        current.wait(400, lambda status: seen.append(status.text))
        assert any(text.startswith("Loading") for text in seen)
        first = request_builder._take_to_change(scene, character)
        assert first.clip.num_frames == 60
        bpy.ops.kmm.accept_take()
        scene.kmm.active_prompt = 1
        scene.kmm.prompts[1].text = "a person dances"  # a wave of one second may come out the same twice
        bpy.ops.kmm.regenerate_block()
        current.wait(400)
        second = request_builder._take_to_change(scene, character)
        assert np.array_equal(second.clip.local_rotations[:30], first.clip.local_rotations[:30])
        assert not np.allclose(second.clip.local_rotations[40:], first.clip.local_rotations[40:])
        worst = 0.0
        for frame in range(0, 60, 7):
            scene.frame_set(-10 + frame)
            heads = [character.matrix_world @ character.pose.bones[name].head for name in JOINT_NAMES]
            x, y, z = second.clip.joint_positions()[frame].T
            worst = max(worst, np.abs(np.array(heads) - np.stack([x, -z, y], axis=1)).max())
        assert worst < 1e-3
        os.kill(current.client.pid, signal.SIGKILL)
        wait_until(lambda: current.client.state == "failed")  # the timer looks twice a second
        bpy.ops.kmm.reject_takes()
        bpy.ops.kmm.generate()
        current.wait(400)
        assert takes.waiting(scene)
    finally:
        current.restart()
        current.client = current.python = None
