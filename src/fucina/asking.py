"""What a run is asked: texts, or rows of a file, made into rows of its task."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fucina import data, reading, run, tasks
from fucina.errors import DataError, nearest
from fucina.records import Example, Progress, silent

__all__ = ["as_rows", "questions", "read_questions", "read_routed"]


def questions(folder: Path, texts: Sequence[str], fields: Mapping[str, str]) -> list[Example]:
    """Rows to be answered, one a text.

    A task may want more than the text, such as a database. What is not given, and all training rows
    with what is given have in common, is taken from there.

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
    alike = [own for own in facts if fields.items() <= own.items()]
    shared = alike[0] if alike and all(own == alike[0] for own in alike) else {}
    row = {**dict.fromkeys(task.columns, ""), **shared, **fields}
    return [task.read({**row, first: text}) for text in texts]


def as_rows(folder: Path, asked: Sequence[str | Example]) -> list[Example]:
    """Rows as they are, and a row for each text among them.

    Raises:
        DataError: A text alone is no row of the task.
    """
    texts = [one for one in asked if isinstance(one, str)]
    made = iter(questions(folder, texts, {}) if texts else ())
    return [next(made) if isinstance(one, str) else one for one in asked]


def read_questions(folder: Path, path: Path, *, progress: Progress = silent) -> list[Example]:
    """Rows to be answered from a file of rows; they need no answer.

    Raises:
        DataError: The file or a row cannot be used.
    """
    recipe = run.read_recipe(folder)
    return list(reading.read_file(recipe, path, answered=False, progress=progress).examples)


def read_routed(folders: Mapping[str, Path], path: Path) -> list[tuple[str, Example]]:
    """Rows of a file with the run that each names in a column `adapter`.

    A row has what the task of its run has, or `prompt` for what is asked.

    Args:
        folders: Name to run folder.
        path: The file; its rows may have different columns.

    Raises:
        DataError: A row names no run, or cannot be used by the one it names.
    """
    recipes = {name: run.read_recipe(folder) for name, folder in folders.items()}
    found = []
    for number, row in data.read_as(path, "utf-8"):
        where, name = f"{path}, line {number}", str(row.get("adapter") or "")
        if name not in recipes:
            raise DataError(
                f"{where}: no run is called {name!r}." if name else f"{where}: no adapter.",
                fix=f"Write in a column adapter which run answers: {', '.join(recipes)}.",
            )
        task, columns = tasks.of(recipes[name]).at(path.parent), recipes[name].data.named
        fields = {
            field: row.get(columns.get(field, field)) or ""
            for field in (*task.columns, *task.optional)
        }
        fields[task.asked] = fields[task.asked] or row.get("prompt") or ""
        if not str(fields[task.asked]).strip():
            raise DataError(f"{where}: nothing is asked.", fix=f"Fill in prompt, or {task.asked}.")
        try:
            found.append((name, task.read(fields, f"{path.name}:{number}")))
        except DataError as error:
            raise DataError(f"{where}: {error.problem}", fix=error.fix) from error
    return found
