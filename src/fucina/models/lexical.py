"""N-grams of word pieces: a second view of the text, for words the base model does not know.

An English encoder reads Italian as fragments whose vectors mean little, while the fragments
themselves still tell the label. Measured before adoption (docs/log.md): on Italian intents the
frozen encoder alone scores 0.826, these n-grams 0.914, both together 0.906-0.918; in English
0.926, 0.874 and 0.940.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

__all__ = ["Lexicon", "learn", "vectors"]

ORDERS = (1, 2, 3)
MAX_NGRAMS = 20_000  # most frequent first; a larger table weighs more and measured no better

NGram = tuple[int, ...]


@dataclass(frozen=True)
class Lexicon:
    """The n-grams a head has a weight for, and the token ids that are not words.

    Attributes:
        ngrams: v n-grams of token ids; the position is the column.
        special: Token ids that are never counted (class, separator, padding).
    """

    ngrams: tuple[NGram, ...]
    special: frozenset[int]


def learn(rows: Sequence[np.ndarray], special: Iterable[int]) -> Lexicon:
    """Collect the n-grams of 1 to 3 pieces that appear in most rows.

    Args:
        rows: n arrays of token ids.
        special: Ids to leave out.

    Example:
        >>> learn([np.array([7, 1, 2, 8]), np.array([7, 1, 8])], special=[7, 8]).ngrams
        ((1,), (1, 2), (2,))
    """
    skip = frozenset(int(token) for token in special)
    rows_with: Counter[NGram] = Counter()
    for row in rows:
        rows_with.update(set(_ngrams(row, skip)))
    # Ties are broken by the n-gram itself, so that the order of rows does not matter.
    ranked = sorted(rows_with, key=lambda ngram: (-rows_with[ngram], ngram))
    return Lexicon(tuple(sorted(ranked[:MAX_NGRAMS])), skip)


def vectors(rows: Sequence[np.ndarray], lexicon: Lexicon) -> sparse.csr_matrix:
    """Weigh the n-grams of each row by 1 + log(count), at unit length.

    The length counts n-grams that are not in the lexicon too, so a row's vector does not depend
    on which rows the lexicon was learnt from, and no document frequency is used: a held-out row
    looks exactly like one never seen.

    Returns:
        n x v, rows of length 1 or less.
    """
    columns = {ngram: column for column, ngram in enumerate(lexicon.ngrams)}
    values: list[float] = []
    indices: list[int] = []
    starts = [0]
    for row in rows:
        weights = {
            ngram: 1.0 + np.log(count)
            for ngram, count in Counter(_ngrams(row, lexicon.special)).items()
        }
        length = np.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        known = [
            (columns[ngram], weight / length)
            for ngram, weight in weights.items()
            if ngram in columns
        ]
        known.sort()
        indices.extend(column for column, _ in known)
        values.extend(value for _, value in known)
        starts.append(len(indices))
    return sparse.csr_matrix(
        (np.array(values), np.array(indices, dtype=np.int32), np.array(starts)),
        shape=(len(rows), len(lexicon.ngrams)),
    )


def _ngrams(row: np.ndarray, special: frozenset[int]) -> list[NGram]:
    tokens = [int(token) for token in row if int(token) not in special]
    return [
        tuple(tokens[start : start + order])
        for order in ORDERS
        for start in range(len(tokens) - order + 1)
    ]
