"""What a run is asked: texts, or rows of a file, made into rows of its task."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fucina import reading, run, tasks
from fucina.errors import DataError, nearest
from fucina.records import Example, Progress, silent

__all__ = ["questions", "read_questions"]


def questions(folder: Path, texts: Sequence[str], fields: Mapping[str, str]) -> list[Example]:
    """Rows to be answered, one a text.

    A task may want more than the text, such as a database. What is not given and all training rows
    have in common is taken from there.

    Args:
        folder: Of the run.
        texts: What is asked.
        fields: Other fields of the task to their values, the same for all; paths are relative to
            the working folder.

    Raises:
        DataError: The task has no such field, or lacks one.
    """
    recipe = run.read_recipe(folder)
    task = tasks.of(recipe)
    first, *_ = task.columns
    known = {*task.columns, *task.optional} - {first, list(task.columns)[-1]}
    for name in fields:
        if name not in known:
            raise DataError(f"{task.name} has no field {name!r}.", fix=nearest(name, known))
    learned, _ = run.read_rows(folder / "development.parquet")
    facts = [dict(example.facts) for example in learned.examples]
    if not fields and not any(facts):
        return [Example(text, "") for text in texts]
    shared = facts[0] if all(own == facts[0] for own in facts) and not fields else {}
    row = {**dict.fromkeys(task.columns, ""), **shared, **fields}
    return [task.read({**row, first: text}) for text in texts]


def read_questions(folder: Path, path: Path, *, progress: Progress = silent) -> list[Example]:
    """Rows to be answered from a file of rows; they need no answer.

    Raises:
        DataError: The file or a row cannot be used.
    """
    recipe = run.read_recipe(folder)
    return list(reading.read_file(recipe, path, answered=False, progress=progress).examples)
