"""A language model of n-grams: the free baseline of pretraining, judged in bits per byte."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fucina.errors import DataError
from fucina.pretrain.ngram_counts import NGramCounts, checked, count_ngrams, token_bits
from fucina.records import Progress, silent

__all__ = ["Level", "NGrams", "bits_per_byte"]

FALLBACK = (0.5, 1.0, 1.5)  # for data too small or odd to tell; those of KenLM's lmplz
BLOCK = 1 << 20  # tokens looked up, or n-grams smoothed, at once: it bounds the memory


@dataclass(frozen=True)
class Level:
    """One order of a model: m n-grams, and c contexts of one token less.

    Attributes:
        keys: m uint64, sorted; see `NGramCounts`.
        shares: m, each n-gram's discounted part of the probability after its context, in 0..1.
        weights: c, part of the probability after a context that the order below gives out, in
            0..1; 1 where nothing follows.
        discounts: Taken from n-grams counted once, twice, and more often.
    """

    keys: np.ndarray
    shares: np.ndarray
    weights: np.ndarray
    discounts: tuple[float, float, float]


@dataclass(frozen=True)
class NGrams:
    """An interpolated n-gram model with modified Kneser-Ney smoothing.

    The probability of a token after a context is its discounted count's share there, plus what the
    discounts freed times its probability after a context of one token less; the shortest one is
    the same for all tokens of the vocabulary, so that nothing has probability 0. Orders below the
    highest count in how many different surroundings an n-gram is seen, not how often.

    Sources: Chen and Goodman, 1999, section 3, https://doi.org/10.1006/csla.1999.0128; Heafield et
    al., 2013, https://aclanthology.org/P13-2121. Other than theirs, streams are not padded: at the
    beginning of one, contexts are shorter.

    Attributes:
        vocabulary: Tokens there are.
        levels: One for each order, from 1 on.

    Example:
        >>> model = NGrams.learn([np.tile([0, 1, 2], 50)], order=3, vocabulary=4)
        >>> bits = -model.log2_probabilities(np.array([0, 1, 2, 0, 2]))
        >>> [f"{cost:.2f}" for cost in bits]  # dear where it begins, and where it goes wrong
        ['1.42', '0.68', '0.02', '0.01', '8.03']
    """

    vocabulary: int
    levels: tuple[Level, ...]

    @classmethod
    def learn(
        cls,
        streams: Iterable[np.ndarray],
        *,
        order: int = 5,
        vocabulary: int,
        progress: Progress = silent,
    ) -> "NGrams":
        """Count and smooth.

        Documents may stand one after the other in a stream, with an end token between them:
        n-grams run across it, as a network's window over packed text does, and the end is foretold
        like any other token. They do not run from one stream into the next.

        The model takes 16 bytes an n-gram, and 8 more for each below the highest order: 3.4 GB for
        60 million tokens drawn at random by Zipf's law, less for text, which repeats itself.

        Args:
            streams: 1-D arrays of token ids, of any integer type.
            order: Longest n-gram, 1 or more.
            vocabulary: Tokens there are, 1 to 1,048,576.
            progress: Told before each order.

        Raises:
            DataError: There are no tokens, or some that are not in the vocabulary.
            RecipeError: `order` or `vocabulary` is out of range.
        """
        counted = count_ngrams(streams, order=order, vocabulary=vocabulary, progress=progress)
        contexts, levels = 1, []
        progress("smoothing n-grams", 0, order)
        while counted:  # taken out one by one, so that counts and model are not held together
            level = _smooth(counted.pop(0), contexts, token_bits(vocabulary))
            levels.append(level)
            contexts = len(level.keys)
        return cls(vocabulary, tuple(levels))

    def log2_probabilities(self, ids: np.ndarray) -> np.ndarray:
        """How likely each token was, given those before it.

        Args:
            ids: n token ids of one stream; the first ones have shorter contexts.

        Returns:
            n float64, below 0.

        Raises:
            DataError: They are not a row of tokens of the vocabulary.
        """
        ids = checked(ids, self.vocabulary)
        found = np.empty(len(ids))
        for start in range(0, len(ids), BLOCK):
            begin = max(0, start - len(self.levels) + 1)
            block = self._probabilities(ids[begin : start + BLOCK].astype(np.int64))
            found[start : start + BLOCK] = np.log2(block[start - begin :])
        return found

    def _probabilities(self, tokens: np.ndarray) -> np.ndarray:
        chances = np.full(len(tokens), 1 / self.vocabulary)
        contexts = np.zeros(len(tokens), dtype=np.int64)
        bits = token_bits(self.vocabulary)
        for level in self.levels:
            seen = np.flatnonzero(contexts >= 0)
            keys = (contexts[seen] << bits | tokens[seen]).astype(np.uint64)
            places, hit = _look_up(level.keys, keys)
            chances[seen] *= level.weights[contexts[seen]]
            chances[seen[hit]] += level.shares[places[hit]]
            # What ends at one token is the context of the next one, in the order above.
            contexts = np.full(len(tokens) + 1, -1, dtype=np.int64)
            contexts[seen[hit] + 1] = places[hit]
            contexts = contexts[:-1]
        return chances


def bits_per_byte(log2_probabilities: np.ndarray, bytes: int) -> float:
    """How many bits a model needs to write one byte of a held-out text; less is better.

    Minus the sum of log2 p over all tokens of the text, by the UTF-8 bytes of the text. Unlike
    perplexity a token, it compares models whose tokenizers cut texts differently. 8 is no model.

    Args:
        log2_probabilities: Of each token of the text.
        bytes: Of the same text in UTF-8, 1 or more.

    Raises:
        DataError: There are no bytes.

    Example:
        >>> bits_per_byte(np.log2([0.25, 0.5]), len("così".encode()))  # 3 bits for 5 bytes
        0.6
    """
    if bytes < 1:
        raise DataError(
            f"a held-out text of {bytes} bytes.", fix="Hold a text out that is not empty."
        )
    return float(-np.sum(log2_probabilities) / bytes)


def _look_up(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each wanted key would stand, and which of them are there."""
    # Searched in their order, neighbours in memory follow each other: several times faster.
    order = np.argsort(wanted)
    places = np.empty(len(wanted), dtype=np.int64)
    places[order] = np.searchsorted(keys, wanted[order])
    hit = np.flatnonzero(places < len(keys))
    return places, hit[keys[places[hit]] == wanted[hit]]


