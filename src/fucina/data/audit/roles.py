"""The order of turns: who may speak after whom, and tools that are called and answer."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from fucina.data.audit.subject import Subject, brief, shown
from fucina.records import Dataset, Example, Finding, Message

__all__ = ["check", "joined"]

FIXES = {
    "system": "Let the system speak once, first.",
    "order": "Let user and assistant take turns; --fix joins turns of the user and drops "
    "repeated ones.",
    "beginning": "Begin with a question, or put these words into the system's turn.",
    "orphan": "Write the call before it, or leave the turn out.",
    "unanswered": "Write what the tool answered, as a turn of role tool.",
    "undeclared": "List what may be called beside messages, as tools: with name and parameters.",
    "left_out": "Write the answer to it, or delete the turns; nothing is learnt from them.",
}


def check(subject: Subject) -> list[Finding]:
    """Look at the turns of every row."""
    found = []
    for rows in subject.sides:
        found += _side(rows)
    return found


def _side(rows: Dataset) -> list[Finding]:
    seen: dict[str, list[tuple[Example, str]]] = {}
    for example in rows.examples:
        for kind, what in _problems(example):
            seen.setdefault(kind, []).append((example, what))
    found = []
    for kind in sorted(seen, key=list(FIXES).index):
        hits = seen[kind]
        counts = Counter(what.partition(" in turn ")[0] for _, what in hits)
        told = "; ".join(f"{what} ({count:,})" for what, count in counts.most_common(3))
        origins = tuple(dict.fromkeys(example.origin for example, _ in hits))
        repairs = {}
        if kind == "order":
            mended = {e.origin: joined(e.messages) for e, _ in hits}
            repairs = {e.origin: new for e, _ in hits if (new := mended[e.origin]) != e.messages}
        found.append(
            Finding(
                f"roles_{kind}", "note" if kind == "left_out" else "warning",
                f"{len(origins):,} of {len(rows):,} {rows.name} rows: {told} ({shown(origins)}).",
                FIXES[kind],
                tuple(example.origin for example, _ in hits),
                tuple(f"{what}: {_said(example)}" for example, what in hits),
                repairs,
            )
        )  # fmt: skip
    return found


def _said(example: Example) -> str:
    order = " ".join(turn.role for turn in example.messages[:6])
    return f"{order}{' …' if len(example.messages) > 6 else ''}: {brief(example.prompt, 40)}"


def _problems(example: Example) -> list[tuple[str, str]]:
    said = example.messages
    found = [*_systems(said), *_order(said), *_tools(said)]
    names = {tool["function"]["name"] for tool in example.tools}
    called = [call["function"]["name"] for turn in said for call in turn.tool_calls]
    unknown = list(dict.fromkeys(name for name in called if name not in names))
    if unknown and not names:
        found.append(("undeclared", "calls tools, and lists none"))
    elif unknown:
        found.append(("undeclared", f"calls {', '.join(map(repr, unknown))}, which is not listed"))
    if example.left_out:
        roles = ", ".join(turn.role for turn in example.left_out)
        found.append(("left_out", f"goes on after the last answer ({roles}), which is left out"))
    return found


def _systems(said: Sequence[Message]) -> list[tuple[str, str]]:
    places = [i for i, turn in enumerate(said) if turn.role == "system"]
    if len(places) > 1:
        return [("system", f"the system speaks {len(places)} times")]
    return [("system", f"the system speaks in turn {places[0] + 1}")] if places[:1] > [0] else []


def _order(said: Sequence[Message]) -> list[tuple[str, str]]:
    spoken = [(i, turn) for i, turn in enumerate(said, 1) if turn.role != "system"]
    found = []
    if spoken and spoken[0][1].role == "assistant":
        found.append(("beginning", "the assistant begins"))
    for (_, before), (number, turn) in pairwise(spoken):
        if before.role == turn.role and turn.role != "tool" and not before.tool_calls:
            found.append(("order", f"two turns of the {turn.role} in a row in turn {number}"))
    return found


def _tools(said: Sequence[Message]) -> list[tuple[str, str]]:
    """Calls and answers that do not belong together; a call may be the last thing learnt."""
    found = []
    waiting = 0  # calls that no tool has answered yet
    for number, turn in enumerate(said, 1):
        if turn.role == "tool":
            if not waiting:
                found.append(("orphan", f"a tool answers uncalled in turn {number}"))
            waiting = max(waiting - 1, 0)
            continue
        if waiting and turn.role != "system":
            found.append(("unanswered", f"a call has no answer in turn {number - 1}"))
            waiting = 0
        waiting = waiting + len(turn.tool_calls)
    return found


def joined(said: Sequence[Message]) -> tuple[Message, ...]:
    """Turns of the user in a row as one, and turns that repeat the one before left out.

    Two different answers in a row stay: which of them is meant, or whether both are, only a
    person can tell.

    Example:
        >>> turns = [Message("user", said) for said in ("Ciao", "Dove sei?", "Dove sei?")]
        >>> [turn.content.splitlines() for turn in joined(turns)]
        [['Ciao', 'Dove sei?']]
    """
    kept: list[Message] = []
    for before, turn in zip([None, *said], said, strict=False):
        if turn == before and turn.role in {"user", "assistant"}:
            continue
        if kept and turn.role == kept[-1].role == "user":
            kept[-1] = Message("user", f"{kept[-1].content}\n{turn.content}")
        else:
            kept.append(turn)
    return tuple(kept)
