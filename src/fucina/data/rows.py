"""Readers: each gives the rows of one kind of file with the number of their first line."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fucina.data.text import lines, require_file
from fucina.errors import DataError, MissingExtraError

__all__ = ["SUFFIXES", "delimited", "json_array", "json_lines", "parquet", "read_as"]

SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".json": "json", ".parquet": "parquet", ".conll": "conll", ".bio": "conll", ".iob": "conll",
}  # fmt: skip

Row = tuple[int, dict[str, Any]]


def read_as(path: Path, encoding: str, container: str | None = None) -> Iterator[Row]:
    """Rows of a file by the kind it is, or by its suffix.

    Args:
        path: The file.
        encoding: Of text files.
        container: One of csv, tsv, jsonl, json, parquet; None to go by the suffix.

    Raises:
        DataError: The suffix says nothing, or the file cannot be read.
    """
    kind = container or SUFFIXES.get(path.suffix.lower())
    if kind is None:
        if path.is_dir():
            raise DataError(f"{path} is a folder.", fix="Name the file in it.")
        raise DataError(
            f"{path}: unknown suffix {path.suffix.lower()!r}.",
            fix=f"Use one of {', '.join(SUFFIXES)}, or set data.format.",
        )
    if kind in {"csv", "tsv"}:
        return delimited(path, encoding, tab=kind == "tsv")
    if kind == "parquet":
        return parquet(path)
    return (json_lines if kind == "jsonl" else json_array)(path, encoding)


def delimited(path: Path, encoding: str, *, tab: bool = False) -> Iterator[Row]:
    """Rows of a CSV or TSV file; the delimiter of a CSV is the commonest of , ; tab in its header.

    Raises:
        DataError: A row has more or fewer fields than the header, or a quote is never closed.
    """
    csv.field_size_limit(2**31 - 1)  # too long lines are caught before
    source = lines(path, encoding)
    first = next(source, "")
    delimiter = "\t" if tab else max(",;\t", key=first.count)

    def again() -> Iterator[str]:
        yield first
        yield from source

    reader = csv.reader(again(), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        if len(set(header)) < len(header):
            twice = sorted({name for name in header if header.count(name) > 1})
            raise DataError(
                f"{path}: two columns are called {twice[0]!r}.", fix="Give each its own name."
            )
        begin = reader.line_num + 1
        for fields in reader:
            if fields:
                if len(fields) != len(header):
                    raise DataError(
                        f"{path}, line {begin}: {len(fields)} fields where the header has "
                        f"{len(header)}.",
                        fix=f"Put text that holds {delimiter!r} or line ends in double quotes.",
                    )
                yield begin, dict(zip(header, fields, strict=True))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {error}.",
            fix='Close the quotes; a quote inside quotes is written twice: "".',
        ) from error


def json_lines(path: Path, encoding: str) -> Iterator[Row]:
    """Objects of a JSON Lines file; blank lines are skipped.

    Raises:
        DataError: A line is not JSON, or not an object.
    """
    for number, line in enumerate(lines(path, encoding), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}, line {number}, column {error.colno}: not JSON ({error.msg.lower()}).",
                fix="Write one JSON object a line.",
            ) from error
        yield number, _object(row, f"{path}, line {number}")


def json_array(path: Path, encoding: str) -> Iterator[Row]:
    """Objects of a JSON file that is one array; the number is the object's place in it."""
    text = "".join(lines(path, encoding))
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object a line, with the wrong suffix
            yield from json_lines(path, encoding)
            return
        raise DataError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg.lower()}).",
            fix="Write an array of objects, or one object a line in a .jsonl file.",
        ) from error
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list):
        raise DataError(f"{path} is not an array of objects.", fix="Write [{...}, {...}].")
    for number, row in enumerate(rows, start=1):
        yield number, _object(row, f"{path}, item {number}")


def parquet(path: Path) -> Iterator[Row]:
    """Rows of a Parquet file, counted from 1."""
    require_file(path)
    try:
        import pyarrow
        from pyarrow import parquet as files
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="train") from error
    try:
        table = files.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}.",
            fix="Write it again, or give CSV or JSONL.",
        ) from error
    yield from enumerate(table.to_pylist(), start=1)


def _object(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: {type(row).__name__} where an object was expected.",
            fix='Write objects such as {"text": "…", "label": "…"}.',
        )
    return row
