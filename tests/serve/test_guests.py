"""Clients that leave, dawdle or do not read take nothing from the others, and get an answer."""

import json
import socket
from contextlib import closing

import pytest

from fucina.serve import listening

from .conftest import served
from .test_operation import _until
from .test_routing import faulty

ASKED = [{"role": "user", "content": "Dove sta Ada?"}]


def _connected(url):
    return closing(socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30))


def _post(path, body):
    sent = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent


def _read(connection):
    got = b""
    while piece := connection.recv(65536):
        got += piece
    return got


def _metric(web, url, line):
    return next(
        (float(one.rpartition(" ")[2]) for one in web(f"{url}/metrics").text.splitlines()
         if one.startswith(line)), 0,
    )  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_nobody_writes_for_a_client_that_has_left(stream, runs, web):
    with faulty(runs["talk"], at_once=1) as (url, engine, _):
        engine.fault = "hang"
        body = {"messages": ASKED, "stream": stream}
        with _connected(url) as connection:
            connection.sendall(_post("/v1/chat/completions", body))
            _until(lambda: _metric(web, url, "fucina_waiting") == 1)
        _until(lambda: _metric(web, url, "fucina_waiting") == 0)
        engine.fault = ""
        engine.free.set()
        assert web(f"{url}/v1/chat/completions", {"messages": ASKED}).status_code == 200
        path = '{path="/v1/chat/completions",status='
        if not stream:  # of a stream the status was told already
            assert _metric(web, url, f'fucina_requests_total{path}"499"}}') == 1
        assert _metric(web, url, f'fucina_requests_total{path}"500"}}') == 0


def test_a_head_that_comes_drop_by_drop_or_does_not_end_is_not_waited_for(runs, web, monkeypatch):
    monkeypatch.setattr(listening, "HEAD_S", 0.3)
    with served([runs["kind"]]) as (url, _):
        with _connected(url) as silent, _connected(url) as slow:
            slow.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
            assert _read(silent) == b""
            told, _, body = _read(slow).partition(b"\r\n\r\n")
            assert b" 408 " in told
            assert "took over" in json.loads(body)["error"]["message"]
        with _connected(url) as large:
            large.sendall(b"GET /health HTTP/1.1\r\nX: " + b"a" * (listening.HEAD_BYTES + 1))
            assert b" 431 " in _read(large)
        with _connected(url) as second:  # the second request of a connection as the first
            second.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b'"ok"' in second.recv(65536)
            second.sendall(b"GET /hea")
            assert b" 408 " in _read(second)
        assert web(f"{url}/health").status_code == 200


def test_a_body_without_end_is_not_read_for_ever(runs, monkeypatch):
    monkeypatch.setattr(listening, "HEAD_S", 0.3)
    with served([runs["kind"]], max_body_kib=1) as (url, _), _connected(url) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"400\r\n" + b"a" * 1024 + b"\r\n") * 3
        )
        assert b" 413 " in connection.recv(65536)
        _until(lambda: _gone(connection, b"1\r\na\r\n"))


MORE = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_a_client_that_does_not_read_is_left(runs, web, monkeypatch, caplog):
    monkeypatch.setattr(listening, "READ_S", 0.3)
    with served([runs["kind"]]) as (url, _):
        with _connected(url) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(MORE * 500)  # more than the system itself would keep for it
            _until(lambda: _gone(connection))
        assert web(f"{url}/health").status_code == 200
    assert not caplog.records  # nothing went wrong in the server


def test_a_client_that_leaves_with_several_requests_open_is_no_mistake(runs, web, caplog):
    with served([runs["kind"]]) as (url, _):
        for _ in range(5):
            with _connected(url) as connection:
                connection.sendall(MORE * 50)
                connection.recv(1024)
        assert web(f"{url}/health").status_code == 200
    assert not caplog.records


def _gone(connection, more=b"\r\n"):
    """Whether the other side has hung up, told by writing and without reading."""
    try:
        connection.sendall(more)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/v1/models", "/openapi.json"])
def test_what_can_be_got_can_be_asked_about(path, server, web):
    whole = web(f"{server}{path}")
    head = web(f"{server}{path}", method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


def test_a_text_that_is_wrong_behind_one_that_is_not_ends_the_stream_with_words(server, web):
    body = {"model": "talk", "prompt": ["Ada", "mare " * 3000], "max_tokens": 2, "stream": True}
    reply = web(f"{server}/v1/completions", body)
    events = [line.removeprefix("data: ") for line in reply.text.splitlines() if line]
    assert "the prompt has" in json.loads(events[-1])["error"]["message"]


def test_a_text_too_long_to_be_explained_is_refused(server, web):
    reply = web(f"{server}/explain", {"text": "nero " * 5000})
    assert reply.status_code == 400
    assert "at most 20000 characters" in reply.json()["error"]["message"]
