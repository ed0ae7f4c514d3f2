"""One member that learns what all members of a run answer together."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import run
from fucina.errors import RecipeError
from fucina.flow import forge
from fucina.learnt import learnt_already
from fucina.models import threads
from fucina.opening import answer, load_model
from fucina.records import Example, Fold, Predictions, Progress, Spans, Split, Texts
from fucina.tasks.settings import learnt_as
from fucina.using import test_set

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["distilled"]


def distilled(folder: Path, *, progress: Progress, say: Callable[[str], None]) -> Path:
    """A run with one member that learnt from the answers of all members of another.

    Labels are learnt by the probabilities that the members give together (arXiv:1503.02531), words
    and spans by their answers (sequence-level distillation, arXiv:1606.07947). The rows that the
    first member held out say when to stop, by their true answers; the test rows stay what they
    were, so that the report of the new run tells what it costs.

    Args:
        folder: The run, with folds.
        progress: Shows steps.
        say: Shows messages.

    Returns:
        The run, in the folder `distilled` of the other; one that is there already is taken.

    Raises:
        RecipeError: The run has one member.
    """
    recipe = run.read_recipe(folder)
    if recipe.folds.count < 2:
        raise RecipeError(
            f"{recipe.name} has one member: there is nothing to distil.",
            fix="Leave out members, or train with folds.count=5.",
        )
    rows, folds = run.read_rows(folder / "development.parquet")
    held = tuple(row for row, fold in enumerate(folds) if fold == min(folds))
    taught = _taught(folder, recipe, rows.examples, progress, say)
    train = tuple(number for number in range(len(rows)) if number not in set(held))
    learnt = list(taught)
    for number in () if taught[0].odds else held:  # where there are odds, true labels stay
        learnt[number] = rows.examples[number]
    labels = tuple(run.read_json(folder / "data.json")["labels"])
    split = Split(
        replace(rows, examples=tuple(learnt)), test_set(folder), (Fold(train, held),), labels
    )
    alone, root = _alone(folder, recipe)
    known = learnt_already(alone, split)
    if known is not None:
        say(f"distilled already: {known}")
        return known
    say(f"distilling {recipe.folds.count} members into one: {len(train)} rows")
    return Path(forge(alone, root, split, findings=(), progress=progress, say=say).folder)


def _taught(
    folder: Path, recipe: "Recipe", rows: Sequence[Example], progress: Progress,
    say: Callable[[str], None],
) -> list[Example]:  # fmt: skip
    """The rows with what the members say of them."""
    with threads.start() as pool:
        _, model = load_model(folder, workers=threads.count(pool))
        found: Any = answer(model, rows, threads=pool, progress=progress, say=say)
    if isinstance(found, Predictions) and learnt_as(recipe) == "label":
        pairs = zip(rows, found.probabilities.tolist(), strict=True)
        return [replace(row, odds=tuple(odds)) for row, odds in pairs]
    return [_with(row, own, found) for row, own in zip(rows, found.answers, strict=True)]


def _with(row: Example, own: Any, found: Predictions | Spans | Texts) -> Example:
    """A row with another answer."""
    if isinstance(found, Spans):
        return replace(row, spans=tuple(own))
    if not row.messages:
        return replace(row, target=own)
    *before, last = row.messages
    return replace(row, target=own, messages=(*before, replace(last, content=own)))


def _alone(folder: Path, recipe: "Recipe") -> "tuple[Recipe, Path]":
    """The recipe for one member, judged by the test rows alone; and where its paths begin."""
    template = recipe.chat.template
    if template not in {"auto", "chatml"}:
        template = str(run.template_of(folder).resolve())
    changes = {
        "output": str(folder / "distilled"),
        "folds": recipe.folds.model_copy(update={"count": 0}),
        "evaluation": recipe.evaluation.model_copy(
            update={"baselines": (), "rules": None, "must_fix": None, "goals": {}}
        ),
        "chat": recipe.chat.model_copy(
            update={"template": template, "constitution": None, "others": None}
        ),
    }
    root = Path(run.read_json(folder / "environment.json").get("root", "."))
    return recipe.model_copy(update=changes), root
