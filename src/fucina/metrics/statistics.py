"""How sure is a score: bootstrap intervals, exact tests."""

import numpy as np
from scipy import stats

from fucina.errors import DataError
from fucina.metrics.calibration import bin_of, row_losses
from fucina.metrics.labels import of_confusions
from fucina.records import Interval

__all__ = ["bootstrap_scores", "mcnemar", "paired_bootstrap_scores", "wilson"]

ECE_BINS = 15
CELLS_AT_ONCE = 4_000_000  # resamples are done in blocks of about this many table cells


def wilson(right: int, rows: int, confidence: float = 0.95) -> Interval:
    """The interval of a share: Wilson's, or the exact one where all or none are right.

    Example:
        >>> print(wilson(90, 100), wilson(25, 25))
        0.900 [0.826, 0.945] 1.000 [0.863, 1.000]
    """
    method = "exact" if right in (0, rows) else "wilson"
    bounds = stats.binomtest(right, rows).proportion_ci(confidence, method=method)
    return Interval(right / rows, float(bounds.low), float(bounds.high))


def mcnemar(right_first: np.ndarray, right_second: np.ndarray) -> float:
    """Exact two-sided McNemar test of two models on the same rows.

    Args:
        right_first: n booleans, whether the first model was right.
        right_second: The same for the second.

    Returns:
        The p-value: how likely a split of the rows on which they differ is by chance.

    Example:
        >>> first = np.array([True] * 3 + [False] * 10)
        >>> round(mcnemar(first, ~first), 5)
        0.09229
    """
    only_first = int((right_first & ~right_second).sum())
    only_second = int((right_second & ~right_first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def bootstrap_scores(
    targets: np.ndarray,
    answers: np.ndarray,
    probabilities: np.ndarray,
    label_count: int,
    *,
    samples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """All label scores, log loss and calibration error with percentile bootstrap intervals.

    Where every answer is right (or wrong) all resamples agree and the interval would have no
    width; there the exact bound of the accuracy is taken for the other label scores too. The
    accuracy itself always has Wilson's interval.

    Args:
        targets: n true labels.
        answers: n answered labels.
        probabilities: n x c.
        label_count: c.
        samples: Resamples.
        seed: Of the resamples.
        confidence: Of the intervals.
    """
    rows = len(targets)
    if not rows:
        raise DataError("there are no rows to judge.", fix="Give a test set with labelled rows.")
    rng = np.random.default_rng(seed)
    losses = row_losses(probabilities, targets)
    sureness = probabilities.max(axis=1)
    place = bin_of(sureness, ECE_BINS)
    gap = sureness - (answers == targets)
    everything = np.arange(rows)[None]
    point = _resample(everything, targets, answers, label_count, losses, place, gap)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in point}
    block = max(1, CELLS_AT_ONCE // max(rows, label_count**2))
    for begin in range(0, samples, block):
        picks = rng.integers(rows, size=(min(block, samples - begin), rows))
        for name, values in _resample(
            picks, targets, answers, label_count, losses, place, gap
        ).items():
            drawn[name].append(values)
    share = wilson(int((answers == targets).sum()), rows, confidence)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    found: dict[str, Interval] = {}
    for name, value in point.items():
        low, high = np.quantile(np.concatenate(drawn[name]), tails)
        if low == high and name not in {"log_loss", "ece"}:
            low, high = min(low, share.low), max(high, share.high)
        found[name] = Interval(float(value[0]), float(low), float(high))
    found["accuracy"] = share
    return found


def paired_bootstrap_scores(
    targets: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    label_count: int,
    *,
    samples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Label scores of the second model minus the first, on resamples of the same rows.

    Args:
        targets: n true labels.
        first: n answers of the first model; -1 is always wrong.
        second: n answers of the second model.
        label_count: c.
        samples: Resamples.
        seed: Of the resamples.
        confidence: Of the intervals.
    """
    rows = len(targets)
    # One more label takes answers outside the known ones; it never occurs as a target.
    first, second = (
        np.where(first < 0, label_count, first),
        np.where(second < 0, label_count, second),
    )
    rng = np.random.default_rng(seed)

    def difference(picks: np.ndarray) -> dict[str, np.ndarray]:
        one = of_confusions(_tables(picks, targets, first, label_count + 1))
        two = of_confusions(_tables(picks, targets, second, label_count + 1))
        return {name: two[name] - one[name] for name in one}

    point = difference(np.arange(rows)[None])
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in point}
    block = max(1, CELLS_AT_ONCE // max(rows, label_count**2))
    for begin in range(0, samples, block):
        picks = rng.integers(rows, size=(min(block, samples - begin), rows))
        for name, values in difference(picks).items():
            drawn[name].append(values)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    return {
        name: Interval(
            float(value[0]), *map(float, np.quantile(np.concatenate(drawn[name]), tails))
        )
        for name, value in point.items()
    }


def _tables(
    picks: np.ndarray, targets: np.ndarray, answers: np.ndarray, label_count: int
) -> np.ndarray:
    """The confusion table of each resample, s x c x c."""
    size = label_count**2
    cells = targets * label_count + answers
    offset = np.arange(len(picks))[:, None] * size
    counts = np.bincount((cells[picks] + offset).ravel(), minlength=len(picks) * size)
    return counts.reshape(len(picks), label_count, label_count)


def _resample(
    picks: np.ndarray,
    targets: np.ndarray,
    answers: np.ndarray,
    label_count: int,
    losses: np.ndarray,
    place: np.ndarray,
    gap: np.ndarray,
) -> dict[str, np.ndarray]:
    found = of_confusions(_tables(picks, targets, answers, label_count))
    found["log_loss"] = losses[picks].mean(axis=1)
    offset = np.arange(len(picks))[:, None] * ECE_BINS
    binned = np.bincount(
        (place[picks] + offset).ravel(), gap[picks].ravel(), minlength=len(picks) * ECE_BINS
    )
    found["ece"] = np.abs(binned.reshape(len(picks), ECE_BINS)).sum(axis=1) / picks.shape[1]
    return found
