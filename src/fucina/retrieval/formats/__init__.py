"""Readers of documents: one module a format, all of them file → Document."""

from collections.abc import Callable
from pathlib import Path

from fucina.errors import DataError
from fucina.records import Document
from fucina.retrieval.formats import docx, html, markdown, pdf, plain, rows

__all__ = ["READERS", "read"]

READERS: dict[str, Callable[[Path], Document]] = {
    ".md": markdown.read,
    ".markdown": markdown.read,
    ".txt": plain.read,
    ".text": plain.read,
    ".rst": plain.read,
    ".html": html.read,
    ".htm": html.read,
    ".pdf": pdf.read,
    ".docx": docx.read,
    ".csv": rows.read,
    ".tsv": rows.read,
    ".jsonl": rows.read,
}


def read(path: Path, *, most_mib: int) -> Document:
    """Read a document by its suffix.

    Args:
        path: The file.
        most_mib: A larger file is refused.

    Raises:
        DataError: It cannot be read, has no text, or is too large.
    """
    size = path.stat().st_size / 2**20
    if size > most_mib:
        raise DataError(
            f"{path} has {size:,.0f} MiB, more than the {most_mib} that one document may have.",
            fix=f"Divide it, leave it out, or raise max_file_mib to {int(size) + 1}.",
        )
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: nothing here reads {path.suffix or 'a file without a suffix'}.",
            fix=f"Give one of {', '.join(READERS)}.",
        )
    try:
        document = reader(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", fix="Check its rights, or leave it out."
        ) from error
    if not document.sections:
        raise DataError(f"{path} has no text.", fix="Leave it out, or write something in it.")
    return document
