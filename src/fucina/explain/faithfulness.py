"""Whether weights are true: take the heaviest words away, and give them to an empty text.

Source: Petsiuk et al., 2018, https://arxiv.org/abs/1806.07421, who do it to pictures. An area says
little by itself, so the same is done in drawn orders of the words.
"""

from collections.abc import Sequence

import numpy as np

from fucina.explain.question import Question
from fucina.records import Curve, Faithfulness, Progress, silent

__all__ = ["ORDERS", "measure"]

ORDERS = 10  # drawn
CHUNK = 128  # texts between two reports of progress
POINTS = 10  # of a curve at most: a long text loses several words at once


def measure(
    question: Question, weights: np.ndarray, *, seed: int = 0, progress: Progress = silent
) -> Faithfulness:
    """Hold the order of some weights against drawn orders.

    Args:
        question: What is explained.
        weights: W of them.
        seed: Draws the orders.
        progress: Told after each chunk of texts.
    """
    rng = np.random.default_rng(seed)
    count = len(weights)
    orders = [np.argsort(-weights, kind="stable")]
    orders += [rng.permutation(count) for _ in range(ORDERS)]
    points = sorted({round(step) for step in np.linspace(0, count, min(count, POINTS) + 1)})
    texts = [
        question.without(_kept(order, point, there=there))
        for there in (False, True)
        for order in orders
        for point in points
    ]
    # All at once, so that texts of like length are read together.
    for done in range(0, len(texts), CHUNK):
        question.log_likely(texts[done : done + CHUNK])
        progress("holding it against drawn orders", min(done + CHUNK, len(texts)), len(texts))
    curves = np.exp(question.log_likely(texts) / question.parts)
    deleted, inserted = curves.reshape(2, len(orders), len(points))
    gains = area(points, inserted) - area(points, deleted)
    better = float(np.mean(gains[1:] > gains[0] + 1e-9))
    deletion, insertion = (
        Curve(tuple(points), tuple(own[0].tolist()), tuple(own[1:].mean(axis=0).tolist()))
        for own in (deleted, inserted)
    )
    return Faithfulness(deletion, insertion, ORDERS, better)


def _kept(order: np.ndarray, point: int, *, there: bool) -> np.ndarray:
    """The words that are there where the first so many of an order are there, or are not."""
    kept = np.full(len(order), not there)
    kept[order[:point]] = there
    return kept


def area(points: Sequence[int], curves: np.ndarray) -> np.ndarray:
    """The area under each of n curves, in shares of the way.

    Example:
        >>> area([0, 1, 2], np.array([[1.0, 0.2, 0.0]])).tolist()
        [0.35]
    """
    return np.trapezoid(curves, points, axis=-1) / points[-1]
