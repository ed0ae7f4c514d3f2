"""Plain text, and what a file of text has to be."""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

from fucina.errors import DataError
from fucina.records import Document, Section

__all__ = ["decoded", "lined", "read"]

BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read(path: Path) -> Document:
    """Read a text file as one section.

    Raises:
        DataError: It is not text.
    """
    text, notes = decoded(path)
    section = lined((), text.splitlines(), 1)
    return Document(path.stem, (section,) if section else (), notes=notes)


def decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    r"""The text of a file with line ends \n, and what was odd about it.

    What is not UTF-8 (or UTF-16 with its mark) is read as Windows-1252, which has the accents of
    old files, and that is told.

    Raises:
        DataError: It is not text.
    """
    content = path.read_bytes()
    encoding = WIDE.get(content[:2], "utf-8-sig")
    notes: tuple[str, ...] = ()
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
        notes = ("not UTF-8: read as Windows-1252",)
    if BINARY.search(text):
        raise DataError(
            f"{path} is not text, whatever its name says: it has signs that no text has.",
            fix="Give the text itself, or the file its true suffix (.pdf, .docx, .html).",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def lined(headings: tuple[str, ...], lines: Sequence[str], first: int) -> Section | None:
    """A section of lines that follow each other in the file; None where nothing stands in them.

    Args:
        headings: Above it.
        lines: Of the file.
        first: Number of the first of them.
    """
    begin = next((i for i, line in enumerate(lines) if line.strip()), None)
    if begin is None:
        return None
    end = max(i for i, line in enumerate(lines) if line.strip()) + 1
    marks, offset = [], 0
    for number, line in enumerate(lines[begin:end], start=first + begin):
        marks.append((offset, number))
        offset += len(line) + 1
    return Section(headings, "\n".join(lines[begin:end]), tuple(marks))
