"""Tables and JSON Lines: each row is a section of its own, a field a line."""

import json
from pathlib import Path
from typing import Any

from fucina.data import rows as readers
from fucina.records import Document, Section
from fucina.retrieval.formats.markdown import filed

__all__ = ["read"]


def read(path: Path) -> Document:
    """Read CSV, TSV or JSON Lines; a citation names the line that a row begins in.

    Raises:
        DataError: It is no such file.
    """
    sections = []
    for line, row in readers.read_as(path, "utf-8"):
        text = "\n".join(f"{name}: {_shown(value)}" for name, value in row.items() if _has(value))
        title, _, _ = filed(row)
        if text:
            sections.append(Section((title,) if title else (), text, ((0, line),)))
    return Document(path.stem, tuple(sections))


def _has(value: Any) -> bool:
    return value is not None and str(value).strip() != ""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
