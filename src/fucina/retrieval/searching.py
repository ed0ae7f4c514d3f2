"""Find chunks: BM25 over stems and nearness of vectors, put together."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fucina.metrics.ranking import term_weights
from fucina.records import Hit
from fucina.retrieval.fusing import fused, rarity, sorted_anew
from fucina.retrieval.interface import Filed, Questions, Rerank
from fucina.retrieval.words import stems

if TYPE_CHECKING:
    from fucina.config import SearchConfig
    from fucina.retrieval.store import Store

__all__ = ["Searcher"]


class Searcher:
    """Remembers what is searched, and reads it anew when another process has written.

    Args:
        store: The index.
        questions: Vectors of questions, n texts to n x d.
        rerank: Scores of pairs (question, chunk), or None.
    """

    def __init__(
        self,
        store: "Store",
        questions: Questions,
        rerank: Rerank | None = None,
    ) -> None:
        self._store, self._questions, self._rerank = store, questions, rerank
        self._version = -1

    def search(
        self,
        question: str,
        config: "SearchConfig",
        *,
        vector: np.ndarray | None = None,
        without: int | None = None,
    ) -> list[Hit]:
        """The chunks that fit a question, best first.

        Args:
            question: In words.
            config: How many, how ranked, which documents.
            vector: Of the question, where it is known.
            without: Id of a document that is left out.
        """
        self._read()
        if not len(self._arrays.ids):
            return []
        asked = list(stems(question))
        if vector is None:
            vector = self._questions([question])[0]
        words, nearness = self._words(asked), self._arrays.vectors @ vector
        allowed = self._allowed(config)
        if without is not None:
            allowed &= self._arrays.documents != without
        scores = fused(words, nearness, config)
        scores[~allowed] = -np.inf
        if config.ranking == "words":
            scores[words <= 0] = -np.inf
        count = min(int(np.isfinite(scores).sum()), self._wanted(config))
        # The best first; among equals the one that was indexed first.
        best = np.argpartition(-scores, count - 1)[:count] if count else np.array([], dtype=int)
        best = best[np.lexsort((best, -scores[best]))]
        hits = self._hits(best, scores, words, nearness, asked)
        if self._rerank is not None and hits:
            hits = sorted_anew(hits, self._rerank(question, [hit.chunk.text for hit in hits]))
        return hits[: config.top]

    @property
    def documents(self) -> Mapping[int, Filed]:
        """Each document by its id."""
        self._read()
        return self._filed

    def _wanted(self, config: "SearchConfig") -> int:
        return config.top if self._rerank is None else max(config.top, config.rerank_top)

    def _read(self) -> None:
        version = self._store.version
        if version == self._version:
            return
        self._version = version
        self._filed, self._arrays = self._store.state()
        arrays = self._arrays
        order = np.argsort(arrays.terms, kind="stable")  # the rows of a stem stay ascending
        self._terms, self._begin = np.unique(arrays.terms[order], return_index=True)
        self._end = np.append(self._begin[1:], len(order))
        lengths = np.bincount(arrays.rows, weights=arrays.counts, minlength=len(arrays.ids))
        within = np.repeat(self._end - self._begin, self._end - self._begin)
        self._rows = arrays.rows[order]
        mean = lengths.mean() if len(lengths) else 1.0
        self._weights = term_weights(
            arrays.counts[order], lengths[self._rows] / mean, len(arrays.ids), within
        ).astype(np.float32)
        # Their memory is needed no more.
        none = np.array([], dtype=np.uint32)
        self._arrays = arrays._replace(terms=none, counts=none, rows=none)

    def _places(self, stem_id: int) -> slice:
        """Where the places of a stem are."""
        found = int(np.searchsorted(self._terms, stem_id))
        if found == len(self._terms) or self._terms[found] != stem_id:
            return slice(0, 0)
        return slice(self._begin[found], self._end[found])

    def _words(self, asked: Sequence[str]) -> np.ndarray:
        """BM25 of each of the n chunks."""
        scores = np.zeros(len(self._arrays.ids), dtype=np.float32)
        ids = self._store.terms(asked)
        for stem in asked:
            if stem in ids:
                places = self._places(ids[stem])
                np.add.at(scores, self._rows[places], self._weights[places])
        return scores

    def _allowed(self, config: "SearchConfig") -> np.ndarray:
        """Which of the n chunks the filters leave."""
        if not (config.folder or config.tag or config.since or config.until):
            return np.ones(len(self._arrays.ids), dtype=bool)
        kept = [number for number, filed in self._filed.items() if _passes(filed, config)]
        return np.isin(self._arrays.documents, kept)

    def _hits(
        self,
        best: np.ndarray,
        scores: np.ndarray,
        words: np.ndarray,
        nearness: np.ndarray,
        asked: Sequence[str],
    ) -> list[Hit]:
        ids = self._arrays.ids[best]
        chunks = self._store.chunks(ids.tolist())
        covered = self._coverage(best, asked)
        found = []
        for row, number, share in zip(best, ids.tolist(), covered, strict=True):
            filed = self._filed[int(self._arrays.documents[row])]
            if number in chunks:
                found.append(
                    Hit(
                        filed.path, filed.title, chunks[number], filed.unit, filed.date,
                        filed.tags, float(scores[row]), float(nearness[row]), float(share),
                        {"bm25": round(float(words[row]), 4)},
                    )
                )  # fmt: skip
        return found

    def _coverage(self, best: np.ndarray, asked: Sequence[str]) -> np.ndarray:
        """Share of the question's stems that each of the best has, weighed by rarity."""
        ids, covered, whole = self._store.terms(asked), np.zeros(len(best)), 0.0
        for stem in set(asked):
            places = self._places(ids[stem]) if stem in ids else slice(0, 0)
            weight = rarity(places.stop - places.start, len(self._arrays.ids))
            whole += weight
            covered += weight * _among(best, self._rows[places])
        return covered / whole if whole else covered

    def coverage(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Share of a question's stems that each of n texts has, weighed by their rarity here."""
        self._read()
        asked = set(stems(question))
        ids = self._store.terms(asked)
        weights = {}
        for stem in asked:
            places = self._places(ids[stem]) if stem in ids else slice(0, 0)
            weights[stem] = rarity(places.stop - places.start, len(self._arrays.ids))
        whole = sum(weights.values())
        own = [asked & set(stems(text)) for text in texts]
        return np.array(
            [sum(weights[stem] for stem in part) / whole if whole else 0.0 for part in own]
        )


def _among(numbers: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """Which of a few numbers stand in many ascending ones; `numpy.isin` would sort the many anew.

    Example:
        >>> _among(np.array([7, 2, 9]), np.array([2, 4, 7])).tolist()
        [True, True, False]
    """
    if not len(ascending):
        return np.zeros(len(numbers), dtype=bool)
    places = np.searchsorted(ascending, numbers)
    return ascending[np.minimum(places, len(ascending) - 1)] == numbers


def _passes(filed: Filed, config: "SearchConfig") -> bool:
    """Whether a document is among those asked for; one without a date is of no day."""
    if config.folder:
        folder = config.folder.strip("/")
        if not (filed.path == folder or filed.path.startswith(f"{folder}/")):
            return False
    if config.tag and config.tag.lower() not in map(str.lower, filed.tags):
        return False
    if config.since and not filed.date >= config.since:
        return False
    return not (config.until and not (filed.date and filed.date <= config.until))
