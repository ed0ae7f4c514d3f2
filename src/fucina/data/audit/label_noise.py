"""Labels that are probably wrong, by the answers of models that never saw the row."""

import numpy as np

from fucina.data.audit.subject import Subject, shown
from fucina.metrics import flipped_share
from fucina.records import Finding, Predictions

__all__ = ["check", "suspects"]

WORTH_SAYING = 0.02  # share of wrong labels below which it is a note


def check(subject: Subject) -> list[Finding]:
    """Confident learning on the out-of-fold answers of a k-fold run, where there is one."""
    if subject.out_of_fold is None:
        return []
    given = {example.prompt: example for example in subject.train.examples}
    known = subject.out_of_fold
    kept = [
        row
        for row, (prompt, target) in enumerate(zip(known.prompts, known.targets, strict=True))
        if prompt in given and given[prompt].target == target
    ]
    if len(kept) < len(subject.train) / 2:
        return []  # the run was on other rows
    answers = Predictions(
        known.labels, known.probabilities[kept],
        tuple(known.targets[row] for row in kept), tuple(known.prompts[row] for row in kept),
    )  # fmt: skip
    rows, share = suspects(answers)
    if not len(rows):
        return []
    index = {label: i for i, label in enumerate(answers.labels)}
    targets = np.array([index[target] for target in answers.targets])
    flipped = flipped_share(answers.probabilities, targets)
    origins = tuple(given[answers.prompts[row]].origin for row in rows)
    said, sure = answers.answers, answers.confidences
    return [
        Finding(
            "label_noise", "warning" if flipped >= WORTH_SAYING else "note",
            f"about {flipped:.1%} of the labels look drawn at random, up to {share:.1%} wrong when "
            f"labels that are alike count too; {len(rows)} rows are worth a look, the worst first "
            f"({shown(origins)}).",
            "Read them in this order and mend what is wrong; stop when ten in a row are right.",
            origins,
            tuple(
                f"{answers.targets[row]}, or {said[row]} ({sure[row]:.0%}): {answers.prompts[row]}"
                for row in rows
            ),
        )
    ]  # fmt: skip


def suspects(answers: Predictions) -> tuple[np.ndarray, float]:
    """Find rows whose label the models contradict with confidence.

    Confident learning (Northcutt, Jiang, Chuang, JAIR 2021): a row counts for label j when its
    probability of j is at least the mean that rows given j have; the rows that count for another
    label than their own are suspects. The share is the off-diagonal part of that joint table,
    scaled to the counts of the given labels.

    Args:
        answers: Out-of-fold, n x c, with targets.

    Returns:
        Rows, the least probable label first; and the estimated share of wrong labels.

    Example:
        >>> probabilities = np.array([[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5)
        >>> targets = ("a",) * 4 + ("b",) * 6
        >>> rows, share = suspects(Predictions(("a", "b"), probabilities, targets, ("",) * 10))
        >>> rows.tolist(), round(share, 3)
        ([4], 0.1)
    """
    index = {label: i for i, label in enumerate(answers.labels)}
    given = np.array([index[target] for target in answers.targets])
    p = answers.probabilities
    labels = np.unique(given)
    usual = np.full(p.shape[1], np.inf)
    usual[labels] = [p[given == label, label].mean() for label in labels]
    confident = p >= usual
    counted = confident.any(axis=1)
    likely = np.where(confident, p, -1.0).argmax(axis=1)
    joint = np.zeros((p.shape[1], p.shape[1]))
    np.add.at(joint, (given[counted], likely[counted]), 1)
    sums = joint.sum(axis=1, keepdims=True)
    joint *= np.bincount(given, minlength=p.shape[1])[:, None] / np.maximum(sums, 1)
    share = 1 - float(np.trace(joint) / max(joint.sum(), 1))
    wrong = np.flatnonzero(counted & (likely != given))
    own = p[wrong, given[wrong]]
    return wrong[np.argsort(own, kind="stable")], share
