"""Read a file into examples: find the format, the columns, and every row that is unusable."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from fucina.data import rows as readers
from fucina.data.conll import read_conll, tagged
from fucina.data.conversations import (
    TURNS,
    detect,
    from_alpaca,
    last_pair,
    thoughts,
    tools_of,
    turns,
)
from fucina.errors import DataError, nearest
from fucina.records import Dataset, Example, Finding, Progress, silent
from fucina.tasks import Task, as_text

__all__ = ["load"]

SYNONYMS = {
    "text": ("utterance", "sentence", "prompt", "input", "query", "testo", "frase"),
    "label": ("intent", "category", "class", "target", "etichetta", "classe", "categoria"),
    "prompt": ("instruction", "query", "question", "input", "user", "domanda"),
    "answer": ("completion", "response", "output", "reply", "assistant", "risposta"),
    "question": ("domanda", "utterance"),
    "sql": ("query", "SQL"),
    "database": ("db_id",),
    "spans": ("entities", "label", "labels", "ner"),
}
MAX_TEXT = 1_000_000  # characters; a "sentence" longer than this is a broken file
REPORT_EVERY = 20_000
LOOKED_AT = 50  # lines that tell a word and its tag from a table

Row = tuple[int, Mapping[str, Any]]


def load(
    path: Path,
    task: Task,
    columns: Mapping[str, str],
    *,
    format: str = "auto",
    encoding: str = "utf-8",
    name: str = "",
    origin: str = "",
    answered: bool = True,
    progress: Progress = silent,
) -> Dataset:
    """Read the rows of a task from a file.

    Args:
        path: CSV, TSV, JSONL, JSON or Parquet; of spans also CoNLL.
        task: Says which fields there are, and reads a row.
        columns: Field → column that holds it, where it is not called like the field.
        format: `auto`, or how the file is written.
        encoding: Of text files.
        name: Of the data set, for messages.
        origin: What rows are called by, with their line; the file's name unless given.
        answered: Rows must have the answer, which is the last of the task's columns.
        progress: Told every 20,000 rows.

    Raises:
        DataError: The file or a row cannot be used; the message has the line and the fix.
    """
    findings: tuple[Finding, ...] = ()
    unread: dict[int, int] = {}
    wanted = task if answered else _asking(task)
    missing = {} if answered else dict.fromkeys(task.columns, "")
    if "spans" in task.columns and _is_conll(path, format, encoding):
        kind, (rows, findings) = "conll", read_conll(path, encoding)
        found: Iterator[Row] = iter(rows)
    else:
        kind, found = _rows(path, format, encoding, task, unread)
    task = task.at(path.parent)
    examples: list[Example] = []
    bad: dict[str, list[int]] = {}
    mapping: dict[str, str] | None = None
    for number, row in found:
        if mapping is None:
            mapping = _map(path, row, wanted, columns, kind)
        fields = {field: row.get(column, "") for field, column in mapping.items()}
        for field, value in fields.items():
            # Of rows that answer otherwise the checks say which part is empty, all rows at once.
            if field in wanted.columns and task.answer == "label" and not as_text(value).strip():
                bad.setdefault(field, []).append(number)
            if isinstance(value, str) and len(value) > MAX_TEXT:
                raise DataError(
                    f"{path}, line {number}: a text of {len(value):,} characters.",
                    fix="Split it; is a quote missing before it?",
                )
        place = f"{origin or path.name}:{number}"
        try:
            examples.append(task.read({**missing, **fields}, place))
        except DataError as error:
            raise DataError(f"{path}, line {number}: {error.problem}", fix=error.fix) from error
        if len(examples) % REPORT_EVERY == 0:
            progress(f"reading {path.name}", len(examples), 0)
    if not examples:
        raise DataError(f"{path} has no rows.", fix="Give a file with rows to learn from.")
    for field, numbers in bad.items():
        shown = ", ".join(map(str, numbers[:5]))
        raise DataError(
            f"{path}: {len(numbers)} row(s) have no {field} (line {shown}).",
            fix="Fill them in or delete these rows.",
        )
    read = {field: column for field, column in (mapping or {}).items() if kind == "columns"}
    if unread:
        findings += (_thoughts(unread, origin or path.name),)
    return Dataset(name or path.name, tuple(examples), read, kind, findings)


def _is_conll(path: Path, form: str, encoding: str) -> bool:
    """Whether a file has a word and its tag a line; many are called .tsv or .txt."""
    if form != "auto" or path.suffix.lower() not in {".tsv", ".tab", ".txt"}:
        return form == "conll" or (
            form == "auto" and readers.SUFFIXES.get(path.suffix.lower()) == "conll"
        )
    return any(map(tagged, islice(readers.lines(path, encoding), LOOKED_AT)))


def _asking(task: Task) -> Task:
    """The task where answers may be missing."""
    *asked, answer = task.columns
    columns = {field: task.columns[field] for field in asked}
    return replace(task, columns=columns, optional={**task.optional, answer: task.columns[answer]})


def _thoughts(unread: Mapping[int, int], origin: str) -> Finding:
    return Finding(
        "thoughts",
        "note",
        f"{sum(unread.values()):,} turns of {len(unread):,} rows hold thoughts (reasoning), which "
        "are left out: the model learns to answer at once.",
        "To teach them, write them into the content of the turn.",
        tuple(f"{origin}:{number}" for number in unread),
    )


def _rows(
    path: Path, form: str, encoding: str, task: Task, unread: dict[int, int]
) -> tuple[str, Iterator[Row]]:
    """The rows of a file; of a chat file as the task wants them, and what of them is not read."""
    suffix = path.suffix.lower()
    if "conll" in (form, readers.SUFFIXES.get(suffix)):
        raise DataError(
            f"{path} has a word and its tag a line.", fix="Use it for a task that marks spans."
        )
    container = None if form in {"auto", "messages", "sharegpt", "alpaca"} else form
    found: Iterable[Row] = readers.read_as(path, encoding, container)
    found = iter(found)
    first = next(found, None)
    if first is None:
        return "columns", iter(())
    kind = detect(first[1]) if form == "auto" else form
    found = chain([first], found)
    if kind == "alpaca":
        own = {"prompt": task.asked, "answer": task.answered}
        return kind, (
            (n, {own.get(name, name): text for name, text in row.items()})
            for n, row in from_alpaca(found)
        )
    if kind in TURNS:
        return kind, _spoken(path, found, TURNS[kind], task, unread)
    return "columns", found


def _spoken(
    path: Path, found: Iterable[Row], key: str, task: Task, unread: dict[int, int]
) -> Iterator[Row]:
    for number, row in found:
        if count := thoughts(row, key):
            unread[number] = count
        yield number, _said(row, key, f"{path}, line {number}", task)


def _said(row: Mapping[str, Any], key: str, where: str, task: Task) -> dict[str, Any]:
    """A conversation as its turns or as question and answer, with the other columns of its row."""
    said = turns(row, key, where)
    rest = {name: value for name, value in row.items() if name not in {key, "tools", "system"}}
    if task.conversations:
        return rest | {"messages": said, "tools": tools_of(row, where)}
    return rest | dict(zip((task.asked, task.answered), last_pair(said, where), strict=True))


def _map(
    path: Path, row: Mapping[str, Any], task: Task, columns: Mapping[str, str], kind: str
) -> dict[str, str]:
    """Find the column of each field, by its name or a usual synonym of it."""
    if kind in TURNS and task.conversations:
        more = {field: columns.get(field, field) for field in task.optional}
        mixed = bool(task.choices.parts)  # rows of several parts have different fields
        own = {field: column for field, column in more.items() if column in row or mixed}
        return {"messages": "messages", "tools": "tools"} | own | _group(row, columns)
    mapping: dict[str, str] = {}
    for field in (*task.columns, *task.optional):
        column = columns.get(field, field) if kind == "columns" else field
        known = [name for name in SYNONYMS.get(field, ()) if name in row]
        # Spider's files have a query as text, and under our name its parts as an object.
        parsed = column == field and known and isinstance(row.get(column), Mapping)
        if (column in row and not parsed) or (task.choices.parts and field in task.optional):
            mapping[field] = column
            continue
        if column == field and len(known) == 1:
            mapping[field] = known[0]
        elif field in task.columns or column != field:
            raise DataError(
                f"{path}: no column {column!r}; it has {', '.join(map(str, row))}.",
                fix=f"Set {_setting(field)} to the column that holds it; "
                f"{nearest(column, map(str, row))}",
            )
    return mapping | _group(row, columns, path)


def _group(
    row: Mapping[str, Any], columns: Mapping[str, str], path: Path | None = None
) -> dict[str, str]:
    """The column of groups, where one is asked for."""
    column = columns.get("group")
    if column is None:
        return {}
    if column not in row and path is not None:
        raise DataError(
            f"{path}: no column {column!r}; it has {', '.join(map(str, row))}.",
            fix=f"Set data.group: to the column that holds it; {nearest(column, map(str, row))}",
        )
    return {"group": column} if column in row else {}


def _setting(field: str) -> str:
    return f"data.{field}:" if field in {"text", "label"} else f"data.columns.{field}:"
