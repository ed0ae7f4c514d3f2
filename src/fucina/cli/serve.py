"""fucina serve RUN…: trained models behind HTTP, with rules in their place."""

import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fucina.config import AnswerConfig, RouteConfig, SearchConfig, ServeConfig

__all__ = ["command"]

SETTING = re.compile(r"[a-z_]+(?:\.[a-z_]+)*=")


def command(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN... [KEY=VALUE]...",
            help="Run folders, or folders of a recipe's name, of which the newest run is served; "
            "ONNX exports; GGUF files; models of another server as ADDRESS#NAME; and settings: "
            "port=…, keys=…, route.rules=…, route.url=… and others.",
        ),
    ] = None,
    index: Annotated[
        Path | None, typer.Option(help="Folder of an index of documents, to be asked at /ask.")
    ] = None,
    new_key: Annotated[
        str | None,
        typer.Option(help="Make a key of this name, print its line for keys=FILE, and stop."),
    ] = None,
) -> None:
    """Serve trained models: their tasks, and OpenAI's interface."""
    if new_key is not None:
        _make_key(new_key)
        return
    import os

    from fucina.cli.screen import messages
    from fucina.errors import RunError
    from fucina.serving import Places, open_service

    words = [word for word in runs or [] if SETTING.match(word) and not Path(word).exists()]
    folders = [word for word in runs or [] if word not in words]
    if not folders and index is None:
        raise RunError("no run to serve.", fix="Give a run folder: fucina serve runs/NAME.")
    config, route, search, answer = _settings(words)
    with open_service(
        Places(folders, index, search, answer), config, route, keys=os.environ,
        say=lambda text: messages.print(text, markup=False),
    ) as app:  # fmt: skip
        _run(app, config)


def _make_key(name: str) -> None:
    """The line goes to standard output, to be added to a file; the key to people's eyes alone."""
    from fucina.serve.keys import new_key

    key, line = new_key(name)
    typer.echo(line)
    typer.echo(f"The key, shown this once: {key}", err=True)


def _settings(
    words: list[str],
) -> "tuple[ServeConfig, RouteConfig, SearchConfig, AnswerConfig]":
    from fucina.config import AnswerConfig, RouteConfig, SearchConfig, ServeConfig
    from fucina.settings_file import of_words

    parts: dict[str, list[str]] = {"route.": [], "search.": [], "answer.": [], "": []}
    for word in words:
        part = next(part for part in parts if word.startswith(part))
        parts[part].append(word.removeprefix(part))
    return (
        of_words(ServeConfig, parts[""], "serve"),
        of_words(RouteConfig, parts["route."], "route"),
        of_words(SearchConfig, parts["search."], "search"),
        of_words(AnswerConfig, parts["answer."], "answer"),
    )


def _run(app: "FastAPI", config: "ServeConfig") -> None:
    """Listen until the program is told to stop; what was accepted is answered first.

    Raises:
        RunError: The address is taken, or not this machine's.
    """
    import socket

    from fucina.cli.screen import messages
    from fucina.errors import RunError
    from fucina.serve.listening import web_server

    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listening = socket.create_server((config.host, config.port), family=family, backlog=2048)
    except OSError as error:
        raise RunError(
            f"{config.host}, port {config.port}: {error.strerror or error}.",
            fix="Set another: port=0 takes a free one.",
        ) from error
    host = f"[{config.host}]" if ":" in config.host else config.host
    hall = app.state.hall
    names = [station.served.name for station in hall.catalog.stations]
    names += ["documents"] if hall.documents else []
    address = f"http://{host}:{listening.getsockname()[1]}"
    messages.print(
        f"{', '.join(names)} at {address} (/docs tells how)", markup=False, soft_wrap=True
    )
    _log_to_stderr()
    web_server(app, drain_s=config.drain_s).run(sockets=[listening])


def _log_to_stderr() -> None:
    """One line of JSON a request; of the web server only what goes wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("fucina.serve")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
