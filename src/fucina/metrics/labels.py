"""Scores of label answers, from integer codes so that thousands of resamples are quick.

A label is its code, 0 to c - 1. Numpy alone: importing scikit-learn would cost two seconds; the
tests hold these functions to it.
"""

import numpy as np

from fucina.errors import DataError

__all__ = ["balanced_accuracy", "confusion", "per_label", "scores"]


def confusion(targets: np.ndarray, answers: np.ndarray, label_count: int) -> np.ndarray:
    """Count answers by true label.

    Args:
        targets: n true labels, 0 to c - 1.
        answers: n answered labels, 0 to c - 1.
        label_count: c.

    Returns:
        c x c counts; rows are true labels, columns answers.

    Raises:
        DataError: There are no rows, not one answer a row, or a code is out of range.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    require_codes(targets, answers, label_count)
    cells = np.bincount(cell_of(targets, answers, label_count), minlength=label_count**2)
    return cells.reshape(label_count, label_count)


def scores(targets: np.ndarray, answers: np.ndarray, label_count: int) -> dict[str, float]:
    """Accuracy, balanced accuracy, and macro precision, recall and F1, each in 0..1.

    Averages are over the labels that occur in `targets`: about the others the rows say nothing,
    and a resample that happens to miss a rare label is not punished for it. This is scikit-learn
    with `labels=np.unique(targets), zero_division=0`; where every label occurs it is also its
    `labels=range(label_count)`. A label never answered has precision 0. Macro recall is thus the
    same number as balanced accuracy, under the name that readers of each look for.

    Args:
        targets: n true labels, 0 to c - 1.
        answers: n answered labels, 0 to c - 1.
        label_count: c.

    Example:
        >>> found = scores(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        >>> {name: round(value, 3) for name, value in found.items()}["balanced_accuracy"]
        0.75
    """
    table = confusion(targets, answers, label_count)
    return {name: float(values[0]) for name, values in of_confusions(table[None]).items()}


def balanced_accuracy(targets: np.ndarray, answers: np.ndarray, label_count: int) -> float:
    """The mean recall over the labels that occur in `targets`.

    Example:
        >>> balanced_accuracy(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
        0.75
    """
    return scores(targets, answers, label_count)["balanced_accuracy"]


def per_label(
    targets: np.ndarray, answers: np.ndarray, label_count: int
) -> dict[int, dict[str, float]]:
    """Precision, recall, F1 and support of each label, by its code.

    What has nothing to divide by is 0: the precision of a label never answered, the recall of one
    that does not occur.

    Args:
        targets: n true labels, 0 to c - 1.
        answers: n answered labels, 0 to c - 1.
        label_count: c.

    Example:
        >>> per_label(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)[1]
        {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666, 'support': 1}
    """
    table = confusion(targets, answers, label_count)
    precision, recall, f1 = (rates[0] for rates in _rates(table[None]))
    support = table.sum(axis=1)
    return {
        label: {
            "precision": float(precision[label]),
            "recall": float(recall[label]),
            "f1": float(f1[label]),
            "support": int(support[label]),
        }
        for label in range(label_count)
    }


def of_confusions(tables: np.ndarray) -> dict[str, np.ndarray]:
    """The scores of many confusion tables at once, s x c x c to s values a metric."""
    precision, recall, f1 = _rates(tables)
    support = tables.sum(axis=2)
    present = support > 0

    def macro(rates: np.ndarray) -> np.ndarray:
        return np.where(present, rates, 0.0).sum(axis=1) / present.sum(axis=1)

    right = np.diagonal(tables, axis1=1, axis2=2).astype(float)
    return {
        "accuracy": right.sum(axis=1) / support.sum(axis=1),
        "balanced_accuracy": macro(recall),
        "macro_precision": macro(precision),
        "macro_recall": macro(recall),
        "macro_f1": macro(f1),
    }


def cell_of(targets: np.ndarray, answers: np.ndarray, label_count: int) -> np.ndarray:
    """Where each row falls in the flattened c x c table, n values."""
    # Wide first: codes kept as int8 would overflow in the product without a word.
    return targets.astype(np.int64) * label_count + answers


def require_codes(targets: np.ndarray, answers: np.ndarray, label_count: int) -> None:
    """Refuse what would be counted in the wrong cell.

    Raises:
        DataError: There are no rows, not one answer a row, or a code is out of range.
    """
    require_some(len(targets))
    if len(targets) != len(answers):
        raise DataError(
            f"there are {len(targets)} true labels and {len(answers)} answers.",
            fix="Give one answer for each row, in the same order.",
        )
    for name, codes in (("true label", targets), ("answer", answers)):
        outside = codes[(codes < 0) | (codes >= label_count)]
        if len(outside):
            raise DataError(
                f"{name} {outside[0]} is not a code from 0 to {label_count - 1}.",
                fix="Give labels as indices into the list of labels, and its true length.",
            )


def require_some(rows: int) -> None:
    """Refuse to judge nothing.

    Raises:
        DataError: There are no rows.
    """
    if not rows:
        raise DataError("there are no rows to judge.", fix="Give a test set with labelled rows.")


def _rates(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each label in each table, s x c each."""
    right = np.diagonal(tables, axis1=1, axis2=2).astype(float)
    support, answered = tables.sum(axis=2), tables.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(answered > 0, right / answered, 0.0)
        recall = np.where(support > 0, right / support, 0.0)
        f1 = np.where(support + answered > 0, 2 * right / (support + answered), 0.0)
    return precision, recall, f1
