"""Scores with intervals for a set of predictions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fucina.errors import DataError
from fucina.metrics import bootstrap_scores, confusion, per_label
from fucina.records import Evaluation, Predictions

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["codes", "judge"]


def codes(predictions: Predictions) -> np.ndarray:
    """The true labels as indices into `predictions.labels`.

    Raises:
        DataError: A label was never seen in training.
    """
    index = {label: i for i, label in enumerate(predictions.labels)}
    unknown = sorted(set(predictions.targets) - set(index))
    if unknown:
        raise DataError(
            f"labels never seen in training: {', '.join(unknown[:5])}.",
            fix=f"Remove these rows, or train on them. Known labels: {', '.join(index)}.",
        )
    return np.array([index[target] for target in predictions.targets])


def judge(
    predictions: Predictions,
    config: "EvaluationConfig",
    *,
    name: str,
    seed: int,
    cost: Mapping[str, float] | None = None,
) -> Evaluation:
    """Score predictions against their targets.

    Args:
        predictions: n rows with targets.
        config: Confidence and resamples of the intervals.
        name: What is judged.
        seed: Of the resamples.
        cost: Latency and memory to carry along.
    """
    targets = codes(predictions)
    answers = predictions.probabilities.argmax(axis=1)
    count = len(predictions.labels)
    scores = bootstrap_scores(
        targets,
        answers,
        predictions.probabilities,
        count,
        samples=config.bootstrap_samples,
        seed=seed,
        confidence=config.confidence,
    )
    each = per_label(targets, answers, count)
    return Evaluation(
        name=name,
        scores=scores,
        per_label={label: each[i] for i, label in enumerate(predictions.labels)},
        confusion=tuple(
            tuple(int(cell) for cell in row) for row in confusion(targets, answers, count)
        ),
        labels=predictions.labels,
        rows=len(targets),
        cost=dict(cost or {}),
    )
