"""Trained models off the disk: that of one run, or those of several runs over one base."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import asking, run, tasks
from fucina.errors import RunError, nearest
from fucina.records import Example, Predictions, Progress, Spans, Texts, silent
from fucina.tasks.settings import learnt_as

if TYPE_CHECKING:
    from fucina.config import ChatConfig, ModelConfig, Recipe
    from fucina.models.base import Base
    from fucina.models.ensemble import Ensemble
    from fucina.models.marker import Marker
    from fucina.models.writer import Writer

    Model = Ensemble | Marker | Writer

__all__ = [
    "Bases",
    "OpenRuns",
    "answer",
    "chat_of",
    "load_as",
    "load_model",
    "load_wide",
    "open_runs",
]


def load_model(folder: Path, *, workers: int) -> tuple["Recipe", "Model"]:
    """Load the trained model of a run folder: one that labels, one that marks, or one that writes.

    Raises:
        RunError: The run is not complete, or a file is broken.
    """
    folder, recipe = _complete(folder)
    return recipe, load_as(folder, recipe, workers)


def _complete(folder: Path) -> tuple[Path, "Recipe"]:
    folder = run.find(folder)
    if not (folder / "metrics.json").is_file():
        raise RunError(f"{folder} is not complete.", fix="Finish it: fucina train RECIPE --resume.")
    return folder, run.read_recipe(folder)


def load_as(
    folder: Path,
    recipe: "Recipe",
    workers: int,
    *,
    base: "Base | None" = None,
    as_in: Path | None = None,
) -> "Model":
    """Load what a run trained.

    Args:
        folder: The run.
        recipe: How it answers.
        workers: How many threads will compute at once.
        base: Its base, where it is loaded already.
        as_in: A run whose template a model that writes uses; None for its own.

    Raises:
        RunError: A file is broken or a pickle, or the base is not the one it was trained on.
    """
    from fucina.models import saved
    from fucina.tasks.grammars import open_grammars

    run.refuse_pickle(folder)
    form, base = learnt_as(recipe), base or _load_base(folder, recipe)
    if form == "text":
        from fucina.models.base import with_template

        kept = chat_of(recipe, as_in or folder, halves=base.halves is not None)
        base = with_template(base, *kept)
    if tasks.get(recipe.task).answer == "text":
        held = open_grammars(
            recipe,
            run.grammar_of(folder, recipe.chat.constrain),
            base.template,
            lambda: run.read_rows(folder / "development.parquet")[0].examples,
        )
        return saved.load_writer(folder, recipe, base, workers=workers, held=held)
    labels = run.read_json(folder / "data.json")["labels"]
    load = saved.load_marker if form == "spans" else saved.load
    return load(folder, recipe, base, labels, workers=workers)


def _load_base(folder: Path, recipe: "Recipe") -> "Base":
    from fucina.models import base as bases

    return bases.load(recipe.model, _precision(folder), learnt_as(recipe))


def load_wide(folder: Path, recipe: "Recipe") -> "Base":
    """The base of a run in float32, whatever it was trained in: no rounding hides an error."""
    from fucina.models import base as bases

    known = _precision(folder)
    return bases.load(recipe.model, "float32", learnt_as(recipe), trained_in=known)


def _precision(folder: Path) -> str:
    return run.read_json(folder / "environment.json")["precision"]


def chat_of(recipe: "Recipe", folder: Path, *, halves: bool) -> "tuple[ChatConfig, Path]":
    """How a run wrote conversations, and the chat template that it keeps.

    Args:
        recipe: What to write otherwise; its template is not looked at.
        folder: Of the run.
        halves: Whether its base is an encoder-decoder, which has no template.

    Raises:
        RunError: The template is missing.
    """
    if halves:
        return recipe.chat, folder
    template = run.template_of(folder)
    return recipe.chat.model_copy(update={"template": template.name}), template


def answer(
    model: "Model",
    rows: Sequence[Example],
    *,
    threads: ThreadPoolExecutor,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
) -> Predictions | Texts | Spans:
    """Answer rows, whose true answers need not be known.

    Args:
        model: As `load_model` gives it.
        rows: What is asked.
        threads: Where answers are computed.
        progress: Told after each chunk.
        say: Shows messages.
    """
    from fucina.models.ensemble import Ensemble
    from fucina.models.marker import Marker

    if isinstance(model, Ensemble):
        prompts = [row.prompt for row in rows]
        return model.predict(prompts, threads=threads, progress=progress)
    if isinstance(model, Marker):
        return model.predict(rows, threads=threads, progress=progress)
    model.pace.tell = say
    # The true answer is not known; it only stands for where the model begins to write.
    return model.predict(rows, threads=threads, foretell=False, progress=progress)


class OpenRuns:
    """Remembers runs over one base that are open at once: the base is in memory once.

    Args:
        folders: Name to run folder.
        models: Name to model.
        threads: Where answers are computed.

    Attributes:
        folders: Name to run folder.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        models: "Mapping[str, Model]",
        threads: ThreadPoolExecutor,
    ) -> None:
        self.folders = dict(folders)
        self._models, self._threads = dict(models), threads

    @property
    def names(self) -> tuple[str, ...]:
        """What the runs are called here."""
        return tuple(self.folders)

    def model(self, name: str) -> "Model":
        """The model of a run: one that labels, one that marks, or one that writes.

        Raises:
            RunError: No such run is open.
        """
        if name not in self._models:
            raise RunError(f"no run {name!r} is open.", fix=nearest(name, self.names))
        return self._models[name]

    def predict(
        self, name: str, asked: Sequence[str | Example], *, progress: Progress = silent
    ) -> Predictions | Texts | Spans:
        """Answer texts, or rows, with the run of a name.

        Raises:
            RunError: No such run is open.
            DataError: A text alone is no row of its task.
        """
        model, rows = self.model(name), asking.as_rows(self.folders[name], asked)
        return answer(model, rows, threads=self._threads, progress=progress)


