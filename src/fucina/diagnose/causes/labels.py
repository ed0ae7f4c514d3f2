"""Causes in the labels: wrong ones, labels nobody can tell apart, texts with two labels."""

from collections import Counter

import numpy as np

from fucina.diagnose.case import Case
from fucina.diagnose.causes.weights import points
from fucina.metrics import flipped_share, wilson
from fucina.records import Cause, Predictions

__all__ = ["confusable_labels", "contradictions", "label_noise"]

NOISE = 0.06  # estimated share of wrong labels that is worth saying
COIN = 0.28  # share that is surely exceeded before two labels count as one
FEWEST = 8  # rows that get the other of two labels
KNOWN = 8  # training rows of a label; with fewer it may only be unlearnt
SHOWN = 5


def label_noise(case: Case) -> Cause | None:
    """Labels that are far down the list where models that never saw the row are sure."""
    answers = _best_answers(case)
    index = {label: i for i, label in enumerate(answers.labels)}
    given = np.array([index[target] for target in answers.targets])
    share = flipped_share(answers.probabilities, given)
    if share < NOISE:
        return None
    own = answers.probabilities[np.arange(len(given)), given]
    wrong = answers.probabilities.argmax(axis=1) != given
    suspects = np.flatnonzero(wrong)[np.argsort(own[wrong], kind="stable")]
    suspects = suspects[: round(share * len(given))]
    origin = {example.prompt: example.origin for example in case.development.examples}
    shown = tuple(
        f"{origin.get(answers.prompts[row], '?')}: {answers.targets[row]}, or "
        f"{answers.answers[row]} ({answers.confidences[row]:.0%}): {answers.prompts[row]}"
        for row in suspects[:SHOWN]
    )
    return Cause(
        "label_noise",
        float(np.clip(0.3 + 4.0 * (share - NOISE), 0, 0.96)),
        f"About {share:.0%} of the labels look wrong: models that never saw these rows are sure of "
        "another label.",
        shown,
        f"Read the {len(suspects)} rows that fucina audit lists as label_noise, the worst first, "
        "and mend them; or leave them out.",
        f"up to {points(share / 2)}; the test score counts wrong test labels as errors too.",
        repairs={
            origin[answers.prompts[row]]: None for row in suspects if answers.prompts[row] in origin
        },
    )


def confusable_labels(case: Case) -> Cause | None:
    """Two labels that answers tell apart hardly better than a coin.

    Of the rows of either label that get one of the two as answer, about half get the wrong one
    where nothing divides the labels; labels that are merely alike stay far below.
    """
    rows: Counter[str] = Counter()
    right: Counter[str] = Counter()
    mixed: Counter[tuple[str, str]] = Counter()
    for answers in (_best_answers(case), case.test):
        rows.update(answers.targets)
        for answer, target in zip(answers.answers, answers.targets, strict=True):
            right[target] += answer == target
            if answer != target:
                mixed[min(answer, target), max(answer, target)] += 1
    low = {
        (one, other): wilson(count, count + right[one] + right[other]).low
        for (one, other), count in mixed.items()
        if count >= FEWEST and min(case.counts[one], case.counts[other]) >= KNOWN
    }
    if len(rows) < 3 or not low or max(low.values()) < COIN:
        return None
    one, other = max(low, key=low.__getitem__)
    count, both = mixed[one, other], rows[one] + rows[other]
    share = count / (count + right[one] + right[other])
    return Cause(
        "confusable_labels",
        float(np.clip(0.62 + 1.5 * (low[one, other] - COIN), 0, 0.95)),
        f"{one} and {other} cannot be told apart: of the rows that get either answer {share:.0%} "
        "get the wrong one, and a coin would give half.",
        (f"{count} of {both} rows of the two labels, held-out and test, get the other one",),
        f"Merge {one} and {other}, or write down what divides them and label their rows again.",
        f"about {points(count / max(1, sum(rows.values())))} when merged.",
    )


def contradictions(case: Case) -> Cause | None:
    """The same text with two labels."""
    labels: dict[str, set[str]] = {}
    for example in case.development.examples:
        labels.setdefault(" ".join(example.prompt.casefold().split()), set()).add(example.target)
    both = {text for text, own in labels.items() if len(own) > 1}
    rows = [
        example
        for example in case.development.examples
        if " ".join(example.prompt.casefold().split()) in both
    ]
    share = len(rows) / max(1, len(case.development))
    if share < 0.02:
        return None
    return Cause(
        "contradictions",
        float(np.clip(0.45 + 2.5 * share, 0, 0.97)),
        f"{len(rows)} training rows ({share:.0%}) have a text that stands there with another label "
        "too.",
        tuple(f"{e.origin}: {e.target}: {e.prompt}" for e in rows[:SHOWN]),
        "Decide for one label a text (fucina audit lists them); until then leave these rows out.",
        f"up to {points(share / 2)}.",
        repairs={example.origin: None for example in rows},
    )


def _best_answers(case: Case) -> Predictions:
    """Out-of-fold answers of the model where it has folds, else those of the linear models."""
    if case.recipe.folds.count > 1 and case.facts["model"]["rows"]:
        return case.held_out
    return case.reference.answers
