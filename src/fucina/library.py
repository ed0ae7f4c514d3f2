"""Documents as a library: indexed, kept up to date, and opened to be asked."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fucina import run
from fucina.config import IndexConfig
from fucina.errors import DataError, RunError, nearest
from fucina.records import Progress, silent
from fucina.retrieval import (
    SHIPPED,
    Embedder,
    Finder,
    Index,
    Indexed,
    Trust,
    find_sources,
    open_embedder,
    open_index,
    open_store,
    require_same,
    update,
)
from fucina.retrieval.reranking import open_reranker
from fucina.settings_file import of_words

__all__ = ["Library", "index_documents", "open_library", "sources_of"]

AGAIN = "index again: it goes on where it was"


@dataclass(frozen=True)
class Library:
    """An index that is open.

    Attributes:
        store: What is kept.
        embedder: What it was made with.
        searcher: Finds chunks.
        trust: Says how sure it is that what was found answers.
    """

    store: Index
    embedder: Embedder
    searcher: Finder
    trust: Trust


def index_documents(
    folder: Path,
    given: Sequence[Path],
    words: Sequence[str] = (),
    *,
    keys: Mapping[str, str] | None = None,
    forget: Sequence[Path] = (),
    anew: bool = False,
    progress: Progress = silent,
    again: Callable[[Indexed], bool] = lambda _: False,
) -> Indexed:
    """Make or update the index of files and folders.

    An index remembers what it is of: files and folders given later come to those given before, and
    without any the known ones are looked through again.

    Args:
        folder: Of the index.
        given: Files and folders, more of them or none.
        words: How to make it, `key=value` of the settings of an index; else as it was made.
        keys: Name of a variable to the key of an endpoint.
        forget: Files and folders given before that it is to be of no more.
        anew: Embed everything again.
        progress: Shows steps.
        again: Told of each update; while it says yes, another follows.

    Raises:
        FucinaError: A path is missing, the index is damaged, in use, or another embedder's; the
            server that keeps its chunks is away or refuses.
    """
    with run.hold(folder, following=AGAIN), open_store(folder, create=bool(given)) as store:
        facts = store.facts
        config = of_words(IndexConfig, words, "index", before=_config(facts))
        known = _known(folder, facts)
        kept = _without(known, forget)
        paths = list(dict.fromkeys([*kept, *(path.resolve() for path in given)]))
        sources = find_sources(paths)
        with open_embedder(config, (keys or {}).get(config.key_variable, "")) as embedder:
            if not anew:
                require_same(store, config, embedder.fingerprint)
            relative = [os.path.relpath(path, folder.resolve()) for path in paths]
            with open_index(
                store, config, embedder.fingerprint, keys=keys, anew=anew
            ) as index:  # fmt: skip
                while True:
                    done = update(
                        index, sources, embedder, config, given=relative, anew=anew,
                        progress=progress,
                    )  # fmt: skip
                    if not again(done):
                        return done
                    anew, sources = False, find_sources(paths)


def _config(facts: Mapping[str, str]) -> IndexConfig:
    """The settings that an index was made with."""
    return IndexConfig.model_validate_json(facts["config"]) if "config" in facts else IndexConfig()


def _known(folder: Path, facts: Mapping[str, str]) -> list[Path]:
    """What an index is of."""
    return [(folder / path).resolve() for path in json.loads(facts.get("sources", "[]"))]


def sources_of(folder: Path) -> list[Path]:
    """The files and folders that an index is of; none where there is no index.

    Raises:
        RunError: It is damaged.
    """
    if not folder.is_dir():
        return []
    with open_store(folder) as store:
        return _known(folder, store.facts)


def _without(known: Sequence[Path], forget: Sequence[Path]) -> list[Path]:
    gone = {path.resolve() for path in forget}
    missing = gone - set(known)
    if missing:
        path = sorted(missing)[0]
        raise DataError(
            f"the index is not of {path}.", fix=f"Check it: {nearest(str(path), map(str, known))}"
        )
    return [path for path in known if path not in gone]


@contextmanager
def open_library(
    folder: Path, *, keys: Mapping[str, str] | None = None, rerank: str | None = None
) -> Iterator[Library]:
    """Open an index to ask it.

    Args:
        folder: Of the index.
        keys: Name of a variable to the key of an endpoint.
        rerank: Folder or hub id of a cross-encoder that sorts the best anew; None for none.

    Raises:
        RunError: There is none, it is empty or damaged, or its embedder has changed.
        EndpointError: The server that keeps its chunks is away or refuses.
    """
    with open_store(folder) as store:
        config = _config(store.facts)
        if not store.count()[0]:
            raise RunError(f"{folder} has no documents.", fix="Index some: fucina index DIR --to …")
        with open_embedder(config, (keys or {}).get(config.key_variable, "")) as embedder:
            require_same(store, config, embedder.fingerprint)
            kept = store.facts.get("trust")
            trust = Trust(**json.loads(kept)) if kept else SHIPPED
            sorts = open_reranker(rerank) if rerank else None
            with open_index(store, config, embedder.fingerprint, keys=keys) as index:
                yield Library(index, embedder, index.finder(embedder.questions, sorts), trust)
