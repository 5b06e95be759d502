"""The starter's own data as an evaluation set: what ``kmm-train prepare`` held out from training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import KmmError
from ..motion import representation_263
from ..motion.representation import Representation
from ..train.evaluator_stage import FRAMES_PER_STEP
from ..train.motion_data import DataSettings, FeatureClip, MotionData, clip_features
from ..train.prepared import MANIFEST
from ..train.token_data import meaning_of
from .evaluation_set import EvaluationClip, EvaluationSet

HELD_OUT = ("val", "test")


def starter_set(
    prepared: str | Path,
    *,
    sources: Sequence[str] = (),
    noncommercial: bool = True,
    representation: str = "272",
) -> EvaluationSet:
    """The held-out clips of prepared data. The first use of a representation writes its features beside each manifest.

    Args:
        prepared: folder that ``kmm-train prepare`` wrote, or that of one source in it.
        sources: folders of sources to use; all where empty.
        noncommercial: whether clips whose licence forbids commercial use are in. Not for a bundle that was trained
            without them: what it may not see, it is not measured on.
        representation: "272" or "263".

    Raises:
        KmmError: ``no_manifest``, ``bad_manifest``, ``bad_prepared_clip``; ``no_source`` for one that is not there;
            ``no_clips`` where nothing is left; ``unknown_representation``.
    """
    folder = Path(prepared)
    if (folder / MANIFEST).is_file():
        folder, sources = folder.parent, (folder.name,)
    missing = [source for source in sources if not (folder / source / MANIFEST).is_file()]
    if missing or not any(folder.glob(f"*/{MANIFEST}")):
        raise KmmError(
            "no_source" if missing else "no_manifest",
            f"{folder} holds no prepared source{' ' + ', '.join(missing) if missing else ''}.",
            "Run kmm-train prepare first, or name other sources.",
        )
    settings = DataSettings(str(folder), tuple(sources), representation)
    data = MotionData(settings)
    left_out: Counter[str] = Counter()
    clips = _clips(data, HELD_OUT, noncommercial, left_out)
    form = data.representation
    return EvaluationSet(
        kind="starter",
        representation=form.name,
        fps=form.fps,
        clips=clips,
        load_train=lambda: _clips(MotionData(settings), ("train",), noncommercial, Counter()),
        encode=partial(clip_features, form=form),
        positions=partial(_positions, form),
        left_out=dict(left_out),
    )


def _clips(
    data: MotionData, splits: Sequence[str], noncommercial: bool, left_out: Counter[str]
) -> list[EvaluationClip]:
    kept = []
    for clip in data.split(*splits):
        if clip.about.noncommercial and not noncommercial:
            left_out["non-commercial"] += 1
        elif len(clip.features) < FRAMES_PER_STEP or not clip.about.captions:
            left_out["too short or without a caption"] += 1
        else:
            kept.append(_evaluation_clip(clip))
    return kept


def _evaluation_clip(clip: FeatureClip) -> EvaluationClip:
    about = clip.about
    return EvaluationClip(
        name=f"{about.source}/{about.id}",
        # A copy: the features of all sources, which these are a part of, need not stay in memory.
        features=np.array(clip.features),
        captions=about.captions,
        tagged=about.captions,
        meaning=meaning_of(clip.about, mirrored=False),
        labels=about.labels,
    )


def _positions(form: Representation, features: np.ndarray) -> np.ndarray:
    if form.name == "263":
        return representation_263.recover_positions(features)  # without the search for rotations
    return form.decode(features, form.fps).joint_positions()
