"""The review file: what a model wrote, one JSON line a row, for a person to read and edit."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fucina import run
from fucina.errors import DataError, nearest
from fucina.records import Example
from fucina.tasks import Task, as_text

__all__ = ["STATUSES", "Reviewed", "append", "example", "kinds", "read", "write"]

STATUSES = ("waiting", "accepted", "refused")
EDIT = "Mend that line, or delete it."
ABOUT = ("why", "origin", "group", "asked")  # what a line says of its row, all of it text


@dataclass(frozen=True)
class Reviewed:
    """A row that a model wrote.

    Attributes:
        status: `waiting` for a person, `accepted` into train, or `refused`.
        fields: The row by column of the task; a person may edit it.
        why: The reason it was refused for.
        origin: `synthetic:<model>:<name or number of the prompt>`.
        group: Rows of one group never stand on both sides of a split.
        asked: Fingerprint of what was asked, so that a prompt may change its place.
    """

    status: str
    fields: Mapping[str, Any]
    why: str = ""
    origin: str = ""
    group: str = ""
    asked: str = ""


def example(row: Reviewed, task: Task) -> Example:
    """The row as an example; spans that were given in words have their places.

    Raises:
        DataError: The task cannot use it.
    """
    found = replace(task.read(row.fields, row.origin), group=row.group)
    if not task.marks:
        return found
    return replace(found, fields={**row.fields, task.answered: [asdict(s) for s in found.spans]})


def kinds(row: Example, task: Task) -> set[str]:
    """The label of a row, or the types of what is marked in it; no other rows have any."""
    if task.marks:
        return {span.label for span in row.spans}
    return {row.target} if task.answer == "label" else set()


def read(path: Path, task: Task, labels: Collection[str] = ()) -> list[Reviewed]:
    """All rows of a review file; none where there is no file.

    A last line that a kill left torn is dropped.

    Args:
        path: The file.
        task: Says which columns there are.
        labels: What rows that are not refused may have as label or type; empty for any.

    Raises:
        DataError: A line is broken, or says what cannot be; the message has its number.
    """
    if not path.exists():
        return []
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.", fix="Save it as UTF-8.") from error
    # Not splitlines: a text may hold signs that it takes for line ends, such as U+2028.
    lines = content.split("\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise DataError(
                f"{path}, line {number}, column {error.colno}: not JSON ({error.msg.lower()}).",
                fix=EDIT,
            ) from error
        where = f"{path}, line {number}"
        rows.append(_reviewed(row, task, where))
        if rows[-1].status != "refused":
            _usable(rows[-1], task, labels, where)
    return rows


def append(path: Path, rows: Sequence[Reviewed]) -> None:
    """Add rows that are safe on disk when this returns."""
    run.append_lines(path, [_line(row) for row in rows])


def write(path: Path, rows: Sequence[Reviewed]) -> None:
    """Write the file anew, whole or not at all."""
    run.write_text(path, "".join(f"{_line(row)}\n" for row in rows))


def _line(row: Reviewed) -> str:
    about = {name: getattr(row, name) for name in ABOUT}
    return json.dumps({"status": row.status, **row.fields, **about}, ensure_ascii=False)


def _reviewed(row: Any, task: Task, where: str) -> Reviewed:
    if not isinstance(row, dict):
        raise DataError(f"{where}: {type(row).__name__} where an object was expected.", fix=EDIT)
    about = {name: row.get(name, "") for name in ("status", *ABOUT)}
    fields = {name: row.get(name, "") for name in task.columns}
    fields |= {name: row[name] for name in task.optional if name in row}
    for name, value in {**about, **(fields if task.answer == "label" else {})}.items():
        if not isinstance(value, str):
            raise DataError(f"{where}: {name} is {value!r}, not text.", fix=EDIT)
    if about["status"] not in STATUSES:
        raise DataError(
            f"{where}: status is {about['status']!r}.",
            fix=f"Set it: {nearest(about['status'], STATUSES)}",
        )
    return Reviewed(about.pop("status"), fields, **about)


def _usable(row: Reviewed, task: Task, labels: Collection[str], where: str) -> None:
    """Stop at a row that cannot be learnt from.

    Raises:
        DataError: A column is empty, the task cannot use it, or there is no such label.
    """
    for name in task.columns:
        if not str(as_text(row.fields[name])).strip():
            raise DataError(f"{where}: no {name}.", fix='Fill it in, or set "status": "refused".')
    try:
        own = kinds(example(row, task), task)
    except DataError as error:
        raise DataError(f"{where}: {error.problem}", fix=error.fix) from error
    for name in sorted(own.difference(labels)) if labels else ():
        what = "type" if task.marks else "label"
        raise DataError(
            f"{where}: no row of train has the {what} {name!r}.",
            fix=f"Mend it; {nearest(name, labels)}",
        )
