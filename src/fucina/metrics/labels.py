"""Scores of label answers, from integer codes so that thousands of resamples are quick."""

import numpy as np

from fucina.errors import DataError

__all__ = ["balanced_accuracy", "confusion", "per_label", "scores"]


def confusion(targets: np.ndarray, answers: np.ndarray, label_count: int) -> np.ndarray:
    """Count answers by true label.

    Args:
        targets: n true labels, 0 to c - 1.
        answers: n answered labels.
        label_count: c.

    Returns:
        c x c counts; rows are true labels, columns answers.

    Raises:
        DataError: There are no rows.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    if not len(targets):
        raise DataError("there are no rows to judge.", fix="Give a test set with labelled rows.")
    cells = np.bincount(targets * label_count + answers, minlength=label_count**2)
    return cells.reshape(label_count, label_count)


def scores(targets: np.ndarray, answers: np.ndarray, label_count: int) -> dict[str, float]:
    """Accuracy, balanced accuracy, and macro precision, recall and F1.

    Averages are over the labels that occur in `targets`; a label never answered has precision 0.

    Example:
        >>> found = scores(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        >>> {name: round(value, 3) for name, value in found.items()}["balanced_accuracy"]
        0.75
    """
    return {
        name: float(values[0])
        for name, values in of_confusions(confusion(targets, answers, label_count)[None]).items()
    }


def balanced_accuracy(targets: np.ndarray, answers: np.ndarray, label_count: int) -> float:
    """The mean recall over the labels that occur in `targets`."""
    return scores(targets, answers, label_count)["balanced_accuracy"]


def of_confusions(tables: np.ndarray) -> dict[str, np.ndarray]:
    """The scores of many confusion tables at once, s x c x c to s values a metric."""
    right = np.diagonal(tables, axis1=1, axis2=2).astype(float)
    support = tables.sum(axis=2)
    answered = tables.sum(axis=1)
    present = support > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(present, right / support, 0.0)
        precision = np.where(answered > 0, right / answered, 0.0)
        f1 = np.where(support + answered > 0, 2 * right / (support + answered), 0.0)
    count = present.sum(axis=1)

    def macro(values: np.ndarray) -> np.ndarray:
        return np.where(present, values, 0.0).sum(axis=1) / count

    return {
        "accuracy": right.sum(axis=1) / support.sum(axis=1),
        "balanced_accuracy": macro(recall),
        "macro_precision": macro(precision),
        "macro_recall": macro(recall),
        "macro_f1": macro(f1),
    }


def per_label(targets: np.ndarray, answers: np.ndarray, label_count: int) -> list[dict[str, float]]:
    """Precision, recall, F1 and support of each label, in the order of the codes.

    Example:
        >>> per_label(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)[1]
        {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666, 'support': 1}
    """
    table = confusion(targets, answers, label_count)
    found = []
    for label in range(label_count):
        right, support, answered = table[label, label], table[label].sum(), table[:, label].sum()
        found.append(
            {
                "precision": float(right / answered) if answered else 0.0,
                "recall": float(right / support) if support else 0.0,
                "f1": float(2 * right / (support + answered)) if support + answered else 0.0,
                "support": int(support),
            }
        )
    return found
