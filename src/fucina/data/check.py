"""What must not be trained on as it is: duplicates across the split, labels too rare or new."""

from collections import Counter
from collections.abc import Sequence

from fucina.errors import DataError
from fucina.records import Dataset, Finding

__all__ = ["check", "raise_errors"]

FEW_ROWS = 10
SHOWN = 5


def check(
    train: Dataset,
    validation: Dataset | None,
    test: Dataset | None,
    *,
    folds: int,
    allow_duplicates: bool,
) -> list[Finding]:
    """Look for what makes a score meaningless or a run impossible.

    Args:
        train: The rows to learn from.
        validation: The rows to choose the best epoch on, when they come from their own file.
        test: The rows to judge on, when they come from their own file.
        folds: K, or 0.
        allow_duplicates: Go on although rows of train are in test.

    Returns:
        Findings, errors first.
    """
    found = [*_labels(train, folds), *_repeated(train)]
    sides = [("validation", validation), ("test", test)]
    for side, rows in sides:
        if rows is not None:
            found += [
                *_across(train, rows, side, allowed=allow_duplicates),
                *_new(train, rows, side),
            ]
    if validation is not None and test is not None:
        found += _across(validation, test, "test", allowed=allow_duplicates)
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def raise_errors(findings: Sequence[Finding]) -> None:
    """Stop if a finding is an error.

    Raises:
        DataError: With all errors in one message.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise DataError(
            " ".join(finding.message for finding in errors),
            fix=" ".join(dict.fromkeys(finding.fix for finding in errors)),
        )


def _labels(train: Dataset, folds: int) -> list[Finding]:
    counts = Counter(train.targets)
    if len(counts) < 2:
        return [
            Finding("labels", "error", f"all rows have the label {train.targets[0]!r}.",
                    "Give rows of two labels or more; is data.label the right column?")
        ]  # fmt: skip
    least = max(folds, 2)
    rare = {label: n for label, n in counts.items() if n < least}
    found = []
    if rare:
        listed = ", ".join(f"{label} ({n})" for label, n in sorted(rare.items())[:SHOWN])
        need = f"{folds} folds" if folds else "a validation share"
        other = "use fewer folds (--folds)" if folds > 2 else "give a file as data.validation"
        found.append(
            Finding("rare_label", "error",
                    f"{len(rare)} label(s) have too few rows for {need}: {listed}.",
                    f"Add rows until each has {least}, merge these labels with others, "
                    f"leave them out, or {other}.")
        )  # fmt: skip
    few = [label for label, n in counts.items() if n < FEW_ROWS and label not in rare]
    if few:
        found.append(
            Finding("few_rows", "warning",
                    f"{len(few)} of {len(counts)} labels have fewer than {FEW_ROWS} rows.",
                    "Label more of them; 50 a label is a good start.")
        )  # fmt: skip
    return found


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def _repeated(train: Dataset) -> list[Finding]:
    first: dict[str, int] = {}
    same: list[str] = []
    contradict: list[str] = []
    for row, example in enumerate(train.examples):
        earlier = first.setdefault(_key(example.prompt), row)
        if earlier == row:
            continue
        other = train.examples[earlier]
        if other.target == example.target:
            same.append(example.origin)
        else:
            contradict.append(f"{other.origin} {other.target} / {example.origin} {example.target}")
    found = []
    if contradict:
        found.append(
            Finding("contradiction", "warning",
                    f"{len(contradict)} text(s) appear twice with different labels "
                    f"({'; '.join(contradict[:SHOWN])}).",
                    "Decide on one label.", tuple(contradict))
        )  # fmt: skip
    if same:
        found.append(
            Finding("duplicate", "warning",
                    f"{len(same)} row(s) repeat an earlier one ({', '.join(same[:SHOWN])}); "
                    "they are kept on one side of every split.",
                    "Delete them.", tuple(same))
        )  # fmt: skip
    return found


def _new(train: Dataset, rows: Dataset, side: str) -> list[Finding]:
    new = sorted(set(rows.targets) - set(train.targets))
    if not new:
        return []
    origins = tuple(example.origin for example in rows.examples if example.target in new)
    return [
        Finding(
            "new_label", "error",
            f"{len(origins)} {side} row(s) have labels never seen in train: "
            f"{', '.join(new[:SHOWN])} ({', '.join(origins[:SHOWN])}).",
            "Add rows of these labels to train, or mend their spelling.", origins,
        )
    ]  # fmt: skip


def _across(one: Dataset, other: Dataset, side: str, *, allowed: bool) -> list[Finding]:
    seen = {_key(example.prompt): example.origin for example in one.examples}
    both = [
        f"{example.origin} = {seen[_key(example.prompt)]}"
        for example in other.examples
        if _key(example.prompt) in seen
    ]
    if not both:
        return []
    return [
        Finding(
            "leak", "warning" if allowed else "error",
            f"{len(both)} of {len(other)} {side} rows are in {one.name} too "
            f"({', '.join(both[:SHOWN])}): the score would be too good.",
            "Delete them from one side, or set data.allow_duplicates=true.", tuple(both),
        )
    ]  # fmt: skip
