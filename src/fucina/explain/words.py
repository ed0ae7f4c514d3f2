"""The words of a text that are weighed, and the text without some of them."""

import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

from fucina.models.tags import word_bounds

__all__ = ["STAND_IN", "Bounds", "read_part", "replaced", "share", "units", "without"]

Bounds = Sequence[tuple[int, int]]
STAND_IN = "_"  # one word to a tagger, and to a tokenizer a sign that says nothing


def units(text: str) -> tuple[tuple[int, int], ...]:
    """Where the words of a text are: from space to space, with the signs that touch them.

    So nothing that a model reads is left unweighed. Scripts without spaces have a word a sign.

    Example:
        >>> text = "Dov'è il pacco dell'ordine, per favore?"
        >>> [text[begin:end] for begin, end in units(text)]
        ["Dov'è", 'il', 'pacco', "dell'ordine,", 'per', 'favore?']
        >>> units("東京 へ")
        ((0, 1), (1, 2), (3, 4))
    """
    found: list[list[int]] = []
    alone = False  # whether the last one has a sign of a script without spaces
    for begin, end in word_bounds(text):
        letter = unicodedata.category(text[begin]) == "Lo"
        if found and found[-1][1] == begin and not (alone and letter):
            found[-1][1] = end
        else:
            found.append([begin, end])
            alone = False
        alone = alone or (letter and end - begin == 1)
    return tuple((begin, end) for begin, end in found)


def without(text: str, words: Bounds, kept: np.ndarray) -> str:
    """The text of the words that are kept; a stand-in where none is.

    Example:
        >>> without("no, il pacco", units("no, il pacco"), np.array([True, False, True]))
        'no, pacco'
    """
    ends = [begin for begin, _ in words[1:]] + [len(text)]
    pieces = [text[begin:end] for (begin, _), end in zip(words, ends, strict=True)]
    said = "".join(piece for piece, there in zip(pieces, kept, strict=True) if there).strip()
    return said or STAND_IN


def replaced(text: str, words: Bounds, kept: np.ndarray) -> str:
    """The text with a stand-in for each word that is not kept; as many words as before.

    Words that touch one another are told apart by what they are, so where one of them goes, all
    stand apart.

    Example:
        >>> replaced("a l'Arno", [(0, 1), (2, 3), (3, 4), (4, 8)], np.array([1, 1, 1, 0]))
        "a l ' _"
    """
    run = np.cumsum([bool(i) and words[i - 1][1] < begin for i, (begin, _) in enumerate(words)])
    torn = set(run[~np.asarray(kept, dtype=bool)].tolist())
    pieces, last = [], 0
    for (begin, end), own, there in zip(words, run.tolist(), kept, strict=True):
        touches = begin == last and begin > 0
        pieces.append(" " if touches and own in torn else text[last:begin])
        pieces.append(text[begin:end] if there else STAND_IN)
        last = end
    return "".join([*pieces, text[last:]])


def read_part(count: int, fits: Callable[[int, int], bool], *, from_end: bool) -> tuple[int, int]:
    """Which of the words a model reads, of a text that may be too long.

    Args:
        count: How many words there are.
        fits: First word, and the one behind the last, to whether all between are read.
        from_end: The end of a long text is lost, else its beginning.

    Example:
        >>> read_part(9, lambda first, last: last - first <= 4, from_end=True)
        (0, 4)
    """
    if fits(0, count):
        return 0, count
    low, high = 0, count  # so many are read at least, and not so many
    while high - low > 1:
        middle = (low + high) // 2
        part = (0, middle) if from_end else (count - middle, count)
        low, high = (middle, high) if fits(*part) else (low, middle)
    return (0, low) if from_end else (count - low, count)


def share(
    values: np.ndarray, covers: Sequence[tuple[int, int]] | np.ndarray, words: Bounds
) -> tuple[np.ndarray, float]:
    """Give what stretches of a text weigh to the words in them, by the characters they share.

    Args:
        values: n weights.
        covers: First character of each stretch, and the one behind its last.
        words: Where words are, in order.

    Returns:
        The weights of the words, and what fell to none.

    Example:
        >>> share(np.array([1.0, 2.0, 4.0]), [(0, 2), (2, 6), (6, 7)], [(0, 3), (3, 6)])
        (array([1.5, 1.5]), 4.0)
    """
    found, rest = np.zeros(len(words)), 0.0
    begins = np.array([begin for begin, _ in words])
    ends = np.array([end for _, end in words])
    for value, (begin, end) in zip(values, covers, strict=True):
        common = np.clip(np.minimum(ends, end) - np.maximum(begins, begin), 0, None)
        if common.sum() > 0:
            found += value * common / common.sum()
        else:
            rest += float(value)
    return found, rest
