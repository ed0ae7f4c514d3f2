"""Texts that are there already, and whether a new one says nearly the same as one of them."""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import chain

from fucina.data.similar import THRESHOLD, normalized, similar, trigrams
from fucina.records import Example

__all__ = ["Known"]

SHARED = 6  # rare trigrams in common that make a row worth comparing


class Known:
    """Remembers rows, and finds the one that a new text nearly equals.

    Unlike `clusters` it is exact, takes rows one by one, and joins no chains: a text is compared
    with each row that shares some rare trigrams with it. Two texts above the threshold t share
    ⌈t|A|⌉ trigrams of the first, so at least k of any |A| - ⌈t|A|⌉ + k of them (prefix filter,
    Chaudhuri, Ganti, Kaushik 2006).

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
        least = math.ceil(THRESHOLD * len(parts) - 1e-9)  # 0.7 is a little more in binary
        shared = min(SHARED, least)
        rarest = sorted(parts, key=lambda part: len(self._having.get(part, ())))
        prefix = rarest[: len(parts) - least + shared]
        counts = Counter(chain.from_iterable(self._having.get(part, ()) for part in prefix))
        places = sorted(place for place, count in counts.items() if count >= shared)
        best, found = THRESHOLD, None
        for place in places:
            row, own = self._rows[place]
            likeness = similar(parts, own)
            if likeness >= best and (found is None or likeness > best):
                best, found = likeness, row
        return found
