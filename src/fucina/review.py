"""The review file: what a model wrote, one JSON line a text, for a person to read and edit."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fucina import run
from fucina.errors import DataError, nearest

__all__ = ["STATUSES", "Reviewed", "append", "read", "write"]

STATUSES = ("waiting", "accepted", "refused")
EDIT = "Mend that line, or delete it."


@dataclass(frozen=True)
class Reviewed:
    """A text that a model wrote.

    Attributes:
        status: `waiting` for a person, `accepted` into train, or `refused`.
        text: What it wrote; a person may edit it.
        label: The label it was asked for; a person may edit it.
        why: The reason it was refused for.
        origin: `synthetic:<model>:<number of the prompt>`.
        group: Texts of one group never stand on both sides of a split.
        asked: Fingerprint of label and prompt, so that a prompt may change its place.
    """

    status: str
    text: str
    label: str
    why: str = ""
    origin: str = ""
    group: str = ""
    asked: str = ""


def read(path: Path, labels: Collection[str] = ()) -> list[Reviewed]:
    """All rows of a review file; none where there is no file.

    A last line that a kill left torn is dropped.

    Args:
        path: The file.
        labels: What rows that are not refused may have as label; empty for any.

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
        rows.append(_reviewed(row, where))
        if labels and rows[-1].status != "refused" and rows[-1].label not in labels:
            raise DataError(
                f"{where}: no row of train has the label {rows[-1].label!r}.",
                fix=f"Mend it; {nearest(rows[-1].label, labels)}",
            )
    return rows


def append(path: Path, rows: Sequence[Reviewed]) -> None:
    """Add rows that are safe on disk when this returns."""
    run.append_lines(path, [_line(row) for row in rows])


def write(path: Path, rows: Sequence[Reviewed]) -> None:
    """Write the file anew, whole or not at all."""
    run.write_text(path, "".join(f"{_line(row)}\n" for row in rows))


def _line(row: Reviewed) -> str:
    return json.dumps(asdict(row), ensure_ascii=False)


def _reviewed(row: Any, where: str) -> Reviewed:
    if not isinstance(row, dict):
        raise DataError(f"{where}: {type(row).__name__} where an object was expected.", fix=EDIT)
    given = {field.name: row.get(field.name, "") for field in fields(Reviewed)}
    for name, value in given.items():
        if not isinstance(value, str):
            raise DataError(f"{where}: {name} is {value!r}, not text.", fix=EDIT)
        if name in {"text", "label"} and not value.strip():
            raise DataError(
                f"{where}: no {name}.", fix='Fill it in, or set "status": "refused" with a text.'
            )
    if given["status"] not in STATUSES:
        raise DataError(
            f"{where}: status is {given['status']!r}.",
            fix=f"Set it: {nearest(given['status'], STATUSES)}",
        )
    return Reviewed(**given)
