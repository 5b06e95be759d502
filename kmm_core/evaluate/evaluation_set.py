"""What an evaluation reads: held-out clips with their captions, in the features that the set's evaluator was trained on.

One file makes each kind: ``starter_set``, ``humanml3d_set``, ``babel_set``. Which clips name a side or a turn:
``directional``. Shapes: F frames, D features, J joints (22).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..clip import MotionClip
from ..errors import KmmError

Features = NDArray[np.float32]


@dataclass(frozen=True)
class EvaluationClip:
    """A clip with everything that is said about it.

    Attributes:
        name: unique in its set.
        features: not normalised, [F, D].
        captions: at least one sentence.
        tagged: the captions as a released evaluator reads them, one for one: words with their parts of speech,
            "a/DET person/NOUN walk/VERB". The sentences themselves where the set has no tags.
        meaning: clips of equal meaning are no mismatch to each other.
        labels: "action", "side", "turn" and so on, where the set has them.
    """

    name: str
    features: Features
    captions: tuple[str, ...]
    tagged: tuple[str, ...]
    meaning: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RealTimeline:
    """A recording in which one labelled segment follows the other.

    Attributes:
        name: of the recording, and where in it.
        part: features of the frames from one to before another, [n, D], as those of a clip of its own: BABEL's are
            turned by the first frame, so rows of the whole stretch would not do.
        captions: one a segment.
        frames: of each segment; they add up to F.
    """

    name: str
    part: Callable[[int, int], Features]
    captions: tuple[str, ...]
    frames: tuple[int, ...]

    @property
    def boundaries(self) -> tuple[int, ...]:
        """First frame of every segment but the first."""
        return tuple(accumulate(self.frames[:-1]))


@dataclass(frozen=True)
class EvaluationSet:
    """Clips to measure on, and how generated motion is brought into the same features.

    Attributes:
        kind: which data these are.
        representation: name of the feature layout: "272", "263" or "135".
        fps: frames a second of the features.
        clips: held out from training.
        load_train: reads the training clips; they are only needed to look for copying.
        encode: clip of any frame rate -> features [F, D] as ``clips`` have them. "263" needs a frame more than it
            gives rows.
        positions: features [F, D] -> joint positions [F, 22, 3] metres, Y up.
        timelines: real sequences of segments; None where the set has none.
        left_out: how many clips were left out, by reason, for the report.
    """

    kind: Literal["starter", "humanml3d", "babel"]
    representation: str
    fps: float
    clips: list[EvaluationClip]
    load_train: Callable[[], list[EvaluationClip]]
    encode: Callable[[MotionClip], Features]
    positions: Callable[[Features], NDArray[np.floating]]
    timelines: list[RealTimeline] | None = None
    left_out: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        if not self.clips:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            raise KmmError(
                "no_clips",
                f"There is no clip to evaluate on{f' ({reasons} were left out)' if reasons else ''}.",
                "Choose other sources, or another split.",
            )

    @property
    def lost_frames(self) -> int:
        """So many frames more than rows does ``encode`` need."""
        return int(self.representation == "263")

    @cached_property
    def train(self) -> list[EvaluationClip]:
        """The training clips, read when first asked for.

        Raises:
            KmmError: ``no_clips`` where there is none.
        """
        clips = self.load_train()
        if not clips:
            raise KmmError(
                "no_clips",
                f"The {self.kind} data hold no usable training clip; the search for copies and the "
                "FID of real motion need some.",
                "Give the training split too.",
            )
        return clips

    def with_clips(self, clips: Sequence[EvaluationClip]) -> EvaluationSet:
        """The same set with some of its clips. The training clips are read anew.

        Raises:
            KmmError: ``no_clips`` where none is given.
        """
        return replace(self, clips=list(clips))
