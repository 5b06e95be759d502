"""The learning rate over time: warm-up, then cosine decay. Computed from the step alone, so a checkpoint need not hold
it.
"""

from __future__ import annotations

import math


def learning_rate_factor(
    step: int, *, steps: int, warmup_steps: int, decay: str = "cosine", final_ratio: float = 0.0
) -> float:
    """What the learning rate is multiplied by at ``step`` (counted from 0).

    Rises linearly over ``warmup_steps``, then stays (``"constant"``) or falls along half a cosine wave to
    ``final_ratio`` at the last step.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if decay == "constant":
        return 1.0
    progress = min(1.0, (step - warmup_steps) / max(1, steps - 1 - warmup_steps))
    return final_ratio + (1 - final_ratio) * 0.5 * (1 + math.cos(math.pi * progress))
