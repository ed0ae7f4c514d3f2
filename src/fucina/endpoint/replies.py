"""Read what was asked for out of what a model wrote: JSON, or whatever it made of it."""

import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import Any

__all__ = ["json_values", "read_named", "read_rows"]

THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
OPENING = re.compile(r"[{\[]")
LISTED = re.compile(r"^\s*(?:\d+\s*[.):]|[-*•])\s+(.+?)\s*$", re.MULTILINE)
BRACKETS = 200  # of prose that are tried as the beginning of JSON; a model gone wild writes more
QUOTES = {'"': '"', "“": "”", "«": "»"}

Row = dict[str, Any]


def read_rows(reply: str, fields: Sequence[str]) -> list[Row]:
    r"""The rows of a reply; none when it holds no JSON and no list.

    Args:
        reply: A JSON object or array, alone, in prose or in a fence of Markdown; where rows have
            one field also a list of lines with numbers or dashes. Of JSON that breaks off, the
            rows that are whole.
        fields: Of a row, the one that is asked first. A field that a row lacks is empty.

    Example:
        >>> read_rows('Ecco:\n```json\n{"texts": ["Dov\'è?", "Perché?"]}\n```', ["text"])
        [{'text': "Dov'è?"}, {'text': 'Perché?'}]
        >>> read_rows("1. «Dov'è?»\n2) Perché?", ["text"])
        [{'text': "Dov'è?"}, {'text': 'Perché?'}]
        >>> read_rows('{"rows": [{"q": "Sì?", "a": "Sì."}, {"q": "No?", "a": "N', ["q", "a"])
        [{'q': 'Sì?', 'a': 'Sì.'}]
    """
    if len(fields) > 1:
        return [row for value in json_values(reply) for row in _rows(value, fields)]
    for value in json_values(reply):
        texts = _texts(value, fields[0])
        if texts:
            return [{fields[0]: text} for text in texts]
    return [{fields[0]: _bare(line)} for line in LISTED.findall(THOUGHT.sub("", reply))]


def read_named(value: Any, types: Collection[str]) -> list[dict[str, str]] | None:
    """The marked parts of a row with their types; None where it does not list any such.

    Places that a model gives are left out, as it counts badly.

    Args:
        value: A list of objects, each with text and label, or one object from types to texts.
        types: Those there are, in their own spelling.

    Example:
        >>> read_named([{"text": "Forlì", "label": "loc", "start": 3}], ["LOC"])
        [{'text': 'Forlì', 'label': 'LOC'}]
        >>> read_named({"PER": ["Ada", "Ugo"]}, ["PER"])
        [{'text': 'Ada', 'label': 'PER'}, {'text': 'Ugo', 'label': 'PER'}]
        >>> read_named("Ada", ["PER"])
    """
    spelling = {name.casefold(): name for name in types}
    found = []
    for item in [value] if isinstance(value, dict) else value if isinstance(value, list) else [""]:
        pairs = _pairs(item)
        if pairs is None:
            return None
        found += [
            {"text": unicodedata.normalize("NFC", text).strip(),
             "label": spelling.get(label.strip().casefold(), label.strip())}
            for label, text in pairs
        ]  # fmt: skip
    return found


def _pairs(item: Any) -> list[tuple[str, str]] | None:
    """Type and words of what an object names."""
    if not isinstance(item, dict):
        return None
    label = next((item[name] for name in ("label", "type") if name in item), None)
    if "text" in item and label is not None:
        named = [(label, item["text"])]
    else:
        named = [
            (kind, text)
            for kind, own in item.items()
            for text in (own if isinstance(own, list) else [own])
        ]
    return named if all(isinstance(part, str) for pair in named for part in pair) else None


def json_values(reply: str) -> Iterator[Any]:
    """Each JSON object or array of a reply, the outermost only; what it thought aloud is left out.

    Example:
        >>> list(json_values('<think>{"a": 1}</think> Ecco: {"b": [2]} [x] [3]'))
        [{'b': [2]}, [3]]
    """
    said = THOUGHT.sub("", reply)
    decoder = json.JSONDecoder()
    place = failed = 0
    while failed < BRACKETS and (begin := OPENING.search(said, place)) is not None:
        try:
            value, place = decoder.raw_decode(said, begin.start())
        except (ValueError, RecursionError):
            place = begin.end()  # prose has brackets too
            failed += 1
        else:
            yield value


def _rows(value: Any, fields: Sequence[str]) -> list[Row]:
    """The objects that have the first field, however deep they are."""
    if isinstance(value, dict) and str(value.get(fields[0]) or "").strip():
        return [{name: _clean(value.get(name)) for name in fields}]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [row for one in inner for row in _rows(one, fields)]


def _clean(value: Any) -> Any:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else value


def _texts(value: Any, field: str) -> list[str]:
    if isinstance(value, dict):
        lists = [value[f"{field}s"]] if f"{field}s" in value else list(value.values())
        return next((found for inner in lists if (found := _texts(inner, field))), [])
    if not isinstance(value, list):
        return []
    named = [item.get(field) if isinstance(item, dict) else item for item in value]
    return [text.strip() for text in named if isinstance(text, str) and text.strip()]


def _bare(line: str) -> str:
    """A line without the quotes around it."""
    closed = len(line) > 1 and QUOTES.get(line[0]) == line[-1]
    return line[1:-1].strip() if closed else line
