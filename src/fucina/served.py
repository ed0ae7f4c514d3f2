"""One model to be served: of a run, of an export, or behind the address of another server."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import asking, run, tasks
from fucina.endpoint import Server
from fucina.engines import Sampling
from fucina.engines.onnx_folder import FACTS, GRAPHS
from fucina.errors import DataError, RecipeError
from fucina.fallback import open_elsewhere
from fucina.opening import Bases, load_as
from fucina.records import Answer, Example
from fucina.rules import Rules, load_rules
from fucina.serve import Served

if TYPE_CHECKING:
    from fucina.config import Recipe, RouteConfig
    from fucina.opening import Model

__all__ = [
    "Makings",
    "export_name",
    "facts_of",
    "is_address",
    "is_export",
    "served_elsewhere",
    "served_export",
    "served_file",
    "served_run",
]

LANES = 4  # batches of a graph at once; more are smaller, and wait for the same cores


@dataclass(frozen=True)
class Makings:
    """What all models of a server are made with.

    Attributes:
        route: Who answers where a model does not.
        keys: Name of a variable to the key of an endpoint.
        threads: Gives where torch computes; it is loaded when that is asked for first.
        bases: Those that are loaded.
    """

    route: "RouteConfig"
    keys: Mapping[str, str]
    threads: Callable[[], ThreadPoolExecutor]
    bases: Bases

    def rules(self, own: Path | None, labels: Sequence[str]) -> Rules | None:
        """Those of the route, else those that a run keeps; None for none.

        Raises:
            RecipeError: They are wrong, or give a label that there is not.
        """
        if self.route.rules:
            return load_rules(Path(self.route.rules), labels or None)
        return load_rules(own, labels or None) if own is not None and own.is_file() else None

    def elsewhere(self, kind: Answer, labels: Sequence[str]) -> Callable[[Example], Any] | None:
        """The other model of the route."""
        return open_elsewhere(self.route, kind, labels, self.keys)


def is_address(given: str) -> bool:
    """Whether what is to be served is behind an address."""
    return given.startswith(("http://", "https://"))


def served_elsewhere(given: str, makings: Makings) -> Served:
    """A model of another server, such as Ollama or vLLM.

    Args:
        given: Its address, and behind # its name there: http://localhost:11434/v1#qwen3:4b.
        makings: What it is made with.

    Raises:
        RecipeError: The name is missing, the address is none, or a key is.
    """
    from fucina.engines.upstream import UpstreamTalker

    url, _, model = given.partition("#")
    if not model:
        raise RecipeError(
            f"which model of {url}?", fix="Write its name behind #: http://localhost:11434/v1#NAME."
        )
    variable = makings.route.key_variable
    server = Server(url, model, variable, timeout_s=600.0, retries=0)
    engine = UpstreamTalker(server, makings.keys.get(variable, ""))
    return Served(
        model, "text", engine, 0, {"task": "chat", "base": url},
        rules=makings.rules(None, ()),
        elsewhere=makings.elsewhere("text", ()),
    )  # fmt: skip


def served_file(path: Path, makings: Makings) -> Served:
    """The decoder of a GGUF file, which llama.cpp computes.

    Args:
        path: The file; requests call it by its name without the ending.
        makings: What it is made with.

    Raises:
        MissingExtraError: llama.cpp is not installed.
        ModelError: The file cannot be loaded.
    """
    from fucina.engines.llama import LlamaTalker

    engine = LlamaTalker(path)
    _warm(engine)
    return Served(
        path.stem, "text", engine, int(path.stat().st_mtime), {"task": "chat", "base": path.name},
        rules=makings.rules(None, ()), elsewhere=makings.elsewhere("text", ()),
    )  # fmt: skip


def is_export(path: Path) -> bool:
    """Whether a folder is an ONNX export, or what is left of one."""
    return any((path / name).is_file() for name in (FACTS, *GRAPHS.values()))


def export_name(folder: Path) -> str:
    """What requests call the model of an export.

    Example:
        >>> export_name(Path("out/intents-onnx")), export_name(Path("out/v2"))
        ('intents', 'v2')
    """
    return folder.resolve().name.removesuffix("-onnx")


def served_export(name: str, folder: Path, makings: Makings) -> Served:
    """The classifier or tagger of an ONNX export, answered without PyTorch.

    Args:
        name: What requests call it.
        folder: As `fucina export RUN --to onnx` wrote it.
        makings: What it is made with.

    Raises:
        ModelError: A file is missing, cut or changed.
        RunError: The folder has a file that could run code.
        MissingExtraError: ONNX Runtime is not installed.
        RecipeError: The rules are wrong.
    """
    from fucina.engines.onnx import open_engine
    from fucina.engines.onnx_graph import cores

    run.refuse_pickle(folder)
    engine = open_engine(folder)
    facts = engine.export.facts
    kind: Answer = "label" if facts.kind == "labels" else "spans"
    learnt, chosen = facts.threshold, makings.route.threshold
    return Served(
        name, kind, engine, int((folder / FACTS).stat().st_mtime),
        {"task": kind, "base": facts.base, "export": folder.name},
        threshold=learnt if chosen is None else chosen,
        rules=makings.rules(run.rules_of(folder), facts.names),
        elsewhere=makings.elsewhere(kind, facts.names),
        lanes=min(cores(), LANES),
    )  # fmt: skip


def served_run(name: str, folder: Path, makings: Makings) -> Served:
    """The model of a run, which has answered once already.

    Args:
        name: What requests call it.
        folder: Of the run.
        makings: What it is made with.

    Raises:
        FucinaError: The run, its base or the rules are broken.
    """
    from fucina.models import threads

    recipe = run.read_recipe(folder)
    base = makings.bases.get(folder, recipe)
    pool = makings.threads()
    model = load_as(folder, recipe, threads.count(pool), base=base)
    engine = _engine(model, pool)
    _warm(engine)
    served = facts_of(name, folder, recipe, makings, engine)
    if served.kind == "text":
        return served
    served = replace(served, explain=_explain(served.row, recipe, model, pool))
    return _with_vectors(served, model, makings)


def facts_of(name: str, folder: Path, recipe: "Recipe", makings: Makings, engine: Any) -> Served:
    """A run with whatever computes its answers.

    Args:
        name: What requests call it.
        folder: Of the run.
        recipe: Of the run.
        makings: What it is made with.
        engine: Labels, marks or talks.

    Raises:
        RecipeError: The rules are wrong.
    """
    kind = tasks.of(recipe).answer
    labels = tuple(run.read_json(folder / "data.json")["labels"])
    return Served(
        name, kind, engine, _trained(folder),
        {"task": recipe.task, "base": recipe.model.base, "run": folder.name},
        row=_rows(folder, recipe),
        rules=makings.rules(run.rules_of(folder), labels),
        elsewhere=makings.elsewhere(kind, labels),
    )  # fmt: skip


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
    from fucina.explaining import explainer

    tell = explainer(recipe, model, pool)
    return lambda text, options: tell(row(text, {}), options)


def _with_vectors(served: Served, model: "Model", makings: Makings) -> Served:
    from fucina.engines.torch import embed
    from fucina.models.ensemble import Ensemble

    learnt = model.threshold if isinstance(model, Ensemble) else 0.0
    threshold, pool = makings.route.threshold, makings.threads()
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
