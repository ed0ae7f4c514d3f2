"""Markdown: sections by headings, and what stands in front matter."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from fucina.errors import DataError
from fucina.records import Document, Section
from fucina.retrieval.formats.plain import decoded, lined

__all__ = ["filed", "read", "sections_of"]

FRONT = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


def read(path: Path) -> Document:
    """Read a Markdown file; a comment of HTML is no text of it.

    Raises:
        DataError: It is not text, or its front matter is no YAML.
    """
    text, notes = decoded(path)
    front, facts = FRONT.match(text), {}
    if front:
        facts = _facts(path, front[1])
        # Lines keep their numbers.
        text = "\n" * front[0].count("\n") + text[front.end() :]
    text = COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    sections = tuple(sections_of(text))
    named = next((s.headings[0] for s in sections if s.headings), path.stem)
    title, when, tags = filed(facts)
    return Document(title or named, sections, date=when, tags=tags, notes=notes)


def sections_of(text: str) -> Iterator[Section]:
    r"""Sections of Markdown, each with the numbers of its lines.

    Example:
        >>> [(s.headings, s.text, s.marks) for s in sections_of("# A\n\nb\n\n## C\nd\n")]
        [(('A',), 'b', ((0, 3),)), (('A', 'C'), 'd', ((0, 6),))]
    """
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    lines = text.splitlines()
    begin, path = 0, {}
    for number, token in enumerate(tokens):
        # A heading inside a quote or a list is a part of it.
        if token.type == "heading_open" and token.level == 0 and token.map:
            yield from _section(path, lines, begin, token.map[0])
            level = int(token.tag[1:])
            path = {high: name for high, name in path.items() if high < level}
            path[level] = tokens[number + 1].content
            begin = token.map[1]
    yield from _section(path, lines, begin, len(lines))


def _section(path: dict[int, str], lines: Sequence[str], begin: int, end: int) -> Iterator[Section]:
    headings = tuple(path[level] for level in sorted(path))
    section = lined(headings, lines[begin:end], begin + 1)
    if section is not None:
        yield section


def _facts(path: Path, front: str) -> dict[str, Any]:
    """What stands in front matter."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        facts = YAML(typ="safe", pure=True).load(front)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise DataError(
            f"{path}, line {line}: the front matter is no YAML ({error.problem}).",
            fix="Mend it, or take away the lines between the two ---.",
        ) from error
    return facts if isinstance(facts, dict) else {}


def filed(facts: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """Title, date and tags out of fields of many spellings.

    Example:
        >>> filed({"titolo": "Gasolio", "data": "2026-01-05T08:00", "tags": "olio, conti"})
        ('Gasolio', '2026-01-05', ('olio', 'conti'))
    """
    small = {str(name).lower(): value for name, value in facts.items()}

    def first(*names: str) -> Any:
        return next((small[name] for name in names if small.get(name)), "")

    tags = first("tags", "tag", "keywords", "categories", "etichette")
    if isinstance(tags, str):
        tags = re.split(r"[,;]", tags) if re.search(r"[,;]", tags) else tags.split()
    found = [str(tag).strip() for tag in (tags if isinstance(tags, list) else [tags])]
    title = str(first("title", "titolo", "name"))
    return title, _day(first("date", "data", "created", "updated")), tuple(filter(None, found))


def _day(value: Any) -> str:
    """A date as ISO 8601; empty where it is none."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    try:
        return datetime.fromisoformat(str(value).strip()).date().isoformat()
    except ValueError:
        return ""
