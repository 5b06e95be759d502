"""Motion made by code, for tests of what a body does: each function returns a MotionClip at 30 fps."""

from __future__ import annotations

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_INDEX, NUM_JOINTS, REST_PELVIS_HEIGHT

FPS = 30.0
X, Y, Z = np.eye(3)
DOWN = np.pi / 2  # from level to hanging


def standing(frames: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Root [F, 3] and rotations [F, 22, 4] of a body that stands with the arms hanging."""
    root = np.tile([0.0, REST_PELVIS_HEIGHT, 0.0], (frames, 1))
    local = np.zeros((frames, NUM_JOINTS, 4))
    local[..., 0] = 1
    for side, sign in (("left", -1), ("right", 1)):
        local[:, JOINT_INDEX[f"{side}_shoulder"]] = rotations.from_axis_angle(
            Z, sign * DOWN * np.ones(frames)
        )
    return root, local


def clip(root, local) -> MotionClip:
    return MotionClip(root, local, FPS)


def turn_joint(local, joint: str, axis, angle) -> None:
    """Turns a joint by ``angle`` [F] about a world axis, before what it does already."""
    index = JOINT_INDEX[joint]
    local[:, index] = rotations.multiply(rotations.from_axis_angle(axis, angle), local[:, index])


def bump(frames: int) -> np.ndarray:
    """0 up to 1 and back to 0, [F]."""
    return np.sin(np.linspace(0, np.pi, frames)) ** 2


def raise_arm(side: str, degrees: float = 150, frames: int = 90) -> MotionClip:
    root, local = standing(frames)
    sign = 1 if side == "left" else -1
    turn_joint(local, f"{side}_shoulder", Z, sign * np.radians(degrees) * bump(frames))
    return clip(root, local)


def wave(side: str, frames: int = 120, hertz: float = 2.0) -> MotionClip:
    root, local = standing(frames)
    sign = 1 if side == "left" else -1
    up = np.clip(np.linspace(0, 6, frames), 0, 1) * np.clip(np.linspace(6, 0, frames), 0, 1)
    seconds = np.arange(frames) / FPS
    turn_joint(local, f"{side}_shoulder", Z, sign * np.radians(130) * up)
    turn_joint(local, f"{side}_elbow", Z, sign * up * (0.6 + 0.4 * np.sin(2 * np.pi * hertz * seconds)))
    return clip(root, local)


def punch(side: str, frames: int = 60) -> MotionClip:
    """The arm, level and to the side, is bent and goes out straight once, in 0.1 s."""
    root, local = standing(frames)
    sign = 1 if side == "left" else -1
    bent = np.ones(frames)
    bent[30:35] = [0.7, 0.3, 0.0, 0.4, 0.8]
    turn_joint(local, f"{side}_shoulder", Z, np.full(frames, sign * np.radians(90)))
    turn_joint(local, f"{side}_elbow", Z, sign * 2.5 * bent)
    return clip(root, local)


def lift_leg(side: str, degrees: float = 80, frames: int = 75) -> MotionClip:
    root, local = standing(frames)
    turn_joint(local, f"{side}_hip", X, -np.radians(degrees) * bump(frames))
    return clip(root, local)


def walk(
    speed: float = 1.2,
    turn: float = 0.0,
    sideways: float = 0.0,
    hertz: float = 0.9,
    flight: float = 0.0,
    frames: int = 120,
) -> MotionClip:
    """Legs that swing ``hertz`` times a second; ``turn`` degrees to the left over the clip; the feet get ``flight`` m off the floor between steps."""
    root, local = standing(frames)
    seconds = np.arange(frames) / FPS
    yaw = np.radians(turn) * np.linspace(0, 1, frames)
    forward = np.stack([np.sin(yaw), 0 * yaw, np.cos(yaw)], -1)
    left = np.stack([np.cos(yaw), 0 * yaw, -np.sin(yaw)], -1)
    root = root + np.cumsum(forward * speed + left * sideways, axis=0) / FPS
    local[:, 0] = rotations.from_yaw(yaw)
    swing = 0.45 * np.sin(2 * np.pi * hertz * seconds)
    turn_joint(local, "left_hip", X, swing)
    turn_joint(local, "right_hip", X, -swing)
    # The knee bends while the leg comes forward, or both feet would scrape the floor.
    for side, sign in (("left", 1), ("right", -1)):
        rate = -sign * np.cos(2 * np.pi * hertz * seconds)
        turn_joint(local, f"{side}_knee", X, 0.7 * np.maximum(0, rate))
    return on_floor(root, local, flight * np.maximum(0, 2 * np.abs(np.sin(2 * np.pi * hertz * seconds)) - 1))


def on_floor(root, local, height=0.0) -> MotionClip:
    """Moves the body up or down in every frame until its lower foot is ``height`` [F] over the floor."""
    positions = clip(root, local).joint_positions()
    ankle = positions[:, [JOINT_INDEX["left_ankle"], JOINT_INDEX["right_ankle"]], 1].min(-1) - 0.085
    ball = positions[:, [JOINT_INDEX["left_foot"], JOINT_INDEX["right_foot"]], 1].min(-1) - 0.02
    root[:, 1] += height - np.minimum(ankle, ball)
    return clip(root, local)


def crouch(depth: float = 100, frames: int = 75, spread: float = 0.0) -> MotionClip:
    """Hips and knees bend so that the feet stay under the body: a squat of ``depth`` degrees at the knee."""
    root, local = standing(frames)
    knee = np.radians(depth) * bump(frames)
    for side, sign in (("left", 1), ("right", -1)):
        turn_joint(local, f"{side}_knee", X, knee)
        turn_joint(local, f"{side}_hip", X, -knee / 2 + sign * spread)
        turn_joint(local, f"{side}_ankle", X, -knee / 2 - sign * spread)
    return on_floor(root, local)


def bow(degrees: float = 45, frames: int = 75) -> MotionClip:
    root, local = standing(frames)
    turn_joint(local, "spine1", X, np.radians(degrees) * bump(frames))
    return clip(root, local)


def bend_down(degrees: float = 110, frames: int = 75) -> MotionClip:
    """The trunk tips over the hips while the arms hang."""
    root, local = standing(frames)
    lean = np.radians(degrees) * bump(frames)
    turn_joint(local, "pelvis", X, lean)
    for joint in ("left_hip", "right_hip", "left_shoulder", "right_shoulder"):
        turn_joint(local, joint, X, -lean)
    return on_floor(root, local)


def sit(frames: int = 60) -> MotionClip:
    """Down onto a seat behind the feet, and it stays there."""
    root, local = standing(frames)
    level = np.pi / 2 * np.clip(np.linspace(0, 2, frames), 0, 1)
    for side in ("left", "right"):
        turn_joint(local, f"{side}_hip", X, -level)
        turn_joint(local, f"{side}_knee", X, level)
    return on_floor(root, local)


def throw(side: str, frames: int = 60) -> MotionClip:
    """The arm goes up before the body, and from over the head comes forward in 0.2 s."""
    root, local = standing(frames)
    degrees = np.interp(np.arange(frames), [0, 30, 36, frames - 1], [0, 190, 70, 0])
    turn_joint(local, f"{side}_shoulder", X, -np.radians(degrees))
    return clip(root, local)


def hop(height: float = 0.3, frames: int = 60) -> MotionClip:
    root, local = standing(frames)
    seconds = np.arange(frames) / FPS - 0.7
    rise = np.maximum(0, height - 9.81 / 2 * seconds**2)
    root[:, 1] += rise
    return clip(root, local)


def lie(frames: int = 60) -> MotionClip:
    root, local = standing(frames)
    fall = np.clip(np.linspace(0, 2, frames), 0, 1)
    local[:, 0] = rotations.from_axis_angle(X, -np.pi / 2 * fall)
    return on_floor(root, local, 0.03)


def still(frames: int = 60) -> MotionClip:
    return clip(*standing(frames))


def in_order(body: MotionClip, order) -> MotionClip:
    """The body's frames in another order."""
    return clip(body.root_positions[order], body.local_rotations[order])
