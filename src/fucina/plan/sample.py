"""A part of the rows, cut like the whole."""

from dataclasses import replace

import numpy as np

from fucina.records import Fold, Split

__all__ = ["part"]


def part(split: Split, rows: int, test_rows: int, *, seed: int) -> Split:
    """Keep some development rows, folds as they are, and some test rows.

    Example:
        >>> from fucina.records import Dataset, Example
        >>> data = Dataset("train", tuple(Example(str(i), "ab"[i % 2]) for i in range(12)))
        >>> folds = (Fold(tuple(range(8)), (8, 9, 10, 11)),)
        >>> small = part(Split(data, data, folds, ("a", "b")), 6, 3, seed=0)
        >>> len(small.development), len(small.test), len(small.folds)
        (6, 3, 1)
    """
    order = np.random.default_rng(seed).permutation(len(split.development))
    # Every fold keeps rows on both sides, however few are taken.
    must = [row for fold in split.folds for row in (*fold.train[:2], *fold.held_out[:2])]
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
    test = split.test.take(list(range(min(test_rows, len(split.test)))))
    return replace(split, development=split.development.take(kept), test=test, folds=folds)
