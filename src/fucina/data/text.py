"""Read a text file line by line, and say exactly what is wrong with it when it is not text."""

from collections.abc import Iterator
from pathlib import Path

from fucina.errors import DataError, nearest

__all__ = ["lines", "require_file"]

MAX_LINE_BYTES = 10 * 2**20
OTHER_ENCODINGS = ("utf-8", "cp1252", "latin-1")
SAMPLE_BYTES = 1 << 16


def require_file(path: Path) -> None:
    """Check that there is a file with something in it.

    Raises:
        DataError: It is missing (the nearest name is offered), a folder, or empty.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder.", fix="Name the file in it.")
    if not path.is_file():
        near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = nearest(path.name, near) if near else "its folder does not exist either."
        raise DataError(f"no file {path}.", fix=f"Check the path; {hint}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.", fix="Give a file with rows to learn from.")


def lines(path: Path, encoding: str) -> Iterator[str]:
    """Give the lines of a text file with their line ends; a byte order mark is dropped.

    Raises:
        DataError: A line is too long, is not text, or is not in this encoding; the message has
            the line's number and the encoding that would work.
    """
    require_file(path)
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
        if encoding.lower().replace("_", "-") not in {"utf-16", "utf-16-le", "utf-16-be"}:
            _refuse_binary(path, head)
            file.seek(0)
            yield from _decoded(path, file, encoding)
            return
    with path.open(encoding=encoding, newline="") as file:
        try:
            yield from file
        except UnicodeError as error:
            raise DataError(
                f"{path} is not {encoding}: {error}.",
                fix="Leave out data.encoding if the file is UTF-8, or save it as UTF-8.",
            ) from error


def _decoded(path: Path, file: "Iterator[bytes]", encoding: str) -> Iterator[str]:
    number = 0
    while True:
        line = file.readline(MAX_LINE_BYTES + 1)  # type: ignore[attr-defined]
        if not line:
            return
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise DataError(
                f"{path}, line {number} is longer than {MAX_LINE_BYTES // 2**20} MiB.",
                fix="Split or shorten that row; is a line end or a quote missing before it?",
            )
        if number == 1 and line.startswith(b"\xef\xbb\xbf"):
            line = line[3:]
        try:
            yield line.decode(encoding)
        except LookupError as error:
            raise DataError(
                f"data.encoding: there is no encoding {encoding!r}.", fix="Use utf-8 or cp1252."
            ) from error
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, line {number}, byte {error.start + 1} is not {encoding}.",
                fix=_other(line, encoding),
            ) from error


def _refuse_binary(path: Path, head: bytes) -> None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is UTF-16.", fix="Set data.encoding: utf-16, or save it as UTF-8.")
    if b"\x00" in head:
        raise DataError(
            f"{path} is not a text file (it holds zero bytes).",
            fix="Give CSV, TSV, JSONL, JSON or Parquet; spreadsheets must be saved as CSV first.",
        )


def _other(line: bytes, encoding: str) -> str:
    for name in OTHER_ENCODINGS:
        if name == encoding.lower():
            continue
        try:
            shown = line.decode(name).strip()[:60]
        except UnicodeDecodeError:
            continue
        return f"Set data.encoding: {name} if this reads well: {shown!r}; or save it as UTF-8."
    return "Save the file as UTF-8."
