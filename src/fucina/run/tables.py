"""Rows and answers of a run as Parquet."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fucina.errors import RunError
from fucina.records import Dataset, Example, Message, Predictions, Ratio, Span, Spans, Split, Texts
from fucina.run.files import write_bytes

__all__ = [
    "read_predictions",
    "read_rows",
    "read_spans",
    "read_texts",
    "write_answers",
    "write_predictions",
    "write_rows",
    "write_texts",
]

COUNTS = ("read", "written")  # of tokens; runs of older versions have none
GAINED, POSSIBLE = "gained:", "possible:"  # before the name of a mark


def write_answers(
    path: Path, answers: Predictions | Texts | Spans, examples: Sequence[Example]
) -> None:
    """Write rows and what a model answered to them, whatever kind of answer that is."""
    if isinstance(answers, Texts):
        write_texts(path, answers, examples)
    elif isinstance(answers, Spans):
        _write_spans(path, answers, examples)
    else:
        write_predictions(path, answers)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write answers as Parquet: prompt, target, answer, and one probability column a label."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "prompt": list(predictions.prompts),
            "target": list(predictions.targets) or [None] * len(predictions.prompts),
            "answer": predictions.answers,
            **{
                f"p:{label}": predictions.probabilities[:, i]
                for i, label in enumerate(predictions.labels)
            },
        }
    )
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        RunError: The file is missing or broken.
    """
    import numpy as np

    table = _parquet(path)
    names = [name for name in table.column_names if name.startswith("p:")]
    return Predictions(
        tuple(name.removeprefix("p:") for name in names),
        np.stack([table[name].to_numpy() for name in names], axis=1),
        tuple(table["target"].to_pylist()),
        tuple(table["prompt"].to_pylist()),
    )


def write_rows(path: Path, split: Split) -> None:
    """Write the development rows: prompt, target, group, origin, and the fold that held them out.

    The fold is counted from 0 and is -1 for rows that every member learned from.
    """
    import pyarrow
    from pyarrow import parquet

    fold = [-1] * len(split.development)
    for number, part in enumerate(split.folds):
        for row in part.held_out:
            fold[row] = number
    columns = _columns(split.development.examples)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({**columns, "fold": fold}), sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def read_rows(path: Path) -> tuple[Dataset, list[int]]:
    """Read what `write_rows` wrote: the rows, and the fold that held each out.

    Raises:
        RunError: The file is missing or broken.
    """
    table = _parquet(path)
    return Dataset("train", _examples(table)), table["fold"].to_pylist()


def write_texts(path: Path, texts: Texts, examples: Sequence[Example]) -> None:
    """Write rows and what a model wrote: the row, answer, loss, counts of tokens, ended, marks."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {
            **_columns(examples),
            "answer": list(texts.answers) or [None] * len(examples),
            "loss": texts.losses,
            "tokens": texts.tokens,
            "ended": texts.ended,
            **{name: getattr(texts, name) for name in COUNTS if getattr(texts, name)},
            **{f"{GAINED}{name}": mark.gained for name, mark in texts.marks.items()},
            **{f"{POSSIBLE}{name}": mark.possible for name, mark in texts.marks.items()},
        }
    )
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def read_texts(path: Path) -> tuple[Dataset, Texts]:
    """Read what `write_texts` wrote.

    Raises:
        RunError: The file is missing or broken.
    """
    table = _parquet(path)
    rows = Dataset("test", _examples(table))
    numbers = [table[name].to_numpy() for name in ("loss", "tokens", "ended")]
    counts = {name: tuple(table[name].to_pylist()) for name in COUNTS if name in table.column_names}
    answers = tuple(answer for answer in table["answer"].to_pylist() if answer is not None)
    marks = {
        name.removeprefix(GAINED): Ratio(
            table[name].to_numpy(), table[name.replace(GAINED, POSSIBLE, 1)].to_numpy()
        )
        for name in table.column_names
        if name.startswith(GAINED)
    }
    seen = (tuple(rows.prompts), tuple(rows.targets), answers)
    return rows, Texts(*seen, *numbers, marks=marks, **counts)


def _write_spans(path: Path, spans: Spans, examples: Sequence[Example]) -> None:
    """Write rows and what a model marked in them: the row, answer, confidences, characters read."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {
            **_columns(examples),
            "answer": [_json_spans(own) for own in spans.answers],
            "confidences": [list(sure) for sure in spans.confidences],
            "read": list(spans.read),
        },
        metadata={"types": json.dumps(spans.types)},
    )
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def read_spans(path: Path) -> tuple[Dataset, Spans]:
    """Read the rows and spans that `write_answers` wrote.

    Raises:
        RunError: The file is missing or broken.
    """
    table = _parquet(path)
    rows = Dataset("test", _examples(table))
    return rows, Spans(
        tuple(rows.prompts),
        tuple(row.spans for row in rows.examples),
        tuple(map(_spans, table["answer"].to_pylist())),
        tuple(map(tuple, table["confidences"].to_pylist())),
        tuple(table["read"].to_pylist()),
        tuple(json.loads((table.schema.metadata or {}).get(b"types", b"[]"))),
    )


def _json_spans(spans: Sequence[Span]) -> str:
    return json.dumps([asdict(span) for span in spans], ensure_ascii=False)


def _spans(text: str) -> tuple[Span, ...]:
    return tuple(Span(**facts) for facts in json.loads(text))


def _columns(examples: Sequence[Example]) -> dict[str, list[str]]:
    columns = {
        name: [getattr(example, name) for example in examples]
        for name in ("prompt", "target", "group", "origin")
    }
    if any(example.messages for example in examples):
        said = [[asdict(message) for message in example.messages] for example in examples]
        columns["messages"] = [json.dumps(turns, ensure_ascii=False) for turns in said]
        columns["tools"] = [json.dumps(example.tools, ensure_ascii=False) for example in examples]
    if any(example.facts for example in examples):
        columns["facts"] = [json.dumps(dict(e.facts), ensure_ascii=False) for e in examples]
    if any(example.spans for example in examples):
        columns["spans"] = [_json_spans(example.spans) for example in examples]
    return columns


def _examples(table: Any) -> tuple[Example, ...]:
    plain = [table[name].to_pylist() for name in ("prompt", "target", "group", "origin")]
    readers = {
        "messages": _turns,
        "tools": lambda text: tuple(json.loads(text)),
        "facts": json.loads,
        "spans": _spans,
    }
    written = {
        name: list(map(read, table[name].to_pylist()))
        for name, read in readers.items()
        if name in table.column_names
    }
    return tuple(
        Example(*texts, **{name: column[row] for name, column in written.items()})
        for row, texts in enumerate(zip(*plain, strict=True))
    )


def _turns(text: str) -> tuple[Message, ...]:
    return tuple(
        Message(
            turn["role"],
            turn["content"],
            tuple(turn["tool_calls"]),
            turn["name"],
            turn.get("learnt", True),  # runs of earlier versions do not say it
        )
        for turn in json.loads(text)
    )


def _parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise RunError(
            f"{path} cannot be read: {error}.", fix="Finish the run with --resume, or train again."
        ) from error