def _smooth(counted: NGramCounts, contexts: int, bits: int) -> Level:
    """Take a discount from each count, and see what that leaves to the order below."""
    keys, found = counted.keys, _discounts(counted.counts)
    taken = np.array([0.0, *found])
    shares, weights = np.empty(len(keys)), np.ones(contexts)
    start = 0
    while start < len(keys):
        # A block ends where a context does; all at once would take 48 bytes an n-gram.
        last = int(keys[min(start + BLOCK, len(keys)) - 1]) >> bits
        stop = int(np.searchsorted(keys, np.uint64((last + 1) << bits)))
        counts = counted.counts[start:stop]
        above = (keys[start:stop] >> np.uint64(bits)).astype(np.int64)
        first = np.flatnonzero(np.diff(above, prepend=-1))
        totals = np.add.reduceat(counts, first, dtype=np.float64)
        freed = taken[np.minimum(counts, 3)]
        weights[above[first]] = np.add.reduceat(freed, first) / totals
        shares[start:stop] = (counts - freed) / np.repeat(
            totals, np.diff(first, append=len(counts))
        )
        start = stop
    return Level(keys, shares, weights, found)


def _discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """Estimate them from how many n-grams are counted 1, 2, 3 and 4 times.

    Source: Chen and Goodman, 1999, eq. 26. Where it says nothing, or one is not above 0 and at most
    its count, fixed ones are taken for the order, as KenLM's `--discount_fallback` does; a discount
    of 0 would leave nothing to tokens that did not follow.
    """
    one, two, three, four = (int(np.count_nonzero(counts == times)) for times in (1, 2, 3, 4))
    if not (one and two and three):
        return FALLBACK
    part = one / (one + 2 * two)
    found = 1 - 2 * part * two / one, 2 - 3 * part * three / two, 3 - 4 * part * four / three
    good = all(0 < taken <= times for times, taken in enumerate(found, 1))
    return found if good else FALLBACK
