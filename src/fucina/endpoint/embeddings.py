"""Vectors of texts from an OpenAI-compatible endpoint."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fucina.endpoint.connection import (
    Connection,
    Server,
    TemporaryError,
    UnansweredError,
    require_key,
)
from fucina.errors import EndpointError

if TYPE_CHECKING:
    import numpy as np
    from httpx2 import Response

__all__ = ["embed"]

BATCH = 64  # texts of one request


def embed(
    server: Server, key: str, texts: Sequence[str], *, section: str = "embedder"
) -> "np.ndarray":
    """Embed n texts, n x d as the server gives them.

    Args:
        server: Where.
        key: Sent as a bearer token; empty to send none.
        texts: One or more.
        section: What messages call the settings.

    Raises:
        EndpointError: It refuses, does not answer, or gives something else than vectors.
        RecipeError: The address is none, or a key is missing.
    """
    require_key(server, key, section=section)
    parts = [texts[begin : begin + BATCH] for begin in range(0, len(texts), BATCH)]
    try:
        return asyncio.run(_all(server, key, parts, section))
    except UnansweredError as error:
        raise EndpointError(
            f"{error}.", fix="Try again later; what was embedded before is kept."
        ) from error


async def _all(
    server: Server, key: str, parts: Sequence[Sequence[str]], section: str
) -> "np.ndarray":
    import numpy as np

    async with Connection(server, key, section=section) as connection:

        async def one(part: Sequence[str]) -> "np.ndarray":
            body = {"model": server.model, "input": list(part), "encoding_format": "float"}
            response = await connection.post("embeddings", body)
            connection.judge(response)
            return _read(response, len(part))

        found = [await connection.persist(lambda part=part: one(part)) for part in parts]
    if len({part.shape[1] for part in found}) > 1:
        raise EndpointError(
            f"{server.url}: vectors of different sizes from one model.",
            fix="Ask who runs the endpoint which model answers.",
        )
    return np.concatenate(found)


def _read(response: "Response", count: int) -> "np.ndarray":
    """Vectors of one reply in the order of the texts."""
    import numpy as np

    try:
        rows = sorted(response.json()["data"], key=lambda row: row["index"])
        vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
    except (ValueError, LookupError, TypeError) as error:
        raise TemporaryError("an answer that is no list of embeddings") from error
    if vectors.ndim != 2 or len(vectors) != count:
        raise TemporaryError(f"{len(rows)} embeddings for {count} texts")
    return vectors
