"""An export, or the run it was made of, asked over HTTP: does the server answer as the model did?"""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from fucina.config import RouteConfig, ServeConfig
from fucina.errors import RunError
from fucina.records import Check, Example, Progress, silent
from fucina.serving import Places, open_service

__all__ = ["asked_over_http", "check_server"]

START_S, END_S = 60.0, 30.0
PART = 64  # texts in one request


def check_server(
    served: Path,
    rows: Sequence[Example],
    wanted: Sequence[Any],
    *,
    least: float | None,
    talks: bool,
    most: int,
    system: str | None,
    progress: Progress = silent,
) -> Check:
    """Serve a model on this machine, ask it rows, and hold its answers against others.

    Args:
        served: A run, a GGUF file or an ONNX export.
        rows: What is asked.
        wanted: The answers that it should give: labels, spans or texts.
        least: The share of equal ones that it is held to; None where it is told.
        talks: Ask for chat completions, else for predictions.
        most: Tokens of a written answer.
        system: What the system says where a row does not say it itself.
        progress: Told after each request.

    Raises:
        MissingExtraError: What serving needs is not installed.
    """
    told = [number for number, row in enumerate(rows) if row.prompt.strip() and not row.tools]
    asked = [rows[number] for number in told]
    found = asked_over_http(served, asked, talks=talks, most=most, system=system, progress=progress)
    pairs = zip(told, found, strict=True)
    others = [number + 1 for number, answer in pairs if not _same(wanted[number], answer)]
    share = 1 - len(others) / len(told) if told else 1.0
    note = f"rows that differ: {', '.join(map(str, others[:5]))}" if others else ""
    passed = least is None or share >= least
    return Check("answers", f"server of {served.name}", len(told), share, least, passed, note)


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, str):
        return isinstance(found, str) and wanted.strip() == found.strip()
    spans = [(span["start"], span["end"], span["label"]) for span in found]
    return spans == [(span.start, span.end, span.label) for span in wanted]


def asked_over_http(
    served: Path,
    rows: Sequence[Example],
    *,
    talks: bool,
    most: int,
    system: str | None,
    progress: Progress = silent,
) -> list[Any]:
    """The answers of a server on this machine to rows; arguments and errors as above.

    Raises:
        RunError: It refused a request.
    """
    settings = ServeConfig(port=0, reload_s=0, timeout_s=600, max_body_kib=16 * 1024)
    # Whatever it is not sure of is asked too: it is the model that is compared.
    route = RouteConfig(threshold=0.0)
    service = open_service(Places([str(served)]), settings, route, keys={}, say=silent)
    with service as app, _listening(app) as port:
        found: list[Any] = []
        for begin in range(0, len(rows), 1 if talks else PART):
            if talks:
                found.append(_talked(port, rows[begin], most, system))
            else:
                found += _predicted(port, rows[begin : begin + PART])
            progress("asking the server", len(found), len(rows))
    return found


@contextmanager
def _listening(app: Any) -> Iterator[int]:
    """The port of an application that listens while this lasts."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    until = time.monotonic() + START_S
    while not server.started and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(END_S)
        listening.close()


def _predicted(port: int, rows: Sequence[Example]) -> list[Any]:
    told = _post(port, "/predict/batch", {"texts": [row.prompt for row in rows]})
    return [answer["answer"] for answer in told["answers"]]


def _talked(port: int, row: Example, most: int, system: str | None) -> str:
    turns = [{"role": turn.role, "content": turn.content} for turn in row.messages[:-1]]
    turns = turns or [{"role": "user", "content": row.prompt}]
    if system is not None and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": system}, *turns]
    name = _get(port, "/v1/models")["data"][0]["id"]
    body = {"model": name, "messages": turns, "max_tokens": most, "temperature": 0}
    return _post(port, "/v1/chat/completions", body)["choices"][0]["message"]["content"]


def _get(port: int, path: str) -> Any:
    return _ask(port, "GET", path, None)


def _post(port: int, path: str, body: dict[str, Any]) -> Any:
    return _ask(port, "POST", path, json.dumps(body).encode())


def _ask(port: int, method: str, path: str, body: bytes | None) -> Any:
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
    finally:
        connection.close()
    if reply.status != 200:
        raise RunError(
            f"the server refused a row of the test set ({reply.status}): {text[:200].decode()}.",
            fix="Report it: the same row was answered by the model itself.",
        )
    return json.loads(text)
