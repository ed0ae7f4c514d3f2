"""How likely tokens are, given the scores of all of them."""

from collections.abc import Mapping

import numpy as np

__all__ = ["log_odds", "most_likely"]


def log_odds(scores: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, in float64.

    Args:
        scores: Of each token, not normalized.

    Example:
        >>> log_odds(np.array([1.0, 1.0])).round(3).tolist()
        [-0.693, -0.693]
    """
    shifted = scores.astype(np.float64) - scores.max()
    return shifted - np.log(np.exp(shifted).sum())


def most_likely(logs: np.ndarray, count: int) -> Mapping[int, float]:
    """The most probable tokens, the first first, to the logarithms of their probabilities.

    Args:
        logs: Of each token.
        count: How many.

    Example:
        >>> most_likely(np.array([-3.0, -0.1, -2.5]), 2)
        {1: -0.1, 2: -2.5}
    """
    if not count:
        return {}
    best = np.argsort(-logs, kind="stable")[:count]
    return {int(token): float(logs[token]) for token in best}
