"""Removes from takes what 30 frames a second cannot represent.

Nearly all marker noise of optical capture is above 15 Hz. Taking every fourth frame of a 120 Hz take would fold it down
into the motion (aliasing), where it makes every joint shake.
"""

from __future__ import annotations

from dataclasses import replace

from scipy import signal

from kmm_core.clip import MotionClip
from kmm_core.motion import rotations

# Two thirds of the highest frequency that 30 frames a second hold.
CUTOFF_HZ = 10.0  # half of the amplitude at this frequency is left
_ORDER = 2


def low_pass(clip: MotionClip) -> MotionClip:
    """The clip at its own rate with all motion above ``CUTOFF_HZ`` filtered out, and nothing shifted in time.

    A Butterworth filter forwards and backwards over the root and the quaternions.

    Args:
        clip: a whole take. One that is too short for the filter is returned unchanged.
    """
    sections = signal.butter(_ORDER, CUTOFF_HZ, fs=clip.fps, output="sos")
    # As much as sosfiltfilt mirrors at each end.
    if clip.num_frames <= 3 * (2 * len(sections) + 1):
        return clip
    # q and -q are the same rotation, but not to a filter.
    turns = signal.sosfiltfilt(sections, rotations.make_continuous(clip.local_rotations), axis=0)
    return replace(
        clip,
        root_positions=signal.sosfiltfilt(sections, clip.root_positions, axis=0),
        local_rotations=rotations.normalize(turns),
    )
