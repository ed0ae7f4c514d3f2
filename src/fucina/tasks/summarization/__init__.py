"""Summarization: a few sentences for a dialogue, a mail thread, a visit."""

from collections.abc import Mapping
from typing import Any

from fucina.records import Example
from fucina.tasks import Judging, Task
from fucina.tasks.summarization.baselines import lead_3, longest_3
from fucina.tasks.summarization.scores import scores

__all__ = ["TASK"]


def to_example(row: Mapping[str, Any]) -> Example:
    """Read a dialogue, one turn a line, and its summary."""
    turns = [line.strip() for line in row["dialogue"].splitlines()]
    return Example("\n".join(filter(None, turns)), row["summary"].strip(), row.get("group", ""))


TASK = Task(
    name="summarization",
    summary="A short summary of a dialogue, judged by ROUGE.",
    answer="text",
    columns={"dialogue": "what was said, one turn a line", "summary": "its summary"},
    to_example=to_example,
    judging=Judging(
        headline="rougeL",
        scores=scores,
        baselines={"lead_3": lead_3, "longest_3": longest_3},
    ),
)
