"""Rows as other trainers read them: whole conversations, one JSON document a line."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["conversations", "flat", "json_lines"]


def conversations(
    rows: Iterable[Mapping[str, Any]], system: str | None
) -> tuple[Mapping[str, Any], ...]:
    """Put the system's turn in front of rows that have none, and leave groups out.

    Args:
        rows: Each with `messages`, and `tools` if it has some.
        system: What the system says first; None for nothing.

    Example:
        >>> row = {"messages": [{"role": "user", "content": "ciao"}], "group": "a"}
        >>> conversations([row], "Sii breve.")[0]["messages"][0]
        {'role': 'system', 'content': 'Sii breve.'}
    """
    return tuple(_opened(row, system) for row in rows)


def _opened(row: Mapping[str, Any], system: str | None) -> Mapping[str, Any]:
    messages = list(row["messages"])
    if system is not None and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return {"messages": messages, **({"tools": row["tools"]} if "tools" in row else {})}


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write tools and the arguments of calls as JSON in JSON.

    Readers that want every row in one shape would give each call the arguments of all others.

    Example:
        >>> call = {"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
        >>> turn = {"role": "assistant", "content": "", "tool_calls": [call]}
        >>> flat({"messages": [turn]})["messages"][0]["tool_calls"][0]["function"]["arguments"]
        '{"a": 1}'
    """
    kept: dict[str, Any] = {"messages": [_flat_turn(turn) for turn in row["messages"]]}
    if "tools" in row:
        kept["tools"] = json.dumps(row["tools"], ensure_ascii=False)
    return kept


def _flat_turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    calls = [
        {**call, "function": {**call["function"], "arguments": _text(call["function"])}}
        for call in turn.get("tool_calls", ())
    ]
    return {**turn, **({"tool_calls": calls} if calls else {})}


def _text(function: Mapping[str, Any]) -> str:
    given = function["arguments"]
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    r"""A file of rows, accents as letters.

    Example:
        >>> json_lines([{"a": "è"}])
        '{"a": "è"}\n'
    """
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
