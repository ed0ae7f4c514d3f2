"""How sure is a score, or a difference of two models: bootstrap intervals."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fucina.metrics.calibration import bin_of, row_losses
from fucina.metrics.labels import cell_of, of_confusions, require_codes, require_some
from fucina.metrics.proportions import wilson
from fucina.records import Interval

__all__ = [
    "bootstrap",
    "bootstrap_scores",
    "paired_bootstrap",
    "paired_bootstrap_scores",
    "sign_flips",
]

ECE_BINS = 15
CELLS_AT_ONCE = 4_000_000  # resamples are done in blocks of about this many table cells
WIDENED = ("balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    rows: int,
    *,
    samples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """The percentile bootstrap interval of any statistic of rows.

    It has no width where all resamples agree, as for a perfect score; of a share use `wilson`.

    Args:
        statistic: Takes n row numbers, some of them repeated, and gives a number.
        rows: n.
        samples: Resamples.
        seed: Of the resamples.
        confidence: Of the interval.

    Example:
        >>> values = np.arange(100.0)
        >>> print(bootstrap(lambda picks: values[picks].mean(), len(values)))
        49.500 [43.819, 54.951]
    """
    require_some(rows)
    rng = np.random.default_rng(seed)
    drawn = [float(statistic(rng.integers(rows, size=rows))) for _ in range(samples)]
    low, high = np.quantile(drawn, _tails(confidence))
    return Interval(float(statistic(np.arange(rows))), float(low), float(high))


def paired_bootstrap(
    statistic: Callable[[np.ndarray], tuple[float, float]],
    rows: int,
    *,
    samples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """The interval of a difference of two models, second minus first, on the same resamples.

    What makes a row hard is hard for both and cancels out, so this is narrower than two intervals.

    Args:
        statistic: Takes n row numbers, some of them repeated, and gives the number of each model.
        rows: n.
        samples: Resamples.
        seed: Of the resamples.
        confidence: Of the interval.

    Example:
        >>> first, second = np.arange(100.0), np.arange(100.0) + 2
        >>> print(paired_bootstrap(lambda picks: (first[picks].mean(), second[picks].mean()), 100))
        2.000 [2.000, 2.000]
    """

    def difference(picks: np.ndarray) -> float:
        first, second = statistic(picks)
        return second - first

    return bootstrap(difference, rows, samples=samples, seed=seed, confidence=confidence)


def sign_flips(differences: np.ndarray, *, samples: int = 10_000, seed: int = 0) -> float:
    """The p value of a paired difference: how often random signs give a sum as far from zero.

    Args:
        differences: n differences of two models on the same rows.
        samples: Random sets of signs; the observed one counts as one more.
        seed: Of the signs.

    Example:
        >>> sign_flips(np.ones(20)) < 0.001, sign_flips(np.array([1.0, -1.0, 0.5, -0.5]))
        (True, 1.0)
    """
    require_some(len(differences))
    rng = np.random.default_rng(seed)
    observed, far = abs(differences.sum()), 0
    block = max(1, CELLS_AT_ONCE // len(differences))
    for begin in range(0, samples, block):
        count = min(block, samples - begin)
        signs = 1.0 - 2.0 * rng.integers(2, size=(count, len(differences)))
        far += int((np.abs(signs @ differences) >= observed - 1e-12).sum())
    return (far + 1) / (samples + 1)


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

    The accuracy has Wilson's interval. Another label score of exactly 1 or 0 on which all
    resamples agree would have no width: there its end takes the exact bound of the rows that were
    right (or of all, when none was). That bound is of the mean row; a label with few rows can be
    worse than it says. The calibration error of few rows is biased upwards and that of resamples
    more so: its interval says how much it varies, and can lie above the value.

    Args:
        targets: n true labels.
        answers: n answered labels.
        probabilities: n x c.
        label_count: c.
        samples: Resamples.
        seed: Of the resamples.
        confidence: Of the intervals.

    Example:
        >>> targets = np.arange(30) % 3
        >>> found = bootstrap_scores(targets, targets, np.eye(3)[targets], 3)
        >>> print(found["macro_f1"], found["log_loss"])
        1.000 [0.884, 1.000] 0.000 [0.000, 0.000]
    """
    require_codes(targets, answers, label_count)
    rows, right = len(targets), int((answers == targets).sum())
    losses = row_losses(probabilities, targets)
    sureness = probabilities.max(axis=1)
    place, gap = bin_of(sureness, ECE_BINS), sureness - (answers == targets)

    def resample(picks: np.ndarray) -> dict[str, np.ndarray]:
        found = of_confusions(_tables(picks, targets, answers, label_count))
        found["log_loss"] = losses[picks].mean(axis=1)
        offset = np.arange(len(picks))[:, None] * ECE_BINS
        binned = np.bincount(
            (place[picks] + offset).ravel(), gap[picks].ravel(), minlength=len(picks) * ECE_BINS
        )
        found["ece"] = np.abs(binned.reshape(len(picks), ECE_BINS)).sum(axis=1) / rows
        return found

    block = _block(rows, label_count)
    found = _intervals(resample, rows, block, samples=samples, seed=seed, confidence=confidence)
    found["accuracy"] = wilson(right, rows, confidence)
    for name in WIDENED:
        score = found[name]
        # Only at a bound: one answer for all rows has balanced accuracy 1 / c, and surely so.
        if score.value == score.low == 1:
            found[name] = replace(score, low=wilson(right, right, confidence).low)
        elif score.value == score.high == 0:
            found[name] = replace(score, high=found["accuracy"].high)
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
        second: n answers of the second model; -1 is always wrong.
        label_count: c.
        samples: Resamples.
        seed: Of the resamples.
        confidence: Of the intervals.

    Example:
        >>> targets, half = np.arange(40) % 2, np.zeros(40, dtype=int)
        >>> print(paired_bootstrap_scores(targets, half, targets, 2)["accuracy"])
        0.500 [0.350, 0.650]
    """
    require_codes(targets, targets, label_count)
    # One more label takes answers outside the known ones; it never occurs as a target.
    first, second = (np.where(side < 0, label_count, side) for side in (first, second))
    for side in (first, second):
        require_codes(targets, side, label_count + 1)

    def resample(picks: np.ndarray) -> dict[str, np.ndarray]:
        one = of_confusions(_tables(picks, targets, first, label_count + 1))
        two = of_confusions(_tables(picks, targets, second, label_count + 1))
        return {name: two[name] - one[name] for name in one}

    rows, block = len(targets), _block(len(targets), label_count)
    return _intervals(resample, rows, block, samples=samples, seed=seed, confidence=confidence)


def _intervals(
    resample: Callable[[np.ndarray], dict[str, np.ndarray]],
    rows: int,
    block: int,
    *,
    samples: int,
    seed: int,
    confidence: float,
) -> dict[str, Interval]:
    """Percentile intervals of scores that come s resamples at once, from s x n row numbers."""
    point = resample(np.arange(rows)[None])
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in point}
    rng = np.random.default_rng(seed)
    for begin in range(0, samples, block):
        picks = rng.integers(rows, size=(min(block, samples - begin), rows))
        for name, values in resample(picks).items():
            drawn[name].append(values)
    found = {}
    for name, value in point.items():
        low, high = np.quantile(np.concatenate(drawn[name]), _tails(confidence))
        found[name] = Interval(float(value[0]), float(low), float(high))
    return found


def _tables(
    picks: np.ndarray, targets: np.ndarray, answers: np.ndarray, label_count: int
) -> np.ndarray:
    """The confusion table of each resample, s x c x c."""
    size = label_count**2
    offset = np.arange(len(picks))[:, None] * size
    cells = cell_of(targets, answers, label_count)[picks] + offset
    counts = np.bincount(cells.ravel(), minlength=len(picks) * size)
    return counts.reshape(len(picks), label_count, label_count)


def _block(rows: int, label_count: int) -> int:
    return max(1, CELLS_AT_ONCE // max(rows, label_count**2))


def _tails(confidence: float) -> list[float]:
    return [(1 - confidence) / 2, (1 + confidence) / 2]
