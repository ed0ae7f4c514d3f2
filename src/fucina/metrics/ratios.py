"""Scores that are one sum over rows divided by another: means, shares, precision, recall, F1."""

from collections.abc import Sequence

import numpy as np

from fucina.metrics.proportions import wilson
from fucina.metrics.statistics import CELLS_AT_ONCE, bootstrap, paired_bootstrap
from fucina.records import Interval, Ratio

__all__ = ["matches", "mean_of", "paired_ratio", "ratio_interval", "swaps", "value_of"]


def mean_of(values: Sequence[float] | np.ndarray) -> Ratio:
    """The mean of n rows as a ratio."""
    numbers = np.asarray(values, dtype=float)
    return Ratio(numbers, np.ones(len(numbers)))


def matches(
    hits: Sequence[int] | np.ndarray,
    answered: Sequence[int] | np.ndarray,
    true: Sequence[int] | np.ndarray,
) -> dict[str, Ratio]:
    """Precision, recall and F1 over all rows together, of counts in each row.

    Args:
        hits: n counts of what was answered and is true.
        answered: n counts of what was answered.
        true: n counts of what is true.

    Example:
        >>> found = matches([1, 0], [1, 1], [2, 0])
        >>> {name: round(value_of(ratio), 2) for name, ratio in found.items()}
        {'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
    """
    right, said, wanted = (np.asarray(part, dtype=float) for part in (hits, answered, true))
    return {
        "precision": Ratio(right, said),
        "recall": Ratio(right, wanted),
        "f1": Ratio(2 * right, said + wanted),
    }


def value_of(ratio: Ratio, picks: np.ndarray | slice = slice(None)) -> float:
    """The score of some rows; 0 where nothing could be gained."""
    possible = float(ratio.possible[picks].sum())
    return float(ratio.gained[picks].sum()) / possible if possible else 0.0


def ratio_interval(
    ratio: Ratio, *, samples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The score with its interval: Wilson's of a share of rows that count, else the bootstrap's.

    Args:
        ratio: Of n rows.
        samples: Resamples.
        seed: Of the resamples.
        confidence: Of the interval.

    Example:
        >>> print(ratio_interval(mean_of([1.0] * 9 + [0.0])))
        0.900 [0.596, 0.982]
        >>> print(ratio_interval(Ratio(np.array([1.0, 0.0]), np.array([1.0, 0.0]))))  # 1 of 1
        1.000 [0.025, 1.000]
    """
    whole = np.isin(ratio.gained, (0, 1)).all() and np.isin(ratio.possible, (0, 1)).all()
    if whole and (ratio.gained <= ratio.possible).all() and ratio.possible.any():
        return wilson(int(ratio.gained.sum()), int(ratio.possible.sum()), confidence)
    return bootstrap(
        lambda picks: value_of(ratio, picks), len(ratio.gained), samples=samples, seed=seed,
        confidence=confidence,
    )  # fmt: skip


def paired_ratio(
    one: Ratio, two: Ratio, *, samples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The difference of two models on the same rows, second minus first, with its interval."""
    return paired_bootstrap(
        lambda picks: (value_of(one, picks), value_of(two, picks)), len(one.gained),
        samples=samples, seed=seed, confidence=confidence,
    )  # fmt: skip


def swaps(one: Ratio, two: Ratio, *, samples: int = 10_000, seed: int = 0) -> float:
    """The p value of a difference: how often models that swap answers at random differ as much.

    Of means it is the test that flips signs. Source: approximate randomization, Yeh, 2000,
    https://aclanthology.org/C00-2137/

    Args:
        one: Of the first model, n rows.
        two: Of the second, the same rows.
        samples: Random swaps; the observed answers count as one more.
        seed: Of the swaps.

    Example:
        >>> low, high = mean_of([0.0] * 20), mean_of([1.0] * 20)
        >>> swaps(low, high) < 0.001, swaps(low, low)
        (True, 1.0)
    """
    rng = np.random.default_rng(seed)
    rows, far = len(one.gained), 0
    observed = abs(value_of(two) - value_of(one))
    gained = np.array([one.gained, two.gained])
    possible = np.array([one.possible, two.possible])
    block = max(1, CELLS_AT_ONCE // max(rows, 1))
    for begin in range(0, samples, block):
        count = min(block, samples - begin)
        swap = rng.integers(2, size=(count, rows)).astype(float)
        first = _scores(swap, gained, possible)
        second = _scores(1 - swap, gained, possible)
        far += int((np.abs(second - first) >= observed - 1e-12).sum())
    return (far + 1) / (samples + 1)


def _scores(swap: np.ndarray, gained: np.ndarray, possible: np.ndarray) -> np.ndarray:
    """The score where rows marked 1 are of the second model and the others of the first."""
    above = (1 - swap) @ gained[0] + swap @ gained[1]
    below = (1 - swap) @ possible[0] + swap @ possible[1]
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
