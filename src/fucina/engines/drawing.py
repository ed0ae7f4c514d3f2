"""Which token is written next, given the scores of all of them."""

from collections.abc import Mapping

import numpy as np

__all__ = ["draw", "log_odds", "most_likely"]


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


def draw(
    scores: np.ndarray,
    *,
    temperature: float,
    top_p: float,
    random: np.random.Generator,
    allowed: np.ndarray | None = None,
) -> int:
    """Choose a token.

    Args:
        scores: Of each token, not normalized.
        temperature: 0 for the most probable.
        top_p: The most probable tokens that hold this share are drawn from.
        random: What draws.
        allowed: Which may be drawn; None for all.

    Example:
        >>> draw(np.array([0.0, 2.0, 1.0]), temperature=0, top_p=1, random=np.random.default_rng())
        1
    """
    scores = scores if allowed is None else np.where(allowed, scores, -np.inf)
    if temperature <= 0:
        return int(scores.argmax())
    odds = np.exp(log_odds(scores / temperature))
    order = np.argsort(-odds, kind="stable")
    before = np.cumsum(odds[order]) - odds[order]  # the first is always drawn from
    kept = order[before < top_p]
    return int(random.choice(kept, p=odds[kept] / odds[kept].sum()))


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
