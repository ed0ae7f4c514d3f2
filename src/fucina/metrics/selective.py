"""Answering only when sure: how many rows are answered, and how many of those answers are wrong."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from fucina.errors import DataError
from fucina.metrics.labels import require_some

__all__ = ["Coverage", "pick_threshold", "risk_coverage"]

STEPS = 20  # thresholds that are tried: those that answer 5 %, 10 %, ... 100 % of the rows


@dataclass(frozen=True)
class Coverage:
    """What happens when only answers of at least a confidence are given.

    Attributes:
        threshold: The confidence.
        coverage: Share of rows that are answered.
        risk: Share of those answers that are wrong.
        bound: What the share of wrong answers stays below on rows of the same kind, with the
            confidence that was asked for, whichever of the thresholds is taken.
    """

    threshold: float
    coverage: float
    risk: float
    bound: float


def risk_coverage(
    confidences: np.ndarray, right: np.ndarray, *, confidence: float = 0.95
) -> list[Coverage]:
    """Follow risk and coverage from the surest answers to all answers.

    The bound is Clopper and Pearson's, with the error probability shared among the thresholds
    (Bonferroni), as in learn-then-test (Angelopoulos et al., 2021,
    https://arxiv.org/abs/2110.01052): it holds for the threshold one picks after looking.

    Args:
        confidences: n, the probability of each answer.
        right: n booleans.
        confidence: How sure the bounds are to hold.

    Returns:
        One point a distinct threshold, coverage rising to 1; at most 20.

    Raises:
        DataError: There are no rows, or the two have different lengths.

    Example:
        >>> sure, right = np.array([0.9, 0.8, 0.6, 0.5]), np.array([True, True, True, False])
        >>> [(p.coverage, p.risk) for p in risk_coverage(sure, right)]
        [(0.25, 0.0), (0.5, 0.0), (0.75, 0.0), (1.0, 0.25)]
    """
    require_some(len(confidences))
    if len(confidences) != len(right):
        raise DataError(
            f"{len(confidences)} confidences for {len(right)} answers.", fix="Give one of each."
        )
    ordered = np.sort(confidences)[::-1]
    wanted = np.ceil(np.arange(1, STEPS + 1) / STEPS * len(ordered)).astype(int)
    thresholds = np.unique(ordered[wanted - 1])[::-1]
    allowed = (1 - confidence) / len(thresholds)
    points = []
    for threshold in thresholds:
        answered = confidences >= threshold
        count, wrong = int(answered.sum()), int((answered & ~right).sum())
        bound = 1.0 if wrong == count else float(stats.beta.isf(allowed, wrong + 1, count - wrong))
        points.append(Coverage(float(threshold), count / len(right), wrong / count, bound))
    return points


def pick_threshold(points: list[Coverage], target: float) -> tuple[Coverage | None, bool]:
    """The threshold that answers most while at most `target` of the answers are wrong.

    Args:
        points: From `risk_coverage`.
        target: Largest share of wrong answers, in 0..1.

    Returns:
        The point, and whether its bound proves the target; where no bound does, the point that
        kept to the target on these rows; None where not even the surest answers did.

    Example:
        >>> sure, right = np.linspace(1, 0, 400), np.arange(400) < 300
        >>> point, proved = pick_threshold(risk_coverage(sure, right), 0.05)
        >>> point.coverage, proved
        (0.75, True)
    """
    for proved, measure in ((True, "bound"), (False, "risk")):
        kept = [point for point in points if getattr(point, measure) <= target]
        if kept:
            return max(kept, key=lambda point: point.coverage), proved
    return None, False
