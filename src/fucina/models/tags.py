"""Spans as tags of words and back: B-x begins a span of type x, I-x goes on, O is outside.

Words are found in the text alone, the same for every tokenizer: a run of letters and digits, or a
single sign. So a mark can begin behind an apostrophe (l'Arno) and end before a full stop.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from fucina.metrics import apply_temperature
from fucina.records import Span

__all__ = ["best_path", "cooled", "marks", "tag_names", "to_spans", "to_tags", "word_bounds"]

OUTSIDE = 0  # the code of O; type i has B at 1 + 2i and I at 2 + 2i
PIECES = re.compile(r"\w+|[^\w\s]")
ROWS_AT_ONCE = 512  # of like length, whose paths are found together
NEVER = -1e9  # the score of what a path must not do


def word_bounds(text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end.

    Scripts without spaces, such as Chinese, have a word a sign; a mark that belongs to a letter,
    such as a vowel sign of Hindi, stays with it.

    Example:
        >>> text = "L'Arno è in piena."
        >>> [text[begin:end] for begin, end in word_bounds(text)]
        ['L', "'", 'Arno', 'è', 'in', 'piena', '.']
        >>> word_bounds("東京 へ")
        [(0, 1), (1, 2), (3, 4)]
    """
    found: list[tuple[int, int]] = []
    for match in PIECES.finditer(text):
        begin, end = match.span()
        if not text[begin].isascii():
            if found and found[-1][1] == begin and unicodedata.category(text[begin])[0] == "M":
                found[-1] = (found[-1][0], end)
                continue
            if _alone(text[begin]):
                found += [(place, place + 1) for place in range(begin, end)]
                continue
        if found and found[-1][1] == begin and unicodedata.category(text[begin - 1])[0] == "M":
            found[-1] = (found[-1][0], end)  # a letter that goes on behind such a mark
            continue
        found.append((begin, end))
    return found


def _alone(letter: str) -> bool:
    """Whether a script is written without spaces: Thai to Khmer, and Chinese, Japanese."""
    code = ord(letter)
    return 0x0E00 <= code < 0x0F00 or 0x2E80 <= code < 0xA000 or 0x20000 <= code < 0x32000


