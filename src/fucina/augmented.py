"""Vary the base cases of a recipe, and write them with the rows of train into a new file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import data, prepare, reading, tasks
from fucina.errors import RecipeError, nearest
from fucina.records import Progress, silent
from fucina.training_file import refuse_existing, write_training_file

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["augment"]


def augment(
    recipe: "Recipe",
    root: Path,
    out: Path,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
) -> prepare.Augmentation:
    """Write train and the variations of its base cases to a new file.

    Args:
        recipe: With a section `augment`.
        root: The folder that paths in the recipe are relative to.
        out: Must not exist yet.
        progress: Shows steps.
        say: Shows messages.

    Raises:
        RecipeError: There is no such section, or a case of it cannot be used.
        DataError: A file cannot be read, or `out` exists.
    """
    config = recipe.augment
    if config is None:
        raise RecipeError(
            "the recipe has no section augment.",
            fix="Write augment: with slots: and cases:, or surface: (docs/how-to/augment.md).",
        )
    refuse_existing(out)
    task = tasks.of(recipe).at((root / recipe.data.train).parent)
    cases = [
        _case(row, task, f"augment.cases.{number}")
        for number, row in enumerate(config.cases, start=1)
    ]
    if config.cases_file is not None:
        # Cases may be written in another format than train.
        free = recipe.model_copy(update={"data": recipe.data.model_copy(update={"format": "auto"})})
        written = reading.read_file(
            free, root / config.cases_file, name="cases", answered=not task.marks, progress=progress
        )  # slots mark by their names
        beside = (root / recipe.data.train).parent
        cases += [prepare.Case(one.fields_at(beside), one.origin) for one in written.examples]
    subject = reading.read_subject(recipe, root, progress=progress)
    if subject.test is None:
        say(
            "note: without a data.test file a share of all rows is the test, variations among "
            "them; a test file of real rows says more."
        )
    near = data.HeldOut(subject).find
    found = prepare.augment(subject.train, cases, config, task, near=near, seed=recipe.seed)
    write_training_file(found.rows, out, recipe.data)
    return found


def _case(row: Mapping[str, Any], task: tasks.Task, where: str) -> prepare.Case:
    """A case of the recipe, all columns of the task in it and no other."""
    fields = (*task.columns, *task.optional)
    for name in row:
        if name not in fields:
            fix = "whole conversations stand in augment.cases_file" if name == "messages" else ""
            raise RecipeError(
                f"{where}: {task.name} has no {name!r}.", fix=fix or nearest(name, fields)
            )
    for name in list(task.columns)[:-1] if task.marks else task.columns:
        if not str(tasks.as_text(row.get(name))).strip():
            raise RecipeError(
                f"{where}: no {name}.", fix=f"Write it: {name} is {task.columns[name]}."
            )
    return prepare.Case(row, where)
