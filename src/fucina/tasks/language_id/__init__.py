"""Language identification: which language a short text is written in."""

from collections.abc import Mapping

from fucina.records import Example
from fucina.tasks import Task

__all__ = ["TASK"]


def to_example(row: Mapping[str, str]) -> Example:
    """Read a row: case says little about the language, and labels are lower-case codes."""
    return Example(row["text"], row["label"].strip().lower(), row.get("group", ""))


TASK = Task(
    name="language_id",
    summary="The language of a short text, as an ISO 639-1 code.",
    answer="label",
    columns={"text": "the text", "label": "its language: it, en, de, ..."},
    to_example=to_example,
)
