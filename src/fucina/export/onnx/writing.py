"""Write a trained classifier or tagger as a folder that ONNX Runtime answers from."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fucina import run
from fucina.engines.onnx_folder import GRAPHS, open_folder
from fucina.errors import ResourceError, RunError
from fucina.export.beside import headed, write_beside
from fucina.export.onnx.graph import as_graph, save_graph
from fucina.export.onnx.network import Together
from fucina.export.onnx.quantizing import narrow
from fucina.models.marker import Marker
from fucina.models.sums import write_sums
from fucina.records import Check, Progress, silent

__all__ = ["Written", "fill", "making", "write"]


@dataclass(frozen=True)
class Written:
    """A written export.

    Attributes:
        path: The folder.
        bytes: File to its size.
        checks: Whether the graph in eight bits answers alike, where it was asked for.
    """

    path: Path
    bytes: Mapping[str, int]
    checks: tuple[Check, ...] = ()


def write(
    model: Any, folder: Path, *, int8_rows: Sequence[str] = (), progress: Progress = silent
) -> Written:
    """Write a model with heads of classes: its graph, its words, and all that an answer needs.

    Args:
        model: As `opening.load_model` gives it.
        folder: Where it goes; it must not be there.
        int8_rows: Texts that it did not learn from, 100 or more, to write a graph in eight bits
            too, where that answers them alike; none for float32 alone.
        progress: Told after each step.

    Raises:
        RecipeError: The model writes, or weighs labels by their names.
        ModelError: Its base has no counterpart as a graph.
        RunError: The folder is there.
        ResourceError: The disk is full; nothing is left behind.
    """
    with making(folder) as made:
        checks = fill(model, made, int8_rows=int8_rows, progress=progress)
    sizes = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
    return Written(Path(folder), sizes, checks)


def fill(
    model: Any, folder: Path, *, int8_rows: Sequence[str] = (), progress: Progress = silent
) -> tuple[Check, ...]:
    """Write a model into an empty folder; arguments and errors as above."""
    stacks, lexicon, tables = headed(model)
    network = Together(model.base, stacks, tokens=isinstance(model, Marker))
    graph = as_graph(network, vocabulary=len(model.base.tokenizer))
    save_graph(graph, folder / GRAPHS["float32"])
    facts = write_beside(model, folder, sum(stack.members for stack in stacks), lexicon, tables)
    write_sums(folder)
    if not int8_rows:
        return ()
    opened = open_folder(folder, facts.kind, "float32", 0)
    check = narrow(opened, folder, int8_rows, progress=progress)
    write_sums(folder)
    return (check,)


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """A folder beside a place, which takes the place once it is whole; else nothing is left.

    Raises:
        RunError: Something is there.
        ResourceError: The disk is full or cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise RunError(f"{folder} is there already.", fix="Remove it, or name another folder.")
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        beside.mkdir(parents=True)
        yield beside
        run.move_whole(beside, folder)
    except OSError as error:
        raise ResourceError(
            f"cannot write {folder}: {error.strerror or error}.",
            fix="Free disk space, or name a folder on another disk.",
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
