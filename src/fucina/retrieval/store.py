"""The embedded store: one SQLite file that is whole after every document.

A document is put in or taken out in one transaction, so a process that is killed leaves an index
that answers, and the next run goes on where it stopped. Readers go on while a writer writes.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fucina.errors import DataError, ResourceError, RunError
from fucina.records import Chunk, Document
from fucina.retrieval.interface import Entry, Filed, Questions, Rerank
from fucina.retrieval.searching import Searcher

__all__ = ["DATABASE", "Arrays", "Store", "open_store"]

DATABASE = "index.db"
FORMAT = "1"
SCHEMA = """
create table fact(name text primary key, value text not null);
create table document(
    id integer primary key autoincrement, path text not null unique, hash text not null,
    size integer not null, modified integer not null, title text not null,
    unit text not null, date text not null, tags text not null
);
create table chunk(
    id integer primary key autoincrement,
    document integer not null references document on delete cascade,
    headings text not null, text text not null, first integer not null, last integer not null,
    tokens integer not null, vector blob not null, terms blob not null
);
create index chunk_document on chunk(document);
create table term(id integer primary key, stem text not null unique);
"""


class Arrays(NamedTuple):
    """All that is searched, n chunks in the order of their ids.

    Attributes:
        ids: n ids of chunks.
        documents: n ids of their documents.
        vectors: n x d, each of length 1.
        terms: For each of the m places where a stem stands, the stem's id.
        counts: How often it stands there, m.
        rows: In which of the n chunks, m.
    """

    ids: np.ndarray
    documents: np.ndarray
    vectors: np.ndarray
    terms: np.ndarray
    counts: np.ndarray
    rows: np.ndarray


class Store:
    """Remembers the connection to an index."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @property
    def facts(self) -> dict[str, str]:
        """What the index was made with."""
        return dict(self._connection.execute("select name, value from fact"))

    @property
    def version(self) -> int:
        """Another number whenever another process has written."""
        return self._connection.execute("pragma data_version").fetchone()[0]

    def note(self, facts: Mapping[str, str]) -> None:
        """Keep facts."""
        with self._writing() as connection:
            connection.executemany("insert or replace into fact values(?, ?)", facts.items())

    def known(self) -> dict[str, Entry]:
        """Each file of the index, and what it was like."""
        rows = self._connection.execute("select path, hash, size, modified from document")
        return {path: Entry(*rest) for path, *rest in rows}

    def filed(self) -> dict[int, Filed]:
        """Each document by its id."""
        rows = self._connection.execute("select id, path, title, unit, date, tags from document")
        return {
            number: Filed(path, title, unit, date, tuple(json.loads(tags)))
            for number, path, title, unit, date, tags in rows
        }

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
        ids = self._ids({stem for own in stems for stem in own})
        with self._writing() as connection:
            connection.execute("delete from document where path = ?", (path,))
            number = connection.execute(
                "insert into document(path, hash, size, modified, title, unit, date, tags) "
                "values(?, ?, ?, ?, ?, ?, ?, ?)",
                (path, *entry, document.title, document.unit, document.date,
                 json.dumps(document.tags, ensure_ascii=False)),
            ).lastrowid  # fmt: skip
            connection.executemany(
                "insert into chunk(document, headings, text, first, last, tokens, vector, terms) "
                "values(?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (number, json.dumps(chunk.headings, ensure_ascii=False), chunk.text,
                     chunk.first, chunk.last, chunk.tokens,
                     vector.astype("<f2").tobytes(), _counted([ids[stem] for stem in own]))
                    for chunk, vector, own in zip(chunks, vectors, stems, strict=True)
                ),
            )  # fmt: skip

    def touch(self, path: str, entry: Entry) -> None:
        """Keep that a file was written again with the same content."""
        with self._writing() as connection:
            connection.execute(
                "update document set size = ?, modified = ? where path = ?",
                (entry.size, entry.modified, path),
            )

    def drop(self, paths: Iterable[str]) -> None:
        """Take documents out."""
        with self._writing() as connection:
            connection.executemany("delete from document where path = ?", ((p,) for p in paths))

    def clear(self) -> None:
        """Take everything out, facts too."""
        with self._writing() as connection:
            for table in ("chunk", "document", "term", "fact"):
                connection.execute(f"delete from {table}")
            connection.execute("insert into fact values('format', ?)", (FORMAT,))

    def count(self) -> tuple[int, int]:
        """Documents and chunks."""
        (documents,) = self._connection.execute("select count(*) from document").fetchone()
        (chunks,) = self._connection.execute("select count(*) from chunk").fetchone()
        return documents, chunks

    def state(self) -> tuple[dict[int, Filed], Arrays]:
        """Documents and everything that is searched, of one moment while others write."""
        self._connection.execute("begin")
        try:
            return self.filed(), self.arrays()
        finally:
            self._connection.rollback()

    def arrays(self) -> Arrays:
        """Everything that is searched."""
        rows = self._connection.execute(
            "select id, document, vector, terms from chunk order by id"
        ).fetchall()
        ids, documents, vectors, terms = zip(*rows, strict=True) if rows else ((), (), (), ())
        width = len(vectors[0]) // 2 if rows else 0
        pairs = np.frombuffer(b"".join(terms), "<u4").reshape(-1, 2)
        lengths = np.array([len(own) // 8 for own in terms], dtype=np.int64)
        return Arrays(
            np.array(ids, dtype=np.int64),
            np.array(documents, dtype=np.int64),
            np.frombuffer(b"".join(vectors), "<f2").reshape(len(rows), width).astype(np.float32),
            pairs[:, 0],
            pairs[:, 1],
            np.repeat(np.arange(len(rows), dtype=np.int32), lengths),
        )

    def chunks(self, ids: Sequence[int]) -> dict[int, Chunk]:
        """Chunks by their ids; one that another process took out meanwhile is missing."""
        marks = ", ".join("?" * len(ids))
        rows = self._connection.execute(
            f"select id, headings, text, first, last, tokens from chunk where id in ({marks})",
            tuple(map(int, ids)),
        )
        return {row[0]: Chunk(tuple(json.loads(row[1])), *row[2:]) for row in rows}

    def terms(self, stems: Iterable[str]) -> dict[str, int]:
        """Ids of the stems that the index has."""
        found = {}
        for stem in set(stems):
            row = self._connection.execute("select id from term where stem = ?", (stem,)).fetchone()
            if row:
                found[stem] = row[0]
        return found

    def finder(self, questions: Questions, rerank: Rerank | None = None) -> Searcher:
        """What searches it; it reads all vectors into memory."""
        return Searcher(self, questions, rerank)

    def _ids(self, stems: set[str]) -> dict[str, int]:
        """Ids of stems; new ones are added."""
        with self._writing() as connection:
            connection.executemany(
                "insert or ignore into term(stem) values(?)", ((stem,) for stem in sorted(stems))
            )
        return self.terms(stems)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            with self._connection:
                yield self._connection
        except sqlite3.OperationalError as error:
            raise ResourceError(
                f"cannot write {self.path}: {error}.",
                fix="Free disk space or check its rights, then index again: it goes on.",
            ) from error

    def close(self) -> None:
        """End; what is written is written."""
        self._connection.close()


@contextmanager
def open_store(folder: Path, *, create: bool = False) -> Iterator[Store]:
    """Open the index in a folder.

    Args:
        folder: Of the index.
        create: Make it where there is none.

    Raises:
        RunError: There is none, it is damaged, or a later version made it.
    """
    path = folder / DATABASE
    if not path.is_file():
        if not create:
            raise RunError(
                f"{folder} is no index.", fix=f"Make one: fucina index DIR --to {folder}"
            )
        if folder.exists() and any(entry.name != "in_use.lock" for entry in folder.iterdir()):
            raise DataError(
                f"{folder} is not empty and is no index.", fix="Give another folder: --to FOLDER."
            )
        folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level="DEFERRED")
    try:
        store = Store(connection, path)
        connection.execute("pragma foreign_keys = on")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        if not connection.execute("select count(*) from sqlite_master").fetchone()[0]:
            connection.executescript(SCHEMA)
            store.note({"format": FORMAT})
        if store.facts.get("format") != FORMAT:
            raise RunError(
                f"{folder} was made by a later version of Fucina.",
                fix="Update Fucina, or make the index anew in another folder.",
            )
        yield store
    # A page that is damaged may be read long after the file was opened.
    except sqlite3.DatabaseError as error:
        raise RunError(
            f"{path} is damaged: {error}.",
            fix=f"Delete {folder} and index again; the documents are untouched.",
        ) from error
    finally:
        connection.close()


def _counted(ids: Sequence[int]) -> bytes:
    """Pairs of id and count."""
    unique, counts = np.unique(np.array(ids, dtype="<u4"), return_counts=True)
    return np.stack([unique, counts.astype("<u4")], axis=1).astype("<u4").tobytes()
