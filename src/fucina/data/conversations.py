"""Conversations as other tools write them: messages, ShareGPT, Alpaca."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fucina.errors import DataError, nearest
from fucina.records import Message, Role

__all__ = [
    "TURNS",
    "detect",
    "from_alpaca",
    "last_pair",
    "thoughts",
    "tools_of",
    "turns",
]

ROLES: dict[str, Role] = {
    "human": "user", "user": "user", "prompter": "user",
    "gpt": "assistant", "assistant": "assistant", "model": "assistant", "bot": "assistant",
    "chatgpt": "assistant", "function_call": "assistant", "tool_call": "assistant",
    "system": "system", "developer": "system",
    "tool": "tool", "function": "tool", "observation": "tool", "function_response": "tool",
    "tool_response": "tool",
}  # fmt: skip
CALLS = ("function_call", "tool_call")  # roles whose text is a call
# Where OpenAI, LLaMA-Factory and Axolotl write whether a turn is learnt.
WEIGHTS = ("weight", "loss_weight", "train", "training")
THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # keys of a turn, or kinds of its parts
TURNS = {"messages": "messages", "sharegpt": "conversations"}  # format → key of the turns


def detect(row: Mapping[str, Any]) -> str:
    """Tell by the keys of a row how it is written.

    Example:
        >>> detect({"messages": []}), detect({"instruction": "", "output": ""}), detect({"text": 1})
        ('messages', 'alpaca', 'columns')
    """
    for form, key in TURNS.items():
        if isinstance(row.get(key), list):
            return form
    if "instruction" in row and ("output" in row or "response" in row):
        return "alpaca"
    return "columns"


def turns(row: Mapping[str, Any], key: str, where: str) -> tuple[Message, ...]:
    """Read the turns of a conversation.

    Args:
        row: With a list of turns, {"role", "content"} or {"from", "value"}; ShareGPT may have the
            system's turn as a key of its own.
        key: `messages` or `conversations`.
        where: File and line, for messages.

    Raises:
        DataError: There is no list of turns, an unknown role, a call that is not JSON, or no
            answer that is learnt.

    Example:
        >>> row = {"conversations": [{"from": "human", "value": "ciao"},
        ...                          {"from": "gpt", "value": "Ciao!"}]}
        >>> [message.role for message in turns(row, "conversations", "a.json, line 1")]
        ['user', 'assistant']
    """
    given = row.get(key)
    if not isinstance(given, list):
        raise DataError(f"{where}: no list {key!r}.", fix="Write every row in the same format.")
    found = [_message(turn, where) for turn in given]
    system = row.get("system")
    if system and not any(message.role == "system" for message in found):
        found.insert(0, Message("system", str(system)))
    if (answers := [turn.learnt for turn in found if turn.role == "assistant"]) and not any(
        answers
    ):
        raise DataError(
            f"{where}: nothing is learnt of this conversation: every answer has weight 0.",
            fix="Give an answer weight 1, or delete the row.",
        )
    return tuple(_joined(found))


def _joined(messages: Sequence[Message]) -> list[Message]:
    """Join a call to the calls right before it: some formats write each as a turn of its own."""
    kept: list[Message] = []
    for message in messages:
        only_calls = message.tool_calls and not message.content
        if kept and only_calls and kept[-1].tool_calls and kept[-1].role == "assistant":
            last = kept.pop()
            calls = last.tool_calls + message.tool_calls
            message = replace(message, content=last.content, tool_calls=calls)
        kept.append(message)
    return kept


def _message(turn: Any, where: str) -> Message:
    if not isinstance(turn, Mapping):
        raise DataError(f"{where}: a turn is not an object.", fix='Write {"role", "content"}.')
    name = str(turn.get("role", turn.get("from", "")))
    if name not in ROLES:
        raise DataError(
            f"{where}: unknown role {name!r}.",
            fix=f"Use system, user, assistant and tool; {nearest(name, ROLES)}",
        )
    content, parts = _text(turn.get("content", turn.get("value")), where)
    given = turn.get("tool_calls") or parts
    if name in CALLS:
        given, content = _json(content, where, "a call"), ""
    elif isinstance(turn.get("function_call"), Mapping):
        given = [turn["function_call"]]
    listed = [given] if isinstance(given, Mapping) else list(given)
    return Message(
        ROLES[name],
        content,
        tuple(_call(call, where) for call in listed),
        str(turn.get("name") or ""),
        ROLES[name] != "assistant" or all(_learnt(turn, key, where) for key in WEIGHTS),
    )


def _learnt(turn: Mapping[str, Any], key: str, where: str) -> bool:
    given = turn.get(key)
    if given not in (None, 0, 1):
        raise DataError(
            f"{where}: {key} of a turn is {given!r}.",
            fix="Write 1 for a turn that is learnt and 0 for one that is not.",
        )
    return given != 0


def _text(content: Any, where: str) -> tuple[str, list[Any]]:
    """The text of a turn, and calls in it; some formats write it as a list of parts."""
    if not isinstance(content, list):
        whole = json.dumps(content, ensure_ascii=False) if isinstance(content, Mapping) else content
        return "" if whole is None else str(whole), []
    said, calls = [], []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        text = part.get("text", part.get("value")) if isinstance(part, Mapping) else part
        if kind in CALLS:
            calls.append(_json(str(text), where, "a call"))
        elif kind == "text" and isinstance(text, str):
            said.append(text)
        elif kind not in THOUGHTS:
            raise DataError(
                f"{where}: a turn holds a part that is no text ({kind}).",
                fix="Leave out images and sounds: only text is learnt.",
            )
    return "\n".join(said), calls


def thoughts(row: Mapping[str, Any], key: str) -> int:
    """How many turns hold thoughts beside what is said; they are not read.

    Example:
        >>> turn = {"role": "assistant", "reasoning_content": "Hm.", "content": "Sì."}
        >>> thoughts({"messages": [turn]}, "messages")
        1
    """
    return sum(
        any(turn.get(name) for name in THOUGHTS)
        or any(isinstance(p, Mapping) and p.get("type") in THOUGHTS for p in _parts(turn))
        for turn in row.get(key) or ()
        if isinstance(turn, Mapping)
    )


def _parts(turn: Mapping[str, Any]) -> Sequence[Any]:
    given = turn.get("content", turn.get("value"))
    return given if isinstance(given, list) else ()


def _call(call: Any, where: str) -> Mapping[str, Any]:
    """A call in OpenAI's form, its arguments as an object."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise DataError(
            f"{where}: a tool call without a name.",
            fix='Write {"type": "function", "function": {"name": "…", "arguments": {…}}}.',
        )
    arguments = function.get("arguments", function.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _json(arguments or "{}", where, f"the arguments of {function['name']}")
    return {
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }


def _json(text: str, where: str, what: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: {what} is not JSON ({error.msg.lower()}).",
            fix='Write {"name": "…", "arguments": {…}}.',
        ) from error


def tools_of(row: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any], ...]:
    """Read what the assistant may call: a list, or the same as JSON text.

    Raises:
        DataError: They are not a list of functions with names.

    Example:
        >>> found = tools_of({"tools": [{"name": "weather", "parameters": {}}]}, "a.jsonl, line 1")
        >>> found[0]["function"]["name"]
        'weather'
    """
    given = row.get("tools") or row.get("functions") or []
    if isinstance(given, str):
        given = _json(given, where, "tools")
    if not isinstance(given, list):
        raise DataError(f"{where}: tools is not a list.", fix="Write a list of functions.")
    found = []
    for tool in given:
        function = tool.get("function", tool) if isinstance(tool, Mapping) else {}
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise DataError(
                f"{where}: a tool without a name.",
                fix='Write {"type": "function", "function": {"name": "…", "parameters": {…}}}.',
            )
        found.append({"type": "function", "function": dict(function)})
    return tuple(found)


