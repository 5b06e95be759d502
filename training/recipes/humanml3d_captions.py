"""The HumanML3D captions by source file and time, for recipes whose takes AMASS holds as well."""

from __future__ import annotations

import csv
import io
import lzma
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

CAPTION_FPS = 20
_NAMES = ("humanml3d_captions.csv", "humanml3d_captions.csv.xz")


@lru_cache(maxsize=4)
def read_captions(folder: Path) -> dict[str, list[tuple[float, float, tuple[str, ...]]]]:
    """Captioned segments by ``source`` ("CMU/14/14_24_poses.npy"): start and end in seconds, sentences.

    Args:
        folder: holds ``humanml3d_captions.csv`` or ``.csv.xz``; without it there are no captions.
    """
    path = next((folder / name for name in _NAMES if (folder / name).is_file()), None)
    if path is None:
        return {}
    content = path.read_bytes()
    text = (lzma.decompress(content) if path.suffix == ".xz" else content).decode("utf-8")
    segments: dict[str, dict[tuple[int, int], list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in csv.DictReader(io.StringIO(text)):
        span = int(row["start_frame_20fps"]), int(row["end_frame_20fps"])
        segments[row["source"]][span].append(tidy(row["caption"]))
    return {
        source: [
            (start / CAPTION_FPS, end / CAPTION_FPS, tuple(captions))
            for (start, end), captions in spans.items()
        ]
        for source, spans in segments.items()
    }


def tidy(caption: str) -> str:
    """Lower case, single spaces, no full stop at the end."""
    return " ".join(caption.lower().split()).rstrip(" .,;")
