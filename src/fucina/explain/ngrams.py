"""What n-grams of letters and forms of words say, word by word: a linear part, so exactly.

The length that a row is brought to is held as it is in this text; then every n-gram adds its own
share, and the shares add up to the whole.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from fucina.models.lexical import ORDERS, Lexicon, Table, counts
from fucina.models.word_forms import form_rows, forms

__all__ = ["form_shares", "ngram_shares"]

SPACES = re.compile(r"\s\s+")  # that CountVectorizer reads as one
BESIDE = re.compile(r"([+-][12])(?:s=| )")  # forms that tell of another word


def ngram_shares(
    text: str, lexicon: Lexicon, tables: Sequence[Table | None], slope: np.ndarray
) -> np.ndarray:
    """What the n-grams over each character of a text add to a score, the mean of all members.

    An n-gram's share is dealt evenly to its places, and there to its characters that are no space.

    Args:
        text: The text.
        lexicon: The n-grams.
        tables: What each member makes of them.
        slope: c numbers: how the score depends on the scores of labels.

    Returns:
        A number for each character.
    """
    rows = counts([text], lexicon).toarray()[0]
    values = np.zeros(len(lexicon.ngrams))
    for table in tables:
        if table is None:
            continue
        weighed = rows * table.rarity
        length = float(np.linalg.norm(weighed)) or 1.0
        values += weighed * (table.weights @ slope) / length / len(tables)
    low, origin = _folded(text)
    places = [
        (begin, size, lexicon.index[low[begin : begin + size]])
        for size in range(ORDERS[0], ORDERS[1] + 1)
        for begin in range(len(low) - size + 1)
        if low[begin : begin + size] in lexicon.index
    ]
    often = Counter(column for _, _, column in places)
    found = np.zeros(len(text))
    for begin, size, column in places:
        inside = origin[begin : begin + size]
        signs = [place for place in inside if not text[place].isspace()] or list(inside)
        np.add.at(found, signs, values[column] / often[column] / len(signs))
    return found


def _folded(text: str) -> tuple[str, np.ndarray]:
    """The text as n-grams are counted in it, and the character that each of its signs was."""
    small = [sign.lower() for sign in text]
    origin = np.repeat(np.arange(len(text)), [len(sign) for sign in small])
    low = "".join(small)
    if len(low) == len(text.lower()):
        low = text.lower()  # where a sign depends on its neighbors, as the Greek sigma does
    kept = np.ones(len(low), dtype=bool)
    spaces = list(low)
    for run in SPACES.finditer(low):
        kept[run.start() + 1 : run.end()] = False
        spaces[run.start()] = " "
    return "".join(sign for sign, there in zip(spaces, kept, strict=True) if there), origin[kept]


def form_shares(
    text: str,
    bounds: Sequence[tuple[int, int]] | np.ndarray,
    lexicon: Lexicon,
    tables: Sequence[Table | None],
    slopes: np.ndarray,
) -> np.ndarray:
    """What the forms around marked words add to a score, the mean of all members.

    A form that tells of a neighbor is that neighbor's; the look of three words is dealt to them.

    Args:
        text: The text.
        bounds: Its w words.
        lexicon: The forms.
        tables: What each member makes of them.
        slopes: w x c: how the score depends on the scores of the tags of each word.

    Returns:
        W numbers, a word's each.
    """
    rows = form_rows([text], [bounds], lexicon).toarray()
    found = np.zeros(len(bounds))
    each = list(forms(text, bounds))
    for place in np.flatnonzero(np.abs(slopes).sum(axis=1)):
        for table in tables:
            if table is None:
                continue
            weighed = rows[place] * table.rarity
            length = float(np.linalg.norm(weighed)) or 1.0
            values = weighed * (table.weights @ slopes[place]) / length / len(tables)
            for form in set(each[place]) & lexicon.index.keys():
                whose = _whose(form, int(place), len(bounds))
                found[whose] += values[lexicon.index[form]] / len(whose)
    return found


def _whose(form: str, place: int, count: int) -> list[int]:
    """The words that a form of a word tells of; a neighbor that is not there is the word itself."""
    if beside := BESIDE.match(form):
        other = place + int(beside[1])
        return [other if 0 <= other < count else place]
    if form.startswith("ss="):
        return [near for near in (place - 1, place, place + 1) if 0 <= near < count]
    return [place]
