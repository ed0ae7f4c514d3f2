"""How sure is a share of right rows, when do two shares differ, and what can a test set show."""

import math

import numpy as np
from scipy import stats

from fucina.errors import DataError
from fucina.metrics.labels import require_some
from fucina.records import Interval

__all__ = ["mcnemar", "minimum_detectable_difference", "wilson"]


def wilson(right: int, rows: int, confidence: float = 0.95) -> Interval:
    """The interval of a share: Wilson's, or the exact one where all or none are right.

    At the extremes Wilson's bound is a little too narrow, so Clopper and Pearson's is taken.
    Source: Brown et al., 2001, https://doi.org/10.1214/ss/1009213286

    Example:
        >>> print(wilson(90, 100), wilson(25, 25))
        0.900 [0.826, 0.945] 1.000 [0.863, 1.000]
    """
    require_some(rows)
    method = "exact" if right in (0, rows) else "wilson"
    bounds = stats.binomtest(right, rows).proportion_ci(confidence, method=method)
    return Interval(right / rows, float(bounds.low), float(bounds.high))


def mcnemar(right_first: np.ndarray, right_second: np.ndarray) -> float:
    """Exact two-sided McNemar test of two models on the same rows.

    Args:
        right_first: n booleans, whether the first model was right.
        right_second: The same for the second.

    Returns:
        The p-value: how likely a split at least this uneven of the rows that only one model got
        right is, if neither is better.

    Raises:
        DataError: The two have different numbers of rows.

    Example:
        >>> first = np.array([True] * 3 + [False] * 10)
        >>> round(mcnemar(first, ~first), 5)
        0.09229
    """
    if len(right_first) != len(right_second):
        raise DataError(
            f"{len(right_first)} rows of one model and {len(right_second)} of the other.",
            fix="Judge both models on the same rows.",
        )
    one, two = np.asarray(right_first, dtype=bool), np.asarray(right_second, dtype=bool)
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def minimum_detectable_difference(
    rows: int,
    accuracy: float,
    *,
    disagreement: float | None = None,
    confidence: float = 0.95,
    power: float = 0.8,
) -> float:
    """The smallest difference of two accuracies that a test on `rows` rows will likely show.

    Of the paired test, from the share of rows that only one model gets right.
    Source: Connor, 1987, https://doi.org/10.2307/2531961, solved for the difference.

    Args:
        rows: Size of the test set.
        accuracy: About what both models reach, in 0..1.
        disagreement: The share of rows that only one of them gets right, if known. Without it
            they are taken to err independently, which is careful: real pairs share their errors.
        confidence: 1 minus the p-value that counts as a difference.
        power: How often a difference of this size must be found.

    Returns:
        In 0..1, as accuracy is: a gain above 1 - accuracy cannot be shown on so few rows. It is
        infinite where the test would not count even all rows going one way.

    Example:
        >>> f"{minimum_detectable_difference(300, 0.9):.3f}"
        '0.068'
        >>> f"{minimum_detectable_difference(300, 0.9, disagreement=0.05):.3f}"
        '0.036'
    """
    require_some(rows)
    if 2 * 0.5**rows >= 1 - confidence:
        return math.inf
    alarm, miss = stats.norm.ppf((1 + confidence) / 2), stats.norm.ppf(power)
    unit = alarm * math.sqrt(rows) + miss * math.sqrt(max(0.0, rows + miss**2 - alarm**2))
    unit /= rows + miss**2
    differing = 2 * accuracy * (1 - accuracy) if disagreement is None else disagreement
    # Models cannot differ in accuracy by more than they differ in rows: where the formula says
    # so, the rows that differ all go one way and their share is the difference itself.
    return float(unit * max(math.sqrt(differing), unit))
