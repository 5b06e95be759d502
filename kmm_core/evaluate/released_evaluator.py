"""The released evaluators: HumanML3D's by Guo et al. 2022 and BABEL's by FlowMDM, from their own files.

text_mot_match/model/finest.tar    weights: movement_encoder, text_encoder, motion_encoder
mean.npy, std.npy                  the normalisation that these were trained with
glove/our_vab_{data.npy,words.pkl,idx.pkl}
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import KmmError
from ..train import checkpoint
from .evaluator import Evaluator, EvaluatorSettings, FrozenEvaluator
from .word_vectors import CLASSES, WordVectors

PARTS = ("movement_encoder", "text_encoder", "motion_encoder")


@dataclass(frozen=True)
class Release:
    """What an evaluator's files don't say.

    Attributes:
        num_features: D of the features that are given to it.
        unused: how many of the last columns it doesn't look at.
        max_frames: longest motion it was trained on.
    """

    num_features: int
    unused: int
    max_frames: int


RELEASES = {
    "humanml3d": Release(263, 4, 196),  # without the foot contacts
    "babel": Release(135, 0, 200),
}


def load_released_evaluator(
    weights: Path,
    normalisation: Path,
    glove: Path,
    *,
    release: str = "humanml3d",
    device: torch.device | str = "cpu",
) -> FrozenEvaluator:
    """A released evaluator; its texts are tagged words (see ``word_vectors``).

    Args:
        weights: ``finest.tar``. It is read without running anything in it.
        normalisation: folder with ``mean.npy`` and ``std.npy`` [D].
        glove: folder with the word vectors.
        release: "humanml3d" or "babel".
        device: where to compute.

    Raises:
        KmmError: ``no_evaluator`` or ``bad_evaluator``; ``evaluator_mismatch`` for other names or shapes;
            ``no_word_vectors``, ``bad_word_vectors``.
    """
    about = RELEASES.get(release)
    if about is None:
        raise KmmError(
            "bad_evaluator", f"There is no released evaluator '{release}'; known: {', '.join(RELEASES)}."
        )
    tensors = _weights(weights)
    words = WordVectors.load(glove)
    evaluator = Evaluator(
        about.num_features,
        words.vectors.shape[1],
        _settings(tensors, about, weights),
        num_classes=len(CLASSES),
        unused=about.unused,
        rest_seen=True,
    )
    tensors["mean"], tensors["std"] = (
        _statistics(normalisation / name, about.num_features) for name in ("mean.npy", "std.npy")
    )
    try:
        checkpoint.load_into(evaluator, tensors, weights)
    except KmmError as error:
        hint = "Name the release, and the word vectors, that this checkpoint belongs to."
        raise KmmError("evaluator_mismatch", error.message, hint) from error
    return FrozenEvaluator(evaluator, words, device)


def _weights(path: Path) -> dict[str, Tensor]:
    """The three encoders' weights, ``movement_encoder.main.0.weight`` and so on."""
    if not path.is_file():
        raise KmmError(
            "no_evaluator",
            f"{path} does not exist.",
            "Download the evaluator of the data set, and name its text_mot_match/model/finest.tar.",
        )
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        return {f"{part}.{name}": tensor.float() for part in PARTS for name, tensor in stored[part].items()}
    except (
        *(OSError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile),
        *(KeyError, TypeError, AttributeError, ValueError),
    ) as error:
        raise KmmError(
            "bad_evaluator",
            f"{path} is not a checkpoint with {', '.join(PARTS)} ({type(error).__name__}: "
            f"{str(error)[:200]}).",
            "Download it again.",
        ) from error


def _settings(tensors: Mapping[str, Tensor], about: Release, path: Path) -> EvaluatorSettings:
    """Widths as the weights have them; whether all fit together is checked when they are loaded."""
    try:
        return EvaluatorSettings(
            movement_width=tensors["movement_encoder.out_net.weight"].shape[0],
            motion_width=tensors["motion_encoder.input_emb.weight"].shape[0],
            text_width=tensors["text_encoder.input_emb.weight"].shape[0],
            width=tensors["text_encoder.output_net.3.weight"].shape[0],
            max_frames=about.max_frames,
        )
    except KeyError as error:
        raise KmmError("bad_evaluator", f"{path} holds no {error}.", "Download it again.") from error


def _statistics(path: Path, count: int) -> Tensor:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise KmmError(
            "bad_evaluator",
            f"{path} is missing or broken ({error}).",
            "Name the folder with the evaluator's own mean.npy and std.npy.",
        ) from error
    if values.shape != (count,) or not np.isfinite(values).all():
        raise KmmError(
            "bad_evaluator",
            f"{path} holds {values.shape}; expected {count} finite numbers.",
            "Name another folder.",
        )
    if path.name == "std.npy" and not (values > 0).all():
        raise KmmError(
            "bad_evaluator", f"{path} holds standard deviations that are not above 0.", "Name another folder."
        )
    return torch.from_numpy(values.astype(np.float32))
