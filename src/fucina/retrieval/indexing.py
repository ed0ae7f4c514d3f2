"""Keep an index like the files it is of: only what changed is read and embedded again."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fucina.config import IndexConfig
from fucina.errors import DataError, FucinaError, RunError
from fucina.records import Chunk, Document, Progress, silent
from fucina.retrieval import formats
from fucina.retrieval.chunking import chunker, headed
from fucina.retrieval.embedding import Embedder
from fucina.retrieval.interface import Entry, Index
from fucina.retrieval.words import stems

__all__ = ["Indexed", "Source", "find_sources", "require_same", "update"]

AT_ONCE = 128  # chunks that are embedded together: enough for batches of like length
CUTTING = ("chunk_tokens", "overlap_tokens")  # a change of them makes all chunks anew
UNREAD = {"node_modules", "__pycache__"}


@dataclass(frozen=True)
class Source:
    """A file to index.

    Attributes:
        name: What the index calls it: its path below the folder that was given.
        path: Where it is.
        named: It was given itself, not found in a folder.
    """

    name: str
    path: Path
    named: bool


@dataclass(frozen=True)
class Indexed:
    """What an update did.

    Attributes:
        added: Names of new documents.
        changed: Of those read again.
        removed: Of those whose files are gone.
        unchanged: How many were left as they were.
        refused: Name to the problem and its fix, of files that cannot be read.
        notes: Name to what was odd about it.
        chunks: How many the index has now.
        documents: How many it has now.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    refused: Mapping[str, FucinaError]
    notes: Mapping[str, tuple[str, ...]]
    chunks: int
    documents: int


def find_sources(given: Sequence[Path]) -> list[Source]:
    """The files that are given or lie below given folders and can be read; hidden ones are not.

    The name of a file begins with the name of the folder that was given.

    Raises:
        DataError: A path is not there, no file has a format that is read, or two have one name.
    """
    found: list[Source] = []
    for path in given:
        if path.is_file():
            found.append(Source(path.name, path, named=True))
        elif path.is_dir():
            above = path.resolve()
            found += (
                Source(f"{above.name}/{p.relative_to(above).as_posix()}", p, named=False)
                for p in _below(above)
            )
        else:
            raise DataError(
                f"no file or folder {path}.",
                fix="Check the path; an index forgets its documents with --forget PATH alone.",
            )
    if not found:
        raise DataError(
            f"nothing to read in {', '.join(map(str, given))}.",
            fix=f"Give files of {', '.join(formats.READERS)}.",
        )
    twice = next((n for n, count in Counter(s.name for s in found).items() if count > 1), None)
    if twice:
        one, other = [source.path for source in found if source.name == twice][:2]
        raise DataError(
            f"{one} and {other} would both be called {twice} in the index.",
            fix="Index the folder above both, or rename one.",
        )
    return found


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        seen = not any(part.startswith(".") or part in UNREAD for part in inside)
        if seen and path.suffix.lower() in formats.READERS and path.is_file():
            yield path


def require_same(store: Index, config: IndexConfig, fingerprint: str) -> bool:
    """Whether the chunks of an index are cut and kept as these settings say; of an empty one, yes.

    Raises:
        RunError: Another embedder made it.
    """
    facts = store.facts
    if "embedder" not in facts:
        return True
    if facts["fingerprint"] != fingerprint:
        raise RunError(
            f"{store.path.parent} was made by another embedder: {facts['embedder']} "
            f"({facts['fingerprint']}), now {config.embedder} ({fingerprint}).",
            fix=f"Use embedder={facts['embedder']}, or embed all again: fucina index … --anew.",
        )
    before = IndexConfig.model_validate_json(facts["config"])
    moved = (before.weaviate_url is None) != (config.weaviate_url is None)
    return not moved and all(getattr(before, key) == getattr(config, key) for key in CUTTING)


def update(
    store: Index,
    sources: Sequence[Source],
    embedder: Embedder,
    config: IndexConfig,
    *,
    given: Sequence[str] = (),
    anew: bool = False,
    progress: Progress = silent,
) -> Indexed:
    """Make an index like its files.

    A file is compared by size and time, then by its hash. What cannot be read is told and, where
    an earlier state of it is in the index, that stays.

    Args:
        store: The index.
        sources: All files that it is of; a document of another file is taken out.
        embedder: Makes the vectors.
        config: How chunks are cut.
        given: Files and folders that the sources came from, which the index remembers.
        anew: Embed everything again.
        progress: Shows steps.

    Raises:
        RunError: Another embedder made the index.
    """
    if anew:
        store.clear()
    if not require_same(store, config, embedder.fingerprint):
        store.clear()
    store.note(
        {
            "config": config.model_dump_json(),
            "embedder": config.embedder,
            "fingerprint": embedder.fingerprint,
            "sources": json.dumps(list(given), ensure_ascii=False),
        }
    )
    known = store.known()
    names = {source.name for source in sources}
    removed = sorted(set(known) - names)
    store.drop(removed)
    refused: dict[str, FucinaError] = {}
    notes: dict[str, tuple[str, ...]] = {}
    cut = chunker(
        embedder.tokenizer, chunk_tokens=config.chunk_tokens, overlap_tokens=config.overlap_tokens
    )
    added, changed, waiting = [], [], _Waiting(store, embedder)
    for done, source in enumerate(sources, start=1):
        progress("reading and embedding", done, len(sources))
        try:
            entry = _entry(source, known.get(source.name))
            if entry is None:
                continue
            if source.name in known and known[source.name].hash == entry.hash:
                store.touch(source.name, entry)
                continue
            document = formats.read(source.path, most_mib=config.max_file_mib)
            chunks = list(cut(document))
        except FucinaError as error:
            refused[source.name] = error
            continue
        if document.notes:
            notes[source.name] = document.notes
        (changed if source.name in known else added).append(source.name)
        waiting.add(source.name, entry, document, chunks)
    waiting.flush()
    documents, chunks = store.count()
    fresh = len(added) + len(changed) + len(refused)
    return Indexed(
        tuple(added), tuple(changed), tuple(removed), len(sources) - fresh, refused, notes,
        chunks, documents,
    )  # fmt: skip


def _entry(source: Source, known: Entry | None) -> Entry | None:
    """What a file is like; None where size and time are those that the index knows."""
    try:
        state = source.path.stat()
        if known and (known.size, known.modified) == (state.st_size, state.st_mtime_ns):
            return None
        with source.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{source.path} cannot be read: {error.strerror}.",
            fix="Check its rights, or leave it out.",
        ) from error
    return Entry(digest, state.st_size, state.st_mtime_ns)


class _Waiting:
    """Remembers documents until there are chunks enough to embed together."""

    def __init__(self, store: Index, embedder: Embedder) -> None:
        self._store, self._embedder = store, embedder
        self._rows: list[tuple[str, Entry, Document, list[Chunk]]] = []

    def add(self, name: str, entry: Entry, document: Document, chunks: list[Chunk]) -> None:
        self._rows.append((name, entry, document, chunks))
        if sum(len(row[3]) for row in self._rows) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        texts = [
            headed(document.title, chunk.headings, chunk.text)
            for _, _, document, chunks in self._rows
            for chunk in chunks
        ]
        vectors = self._embedder.passages(texts)
        begin = 0
        for name, entry, document, chunks in self._rows:
            end = begin + len(chunks)
            words = [list(stems(text)) for text in texts[begin:end]]
            self._store.put(name, entry, document, chunks, vectors[begin:end], words)
            begin = end
        self._rows.clear()
