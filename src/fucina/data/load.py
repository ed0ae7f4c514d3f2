"""Read a file into examples: find the format, the columns, and every row that is unusable."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from fucina.data import rows as readers
from fucina.data.conversations import detect, from_alpaca, from_turns
from fucina.errors import DataError, nearest
from fucina.records import Dataset, Example, Progress, silent

__all__ = ["load"]

SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".json": "json", ".parquet": "parquet",
}  # fmt: skip
SYNONYMS = {
    "text": ("utterance", "sentence", "prompt", "input", "query", "testo", "frase"),
    "label": ("intent", "category", "class", "target", "etichetta", "classe", "categoria"),
}
MAX_TEXT = 1_000_000  # characters; a "sentence" longer than this is a broken file
REPORT_EVERY = 20_000

Row = tuple[int, Mapping[str, Any]]


def load(
    path: Path,
    columns: Mapping[str, str],
    *,
    to_example: Callable[[Mapping[str, str]], Example],
    format: str = "auto",
    encoding: str = "utf-8",
    name: str = "",
    origin: str = "",
    progress: Progress = silent,
) -> Dataset:
    """Read a labelled file.

    Args:
        path: CSV, TSV, JSONL, JSON or Parquet.
        columns: Field that the task wants → column that holds it.
        to_example: The task's reading of a row.
        format: `auto`, or how the file is written.
        encoding: Of text files.
        name: Of the data set, for messages.
        origin: What rows are called by, with their line; the file's name unless given.
        progress: Told every 20,000 rows.

    Raises:
        DataError: The file or a row cannot be used; the message has the line and the fix.
    """
    kind, found = _rows(path, format, encoding)
    examples: list[Example] = []
    bad: dict[str, list[int]] = {}
    mapping: dict[str, str] | None = None
    for number, row in found:
        if mapping is None:
            mapping = dict.fromkeys(columns, "") if kind != "columns" else _map(path, row, columns)
            if kind != "columns":
                mapping = {field: field for field in columns if field in row}
        fields: dict[str, str] = {}
        for field, column in mapping.items():
            value = row.get(column)
            if value is None or not str(value).strip():
                bad.setdefault(field, []).append(number)
            fields[field] = "" if value is None else _text(value)
        if len(fields.get("text", "")) > MAX_TEXT:
            raise DataError(
                f"{path}, line {number}: a text of {len(fields['text']):,} characters.",
                fix="Split it; is a quote missing before it?",
            )
        examples.append(replace(to_example(fields), origin=f"{origin or path.name}:{number}"))
        if len(examples) % REPORT_EVERY == 0:
            progress(f"reading {path.name}", len(examples), 0)
    if not examples:
        raise DataError(f"{path} has no rows.", fix="Give a file with labelled rows.")
    for field, numbers in bad.items():
        if field == "group":
            continue  # a row without a group is its own group
        shown = ", ".join(map(str, numbers[:5]))
        raise DataError(
            f"{path}: {len(numbers)} row(s) have no {field} (line {shown}).",
            fix="Fill them in or delete these rows.",
        )
    read = {field: column for field, column in (mapping or {}).items() if kind == "columns"}
    return Dataset(name or path.name, tuple(examples), read)


def _text(value: Any) -> str:
    """Text as it is; a whole number that Parquet or JSON gave as a float loses its .0."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _rows(path: Path, form: str, encoding: str) -> tuple[str, Iterator[Row]]:
    """The rows of a file, conversations already turned into text and label."""
    suffix = path.suffix.lower()
    container = SUFFIXES.get(suffix) if form in {"auto", "messages", "sharegpt", "alpaca"} else form
    if container is None:
        if path.is_dir():
            raise DataError(f"{path} is a folder.", fix="Name the file in it.")
        raise DataError(
            f"{path}: unknown suffix {suffix!r}.",
            fix=f"Use one of {', '.join(SUFFIXES)}, or set data.format.",
        )
    found: Iterable[Row]
    if container in {"csv", "tsv"}:
        found = readers.delimited(path, encoding, tab=container == "tsv")
    elif container == "jsonl":
        found = readers.json_lines(path, encoding)
    elif container == "json":
        found = readers.json_array(path, encoding)
    else:
        found = readers.parquet(path)
    found = iter(found)
    first = next(found, None)
    if first is None:
        return "columns", iter(())
    kind = detect(first[1]) if form == "auto" else form
    found = chain([first], found)
    if kind == "alpaca":
        return kind, iter(from_alpaca(found))
    if kind in {"messages", "sharegpt"}:
        key = "messages" if kind == "messages" else "conversations"
        return kind, ((n, from_turns(row, key, f"{path}, line {n}")) for n, row in found)
    return "columns", found


def _map(path: Path, row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    """Find the column of each field, by its name or a usual synonym of it."""
    mapping: dict[str, str] = {}
    for field, column in columns.items():
        if column in row:
            mapping[field] = column
            continue
        known = [name for name in SYNONYMS.get(field, ()) if name in row]
        if column == field and len(known) == 1:
            mapping[field] = known[0]
            continue
        raise DataError(
            f"{path}: no column {column!r}; it has {', '.join(map(str, row))}.",
            fix=f"Set data.{field}: to the column that holds it; {nearest(column, map(str, row))}",
        )
    return mapping
