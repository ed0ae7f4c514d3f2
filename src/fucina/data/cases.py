"""Read cases that a model which writes must get right: what is asked, and what must be answered."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fucina.data.rows import read_as
from fucina.errors import DataError
from fucina.records import Case
from fucina.tasks import Task

__all__ = ["load_cases"]


def load_cases(path: Path, task: Task, columns: Mapping[str, str], *, encoding: str) -> list[Case]:
    """Read a file of cases.

    A row has what the task's rows have, or `prompt` for what goes in; and the exact `answer`, or
    regular expressions: all of `must` match the answer, none of `must_not`.

    Args:
        path: CSV, TSV, JSONL, JSON or Parquet.
        task: Reads a row.
        columns: Field of the task to column, where it is not called like the field.
        encoding: Of text files.

    Raises:
        DataError: A case asks nothing or demands nothing, or an expression is none; with the line.
    """
    found, task = [], task.at(path.parent)
    for number, row in read_as(path, encoding):
        where = f"{path}, line {number}"
        musts = {key: _expressions(row.get(key), key, where) for key in ("must", "must_not")}
        fields = {
            name: row.get(columns.get(name, name)) for name in (*task.columns, *task.optional)
        }
        fields[task.asked] = fields[task.asked] or row.get("prompt")
        fields[task.answered] = fields[task.answered] or row.get("answer")
        if not str(fields[task.asked] or "").strip():
            raise DataError(f"{where}: nothing is asked.", fix=f"Fill in prompt, or {task.asked}.")
        if not any([*musts.values(), fields[task.answered]]):
            raise DataError(
                f"{where}: nothing is demanded of the answer.", fix="Give must, must_not or answer."
            )
        found.append(Case(task.read(fields, f"{path.name}:{number}"), **musts))
    if not found:
        raise DataError(f"{path} has no rows.", fix="Give at least one case.")
    return found


def _expressions(given: Any, key: str, where: str) -> tuple[str, ...]:
    """One expression, or a list of them."""
    listed = tuple(given) if isinstance(given, list | tuple) else (given,) if given else ()
    for pattern in listed:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise DataError(
                f"{where}: {pattern!r} is no regular expression ({key}): {error}.",
                fix="Mend it; a backslash before a sign takes the sign as it is.",
            ) from error
    return listed
