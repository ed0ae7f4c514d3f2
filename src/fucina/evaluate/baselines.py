"""Baselines for free: what the same rows give without any fine-tuning."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fucina.models.free_labels import free_labels, regress
from fucina.records import Dataset, Predictions
from fucina.rules import Rules

__all__ = ["baseline"]

Features = Callable[[Sequence[str]], np.ndarray]


def baseline(
    name: str,
    train: Dataset,
    test: Dataset,
    labels: tuple[str, ...],
    *,
    features: Features,
    rules: Rules | None = None,
) -> Predictions:
    """Fit one baseline on the training rows and answer the test rows.

    Args:
        name: One of `models.free_labels`; `frozen`: logistic regression on the pooled vectors of
            the base model; `rules`: a user's rule file.
        train: The same rows the model learnt from.
        test: The rows to answer.
        labels: The c label names.
        features: Gives pooled vectors of texts, n x d.
        rules: The user's rules, for `rules`.
    """
    if name == "rules" and rules is not None:
        return replace(rules.label(test.prompts, labels), targets=tuple(test.targets))
    index = {label: i for i, label in enumerate(labels)}
    targets = np.array([index[target] for target in train.targets])
    if name == "frozen":
        vectors = features(train.prompts), features(test.prompts)
        probabilities = regress(vectors[0], targets, vectors[1], len(labels))
    else:
        probabilities = free_labels(name, train.prompts, targets, test.prompts, len(labels))
    return Predictions(labels, probabilities, tuple(test.targets), tuple(test.prompts))
