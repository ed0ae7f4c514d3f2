"""Rows as files have them: conversations as messages, columns as they were read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fucina.records import Dataset, Message

__all__ = ["to_messages", "to_rows"]


def to_messages(dataset: Dataset) -> list[dict[str, Any]]:
    """Write examples as chat messages, the form that this and other trainers read.

    A conversation keeps all its turns, its tools and its group; a labelled text becomes two turns.

    Example:
        >>> from fucina.records import Example
        >>> to_messages(Dataset("d", (Example("ciao", "greeting"),)))[0]["messages"][1]
        {'role': 'assistant', 'content': 'greeting'}
    """
    rows = []
    for example in dataset.examples:
        turns = example.messages or (
            Message("user", example.prompt), Message("assistant", example.target)
        )  # fmt: skip
        row: dict[str, Any] = {"messages": [_written(turn) for turn in turns]}
        if example.tools:
            row["tools"] = [dict(tool) for tool in example.tools]
        if example.group:
            row["group"] = example.group
        rows.append(row)
    return rows


def to_rows(dataset: Dataset, columns: Mapping[str, str], folder: Path) -> list[dict[str, Any]]:
    """Write examples as rows that `load` reads again, all in one form; groups apart.

    Args:
        dataset: Where one was read as a conversation, or was not read at all, all become messages
            with their facts beside them.
        columns: Field to column, where it is not called like the field.
        folder: Of the file to be written: paths in rows are relative to it.

    Example:
        >>> from fucina.tasks import get
        >>> row = get("chat").read({"prompt": "ciao", "answer": "Ciao!"})
        >>> to_rows(Dataset("d", (row,)), {"prompt": "domanda"}, Path("job"))
        [{'domanda': 'ciao', 'answer': 'Ciao!'}]
    """
    if any("messages" in e.fields or not e.fields for e in dataset.examples):
        spoken = [{k: v for k, v in row.items() if k != "group"} for row in to_messages(dataset)]
        return [{**row, **e.facts} for row, e in zip(spoken, dataset.examples, strict=True)]
    names = list(dict.fromkeys(name for e in dataset.examples for name in e.fields))
    if "group" in names:
        names.remove("group")
    return [
        {columns.get(name, name): fields.get(name, "") for name in names}
        for fields in (example.fields_at(folder) for example in dataset.examples)
    ]


def _written(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [_written_call(call) for call in message.tool_calls]
    if message.name:
        turn["name"] = message.name
    if not message.learnt:
        turn["weight"] = 0
    return turn


def _written_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    if isinstance(function["arguments"], str):  # text where an object is usual is JSON in JSON
        function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": function}
