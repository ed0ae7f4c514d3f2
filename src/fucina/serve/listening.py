"""The web server around the application, which listens to nobody for ever."""

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fucina.serve.problems import Problem, body_of

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["web_server"]

HEAD_S = 30.0  # within which what comes before a body must have come
HEAD_BYTES = 64 * 1024
LINGER_S = 2.0  # for which what comes behind a refused head is thrown away
READ_S = 30.0  # within which a client must read on where it has stopped
AT_ONCE = struct.pack("ii", 1, 0)  # a socket is closed without waiting for what was not read


def web_server(app: "FastAPI", *, drain_s: float) -> uvicorn.Server:
    """Make the web server of an application; it writes no log but of what goes wrong.

    Args:
        app: Answers requests.
        drain_s: Seconds at the end for what was accepted.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app, http=cast("type[asyncio.Protocol]", Patient), ws="none", log_config=None,
            access_log=False, server_header=False, timeout_keep_alive=30,
            timeout_graceful_shutdown=round(drain_s),
        )
    )  # fmt: skip


class Patient:
    """Remembers how long a connection has kept it waiting.

    uvicorn waits for ever for a head that does not end to come and for a client that does not
    read, and takes headers of any size: a few thousand connections that send a byte now and then
    would use up what a program may open.

    Args:
        config: Of uvicorn, as all that follows.
        server_state: What its connections share.
        app_state: What the application keeps.
        _loop: Where it runs.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._inner = HttpToolsProtocol(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._refused = False
        self._head = 0  # bytes of what is no request yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._inner.connection_made(cast("asyncio.Transport", _Lasting(transport)))
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        if self._refused:
            return
        inner, before = self._inner, self._inner.cycle
        inner.data_received(data)
        cycle = inner.cycle
        if cycle is not before or (cycle is not None and not cycle.response_complete):
            self._stop()  # a request is under way, whose body is waited for at the door
            return
        # What comes now is the head of a request, or a body that was refused already.
        self._wait()
        if cycle is None or inner.scope is not cycle.scope:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                kib = HEAD_BYTES // 1024
                self._refuse(Problem(431, f"the headers are over {kib} KiB.", "Send less in them."))

    def eof_received(self) -> None:
        """Nothing more comes, and a client that sends no more counts as one that has left."""
        self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        self._stop()
        self._read()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads slowly, or not at all."""
        self._inner.pause_writing()
        self._reading = self._inner.loop.call_later(READ_S, self._leave)

    def resume_writing(self) -> None:
        """The client has read."""
        self._read()
        self._inner.resume_writing()

    def _leave(self) -> None:
        """Hang up on a client that does not read.

        What lies ready for it would else stay in the system's memory, megabytes a client, for as
        long as that asks it whether it reads again.
        """
        transport = self._inner.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        transport.abort()

    def _read(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self._inner.loop.call_later(HEAD_S, self._give_up)

    def _stop(self) -> None:
        self._head = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if self._head:
            self._refuse(
                Problem(408, f"the request took over {HEAD_S:g} s to come.", "Send it faster.",
                        code="request_timeout")
            )  # fmt: skip
        else:
            self._inner.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Say what is wrong, and hang up."""
        transport, body = self._inner.transport, json.dumps(body_of(problem)).encode()
        self._stop()
        if transport.is_closing():
            return
        self._refused = True
        transport.write(
            f"HTTP/1.1 {problem.status} Refused\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("ascii")
            + body
        )
        # A connection that is closed while more comes is reset, and the words would be lost.
        transport.write_eof()
        self._timer = self._inner.loop.call_later(LINGER_S, transport.close)


class _Lasting:
    """A transport into which can be written after its end, as into those of asyncio.

    uvicorn tells the last of several requests on a connection that its client has left, and not
    the one whose answer is under way; uvloop raises where that is written then.
    """

    def __init__(self, inner: asyncio.BaseTransport) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        """Send, unless nobody is there any more."""
        if not self._inner.is_closing():
            cast("asyncio.Transport", self._inner).write(data)
