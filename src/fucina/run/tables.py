"""Rows and answers of a run as Parquet."""

from pathlib import Path
from typing import Any

from fucina.errors import RunError
from fucina.records import Dataset, Example, Predictions, Split
from fucina.run.files import write_bytes

__all__ = ["read_predictions", "read_rows", "write_predictions", "write_rows"]


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
    columns = {
        name: [getattr(example, name) for example in split.development.examples]
        for name in ("prompt", "target", "group", "origin")
    }
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({**columns, "fold": fold}), sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def read_rows(path: Path) -> tuple[Dataset, list[int]]:
    """Read what `write_rows` wrote: the rows, and the fold that held each out.

    Raises:
        RunError: The file is missing or broken.
    """
    table = _parquet(path)
    columns = [table[name].to_pylist() for name in ("prompt", "target", "group", "origin")]
    examples = tuple(Example(*row) for row in zip(*columns, strict=True))
    return Dataset("train", examples), table["fold"].to_pylist()


def _parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise RunError(
            f"{path} cannot be read: {error}.", fix="Finish the run with --resume, or train again."
        ) from error
