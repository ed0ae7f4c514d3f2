"""Whether a folder of a model holds what was put into it: `sums.json`, file to SHA-256."""

import hashlib
import json
from pathlib import Path
from typing import Any

from fucina.errors import ModelError

__all__ = ["SUMS", "check_sums", "check_words", "damaged", "read_sums", "write_sums"]

SUMS = "sums.json"
SPARE = 2  # times as many rows as words, and more, are of another tokenizer; a few are spare often


def write_sums(folder: Path) -> None:
    """Write down the sums of all files of a folder and the folders in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    sums = {path.relative_to(folder).as_posix(): _sum(path) for path in files}
    (folder / SUMS).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def check_sums(name: str, folder: Path) -> None:
    """Refuse a folder in which a file is not what was written; without `sums.json` all is well.

    Args:
        name: What the recipe calls it.
        folder: Of the model.

    Raises:
        ModelError: Names the files that are missing, cut or changed.
    """
    wrong = damaged(folder) if (folder / SUMS).is_file() else []
    if wrong:
        raise ModelError(
            f"model.base: {name!r} is damaged: {', '.join(wrong)} missing, cut or changed since it "
            "was made.",
            fix=f"Get the files again, or make the model again; if you changed them on purpose, "
            f"delete {folder / SUMS}.",
        )


def read_sums(folder: Path) -> dict[str, str]:
    """Files of a folder to their SHA-256, as they were written.

    Raises:
        OSError: There is no such list.
        ValueError: It is no JSON.
    """
    return json.loads((folder / SUMS).read_text(encoding="utf-8"))


def damaged(folder: Path) -> list[str]:
    """Files of a folder that are missing, or not what was written; `sums.json` where it is one."""
    try:
        return [name for name, told in read_sums(folder).items() if not _is(folder, name, told)]
    except (ValueError, AttributeError, TypeError, OSError):
        return [SUMS]


def _is(folder: Path, name: str, told: str) -> bool:
    path = folder / name
    # A file that somebody names elsewhere is none of the folder's: it may never end.
    inside = not path.is_symlink() or path.resolve().is_relative_to(folder.resolve())
    return ".." not in path.parts and inside and path.is_file() and _sum(path) == told


def check_words(name: str, network: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer with words that the network has no row for, or with far too few.

    Tokens that were added to them do not count: Gemma 3 has one for pictures, and no row for it.

    Raises:
        ModelError: Tells both numbers.
    """
    rows = getattr(network.get_input_embeddings(), "num_embeddings", None)
    if rows is not None and (tokenizer.vocab_size > rows or len(tokenizer) < rows // SPARE):
        raise ModelError(
            f"model.base: {name!r} has a tokenizer that does not fit: it has "
            f"{tokenizer.vocab_size} words, and the network knows {rows}.",
            fix="Put the tokenizer of this network beside its weights.",
        )


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
