"""Label more, or stop labelling? A power law through the errors on growing shares of the rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fucina.metrics import count_spans, wilson
from fucina.records import Interval, LearningCurve, Predictions, Spans, Texts

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["learning_curve"]

WORTH = {
    "accuracy": 0.01,
    "f1": 0.01,
    "token_loss": 0.02,
}  # less, for twice the rows, is not worth labelling
LEAST_ERROR = 0.5  # rows; a model without errors still gets a point on a logarithmic scale


def learning_curve(
    rows: Sequence[int],
    answered: Sequence[Predictions] | Sequence[Texts] | Sequence[Spans],
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
        answered: Answers to the same test rows, one a point: labels, whose error is the share of
            wrong ones; texts, whose error is the loss a token; or spans, of which it is 1 - F1.
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
    each, size, metric = _errors(answered)
    count = each.shape[1]

    def errors(picks: np.ndarray) -> np.ndarray:
        return each[:, picks].sum(axis=1) / np.maximum(size[:, picks].sum(axis=1), 1e-9)

    rng = np.random.default_rng(seed)
    drawn = [errors(rng.integers(count, size=count)) for _ in range(config.bootstrap_samples)]
    tails = [(1 - config.confidence) / 2, (1 + config.confidence) / 2]
    low, high = np.quantile([_gain(rows, one, count) for one in drawn], tails)
    whole = errors(np.arange(count))
    gain = Interval(_gain(rows, whole, count), float(low), float(high))
    if metric == "accuracy":
        scores = tuple(wilson(int(count - own.sum()), count, config.confidence) for own in each)
    else:
        bounds = np.quantile(np.array(drawn), tails, axis=0).T
        pairs = zip(whole.tolist(), bounds.tolist(), strict=True)
        found = [Interval(value, low, high) for value, (low, high) in pairs]
        if metric == "f1":  # what people read is the score, not the error
            found = [Interval(1 - own.value, 1 - own.high, 1 - own.low) for own in found]
        scores = tuple(found)
    advice = _advice(rows[-1], gain, metric, count, float(whole[-1]))
    return LearningCurve(tuple(rows), scores, gain, advice, metric)


def _errors(
    answered: Sequence[Predictions] | Sequence[Texts] | Sequence[Spans],
) -> tuple[np.ndarray, np.ndarray, str]:
    """Errors of each point and row, p x n, what each counts, p x n, and what errors are of."""
    spans = [answers for answers in answered if isinstance(answers, Spans)]
    if spans:
        counts = [count_spans(own.answers, own.targets) for own in spans]
        size = np.array([(c.answered + c.true).sum(axis=1) for c in counts])
        return size - 2 * np.array([c.hits.sum(axis=1) for c in counts]), size, "f1"
    texts = [answers for answers in answered if isinstance(answers, Texts)]
    if texts:
        tokens = np.tile(texts[0].tokens, (len(texts), 1))
        return np.array([own.losses for own in texts]), tokens, "token_loss"
    labels = [answers for answers in answered if isinstance(answers, Predictions)]
    wrong = [[a != t for a, t in zip(p.answers, p.targets, strict=True)] for p in labels]
    each = np.array(wrong, dtype=float)
    return each, np.ones(each.shape), "accuracy"


def _gain(rows: Sequence[int], errors: np.ndarray, count: int) -> float:
    """The fall of the error from all rows to twice as many, by the line through the logarithms."""
    heights = np.log(np.maximum(errors, LEAST_ERROR / count))
    # Later points are nearer to what is asked, and smaller trainings are less like the last.
    slope, level = np.polyfit(np.log(rows), heights, 1, w=np.sqrt(np.array(rows, dtype=float)))
    now, then = np.exp(level + slope * np.log([rows[-1], 2 * rows[-1]]))
    return float(now - then)


def _advice(rows: int, gain: Interval, metric: str, count: int, last: float) -> str:
    if metric == "accuracy":
        shown = f"{gain.value:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]"
        told = f"{count} test rows, of which {last:.1%} are wrong"
    elif metric == "f1":
        shown = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] F1"
        told = f"{count} test rows and F1 {1 - last:.3f}"
    else:
        shown = f"{-gain.value:+.2f} [{-gain.high:+.2f}, {-gain.low:+.2f}] nats a token"
        told = f"{count} test rows and a loss of {last:.2f}"
    if gain.high < WORTH[metric]:
        return f"Stop labelling: {rows} more rows should give {shown}."
    if gain.low > 0 and gain.value >= WORTH[metric]:
        return f"Label about {rows} more for {shown}."
    return f"{rows} more rows should give {shown}: too uncertain to tell with {told}."
