"""Write an example as the columns that it would be read from."""

from dataclasses import asdict
from typing import Any

from fucina.records import Answer, Example

__all__ = ["to_columns"]


def to_columns(example: Example, answer: Answer) -> dict[str, Any]:
    """Text and label, or text and spans.

    Example:
        >>> from fucina.records import Span
        >>> to_columns(Example("A Roma", "LOC: Roma", spans=(Span(2, 6, "LOC"),)), "spans")
        {'text': 'A Roma', 'spans': [{'start': 2, 'end': 6, 'label': 'LOC'}]}
    """
    if answer == "spans":
        return {"text": example.prompt, "spans": [asdict(span) for span in example.spans]}
    return {"text": example.prompt, "label": example.target}
