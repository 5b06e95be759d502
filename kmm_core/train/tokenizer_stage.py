"""Stage 1: the motion tokenizer, then its decoder alone.

The codes settle long before the decoder is fully trained, and the generator needs only the codes. So a separate stage
trains the decoder further while the tokens stay as they are (ours): most of the joint error is the decoder's.

Loss (ours): smooth L1 on normalised features; joint positions through forward kinematics, their velocities, and the
root's path and heading, in metres and radians, because those are what an animator sees; commitment.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..clip import MotionClip
from ..errors import KmmError
from ..motion import kinematics_torch
from ..motion import representation_272 as columns
from ..render import contact_sheet
from ..tokenizer.autoencoder import start_from_components
from ..tokenizer.motion_tokenizer import MotionTokenizer, TokenizerSettings
from .mixed_bodies import mixed_windows
from .motion_data import MotionData, WeightedPicker
from .stage import Stage
from .token_data import balanced_weights

# The codes' cost for held-out motion is the error that training does not see: the encoder keeps close to them (decisions/0016).
COMMITMENT = 0.3
POSITIONS, VELOCITIES, PATH = 30.0, 20.0, 6.0
# Half of the batches hold short windows: a kick, a hop or a jab is over before a long one is full (docs/decisions/0032).
WINDOW_FRAMES = (64, 32)
# Evens out how often actions are drawn (``token_data.balanced_weights``): a tokenizer must restore the seldom asked ones too.
BALANCE = 0.25
VALIDATION_CLIPS = 100
# About as many windows give the principal components.
COMPONENT_WINDOWS = 60_000
# Made once, at the start of the stage.
MIXED_WINDOWS = 12_000


class TokenizerObjective(nn.Module):
    """The tokenizer with its losses: forward(features [B, F, D], rng) -> named losses."""

    def __init__(self, tokenizer: MotionTokenizer, weight: Tensor, decoder_only: bool = False):
        super().__init__()
        self.tokenizer = tokenizer
        self.decoder_only = decoder_only
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, features: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        model = self.tokenizer
        if self.decoder_only:
            with torch.no_grad():
                quantized = model.quantize(model.latents(features))
        else:
            quantized = model.quantize(model.latents(features), rng if self.training else None)
        restored = model.decode_latents(quantized.latents).float()
        difference = functional.smooth_l1_loss(restored / model.std, features / model.std, reduction="none")
        losses = {
            "features": (difference * self.weight).mean(),
            "commitment": quantized.commitment,
        }
        total = losses["features"] + COMMITMENT * losses["commitment"]
        if model.num_features == columns.NUM_FEATURES:
            given = features[..., columns.POSITIONS].unflatten(-1, (-1, 3))
            made = joints_in_heading(restored)
            losses["positions"] = functional.l1_loss(made, given)
            losses["velocities"] = functional.l1_loss(made.diff(dim=1), given.diff(dim=1))
            losses["path"] = functional.l1_loss(root_path(restored), root_path(features))
            total = total + POSITIONS * losses["positions"] + VELOCITIES * losses["velocities"]
            total = total + PATH * losses["path"]
        return {"loss": total, **losses}


def joints_in_heading(features: Tensor) -> Tensor:
    """Joint positions over the spot under the pelvis, from rotations and pelvis height. [B, F, 272] -> [B, F, 22, 3]."""
    rotations = features[..., columns.ROTATIONS].unflatten(-1, (-1, 6))
    height = features[..., columns.POSITIONS][..., 1]
    joints = kinematics_torch.joint_positions(rotations)
    return joints + functional.pad(height[..., None, None], (1, 1))


def root_path(features: Tensor) -> Tensor:
    """The pelvis's path on the floor within a window, and its heading. [B, F, 272] -> [B, F - 1, 3] (m, m, rad)."""
    turn = features[..., columns.HEADING_CHANGE]
    # The first column of a rotation about +Y by a is (cos a, 0, -sin a).
    heading = torch.atan2(-turn[..., 2], turn[..., 0])[:, 1:].cumsum(1)
    x, z = features[:, 1:, columns.ROOT_VELOCITY].unbind(-1)
    step = torch.stack([x * heading.cos() + z * heading.sin(), z * heading.cos() - x * heading.sin()], dim=-1)
    return torch.cat([step.cumsum(1), heading[..., None]], dim=-1)


def build(settings: TokenizerSettings, data: MotionData) -> Stage:
    """The tokenizer stage on these data, from the principal components of their windows."""
    tokenizer = MotionTokenizer(data.representation.num_features, settings)
    mean, std = data.statistics()
    tokenizer.mean.copy_(mean)
    tokenizer.std.copy_(std)
    weight = torch.from_numpy(data.representation.weights)
    windows = _windows(data, settings.frames_per_token)
    pieces = _token_windows(data, windows, settings.frames_per_token)
    start_from_components(tokenizer.encoder, tokenizer.decoder, (pieces - mean) / std, weight)
    return _stage("tokenizer", TokenizerObjective(tokenizer, weight), data, windows)


