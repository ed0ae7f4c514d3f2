"""Does 0.9 mean nine of ten? Losses, calibration, and the temperature that mends it."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from fucina.errors import DataError
from fucina.metrics.labels import require_some

__all__ = [
    "HOTTEST",
    "Bin",
    "apply_temperature",
    "brier",
    "expected_calibration_error",
    "fit_temperature",
    "log_loss",
    "reliability",
]

SMALLEST = 1e-12  # a probability of exactly zero would make the log loss infinite
# Where every row is right the best temperature is 0, where answers are worthless it is infinite.
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Bin:
    """Rows of like confidence: their count, mean confidence and accuracy."""

    count: int
    confidence: float
    accuracy: float


def log_loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The mean of -log p(true label), in nats.

    Args:
        probabilities: n x c, rows sum to 1; below 1e-12 they count as 1e-12.
        targets: n true labels.

    Raises:
        DataError: There are no rows, not one target a row, or a probability is not finite.

    Example:
        >>> round(log_loss(np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([0, 0])), 3)
        0.399
    """
    return float(row_losses(probabilities, targets).mean())


def brier(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The squared distance from the truth, summed over labels: 0 is best, 2 is worst.

    Source: Brier, 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    (scikit-learn halves it for two labels).

    Args:
        probabilities: n x c, rows sum to 1.
        targets: n true labels.

    Example:
        >>> round(brier(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 1])), 3)
        0.2
    """
    require_rows(probabilities, targets)
    truth = np.eye(probabilities.shape[1])[targets]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def expected_calibration_error(
    probabilities: np.ndarray, targets: np.ndarray, *, bins: int = 15
) -> float:
    """The gap between confidence and accuracy, averaged over bins of equal width; in 0..1.

    On few rows it is above zero even for a calibrated model: each bin's accuracy varies.
    Source: Guo et al., 2017, eq. 3, https://arxiv.org/abs/1706.04599

    Args:
        probabilities: n x c, rows sum to 1.
        targets: n true labels.
        bins: How many equal parts the confidence is cut into.

    Example:
        >>> probabilities = np.array([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.2, 0.8]])
        >>> round(expected_calibration_error(probabilities, np.array([0, 1, 1, 1])), 3)
        0.05
    """
    require_rows(probabilities, targets)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = bin_of(confidence, bins)
    gap = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(targets))


def reliability(probabilities: np.ndarray, targets: np.ndarray, *, bins: int = 10) -> list[Bin]:
    """The bins of a reliability diagram, from low confidence to high; empty ones are left out.

    Args:
        probabilities: n x c, rows sum to 1.
        targets: n true labels.
        bins: How many equal parts the confidence is cut into.

    Example:
        >>> reliability(np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))
        [Bin(count=2, confidence=0.75, accuracy=0.5)]
    """
    require_rows(probabilities, targets)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = bin_of(confidence, bins)
    return [
        Bin(int(own.sum()), float(confidence[own].mean()), float(right[own].mean()))
        for own in (place == index for index in range(bins))
        if own.any()
    ]


def fit_temperature(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The temperature at which these rows have the lowest log loss.

    Fit it on rows that the model did not learn from, and judge it on others. Source: Guo et al.,
    2017, section 4.2, https://arxiv.org/abs/1706.04599; log p stands in for the logits, which
    differ from it by a constant a row that the softmax takes away.

    Args:
        probabilities: n x c, rows sum to 1.
        targets: n true labels.

    Returns:
        Above 1 where the model was too sure, below 1 where it was too modest; 0.05 to 20. It is 1
        where no other temperature lowers the log loss of these rows.

    Example:
        >>> sure = np.array([[0.99, 0.01]] * 10)
        >>> temperature = fit_temperature(sure, np.array([0] * 8 + [1] * 2))
        >>> apply_temperature(sure, temperature)[0].round(3).tolist()  # right 8 times of 10
        [0.8, 0.2]
    """
    require_rows(probabilities, targets)

    def loss(log_temperature: float) -> float:
        return log_loss(apply_temperature(probabilities, math.exp(log_temperature)), targets)

    # The loss is convex in 1 / T, so it has one valley in log T too.
    found = optimize.minimize_scalar(
        loss, bounds=(math.log(COLDEST), math.log(HOTTEST)), method="bounded"
    )
    # A search stops near the lowest point, not on it: never hand back what is worse than nothing.
    return math.exp(found.x) if found.fun < log_loss(probabilities, targets) else 1.0


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Make probabilities more even (above 1) or more sure (below 1): softmax(log p / T).

    The order of the labels stays, and with it every answer.

    Args:
        probabilities: n x c, rows sum to 1; below 1e-12 they count as 1e-12.
        temperature: Above 0; at 1 nothing changes.

    Raises:
        DataError: The temperature is not above 0.

    Example:
        >>> apply_temperature(np.array([[0.9, 0.1]]), 2.0).round(2).tolist()
        [[0.75, 0.25]]
    """
    if not 0 < temperature < math.inf:
        raise DataError(
            f"the temperature is {temperature}.", fix="Give a finite number above 0; 1 is neutral."
        )
    scaled = np.log(probabilities.astype(float).clip(SMALLEST)) / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def row_losses(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """-log p(true label) of each row, n values."""
    require_rows(probabilities, targets)
    return -np.log(probabilities[np.arange(len(targets)), targets].clip(SMALLEST))


def bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Which of the equal bins over (0, 1] a confidence falls into; right edges belong inside."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def require_rows(probabilities: np.ndarray, targets: np.ndarray) -> None:
    """Refuse what has no meaning as n rows of probabilities with n targets.

    Raises:
        DataError: There are no rows, not one target a row, a code is out of range, or a
            probability is not finite.
    """
    require_some(len(targets))
    if probabilities.ndim != 2 or len(probabilities) != len(targets):
        raise DataError(
            f"probabilities of shape {probabilities.shape} for {len(targets)} true labels.",
            fix="Give one row of probabilities for each true label.",
        )
    if targets.min() < 0 or targets.max() >= probabilities.shape[1]:
        raise DataError(
            f"true labels from {targets.min()} to {targets.max()}, but probabilities of "
            f"{probabilities.shape[1]} labels.",
            fix="Give true labels as indices into the columns.",
        )
    if not np.isfinite(probabilities).all():
        row = int(np.flatnonzero(~np.isfinite(probabilities).all(axis=1))[0])
        raise DataError(
            f"row {row} has a probability that is not a number: {probabilities[row].tolist()}.",
            fix="Look for a loss that became NaN in training; lower the learning rate.",
        )
