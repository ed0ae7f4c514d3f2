"""Label more, or stop labelling? A power law through the errors on growing shares of the rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fucina.metrics import wilson
from fucina.records import Interval, LearningCurve, Predictions

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["learning_curve"]

WORTH = 0.01  # of accuracy, for twice the rows; less is not worth labelling for
LEAST_ERROR = 0.5  # rows; a model without errors still gets a point on a logarithmic scale


def learning_curve(
    rows: Sequence[int],
    answered: Sequence[Predictions],
    config: "EvaluationConfig",
    *,
    seed: int,
) -> LearningCurve:
    """Fit error = b rows^-c and say what twice the rows should give.

    Errors of learning systems fall about as a power of the rows they learn from (Hestness et al.,
    2017, https://arxiv.org/abs/1712.00409); the law has no floor here, so where errors will soon
    stop falling the gain is an upper estimate. The interval comes from resampled test rows, the
    same for all points.

    Args:
        rows: Training rows of each point, rising.
        answered: Predictions on the same test rows, one a point.
        config: Resamples and confidence.
        seed: Of the resamples.

    Example:
        >>> from fucina.config import EvaluationConfig
        >>> def answers(wrong):
        ...     p = np.array([[0.0, 1.0]] * wrong + [[1.0, 0.0]] * (400 - wrong))
        ...     return Predictions(("a", "b"), p, ("a",) * 400, ("",) * 400)
        >>> curve = learning_curve([50, 100, 200, 400], [answers(n) for n in (160, 113, 80, 57)],
        ...                        EvaluationConfig(), seed=0)
        >>> round(curve.gain.value, 2)  # errors fall by a factor of 1.41 with twice the rows
        0.04
    """
    wrong = np.array(
        [[a != t for a, t in zip(p.answers, p.targets, strict=True)] for p in answered], dtype=float
    )
    count = wrong.shape[1]
    rng = np.random.default_rng(seed)
    gains = [
        _gain(rows, wrong[:, rng.integers(count, size=count)].mean(axis=1), count)
        for _ in range(config.bootstrap_samples)
    ]
    tails = [(1 - config.confidence) / 2, (1 + config.confidence) / 2]
    low, high = np.quantile(gains, tails)
    gain = Interval(_gain(rows, wrong.mean(axis=1), count), float(low), float(high))
    accuracy = tuple(wilson(int(count - own.sum()), count, config.confidence) for own in wrong)
    return LearningCurve(tuple(rows), accuracy, gain, _advice(rows[-1], gain, wrong))


def _gain(rows: Sequence[int], errors: np.ndarray, count: int) -> float:
    """The fall of the error from all rows to twice as many, by the line through the logarithms."""
    heights = np.log(np.maximum(errors, LEAST_ERROR / count))
    # Later points are nearer to what is asked, and smaller trainings are less like the last.
    slope, level = np.polyfit(np.log(rows), heights, 1, w=np.sqrt(np.array(rows, dtype=float)))
    now, then = np.exp(level + slope * np.log([rows[-1], 2 * rows[-1]]))
    return float(np.clip(now - then, -1, 1))


def _advice(rows: int, gain: Interval, wrong: np.ndarray) -> str:
    shown = f"{gain.value:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]"
    if gain.high < WORTH:
        return f"Stop labelling: {rows} more rows should give {shown}."
    if gain.low > 0 and gain.value >= WORTH:
        return f"Label about {rows} more for {shown}."
    last = float(wrong[-1].mean())
    return (
        f"{rows} more rows should give {shown}: too uncertain to tell with {wrong.shape[1]} test "
        f"rows, of which {last:.1%} are wrong."
    )
