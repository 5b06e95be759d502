"""One skeletal file onto the canonical skeleton, for the recipes."""

from __future__ import annotations

from pathlib import Path

from kmm_core.clip import MotionClip


def read_skeletal(path: Path, asf: Path | None = None, start: int = 0, stop: int | None = None) -> MotionClip:
    """A BVH file, or an AMC file with its ASF, as a clip at the file's own rate.

    Args:
        path: the ``.bvh`` or ``.amc``.
        asf: the skeleton of an AMC.
        start, stop: frames of the file to keep.
    """
    from kmm_core.formats.asf_amc import read_asf_amc
    from kmm_core.formats.bvh import read_bvh
    from kmm_core.motion.retarget import to_canonical

    source = read_asf_amc(path, asf) if path.suffix.lower() == ".amc" else read_bvh(path)
    # The rest pose is found from the whole file, so that frames are cut only afterwards.
    clip = to_canonical(source)
    # to_canonical may have dropped a leading rest pose; frame numbers count from the file's first frame.
    dropped = source.num_frames - clip.num_frames
    return clip.slice(max(0, start - dropped), (stop or source.num_frames) - dropped)
