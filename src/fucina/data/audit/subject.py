"""What the checks look at."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.records import Answer as Kind
from fucina.records import Dataset, Example, Finding, Message, Predictions

if TYPE_CHECKING:
    from fucina.config import RuleConfig
    from fucina.models.pairing import Pairing
    from fucina.models.template import Template

__all__ = [
    "SHOWN",
    "Answer",
    "Subject",
    "Turn",
    "answers",
    "brief",
    "conversation",
    "prose",
    "shown",
    "turns",
]

SHOWN = 5  # rows named in a message; the finding itself holds them all


@dataclass(frozen=True)
class Subject:
    """The rows of a recipe with what the checks need to know of it.

    Attributes:
        train: The rows to learn from.
        validation: The rows to choose the best epoch on, when they come from their own file.
        test: The rows to judge on, when they come from their own file.
        answer: The kind of answer of the task.
        folds: K, or 0.
        allow_duplicates: Rows of train may be in test.
        max_length_tokens: Longer texts are cut.
        count_tokens: Gives the token counts of n texts; None where no tokenizer is at hand.
        out_of_fold: Answers of a k-fold run on these rows; None where there is none.
        template: How the base model wants conversations; None where no tokenizer is at hand.
        rules: What every answer must keep.
        own: The checks of the task alone, of one file at a time.
        read: Makes an example of a row of columns anew, for rows that were mended.
        parts: Name of each task that rows are of, where there are several, to its own checks; the
            rows of each are looked at alone.
    """

    train: Dataset
    validation: Dataset | None = None
    test: Dataset | None = None
    answer: Kind = "label"
    folds: int = 0
    allow_duplicates: bool = False
    max_length_tokens: int = 0
    count_tokens: Callable[[Sequence[str]], np.ndarray] | None = None
    out_of_fold: Predictions | None = None
    template: "Template | Pairing | None" = None
    rules: "tuple[RuleConfig, ...]" = ()
    own: tuple[Callable[[Dataset], list[Finding]], ...] = ()
    read: Callable[[Mapping[str, Any]], Example] | None = None
    parts: Mapping[str, tuple[Callable[[Dataset], list[Finding]], ...]] = field(
        default_factory=dict
    )

    @property
    def sides(self) -> list[Dataset]:
        """Train, then validation and test where they have a file."""
        return [rows for rows in (self.train, self.validation, self.test) if rows is not None]


@dataclass(frozen=True)
class Turn:
    """What is said in one turn of a row, tool calls included.

    Attributes:
        where: For messages: `turn 2 (assistant)`; empty for a labelled text.
        role: Who speaks.
        text: What is said.
    """

    where: str
    role: str
    text: str


@dataclass(frozen=True)
class Answer:
    """An answer of a row that is learnt.

    Attributes:
        origin: Of the row.
        where: Empty for the last answer, `turn 2: ` for earlier ones.
        question: What the user said last before it.
        text: What the assistant says.
        calls: Whether it calls tools.
    """

    origin: str
    where: str
    question: str
    text: str
    calls: bool = False


def conversation(example: Example) -> tuple[Message, ...]:
    """The turns of a row: its own, or its prompt and target as two."""
    return example.messages or (
        Message("user", example.prompt), Message("assistant", example.target)
    )  # fmt: skip


def turns(example: Example, answer: str) -> list[Turn]:
    """All that a row says, turn by turn; of a text with a label or spans only the text.

    Example:
        >>> [turn.where for turn in turns(Example("ciao", "Ciao!"), "text")]
        ['turn 1 (user)', 'turn 2 (assistant)']
    """
    if answer != "text":
        return [Turn("", "user", example.prompt)]
    found = []
    for number, turn in enumerate(conversation(example), 1):
        calls = [json.dumps(call, ensure_ascii=False, default=dict) for call in turn.tool_calls]
        text = "\n".join([turn.content, *calls]) if calls else turn.content
        found.append(Turn(f"turn {number} ({turn.role})", turn.role, text))
    return found


def answers(rows: Dataset) -> list[Answer]:
    """Every turn of the assistant, in the order of the rows."""
    found = []
    for example in rows.examples:
        question = ""
        said = conversation(example)
        for number, turn in enumerate(said, 1):
            if turn.role == "user":
                question = turn.content
            elif turn.role == "assistant":
                where = "" if number == len(said) else f"turn {number}: "
                found.append(
                    Answer(example.origin, where, question, turn.content, bool(turn.tool_calls))
                )
    return found


def shown(names: Sequence[str], separator: str = ", ") -> str:
    """The first few of many, and how many more there are.

    Example:
        >>> shown(["a", "b", "c", "d", "e", "f", "g"])
        'a, b, c, d, e and 2 more'
    """
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return separator.join(names[:SHOWN]) + more


def brief(text: str, length: int = 60) -> str:
    """The beginning of a text on one line.

    Example:
        >>> brief("uno  due tre", 9)
        'uno due …'
    """
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def prose(text: str) -> bool:
    """Whether the end of a text is words rather than code.

    Example:
        >>> prose("Ci vediamo domani"), prose("sed -i 's/a/b/' *.txt")
        (True, False)
    """
    end = text[-200:].rstrip()
    plain = sum(letter.isalpha() or letter in " \n,.'’!?" for letter in end)
    spaced = " " in end or any(ord(letter) > 0x2E80 for letter in end)  # Chinese has no spaces
    return spaced and plain >= 0.87 * len(end)
