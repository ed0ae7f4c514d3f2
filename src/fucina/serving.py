"""Open trained models to serve them, and take up newer runs while they are served."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import run
from fucina.config import AnswerConfig, SearchConfig
from fucina.documents import open_shelf
from fucina.errors import FucinaError, MissingExtraError, RunError
from fucina.opening import Bases
from fucina.serve import Served
from fucina.served import (
    Makings,
    export_name,
    is_address,
    is_export,
    served_elsewhere,
    served_export,
    served_file,
    served_run,
)

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fucina.config import RouteConfig, ServeConfig
    from fucina.serve.catalog import Catalog
    from fucina.serve.counting import Counts

__all__ = ["Places", "open_service"]


@dataclass(frozen=True)
class Places:
    """What is to be served.

    Attributes:
        models: Run folders, or folders of a recipe's name, whose newest complete run is meant;
            ONNX exports; GGUF files; or models of another server, as ADDRESS#NAME.
        index: Folder of an index of documents; None for none.
        search: How they are looked through.
        answer: Who answers out of them.
    """

    models: Sequence[str]
    index: Path | None = None
    search: SearchConfig = field(default_factory=SearchConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)


@contextmanager
def open_service(
    places: Places,
    config: "ServeConfig",
    route: "RouteConfig",
    *,
    keys: Mapping[str, str],
    say: Callable[[str], None],
) -> "Iterator[FastAPI]":
    """Open models, and give the application that serves them.

    Args:
        places: What is served.
        config: How.
        route: Who answers where a model does not.
        keys: Name of a variable to the key of an endpoint.
        say: Shows messages.

    Raises:
        RunError: A run is not complete, broken, or has a file that could run code.
        RecipeError: The rules, the keys or an address are wrong.
        MissingExtraError: What serving needs is not installed.
    """
    try:
        from fucina.serve.app import create_app
    except ImportError as error:
        raise MissingExtraError(str(error.name), extra="serve") from error
    from fucina.serve.keys import load_keys

    _require_guarded(config)
    known = load_keys(Path(config.keys)) if config.keys else None
    with ExitStack() as stack:
        pool = cache(lambda: stack.enter_context(_threads()))
        documents = None
        if places.index is not None:
            shelf = open_shelf(places.index, places.search, places.answer, keys)
            documents = stack.enter_context(shelf)
        opener = _Opener(places.models, Makings(route, keys, pool, Bases()), say)
        if config.engine == "vllm":
            opener.host(stack, config.load_s)
        yield create_app(opener.first(), config, keys=known, documents=documents, look=opener.look)


def _threads() -> AbstractContextManager[ThreadPoolExecutor]:
    """Where torch computes; a server of exports alone never needs it."""
    from fucina.models import threads

    return threads.start()


def _require_guarded(config: "ServeConfig") -> None:
    """Refuse to be reached from elsewhere by everybody.

    Raises:
        RunError: The address is not this machine's, and no keys are asked for.
    """
    from fucina.endpoint import is_loopback

    host = f"[{config.host}]" if ":" in config.host else config.host
    if config.keys is None and not is_loopback(f"http://{host}", "serve"):
        raise RunError(
            f"{config.host} is reached from other machines, by everybody who finds it.",
            fix="Ask for keys: fucina serve --new-key NAME >> keys.txt, then keys=keys.txt.",
        )


class _Opener:
    """Remembers what is served, and where it was found."""

    def __init__(self, given: Sequence[str], makings: Makings, say: Callable[[str], None]) -> None:
        self._makings, self._say, self._looking = makings, say, threading.Lock()
        self._addresses = [one for one in dict.fromkeys(given) if is_address(one)]
        paths = [Path(one) for one in given if not is_address(one)]
        self._files = [path for path in paths if path.is_file()]
        paths = [path for path in paths if path not in self._files]
        exports = list(dict.fromkeys(path for path in paths if is_export(path)))
        found = {run.find_complete(p): p for p in dict.fromkeys(paths) if p not in exports}
        folders = [*found, *exports]
        names = [run.read_recipe(folder).name for folder in found] + [*map(export_name, exports)]
        # Those that are called alike are told apart by their folders.
        called = [
            name if names.count(name) == 1 else f"{name}/{folder.name}"
            for name, folder in zip(names, folders, strict=True)
        ]
        self._given = dict(zip(called, found.values(), strict=False))
        self._exports = list(zip(called[len(found) :], exports, strict=True))
        self._opened: dict[str, Path] = {}
        self._refused: set[Path] = set()
        self._hosted: list[Served] = []

    def host(self, stack: ExitStack, load_s: float) -> None:
        """Let vLLM compute the run, which then is the same until the server ends.

        Args:
            stack: Ends it.
            load_s: Seconds that it may take.

        Raises:
            RunError: There is no run, or more than one; or vLLM cannot compute it.
            ResourceError: There is no GPU.
        """
        # It takes torch with it, which a server of exports does without.
        from fucina.hosted import hosted_run

        if len(self._given) != 1:
            raise RunError(
                f"engine=vllm serves one run, and there are {len(self._given)}.",
                fix="Name one run folder; serve others on another port.",
            )
        ((name, path),) = self._given.items()
        given = (name, run.find_complete(path), self._makings)
        self._hosted.append(stack.enter_context(hosted_run(*given, load_s=load_s, say=self._say)))
        self._given = {}

    def first(self) -> list[Served]:
        """All models, as they are now."""
        served = [*self._hosted]
        for name, path in self._given.items():
            self._opened[name] = run.find_complete(path)
            served.append(served_run(name, self._opened[name], self._makings))
        served += [served_export(*given, self._makings) for given in self._exports]
        served += [served_file(path, self._makings) for path in self._files]
        served += [served_elsewhere(one, self._makings) for one in self._addresses]
        names = [one.name for one in served]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise RunError(
                f"two models are called {twice[0]}, so no request could tell them apart.",
                fix="Rename the folder or the file of one, or serve them on two ports.",
            )
        return served

    def look(self, catalog: "Catalog", counts: "Counts") -> list[str]:
        """Take up newer runs; one that cannot be used changes nothing, and is told once."""
        taken = []
        with self._looking:
            for name, path in self._given.items():
                folder = path
                try:
                    folder = run.find_complete(path)
                    if folder == self._opened[name] or folder in self._refused:
                        continue
                    served = served_run(name, folder, self._makings)
                except FucinaError as error:
                    self._refused.add(folder)
                    counts.reloaded(name, "refused")
                    self._say(f"{name} stays as it is: {error}")
                    continue
                catalog.exchange(served)
                self._opened[name] = folder
                counts.reloaded(name, "taken")
                self._say(f"{name} is {folder} now")
                taken.append(name)
        return taken
