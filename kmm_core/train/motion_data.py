"""Prepared clips as features in memory: what every training stage draws its batches from.

Shapes: F frames, D features.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..atomic_write import atomic_write
from ..clip import MotionClip
from ..errors import KmmError
from ..motion.representation import Representation, representation
from ..setting_ranges import check_ranges
from .prepared import JOURNAL, MANIFEST, PreparedClip, clip_path, load_clip, read_manifest


@dataclass(frozen=True)
class DataSettings:
    """Which clips to train on.

    Attributes:
        prepared: folder that ``kmm-train prepare`` wrote, one sub-folder a source.
        sources: sub-folders to use; all where empty.
        representation: "272" (30 fps) or "263" (HumanML3D, 20 fps).
        mirror: whether clips are also shown mirrored, with mirrored captions.
        mixed_bodies: share of the tokenizer's windows that are put together from several recordings (``mixed_bodies.py``).

    Raises:
        KmmError: ``bad_settings`` out of range, ``unknown_representation``.
    """

    prepared: str = "prepared"
    sources: tuple[str, ...] = ()
    representation: str = "272"
    mirror: bool = True
    mixed_bodies: float = 0.0

    def __post_init__(self):
        check_ranges(self, mixed_bodies=(0, 1))
        representation(self.representation)


@dataclass(frozen=True)
class FeatureClip:
    """A prepared clip with its features [F, D] float32 (a view into one big array).

    ``parts`` are the prompts that tell a made clip of several: what is said of each, and the frame at which it ends.
    """

    about: PreparedClip
    features: NDArray[np.float32]
    parts: tuple[tuple[PreparedClip, int], ...] = ()


class MotionData:
    """All clips of the chosen sources, by split.

    Raises:
        KmmError: ``no_manifest`` or ``no_clips`` where there is nothing to train on, or features without clips are others'.
    """

    def __init__(self, settings: DataSettings):
        self.settings = settings
        self.representation: Representation = representation(settings.representation)
        folders = _source_folders(settings)
        self.clips = [clip for folder in folders for clip in _source_clips(folder, self.representation)]
        if not self.split("train"):
            raise KmmError(
                "no_clips",
                f"No training clip in {settings.prepared} for the sources "
                f"{', '.join(folder.name for folder in folders) or '(none)'}.",
                "Run kmm-train prepare, or correct [data] prepared and sources.",
            )

    def split(self, *names: str) -> list[FeatureClip]:
        """The clips of the named splits ("train", "val", "test")."""
        return [clip for clip in self.clips if clip.about.split in names]

    def held_out(self) -> list[FeatureClip]:
        """Clips to validate on; where the data are so few that none was held out, the training clips."""
        return self.split("val") or self.split("train")

    def mirrored(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of the mirrored clips, [..., F, D]. Every row is mirrored for itself."""
        rows = features.reshape(-1, features.shape[-1])
        return self.representation.mirror(rows).reshape(features.shape)

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the training features, [D] each.

        Columns of one group share the mean of their deviations, so that a nearly constant column is not blown up
        to noise. Mirrored clips count, so that left and right are scaled alike.
        """
        total, squares, count = 0.0, 0.0, 0
        for clip in self.split("train"):
            for features in (clip.features, self.mirrored(clip.features)):
                total = total + features.sum(0, dtype=np.float64)
                squares = squares + np.square(features, dtype=np.float64).sum(0)
                count += len(features)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
        for group in self.representation.groups:
            deviation[group] = max(float(np.mean(deviation[group])), 1e-4)
        return torch.from_numpy(mean).float(), torch.from_numpy(deviation).float()


def data_key(settings: DataSettings) -> str:
    """A key for the data that these settings select, as they are on disk now. Caches of results are stored under it.

    Raises:
        KmmError: ``no_manifest``.
    """
    return "/".join(map(_source_key, _source_folders(settings)))


def _source_folders(settings: DataSettings) -> list[Path]:
    folder = Path(settings.prepared)
    there = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    sources = settings.sources or there
    if missing := [source for source in sources if source not in there]:
        yours = json.dumps(there or ["mine"])
        raise KmmError(
            "no_manifest",
            f"{folder} does not hold the sources {', '.join(missing)}; it holds {', '.join(there) or 'none'}.",
            f"Run kmm-train prepare for them, or name yours: --set 'data.sources={yours}'.",
        )
    return [folder / source for source in sources]


def _source_key(folder: Path) -> str:
    """Another one where the manifest changes, or what ``kmm-train prepare`` noted of the files and of the recipe: it may make
    other motion of the same name. Both travel with a copy of the features, whose clips may be left behind."""
    paths = (folder / MANIFEST, folder / JOURNAL)
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths if path.is_file())).hexdigest()[:16]


def _source_clips(folder: Path, form: Representation) -> list[FeatureClip]:
    """Features of one source; computed once and kept beside its manifest."""
    prepared = read_manifest(folder)
    name = f"features_{form.name}"
    cache = folder / f"{name}-{_source_key(folder)}.npz"
    if cache.is_file():
        with np.load(cache, allow_pickle=False) as stored:
            features, lengths = stored["features"], stored["lengths"]
    else:
        if prepared and not clip_path(folder, "").parent.is_dir():
            there = ", ".join(sorted(path.name for path in folder.glob("features_*.npz"))) or "no features"
            raise KmmError(
                "no_clips",
                f"{folder} holds {there} and no clips; its {MANIFEST} and {JOURNAL} go with {cache.name}.",
                "Carry these three over once more, unchanged and from the same folder; or the clips, too.",
            )
        rows = [clip_features(load_clip(folder, clip), form) for clip in prepared]
        lengths = np.array([len(row) for row in rows])
        features = np.concatenate(rows) if rows else np.zeros((0, form.num_features), np.float32)
        # Two processes may do this at once.
        for old in set(folder.glob(f"{name}-*.npz")) - {cache}:
            old.unlink(missing_ok=True)
        with atomic_write(cache) as temporary, temporary.open("wb") as file:
            np.savez(file, features=features, lengths=lengths)
    ends = np.cumsum(lengths)
    return [
        FeatureClip(clip, features[end - length : end])
        for clip, length, end in zip(prepared, lengths, ends, strict=True)
    ]


def clip_features(clip: MotionClip, form: Representation) -> NDArray[np.float32]:
    """Features of a clip of any frame rate, as every stage sees them: [F, D], F counted at the form's rate."""
    if clip.fps != form.fps:
        clip = clip.resample(form.fps)
    return form.as_window(form.encode(clip).astype(np.float32))


class WeightedPicker:
    """Draws indices with given weights from a torch generator."""

    def __init__(self, weights: Sequence[float]):
        self.cumulative = torch.tensor(np.cumsum(np.asarray(weights, dtype=np.float64)))

    def __call__(self, count: int, rng: torch.Generator) -> list[int]:
        draws = torch.rand(count, generator=rng, dtype=torch.float64) * self.cumulative[-1]
        return (
            torch.searchsorted(self.cumulative, draws, right=True)
            .clamp(max=len(self.cumulative) - 1)
            .tolist()
        )