def build_further(tokenizer: MotionTokenizer, data: MotionData, *, codebook_decay: float) -> Stage:
    """The tokenizer stage from trained weights: fine-tuning. Features stay normalised as they were.

    At a codebook decay of 1 the codes do not change either, only the choice of codes for a motion: generators trained
    on the codes keep working.

    Raises:
        KmmError: ``bad_settings`` where the tokenizer was trained on another representation.
    """
    form = data.representation
    if tokenizer.num_features != form.num_features:
        raise KmmError(
            "bad_settings",
            f"The tokenizer to start from reads {tokenizer.num_features} features a frame; data.representation = "
            f"'{form.name}' has {form.num_features}.",
            "Start from a tokenizer of the same representation.",
        )
    for codebook in tokenizer.quantizer.codebooks:
        codebook.decay = codebook_decay
        codebook.go_on()
    weight = torch.from_numpy(data.representation.weights)
    windows = _windows(data, tokenizer.settings.frames_per_token)
    return _stage(
        "tokenizer", TokenizerObjective(tokenizer.train().requires_grad_(True), weight), data, windows
    )


def build_decoder(tokenizer: MotionTokenizer, data: MotionData, *, refit: bool = True) -> Stage:
    """The decoder stage: ``tokenizer`` with its codes, fitted once more to the training motion if ``refit``, and then frozen.

    Without that no token changes, so generators trained on the tokens keep working.
    """
    windows = _windows(data, tokenizer.settings.frames_per_token)
    if refit:
        tokenizer.quantizer.refit(_training_latents(tokenizer, data), torch.Generator().manual_seed(0))
    tokenizer.requires_grad_(False)
    tokenizer.decoder.requires_grad_(True)
    weight = torch.from_numpy(data.representation.weights)
    return _stage("decoder", TokenizerObjective(tokenizer, weight, decoder_only=True), data, windows)


@dataclass(frozen=True)
class _Recorded:
    """Recordings [*, D] of at least ``frames`` frames, from which windows of that many are cut."""

    features: list[np.ndarray]
    frames: int
    pick: WeightedPicker

    def window(self, index: int, rng: torch.Generator) -> np.ndarray:
        """One window of a recording, [frames, D]."""
        features = self.features[index]
        start = int(torch.randint(len(features) - self.frames + 1, (), generator=rng))
        return features[start : start + self.frames]


@dataclass(frozen=True)
class _Windows:
    """What batches are drawn from: recordings, for each length of windows, and windows mixed of several, [N, F, D] or None."""

    recorded: list[_Recorded]
    mixed: np.ndarray | None
    share: float

    @property
    def frames(self) -> int:
        """Of the longest windows."""
        return self.recorded[0].frames

    def mixed_rows(self, count: int, rng: torch.Generator) -> np.ndarray:
        """Some of the mixed windows, [count, F, D]."""
        assert self.mixed is not None
        chosen = torch.randint(len(self.mixed), (count,), generator=rng).numpy()
        return self.mixed[chosen].astype(np.float32)


def _windows(data: MotionData, frames_per_token: int) -> _Windows:
    train = data.split("train")
    weights = balanced_weights(train, BALANCE)
    longest = max(len(clip.features) for clip in train)
    # Data of shorter clips alone have windows of the shortest.
    lengths = [frames for frames in WINDOW_FRAMES if frames <= longest] or [
        min(len(clip.features) for clip in train) // frames_per_token * frames_per_token
    ]
    recorded = []
    for frames in lengths:
        chosen = [index for index, clip in enumerate(train) if len(clip.features) >= frames]
        pick = WeightedPicker([weights[index] for index in chosen])
        recorded.append(_Recorded([train[index].features for index in chosen], frames, pick))
    mixed, share = None, data.settings.mixed_bodies
    if share:
        longer = recorded[0]
        chosen = longer.pick(3 * MIXED_WINDOWS, torch.Generator().manual_seed(0))
        mixed = mixed_windows(
            longer.features, torch.tensor(chosen).view(-1, 3), data.representation, longer.frames
        )
    return _Windows(recorded, mixed, share)


