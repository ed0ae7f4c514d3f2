"""Labels that are alone, rare, unbalanced, or unknown to train."""

from collections import Counter

from fucina.data.audit.subject import Subject, shown
from fucina.records import Dataset, Finding

__all__ = ["check"]

FEW_ROWS = 10
UNBALANCED = 10  # times as many rows as the rarest label


def check(subject: Subject) -> list[Finding]:
    """Count the rows of each label, and look for labels of other files that train lacks."""
    counts = Counter(subject.train.targets)
    if len(counts) < 2:
        return [
            Finding(
                "labels", "error",
                f"all rows have the label {subject.train.targets[0]!r}.",
                "Give rows of two labels or more; is data.label the right column?",
            )
        ]  # fmt: skip
    found = _rare(subject, counts) + _balance(counts)
    for rows in subject.sides[1:]:
        found += _new(subject.train, rows)
    return found


def _rare(subject: Subject, counts: Counter[str]) -> list[Finding]:
    least = max(subject.folds, 2)
    rare = {label: n for label, n in counts.items() if n < least}
    few = {label: n for label, n in counts.items() if least <= n < FEW_ROWS}
    found = []
    if rare:
        need = f"{subject.folds} folds" if subject.folds else "a validation share"
        other = (
            "use fewer folds (--folds)" if subject.folds > 2 else "give a file as data.validation"
        )
        found.append(
            Finding(
                "rare_label", "error",
                f"{len(rare)} label(s) have too few rows for {need}: {_counted(rare)}.",
                f"Add rows until each has {least}, merge these labels with others, "
                f"leave them out, or {other}.",
                *_rows_of(subject.train, rare),
            )
        )  # fmt: skip
    if few:
        found.append(
            Finding(
                "few_rows", "warning",
                f"{len(few)} of {len(counts)} labels have fewer than {FEW_ROWS} rows: "
                f"{_counted(few)}.",
                "Label more of them; 50 a label is a good start.",
                *_rows_of(subject.train, few),
            )
        )  # fmt: skip
    return found


def _balance(counts: Counter[str]) -> list[Finding]:
    (most, largest), (least, smallest) = counts.most_common()[0], counts.most_common()[-1]
    if largest < UNBALANCED * smallest:
        return []
    return [
        Finding(
            "balance", "warning",
            f"{most} has {largest} rows, {least} {smallest}: {largest / smallest:.0f} times as "
            "many.",
            "Set loss.class_weights=balanced, or label more of the rare ones; look at balanced "
            "accuracy.",
        )
    ]  # fmt: skip


def _new(train: Dataset, rows: Dataset) -> list[Finding]:
    new = sorted(set(rows.targets) - set(train.targets))
    if not new:
        return []
    named = [example for example in rows.examples if example.target in new]
    origins = tuple(example.origin for example in named)
    return [
        Finding(
            "new_label", "error",
            f"{len(origins)} {rows.name} row(s) have labels never seen in train: "
            f"{shown(new)} ({shown(origins)}).",
            "Add rows of these labels to train, or mend their spelling.",
            origins, tuple(f"{e.target}: {e.prompt}" for e in named),
        )
    ]  # fmt: skip


def _counted(counts: dict[str, int]) -> str:
    return shown([f"{label} ({n})" for label, n in sorted(counts.items(), key=lambda i: i[1])])


def _rows_of(train: Dataset, labels: dict[str, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    named = [example for example in train.examples if example.target in labels]
    return tuple(e.origin for e in named), tuple(f"{e.target}: {e.prompt}" for e in named)
