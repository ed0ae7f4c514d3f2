"""What every request passes: its size, its key, the time it takes to come, and the log."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

from fucina.serve.counting import Counts
from fucina.serve.guests import answer_while_there
from fucina.serve.keys import Keys
from fucina.serve.problems import Problem, body_of

__all__ = ["Door", "refusal", "tell"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FREE = ("/health", "/ready", "/docs", "/openapi.json", "/static-offline-docs/")  # need no key
LEFT = 499  # in the log and the counts, of a client that left before it was answered
BODY_S = 30.0  # within which a body must have come
TOLD = "fucina.told"  # where handlers leave facts for the log

log = logging.getLogger("fucina.serve")


def tell(scope: Scope, **facts: Any) -> None:
    """Add facts to the line that the log will have of a request."""
    scope.setdefault(TOLD, {}).update(facts)


def refusal(problem: Problem) -> JSONResponse:
    """A problem as it is sent."""
    headers = {"Retry-After": str(problem.retry_s)} if problem.retry_s else {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body_of(problem), problem.status, headers)


@dataclass(frozen=True)
class Door:
    """Lets requests in, one by one.

    Attributes:
        app: Answers them.
        counts: Told of each.
        keys: Who may ask; None for everybody.
        hosts: What this machine is called by those who ask; None for anything.
        max_body: Bytes of a body.
    """

    app: App
    counts: Counts
    keys: Keys | None
    hosts: Collection[str] | None
    max_body: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and write its line to the log."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, own = time.perf_counter(), LEFT, uuid.uuid4().hex
        begun, told = False, scope["method"]
        if told == "HEAD":  # is answered as GET, and the web server leaves the body out
            scope = {**scope, "method": "GET"}

        async def sending(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = [*message["headers"], (b"x-request-id", own.encode())]
            await send(message)

        self.counts.under_way(1)
        try:
            self._require_host(scope)
            tell(scope, key=self._require_key(scope))
            self._require_small(scope)
            body = await self._body(receive)
            whole = body["type"] == "http.request" and await answer_while_there(
                lambda coming, going: self.app(scope, coming, going), body, receive, sending
            )
            if begun and not whole:
                tell(scope, left=True)
        except Problem as problem:
            if not begun:
                await refusal(problem)(scope, receive, sending)
        finally:
            self.counts.under_way(-1)
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - began
            self.counts.request(route, status, seconds)
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            facts = {"time": now, "id": own, "method": told, "path": route,
                     "status": status, "ms": round(seconds * 1000, 2)}  # fmt: skip
            facts |= scope.get(TOLD, {})
            known = {name: fact for name, fact in facts.items() if fact is not None}
            log.info(json.dumps(known, ensure_ascii=False))

    def _require_host(self, scope: Scope) -> None:
        """A page elsewhere can give its name this machine's address; its requests tell the name."""
        if self.hosts is None:
            return
        told = next((v for name, v in scope["headers"] if name == b"host"), b"").decode("latin-1")
        try:
            name = urlsplit(f"//{told}").hostname
        except ValueError:
            name = None
        if name not in self.hosts:
            raise Problem(
                400, f"the Host {told[:80]!r} is none of this machine's names.",
                "Let a proxy send Host: localhost, or serve with host=0.0.0.0 and keys=.",
                code="invalid_host",
            )  # fmt: skip

    def _require_key(self, scope: Scope) -> str | None:
        path = scope["path"]
        if self.keys is None or path == "/" or path.startswith(FREE):
            return None
        if scope["method"] == "OPTIONS":  # a browser asks so whether it may ask
            return None
        headers = {name.lower(): value for name, value in scope["headers"]}
        owner = self.keys.owner(headers.get(b"authorization", b"").decode("latin-1"))
        if owner is None:
            raise Problem(
                401, "no key, or one that is not known.", "Send it: Authorization: Bearer KEY.",
                code="invalid_api_key",
            )  # fmt: skip
        return owner

    def _require_small(self, scope: Scope) -> None:
        told = next((v for name, v in scope["headers"] if name == b"content-length"), b"0")
        if not told.isdigit():
            raise Problem(400, "Content-Length is no number.", "Send how many bytes come.")
        if int(told[:20]) > self.max_body:
            raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(
            413, f"the request is over {self.max_body // 1024} KiB.",
            "Send less at once, or serve with a higher max_body_kib.", code="request_too_large",
        )  # fmt: skip

    async def _body(self, receive: Receive) -> Message:
        """Wait for the whole body, or for the client to leave.

        Raises:
            Problem: It is too large, or comes drop by drop.
        """
        whole, until, more = b"", time.monotonic() + BODY_S, True
        while more:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError as error:
                raise Problem(
                    408, f"the request took over {BODY_S:g} s to come.", "Send it faster.",
                    code="request_timeout",
                ) from error  # fmt: skip
            if message["type"] == "http.disconnect":
                return message
            whole += message.get("body", b"")
            if len(whole) > self.max_body:
                raise self._too_large()
            more = message.get("more_body", False)
        return {"type": "http.request", "body": whole, "more_body": False}
