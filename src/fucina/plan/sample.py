"""A part of the rows, cut like the whole."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from fucina.records import Dataset, Fold, Split

__all__ = ["part"]


def part(split: Split, rows: int, test_rows: int, *, seed: int) -> Split:
    """Keep some development rows, folds as they are, and some test rows; of each task of several.

    Example:
        >>> from fucina.records import Dataset, Example
        >>> data = Dataset("train", tuple(Example(str(i), "ab"[i % 2]) for i in range(12)))
        >>> folds = (Fold(tuple(range(8)), (8, 9, 10, 11)),)
        >>> small = part(Split(data, data, folds, ("a", "b")), 6, 3, seed=0)
        >>> len(small.development), len(small.test), len(small.folds)
        (6, 3, 1)
    """
    order = np.random.default_rng(seed).permutation(len(split.development))
    # Every fold keeps rows of every task on both sides, however few are taken.
    must = [
        row
        for fold in split.folds
        for side in (fold.train, fold.held_out)
        for own in _by_task(split.development, side)
        for row in own[:2]
    ]
    wanted = list(dict.fromkeys([*must, *order.tolist()]))
    kept = sorted(wanted[: max(rows, len(set(must)))])
    place = {row: number for number, row in enumerate(kept)}
    folds = tuple(
        Fold(
            tuple(place[row] for row in fold.train if row in place),
            tuple(place[row] for row in fold.held_out if row in place),
        )
        for fold in split.folds
    )
    tasks = _by_task(split.test, range(len(split.test)))
    turns = [row for turn in zip_longest(*tasks) for row in turn if row is not None]
    test = split.test.take(sorted(turns[: max(test_rows, len(tasks))]))
    return replace(split, development=split.development.take(kept), test=test, folds=folds)


def _by_task(data: Dataset, rows: Sequence[int]) -> list[list[int]]:
    """The rows of each task that a recipe names; one list where there is one task."""
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(data.examples[row].facts.get("part", ""), []).append(row)
    return list(found.values())
