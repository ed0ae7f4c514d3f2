"""How strongly a setting is off, as one number."""

import math

from annotated_types import Le

from fucina.config import Settings

__all__ = ["off", "points", "within"]


def off(times: float, evidence: float) -> float:
    """Weigh a setting that is some factor away from the usual one.

    Args:
        times: The factor, above 1; below or at 1 nothing is off.
        evidence: How plainly the run shows it, 0 to 1.

    Example:
        >>> [round(off(times, 1.0), 2) for times in (1, 2, 8, 500)]
        [0.0, 0.5, 0.9, 0.95]
    """
    if times <= 1.05:
        return 0.0
    return min(0.95, 0.3 + 0.2 * math.log2(times)) * min(1.0, max(0.0, evidence))


def points(share: float) -> str:
    """A difference of shares in percentage points.

    Example:
        >>> points(0.123)
        '12 points'
    """
    return f"{100 * share:.0f} points"


def within(section: type[Settings], name: str, value: int) -> int:
    """A whole number that a setting can have: its greatest where it is above.

    Example:
        >>> from fucina.config import ModelConfig
        >>> within(ModelConfig, "max_length_tokens", 100_000)
        32768
    """
    for bound in section.model_fields[name].metadata:
        if isinstance(bound, Le):
            value = min(value, int(str(bound.le)))
    return value
