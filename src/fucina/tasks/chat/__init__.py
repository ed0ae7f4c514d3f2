"""Chat: the next thing an assistant says, in its own manner; one turn or many, tools included."""

from collections.abc import Mapping
from typing import Any

from fucina.records import Example, Message
from fucina.tasks import Judging, Task

__all__ = ["TASK"]


def to_example(row: Mapping[str, Any]) -> Example:
    """Read a conversation, or a question and its answer as one."""
    group = row.get("group", "")
    if "messages" in row:
        return Example.of_conversation(row["messages"], tools=row["tools"], group=group)
    turns = [Message("user", row["prompt"]), Message("assistant", row["answer"])]
    if row.get("system"):
        turns.insert(0, Message("system", row["system"]))
    return Example.of_conversation(turns, group=group)


TASK = Task(
    name="chat",
    summary="The next thing an assistant says: personas, support, tools.",
    answer="text",
    columns={"prompt": "what is asked", "answer": "what the assistant says"},
    to_example=to_example,
    optional={"system": "what the system says first"},
    conversations=True,
    judging=Judging(headline="perplexity"),
)
