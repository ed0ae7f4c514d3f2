"""Stratified and grouped division into development folds and test."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fucina.errors import DataError
from fucina.records import Answer, Dataset, Fold, Split

if TYPE_CHECKING:
    from fucina.config import DataConfig

__all__ = ["deal", "split", "thin"]


def split(
    train: Dataset,
    *,
    validation: Dataset | None,
    test: Dataset | None,
    config: "DataConfig",
    folds: int,
    seed: int,
    answer: Answer = "label",
) -> Split:
    """Divide rows into folds for development and a test set that no training sees.

    Rows of one group stay together, and identical texts count as one group. Labels keep their
    shares on every side, as far as groups allow.

    Args:
        train: The rows to learn from.
        validation: Rows to choose the best epoch on; None to take a share of train.
        test: Rows to judge on; None to take a share of train first.
        config: The shares.
        folds: 0 for one model with a validation set, else K of 2 or more.
        seed: Same seed, same split.
        answer: What targets are. Texts are all of one kind, or of the part of a task that has
            several; of spans each row counts for the rarest type in it.

    Raises:
        DataError: Too few rows of a label to stand on every side.
    """
    development = train
    if test is None:
        away = _share(train, config.test_share, seed, "test", answer)
        rest = [row for row in range(len(train)) if row not in away]
        test = train.take(sorted(away), name=f"{train.name} (test)")
        development = train.take(rest)
    strata = _strata(development, answer, least=max(folds, 2))
    labels = _labels(development, answer)
    if folds >= 2:
        place = deal(strata, _groups(development), folds, seed=seed)
        parts = tuple(
            Fold(
                tuple(int(row) for row in np.flatnonzero(place != fold)),
                tuple(int(row) for row in np.flatnonzero(place == fold)),
            )
            for fold in range(folds)
        )
    elif validation is not None:
        count = len(development)
        development = Dataset(
            development.name, development.examples + validation.examples, development.columns
        )
        parts = (Fold(tuple(range(count)), tuple(range(count, len(development)))),)
    else:
        held = _share(development, config.validation_share, seed + 1, "validation", answer)
        kept = tuple(row for row in range(len(development)) if row not in held)
        parts = (Fold(kept, tuple(sorted(held))),)
    for number, part in enumerate(parts, start=1):
        missing = set(labels) - {development.targets[row] for row in part.train}
        if missing and answer == "label":
            raise DataError(
                f"fold {number} has no row of {', '.join(sorted(missing))} to learn from.",
                fix="Add rows of that label, use fewer folds, or make its groups smaller.",
            )
    # Groups have done their work; test rows are known by their texts alone from here on.
    bare = tuple(replace(example, group="") for example in test.examples)
    return Split(development, Dataset(test.name, bare), parts, labels)


def thin(split: Split, share: float, *, seed: int) -> Split:
    """Keep a share of the training rows of each label in every fold; held-out rows all stay.

    Smaller shares are part of larger ones, so that a learning curve grows by rows alone.

    Args:
        split: Rows and folds.
        share: Above 0, at most 1.
        seed: Same seed, same rows.

    Example:
        >>> from fucina.records import Example
        >>> rows = Dataset("train", tuple(Example(str(i), "ab"[i % 2]) for i in range(12)))
        >>> whole = Split(rows, rows.take([]), (Fold(tuple(range(8)), (8, 9, 10, 11)),), ("a", "b"))
        >>> len(thin(whole, 0.5, seed=0).folds[0].train)
        4
    """
    if share >= 1:
        return split
    order = np.random.default_rng(seed).permutation(len(split.development))
    folds = []
    strata = _kinds(split)
    for fold in split.folds:
        rows: dict[str, list[int]] = {}
        for row in sorted(fold.train, key=order.__getitem__):
            rows.setdefault(strata[row], []).append(row)
        kept = [row for own in rows.values() for row in own[: max(1, round(share * len(own)))]]
        folds.append(Fold(tuple(sorted(kept)), fold.held_out))
    return replace(split, folds=tuple(folds))


def deal(targets: Sequence[str], groups: Sequence[str], parts: int, *, seed: int) -> np.ndarray:
    """Deal groups of rows to parts so that every label is spread evenly.

    Groups are dealt largest first, in shuffled order within a size; each goes where its labels
    are most wanted, and among equals to the smallest part.

    Args:
        targets: n labels.
        groups: n group names.
        parts: How many parts.
        seed: Same seed, same parts.

    Returns:
        n part numbers.

    Example:
        >>> deal(["a", "a", "b", "b"], ["1", "2", "3", "4"], 2, seed=0).tolist()
        [0, 1, 1, 0]
    """
    names, codes = np.unique(np.asarray(targets), return_inverse=True)
    _, members = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.zeros((members.max() + 1, len(names)))
    np.add.at(counts, (members, codes), 1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    # A rare label decides where a group goes: a row of it counts by the inverse of its share.
    weights = 1.0 / counts.sum(axis=0)
    filled = np.zeros((parts, len(names)))
    place = np.zeros(len(counts), dtype=int)
    for group in order:
        load = (filled * weights * (counts[group] > 0)).sum(axis=1)
        ties = rng.permutation(parts)
        best = ties[np.lexsort((filled.sum(axis=1)[ties], np.round(load[ties], 9)))[0]]
        place[group] = best
        filled[best] += counts[group]
    return place[members]


def _strata(dataset: Dataset, answer: Answer, *, least: int = 2) -> list[str]:
    """What each row counts for; types of spans with too few rows to be dealt go with others."""
    if answer == "label":
        return dataset.targets
    if answer == "text":
        return [example.facts.get("part", "text") for example in dataset.examples]
    counts = Counter(span.label for row in dataset.examples for span in row.spans)
    rarest = [
        min((span.label for span in row.spans), key=lambda name: (counts[name], name), default="")
        for row in dataset.examples
    ]
    groups: dict[str, set[str]] = {}
    for name, group in zip(rarest, _groups(dataset), strict=True):
        groups.setdefault(name, set()).add(group)
    largest = max(groups, key=lambda name: (len(groups[name]), name))
    return [name if len(groups[name]) >= least else largest for name in rarest]


def _labels(dataset: Dataset, answer: Answer) -> tuple[str, ...]:
    """The labels, or the types of spans; texts have none."""
    if answer == "spans":
        return tuple(sorted({span.label for row in dataset.examples for span in row.spans}))
    return tuple(sorted(set(dataset.targets))) if answer == "label" else ()


def _kinds(split: Split) -> list[str]:
    """What the rows of a split count for, whose kind of answer its rows tell."""
    if not split.labels:
        return _strata(split.development, "text")
    spans = any(row.spans for row in split.development.examples)
    return _strata(split.development, "spans" if spans else "label")


def _groups(dataset: Dataset) -> list[str]:
    """The group of each row; rows without one are grouped by their normalized text."""
    return [
        f"g:{example.group}"
        if example.group
        else f"t:{' '.join(example.prompt.casefold().split())}"
        for example in dataset.examples
    ]


def _share(
    dataset: Dataset, share: float, seed: int, side: str, answer: Answer = "label"
) -> set[int]:
    """Pick about `share` of the rows of each label, whole groups, at least one row of each.

    Raises:
        DataError: A label is one single row or group, which cannot stand on both sides.
    """
    groups = _groups(dataset)
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows_of.setdefault(group, []).append(row)
    strata = _strata(dataset, answer)
    counts = Counter(strata)
    spread = {label: set() for label in counts}
    for group, label in zip(groups, strata, strict=True):
        spread[label].add(group)
    alone = sorted(label for label, own in spread.items() if len(own) < 2)
    if alone and answer != "label":
        which = f"all {len(dataset)} rows" if len(counts) == 1 else f"all rows of {alone[0]}"
        raise DataError(
            f"{which} say nearly the same, so none can be kept for {side}.",
            fix=f"Add other rows, or give a data.{side} file.",
        )
    if alone:
        raise DataError(
            f"{', '.join(alone)}: one row or group only, so none can be kept for {side} "
            "(rows that say nearly the same are one group).",
            fix=f"Add other rows of that label, or give a data.{side} file.",
        )
    wanted = {
        label: max(1, min(count - 1, round(share * count))) for label, count in counts.items()
    }
    taken: Counter[str] = Counter()
    away: set[int] = set()
    names = sorted(rows_of)
    for index in np.random.default_rng(seed).permutation(len(names)):
        rows = rows_of[names[index]]
        own = Counter(strata[row] for row in rows)
        fits = all(taken[label] + count <= wanted[label] for label, count in own.items())
        # A group larger than the share still goes if its label would else have no row here.
        needed = any(taken[label] == 0 for label in own) and all(
            taken[label] + count < counts[label] for label, count in own.items()
        )
        if fits or (needed and len(rows) > min(wanted[label] for label in own)):
            taken += own
            away |= set(rows)
    return away
