"""A base case: a row with slots, the same value on both sides, and other ways to ask in one."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fucina.errors import RecipeError, nearest
from fucina.prepare import pattern as patterns
from fucina.prepare.marks import marked, marks_of
from fucina.prepare.sentence import Sentence
from fucina.records import Message, Span
from fucina.tasks import Task, as_text

__all__ = ["Base", "Case", "asking", "filled", "question", "read_case"]

# Other braces, such as those of code and JSON, are text; a backslash makes {name} text too.
SLOT = re.compile(r"(\\?)\{(\w+(?:\.\w+)?)\}")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A row to vary.

    Attributes:
        fields: By field of the task; of a conversation `messages` and `tools`.
        origin: What messages call it by; also its group.
    """

    fields: Row
    origin: str


@dataclass(frozen=True)
class Base:
    """A case that has been read.

    Attributes:
        case: The row.
        question: What is asked, as it is written.
        pattern: What is asked, with slots, parts that may be left out, and alternatives.
        beside: Slots in the rest of the row, sorted.
        marks: What is marked in the question as it is written, where rows answer with spans.
    """

    case: Case
    question: str
    pattern: patterns.Pattern
    beside: tuple[str, ...] = ()
    marks: tuple[Span, ...] = ()

    @property
    def slots(self) -> set[str]:
        """All slots of the row."""
        return {*self.pattern.slots, *self.beside}


def read_case(
    case: Case, task: Task, slots: Mapping[str, Sequence[str]], types: Collection[str] = ()
) -> Base:
    """Read the patterns of a row.

    Args:
        case: The row.
        task: Says what is asked and what is answered. Labels and spans are no patterns.
        slots: Slot name to its values.
        types: What spans may be; a slot that is called like one marks what stands in it.

    Raises:
        RecipeError: Nobody asks, a sign is never closed, a slot is not known, or the answer has
            one that not every way to ask has, or marks what cannot be marked.
    """
    asked = question(case.fields, task)
    if not asked.strip():
        raise RecipeError(
            f"{case.origin}: nothing is asked.", fix=f"Fill in {task.asked}, or leave the case out."
        )
    pattern = patterns.parse(asked, slots, where=case.origin)
    if task.answer == "label":
        return Base(case, asked, pattern)
    context, answer = _around(case.fields, task)
    given, said = _names(context, slots), _names(answer, slots)
    if task.marks:
        marks = marks_of(case.fields, task, pattern, types, where=case.origin)
        return Base(case, asked, pattern, tuple(sorted(given)), marks)
    for name in sorted(name for name in given | said if not patterns.values_of(name, slots)):
        hint = nearest(name, slots) if slots else "none is written yet."
        raise RecipeError(
            f"{case.origin}: no slot {name!r} beside the question.",
            fix=f"Write its values in augment.slots.{name}, write \\{{{name}}} if it is text, or "
            f"mend its name: {hint}",
        )
    for name in sorted(said - given - patterns.always(pattern)):
        raise RecipeError(
            f"{case.origin}: the answer has {{{name}}}, but not every way to ask has it.",
            fix=f"Put {{{name}}} where no bracket leaves it out of {asked!r}.",
        )
    return Base(case, asked, pattern, tuple(sorted(given | said)))


def question(fields: Row, task: Task) -> str:
    """What people write in a row: the field that is asked, or the last turn of the user.

    Empty where no user speaks before the last answer.
    """
    if "messages" not in fields:
        return as_text(fields.get(task.asked, ""))
    place = _last_user(fields["messages"])
    return "" if place is None else fields["messages"][place].content


def asking(fields: Row, task: Task, text: str) -> dict[str, Any]:
    """The row with another question."""
    if "messages" not in fields:
        return {**fields, task.asked: text}
    turns, place = list(fields["messages"]), _last_user(fields["messages"])
    if place is not None:
        turns[place] = replace(turns[place], content=text)
    return {**fields, "messages": tuple(turns)}


def filled(base: Base, task: Task, sentence: Sentence) -> dict[str, Any]:
    """The row of a case with values in its slots, and one of the ways to ask.

    Example:
        >>> import random
        >>> from fucina.tasks import get
        >>> fields, slots = {"prompt": "Piove a {citta}?", "answer": "No."}, {"citta": ["Cefalù"]}
        >>> base = read_case(Case(fields, "case 1"), get("chat"), slots)
        >>> (sentence,) = patterns.draw(base.pattern, slots, random.Random(0))
        >>> filled(base, get("chat"), sentence)
        {'prompt': 'Piove a Cefalù?', 'answer': 'No.'}
    """
    fields, values = asking(base.case.fields, task, sentence.text), sentence.values
    if task.answer == "label":
        return fields
    if task.marks:
        fields[task.answered] = marked(sentence, base.marks)
    if "messages" not in fields:
        own = {task.asked, task.answered} if task.marks else {task.asked}
        return {
            name: value if name in own else _filled(value, values) for name, value in fields.items()
        }
    place = _last_user(fields["messages"])
    turns = [
        turn if number == place else _filled(turn, values)
        for number, turn in enumerate(fields["messages"])
    ]
    return {**fields, "messages": tuple(turns)}


def _last_user(messages: Sequence[Message]) -> int | None:
    """The place of the question to the last answer."""
    answers = [place for place, turn in enumerate(messages) if turn.role == "assistant"]
    before = messages[: answers[-1]] if answers else messages
    asked = [place for place, turn in enumerate(before) if turn.role == "user"]
    return asked[-1] if asked else None


def _around(fields: Row, task: Task) -> tuple[Any, Any]:
    """What is said before the question, and what must come out."""
    if "messages" not in fields:
        beside = {name: value for name, value in fields.items() if name not in task.columns}
        beside |= {name: fields.get(name) for name in list(task.columns)[1:-1]}
        return list(beside.values()), None if task.marks else fields.get(task.answered)
    place = _last_user(fields["messages"]) or 0
    return fields["messages"][:place], fields["messages"][place + 1 :]


def _names(value: Any, slots: Mapping[str, Sequence[str]]) -> set[str]:
    """The slots of all texts in a value; with a dot only those that are known."""
    found: set[str] = set()

    def note(text: str) -> str:
        names = {name for escaped, name in SLOT.findall(text) if not escaped}
        found.update(n for n in names if "." not in n or patterns.values_of(n, slots))
        return text

    _each(value, note)
    return found


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """The value with slots filled in all its texts; JSON stays JSON."""

    def fill(text: str) -> str:
        written = values
        if text.lstrip()[:1] in {"[", "{"} and _is_json(text):
            written = {n: json.dumps(v, ensure_ascii=False)[1:-1] for n, v in values.items()}
        return SLOT.sub(lambda hit: hit[0][1:] if hit[1] else written.get(hit[2], hit[0]), text)

    return _each(value, fill)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Message):
        calls = tuple(_each(call, change) for call in value.tool_calls)
        return replace(value, content=change(value.content), tool_calls=calls)
    if isinstance(value, Mapping):
        return {name: _each(inner, change) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_each(inner, change) for inner in value)
    return value
