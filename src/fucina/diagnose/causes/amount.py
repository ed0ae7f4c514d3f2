"""Causes in how many rows there are: to learn from, of each label, and to judge on."""

import numpy as np

from fucina.diagnose.case import Case
from fucina.diagnose.causes.weights import off, points
from fucina.records import Cause

__all__ = ["class_imbalance", "test_too_small", "too_few_examples", "validation_too_small"]

ENOUGH = 40  # rows a label
SCARCE = 12
UNEVEN = 5.0  # times as many rows
FOLDS = 5


def too_few_examples(case: Case) -> Cause | None:
    """Few rows a label, and more would help: the linear models lose a lot with half of them."""
    rows = sorted(case.counts.values())
    middle = float(np.median(rows)) if rows else 0.0
    whole = case.reference_accuracy
    slope = whole - case.reference.half
    uneven = rows and rows[-1] >= UNEVEN * max(1, rows[0])  # then another cause says it better
    evidence = float(np.clip(0.35 + slope / 0.08 + 0.5 * (1 - whole), 0, 1))
    if middle < SCARCE:
        evidence = max(evidence, 0.9)  # so few that the slope itself is chance
    evidence *= 0.6 if uneven else 1.0
    if whole > 0.93:
        evidence *= 0.4  # what there is suffices
    weight = off(ENOUGH / max(1.0, middle), evidence)
    if not weight:
        return None
    return Cause(
        "too_few_examples",
        weight,
        f"A label has {middle:.0f} training rows in the middle, the fewest {rows[0]}; "
        f"{ENOUGH} and more are usual.",
        (f"linear models out of fold: {case.reference.half:.1%} right with half of the rows, "
         f"{whole:.1%} with all",
         f"{case.train_rows} training rows for {len(rows)} labels"),
        f"Label about {max(1, ENOUGH - int(middle)) * len(rows)} more rows, the rarest labels "
        "first; until then train every fold and average.",
        f"about {points(max(0.01, slope))} for twice the rows, if the curve goes on as from half "
        "to all.",
        {"folds.count": FOLDS}
        | ({} if case.by_words else {"training.start": "floor", "model.lexical": True}),
    )  # fmt: skip


def class_imbalance(case: Case) -> Cause | None:
    """Some labels have many times the rows of others, which are hardly ever answered."""
    counts = case.counts
    if len(counts) < 2:
        return None
    largest, smallest = max(counts.values()), max(1, min(counts.values()))
    ratio = largest / smallest
    if ratio < UNEVEN:
        return None
    answers, targets = np.array(case.test.answers), np.array(case.test.targets)
    rare = [label for label, n in counts.items() if n * UNEVEN <= largest]
    often = [label for label, n in counts.items() if n * 2 >= largest]
    never = [label for label in rare if not (answers == label).any()]

    def recall(labels: list[str]) -> float:
        own = np.isin(targets, labels)
        return float((answers[own] == targets[own]).mean()) if own.any() else 1.0

    gap = recall(often) - recall(rare)
    weight = float(np.clip(0.3 + 1.1 * gap + 0.3 * len(never) / max(1, len(rare)), 0, 0.96))
    return Cause(
        "class_imbalance",
        weight if gap > 0.05 else 0.25,
        f"{len(rare)} label(s) have at most a fifth of the rows of the largest "
        f"({largest}); {recall(rare):.0%} of their test rows are answered rightly, of the frequent "
        f"labels {recall(often):.0%}.",
        (f"never answered: {', '.join(never) or 'none'}",
         "fewest rows: "
         + ", ".join(f"{label} ({n})" for label, n in counts.most_common()[: -6 : -1])),
        # Names are learnt word by word: there rows have to do what weights do for classes.
        f"Label more rows of the rare ones, or write variations of them: fucina augment with "
        f"augment.rows_per_label={-(-largest // 2)}."
        if case.by_words else
        "Set loss.class_weights=balanced and label more rows of the rare ones; look at balanced "
        "accuracy.",
        f"up to {points(max(0.0, gap))} on the rare labels.",
        {} if case.by_words else {"loss.class_weights": "balanced"},
    )  # fmt: skip


def test_too_small(case: Case) -> Cause | None:
    """The interval is so wide that most differences cannot be told."""
    score = case.facts["model"]["scores"]["accuracy"]
    half = (score["high"] - score["low"]) / 2
    rows = case.facts["model"]["rows"]
    if half < 0.065:
        return None
    needed = round(rows * (half / 0.05) ** 2)
    return Cause(
        "test_too_small",
        float(np.clip(0.3 + 4.0 * (half - 0.065), 0, 0.9)),
        f"{rows} test rows tell the accuracy to ±{100 * half:.0f} points only: "
        f"{score['low']:.0%} to {score['high']:.0%}.",
        (f"a difference of less than about {points(half)} cannot be seen",),
        f"Label test rows until there are about {needed} (±5 points), or use folds and read the "
        "held-out scores.",
        "no better model, but a score that can be believed.",
    )


def validation_too_small(case: Case) -> Cause | None:
    """The best epoch was chosen on a handful of rows."""
    rows = len(case.held_out.targets)
    if case.recipe.folds.count or rows >= 40:
        return None
    return Cause(
        "validation_too_small",
        0.2,
        f"The best epoch was chosen on {rows} rows, where one row more or less decides.",
        (f"{rows} validation rows for {len(case.test.labels)} labels",),
        "Use folds (--folds 5): every row then helps to choose.",
        "a steadier choice; usually 0 to 2 points.",
        {"folds.count": FOLDS},
    )
