"""What all clips made out of recorded ones share: names, captions that stay true, numbers of their own (ours).

Shapes: F frames, D features.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..clip import MotionClip
from ..motion import representation_263, representation_272
from ..motion.representation import Representation
from ..skeleton import ARM_JOINTS
from .compositions import Features
from .motion_data import FeatureClip, clip_features

# Said of a pace that a slower or a quicker clip no longer has.
FAST = re.compile(r"\b(quick|fast|rapid|swift|sudden|brisk|sharp|hard)\w*")
SLOW = re.compile(r"\b(slow|gentl|calm|leisure|careful)\w*")

# Columns of the joints' positions (metres) and velocities (metres a frame), in the heading's frame.
POSE_AND_MOTION = {
    "272": (representation_272.POSITIONS, representation_272.VELOCITIES),
    "263": (representation_263.POSITIONS, representation_263.VELOCITIES),
}
JOINT_SECONDS = 0.2  # of the fade: a run's cycle lasts 0.7 s, so a longer one would blur its steps
LARGEST_JUMP = (
    1.5  # at a joint, in the clip's own changes from frame to frame: from 2 on, joints jerk visibly more
)
SMALL_JUMP = 0.1  # over all joints, metres: 2 cm each. Who stands changes less than that from frame to frame.


def comparable(features: Features, form: Representation) -> Features:
    """Positions, and how far they move in 0.1 s: [F, ...] metres. A run passes each pose twice, up and down."""
    positions, velocities = POSE_AND_MOTION[form.name]
    return np.concatenate([features[:, positions], features[:, velocities] * (0.1 * form.fps)], axis=-1)


def alike(apart: float, usual: float, jump: float = LARGEST_JUMP) -> bool:
    """Whether moments so far ``apart`` may be joined, where a clip's frames usually differ by ``usual``."""
    return bool(apart < max(jump * usual, SMALL_JUMP))


def made_from(clip: FeatureClip, features: Features, what: str, **changes) -> FeatureClip:
    """A clip of these features, named after the one that it was made of."""
    # 30 frames a second whatever the representation: see PreparedClip.
    frames = round(clip.about.frames * len(features) / len(clip.features))
    return FeatureClip(replace(clip.about, id=f"{clip.about.id}_{what}", frames=frames, **changes), features)


def without(clip: FeatureClip, untrue: re.Pattern[str]) -> dict[str, tuple[str, ...]]:
    """The captions and the mirrored ones that do not say what a made clip no longer shows."""
    about = clip.about
    return {
        "captions": tuple(caption for caption in about.captions if not untrue.search(caption)),
        "mirrored_captions": tuple(
            caption for caption in about.mirrored_captions if not untrue.search(caption)
        ),
    }


def between(clip: FeatureClip, low: float, high: float) -> float:
    """A number between the two that is the clip's own."""
    return low + (high - low) * zlib.crc32(f"{clip.about.source}/{clip.about.id}".encode()) / 2**32


def slowed(features: Features, form: Representation, times: float) -> Features:
    """The motion at ``1 / times`` of its speed: [F, D] becomes [about times F, D]."""
    clip = form.decode(features, form.fps)
    return clip_features(replace(clip.resample(form.fps * times), fps=form.fps), form)


def by_turns(clips: Sequence[FeatureClip], action: str, *, sides: bool = True) -> list[FeatureClip]:
    """Those that do this, where ``sides`` with one named arm, from all recordings by turns, so that none is used up first."""
    seen: dict[tuple[str, str], int] = {}
    found = []
    for clip in clips:
        labels = clip.about.labels
        if labels.get("action") == action and (not sides or labels.get("side") in ARM_JOINTS):
            recording = (clip.about.source, clip.about.recording)
            seen[recording] = seen.get(recording, -1) + 1
            found.append((seen[recording], clip))
    return [clip for _, clip in sorted(found, key=lambda item: item[0])]


def in_order(clip: MotionClip, order: Sequence[int] | NDArray[np.intp]) -> MotionClip:
    """These of the clip's frames, one after the other."""
    return replace(
        clip, root_positions=clip.root_positions[order], local_rotations=clip.local_rotations[order]
    )


def there_and_back(frames: int, count: int) -> NDArray[np.intp]:
    """``count`` of the numbers 0 to ``frames - 1``, up and down and up again."""
    return np.resize([*range(frames), *range(frames - 1, -1, -1)], count)
