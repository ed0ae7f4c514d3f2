"""Texts as token ids on the disk, each piece with a sum: what is cut or changed is not learnt."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fucina import run
from fucina.errors import DataError
from fucina.records import Progress, silent

__all__ = ["Shard", "digest", "open_shards", "write_shards"]

MOST_TOKENS = 20_000_000  # of a piece: 40 MB
TOGETHER = 256  # documents that are turned into tokens at once


@dataclass(frozen=True)
class Shard:
    """A piece of a source.

    Attributes:
        file: Its name in the folder.
        source: Which of the texts of the recipe it is of, counted from 0.
        tokens: Its tokens.
        bytes: Of the text that they stand for, in UTF-8.
        sha256: Of the file.
    """

    file: str
    source: int
    tokens: int
    bytes: int
    sha256: str


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_shards(
    folder: Path,
    texts: Iterator[str],
    tokenizer: Any,
    *,
    source: int,
    end: int,
    prefix: str = "",
    progress: Progress = silent,
) -> list[Shard]:
    """Turn the documents of a source into tokens.

    Args:
        folder: Where pieces are written, whole or not at all.
        texts: Documents.
        tokenizer: `tokenizers.Tokenizer`.
        source: Its place in the recipe.
        end: The token behind each document.
        prefix: Of the names of pieces.
        progress: Told of the documents that are done.

    Returns:
        The pieces, in their order.
    """
    found: list[Shard] = []
    ids: list[np.ndarray] = []
    held, size, done = 0, 0, 0
    for part in _parts(texts):
        for encoded in tokenizer.encode_batch(part, add_special_tokens=False):
            ids.append(np.array([*encoded.ids, end], dtype=np.uint16))
            held += len(ids[-1])
        size += sum(len(text.encode()) for text in part)
        done += len(part)
        progress("turning texts into tokens", done, 0)
        if held >= MOST_TOKENS:
            found.append(
                _write(folder / f"{prefix}{source:02d}-{len(found):03d}.u16", ids, size, source)
            )
            ids, held, size = [], 0, 0
    if ids:
        found.append(
            _write(folder / f"{prefix}{source:02d}-{len(found):03d}.u16", ids, size, source)
        )
    return found


def _parts(texts: Iterator[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for text in texts:
        part.append(text)
        if len(part) == TOGETHER:
            yield part
            part = []
    if part:
        yield part


def _write(path: Path, ids: Sequence[np.ndarray], size: int, source: int) -> Shard:
    whole = np.concatenate(ids).astype("<u2")
    run.write_bytes(path, whole.tobytes())
    return Shard(path.name, source, len(whole), size, digest(path))


def open_shards(folder: Path, shards: Sequence[Shard]) -> list[np.ndarray]:
    """The tokens of pieces, read from the disk as they are needed.

    Raises:
        DataError: A piece is missing, cut or changed.
    """
    found: list[np.ndarray] = []
    for shard in shards:
        path = folder / shard.file
        whole = path.is_file() and path.stat().st_size == 2 * shard.tokens
        if not whole or digest(path) != shard.sha256:
            what = "is missing" if not path.is_file() else "is not what was written: cut or changed"
            raise DataError(
                f"the piece of tokens {path} {what}.",
                fix=f"Delete {folder} and start again: it is made anew from the texts.",
            )
        found.append(np.memmap(path, dtype="<u2", mode="r"))
    return found
