"""What is read of documents, and found in them."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Chunk", "Document", "Hit", "Section"]


@dataclass(frozen=True)
class Section:
    """What stands under one heading of a document.

    Attributes:
        headings: From the highest to its own; empty before the first.
        text: Its text without the heading.
        marks: Pairs (offset in `text`, place in the file), ascending: where each part came from.
    """

    headings: tuple[str, ...]
    text: str
    marks: tuple[tuple[int, int], ...]

    def place_at(self, offset: int) -> int:
        r"""The place in the file of the character at an offset.

        Example:
            >>> Section((), "a\nb", ((0, 4), (2, 5))).place_at(2)
            5
        """
        return self.marks[max(0, bisect_right(self.marks, offset, key=lambda m: m[0]) - 1)][1]


@dataclass(frozen=True)
class Document:
    """A file as it was read.

    Attributes:
        title: What it calls itself, else its name.
        sections: In the order of the file.
        unit: What a place is: `line`, `page`, `paragraph` or `row`.
        date: ISO 8601, or empty.
        tags: Words it is filed under.
        notes: What was odd about it, in words.
    """

    title: str
    sections: tuple[Section, ...]
    unit: str = "line"
    date: str = ""
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """A piece of a section that is found as one.

    Attributes:
        headings: Of its section.
        text: As it stands in the file.
        first: Place where it begins, in units of its document.
        last: Place where it ends.
        tokens: How many the embedder reads, headings included.
    """

    headings: tuple[str, ...]
    text: str
    first: int
    last: int
    tokens: int


@dataclass(frozen=True)
class Hit:
    """A chunk that was found.

    Attributes:
        path: Its file, as the index names it.
        title: Of its document.
        chunk: What was found.
        unit: Of its places.
        date: Of its document.
        tags: Of its document.
        score: By what the list is sorted; larger is nearer.
        nearness: Cosine of the vectors of question and chunk, −1 to 1.
        coverage: Share of the question's words, weighed by their rarity, that the chunk has, 0
            to 1.
        parts: Other scores by name, such as `bm25`.
    """

    path: str
    title: str
    chunk: Chunk
    unit: str
    date: str
    tags: tuple[str, ...]
    score: float
    nearness: float
    coverage: float
    parts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where it stands, for people: file, headings and line.

        Example:
            >>> Hit("a.md", "A", Chunk(("A", "B"), "c", 3, 5, 9), "line", "", (), 1, 1, 1).place
            'a.md › A › B, lines 3-5'
        """
        first, last = self.chunk.first, self.chunk.last
        where = f"{self.unit} {first}" if first == last else f"{self.unit}s {first}-{last}"
        return f"{' › '.join([self.path, *self.chunk.headings])}, {where}"
