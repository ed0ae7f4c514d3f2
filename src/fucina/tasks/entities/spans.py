"""Read the spans of a row, in the ways in which annotation tools write them."""

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from fucina.errors import DataError
from fucina.records import Span
from fucina.tasks.entities.naming import place

__all__ = ["has_places", "read_spans"]

STARTS, ENDS = ("start", "start_offset", "begin"), ("end", "end_offset")
LABELS = ("label", "type", "entity_group", "tag")
WORDS = ("text", "word")
FORM = '[{"start": 5, "end": 17, "label": "PER"}]'


def read_spans(value: Any, text: str) -> tuple[Span, ...]:
    """The spans of a text, in order; spaces at their ends are left out.

    Args:
        value: A list, or one as JSON, of objects with start, end and label (also start_offset,
            end_offset, type) or of triples; offsets count characters, `end` is exclusive. Objects
            may have the words as text, and then no offsets.
        text: The text.

    Raises:
        DataError: A span has no type, lies outside the text, holds nothing, has other words than
            it says, or overlaps another; or its words leave open where it is.

    Example:
        >>> read_spans([[5, 18, "PER"]], "Ieri Giulia Ferri ha chiamato.")
        (Span(start=5, end=17, label='PER'),)
        >>> read_spans('[{"start": 0, "end": 99, "label": "PER"}]', "Ieri")
        Traceback (most recent call last):
        fucina.errors.DataError: span 0-99 lies outside the text of 4 characters. ...
        >>> read_spans([{"text": "Forlì", "label": "LOC"}], "Vado a Forlì.")
        (Span(start=7, end=12, label='LOC'),)
    """
    items = _listed(value)
    worded = [item for item in items if _is_worded(item)]
    named = place(text, [(_label(_first(i, LABELS), i), _first(i, WORDS)) for i in worded])
    found = sorted({*(_span(item, text) for item in items if not _is_worded(item)), *named})
    for one, other in pairwise(found):
        if other.start < one.end:
            raise DataError(
                f"{_told(one, text)} and {_told(other, text)} overlap.",
                fix="Keep one of them: spans that lie in others cannot be learnt.",
            )
    return tuple(found)


def has_places(value: Any) -> bool:
    """Whether this is a list of spans, not an answer in words.

    Example:
        >>> has_places('[{"start": 0, "end": 4, "label": "PER"}]'), has_places('[{"PER": "Anna"}]')
        (True, False)
        >>> has_places('[{"text": "Anna", "label": "PER"}]')
        True
    """
    if not isinstance(value, str):
        return True
    try:
        items = json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        return False
    return isinstance(items, list) and all(
        isinstance(item, list)
        or (isinstance(item, dict) and any(name in item for name in STARTS))
        or _is_worded(item)
        for item in items
    )


def _is_worded(item: Any) -> bool:
    """Whether a span has its words and type, and no places."""
    return (
        isinstance(item, Mapping)
        and isinstance(_first(item, WORDS), str)
        and _first(item, LABELS) is not None
        and _first(item, STARTS) is None
    )


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else []
        except json.JSONDecodeError as error:
            raise DataError(
                f"spans are not JSON ({error.msg.lower()}): {value[:60]!r}.", fix=f"Write {FORM}."
            ) from error
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(
            f"spans are a {type(value).__name__} where a list was expected.", fix=f"Write {FORM}."
        )
    return value


def _span(item: Any, text: str) -> Span:
    if isinstance(item, Mapping):
        parts = [_first(item, names) for names in (STARTS, ENDS, LABELS)]
    elif isinstance(item, list | tuple) and len(item) == 3:
        parts = list(item)
    else:
        raise DataError(
            f"a span is written as {json.dumps(item, ensure_ascii=False)[:80]}.",
            fix=f"Write {FORM}.",
        )
    start, end, label = parts
    if any(isinstance(n, bool) or not isinstance(n, int) for n in (start, end)):
        raise DataError(
            f"a span from {start!r} to {end!r}: these are no places in a text.",
            fix="Give start and end as whole numbers of characters, counted from 0.",
        )
    label = _label(label, f"{start}-{end}")
    if not 0 <= start < end <= len(text):
        what = "holds nothing" if start >= end else "lies outside the text"
        raise DataError(
            f"span {start}-{end} {what} of {len(text)} characters.",
            fix="Count characters (not bytes or tokens) from 0; end is the one behind the last.",
        )
    inside = text[start:end]
    said = _first(item, WORDS) if isinstance(item, Mapping) else None
    if isinstance(said, str) and said.strip() != inside.strip():
        raise DataError(
            f"span {start}-{end} is {inside!r} and says {said!r}.",
            fix="Count characters (not bytes or tokens) from 0, or leave out start and end.",
        )
    if not inside.strip():
        raise DataError(
            f"span {start}-{end} holds nothing but spaces.", fix="Leave it out, or move it."
        )
    start += len(inside) - len(inside.lstrip())
    end -= len(inside) - len(inside.rstrip())
    return Span(start, end, label)


def _label(label: Any, where: Any) -> str:
    if not isinstance(label, str) or not label.strip():
        raise DataError(f"span {where} has no type.", fix='Give each its type: "label": "PER".')
    return label.strip()


def _first(item: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((item[name] for name in names if name in item), None)


def _told(span: Span, text: str) -> str:
    return f"{span.label} {text[span.start : span.end]!r} ({span.start}-{span.end})"
