"""Small trained runs, and servers of them that really listen."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from fucina import flow
from fucina.config import RouteConfig, ServeConfig
from fucina.recipe import parse

RULES = """
rules:
  - label: ordine
    keywords: [pacco, spedizione]
    reply: Il pacco è in viaggio.
  - label: guasto
    command: /guasto
    priority: 3
default: rimborso
"""
PLACES = ("città", "app", "schermo", "spedizione", "pacco")
SPOKEN = [(f"Dove sta {who}?", f"{who} sta di sopra.") for who in ("Ada", "Ugo", "Lia", "Teo")]


def _train(folder, name, task, base, rows, *more):
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    recipe, _ = parse(
        f"{{task: {task}, name: {name}, output: '{folder}/runs', data: {{train: {name}.jsonl, "
        f"test: {name}.jsonl, allow_duplicates: true}}, model: {{base: '{base}'}}, adapter: "
        "{rank: 4}, evaluation: {bootstrap_samples: 100, baselines: []}, training: {epochs: 3, "
        "learning_rate: 1e-2, batch_size: 8, precision: float32}}",
        more,
    )
    return Path(flow.train(recipe, folder).folder)


def _marked(number):
    place = PLACES[number % 5]
    text = f"non arriva {'il ' * (number % 3)}{place} nero" + " prezzo" * (number // 7)
    start = text.index(place)
    return {"text": text, "spans": [{"start": start, "end": start + len(place), "label": "COSA"}]}


@pytest.fixture(scope="session")
def trained():
    """Give a function: another run of a name, of other seed, in the folder of the runs."""
    return _train


@pytest.fixture(scope="session")
def runs(make_base, make_decoder, tmp_path_factory):
    """Name to a run folder: one that labels, one that marks, two that talk over one base."""
    from conftest import LABELLED

    folder = tmp_path_factory.mktemp("serve")
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    rows = [{"text": text, "label": label} for text, label in LABELLED]
    talk = [{"prompt": asked, "answer": said} for asked, said in SPOKEN * 3]
    short, base = "chat.max_new_tokens=12", make_decoder("llama")
    return {
        "kind": _train(
            folder, "kind", "classification", make_base("bert"), rows, "evaluation.rules=rules.yaml"
        ),
        "cose": _train(
            folder, "cose", "entities", make_base("bert"), [_marked(n) for n in range(30)]
        ),
        "talk": _train(folder, "talk", "chat", base, talk, short),
        "sist": _train(folder, "sist", "chat", base, talk, short, "chat.system=Rispondi piano."),
    }


@contextmanager
def listening(app):
    """The address of an application that listens on this machine."""
    from fucina.serve.listening import web_server

    port = socket.create_server(("127.0.0.1", 0))
    server = web_server(app, drain_s=5)
    thread = threading.Thread(target=lambda: server.run(sockets=[port]), daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        port.close()


@contextmanager
def served(folders, *, keys=None, env=None, route=None, **config):
    """The address of a server of some runs, and its application."""
    from fucina.serving import Places, open_service

    said = []
    chosen = ServeConfig(keys=keys, **{"reload_s": 0, **config})
    with (
        open_service(
            Places([str(folder) for folder in folders]),
            chosen,
            RouteConfig(**(route or {})),
            keys=env or {},
            say=said.append,
        ) as app,
        listening(app) as url,
    ):
        app.state.said = said
        yield url, app


@pytest.fixture(scope="session")
def server(runs):
    """The address of a server of all runs."""
    with served(list(runs.values()), route={"threshold": 0}) as (url, _):
        yield url


@pytest.fixture(scope="session")
def web():
    """Give a function: address, and JSON or bytes → reply of a server."""
    import httpx2

    with httpx2.Client(timeout=60) as client:

        def ask(url, body=None, *, method=None, **more):
            method = method or ("GET" if body is None else "POST")
            sent = {"content": body} if isinstance(body, bytes) else {"json": body}
            if isinstance(body, bytes):
                more.setdefault("headers", {"content-type": "application/json"})
            return client.request(method, url, **(sent if body is not None else {}), **more)

        yield ask
