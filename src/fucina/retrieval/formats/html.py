"""HTML: what a reader of the page sees, in sections by headings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina.errors import MissingExtraError
from fucina.records import Document
from fucina.retrieval.formats.gathered import Part, gather
from fucina.retrieval.formats.markdown import filed
from fucina.retrieval.formats.plain import decoded

if TYPE_CHECKING:
    from bs4 import Tag

__all__ = ["read"]

UNSEEN = ["script", "style", "template", "noscript", "svg", "nav", "head"]
LEAVES = {"p", "li", "pre", "blockquote", "dt", "dd", "tr", "figcaption", "caption", "summary"}
HEADING = re.compile(r"h[1-6]")
HIDDEN = re.compile(r"display:none|visibility:hidden|font-size:0(?![.\d])|opacity:0(?![.\d])")


def read(path: Path) -> Document:
    """Read a page; what a browser does not show is not text of it.

    Raises:
        DataError: It is not text.
        MissingExtraError: beautifulsoup4 is not installed.
    """
    try:
        from bs4 import BeautifulSoup
    except ImportError as error:
        raise MissingExtraError("beautifulsoup4", extra="rag") from error
    text, notes = decoded(path)
    page = BeautifulSoup(text, "html.parser")
    named = " ".join(page.title.get_text().split()) if page.title else ""
    facts: dict[str, Any] = {}
    for told in page.find_all("meta"):
        facts[str(told.get("name") or told.get("property") or "")] = told.get("content")
    facts.setdefault("date", facts.get("article:published_time"))
    title, when, tags = filed(facts)
    for tag in page.find_all(UNSEEN):
        tag.decompose()
    for tag in page.find_all(_hidden):
        if not tag.decomposed:
            tag.decompose()
    sections = gather(_parts(page))
    heading = next((s.headings[0] for s in sections if s.headings), path.stem)
    return Document(named or title or heading, sections, date=when, tags=tags, notes=notes)


def _hidden(tag: "Tag") -> bool:
    style = re.sub(r"\s", "", str(tag.get("style", "")).lower())
    return tag.has_attr("hidden") or tag.get("aria-hidden") == "true" or bool(HIDDEN.search(style))


def _parts(tag: "Tag") -> Iterator[Part]:
    """Headings and blocks in the order of the page."""
    from bs4 import Comment, NavigableString, Tag

    loose: list[str] = []
    place = tag.sourceline or 1
    for child in tag.children:
        if isinstance(child, Tag) and not _inline(child):
            yield Part(_flat(loose), place)
            loose, place = [], child.sourceline or place
            if HEADING.fullmatch(child.name):
                yield Part(_flat([child.get_text(" ")]), place, level=int(child.name[1]))
            elif child.name == "pre":
                yield Part(child.get_text().strip("\n"), place)
            elif child.name == "tr":
                cells = [_flat([c.get_text(" ")]) for c in child.find_all(["td", "th"])]
                yield Part(" | ".join(cells), place)
            elif child.name in LEAVES and all(map(_inline, child.find_all(True))):
                mark = "- " if child.name == "li" else ""
                yield Part(mark + _flat([child.get_text("")]), place)
            else:
                yield from _parts(child)
        elif isinstance(child, Tag):
            place = place if loose else child.sourceline or place
            loose.append(child.get_text(""))
        elif isinstance(child, NavigableString) and not isinstance(child, Comment):
            loose.append(str(child))
    yield Part(_flat(loose), place)


INLINE = {
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "cite", "code", "data", "del",
    "dfn", "em", "font", "i", "img", "ins", "kbd", "label", "mark", "q", "s", "samp", "small",
    "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr", "input",
    "button", "select", "option",
}  # fmt: skip


def _inline(tag: "Tag") -> bool:
    return tag.name in INLINE and not (tag.name == "a" and tag.find(["p", "div", HEADING]))


def _flat(texts: list[str]) -> str:
    return " ".join("".join(texts).split())
