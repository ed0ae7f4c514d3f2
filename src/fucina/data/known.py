"""Texts that are there already, and whether a new one says nearly the same as one of them."""

import math
from collections.abc import Iterable

from fucina.data.similar import THRESHOLD, normalized, similar, trigrams
from fucina.records import Example

__all__ = ["Known"]


class Known:
    """Remembers rows, and finds the one that a new text nearly equals.

    Unlike `clusters` it is exact, takes rows one by one, and joins no chains: a text is compared
    with each row that shares a rare trigram with it. Two texts above the threshold t must share one
    of any |A| - ⌈t|A|⌉ + 1 trigrams of the first (Chaudhuri, Ganti, Kaushik 2006, prefix filter).

    Example:
        >>> known = Known([Example("Dov'è il mio ordine?", "x", origin="test.csv:2")])
        >>> known.find("dov'e il mio ordine").origin
        'test.csv:2'
        >>> known.find("vorrei un rimborso") is None
        True
    """

    def __init__(self, rows: Iterable[Example] = ()) -> None:
        self._rows: list[tuple[Example, set[str]]] = []
        self._having: dict[str, list[int]] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Example) -> None:
        """Remember a row."""
        parts = trigrams(normalized(row.prompt))
        for part in parts:
            self._having.setdefault(part, []).append(len(self._rows))
        self._rows.append((row, parts))

    def find(self, text: str) -> Example | None:
        """The most similar row at or above the threshold of near duplicates; None without one."""
        parts = trigrams(normalized(text))
        rarest = sorted(parts, key=lambda part: len(self._having.get(part, ())))
        prefix = rarest[: len(parts) - math.ceil(THRESHOLD * len(parts)) + 1]
        places = sorted({place for part in prefix for place in self._having.get(part, ())})
        best, found = THRESHOLD, None
        for place in places:
            row, own = self._rows[place]
            likeness = similar(parts, own)
            if likeness >= best and (found is None or likeness > best):
                best, found = likeness, row
        return found
