"""A task with labels as a part: the model writes the name of the label, and nothing weighs it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from fucina.metrics import mean_of
from fucina.models.free_labels import FREE_LABELS, free_labels
from fucina.records import Example, Grammar, Ratio
from fucina.tasks import Choices, Judging, Task

__all__ = ["in_words"]


def in_words(task: Task) -> Task:
    """A task with labels as one that answers with text.

    Example:
        >>> from fucina.tasks import get
        >>> task = in_words(get("classification"))
        >>> task.answer, task.judging.headline, list(task.judging.baselines)
        ('text', 'balanced_accuracy', ['majority', 'words', 'characters'])
    """
    return replace(
        task,
        answer="text",
        judging=Judging(
            headline="balanced_accuracy",
            scores=_scores,
            baselines={name: partial(_free, name) for name in FREE_LABELS},
        ),
        choices=Choices(grammars={"labels": _known_labels}),
    )


def _scores(answers: Sequence[str], rows: Sequence[Example]) -> Mapping[str, Ratio]:
    """Accuracy, and the mean of the accuracies of single labels."""
    right = np.array([a.strip() == row.target for a, row in zip(answers, rows, strict=True)], float)
    _, places, counts = np.unique(
        [row.target for row in rows], return_inverse=True, return_counts=True
    )
    weights = 1 / counts[places]  # so that each label counts as one
    return {"balanced_accuracy": Ratio(right * weights, weights), "accuracy": mean_of(right)}


def _free(name: str, train: Sequence[Example], rows: Sequence[Example]) -> list[str]:
    labels, targets = np.unique([row.target for row in train], return_inverse=True)
    learned, asked = ([row.prompt for row in side] for side in (train, rows))
    found = free_labels(name, learned, targets, asked, len(labels))
    return [str(labels[place]) for place in found.argmax(axis=1)]


def _known_labels(train: Sequence[Example], rows: Sequence[Example]) -> list[Grammar]:
    """One of the labels that training rows have."""
    names = sorted({row.target for row in train})
    choice = " | ".join(json.dumps(name, ensure_ascii=False) for name in names)
    return [Grammar("lark", f"start: {choice}")] * len(rows)
