"""An export, or its run, asked over HTTP: does the server answer as the model did?"""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from fucina import asking, run, tasks
from fucina.config import RouteConfig, ServeConfig
from fucina.errors import DataError, MissingExtraError
from fucina.records import Check, Example, Progress, silent
from fucina.serving import Places, open_service
from fucina.shipment import Job, Made, file_of
from fucina.using import test_set

__all__ = ["asked_over_http", "check_server"]

START_S, END_S = 60.0, 30.0
FILES = ("gguf", "ollama")
REFUSED = object()  # in the place of an answer
TOO_LONG = (400, 413)  # to be read whole, where the run itself cuts it
PART = 64  # texts in one request
LEAST = {"float32": 0.98, "bfloat16": 0.8}  # of the run's own answers: of two that are as likely
TEXTS = {"F32": 0.95, "F16": 0.95, "BF16": 0.9}  # of GGUF files; of others it is told


def check_server(job: Job, made: Made, place: Path) -> list[Check]:
    """Ask `fucina serve` rows of the test set, and hold its answers against those of the model.

    It serves the export where it takes such files, and else the run, whose answers are those that
    were kept with it.

    Args:
        job: The export.
        made: What was written.
        place: Where it is.

    Returns:
        One check; none where rows cannot be asked like that, or a library is missing, which is
        said.
    """
    talks = tasks.get(job.recipe.task).answer == "text"
    if talks and job.recipe.chat.constrain != "none":
        return []  # conversations are not held to the grammar of a row
    rows = test_set(job.folder).examples[: job.config.cases]
    served, title, wanted, least = _served(job, made, place)
    told = _sayable(job, rows, plainly=served != job.folder)
    if not told:
        return []
    try:
        found = asked_over_http(
            served, [rows[at] for at in told], talks=talks or job.to in FILES,
            most=job.recipe.chat.max_new_tokens, system=job.recipe.chat.system,
            progress=job.progress,
        )  # fmt: skip
    except MissingExtraError as error:
        job.say(f"no server was asked: {error}")
        return []
    pairs = [(at, answer) for at, answer in zip(told, found, strict=True) if answer is not REFUSED]
    others = [str(at + 1) for at, answer in pairs if not _same(wanted[at], answer)]
    if not pairs:
        job.say(f"{title}: none of {len(told)} rows was short enough for one request")
        return []
    share = 1 - len(others) / len(pairs)
    notes = [f"rows that differ: {', '.join(others[:5])}"] if others else []
    if long := len(told) - len(pairs):
        notes.append(f"{long} rows were too long for a request")
    passed = least is None or share >= least
    return [Check("answers", title, len(pairs), share, least, passed, "; ".join(notes))]


def _sayable(job: Job, rows: Sequence[Example], *, plainly: bool) -> list[int]:
    """The rows that a request can say: a run makes a row of a text, and needs what others gave.

    Args:
        job: The export.
        rows: Of the test set.
        plainly: What is served knows nothing of the task, and takes texts as they are.
    """
    texts = [row.prompt for row in rows]
    try:
        made = None if plainly else asking.questions(job.folder, texts, {})
    except DataError:  # the task wants more than a text
        made = [Example("", "")] * len(rows)
    found = []
    for at, row in enumerate(rows):
        several = len(row.messages) > 2 or (row.messages and job.recipe.chat.system is not None)
        alike = plainly or several or (made is not None and made[at].prompt == row.prompt)
        if row.prompt.strip() and not row.tools and alike:
            found.append(at)
    return found


def _served(job: Job, made: Made, place: Path) -> tuple[Path, str, Sequence[Any], float | None]:
    """What is served, what that is called, which answers it should give, and how many of them."""
    if job.to == "onnx":
        return place, "server of the graph", made.answers, 0.99
    if job.to in FILES and not job.config.adapter:
        return place / file_of(job), "server of the file", made.answers, TEXTS.get(job.config.kind)
    known = job.folder / "predictions.parquet"
    kind = tasks.get(job.recipe.task).answer
    if kind == "label":
        answers: Sequence[Any] = run.read_predictions(known).answers
    else:
        read = run.read_texts if kind == "text" else run.read_spans
        answers = read(known)[1].answers
    trained = run.read_json(job.folder / "environment.json")["precision"]
    return job.folder, "server of the run", answers, LEAST[trained]


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, str):
        return isinstance(found, str) and wanted.strip() == found.strip()
    if found is None:
        return False
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
    """The answers of a server on this machine to rows.

    None is where the model failed there, and REFUSED where the row was too long for a request.

    Args:
        served: A run, a GGUF file or an ONNX export.
        rows: What is asked.
        talks: Ask for chat completions, else for predictions.
        most: Tokens of a written answer.
        system: What the system says where a row does not say it itself.
        progress: Told after each request.

    Raises:
        MissingExtraError: What serving needs is not installed.
    """
    # As long as it takes, and whatever it is not sure of: it is the model that is compared.
    settings = ServeConfig(port=0, reload_s=0, timeout_s=600, max_body_kib=16 * 1024)
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
    if told is None or told is REFUSED:
        return [told] * len(rows)
    return [one["answer"] if one["route"] == "model" else None for one in told["answers"]]


def _talked(port: int, row: Example, most: int, system: str | None) -> Any:
    turns = [{"role": turn.role, "content": turn.content} for turn in row.messages[:-1]]
    turns = turns or [{"role": "user", "content": row.prompt}]
    if system is not None and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": system}, *turns]
    name = _get(port, "/v1/models")["data"][0]["id"]
    body = {"model": name, "messages": turns, "max_tokens": most, "temperature": 0}
    told = _post(port, "/v1/chat/completions", body)
    if told is None or told is REFUSED:
        return told
    return told["choices"][0]["message"]["content"] if told["fucina"]["route"] == "model" else None


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
    if reply.status in TOO_LONG:
        return REFUSED
    return json.loads(text) if reply.status == 200 else None
