"""Rows as each way asks them: behind a system's prompt, behind examples, or behind documents."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from fucina.records import Example, Hit, Message
from fucina.retrieval.prompting import prompt_of, tame

__all__ = [
    "as_label",
    "asked_of",
    "behind",
    "choosing",
    "exchange",
    "joined",
    "naming",
    "question_of",
    "with_shots",
    "with_turns",
]


def asked_of(row: Example, system: str) -> tuple[Message, ...]:
    r"""The turns before the answer of a row, with the system's words in front.

    Args:
        row: A conversation, or a prompt alone.
        system: What is said to every row; of rows that say something themselves it stands before.

    Example:
        >>> [turn.content for turn in asked_of(Example("Che ore sono?", "Le sei."), "Sei breve.")]
        ['Sei breve.', 'Che ore sono?']
    """
    turns = row.messages[:-1] if row.messages else (Message("user", row.prompt),)
    if not system:
        return turns
    if turns[0].role != "system":
        return (Message("system", system), *turns)
    own = turns[0].content
    said = own if own.startswith(system) else f"{system}\n\n{own}"
    return (Message("system", said), *turns[1:])


def question_of(row: Example) -> str:
    """What the last turn of the user asks, by which documents are looked up."""
    said = [turn.content for turn in row.messages[:-1] if turn.role == "user"]
    return said[-1] if said else row.prompt


def exchange(row: Example) -> tuple[Message, Message]:
    """The last question and answer of a row, as an example to show."""
    return Message("user", question_of(row)), Message("assistant", row.target)


def with_shots(turns: Sequence[Message], shots: Sequence[Example]) -> tuple[Message, ...]:
    """Turns with examples between the system's words and the rest.

    Example:
        >>> shots = [Example("Due?", "2")]
        >>> [turn.content for turn in with_shots([Message("user", "Tre?")], shots)]
        ['Due?', '2', 'Tre?']
    """
    first = 1 if turns and turns[0].role == "system" else 0
    shown = [turn for shot in shots for turn in exchange(shot)]
    return (*turns[:first], *shown, *turns[first:])


def joined(system: str, session: str) -> str:
    """What the system says, the session last."""
    told = f"Session:\n{tame(session)}" if session else ""
    return "\n\n".join(filter(None, (system, told)))


def behind(
    row: Example,
    hits: Sequence[Hit],
    shots: Sequence[Example],
    told: tuple[str, str],
    count: Callable[[str], int],
    room: int,
) -> tuple[Message, ...]:
    """The turns of a row behind documents, or behind training rows that are like it.

    Args:
        row: What is asked.
        hits: Chunks of documents; none where they are not likely to have the answer.
        shots: Training rows that are like it.
        told: What the system says, and what the session is.
        count: How many tokens a text has.
        room: Tokens that all may take together.

    Raises:
        DataError: There is no room for one document.
    """
    system, session = told
    if not hits:
        return with_shots(asked_of(row, joined(system, session)), shots)
    turns = asked_of(row, system)
    own = turns[0].content if turns[0].role == "system" else ""
    history = turns[1:-1] if own else turns[:-1]
    return prompt_of(
        turns[-1].content, hits, count, room=room, system=own, session=session, history=history
    ).messages


def with_turns(row: Example, turns: Sequence[Message]) -> Example:
    """A row that asks with other turns and has the same answer."""
    last = row.messages[-1] if row.messages else Message("assistant", row.target)
    return replace(row, messages=(*turns, last))


def choosing(labels: Sequence[str]) -> str:
    """What a model is told that has not learnt to give labels.

    Example:
        >>> choosing(["bolletta", "guasto"])
        'Answer with one of these labels, and nothing else: bolletta, guasto.'
    """
    return f"Answer with one of these labels, and nothing else: {', '.join(labels)}."


def naming(types: Sequence[str]) -> str:
    """The same of one that has not learnt to mark spans, whose answer is written.

    Example:
        >>> naming(["PER", "LOC"]).splitlines()[1]
        'such as LOC: words of the text; LOC: other words.'
    """
    kind = sorted(types)[0] if types else "TYPE"
    return (
        f"Name what the text has of these types: {', '.join(types)}. Write each as TYPE: words,\n"
        f"such as {kind}: words of the text; {kind}: other words.\n"
        "Write - where it has none, and nothing else."
    )


def as_label(answer: str, labels: Sequence[str]) -> str:
    """The label that an answer means: its own words, or the only one that it names.

    An answer that names none, or several, stays as it is, and is wrong.

    Example:
        >>> labels = ["carta_persa", "carta", "Saldo"]
        >>> as_label("**saldo**.", labels), as_label("Direi carta_persa", labels)
        ('Saldo', 'carta_persa')
        >>> as_label("saldo o carta?", labels)
        'saldo o carta?'
    """
    plain = {_plain(label): label for label in labels}
    said = _plain(answer)
    if said in plain:
        return plain[said]
    named = [
        label for label in labels
        if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", answer, re.IGNORECASE)
    ]  # fmt: skip
    return named[0] if len(named) == 1 else answer


def _plain(text: str) -> str:
    return re.sub(r"^\W+|\W+$", "", text).casefold()
