"""Speak with a Weaviate server: REST for collections and objects, GraphQL for searches.

Followed: the reference of REST and GraphQL of Weaviate 1.39, https://docs.weaviate.io/weaviate/api.
Its REST Search API takes no vectors of one's own, so GraphQL is the only way over HTTP; it is
deprecated, and a server of its own has it until May 2027 at least.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from fucina.endpoint.connection import (
    Connection,
    Server,
    TemporaryError,
    UnansweredError,
    require_key,
)
from fucina.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from httpx2 import Response

__all__ = ["OLDEST", "Weaviate", "literal", "open_weaviate"]

OLDEST = (1, 19)  # texts that are one word ("field") are of text[] since then
AT_ONCE = 64  # objects of one request
Found = TypeVar("Found")


class Weaviate:
    """Remembers the connection and its event loop.

    Args:
        server: Where.
        key: Sent as a bearer token; empty to send none.
    """

    def __init__(self, server: Server, key: str) -> None:
        self.url = server.url
        self._server = server
        self._connection = Connection(server, key, section="index")
        # One loop for all requests: the connection is kept open between them.
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """End the connection."""
        with self._runner:
            self._runner.run(self._connection.__aexit__(None, None, None))

    def check(self) -> None:
        """Ask once whether a Weaviate answers that is new enough.

        Raises:
            EndpointError: It is away, something else, too old, or refuses the key.
        """
        try:
            ready = self._runner.run(self._connection.send("GET", "v1/.well-known/ready"))
            if ready.status_code == 503:
                raise TemporaryError(f"{self.url} is not ready (503)")
            meta = self._runner.run(self._connection.send("GET", "v1/meta"))
            self._judge(meta, {404, 501})  # others know no such page, or no GET at all
        except TemporaryError as error:
            raise EndpointError(
                f"{error}.", fix="Start Weaviate or wait until it is ready; or check weaviate_url."
            ) from error
        version = _version(meta)
        if version is None:
            raise EndpointError(
                f"{self.url} is no Weaviate: it tells no version at /v1/meta.",
                fix="Set weaviate_url to the address before /v1, such as http://localhost:8080.",
            )
        if version < OLDEST:
            told, oldest = (".".join(map(str, one)) for one in (version, OLDEST))
            raise EndpointError(
                f"{self.url} is Weaviate {told}, {oldest} is needed.", fix="Update the server."
            )

    def collection(self, name: str) -> dict[str, Any] | None:
        """The definition of a collection; None where there is none."""
        response = self._ask("GET", f"v1/schema/{name}", accepted={404})
        return None if response.status_code == 404 else _json(response)

    def create(self, definition: Mapping[str, Any]) -> None:
        """Make a collection; one that a request before has made is left as it is."""
        response = self._ask("POST", "v1/schema", definition, accepted={422})
        if response.status_code == 422 and self.collection(definition["class"]) is None:
            raise self._refused(response)

    def remove(self, name: str) -> None:
        """Take a collection away with all its objects; none is fine."""
        # Some versions refuse where there is none, which a try before may have brought about.
        response = self._ask("DELETE", f"v1/schema/{name}", accepted={400, 404})
        if not response.is_success and self.collection(name) is not None:
            raise self._refused(response)

    def put(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Write objects, over those with the same ids."""
        for begin in range(0, len(objects), AT_ONCE):
            body = {"objects": objects[begin : begin + AT_ONCE]}
            for row in _json(self._ask("POST", "v1/batch/objects", body)):
                # The request itself succeeds where some of its objects fail.
                wrong = (row.get("result") or {}).get("errors")
                if wrong:
                    raise EndpointError(
                        f"{self.url} refuses a chunk: {wrong['error'][0]['message']}.",
                        fix="Mend what it names, then index again: it goes on where it was.",
                    )

    def delete(self, name: str, where: Mapping[str, Any]) -> None:
        """Delete the objects of a collection that a filter finds."""
        body = {"match": {"class": name, "where": where}, "output": "minimal", "dryRun": False}
        while True:
            results = _json(self._ask("DELETE", "v1/batch/objects", body))["results"]
            if results["failed"]:
                raise EndpointError(
                    f"{self.url} could not delete {results['failed']} chunks of {name}.",
                    fix="Look into its log, then index again: it goes on where it was.",
                )
            if results["matches"] < results["limit"]:  # at most so many at once
                return

    def query(self, text: str) -> dict[str, Any]:
        """The data of a GraphQL query.

        Raises:
            EndpointError: The server answers with errors, or has GraphQL switched off.
        """
        response = self._ask("POST", "v1/graphql", {"query": text}, accepted={422})
        if response.status_code == 422:
            raise EndpointError(
                f"{self._connection.told(response)}.",
                fix="Let the server answer GraphQL (DISABLE_GRAPHQL=false); a cluster of Weaviate "
                "Cloud may have it off for good.",
            )
        said = _json(response)
        if said.get("errors"):
            raise EndpointError(
                f"{self.url} cannot answer: {said['errors'][0]['message'][:200]}.",
                fix="Make the index whole again: fucina index --to FOLDER --anew.",
            )
        return said["data"]

    def _ask(
        self,
        method: str,
        place: str,
        body: Mapping[str, Any] | None = None,
        accepted: set[int] | frozenset[int] = frozenset(),
    ) -> "Response":
        async def once() -> "Response":
            response = await self._connection.send(method, place, body)
            self._judge(response, accepted)
            return response

        return self._run(lambda: self._connection.persist(once))

    def _run(self, request: "Callable[[], Awaitable[Found]]") -> Found:
        async def wait() -> Found:
            return await request()

        try:
            return self._runner.run(wait())
        except UnansweredError as error:
            raise EndpointError(
                f"{error}.", fix="Try again later; what was written before is kept."
            ) from error

    def _judge(self, response: "Response", accepted: set[int] | frozenset[int]) -> None:
        status = response.status_code
        if response.is_success or status in accepted:
            return
        if status in {401, 403}:
            raise EndpointError(
                f"{self._connection.told(response)}.",
                fix=f"Set {self._server.key_variable} to a key of this server that may read and "
                "write collections.",
            )
        if status in {400, 404, 405, 422}:
            raise self._refused(response)
        self._connection.judge(response)

    def _refused(self, response: "Response") -> EndpointError:
        return EndpointError(
            f"{self._connection.told(response)}.",
            fix="Check weaviate_url, and the server's log for what it refuses.",
        )


