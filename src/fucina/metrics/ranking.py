"""How good a ranked list is, and scores that make one: pure functions."""

from collections.abc import Collection, Sequence

import numpy as np

__all__ = ["ndcg", "recall", "reciprocal_rank", "scaled", "term_weights"]


def recall(ranked: Sequence[object], relevant: Collection[object], *, at: int) -> float:
    """Share of the relevant that is among the first; of at most `at` of them.

    Example:
        >>> recall(["a", "b", "c"], {"b", "z"}, at=2)
        0.5
    """
    found = sum(item in relevant for item in ranked[:at])
    return found / min(at, len(relevant))


def reciprocal_rank(ranked: Sequence[object], relevant: Collection[object]) -> float:
    """One by the place of the first relevant one; 0 where none is.

    Source: Voorhees, 1999, the TREC-8 question answering track report.

    Example:
        >>> reciprocal_rank(["a", "b"], {"b"})
        0.5
    """
    return next((1 / place for place, item in enumerate(ranked, start=1) if item in relevant), 0.0)


def ndcg(ranked: Sequence[object], relevant: Collection[object], *, at: int) -> float:
    """Normalized discounted cumulative gain of grades 0 and 1.

    Source: Järvelin and Kekäläinen, 2002, https://doi.org/10.1145/582415.582418

    Example:
        >>> round(ndcg(["a", "b"], {"b"}, at=10), 3)
        0.631
    """
    discount = 1 / np.log2(np.arange(2, at + 2))
    hits = np.array([item in relevant for item in ranked[:at]], dtype=float)
    return float((hits * discount[: len(hits)]).sum() / discount[: len(relevant)].sum())


def term_weights(
    counts: np.ndarray, lengths: np.ndarray, documents: int, within: np.ndarray,
    k: float = 1.2, b: float = 0.75,
) -> np.ndarray:  # fmt: skip
    """What each place of a term adds to the BM25 score of its document.

    Source: Robertson and Zaragoza, 2009, https://doi.org/10.1561/1500000019, with the idf of
    Lucene, which is never negative.

    Args:
        counts: How often the term stands in the document, m.
        lengths: Words of that document by the mean of all, m.
        documents: How many there are.
        within: How many have the term, m.
        k: How soon more of a term adds no more.
        b: How much long documents are held back, 0 to 1.
    """
    rarity = np.log(1 + (documents - within + 0.5) / (within + 0.5))
    return rarity * counts * (k + 1) / (counts + k * (1 - b + b * lengths))


def scaled(scores: np.ndarray) -> np.ndarray:
    """Scores as shares of the way from the lowest to the highest.

    Example:
        >>> scaled(np.array([1.0, 2.0, 3.0]))
        array([0. , 0.5, 1. ])
    """
    low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)
