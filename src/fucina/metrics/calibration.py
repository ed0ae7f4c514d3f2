"""Does 0.9 mean nine of ten? Losses and calibration of predicted probabilities."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Bin", "expected_calibration_error", "log_loss", "reliability"]

SMALLEST = 1e-12  # a probability of exactly zero would make the log loss infinite


@dataclass(frozen=True)
class Bin:
    """Rows of like confidence: their count, mean confidence and accuracy."""

    count: int
    confidence: float
    accuracy: float


def log_loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The mean of -log p(true label), in nats.

    Args:
        probabilities: n x c, rows sum to 1.
        targets: n true labels.

    Example:
        >>> round(log_loss(np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([0, 0])), 3)
        0.399
    """
    return float(row_losses(probabilities, targets).mean())


def row_losses(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """-log p(true label) of each row, n values."""
    return -np.log(probabilities[np.arange(len(targets)), targets].clip(SMALLEST))


def expected_calibration_error(
    probabilities: np.ndarray, targets: np.ndarray, *, bins: int = 15
) -> float:
    """The gap between confidence and accuracy, averaged over bins of equal width.

    Source: Guo et al., 2017, eq. 3, https://arxiv.org/abs/1706.04599

    Example:
        >>> probabilities = np.array([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.2, 0.8]])
        >>> round(expected_calibration_error(probabilities, np.array([0, 1, 1, 1])), 3)
        0.05
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = bin_of(confidence, bins)
    gap = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(targets))


def reliability(probabilities: np.ndarray, targets: np.ndarray, *, bins: int = 10) -> list[Bin]:
    """The bins of a reliability diagram, from low confidence to high; empty ones are left out."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = bin_of(confidence, bins)
    return [
        Bin(int(own.sum()), float(confidence[own].mean()), float(right[own].mean()))
        for own in (place == index for index in range(bins))
        if own.any()
    ]


def bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Which of the equal bins over (0, 1] a confidence falls into; right edges belong inside."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
