"""The verb that weighs prompt, retrieval and fine-tuning on one set of test rows."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fucina import advise, data, persona, reading, run, tasks
from fucina.advised import advised
from fucina.arms import Arms
from fucina.components import Components, read_components, tokens_of
from fucina.config import AdviseConfig, Recipe
from fucina.errors import RecipeError, RunError, nearest
from fucina.library import index_documents, open_library, sources_of
from fucina.lookup import Lookup
from fucina.records import Advice, Progress, Split, silent
from fucina.retrieval import open_embedder
from fucina.ways import Case, require_supported

__all__ = ["advise_recipe"]


def advise_recipe(
    recipe: Recipe,
    root: Path,
    *,
    trained_run: Path | None = None,
    keys: Mapping[str, str] | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
) -> Advice:
    """Try every way of a recipe on its test rows, and say which is worth it.

    The page `advice.html`, all numbers (`advice.json`) and all answers (`answers.jsonl`) go to the
    folder `advice` beside the runs of the recipe.

    Args:
        recipe: What to do; its section `advise` says which ways, models and components.
        root: The folder that paths in the recipe are relative to.
        trained_run: A run of these rows; None for the newest one of this recipe, else it is
            trained now.
        keys: Name of a variable to the key of an endpoint.
        progress: Shows steps.
        say: Shows messages.

    Raises:
        FucinaError: Whatever is wrong with recipe, data, model or an endpoint.
    """
    task, keys = tasks.of(recipe), keys or {}
    require_supported(task)
    config = recipe.advise or AdviseConfig()
    metric = advise.deciding(config.metric, task, recipe)
    split, findings = reading.read(recipe, root, progress=progress)
    recipe = reading.settle(recipe, split.development)
    if task.answer == "text":
        persona.check(recipe, root, keys)
    components = read_components(recipe, config, root)
    folder = Path(recipe.output) / recipe.name / "advice"
    folder.mkdir(parents=True, exist_ok=True)
    with run.hold(folder), _lookup(recipe, config, components, split, keys, progress) as lookup:
        said = _system(recipe, components, split)
        case = Case(
            recipe, task, config, split.test.examples, split.development.examples, split.labels,
            said, components.text({"session"}), lookup, progress, _parts(recipe, root, split),
        )  # fmt: skip
        arms = Arms(case, split, root, folder, keys, say)
        if trained_run is not None:
            arms.take(trained_run)
        arms.try_all(findings)
        advice = advised(
            arms, metric, components, prompt_tokens=tokens_of(recipe, said), folder=folder
        )
        _keep(folder, advice, arms)
    return advice


def _parts(recipe: Recipe, root: Path, split: Split) -> Mapping[str, Sequence[int]]:
    """What the test rows are about, to their places, by the column of `advise.by`."""
    column = recipe.advise.by if recipe.advise is not None else None
    if column is None:
        return {}
    if recipe.data.test is None:
        raise RecipeError(
            "advise.by: test rows are a share of train here.", fix="Give a file in data.test."
        )
    path = root / recipe.data.test
    found: dict[str, list[int]] = {}
    rows = {line: row for line, row in data.rows.read_as(path, recipe.data.encoding)}
    for place, example in enumerate(split.test.examples):
        row = rows[int(example.origin.rpartition(":")[2])]
        if column not in row:
            raise RecipeError(
                f"advise.by: {example.origin} has no {column!r}.", fix=nearest(column, row)
            )
        found.setdefault(str(row[column]), []).append(place)
    return dict(sorted(found.items()))


def _system(recipe: Recipe, components: Components, split: Split) -> str:
    """What a model is told that has not learnt it."""
    own = recipe.chat.system or ""
    stable = components.text({"prompt", "fine_tune"})
    answer = tasks.get(recipe.task).answer
    form = {"label": advise.choosing, "spans": advise.naming}
    told = form[answer](split.labels) if answer in form else ""
    return "\n\n".join(filter(None, (own, stable, told)))


@contextmanager
def _lookup(
    recipe: Recipe,
    config: AdviseConfig,
    components: Components,
    split: Split,
    keys: Mapping[str, str],
    progress: Progress,
) -> Iterator[Lookup]:
    """What looks up documents where components name some, else training rows."""
    known, label = split.development.examples, tasks.get(recipe.task).answer == "label"
    told = {"count": config.shots, "seed": recipe.seed, "label": label}
    if not components.documents:
        key = keys.get(config.index.key_variable, "")
        with open_embedder(config.index, key) as embedder:
            yield Lookup(known, embedder, None, config.search, **told)
        return
    folder = Path(recipe.output) / ".indexes" / recipe.name
    _index(folder, config, components.documents, keys, progress)
    with open_library(folder, keys=keys, rerank=config.search.rerank) as library:
        yield Lookup(known, library.embedder, library, config.search, **told)


def _index(
    folder: Path,
    config: AdviseConfig,
    documents: Sequence[Path],
    keys: Mapping[str, str],
    progress: Progress,
) -> None:
    """Make the index one of these documents and no others, with these settings."""
    settings = config.index.model_dump(mode="json").items()
    words = [f"{name}={json.dumps(value)}" for name, value in settings]
    now = {path.resolve() for path in documents}
    told: dict[str, Any] = {
        "forget": [path for path in sources_of(folder) if path not in now],
        "keys": keys, "progress": progress,
    }  # fmt: skip
    try:
        index_documents(folder, documents, words, **told)
    except RunError:  # another embedder made it: it is only kept to save time
        index_documents(folder, documents, words, anew=True, **told)


def _keep(folder: Path, advice: Advice, arms: Arms) -> None:
    """Write the page, the numbers and the answers."""
    run.write_json(folder / "advice.json", asdict(advice))
    run.write_text(folder / "answers.jsonl", arms.lines())
    run.write_text(folder / "advice.html", advise.page(advice, _examples(arms)))


def _examples(arms: Arms) -> Sequence[Mapping[str, str]]:
    """A few rows with what each arm answered, for people to look at."""
    shown = arms.case.rows[:8]
    return [
        {
            "asked": row.prompt,
            "true answer": row.target,
            **{name: tried.texts.answers[place] for name, tried in arms.tried.items()},
        }
        for place, row in enumerate(shown)
    ]