@contextmanager
def open_runs(runs: Sequence[Path]) -> Iterator[OpenRuns]:
    """Open several runs over one base, whose weights are then in memory once.

    They are called like their recipes; where two are called alike, with their time behind it.

    Args:
        runs: Run folders, or folders of a recipe's name; one given twice is opened once.

    Raises:
        RunError: A run is not complete, or they have different bases.
    """
    from fucina.models import threads

    found = dict(_complete(Path(folder)) for folder in runs)
    names = [recipe.name for recipe in found.values()]
    folders = {
        recipe.name if names.count(recipe.name) == 1 else f"{recipe.name}/{folder.name}": folder
        for folder, recipe in found.items()
    }
    _require_one_base({name: (folder, found[folder]) for name, folder in folders.items()})
    with threads.start() as pool:
        bases, models = Bases(), {}
        for name, folder in folders.items():
            recipe = found[folder]
            own = bases.get(folder, recipe)
            models[name] = load_as(folder, recipe, threads.count(pool), base=own)
        yield OpenRuns(folders, models, pool)


class Bases:
    """Remembers bases that are loaded: the weights of runs that can share them are there once."""

    def __init__(self) -> None:
        self._loaded: list[tuple[dict[str, object], Base]] = []

    def get(self, folder: Path, recipe: "Recipe") -> "Base":
        """The base of a run, as its recipe reads with it.

        Raises:
            ModelError: It cannot be had.
        """
        wanted = _needs(folder, recipe)
        base = next((base for needs, base in self._loaded if needs == wanted), None)
        if base is None:
            base = _load_base(folder, _plainly(recipe))
            self._loaded.append((wanted, base))
        return _as_asked(base, recipe.model)


def _needs(folder: Path, recipe: "Recipe") -> dict[str, object]:
    """What the bases of two runs must have in common to be one."""
    from fucina.models import source

    model = recipe.model
    return {
        "model.base": source.locate(model.base),
        "model.quantize": model.quantize,
        "model.look_ahead": model.look_ahead,
        "precision": _precision(folder),
        "its head": "words" if learnt_as(recipe) == "text" else "classes",
    }


def _require_one_base(runs: "Mapping[str, tuple[Path, Recipe]]") -> None:
    (first, known), *others = ((name, _needs(*pair)) for name, pair in runs.items())
    for name, own in others:
        differ = [f"{key} is {known[key]} and {own[key]}" for key in own if own[key] != known[key]]
        if differ:
            raise RunError(
                f"{first} and {name} do not share a base: {', '.join(differ)}.",
                fix="Open runs over one base together, and others by themselves.",
            )


def _plainly(recipe: "Recipe") -> "Recipe":
    """A recipe whose base is loaded as it is, so that every run can take of it what it wants."""
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"pooling": "auto"})})


def _as_asked(base: "Base", config: "ModelConfig") -> "Base":
    """The same weights as another recipe reads with them."""
    return replace(
        base,
        name=config.base,
        pooling=base.pooling if config.pooling == "auto" else config.pooling,
        max_length_tokens=min(config.max_length_tokens, base.positions),
    )
