"""Hashtags: the tags that a good editor gives a post."""

from collections.abc import Mapping
from typing import Any

from fucina.records import Example
from fucina.tasks import Choices, Judging, Task
from fucina.tasks.hashtags.baselines import frequent, keywords, nearest
from fucina.tasks.hashtags.grammars import any_tags, known_tags
from fucina.tasks.hashtags.scores import read_tags, scores, written

__all__ = ["TASK"]


def to_example(row: Mapping[str, Any]) -> Example:
    """Read a post and its tags, given as a JSON list or as text."""
    return Example(row["text"].strip(), written(read_tags(row["hashtags"])), row.get("group", ""))


TASK = Task(
    name="hashtags",
    summary="The hashtags of a post, scored as a set.",
    answer="text",
    columns={"text": "the post", "hashtags": "its tags: a list, or text such as #pane #forno"},
    to_example=to_example,
    judging=Judging(
        headline="f1",
        scores=scores,
        baselines={"frequent": frequent, "keywords": keywords, "nearest": nearest},
    ),
    choices=Choices(grammars={"tags": any_tags, "known": known_tags}),
)
