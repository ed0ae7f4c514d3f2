"""Word documents: paragraphs and tables in order, in sections by the styles of headings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from fucina.errors import DataError, MissingExtraError
from fucina.records import Document
from fucina.retrieval.formats.gathered import Part, gather
from fucina.retrieval.formats.markdown import filed

__all__ = ["read"]

MOST_BYTES = 512 * 2**20  # unpacked: a small file may unpack to any size
LEVEL = re.compile(r"(?:heading|titolo) (\d)", re.IGNORECASE)


def read(path: Path) -> Document:
    """Read a .docx; places are the numbers of its paragraphs, tables counted as one each.

    Raises:
        DataError: It is no such file, or unpacks to an unreasonable size.
        MissingExtraError: python-docx is not installed.
    """
    try:
        from docx import Document as open_docx
        from docx.opc.exceptions import PackageNotFoundError
    except ImportError as error:
        raise MissingExtraError("python-docx", extra="rag") from error
    try:
        with ZipFile(path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > MOST_BYTES:
            raise DataError(
                f"{path} unpacks to {size / 2**20:.0f} MiB.",
                fix="Save it without pictures, or as text.",
            )
        opened = open_docx(str(path))
        parts = list(_parts(opened))
    except (BadZipFile, PackageNotFoundError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} is no Word document that can be read ({type(error).__name__}).",
            fix="Open it in a word processor and save it again as .docx; an old .doc too.",
        ) from error
    told = opened.core_properties
    title, _, tags = filed({"title": told.title, "tags": told.keywords})
    when = told.modified or told.created
    day = when.date().isoformat() if when else ""
    sections = gather(parts)
    heading = next((s.headings[0] for s in sections if s.headings), path.stem)
    return Document(title or heading, sections, "paragraph", day, tags)


def _parts(opened: Any) -> Iterator[Part]:
    from docx.table import Table

    for number, block in enumerate(opened.iter_inner_content(), start=1):
        if isinstance(block, Table):
            rows = [" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows]
            yield Part("\n".join(rows), number)
            continue
        style = block.style.name if block.style is not None else ""
        level = LEVEL.match(style or "")
        if style == "Title" or level:
            yield Part(block.text.strip(), number, level=int(level[1]) if level else 1)
        else:
            mark = "- " if (style or "").startswith("List") else ""
            yield Part(mark + block.text.strip() if block.text.strip() else "", number)
