"""Where an index keeps its chunks: the one place that knows all backends."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fucina.retrieval.interface import Index
from fucina.retrieval.store import Store

if TYPE_CHECKING:
    from fucina.config import IndexConfig

__all__ = ["open_index"]


@contextmanager
def open_index(
    local: Store,
    config: "IndexConfig",
    fingerprint: str,
    *,
    keys: Mapping[str, str] | None = None,
    anew: bool = False,
) -> Iterator[Index]:
    """Open what keeps the chunks of an index: its own file, or a server.

    Args:
        local: The file in the folder of the index.
        config: Says where.
        fingerprint: Of the embedder.
        keys: Name of a variable to the key of a server.
        anew: Everything is to be put in again, so what is there need not be whole.

    Raises:
        EndpointError: The server is away, refuses, or is something else.
        RunError: It has not what was put there.
    """
    if config.weaviate_url is None:
        yield local
        return
    from fucina.endpoint.connection import Server
    from fucina.endpoint.weaviate import open_weaviate
    from fucina.retrieval.weaviate import WeaviateStore

    variable = config.weaviate_key_variable
    server = Server(
        config.weaviate_url, "", variable, settings=("weaviate_url", "weaviate_url")
    )  # fmt: skip
    with open_weaviate(server, (keys or {}).get(variable, "")) as weaviate:
        store = WeaviateStore(local, weaviate, fingerprint)
        if not anew:
            store.require_whole()
        yield store
