"""Spans that are given by their words alone: find the one place where each can stand."""

from collections.abc import Sequence

from fucina.errors import DataError
from fucina.models.tags import word_bounds
from fucina.records import Span

__all__ = ["place"]


def place(text: str, named: Sequence[tuple[str, str]]) -> tuple[Span, ...]:
    """The spans of a text that some names are, in order; none is guessed.

    Names are whole words, and the longest are looked for first: what stands inside another name
    does not count. A name that stands there twice must be given twice.

    Args:
        text: The text.
        named: Types and names, in any order.

    Raises:
        DataError: A name is not in the text, has two types, or stands there more often than it
            is given.

    Example:
        >>> place("L'AS Roma gioca a Roma", [("LOC", "Roma"), ("ORG", "AS Roma")])
        (Span(start=2, end=9, label='ORG'), Span(start=18, end=22, label='LOC'))
        >>> place("Rossi vede Rossi", [("PER", "Rossi")])
        Traceback (most recent call last):
        fucina.errors.DataError: 'Rossi' stands 2 times in the text and is given once. ...
    """
    types: dict[str, list[str]] = {}
    for label, name in named:
        types.setdefault(name.strip(), []).append(label)
    bounds = word_bounds(text)
    starts, ends = {start for start, _ in bounds}, {end for _, end in bounds}
    found: list[Span] = []
    for name in sorted(types, key=len, reverse=True):
        if len(set(types[name])) > 1:
            raise DataError(
                f"{name!r} is given as {' and as '.join(dict.fromkeys(types[name]))}.",
                fix="Give start and end of each, or leave the row out.",
            )
        if not name or name not in text:
            raise DataError(
                f"{name!r} does not stand in the text.", fix="Write names as the text has them."
            )
        free = [
            Span(start, start + len(name), types[name][0])
            for start in sorted(starts)
            if text.startswith(name, start)
            and start + len(name) in ends
            and not any(s.start < start + len(name) and start < s.end for s in found)
        ]
        if not free:
            raise DataError(
                f"{name!r} stands only inside a word or another name.",
                fix="Mark whole words, and no name in a name.",
            )
        if 1 < len(free) != len(types[name]):
            times = "once" if len(types[name]) == 1 else f"{len(types[name])} times"
            raise DataError(
                f"{name!r} stands {len(free)} times in the text and is given {times}.",
                fix="Give it as often as it is one, or give start and end.",
            )
        found += free
    return tuple(sorted(found))
