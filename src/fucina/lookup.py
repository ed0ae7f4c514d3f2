"""What helps a model with a row: documents that are about it, or training rows that are like it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fucina.advise import question_of
from fucina.answering import ask
from fucina.records import Example, Hit

if TYPE_CHECKING:
    from fucina.config import SearchConfig
    from fucina.library import Library
    from fucina.retrieval import Embedder

__all__ = ["Found", "Lookup"]

SURE = 0.5  # probability that the documents have the answer, below which they are not shown


@dataclass(frozen=True)
class Found:
    """What was found for a row.

    Attributes:
        hits: Chunks of documents, best first; none where they are not likely to have the answer.
        shots: Training rows that are like it, nearest last; none with documents.
        ms: How long it took.
    """

    hits: tuple[Hit, ...]
    shots: tuple[Example, ...]
    ms: float


class Lookup:
    """Finds for each test row what helps, once for all ways.

    Args:
        known: Training rows.
        embedder: Makes vectors.
        library: Documents; None to look up training rows instead.
        search: How documents are ranked.
        count: Training rows that are shown.
        seed: Draws those that are shown to every row.
        label: Rows are answered with labels.
    """

    def __init__(
        self,
        known: Sequence[Example],
        embedder: "Embedder",
        library: "Library | None",
        search: "SearchConfig",
        *,
        count: int,
        seed: int,
        label: bool,
    ) -> None:
        self._known, self._embedder, self._library = known, embedder, library
        self._search, self._count, self._seed, self._label = search, count, seed, label
        self._found: dict[int, Found] = {}  # by the row itself, which outlives this

    @property
    def documents(self) -> bool:
        """Whether documents are looked up, not training rows."""
        return self._library is not None

    @property
    def by_itself(self) -> str:
        """What answers without a model, in a sentence."""
        if self._library is not None:
            return "Answers are sentences of the documents, as they stand there."
        kind = "The label of most of the nearest" if self._label else "The answer of the nearest"
        return f"{kind} training row{'s' * self._label}, without a model."

    def shots(self) -> tuple[Example, ...]:
        """Training rows that are shown to every row, of as many labels as there is room for."""
        order = np.random.default_rng(self._seed).permutation(len(self._known)).tolist()
        if self._label:
            seen: dict[str, int] = {}
            rank = {}
            for row in order:
                target = self._known[row].target
                rank[row] = seen.get(target, 0)
                seen[target] = rank[row] + 1
            order.sort(key=lambda row: rank[row])
        return tuple(self._known[row] for row in order[: self._count])

    def find(self, row: Example) -> Found:
        """What helps with a row; looked up once."""
        place = id(row)
        if place not in self._found:
            if self._library is None:
                _ = self._vectors  # of the training rows, which is no part of a query
            began = time.perf_counter()
            hits = self._documents(row) if self._library is not None else ()
            shots = () if self._library is not None else self._like(row)
            ms = 1000 * (time.perf_counter() - began)
            self._found[place] = Found(hits, shots, ms)
        return self._found[place]

    def say(self, row: Example) -> str:
        """The answer that what is found gives without a model; empty where there is none."""
        if self._library is not None:
            hits = self._hits(row)
            answered = ask(self._library, question_of(row), self._search, least=SURE, hits=hits)
            return " ".join(quote.text for quote in answered.quotes)
        near = self._like(row)
        if not self._label:
            return near[-1].target
        votes: dict[str, int] = {}
        for shot in reversed(near):  # of labels with as many votes the nearest wins
            votes[shot.target] = votes.get(shot.target, 0) + 1
        return max(votes, key=lambda label: votes[label])

    def _hits(self, row: Example) -> list[Hit]:
        assert self._library is not None
        return self._library.searcher.search(question_of(row), self._search)

    def _documents(self, row: Example) -> tuple[Hit, ...]:
        assert self._library is not None
        hits = self._hits(row)
        return tuple(hits) if self._library.trust.sure(hits) >= SURE else ()

    @cached_property
    def _vectors(self) -> np.ndarray:
        return self._embedder.passages([row.prompt for row in self._known])

    def _like(self, row: Example) -> tuple[Example, ...]:
        vector = self._embedder.questions([row.prompt])[0]
        nearness = self._vectors @ vector
        nearest = np.argsort(-nearness, kind="stable")[: self._count]
        return tuple(self._known[place] for place in nearest[::-1].tolist())
