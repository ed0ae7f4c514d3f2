"""Write a trained classifier or tagger as a folder that ONNX Runtime answers from."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import __version__, run
from fucina.engines.onnx_folder import FACTS, GRAPHS, LEXICAL, LEXICON, Facts, open_folder
from fucina.errors import ModelError, RecipeError, ResourceError, RunError
from fucina.export.onnx.graph import as_graph, save_graph
from fucina.export.onnx.network import Together
from fucina.export.onnx.quantizing import narrow
from fucina.models.by_class import ByClass
from fucina.models.ensemble import Ensemble
from fucina.models.marker import Marker
from fucina.models.sums import write_sums
from fucina.records import Check, Progress, silent

if TYPE_CHECKING:
    from fucina.models.base import Base
    from fucina.models.lexical import Lexicon, Table
    from fucina.models.stack import Stack

    Headed = tuple[tuple[Stack, ...], Lexicon | None, tuple[Table | None, ...]]

__all__ = ["Written", "making", "write"]


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
    stacks, lexicon, tables = _headed(model)
    checks: tuple[Check, ...] = ()
    with making(folder) as made:
        network = Together(model.base, stacks, tokens=isinstance(model, Marker))
        graph = as_graph(network, vocabulary=len(model.base.tokenizer))
        save_graph(graph, made / GRAPHS["float32"])
        _write_words(model.base, made)
        if lexicon is not None:
            _write_lexical(lexicon, tables, made)
        facts = _facts(model, stacks, tables)
        run.write_json(made / FACTS, asdict(facts))
        write_sums(made)
        if int8_rows:
            opened = open_folder(made, facts.kind, "float32", 0)
            checks = (narrow(opened, made, int8_rows, progress=progress),)
            write_sums(made)
    sizes = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
    return Written(Path(folder), sizes, checks)


def _headed(model: Any) -> "Headed":
    """The members of a model, and what they make of n-grams."""
    if isinstance(model, Marker):
        return model.stacks, model.lexicon, model.lexical
    if isinstance(model, Ensemble) and isinstance(model.weigher, ByClass):
        weigher = model.weigher
        return weigher.stacks, weigher.lexicon, weigher.lexical
    if isinstance(model, Ensemble):
        raise RecipeError(
            "this run weighs labels by their names (model.head: words); an ONNX export has heads "
            "of classes.",
            fix="Export it with --to merged, or train with model.head: classes.",
        )
    raise RecipeError(
        "this run writes text; an ONNX export labels texts or marks spans.",
        fix="Export it with --to gguf or --to merged.",
    )


def _facts(
    model: "Ensemble | Marker", stacks: "tuple[Stack, ...]", tables: "tuple[Table | None, ...]"
) -> Facts:
    base, tokenizer = model.base, model.base.tokenizer
    return Facts(
        kind="labels" if isinstance(model, Ensemble) else "spans",
        names=model.labels if isinstance(model, Ensemble) else model.types,
        members=sum(stack.members for stack in stacks),
        how=model.how if isinstance(model, Ensemble) else "average",
        temperature=float(model.temperature),
        threshold=float(model.threshold) if isinstance(model, Ensemble) else 0.0,
        max_length_tokens=base.max_length_tokens,
        pad_id=tokenizer.pad_token_id,
        cut_side=tokenizer.truncation_side,
        special_as_text=bool(tokenizer.split_special_tokens),
        last=base.causal,
        lexical=tuple(place for place, table in enumerate(tables) if table is not None),
        base=Path(base.name).name,
        precision=base.precision,
        fucina=__version__,
    )


def _write_words(base: "Base", folder: Path) -> None:
    """The tokenizer as it reads whole texts; others can load it with transformers too."""
    from tokenizers import Tokenizer

    tokenizer = base.tokenizer
    if not tokenizer.is_fast:
        raise ModelError(
            f"{type(tokenizer).__name__} has no tokenizer.json, which ONNX exports are read with.",
            fix="Train on a base with a fast tokenizer (tokenizer.json).",
        )
    tokenizer.save_pretrained(folder)
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own.no_truncation()
    own.no_padding()
    own.save(str(folder / "tokenizer.json"))


def _write_lexical(lexicon: "Lexicon", tables: "tuple[Table | None, ...]", folder: Path) -> None:
    from safetensors.numpy import save

    run.write_json(folder / LEXICON, list(lexicon.ngrams))
    tensors = {}
    for member, table in enumerate(tables):
        if table is not None:
            # As runs keep them.
            tensors[f"weights.{member}"] = np.ascontiguousarray(table.weights.astype(np.float32))
            tensors[f"rarity.{member}"] = np.ascontiguousarray(table.rarity)
    run.write_bytes(folder / LEXICAL, save(tensors))


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
