"""The motion representations by name, so that the tokenizer, training and the pipeline work with any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..clip import MotionClip
from ..errors import KmmError
from . import representation_263, representation_272
from .kinematics import lever_arms
from .rotations import Array


@dataclass(frozen=True)
class Representation:
    """How a clip becomes features and back.

    Attributes:
        name: "272" or "263".
        fps: frames a second that the features stand for.
        num_features: D.
        encode: clip at ``fps`` -> [F, D] float32 (263 loses one frame).
        decode: (features, fps) -> clip.
        mirror: features -> features of the mirrored clip.
        groups: columns that share one scale when features are normalised.
        weights: how much each column counts when features are compressed, [D] (ours). The root has few columns, but
            their errors add up along the path. Velocities are noisy and follow from the rest. Of the joint rotations,
            those that move most of the body count most.
    """

    name: str
    fps: float
    num_features: int
    encode: Callable[[MotionClip], Array]
    decode: Callable[..., MotionClip]
    mirror: Callable[[Array], Array]
    groups: tuple[slice, ...]
    weights: Array

    def as_window(self, features: Array) -> Array:
        """Features of the middle of a motion: [F, D] of a clip -> [F, D], as all that models learn from.

        A clip's first row of 272 columns has no row before it, so its velocities are zero. In a window that is wrong, and reads as
        other tokens: it gets those of the second row.
        """
        if self.name == "272" and len(features) > 1:
            features = features.copy()
            features[0, representation_272.MOTION_COLUMNS] = features[1, representation_272.MOTION_COLUMNS]
        return features


def _weights(num_features: int, *groups: tuple[slice, float]) -> Array:
    weights = np.ones(num_features, dtype=np.float32)
    for columns, weight in groups:
        weights[columns] = weight
    return weights


def _weights_272() -> Array:
    form = representation_272
    weights = _weights(
        form.NUM_FEATURES,
        (form.ROOT_VELOCITY, 5.0),
        (form.HEADING_CHANGE, 5.0),
        (form.POSITIONS, 0.5),
        (form.VELOCITIES, 0.15),
    )
    arms = lever_arms()
    # The wrists, the feet and the head move no other joint, yet how a hand is held matters a little, too.
    weights[form.ROTATIONS] = np.repeat(np.maximum(arms / np.sqrt(np.mean(arms**2)), 0.2), 6)
    return weights


_KNOWN = {
    "272": Representation(
        "272",
        representation_272.FPS,
        representation_272.NUM_FEATURES,
        representation_272.encode,
        representation_272.decode,
        representation_272.mirror,
        (
            representation_272.ROOT_VELOCITY,
            representation_272.HEADING_CHANGE,
            representation_272.POSITIONS,
            representation_272.VELOCITIES,
            representation_272.ROTATIONS,
        ),
        _weights_272(),
    ),
    "263": Representation(
        "263",
        representation_263.FPS,
        representation_263.NUM_FEATURES,
        representation_263.encode,
        representation_263.decode,
        representation_263.mirror,
        (
            representation_263.ROOT_YAW,
            representation_263.ROOT_VELOCITY,
            representation_263.ROOT_HEIGHT,
            representation_263.POSITIONS,
            representation_263.ROTATIONS,
            representation_263.VELOCITIES,
            representation_263.CONTACTS,
        ),
        _weights(
            representation_263.NUM_FEATURES,
            (representation_263.ROOT_YAW, 5.0),
            (representation_263.ROOT_VELOCITY, 5.0),
            (representation_263.VELOCITIES, 0.3),
            (representation_263.CONTACTS, 0.3),
        ),
    ),
}


def representation(name: str) -> Representation:
    """The representation of that name.

    Raises:
        KmmError: ``unknown_representation``.
    """
    if name not in _KNOWN:
        raise KmmError(
            "unknown_representation",
            f"Representation '{name}' is not known; expected one of {', '.join(_KNOWN)}.",
            "Change [data] representation.",
        )
    return _KNOWN[name]
