"""Classification: one label for a text, such as the intent of a customer's message."""

from collections.abc import Mapping

from fucina.records import Example
from fucina.tasks import Task

__all__ = ["TASK"]


def to_example(row: Mapping[str, str]) -> Example:
    """Read a row: the text goes in as it is, the label comes out."""
    return Example(row["text"], row["label"], row.get("group", ""))


TASK = Task(
    name="classification",
    summary="One label for a text: intents, topics, sentiment.",
    answer="label",
    columns={"text": "what the model reads", "label": "what it must answer"},
    to_example=to_example,
)
