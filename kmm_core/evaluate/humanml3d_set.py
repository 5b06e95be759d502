"""HumanML3D as an evaluation set, filtered as its official evaluation does (Guo et al. 2022).

FOLDER/new_joint_vecs/ID.npy   features [F, 263] at 20 fps, not normalised
FOLDER/texts/ID.txt            lines ``caption#tagged words#start#end``, seconds; 0.0 and 0.0: the whole clip
FOLDER/train.txt val.txt test.txt   the official splits, mirrored clips (M...) among them

Mean.npy and Std.npy are not needed: an evaluator brings its own. Clips, and parts of clips with captions of their own, are
kept from 40 frames up to 199, and cut to a multiple of 4 frames, so 40 to 196 are measured. The official loader begins
the cut at a random frame and drops four more of every third clip; here it begins at the first, so that all
repetitions see the same real motion (ours).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import KmmError
from ..formats.humanml3d import FPS, Caption, HumanML3DFolder
from ..motion import representation_263
from .evaluation_set import EvaluationClip, EvaluationSet, Features

SHORTEST, TOO_LONG = 40, 200
MULTIPLE = 4


def humanml3d_set(folder: str | Path, split: str = "test", *, tagged: bool = True) -> EvaluationSet:
    """The clips of one split.

    No two clips have the same meaning: the official evaluation counts every other clip of a pool as a mismatch.

    Args:
        folder: a HumanML3D folder, see the top of this file.
        split: "train", "val" or "test".
        tagged: whether the evaluator reads words with their parts of speech, as the released one does; else it reads the
            captions themselves.

    Raises:
        KmmError: ``bad_humanml3d`` where the folder, a sub-folder or the split's file is missing; ``no_clips`` where no
            clip can be used. Single clips that are missing or broken (HumanML3D has a few with NaN) are left out and
            counted.
    """
    source = HumanML3DFolder(Path(folder))
    for name in ("new_joint_vecs", "texts"):
        if not (source.path / name).is_dir():
            raise KmmError(
                "bad_humanml3d",
                f"{source.path} has no folder {name}.",
                "Make the data set as https://github.com/EricGuo5513/HumanML3D describes, or give another folder.",
            )
    left_out: Counter[str] = Counter()
    clips = list(_clips(source, split, left_out, tagged))
    return EvaluationSet(
        kind="humanml3d",
        representation="263",
        fps=FPS,
        clips=clips,
        load_train=lambda: list(_clips(source, "train", Counter(), tagged)),
        # All clips have the bones of one body; motion of another one is brought onto it.
        encode=partial(representation_263.encode, target_lengths=_bone_lengths(clips)),
        positions=representation_263.recover_positions,
        left_out=dict(left_out),
    )


def _clips(
    source: HumanML3DFolder, split: str, left_out: Counter[str], tagged: bool
) -> Iterator[EvaluationClip]:
    for clip_id in source.ids(split):
        try:
            features, captions = source.vectors(clip_id), source.captions(clip_id)
        except KmmError:
            left_out["missing or broken"] += 1
            continue
        if not _accepted(len(features)):
            left_out["too short or too long"] += 1
            continue
        whole = [caption for caption in captions if caption.end is None and caption.start == 0]
        if whole:
            yield _clip(clip_id, features, whole, tagged)
        parts = [caption for caption in captions if caption not in whole]
        for number, caption in enumerate(parts, 1):
            stop = None if caption.end is None else int(caption.end * FPS)
            part = features[int(caption.start * FPS) : stop]
            if _accepted(len(part)):
                yield _clip(f"{clip_id}_{number}", part, [caption], tagged)
            else:
                left_out["parts too short or too long"] += 1


def _accepted(frames: int) -> bool:
    return SHORTEST <= frames < TOO_LONG


def _clip(name: str, features: Features, captions: list[Caption], tagged: bool) -> EvaluationClip:
    return EvaluationClip(
        name=name,
        features=np.array(features[: len(features) // MULTIPLE * MULTIPLE]),
        captions=tuple(caption.text for caption in captions),
        tagged=tuple((tagged and caption.tagged) or caption.text for caption in captions),
        meaning=name,
    )


def _bone_lengths(clips: list[EvaluationClip]) -> np.ndarray | None:
    if not clips:
        return None
    return representation_263.bone_lengths(representation_263.recover_positions(clips[0].features[:1])[0])
