"""What an answer needs beside a network: labels and how they are weighed, words, n-grams.

All exports of classifiers and taggers have these files, whatever computes the network.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import __version__, run
from fucina.engines.onnx_folder import FACTS, LEXICAL, LEXICON, Facts
from fucina.errors import ModelError, RecipeError
from fucina.models.by_class import ByClass
from fucina.models.ensemble import Ensemble
from fucina.models.marker import Marker

if TYPE_CHECKING:
    from fucina.models.base import Base
    from fucina.models.lexical import Lexicon, Table
    from fucina.models.stack import Stack

    Parts = tuple[tuple[Stack, ...], Lexicon | None, tuple[Table | None, ...]]

__all__ = ["headed", "write_beside"]


def write_beside(
    model: "Ensemble | Marker",
    folder: Path,
    members: int,
    lexicon: "Lexicon | None",
    tables: "tuple[Table | None, ...]",
) -> Facts:
    """Write all but the network, and say what was written.

    Args:
        model: The trained model.
        folder: Where it goes.
        members: k that are written.
        lexicon: Its n-grams; None for none.
        tables: What each of the k members makes of them.

    Raises:
        ModelError: Its tokenizer has no file that others read.
    """
    _write_words(model.base, folder)
    if lexicon is not None:
        _write_lexical(lexicon, tables, folder)
    facts = _facts(model, members, tables)
    run.write_json(folder / FACTS, asdict(facts))
    return facts


def headed(model: Any) -> "Parts":
    """The members of a model that labels or marks, and what they make of n-grams.

    Raises:
        RecipeError: It has no heads of classes.
    """
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


def _facts(model: "Ensemble | Marker", members: int, tables: "tuple[Table | None, ...]") -> Facts:
    base, tokenizer = model.base, model.base.tokenizer
    return Facts(
        kind="labels" if isinstance(model, Ensemble) else "spans",
        names=model.labels if isinstance(model, Ensemble) else model.types,
        members=members,
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
