"""Forward kinematics in torch, for training losses; ``kinematics`` in NumPy is the specification."""

from __future__ import annotations

import torch
from torch import Tensor

from ..skeleton import PARENTS, REST_OFFSETS


def matrices_from_6d(values: Tensor) -> Tensor:
    """Gram-Schmidt on two 3-vectors. [..., 6] -> rotation matrices [..., 3, 3] (columns are the axes)."""
    x = torch.nn.functional.normalize(values[..., :3], dim=-1)
    y = values[..., 3:] - (x * values[..., 3:]).sum(-1, keepdim=True) * x
    y = torch.nn.functional.normalize(y, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def joint_positions(local_rotations: Tensor) -> Tensor:
    """Positions against the pelvis from local rotations in 6-D. [..., 22, 6] -> [..., 22, 3] metres.

    Joints are walked level by level, so that the whole body takes 9 small matrix products.
    """
    local = matrices_from_6d(local_rotations)
    offsets = torch.tensor(REST_OFFSETS, dtype=local.dtype, device=local.device)
    world: dict[int, Tensor] = {0: local[..., 0, :, :]}
    positions: dict[int, Tensor] = {0: torch.zeros_like(local[..., 0, :, 0])}
    waiting = list(range(1, len(PARENTS)))
    while waiting:
        level = [joint for joint in waiting if PARENTS[joint] in world]
        parents = torch.stack([world[PARENTS[joint]] for joint in level], dim=-3)
        moved = (parents @ offsets[level][..., None])[..., 0]
        turned = parents @ local[..., level, :, :]
        for index, joint in enumerate(level):
            positions[joint] = positions[PARENTS[joint]] + moved[..., index, :]
            world[joint] = turned[..., index, :, :]
        waiting = [joint for joint in waiting if joint not in world]
    return torch.stack([positions[joint] for joint in range(len(PARENTS))], dim=-2)