def tag_names(types: Sequence[str]) -> tuple[str, ...]:
    """The tags of some types, in the order of their codes.

    Example:
        >>> tag_names(["LOC", "PER"])
        ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    return ("O", *(f"{part}-{name}" for name in types for part in "BI"))


def to_tags(
    spans: Sequence[Span], bounds: Sequence[tuple[int, int]] | np.ndarray, types: Sequence[str]
) -> np.ndarray:
    """The tag of each of w words, as codes; a word that a span only touches belongs to it.

    Spans of other types than these are left out.

    Example:
        >>> bounds = word_bounds("Ieri Giulia Ferri")
        >>> to_tags([Span(5, 17, "PER")], bounds, ["PER"]).tolist()
        [0, 1, 2]
    """
    tags = np.full(len(bounds), OUTSIDE)
    place = 0
    for span in spans:
        while place < len(bounds) and bounds[place][1] <= span.start:
            place += 1
        if span.label not in types:
            continue
        begin = 1 + 2 * types.index(span.label)
        first = True
        while place < len(bounds) and bounds[place][0] < span.end:
            if tags[place] == OUTSIDE:  # else two spans share one word, and the first has it
                tags[place] = begin if first else begin + 1
                first = False
            place += 1
        place = max(place - 1, 0)
    return tags


def to_spans(
    tags: Sequence[int] | np.ndarray,
    bounds: Sequence[tuple[int, int]] | np.ndarray,
    types: Sequence[str],
) -> tuple[Span, ...]:
    """The spans that tags say; an I that nothing of its type stands before begins one.

    Example:
        >>> to_spans([2, 2, 0, 1], [(0, 2), (3, 5), (6, 7), (8, 9)], ["PER"])
        (Span(start=0, end=5, label='PER'), Span(start=8, end=9, label='PER'))
    """
    return tuple(
        Span(int(bounds[first][0]), int(bounds[last][1]), types[kind])
        for first, last, kind in _runs(tags)
    )


def _runs(tags: Sequence[int] | np.ndarray) -> list[tuple[int, int, int]]:
    """First word, last word and type of each span, in order."""
    runs: list[tuple[int, int, int]] = []
    before = OUTSIDE
    for place, tag in enumerate(map(int, tags)):
        if tag != OUTSIDE:
            kind, inside = divmod(tag - 1, 2)
            if inside and before != OUTSIDE and (before - 1) // 2 == kind:
                runs[-1] = (runs[-1][0], place, kind)
            else:
                runs.append((place, place, kind))
        before = tag
    return runs


def best_path(scores: np.ndarray) -> np.ndarray:
    """The best sequence of tags in which every I follows a B or I of its own type.

    Viterbi's algorithm over n texts at once; what fills up a shorter text must score 0 throughout.

    Args:
        scores: n x w x c, logarithms of the probabilities of the tags of each word.

    Returns:
        n x w codes.

    Example:
        >>> odds = np.log([[[0.5, 0.1, 0.4], [0.1, 0.1, 0.8]]])  # O, B, I: the second wants I
        >>> best_path(odds).tolist()  # so the first gives up O
        [[1, 2]]
    """
    rows, words, count = scores.shape
    if not words:
        return np.zeros((rows, 0), dtype=int)
    begin, inside = np.arange(1, count, 2), np.arange(2, count, 2)
    back = np.zeros((words, rows, count), dtype=np.int16)
    so_far = scores[:, 0].astype(float)
    so_far[:, inside] = NEVER
    for word in range(1, words):
        best = so_far.argmax(axis=1)
        came = np.repeat(best[:, None], count, axis=1)
        goes_on = so_far[:, inside] > so_far[:, begin]
        came[:, inside] = np.where(goes_on, inside, begin)
        so_far = np.take_along_axis(so_far, came, axis=1) + scores[:, word]
        back[word] = came
    path = np.zeros((rows, words), dtype=int)
    path[:, -1] = so_far.argmax(axis=1)
    for word in range(words - 1, 0, -1):
        path[:, word - 1] = back[word, np.arange(rows), path[:, word]]
    return path


def marks(
    probabilities: Sequence[np.ndarray], bounds: Sequence[np.ndarray], types: Sequence[str]
) -> tuple[list[tuple[Span, ...]], list[tuple[float, ...]]]:
    """The spans of n texts, and how sure a model is of each: of its least sure word.

    Args:
        probabilities: Of the tags of each word, n arrays w x c.
        bounds: Where these words begin and end, n arrays w x 2.
        types: What a span can be.

    Example:
        >>> found, sure = marks([np.array([[0.1, 0.8, 0.1], [0.3, 0.1, 0.6]])],
        ...                     [np.array([[0, 6], [7, 12]])], ["PER"])
        >>> found[0], sure[0]
        ((Span(start=0, end=12, label='PER'),), (0.6,))
    """
    spans: list[tuple[Span, ...]] = [()] * len(probabilities)
    sure: list[tuple[float, ...]] = [()] * len(probabilities)
    lengths = np.array([len(odds) for odds in probabilities], dtype=int)
    order = np.argsort(lengths, kind="stable")
    for first in range(0, len(order), ROWS_AT_ONCE):
        part = order[first : first + ROWS_AT_ONCE]
        table = np.zeros((len(part), lengths[part].max(), 2 * len(types) + 1))
        for place, row in enumerate(part):
            table[place, : lengths[row]] = np.log(np.maximum(probabilities[row], 1e-30))
        for row, whole in zip(part, best_path(table), strict=True):
            tags = whole[: lengths[row]]
            chosen = probabilities[row][np.arange(len(tags)), tags]
            spans[row] = to_spans(tags, bounds[row], types)
            sure[row] = tuple(float(chosen[a : b + 1].min()) for a, b, _ in _runs(tags))
    return spans, sure


def cooled(sure: Sequence[float], temperature: float) -> tuple[float, ...]:
    """How sure spans are, each against not being one, under a temperature.

    Example:
        >>> [round(one, 2) for one in cooled([0.9], 2.0)]
        [0.75]
    """
    if temperature == 1.0:
        return tuple(sure)
    odds = np.array([[one, 1 - one] for one in sure]).reshape(-1, 2)
    return tuple(apply_temperature(odds, temperature)[:, 0].tolist())
