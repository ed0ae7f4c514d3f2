"""N-grams of characters: a second view of the text, for words the base model does not know.

A base reads words that it does not know as fragments whose vectors mean little, while the letters
themselves still tell the label. Measured before adoption (docs/log.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import CountVectorizer

__all__ = [
    "MAX_NGRAMS",
    "ORDERS",
    "Lexicon",
    "Table",
    "counts",
    "each_table",
    "learn",
    "rarity",
    "weigh",
]

ORDERS = (2, 5)
MAX_NGRAMS = 40_000  # half of that measured two points worse on 960 rows; more, no better


@dataclass(frozen=True)
class Lexicon:
    """The v n-grams a head may have weights for, sorted; the position is the column."""

    ngrams: tuple[str, ...]

    @cached_property
    def index(self) -> dict[str, int]:
        """The column of each n-gram."""
        return {ngram: column for column, ngram in enumerate(self.ngrams)}

    @cached_property
    def counter(self) -> "CountVectorizer":
        """Counts n-grams; kept, because taking in 40,000 of them is longer than an answer."""
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(analyzer="char", ngram_range=ORDERS, vocabulary=self.ngrams)


@dataclass(frozen=True)
class Table:
    """What one member makes of the n-grams.

    Attributes:
        rarity: v inverse document frequencies over its training rows; 0 where it saw none.
        weights: v x c.
    """

    rarity: np.ndarray
    weights: np.ndarray

    def scores(self, rows: sparse.csr_matrix) -> np.ndarray:
        """Scores of the labels for rows of counts, n x v to n x c."""
        weighed, squares = self._factors
        lengths = np.sqrt(rows.multiply(rows) @ squares)
        return (rows @ weighed) / np.where(lengths > 0, lengths, 1.0)[:, None]

    @cached_property
    def _factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Rarity times weight, v x c, and the squares of the rarity that make a row's length."""
        return np.ascontiguousarray(self.rarity[:, None] * self.weights), self.rarity**2


def each_table(tables: Sequence[Table | None], rows: sparse.csr_matrix, labels: int) -> np.ndarray:
    """What each of k members makes of n rows of counts, k x n x c; None makes nothing of them."""
    nothing = np.zeros((rows.shape[0], labels))
    return np.stack([nothing if table is None else table.scores(rows) for table in tables])


def learn(texts: Sequence[str]) -> Lexicon:
    """Collect the most frequent n-grams of 2 to 5 characters, across word ends, in lower case.

    Example:
        >>> learn(["Che fai?"]).ngrams[:4]
        (' f', ' fa', ' fai', ' fai?')
    """
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        model = CountVectorizer(analyzer="char", ngram_range=ORDERS, max_features=MAX_NGRAMS)
        model.fit(texts)
    except ValueError:  # no text has two characters
        return Lexicon(())
    return Lexicon(tuple(model.get_feature_names_out().tolist()))


def counts(texts: Sequence[str], lexicon: Lexicon) -> sparse.csr_matrix:
    """1 + log(count) of each known n-gram, n x v."""
    if not lexicon.ngrams:
        return sparse.csr_matrix((len(texts), 0))
    rows = sparse.csr_matrix(lexicon.counter.transform(texts), dtype=np.float64)
    rows.data = 1.0 + np.log(rows.data)
    return rows


def rarity(rows: sparse.csr_matrix) -> np.ndarray:
    """Inverse document frequency over these rows, log((1 + n) / (1 + df)) + 1.

    An n-gram that no row has gets 0, so a row to come is weighed as if the lexicon had been
    learnt from these rows alone: nothing of a held-out row enters.

    Example:
        >>> rarity(counts(["ab", "ab", "cd"], Lexicon(("ab", "cd", "ef")))).round(2).tolist()
        [1.29, 1.69, 0.0]
    """
    present = np.asarray((rows > 0).sum(axis=0)).ravel()
    return np.where(present > 0, np.log((1 + rows.shape[0]) / (1 + present)) + 1.0, 0.0)


def weigh(rows: sparse.csr_matrix, rarities: np.ndarray) -> sparse.csr_matrix:
    """Multiply by rarity and bring each row to unit length."""
    weighed = rows @ sparse.diags(rarities)
    lengths = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1.0 / np.where(lengths > 0, lengths, 1.0)) @ weighed)
