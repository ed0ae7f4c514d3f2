"""Which rows are weak, and which training rows the worst errors resemble."""

from collections.abc import Sequence

import numpy as np

from fucina.diagnose.case import Case
from fucina.metrics import wilson
from fucina.records import Slice, WorstError

__all__ = ["errors", "slices"]

FEWEST = 5  # rows a slice must have
THIRDS = ("short", "middle", "long")
LIKENESS = ("unlike training", "somewhat like training", "like training")
ERRORS = 10


def slices(case: Case) -> list[Slice]:
    """Accuracy by label, by length and by likeness to training, the weakest first."""
    test = case.test
    right = np.array(test.answers) == np.array(test.targets)
    overall = float(right.mean())
    words = np.array([len(prompt.split()) for prompt in test.prompts], dtype=float)
    parts: list[tuple[str, str, np.ndarray]] = [
        ("label", label, np.array(test.targets) == label) for label in test.labels
    ]
    parts += [("length", *part) for part in _thirds(words, THIRDS)]
    parts += [("likeness", *part) for part in _thirds(case.reference.likeness[:, 0], LIKENESS)]
    found = []
    for kind, name, rows in parts:
        count = int(rows.sum())
        if count >= FEWEST:
            accuracy = wilson(int(right[rows].sum()), count)
            found.append(Slice(kind, name, count, accuracy, accuracy.high < overall))
    return sorted(found, key=lambda part: part.score.value)


def errors(case: Case) -> list[WorstError]:
    """The wrong answers the model was surest of, with the nearest training rows."""
    test, nearest = case.test, case.reference.neighbors
    order = np.argsort(-test.confidences, kind="stable")
    wrong = [int(row) for row in order if test.answers[row] != test.targets[row]]
    rows = case.development.examples
    return [
        WorstError(
            test.prompts[row], test.targets[row], test.answers[row], float(test.confidences[row]),
            tuple(
                (float(like), rows[near].target, rows[near].prompt)
                for near, like in zip(nearest[row], case.reference.likeness[row], strict=True)
            ),
        )
        for row in wrong[:ERRORS]
    ]  # fmt: skip


def _thirds(values: np.ndarray, names: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Cut rows into thirds by a value; equal values stay together."""
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    first, last = values <= low, values > high
    return [(names[0], first), (names[1], ~first & ~last), (names[2], last)]
