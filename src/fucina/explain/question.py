"""What is asked of a model whose answer is explained: how likely it is for other texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fucina.errors import DataError
from fucina.explain.words import Bounds, read_part, units, without

__all__ = ["TINY", "Question", "Reading", "read"]

TINY = 1e-30  # the least probability, whose logarithm is still a number

Writing = Callable[[str, Bounds, np.ndarray], str]


@dataclass(frozen=True)
class Reading:
    """The part of a text that a model reads.

    Attributes:
        text: That part.
        words: Where its words are in it.
        begin: Where it begins in the whole text.
        whole: The words of the whole text.
        first: Which of these is the first that is read.
    """

    text: str
    words: tuple[tuple[int, int], ...]
    begin: int
    whole: tuple[tuple[int, int], ...]
    first: int

    @property
    def unread(self) -> int:
        """How many words are behind the cut, or before it."""
        return len(self.whole) - len(self.words)


def read(
    text: str,
    fits: Callable[[str], bool],
    *,
    words: Callable[[str], Bounds] = units,
    from_end: bool = True,
) -> Reading:
    """Find the words of a text, and those that a model reads.

    Args:
        text: What is asked.
        fits: Whether a text is read whole.
        words: Finds them.
        from_end: A long text loses its end, else its beginning.

    Raises:
        DataError: There is no word in it, or none is read.
    """
    whole = tuple(words(text))
    if not whole:
        raise DataError("there is no word to explain.", fix="Give a text with words in it.")

    def stretch(first: int, last: int) -> tuple[int, int]:
        # What stands before the first word and behind the last is read with them.
        begin = whole[first][0] if first else 0
        return begin, len(text) if last == len(whole) else whole[last - 1][1]

    first, last = read_part(
        len(whole), lambda *part: fits(text[slice(*stretch(*part))]), from_end=from_end
    )
    if first == last:
        raise DataError(
            "the model has no room for a single word of the text.",
            fix="Raise model.max_length_tokens, or give a shorter conversation.",
        )
    begin, end = stretch(first, last)
    inside = tuple((a - begin, b - begin) for a, b in whole[first:last])
    return Reading(text[begin:end], inside, begin, whole, first)


@dataclass(frozen=True)
class Question:
    """One answer to one text.

    Attributes:
        kind: Of the answer.
        reading: What the model reads.
        answer: What is explained.
        answered: What the model itself answers.
        confidence: How sure it is of `answer`.
        likely: n texts to the logarithm of the probability of `answer`.
        parts: How many tokens or words that is the product of; curves show the probability of one.
        span: Where the answer is a stretch of the text, its place.
        write: How a text is written without some of its words.
        notes: What a reader must know.
    """

    kind: Literal["label", "spans", "text"]
    reading: Reading
    answer: str
    answered: str
    confidence: float
    likely: Callable[[Sequence[str]], np.ndarray]
    parts: int = 1
    span: tuple[int, int] | None = None
    write: Writing = without
    notes: tuple[str, ...] = ()
    _known: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    def without(self, kept: np.ndarray) -> str:
        """The text of those words that are kept, w booleans."""
        return self.write(self.reading.text, self.reading.words, kept)

    def log_likely(self, texts: Sequence[str]) -> np.ndarray:
        """As `likely`, of which what was asked before is remembered: orders share their ends."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self.likely(new).tolist(), strict=True))
        return np.array([self._known[text] for text in texts])
