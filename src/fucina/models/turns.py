"""Turns as chat templates expect them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fucina.records import Message

__all__ = ["plain_turns"]


def plain_turns(messages: Sequence[Message], *, as_text: bool = False) -> list[dict[str, Any]]:
    """Write turns as objects; calls get numbers, which some templates demand.

    Args:
        messages: The turns.
        as_text: Write the arguments of calls as JSON text.

    Example:
        >>> plain_turns([Message("user", "ciao")])
        [{'role': 'user', 'content': 'ciao'}]
    """
    plain: list[dict[str, Any]] = []
    open_calls: Iterator[str] = iter(())
    for message in messages:
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            names = [
                f"call{len(plain):03d}{number:02d}" for number in range(len(message.tool_calls))
            ]
            calls = zip(message.tool_calls, names, strict=True)
            turn["tool_calls"] = [{**_call(call, as_text), "id": name} for call, name in calls]
            open_calls = iter(names)
        if message.role == "tool":
            turn["tool_call_id"] = next(open_calls, f"call{len(plain):03d}00")
            turn |= {"name": message.name} if message.name else {}
        plain.append(turn)
    return plain


def _call(call: Mapping[str, Any], as_text: bool) -> Mapping[str, Any]:
    if not as_text:
        return call
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": {**function, "arguments": arguments}}
