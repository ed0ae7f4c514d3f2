"""Conversations and instructions as labelled texts, and labelled texts as conversations."""

from collections.abc import Iterable, Mapping
from typing import Any

from fucina.errors import DataError
from fucina.records import Dataset

__all__ = ["detect", "from_alpaca", "from_turns", "to_messages"]

ROLES = {
    "human": "user", "user": "user", "prompter": "user",
    "gpt": "assistant", "assistant": "assistant", "model": "assistant", "bot": "assistant",
    "system": "system", "tool": "tool", "function": "tool", "function_call": "tool",
    "observation": "tool",
}  # fmt: skip


def detect(row: Mapping[str, Any]) -> str:
    """Tell by the keys of a row how it is written.

    Example:
        >>> detect({"messages": []}), detect({"instruction": "", "output": ""}), detect({"text": 1})
        ('messages', 'alpaca', 'columns')
    """
    if isinstance(row.get("messages"), list):
        return "messages"
    if isinstance(row.get("conversations"), list):
        return "sharegpt"
    if "instruction" in row and ("output" in row or "response" in row):
        return "alpaca"
    return "columns"


def from_turns(row: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    """Read a conversation as a labelled text: the last user turn, and the answer to it.

    Args:
        row: With a list of turns, {"role", "content"} or {"from", "value"}.
        key: `messages` or `conversations`.
        where: File and line, for messages.

    Raises:
        DataError: There is no user turn, no answer, or an unknown role.
    """
    turns = row.get(key)
    if not isinstance(turns, list):
        raise DataError(f"{where}: no list {key!r}.", fix="Write every row in the same format.")
    found: dict[str, str] = {}
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise DataError(f"{where}: a turn is not an object.", fix='Write {"role", "content"}.')
        role = str(turn.get("role", turn.get("from", "")))
        content = turn.get("content", turn.get("value"))
        if role not in ROLES:
            raise DataError(
                f"{where}: unknown role {role!r}.", fix="Use system, user and assistant."
            )
        found[ROLES[role]] = "" if content is None else str(content)
    for role in ("user", "assistant"):
        if role not in found:
            raise DataError(
                f"{where}: no {role} turn.", fix="Each row needs a question and a label."
            )
    return {"text": found["user"], "label": found["assistant"].strip()}


def from_alpaca(rows: Iterable[tuple[int, Mapping[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
    """Read instructions as labelled texts.

    An instruction that is the same in every row is the task, not the text, and is left out.

    Example:
        >>> from_alpaca([(1, {"instruction": "Classify.", "input": "ciao", "output": "hi"}),
        ...              (2, {"instruction": "Classify.", "input": "addio", "output": "bye"})])[1]
        (2, {'text': 'addio', 'label': 'bye'})
    """
    kept = list(rows)
    same = len({str(row.get("instruction", "")) for _, row in kept}) == 1
    result = []
    for number, row in kept:
        instruction, given = str(row.get("instruction") or ""), str(row.get("input") or "")
        text = given if given and same else "\n".join(part for part in (instruction, given) if part)
        answer = row.get("output", row.get("response"))
        result.append(
            (number, {"text": text, "label": "" if answer is None else str(answer).strip()})
        )
    return result


def to_messages(dataset: Dataset) -> list[dict[str, Any]]:
    """Write examples as chat messages, the form that other trainers read.

    Example:
        >>> from fucina.records import Example
        >>> to_messages(Dataset("d", (Example("ciao", "greeting"),)))[0]["messages"][1]
        {'role': 'assistant', 'content': 'greeting'}
    """
    return [
        {
            "messages": [
                {"role": "user", "content": example.prompt},
                {"role": "assistant", "content": example.target},
            ]
        }
        for example in dataset.examples
    ]