def _token_windows(data: MotionData, windows: _Windows, frames: int) -> Tensor:
    """Windows of one token's frames from clips of all training sources, half of them mirrored. [N, frames, D]."""
    train = [clip.features for clip in data.split("train")]
    chosen = train[:: max(1, sum(map(len, train)) // (COMPONENT_WINDOWS * frames))]
    rows = []
    for features in chosen:
        cut = features[: len(features) // frames * frames].reshape(-1, frames, features.shape[1])
        rows += [cut, data.mirrored(cut)] if data.settings.mirror else [cut]
    if windows.share:
        whole = windows.frames // frames
        count = round(windows.share * sum(map(len, rows)) / whole)
        rows.append(
            windows.mixed_rows(count, torch.Generator().manual_seed(0)).reshape(-1, frames, train[0].shape[1])
        )
    return torch.from_numpy(np.concatenate(rows))


@torch.no_grad()
def _training_latents(tokenizer: MotionTokenizer, data: MotionData) -> Tensor:
    """Latents of the training clips as often as they were recorded, every other one mirrored. [M, C]."""
    step = tokenizer.settings.frames_per_token
    rows = []
    for number, clip in enumerate(data.split("train")):
        features = clip.features[: len(clip.features) // step * step]
        if data.settings.mirror and number % 2:
            features = data.mirrored(features)
        if len(features):
            rows.append(tokenizer.latents(torch.from_numpy(features)[None])[0])
    return torch.cat(rows)


def _stage(name: str, objective: TokenizerObjective, data: MotionData, windows: _Windows) -> Stage:
    def make_batch(rng: torch.Generator, batch_size: int) -> Tensor:
        recorded = windows.recorded[int(torch.randint(len(windows.recorded), (), generator=rng))]
        batch = np.stack([recorded.window(index, rng) for index in recorded.pick(batch_size, rng)])
        if data.settings.mirror:
            half = batch_size // 2
            batch[:half] = data.mirrored(batch[:half])
        if windows.share:
            # Mixed windows are mirrored already, or not; they take the place of recordings of both kinds.
            count = round(windows.share * batch_size)
            places = torch.randperm(batch_size, generator=rng)[:count].numpy()
            batch[places] = windows.mixed_rows(count, rng)[:, : recorded.frames]
        return torch.from_numpy(batch)

    def validate(objective: nn.Module, pictures: Path | None) -> dict[str, float]:
        model = objective.tokenizer
        # Spread over all sources.
        held_out = data.held_out()
        chosen = held_out[:: max(1, len(held_out) // VALIDATION_CLIPS)]
        report = reconstruction_error(model, data, [clip.features for clip in chosen])
        if pictures is not None:
            clips = []
            shown = chosen[:: max(1, len(chosen) // 3)][:3]
            for clip in shown:
                given, made = reconstruct(model, data, clip.features)
                clips += [given, made]
            said = [clip.about.captions[0] if clip.about.captions else "(no caption)" for clip in shown]
            titles = [title for caption in said for title in (caption, "reconstruction")]
            contact_sheet(clips, pictures / "reconstruction.png", titles=titles)
        return report

    return Stage(name, objective, make_batch, validate, "joint_error_mm")


def reconstruct(
    model: MotionTokenizer, data: MotionData, features: np.ndarray
) -> tuple[MotionClip, MotionClip]:
    """A clip and its reconstruction through the tokens, cut to whole tokens."""
    step = model.settings.frames_per_token
    features = features[: len(features) // step * step]
    device = model.mean.device
    tokens = model.encode(torch.from_numpy(features)[None].to(device))
    restored = model.decode(tokens)[0].float().cpu().numpy()
    form = data.representation
    return form.decode(features, form.fps), form.decode(restored, form.fps)


@torch.no_grad()
def reconstruction_error(
    model: MotionTokenizer, data: MotionData, clips: list[np.ndarray]
) -> dict[str, float]:
    """Mean joint error in mm, with each frame's pelvis aligned on the floor and with the path as it is; codes used."""
    aligned, as_is, frames = 0.0, 0.0, 0
    step = model.settings.frames_per_token
    used = [set() for _ in range(model.settings.num_codebooks)]
    for features in clips:
        if len(features) < step:
            continue
        given, made = (clip.joint_positions() for clip in reconstruct(model, data, features))
        cut = torch.from_numpy(features[: len(features) // step * step])[None].to(model.mean.device)
        tokens = model.encode(cut)[0].cpu().numpy()
        for level, codes in enumerate(used):
            codes.update(tokens[:, level].tolist())
        flat = np.array([1.0, 0.0, 1.0])
        difference = made - given
        as_is += np.linalg.norm(difference, axis=-1).mean(-1).sum()
        difference = difference - difference[:, :1] * flat
        aligned += np.linalg.norm(difference, axis=-1).mean(-1).sum()
        frames += len(given)
    shares = [len(codes) / model.settings.codebook_size for codes in used]
    return {
        "joint_error_mm": 1000 * aligned / frames,
        "path_joint_error_mm": 1000 * as_is / frames,
        "least_codebook_use": min(shares),
    }
