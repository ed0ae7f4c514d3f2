"""Documents: read, cut, embedded, kept in an index and found again."""

from fucina.retrieval.embedding import Embedder, open_embedder
from fucina.retrieval.indexing import Indexed, Source, find_sources, require_same, update
from fucina.retrieval.interface import Finder, Index
from fucina.retrieval.opening import open_index
from fucina.retrieval.quoting import Quote, quote
from fucina.retrieval.searching import Searcher
from fucina.retrieval.store import Store, open_store
from fucina.retrieval.trust import SHIPPED, Trust, calibrated

__all__ = [
    "SHIPPED",
    "Embedder",
    "Finder",
    "Index",
    "Indexed",
    "Quote",
    "Searcher",
    "Source",
    "Store",
    "Trust",
    "calibrated",
    "find_sources",
    "open_embedder",
    "open_index",
    "open_store",
    "quote",
    "require_same",
    "update",
]