@contextmanager
def open_weaviate(server: Server, key: str) -> Iterator[Weaviate]:
    """Connect to a server and check it.

    Raises:
        EndpointError: It is away, no Weaviate, too old, or refuses the key.
        RecipeError: It is elsewhere, and there is no key.
    """
    require_key(server, key, section="index", setting="weaviate_key_variable")
    weaviate = Weaviate(server, key)
    try:
        weaviate.check()
        yield weaviate
    finally:
        weaviate.close()


def literal(value: Any) -> str:
    r"""A value as GraphQL writes it: names without quotes, and so the word after `operator`.

    Example:
        >>> print(literal({"path": ["day"], "operator": "Equal", "valueText": 'a "b"'}))
        {path: ["day"], operator: Equal, valueText: "a \"b\""}
    """
    if isinstance(value, Mapping):
        inner = (f"{k}: {v if k == 'operator' else literal(v)}" for k, v in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _json(response: "Response") -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise EndpointError(
            f"{response.request.url} answers something that is no JSON.",
            fix="Check weaviate_url: another server, or a proxy, may answer there.",
        ) from error


def _version(meta: "Response") -> tuple[int, ...] | None:
    """Major and minor version, where there is one."""
    try:
        major, minor = meta.json()["version"].split(".")[:2]
        return int(major), int(minor)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
