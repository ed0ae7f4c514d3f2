"""Counts n-grams of token ids, exactly: each is the number of its context and one token more."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fucina.errors import DataError, RecipeError
from fucina.records import Progress, silent

__all__ = ["LARGEST_VOCABULARY", "NGramCounts", "checked", "count_ngrams", "token_bits"]

# Context, token and place of a piece share 64 bits: 22 + 20 + 22 (see `_pieces`).
PIECE = 1 << 22
LARGEST_VOCABULARY = 1 << 20
NONE = np.uint32(2**32 - 1)  # no n-gram ends here: the stream began too few tokens before


@dataclass(frozen=True)
class NGramCounts:
    """The m distinct n-grams of one order, sorted; an n-gram's number is its place here.

    Attributes:
        keys: m uint64, rising: `context << token_bits(vocabulary) | token`, where `context` is the
            number of the first n - 1 tokens in the order below. Order 1 has one context, 0, and
            holds every token of the vocabulary.
        counts: m uint32. In the highest order how often the n-gram occurs; in lower orders how many
            different tokens are seen before it, the beginning of a stream being one of them.
    """

    keys: np.ndarray
    counts: np.ndarray


def token_bits(vocabulary: int) -> int:
    """Bits that a token takes in a key.

    Example:
        >>> token_bits(8192), token_bits(8193)
        (13, 14)
    """
    return max(1, (vocabulary - 1).bit_length())


def checked(ids: np.ndarray, vocabulary: int) -> np.ndarray:
    """Give the ids back if they are a row of tokens of the vocabulary.

    Raises:
        DataError: They are not whole numbers, not 1-D, or out of 0..vocabulary - 1.

    Example:
        >>> checked(np.array([3, 9]), 8)
        Traceback (most recent call last):
            ...
        fucina.errors.DataError: token 9 is not in 0..7. Fix: Give the tokenizer's vocabulary size.
    """
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise DataError(
            f"a stream of tokens has {ids.ndim} axes of {ids.dtype}.",
            fix="Give one 1-D array of whole numbers a stream.",
        )
    if ids.size and (ids.max() >= vocabulary or ids.min() < 0):
        wrong = ids.max() if ids.max() >= vocabulary else ids.min()
        raise DataError(
            f"token {wrong} is not in 0..{vocabulary - 1}.",
            fix="Give the tokenizer's vocabulary size.",
        )
    return ids


def count_ngrams(
    streams: Iterable[np.ndarray],
    *,
    order: int,
    vocabulary: int,
    piece: int = PIECE,
    progress: Progress = silent,
) -> list[NGramCounts]:
    """Count all n-grams of 1 to `order` tokens, as Kneser-Ney smoothing needs them.

    N-grams run over end tokens within a stream, and never from one stream into the next. An n-gram
    is known by the number of its first n - 1 tokens and its last one, so that keys of any order fit
    64 bits without a hash. They are sorted in pieces, each all that follows a range of contexts: at
    a time, beside the result, memory is needed for one piece and about 30 bytes a token.

    Args:
        streams: 1-D arrays of token ids; those of no token do not count.
        order: Longest n-gram, 1 or more.
        vocabulary: Tokens there are, 1 to 1,048,576.
        piece: Tokens sorted at once, at most the default.
        progress: Told before each order.

    Returns:
        Counts of each order, from 1 on.

    Raises:
        DataError: There are no tokens, 2^32 or more, or some that are not in the vocabulary.
        RecipeError: `order` or `vocabulary` is out of range.

    Example:
        >>> one, two = count_ngrams([np.array([0, 1, 0, 1])], order=2, vocabulary=3)
        >>> one.counts.tolist()  # 0 begins the stream and follows 1; 1 follows 0 only; 2 nothing
        [2, 1, 0]
        >>> [(int(key) >> 2, int(key) & 3) for key in two.keys], two.counts.tolist()
        ([(0, 1), (1, 0)], [2, 1])
    """
    if order < 1:
        raise RecipeError(f"an n-gram of {order} tokens.", fix="Take an order of 1 or more.")
    if not 1 <= vocabulary <= LARGEST_VOCABULARY:
        raise RecipeError(
            f"a vocabulary of {vocabulary} tokens.", fix=f"Take 1 to {LARGEST_VOCABULARY:,}."
        )
    progress("counting n-grams", 0, order)
    text, sizes = _join(list(streams), vocabulary)
    keys = np.arange(vocabulary, dtype=np.uint64)
    grams = text.tokens.astype(np.uint32)
    grams[text.starts - 1] = NONE
    levels = []
    for length in range(2, order + 1):
        progress("counting n-grams", length - 1, order)
        before = _Level(grams, sizes, _begin(text, grams, length - 1, len(sizes)))
        longer, sizes, grams = _extend(text, before, token_bits(vocabulary), piece)
        levels.append(NGramCounts(keys, before.left))
        keys = longer
    return [*levels, NGramCounts(keys, sizes)]


@dataclass(frozen=True)
class _Text:
    """Streams one after the other, a gap before each: where it starts, and how long it is."""

    tokens: np.ndarray
    gap: int
    starts: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class _Level:
    """One order: the n-gram that ends at each token; how often each occurs; tokens before it."""

    grams: np.ndarray
    sizes: np.ndarray
    left: np.ndarray


def _join(streams: list[np.ndarray], vocabulary: int) -> tuple[_Text, np.ndarray]:
    """All streams in one array, and how often each token occurs."""
    lengths = np.array([len(stream) for stream in streams], dtype=np.int64)
    total = int(lengths.sum())
    if not 0 < total < NONE:
        raise DataError(f"{total} tokens to count.", fix="Give 1 to 4 billion tokens.")
    starts = np.cumsum(lengths + 1) - lengths
    tokens = np.empty(total + len(lengths), dtype=np.min_scalar_type(vocabulary))
    tokens[starts - 1] = vocabulary
    sizes = np.zeros(vocabulary, dtype=np.int64)
    for stream, start in zip(streams, starts.tolist(), strict=True):
        for begin in range(0, len(stream), PIECE):  # a memory-mapped stream is never read whole
            block = checked(stream[begin : begin + PIECE], vocabulary).astype(np.int64)
            tokens[start + begin : start + begin + len(block)] = block
            sizes += np.bincount(block, minlength=vocabulary)
    return _Text(tokens, vocabulary, starts, lengths), sizes.astype(np.uint32)


def _begin(text: _Text, grams: np.ndarray, order: int, count: int) -> np.ndarray:
    """Tokens seen before each n-gram, so far one where a stream begins with it and else none."""
    seen = np.zeros(count, dtype=np.uint32)
    seen[grams[text.starts[text.lengths >= order] + order - 1]] = 1
    return seen


def _extend(
    text: _Text, before: _Level, bits: int, piece: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count n-grams of one token more, and in `before.left` what is seen before the shorter ones.

    Returns:
        Their keys, how often each occurs, and which of them ends at each token.
    """
    keys, sizes, known = [], [], 0
    grams = np.full(len(text.tokens), NONE, dtype=np.uint32)
    for low, high in _pieces(before.sizes, piece):
        places = np.flatnonzero(before.grams[:-1] - np.uint32(low) < np.uint32(high - low)) + 1
        places = places[text.tokens[places] != text.gap]
        if not len(places):
            continue
        # Sorting context, token and place as one number is many times faster than an argsort.
        place_bits = (len(places) - 1).bit_length()
        packed = (before.grams[places - 1] - np.uint32(low)).astype(np.uint64) << np.uint64(bits)
        packed |= text.tokens[places].astype(np.uint64)
        packed <<= np.uint64(place_bits)
        packed |= np.arange(len(places), dtype=np.uint64)
        packed.sort()
        places = places[packed & np.uint64((1 << place_bits) - 1)]
        packed >>= np.uint64(place_bits)
        new = np.ones(len(packed), dtype=bool)
        np.not_equal(packed[1:], packed[:-1], out=new[1:])
        grams[places] = np.cumsum(new) + (known - 1)
        first = np.flatnonzero(new)
        # The token before the shorter n-gram that ends here is another one for each longer one.
        np.add.at(before.left, before.grams[places[first]], np.uint32(1))
        keys.append(packed[first] + (np.uint64(low) << np.uint64(bits)))
        sizes.append(np.diff(first, append=len(packed)).astype(np.uint32))
        known += len(first)
    if not keys:
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.uint32), grams
    return np.concatenate(keys), np.concatenate(sizes), grams


def _pieces(sizes: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of contexts that occur at most so often together, or of one context each.

    So either context and place both fit 22 bits, or the context needs none and the place 32.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    low = 0
    while low < len(ends):
        done = int(ends[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(ends, done + most, side="right")))
        yield low, high
        low = high
