"""What every index offers, wherever its chunks are: the two protocols that backends implement."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from fucina.records import Chunk, Document, Hit

if TYPE_CHECKING:
    from fucina.config import SearchConfig

__all__ = ["Entry", "Filed", "Finder", "Index", "Questions", "Rerank"]

Questions = Callable[[Sequence[str]], np.ndarray]  # n texts to n x d
Rerank = Callable[[str, Sequence[str]], np.ndarray]  # a question and n chunks to n scores


class Entry(NamedTuple):
    """What tells whether a file has changed."""

    hash: str
    size: int
    modified: int


class Filed(NamedTuple):
    """A document of the index, without its text."""

    path: str
    title: str
    unit: str
    date: str
    tags: tuple[str, ...]


class Index(Protocol):
    """What an index is of and what was cut out of it.

    Whatever is put in stands there when the call comes back. A process that is killed within a call
    leaves an index that answers, and another run with the same files makes it whole.

    Attributes:
        path: File of the facts, in the folder of the index.
    """

    path: Path

    @property
    def facts(self) -> dict[str, str]:
        """What the index was made with."""
        ...

    def note(self, facts: Mapping[str, str]) -> None:
        """Keep facts."""
        ...

    def known(self) -> dict[str, Entry]:
        """Each file of the index, and what it was like."""
        ...

    def put(
        self,
        path: str,
        entry: Entry,
        document: Document,
        chunks: Sequence[Chunk],
        vectors: np.ndarray,
        stems: Sequence[Sequence[str]],
    ) -> None:
        """Put a document in, in the place of the one that was there under its path.

        Args:
            path: Its name in the index.
            entry: What its file is like.
            document: As it was read.
            chunks: n pieces of it.
            vectors: n x d, each of length 1.
            stems: The words of each of the n chunks.
        """
        ...

    def touch(self, path: str, entry: Entry) -> None:
        """Keep that a file was written again with the same content."""
        ...

    def drop(self, paths: Iterable[str]) -> None:
        """Take documents out."""
        ...

    def clear(self) -> None:
        """Take everything out, facts too."""
        ...

    def count(self) -> tuple[int, int]:
        """Documents and chunks."""
        ...

    def finder(self, questions: Questions, rerank: Rerank | None = None) -> "Finder":
        """What searches it.

        Args:
            questions: Vectors of questions, n texts to n x d.
            rerank: Scores of pairs (question, chunk), or None.
        """
        ...


class Finder(Protocol):
    """What searches an index, and sees what other processes write meanwhile."""

    @property
    def documents(self) -> Mapping[int, Filed]:
        """Each document by its id."""
        ...

    def search(
        self,
        question: str,
        config: "SearchConfig",
        *,
        vector: np.ndarray | None = None,
        without: int | None = None,
    ) -> list[Hit]:
        """The chunks that fit a question, best first.

        Args:
            question: In words.
            config: How many, how ranked, which documents.
            vector: Of the question, where it is known.
            without: Id of a document that is left out.
        """
        ...

    def coverage(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Share of a question's stems that each of n texts has, weighed by their rarity here."""
        ...
