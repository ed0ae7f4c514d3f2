"""Read the texts out of what a model wrote: JSON as asked for, or whatever it made of it."""

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["read_texts"]

THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
OPENING = re.compile(r"[{\[]")
LISTED = re.compile(r"^\s*(?:\d+\s*[.):]|[-*•])\s+(.+?)\s*$", re.MULTILINE)
BRACKETS = 200  # of prose that are tried as the beginning of JSON; a model gone wild writes more
QUOTES = {'"': '"', "“": "”", "«": "»"}


def read_texts(reply: str) -> list[str]:
    r"""The texts of a reply; none when it holds no JSON and no list.

    Args:
        reply: A JSON object or array, alone, in prose or in a fence of Markdown; or a list of
            lines with numbers or dashes.

    Example:
        >>> read_texts('Ecco:\n```json\n{"texts": ["Dov\'è?", "Perché?"]}\n```')
        ["Dov'è?", 'Perché?']
        >>> read_texts("1. «Dov'è?»\n2) Perché?")
        ["Dov'è?", 'Perché?']
        >>> read_texts('{"texts": ["Dov')
        []
    """
    said = THOUGHT.sub("", reply)
    for value in _values(said):
        texts = _texts(value)
        if texts:
            return texts
    return [_bare(line) for line in LISTED.findall(said)]


def _values(said: str) -> Iterator[Any]:
    """Each JSON object or array in a text, the outermost only."""
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


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        lists = [value["texts"]] if "texts" in value else list(value.values())
        return next((found for inner in lists if (found := _texts(inner))), [])
    if not isinstance(value, list):
        return []
    named = [item.get("text") if isinstance(item, dict) else item for item in value]
    return [text.strip() for text in named if isinstance(text, str) and text.strip()]


def _bare(line: str) -> str:
    """A line without the quotes around it."""
    closed = len(line) > 1 and QUOTES.get(line[0]) == line[-1]
    return line[1:-1].strip() if closed else line
