"""Open trained models to serve them, and take up newer runs while they are served."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import asking, run, tasks
from fucina.config import AnswerConfig, SearchConfig
from fucina.documents import open_shelf
from fucina.engines import Sampling
from fucina.errors import DataError, FucinaError, MissingExtraError, RunError
from fucina.explaining import explainer
from fucina.fallback import open_elsewhere
from fucina.opening import Bases, load_as
from fucina.records import Example
from fucina.rules import load_rules
from fucina.serve import Served

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fucina.config import Recipe, RouteConfig, ServeConfig
    from fucina.opening import Model
    from fucina.serve.catalog import Catalog
    from fucina.serve.counting import Counts

__all__ = ["Places", "open_service"]


@dataclass(frozen=True)
class Places:
    """What is to be served.

    Attributes:
        models: Run folders, or folders of a recipe's name, whose newest complete run is meant.
        index: Folder of an index of documents; None for none.
        search: How they are looked through.
        answer: Who answers out of them.
    """

    models: Sequence[Path]
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
    from fucina.models import threads
    from fucina.serve.keys import load_keys

    _require_guarded(config)
    known = load_keys(Path(config.keys)) if config.keys else None
    with threads.start() as pool, ExitStack() as stack:
        documents = None
        if places.index is not None:
            shelf = open_shelf(places.index, places.search, places.answer, keys)
            documents = stack.enter_context(shelf)
        opener = _Opener(places.models, route, keys, pool, say)
        yield create_app(opener.first(), config, keys=known, documents=documents, look=opener.look)


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
    """Remembers what is served, where it was found, and the bases that are loaded."""

    def __init__(
        self,
        given: Sequence[Path],
        route: "RouteConfig",
        keys: Mapping[str, str],
        pool: ThreadPoolExecutor,
        say: Callable[[str], None],
    ) -> None:
        self._route, self._keys, self._pool, self._say = route, keys, pool, say
        self._bases, self._looking = Bases(), threading.Lock()
        found = {run.find_complete(path): path for path in dict.fromkeys(given)}
        names = [run.read_recipe(folder).name for folder in found]
        # Those that are called alike are told apart by the folder that they were asked for by.
        self._given = {
            name if names.count(name) == 1 else f"{name}/{folder.name}": path
            for name, (folder, path) in zip(names, found.items(), strict=True)
        }
        self._opened: dict[str, Path] = {}
        self._refused: set[Path] = set()

    def first(self) -> list[Served]:
        """All models, as they are now."""
        served = []
        for name, path in self._given.items():
            folder = run.find_complete(path)
            served.append(self._open(name, folder))
            self._opened[name] = folder
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
                    served = self._open(name, folder)
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

    def _open(self, name: str, folder: Path) -> Served:
        from fucina.models import threads

        recipe = run.read_recipe(folder)
        base = self._bases.get(folder, recipe)
        model = load_as(folder, recipe, threads.count(self._pool), base=base)
        engine = _engine(model, self._pool)
        task = tasks.of(recipe)
        labels = tuple(run.read_json(folder / "data.json")["labels"])
        written = Path(self._route.rules) if self._route.rules else run.rules_of(folder)
        rules = None
        if self._route.rules or written.is_file():
            rules = load_rules(written, labels or None)
        served = Served(
            name, task.answer, engine, _trained(folder),
            {"task": recipe.task, "base": recipe.model.base, "run": folder.name},
            row=_rows(folder, recipe),
            rules=rules,
            elsewhere=open_elsewhere(self._route, task.answer, labels, self._keys),
        )  # fmt: skip
        _warm(engine)
        if task.answer == "text":
            return served
        served = replace(served, explain=_explain(served.row, recipe, model, self._pool))
        return _with_vectors(served, model, self._pool, self._route.threshold)


def _engine(model: "Model", pool: ThreadPoolExecutor) -> Any:
    from fucina.engines.torch import TorchLabeller, TorchMarks, TorchTalker
    from fucina.models.ensemble import Ensemble
    from fucina.models.marker import Marker

    if isinstance(model, Ensemble):
        return TorchLabeller(model, pool)
    return TorchMarks(model, pool) if isinstance(model, Marker) else TorchTalker(model)


def _warm(engine: Any) -> None:
    """Let a model answer once: the first answer of a process takes a hundred times as long."""
    from fucina.engines.torch import TorchLabeller, TorchMarks

    if isinstance(engine, TorchLabeller):
        engine.label(["…"])
    elif isinstance(engine, TorchMarks):
        engine.mark(["…"])
    else:
        for _ in engine.complete("…", Sampling(max_tokens=2)):
            pass


def _explain(
    row: Callable[[str, Mapping[str, str]], Example],
    recipe: "Recipe",
    model: "Model",
    pool: ThreadPoolExecutor,
) -> Callable[[str, Mapping[str, Any]], Mapping[str, Any]]:
    """Which words of a text decided."""
    tell = explainer(recipe, model, pool)
    return lambda text, options: tell(row(text, {}), options)


def _with_vectors(
    served: Served, model: "Model", pool: ThreadPoolExecutor, threshold: float | None
) -> Served:
    from fucina.engines.torch import embed
    from fucina.models.ensemble import Ensemble

    learnt = model.threshold if isinstance(model, Ensemble) else 0.0
    return replace(
        served,
        threshold=learnt if threshold is None else threshold,
        embed=lambda texts: embed(model.base, pool, texts),
    )


def _trained(folder: Path) -> int:
    """When a run began, by its folder's name; 0 where that tells nothing."""
    try:
        return int(datetime.strptime(folder.name[:15], "%Y%m%d-%H%M%S").astimezone(UTC).timestamp())
    except ValueError:
        return 0


def _rows(folder: Path, recipe: "Recipe") -> Callable[[str, Mapping[str, str]], Example]:
    """A text and further fields to a row; a request may name no file of this machine."""
    closed = tasks.of(recipe).paths.finders

    def row(text: str, fields: Mapping[str, str]) -> Example:
        for name in fields:
            if name in closed:
                raise DataError(
                    f"{name} is a file, which no request may name.",
                    fix="Send its content in another field, or leave it out.",
                )
        return asking.questions(folder, [text], fields)[0]

    return row
