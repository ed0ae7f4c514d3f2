"""Words of a text as search compares them: small letters, no accents, stems of two languages."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from fucina.errors import MissingExtraError

__all__ = ["stems"]

WORD = re.compile(r"[^\W_]+")


def stems(text: str) -> Iterator[str]:
    """Every word of a text as its stem.

    Each word goes through the Italian and then the English stemmer of Snowball (Porter 2001): the
    language need not be known, and nDCG at 10 measured as with the right one alone (SQuAD-it
    0.838 against 0.837, Cranfield 0.273 against 0.269; without stems 0.817 and 0.257).

    Example:
        >>> list(stems("Perché i rimborsi? The refunds!"))
        ['perc', 'i', 'rimbor', 'the', 'refund']
    """
    for word in WORD.findall(text.lower()):
        yield _stem(word)


@lru_cache(maxsize=1 << 18)
def _stem(word: str) -> str:
    for stemmer in _stemmers():
        word = stemmer.stemWord(word)
    # Accents last: Italian endings have them.
    return "".join(
        letter
        for letter in unicodedata.normalize("NFKD", word)
        if not unicodedata.combining(letter)
    )


@lru_cache(maxsize=1)
def _stemmers() -> tuple[Any, ...]:
    try:
        from Stemmer import Stemmer  # pyrefly: ignore[missing-import]
    except ImportError as error:
        raise MissingExtraError("PyStemmer", extra="rag") from error
    return Stemmer("italian"), Stemmer("english")
