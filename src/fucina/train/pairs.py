"""Texts that an encoder-decoder reads and writes: gradients of a step, and held-out rows."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import cast

import numpy as np

from fucina.models.halves import Halves
from fucina.models.pairs import Pairs, assemble_pairs
from fucina.models.reader import Kept, foretell_pairs
from fucina.records import Fold
from fucina.train.batches import Chunk
from fucina.train.members import Gradients, HeldOut, Kind, Loop
from fucina.train.step import summed
from fucina.train.words import Foretold, judge_words, word_gradients

__all__ = ["PAIRS", "PairMaterial"]


@dataclass(frozen=True)
class PairMaterial:
    """What a stack learns to write from.

    Attributes:
        pairs: n rows as tokens.
        folds: Training and held-out rows of each of the k members.
        kept: What the frozen layers make of the rows; None to run all layers each time.
    """

    pairs: Pairs
    folds: tuple[Fold, ...]
    kept: Kept | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of the n rows, read and written."""
        return self.pairs.lengths

    @property
    def weights(self) -> np.ndarray:
        """Learnt tokens of the n rows."""
        return self.pairs.weights


def _step(
    loop: Loop, parts: list[Chunk], weights: np.ndarray, threads: Executor, noise: int
) -> Gradients:
    """The gradients of one step."""
    stack = loop.stack

    def gradients(part: Chunk, own_noise: int) -> Gradients:
        worker = stack.borrow()
        try:
            foretold = _foretell(loop, part.rows, worker, own_noise)
            found, losses = word_gradients(loop, part, weights, foretold)
        finally:
            stack.give_back(worker)
        adapters, heads = stack.split_gradients(list(found))
        return adapters, heads, losses

    return summed(gradients, parts, threads, noise)


def _judge(loop: Loop, threads: Executor, untrained: bool) -> list[HeldOut]:
    """An untrained stack is judged like any other: its adapters are the identity."""
    del untrained
    return judge_words(loop, threads, lambda rows, worker: _foretell(loop, rows, worker))


def _foretell(loop: Loop, rows: np.ndarray, worker: int, noise: int | None = None) -> Foretold:
    """Run k x b rows in a replica that is borrowed."""
    material, stack = cast("PairMaterial", loop.material), loop.stack
    start = cast("Halves", stack.base.halves).start
    batch = assemble_pairs(material.pairs, rows, stack.base, start, kept=material.kept)
    batch = batch.to(stack.device)
    return batch, *foretell_pairs(stack, batch, worker, noise)


PAIRS = Kind(gradients=_step, judge=_judge)