def last_pair(messages: Sequence[Message], where: str) -> tuple[str, str]:
    """Read a conversation as one question and its answer: the last of each.

    Raises:
        DataError: Nobody asks, or nobody answers.

    Example:
        >>> turns = [Message("user", "ciao"), Message("assistant", " greeting ")]
        >>> last_pair(turns, "a.jsonl, line 1")
        ('ciao', 'greeting')
    """
    for role in ("user", "assistant"):
        if not any(m.role == role and (m.content.strip() or m.tool_calls) for m in messages):
            raise DataError(
                f"{where}: no {role} turn that says something.",
                fix="Each conversation needs a question and an answer; fill in or delete this row.",
            )
    last = {message.role: message.content for message in messages}
    return last["user"], last["assistant"].strip()


def from_alpaca(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
) -> list[tuple[int, dict[str, Any]]]:
    """Read instructions as prompts and answers.

    An instruction that is the same in every row is the task, not the text: it becomes the
    system's turn.

    Example:
        >>> from_alpaca([(1, {"instruction": "Classify.", "input": "ciao", "output": "hi"}),
        ...              (2, {"instruction": "Classify.", "input": "addio", "output": "bye"})])[1]
        (2, {'prompt': 'addio', 'answer': 'bye', 'system': 'Classify.'})
    """
    kept = list(rows)
    same = len({str(row.get("instruction", "")) for _, row in kept}) == 1
    result = []
    for number, row in kept:
        instruction, given = str(row.get("instruction") or ""), str(row.get("input") or "")
        system, text = str(row.get("system") or ""), given
        if given and same and not system:
            system = instruction
        else:
            text = "\n".join(part for part in (instruction, given) if part)
        answer = row.get("output", row.get("response"))
        found = {"prompt": text, "answer": "" if answer is None else str(answer).strip()}
        result.append((number, found | ({"system": system} if system else {})))
    return result
