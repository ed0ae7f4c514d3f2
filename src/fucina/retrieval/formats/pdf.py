"""PDF: the text of each page; a citation names the page."""

import logging
import re
from pathlib import Path

from fucina.errors import DataError, MissingExtraError
from fucina.records import Document, Section
from fucina.retrieval.formats.markdown import filed

__all__ = ["read"]

# A word broken at the end of a line: "cono-\nscenza".
BROKEN = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_])")


def read(path: Path) -> Document:
    """Read the text of a PDF.

    Raises:
        DataError: It is encrypted, broken, or has pictures of text alone.
        MissingExtraError: pypdf is not installed.
    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, PyPdfError
    except ImportError as error:
        raise MissingExtraError("pypdf", extra="rag") from error
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of every odd byte
    try:
        with path.open("rb") as file:
            reader = PdfReader(file)
            if reader.is_encrypted and not reader.decrypt(""):
                raise _locked(path)
            told = reader.metadata
            pages = [(page.extract_text() or "").strip() for page in reader.pages]
    except DependencyError as error:
        raise MissingExtraError("cryptography, which opens this PDF,", extra="rag") from error
    # A broken file makes pypdf fail in many ways, deep inside of it.
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is no PDF that can be read ({type(error).__name__}: {str(error)[:80]}).",
            fix="Open it in a viewer and print it to a new PDF, or download it again.",
        ) from error
    if not any(pages):
        raise DataError(
            f"{path} has {len(pages)} pages without any text: it is a scan.",
            fix="Put text under the pictures first: ocrmypdf IN.pdf OUT.pdf.",
        )
    numbered = [(number, text) for number, text in enumerate(pages, start=1) if text]
    sections = tuple(Section((), BROKEN.sub("", text), ((0, page),)) for page, text in numbered)
    facts = {key.lstrip("/"): value for key, value in (told or {}).items() if value}
    title, _, tags = filed(facts)
    made = told.creation_date if told else None
    day = made.date().isoformat() if made else ""
    empty = len(pages) - len(numbered)
    notes = (f"{empty} of {len(pages)} pages have no text",) if empty else ()
    return Document(title or path.stem, sections, "page", day, tags, notes)


def _locked(path: Path) -> DataError:
    return DataError(
        f"{path} is encrypted: it opens with a password alone.",
        fix="Save it without one: qpdf --decrypt --password=… IN.pdf OUT.pdf.",
    )
