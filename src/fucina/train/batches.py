"""Which rows each member sees in each step, and how a step is cut into passes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fucina.models.tokenize import CHUNK_TOKENS
from fucina.records import Fold

__all__ = ["Chunk", "at_most", "chunks", "epoch_batches"]

BUCKET_BATCHES = 50  # rows are sorted by length inside buckets of this many batches
NO_ROW = -1


@dataclass(frozen=True)
class Chunk:
    """A part of a step that goes through the network at once.

    Attributes:
        rows: k x b indices of texts; where `counts` is 0 any text, to fill up.
        counts: k x b, 1 for a real row.
    """

    rows: np.ndarray
    counts: np.ndarray


def epoch_batches(
    lengths: np.ndarray, folds: Sequence[Fold], batch_rows: int, *, seed: int, epoch: int
) -> list[np.ndarray]:
    """Shuffle the rows and cut them into batches of rows of like length.

    One order is drawn for all members and each leaves out its held-out rows, so that the batches
    of all members have like lengths and a stack wastes little on padding. The same seed and
    epoch give the same batches, whatever ran before.

    Args:
        lengths: n token counts.
        folds: The training rows of each of the k members.
        batch_rows: Rows a member sees a step.
        seed: Of the run.
        epoch: Counted from 1.

    Returns:
        Batches k x batch_rows; -1 where a member has no row left.

    Example:
        >>> fold = Fold(train=(0, 1, 2), held_out=(3,))
        >>> batches = epoch_batches(np.array([5, 9, 5, 2]), [fold], 2, seed=0, epoch=1)
        >>> sorted(int(row) for batch in batches for row in batch[0])
        [-1, 0, 1, 2]
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    size = batch_rows * BUCKET_BATCHES
    buckets = [order[begin : begin + size] for begin in range(0, len(order), size)]
    order = np.concatenate(
        [bucket[np.argsort(lengths[bucket], kind="stable")] for bucket in buckets]
    )
    steps = -(-max(len(fold.train) for fold in folds) // batch_rows)
    table = np.full((len(folds), steps * batch_rows), NO_ROW)
    for member, fold in enumerate(folds):
        mine = order[np.isin(order, fold.train)]
        table[member, : len(mine)] = mine
    batches = table.reshape(len(folds), steps, batch_rows)
    return [batches[:, step] for step in rng.permutation(steps)]


def chunks(batch: np.ndarray, lengths: np.ndarray) -> list[Chunk]:
    """Cut one step into two or more passes of about equal cost, short rows first.

    The cut depends on the rows alone, never on the number of processor cores, so that the sums
    of gradients are the same on every machine.

    Args:
        batch: k x b rows, -1 for none.
        lengths: n token counts.
    """
    members = batch.shape[0]
    filler = batch[batch != NO_ROW][lengths[batch[batch != NO_ROW]].argmin()]
    real = batch != NO_ROW
    rows = np.where(real, batch, filler)
    order = np.argsort(np.where(real, lengths[rows], 0), axis=1, kind="stable")
    rows, real = np.take_along_axis(rows, order, 1), np.take_along_axis(real, order, 1)
    used = np.flatnonzero(real.any(axis=0))
    rows, real = rows[:, used], real[:, used]
    longest = lengths[rows].max(axis=0)
    total = int(longest.sum()) * members
    parts = 2 * max(1, -(-total // (2 * CHUNK_TOKENS)))  # even: with two cores none waits
    done = np.cumsum(longest) * members
    # A column belongs to the part in which its middle falls.
    part = ((done - longest * members / 2) * parts / total).astype(int)
    return [
        Chunk(rows[:, part == index], real[:, part == index].astype(np.float32))
        for index in np.unique(part)
    ]


def at_most(parts: list[Chunk], rows: int) -> list[Chunk]:
    """Cut chunks further, so that none holds more than `rows` rows of a member."""
    cut: list[Chunk] = []
    for part in parts:
        for begin in range(0, part.rows.shape[1], rows):
            end = begin + rows
            cut.append(Chunk(part.rows[:, begin:end], part.counts[:, begin:end]))
    return cut
