"""Good and bad requests at once, thousands of them, against the command itself."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

SECRET = "segretissimo"
ROUNDS = 85  # about 5,000 requests
GOOD = [
    ("/predict", {"text": f"il pacco {SECRET}"}),
    ("/predict", {"text": f"lo schermo nero {SECRET}", "model": "cose"}),
    ("/predict/batch", {"texts": [f"non arriva {SECRET}"] * 5}),
    ("/v1/embeddings", {"model": "kind", "input": [f"il pacco {SECRET}"]}),
    ("/v1/chat/completions", {"model": "talk", "max_tokens": 3, "messages": [
        {"role": "user", "content": f"Dove sta {SECRET}?"}]}),
    ("/v1/chat/completions", {"model": "talk", "max_tokens": 3, "stream": True, "messages": [
        {"role": "user", "content": f"Dove sta {SECRET}?"}]}),
    ("/v1/completions", {"model": "sist", "max_tokens": 2, "prompt": f"Ada {SECRET}"}),
]  # fmt: skip


def _post(path, body, *more):
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json",
             f"Content-Length: {len(sent)}", *more]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + sent


def _chat(**more):
    messages = [{"role": "user", "content": f"Dove sta {SECRET}?"}]
    return _post("/v1/chat/completions", {"model": "talk", "messages": messages, **more})


def _line(line, *more):
    return "\r\n".join([line, "Host: localhost", *more, "", ""]).encode("latin-1")


ENDLESS = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
BAD = {  # what is sent, and which statuses it may have
    _post("/predict", b'{"text": '): "400",
    _post("/predict", b'{"text": NaN}'): "400",
    _post("/predict", b'{"text": "' + SECRET.encode() + b'\xff"}'): "400",
    _post("/predict", b'{"text": "\\ud83d"}'): "400",
    _post("/predict", b"[" * 100_000): "400",
    _post("/predict", b'{"a":' * 50_000): "400",
    _post("/predict", {"text": 3}): "400",
    _post("/predict", {"text": "a", "model": "../../etc/passwd"}): "404",
    _post("/predict", {"text": "a", "model": "kind\0"}): "404",
    _post("/predict", {"text": f"a {SECRET}", "fields": {"x": "y"}}): "400",
    _post("/predict", {"texts": ["a"] * 2000}): "400",
    _post("/predict", b'{"text":"' + b"a" * 3_000_000): "413",
    ENDLESS + (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 20: "413",
    ENDLESS + b"ZZ\r\n": "400",
    _chat(temperature=5e-324, seed=1, max_tokens=2): "200",
    _chat(max_tokens=0): "400",
    _chat(max_tokens=-(10**30)): "400",
    _chat(n=3): "400",
    _chat(tools=[{"a": [[[[[{}]]]]]}], max_tokens=1): "200",
    _chat(messages=[{"role": "user", "content": f"mare {SECRET} " * 3000}]): "400",
    _chat(messages=[{"role": r, "content": "a"} for _ in range(500) for r in ("user", "assistant")]
          + [{"role": "user", "content": "a"}]): "400",
    _post("/v1/completions", {"model": "talk", "prompt": ["a", "mare " * 3000], "stream": True,
                              "max_tokens": 1}): "200",
    _post("/explain", {"text": "a", "model": "talk"}): "400",
    _line("GET /v1/models/%2e%2e%2f%2e%2e%2fetc HTTP/1.1"): "404",
    _line("GET /static-offline-docs/%2e%2e/%2e%2e/%00 HTTP/1.1"): "404",
    _line("GET /v1/models/perch\xe9 HTTP/1.1"): "400",
    _line("BREW / HTTP/1.1"): "400",
    _line("DELETE /predict HTTP/1.1"): "405",
    _line("OPTIONS /predict HTTP/1.1", "Origin: http://evil.example"): "405",
    _line("GET /health HTTP/1.1", "X: " + "a" * 500_000): "431",
    _line("GET /health HTTP/1.1").replace(b"localhost", b"evil.example"): "400",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n": "400",
}  # fmt: skip
LEAVES = [_chat(), _chat(stream=True), _post("/predict/batch", {"texts": ["nero"] * 64}),
          _post("/predict", {"text": "a"})[:-5], b"GET /hea", b""]  # fmt: skip


async def _ask(port, sent, *, leave=False):
    """The reply to a request as it was sent, or nothing where it is not waited for."""
    reading, writing = await asyncio.open_connection("127.0.0.1", port)
    try:
        try:
            writing.write(sent)
            await asyncio.wait_for(writing.drain(), 20)
        except ConnectionError:
            pass  # it was refused before all of it was sent; the reply is there
        if leave:
            await asyncio.sleep(0.01)
            return b""
        return await asyncio.wait_for(_reply(reading), 60)
    finally:
        writing.transport.abort()


async def _reply(reading):
    got = b""
    while True:
        try:
            piece = await reading.read(65536)
        except ConnectionError:
            return got
        got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        whole = len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")
        if not piece or (whole and body):
            return got


def _status(reply):
    return reply[9:12].decode("latin-1")


async def _get(port, path):
    return (await _ask(port, _line(f"GET {path} HTTP/1.1"))).partition(b"\r\n\r\n")[2].decode()


@pytest.fixture
def command(runs, tmp_path):
    """The process of the command, its port, and where it writes its log."""
    log = tmp_path / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "fucina", "serve", *map(str, runs.values()), "port=0",
             "route.threshold=0", "timeout_s=30"],
            stderr=errors, env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        )  # fmt: skip
    try:
        while not (found := re.search(r" at http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield process, int(found[1]), log
    finally:
        process.kill()
        process.wait(30)


async def _mix(port, rounds):
    """Send everything, `rounds` times, 16 at once; what came otherwise than it should."""
    wrong, lane = [], asyncio.Semaphore(16)

    async def one(sent, wanted, leave=False):
        async with lane:
            reply = await _ask(port, sent, leave=leave)
        if not leave and _status(reply) != wanted:
            wrong.append((sent[:80], sent[-40:], wanted, reply[:300]))

    for _ in range(rounds):
        work = [one(_post(path, body), "200") for path, body in GOOD * 3]
        work += [one(sent, wanted) for sent, wanted in BAD.items()]
        work += [one(sent, "", leave=True) for sent in LEAVES]
        await asyncio.gather(*work)
    return wrong


def _counted(metrics, name):
    found = re.findall(rf"^{name}(?:_total)?(?:{{(.*)}})? ([\d.e+]+)$", metrics, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


@pytest.mark.long
def test_bad_requests_do_good_ones_no_harm(command):
    process, port, log = command
    seen = psutil.Process(process.pid)
    assert asyncio.run(_mix(port, 15)) == []
    memory, threads = seen.memory_info().rss, seen.num_threads()
    assert asyncio.run(_mix(port, ROUNDS)) == []
    # Python's own pool, of 4 more than there are cores, grows as it is used; nothing else does.
    assert seen.num_threads() <= threads + 4 + (os.cpu_count() or 1)
    assert seen.memory_info().rss < memory + 60 * 2**20, (memory, seen.memory_info().rss)

    async def settled():
        for _ in range(100):
            metrics = await _get(port, "/metrics")
            waits = _counted(metrics, "fucina_waiting") | {
                "": _counted(metrics, "fucina_requests_under_way")[""] - 1
            }
            if not any(waits.values()):
                return metrics
            await asyncio.sleep(0.1)
        raise AssertionError(waits)

    metrics = asyncio.run(settled())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in {0, -signal.SIGTERM}
    lines = log.read_text().splitlines()[1:]  # the first tells the address
    logged = [json.loads(line) for line in lines]  # and no traceback is one
    assert SECRET not in log.read_text()
    told = Counter((line["path"], str(line["status"])) for line in logged)
    told["/metrics", "200"] -= 1  # which it cannot count itself
    counts = {
        tuple(re.findall(r'"(.*?)"', labels)): value
        for labels, value in _counted(metrics, "fucina_requests").items()
    }
    assert counts == {key: count for key, count in told.items() if count}
    assert not [key for key in counts if key[1].startswith("5")]


@pytest.mark.long
def test_what_was_accepted_is_answered_when_it_ends(command):
    process, port, log = command

    async def work():
        await asyncio.gather(*[_ask(port, _post(path, body)) for path, body in GOOD])
        asked = [asyncio.ensure_future(_ask(port, _post(*GOOD[n % len(GOOD)]))) for n in range(140)]
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        while (await _get(port, "/metrics")).count("fucina_answers_total{") == 0:
            pass
        process.send_signal(signal.SIGTERM)
        replies = await asyncio.gather(*asked)
        for _, writing in idle:
            writing.close()
        return replies

    replies = asyncio.run(work())
    assert process.wait(60) in {0, -signal.SIGTERM}
    assert Counter(map(_status, replies)) == {"200": 140}
    streams = [reply for reply in replies if b"event-stream" in reply]
    assert len(streams) == 20
    assert all(b"[DONE]" in reply for reply in streams)
    assert "Traceback" not in log.read_text()
