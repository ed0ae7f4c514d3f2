"""Read documents to learn from: one a row, from files that may be packed, each row looked at."""

import gzip
import json
import lzma
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from fucina.errors import DataError

__all__ = ["documents", "texts_for_words"]

OPENERS = {".xz": lzma.open, ".gz": gzip.open}


def documents(path: Path, template: Any = None) -> Iterator[str]:
    """The documents of a file, one after the other.

    Args:
        path: JSONL, also packed as .xz or .gz.
        template: Writes the `messages` of a row as text; without it their words alone are given.

    Raises:
        DataError: The file is missing or cut, or a row is no document; named with its line.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _document(line, template, f"{path}, line {number}")
    except FileNotFoundError as error:
        raise DataError(f"no corpus {path}.", fix="Check the path of corpus:.") from error
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path} is cut or damaged behind line {number}: {error}.",
            fix="Fetch or make the file again; nothing was learnt from it.",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number + 1} is not UTF-8.", fix="Save it as UTF-8."
        ) from error


def _open(path: Path) -> IO[str]:
    return OPENERS.get(path.suffix.lower(), open)(path, "rt", encoding="utf-8")


def _document(line: str, template: Any, where: str) -> str:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(
            f"{where} is not JSON: is the file cut?", fix="Fetch or make the file again."
        ) from error
    text = row.get("text") if isinstance(row, Mapping) else None
    said = row.get("messages") if isinstance(row, Mapping) else None
    if isinstance(text, str) and text.strip():
        return text
    if isinstance(said, list) and said and all(map(_is_turn, said)):
        if template is None:
            return "\n".join(turn["content"] for turn in said)
        return template(said)
    raise DataError(
        f"{where} has neither text nor messages.",
        fix='Write rows as {"text": "…"} or {"messages": [{"role": "…", "content": "…"}]}.',
    )


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and all(
        isinstance(turn.get(k), str) for k in ("role", "content")
    )


def texts_for_words(files: Sequence[tuple[str, Path]], characters: int) -> Iterator[str]:
    """Texts to learn words from, as many letters of each language, from all its files alike.

    Args:
        files: Language and path of each.
        characters: In all.
    """
    languages = {language for language, _ in files}
    for language in sorted(languages):
        own = [path for other, path in files if other == language]
        each = characters // len(languages) // len(own)
        for path in own:
            left = each
            for text in documents(path):
                yield text[:left]
                left -= len(text)
                if left <= 0:
                    break
