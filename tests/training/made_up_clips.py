"""Prepared clips made by code: few, and as ``kmm-train prepare`` leaves them."""

from __future__ import annotations

import random
from pathlib import Path

from kmm_core.train.prepared import PreparedClip, clip_path, save_clip, write_manifest
from training.recipes.synthetic import make_clip


def write_made_up_clips(prepared: Path, each: int, said: str = "") -> Path:
    """``each`` clips of three actions, the first of each held out; captions begin with ``said``. Returns the folder."""
    folder = prepared / "synthetic"
    (folder / "clips").mkdir(parents=True)
    clips = []
    for action, side in (("walk", "none"), ("raise_arm", "left"), ("squat", "both")):
        for number in range(each):
            clip = make_clip(action, side, "none", random.Random(number))
            caption = f"{said}{action} {side}"
            about = PreparedClip(
                id=f"{action}_{number}",
                source="synthetic",
                licence="CC0-1.0",
                noncommercial=False,
                split="val" if number == 0 else "train",
                recording=f"{action}_{number}",
                start=0.0,
                frames=clip.num_frames,
                captions=(caption,),
                mirrored_captions=(caption.replace("left", "right"),),
                labels={"action": action, "side": side, "turn": "none"},
            )
            save_clip(clip_path(folder, about.id), clip)
            clips.append(about)
    write_manifest(folder, clips)
    return prepared
