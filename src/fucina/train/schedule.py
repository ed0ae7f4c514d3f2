"""How the learning rate rises and falls over a run."""

import math
from typing import Literal

__all__ = ["rate", "warmup_steps"]


def warmup_steps(warmup: float, total: int) -> int:
    """Turn the setting into steps: below 1 a fraction of the run, else a count.

    A warm-up longer than the run is taken as it is: the rate then never reaches its peak.

    Example:
        >>> warmup_steps(0.1, 200), warmup_steps(50, 200), warmup_steps(50, 20)
        (20, 50, 50)
    """
    return min(round(warmup * total), total - 1) if warmup < 1 else round(warmup)


def rate(
    step: int,
    *,
    warmup: int,
    total: int,
    schedule: Literal["cosine", "linear", "constant", "wsd"],
    decay: float = 0.2,
) -> float:
    """The share of the peak learning rate at a step.

    Args:
        step: Steps already taken, 0 to total - 1.
        warmup: Steps of linear rise.
        total: Steps of the run.
        schedule: How it falls afterwards: half a cosine, a line to zero, not at all, or at the end
            alone (wsd: warm-up, stable, decay; Hu et al. 2024).
        decay: Share of all steps over which wsd falls in a line to zero.

    Returns:
        Above 0, at most 1.

    Example:
        >>> [round(rate(s, warmup=2, total=6, schedule="linear"), 2) for s in range(6)]
        [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    if schedule == "wsd":
        return min(1.0, (total - step) / max(1.0, decay * total))
    past = (step - warmup) / max(1, total - warmup)
    return 1.0 - past if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * past))
