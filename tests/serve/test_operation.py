"""Who may ask, how much is taken on, newer runs, the end, and the pages."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import httpx2
import pytest
from typer.testing import CliRunner

from conftest import LABELLED
from fucina import using
from fucina.cli.app import app as commands
from fucina.errors import RecipeError, RunError
from fucina.serve.keys import load_keys, new_key

from .conftest import served
from .test_routing import faulty


@pytest.fixture
def keyed(tmp_path):
    """A key, and the file that has only its hash."""
    key, line = new_key("portatile")
    path = tmp_path / "keys.txt"
    path.write_text(f"# chi può chiedere\n{line}\n\n", encoding="utf-8")
    return key, path


def test_only_who_has_a_key_may_ask(runs, web, keyed):
    key, path = keyed
    assert key not in path.read_text()
    with served([runs["kind"]], keys=str(path)) as (url, _):
        right = {"authorization": f"Bearer {key}"}
        for wrong in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {key}"},
                      {"authorization": f"Bearer {key}x"}, {"authorization": "Bearer \xff"}):  # fmt: skip
            for method, place in (("POST", "predict"), ("GET", "v1/models"), ("GET", "metrics"),
                                  ("POST", "reload"), ("POST", "v1/chat/completions"), ("GET", "healthy"),
                                  ("GET", "/predict/../v1/models")):  # fmt: skip
                reply = web(
                    f"{url}/{place}",
                    {"text": "a"},
                    method=method,
                    headers={k: v.encode("latin-1") for k, v in wrong.items()},
                )
                if place == "healthy":
                    continue  # /health needs none, and there is no page of this name
                assert reply.status_code == 401, (wrong, place)
                assert reply.json()["error"]["code"] == "invalid_api_key"
        assert web(f"{url}/predict", {"text": "a"}, headers=right).status_code == 200
        for free in ("health", "ready", "docs", "openapi.json", ""):
            assert web(f"{url}/{free}").status_code == 200


@pytest.mark.parametrize(("content", "message"), [
    (None, "cannot be read"), ("", "has no key"), ("# nessuno\n", "has no key"),
    ("a sha256:xyz\n", "line 1 is no name with a hashed key"), (b"\xff\xfe", "cannot be read"),
])  # fmt: skip
def test_a_file_of_keys_that_is_wrong_is_refused(content, message, tmp_path):
    path = tmp_path / "keys.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecipeError, match=message):
        load_keys(path)


def test_a_key_is_shown_once_and_its_hash_goes_to_the_file():
    made = CliRunner().invoke(commands, ["serve", "--new-key", "ufficio"])
    name, hashed = made.stdout.split()
    key = made.stderr.rsplit(" ", 1)[1].strip()
    assert (name, made.exit_code) == ("ufficio", 0)
    assert key not in made.stdout
    assert hashed.startswith("sha256:")
    with pytest.raises(RecipeError, match="cannot be the name"):
        new_key("due parole")


def test_it_is_not_open_to_everybody_by_mistake(runs):
    with (
        pytest.raises(RunError, match="is reached from other machines"),
        served([runs["kind"]], host="0.0.0.0"),
    ):
        pass


def test_pages_of_others_may_not_ask(runs, web):
    page = {"origin": "https://example.org"}
    with served([runs["kind"]]) as (url, _):
        assert "access-control-allow-origin" not in web(f"{url}/health", headers=page).headers
        # A page elsewhere that has its name lead here cannot say that it means this machine.
        for host in ("evil.example:80", "[::1", "localhost.evil.example", "", "a b"):
            elsewhere = web(f"{url}/predict", {"text": "a"}, headers={"host": host})
            assert elsewhere.status_code == 400
            if host:  # without, the web server itself says so
                assert "none of this machine's names" in elsewhere.json()["error"]["message"]
        for host in ("LOCALHOST:9", "[::1]:80", "127.0.0.1"):
            assert web(f"{url}/health", headers={"host": host}).status_code == 200
        # Nor can a form, which needs no leave to send.
        plain = web(f"{url}/predict", b'{"text": "a"}', headers={"content-type": "text/plain"})
        assert plain.status_code == 400
    with served([runs["kind"]], cors=("https://example.org",)) as (url, _):
        reply = web(f"{url}/health", headers=page)
        assert reply.headers["access-control-allow-origin"] == "https://example.org"
        other = web(f"{url}/health", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        refused = web(f"{url}/predict", b"{", headers={**page, "host": "evil.example"})
        assert refused.status_code == 400
        assert refused.headers["access-control-allow-origin"] == "https://example.org"


def test_what_is_too_much_is_sent_away_and_not_lost(runs):
    texts = [text for text, _ in LABELLED]

    async def ask_all(url, engine):
        async with httpx2.AsyncClient(
            timeout=60, limits=httpx2.Limits(max_connections=40)
        ) as client:
            first = asyncio.create_task(client.post(f"{url}/predict", json={"text": "veleno"}))
            await asyncio.sleep(0.3)  # it is computed now, and does not end
            rest = [
                asyncio.create_task(client.post(f"{url}/predict", json={"text": t}))
                for t in texts[:30]
            ]
            await asyncio.sleep(1)
            engine.free.set()
            return await asyncio.gather(first, *rest)

    with faulty(runs["kind"], waiting=8, timeout_s=20) as (url, engine, _):
        engine.fault, engine.only = "hang", "veleno"
        replies = asyncio.run(ask_all(url, engine))
    statuses = [reply.status_code for reply in replies]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) == 9  # that which hung, and the eight that might wait
    away = [reply for reply in replies if reply.status_code == 429]
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in away)
    assert away[0].json()["error"]["code"] == "overloaded"


def test_what_comes_while_the_model_computes_is_one_batch(runs):
    texts = [text for text, _ in LABELLED[:20]]

    async def ask_all(url, engine):
        async with httpx2.AsyncClient(timeout=60) as client:
            first = asyncio.create_task(client.post(f"{url}/predict", json={"text": "veleno"}))
            await asyncio.sleep(0.3)
            rest = [
                asyncio.create_task(client.post(f"{url}/predict", json={"text": t})) for t in texts
            ]
            await asyncio.sleep(0.7)
            engine.free.set()
            await first
            return [reply.json() for reply in await asyncio.gather(*rest)]

    with faulty(runs["kind"], timeout_s=20, route={"threshold": 0}) as (url, engine, _):
        engine.fault, engine.only = "hang", "veleno"
        replies = asyncio.run(ask_all(url, engine))
        assert engine.calls == [1, 20]
    assert [reply["answer"] for reply in replies] == using.predict(runs["kind"], texts).answers


def test_a_newer_run_is_taken_up_and_a_broken_one_is_not(runs, web, tmp_path):
    named = tmp_path / "kind"
    old = named / "20260101-000000"
    shutil.copytree(runs["kind"], old)
    with served([named], reload_s=0.2) as (url, app):
        assert web(f"{url}/v1/models").json()["data"][0]["fucina"]["run"] == old.name
        unfinished = named / "20260102-000000"
        shutil.copytree(runs["kind"], unfinished, ignore=shutil.ignore_patterns("metrics.json"))
        broken = named / "20260103-000000"
        shutil.copytree(runs["kind"], tmp_path / "b")
        next((tmp_path / "b").rglob("adapter_model.safetensors")).write_bytes(b"x")
        (tmp_path / "b").rename(broken)
        _until(lambda: app.state.said)
        assert web(f"{url}/v1/models").json()["data"][0]["fucina"]["run"] == old.name
        assert "stays as it is" in app.state.said[0]
        newer = named / "20260104-000000"
        shutil.copytree(runs["kind"], tmp_path / "c")
        (tmp_path / "c").rename(newer)
        _until(lambda: len(app.state.said) > 1)
        assert web(f"{url}/v1/models").json()["data"][0]["fucina"]["run"] == newer.name
        assert web(f"{url}/predict", {"text": "il pacco"}).status_code == 200
        assert len(app.state.said) == 2
        counts = web(f"{url}/metrics").text
    assert 'fucina_reloads_total{model="kind",outcome="taken"} 1.0' in counts
    assert 'fucina_reloads_total{model="kind",outcome="refused"} 1.0' in counts


def test_it_is_taken_up_when_told_and_requests_under_way_keep_theirs(runs, web, tmp_path):
    named = tmp_path / "kind"
    shutil.copytree(runs["kind"], named / "20260101-000000")
    with served([named], timeout_s=20, route={"threshold": 0}) as (url, app):
        catalog = app.state.hall.catalog
        (station,) = catalog.stations
        from .test_routing import Faulty

        engine = Faulty(station.served.engine)
        catalog.exchange(replace(station.served, engine=engine))
        engine.fault = "hang"
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(web(f"{url}/predict", {"text": "il pacco"}).json())
        )
        asking.start()
        time.sleep(0.3)
        assert web(f"{url}/reload", method="POST").json() == {"taken": []}
        shutil.copytree(runs["kind"], named / "20260102-000000")
        assert web(f"{url}/reload", method="POST").json() == {"taken": ["kind"]}
        assert web(f"{url}/predict", {"text": "il pacco"}).json()["route"] == "model"
        engine.free.set()
        asking.join(30)
    assert answers[0]["route"] == "model"


def _until(done, seconds=30):
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        time.sleep(0.05)
    assert done()


@pytest.mark.parametrize("name", ["weights.pkl", "best/model.pt", "pytorch_model.bin", "notes.txt"])
def test_a_run_with_a_pickle_in_it_is_refused(name, runs, tmp_path):
    import pickle

    folder = tmp_path / "run"
    shutil.copytree(runs["kind"], folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(RunError, match=r"is a pickle, which can run code"), served([folder]):
        pass
    with pytest.raises(RunError, match="is a pickle"):
        using.predict(folder, ["il pacco"])


def _raw(url, sent, *, read=True):
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 20) as line:
        line.sendall(sent)
        return line.recv(65536) if read else b""


def test_clients_that_leave_or_lie_do_no_harm(runs, web):
    with served([runs["kind"]]) as (url, _):
        head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        _raw(url, head + b"content-length: 500\r\n\r\n{", read=False)  # leaves in the middle
        assert b" 413 " in _raw(url, head + b"content-length: 20000000\r\n\r\n{")
        assert b" 400 " in _raw(url, head + b"content-length: molti\r\n\r\n{")
        assert b" 400 " in _raw(url, b"\x16\x03\x01\x02\x00\x01\x00")
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        assert b" 413 " in _raw(url, head + b"transfer-encoding: chunked\r\n\r\n" + chunk * 20)
        assert web(f"{url}/predict", {"text": "il pacco"}).status_code == 200


def test_a_body_that_comes_drop_by_drop_is_not_waited_for(runs, monkeypatch):
    from fucina.serve import door

    monkeypatch.setattr(door, "BODY_S", 0.5)
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with served([runs["kind"]]) as (url, _):
        assert b" 408 " in _raw(url, head + b"content-length: 500\r\n\r\n{")


def test_pages_need_no_other_server(server, web):
    for place in ("docs", ""):
        page = web(f"{server}/{place}").text
        assert "http://" not in page.replace(server, "").replace("http://www.w3.org", "")
        assert "https://" not in page
    assert "script-src 'unsafe-inline'" in web(server).headers["content-security-policy"]
    paths = web(f"{server}/openapi.json").json()["paths"]
    assert {"/predict", "/predict/batch", "/explain", "/ask", "/v1/chat/completions",
            "/v1/completions", "/v1/models", "/v1/embeddings", "/health", "/ready", "/metrics"} <= set(paths)  # fmt: skip


@pytest.fixture
def process(runs, tmp_path):
    """Give a function: settings → a process of `fucina serve`, and its address."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "fucina", "serve", str(runs["kind"]), "port=0", *words],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        )  # fmt: skip
        started.append(process)
        line = process.stderr.readline()
        while "http://" not in line and line:
            line = process.stderr.readline()
        return process, "http://" + line.split("http://")[1].split()[0]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_the_command_serves_until_it_is_told_to_end(process, web):
    running, url = process("route.threshold=0")
    texts = [text for text, _ in LABELLED] * 15
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(web(f"{url}/predict/batch", {"texts": texts}))
    )
    _until(lambda: _answers(f"{url}/ready"))
    asking.start()
    time.sleep(0.15)
    running.send_signal(signal.SIGTERM)
    asking.join(60)
    assert answers[0].status_code == 200  # what was accepted was answered
    assert len(answers[0].json()["answers"]) == len(texts)
    _, logged = running.communicate(timeout=30)
    assert running.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in logged
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    assert lines[-1]["path"] == "/predict/batch"


def _answers(url):
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize(("words", "message"), [
    (["runs/niente"], "is not a run folder"),
    ([], "no run to serve"),
    (["RUN", "port=70000"], "port"),
    (["RUN", "prot=8000"], "did you mean 'port'?"),
    (["RUN", "route.rules=nessuno.yaml"], "cannot be read"),
    (["RUN", "route.url=http://x/v1"], "url and model belong together"),
    (["RUN", "route.url=x", "route.model=y"], "is no address of a server"),
    (["RUN", "keys=nessuno.txt"], "cannot be read"),
    (["RUN", "host=0.0.0.0"], "is reached from other machines"),
    (["RUN", "host=192.0.2.1", "keys=KEYS"], "192.0.2.1, port"),
])  # fmt: skip
def test_what_is_wrong_is_told_before_it_listens(words, message, runs, keyed, tmp_path):
    given = [str({"RUN": runs["kind"]}.get(w, w.replace("KEYS", str(keyed[1])))) for w in words]
    done = subprocess.run(
        [sys.executable, "-m", "fucina", "serve", *given], capture_output=True, text=True,
        cwd=tmp_path, timeout=120, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
