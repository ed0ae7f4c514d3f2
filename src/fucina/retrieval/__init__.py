"""Documents: read, cut, embedded, kept in an index and found again."""

from fucina.retrieval.embedding import Embedder, open_embedder
from fucina.retrieval.indexing import Indexed, Source, find_sources, require_same, update
from fucina.retrieval.searching import Searcher
from fucina.retrieval.store import Store, open_store

__all__ = [
    "Embedder",
    "Indexed",
    "Searcher",
    "Source",
    "Store",
    "find_sources",
    "open_embedder",
    "open_store",
    "require_same",
    "update",
]
