"""HumanML3D folders (Guo et al. 2022): joints, feature vectors, captions and splits. Light zone: no torch.

Layout: ``new_joints/ID.npy`` [F, 22, 3] m, ``new_joint_vecs/ID.npy`` [F - 1, 263], both at 20 fps,
``texts/ID.txt`` with lines ``caption#token/POS ...#start#end`` (seconds; 0.0 and 0.0 mean the whole clip),
``train.txt``, ``val.txt``, ``test.txt``, ``Mean.npy``, ``Std.npy``. Clips whose ID begins with M are mirrored
ones, captions included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import KmmError
from ..motion.rotations import Array
from .array_file import read_array
from .joints import read_joints

FPS = 20.0
NUM_FEATURES = 263
SPLITS = ("train", "val", "test")
_SOURCE = "Make the data set as https://github.com/EricGuo5513/HumanML3D describes, or give another folder."


@dataclass(frozen=True)
class Caption:
    """One description of a clip or of a part of it.

    Attributes:
        text: the sentence as written.
        start: seconds from the clip's start; 0 for the whole clip.
        end: seconds, None for the end of the clip.
        tagged: its words with their parts of speech, "a/DET man/NOUN wave/VERB", for the released evaluator.
    """

    text: str
    start: float = 0.0
    end: float | None = None
    tagged: str = ""


@dataclass(frozen=True)
class HumanML3DFolder:
    """A HumanML3D folder, read piece by piece as asked for.

    Raises:
        KmmError: ``bad_humanml3d`` where the folder, or a piece of it, is missing or broken; names the file.
    """

    path: Path

    def __post_init__(self):
        object.__setattr__(self, "path", Path(self.path))
        if not self.path.is_dir():
            raise KmmError("bad_humanml3d", f"{self.path} is not a folder with HumanML3D data.", _SOURCE)
        if not any((self.path / name).is_dir() for name in ("new_joints", "new_joint_vecs", "texts")):
            raise KmmError(
                "bad_humanml3d",
                f"{self.path} has none of new_joints, new_joint_vecs, texts: no HumanML3D folder.",
                _SOURCE,
            )

    def ids(self, split: str) -> tuple[str, ...]:
        """The clips listed in a split ("train", "val", "test"), in the file's order."""
        if split not in SPLITS:
            raise KmmError(
                "bad_humanml3d", f"split={split!r} is not one of {', '.join(SPLITS)}.", "Choose one."
            )
        ids = tuple(self._text(self.path / f"{split}.txt").split())
        if not ids:
            raise KmmError("bad_humanml3d", f"{split}.txt in {self.path} lists no clip.", _SOURCE)
        return ids

    def captions(self, clip_id: str) -> tuple[Caption, ...]:
        """The captions of a clip; parts of it where the file says so."""
        file = self.path / "texts" / f"{clip_id}.txt"
        lines = enumerate(self._text(file).splitlines(), 1)
        return tuple(_caption(file, number, line) for number, line in lines if line.strip())

    def joints(self, clip_id: str) -> Array:
        """World positions of the 22 joints, [F, 22, 3] m at 20 fps, Y up."""
        file = self.path / "new_joints" / f"{clip_id}.npy"
        self._require(file)
        return read_joints(file)

    def vectors(self, clip_id: str) -> Array:
        """HumanML3D features, [F - 1, 263] float32 at 20 fps, not normalised."""
        file = self.path / "new_joint_vecs" / f"{clip_id}.npy"
        self._require(file)
        features = read_array(file, "bad_humanml3d").astype(np.float32)
        if features.ndim != 2 or features.shape[1] != NUM_FEATURES or len(features) == 0:
            raise _bad(file, f"its shape is {list(features.shape)}; expected [F, {NUM_FEATURES}]")
        if not np.isfinite(features).all():
            raise _bad(file, "it holds NaN or infinity", "Drop the clip (HumanML3D has a few of these).")
        return features

    @cached_property
    def mean(self) -> Array:
        """Mean of the features over the training split, [263]."""
        return self._statistic("Mean.npy")

    @cached_property
    def std(self) -> Array:
        """Standard deviation of the features over the training split, [263], all positive."""
        std = self._statistic("Std.npy")
        if not (std > 0).all():
            raise _bad(self.path / "Std.npy", "a standard deviation is not positive")
        return std

    @staticmethod
    def is_mirrored(clip_id: str) -> bool:
        """Whether the clip is the mirror image of another one, the same ID without the M."""
        return clip_id.startswith("M")

    def _statistic(self, name: str) -> Array:
        self._require(self.path / name)
        values = read_array(self.path / name, "bad_humanml3d").astype(np.float32)
        if values.shape != (NUM_FEATURES,) or not np.isfinite(values).all():
            raise _bad(
                self.path / name, f"expected {NUM_FEATURES} finite numbers, got shape {list(values.shape)}"
            )
        return values

    def _text(self, file: Path) -> str:
        self._require(file)
        try:
            return file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise _bad(file, f"it is not readable UTF-8 text ({error})") from None

    def _require(self, file: Path) -> None:
        if not file.is_file():
            raise KmmError(
                "bad_humanml3d", f"{file.relative_to(self.path)} is missing in {self.path}.", _SOURCE
            )


def _caption(file: Path, number: int, line: str) -> Caption:
    # The caption itself may hold '#'; tokens, start and end are the last three parts.
    parts = line.strip().rsplit("#", 3)
    try:
        text, tagged, start, end = parts
        first, last = float(start), float(end)
    except ValueError:
        raise _bad(
            file, f"line {number} is {line.strip()[:60]!r}; expected caption#tokens#start#end"
        ) from None
    # The original files write nan for "not known", which stands for the whole clip.
    first, last = (0.0 if math.isnan(value) else value for value in (first, last))
    if not text.strip() or first < 0 or (last != 0 and last <= first) or math.isinf(last):
        raise _bad(file, f"line {number} has an empty caption or goes from {first:g} s to {last:g} s")
    return Caption(text.strip(), first, last or None, tagged.strip())


def _bad(file: Path, reason: str, hint: str = _SOURCE) -> KmmError:
    return KmmError("bad_humanml3d", f"Cannot read {file.parent.name}/{file.name}: {reason}.", hint)
