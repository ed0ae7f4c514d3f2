"""Sections out of parts that a reader gives one by one."""

from collections.abc import Iterable
from typing import NamedTuple

from fucina.records import Section

__all__ = ["Part", "gather"]


class Part(NamedTuple):
    """A heading or a paragraph, with its place in the file."""

    text: str
    place: int
    level: int = 0  # of a heading, 1 for the highest; 0 for others


def gather(parts: Iterable[Part]) -> tuple[Section, ...]:
    """Put the paragraphs under each heading together; empty ones are left out.

    Example:
        >>> gather([Part("T", 1, 1), Part("a", 2), Part("b", 5), Part("U", 6, 2), Part("c", 7)])[1]
        Section(headings=('T', 'U'), text='c', marks=((0, 7),))
    """
    found: list[Section] = []
    path: dict[int, str] = {}
    own: list[Part] = []

    def close() -> None:
        if own:
            marks, offset = [], 0
            for part in own:
                marks.append((offset, part.place))
                offset += len(part.text) + 2
            text = "\n\n".join(part.text for part in own)
            found.append(Section(tuple(path[level] for level in sorted(path)), text, tuple(marks)))
            own.clear()

    for part in parts:
        if not part.text.strip():
            continue
        if part.level:
            close()
            path = {high: name for high, name in path.items() if high < part.level}
            path[part.level] = part.text
        else:
            own.append(part)
    close()
    return tuple(found)
