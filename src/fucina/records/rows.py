"""Rows, what was noticed about them, and how they are divided."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "Answer",
    "Dataset",
    "Example",
    "Finding",
    "Message",
    "Repair",
    "Role",
    "Span",
]

Answer = Literal["label", "text", "spans"]
Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        content: What is said; may be empty where the assistant only calls tools.
        tool_calls: What the assistant calls, in OpenAI's form, `arguments` as an object:
            {"type": "function", "function": {"name", "arguments"}}.
        name: Of the tool that answers.
        learnt: The row does not say that nothing is learnt of this turn of the assistant.
    """

    role: Role
    content: str
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    name: str = ""
    learnt: bool = True


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of a text and what it is.

    Attributes:
        start: Its first character, counted from 0.
        end: The character behind its last.
        label: Its type, such as `PER`.
    """

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Example:
    """One row as the model sees it.

    Attributes:
        prompt: What goes in; of a conversation, all that is said before the last answer, without
            the system's turn.
        target: What must come out: a label's name, or the last answer.
        group: Rows of one group never stand on both sides of a split; empty is "its own group".
        origin: File and row it was read from, for messages: `train.csv:17`.
        messages: The whole conversation where the row is one; its last turn is the target.
        tools: What the assistant may call, in OpenAI's form.
        left_out: Turns after the last answer, from which nothing can be learnt.
        facts: What judging an answer needs beside the target, such as the path of a database.
        spans: What is marked in the prompt, in order and apart; the target says it in words.
        odds: How likely each label is, where a teacher says it; then that is learnt, and the
            target only judged by.
        fields: The row that it was made of, by field of the task, so that it can be varied and
            written again; empty where it was made otherwise.
        paths: Fields of the row that are paths from where its file stands, to where they lead.
    """

    prompt: str
    target: str
    group: str = ""
    origin: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    left_out: tuple[Message, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    odds: tuple[float, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    paths: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def fields_at(self, folder: Path) -> dict[str, Any]:
        """The row as a file in another folder has it: its paths lead where they led before.

        Args:
            folder: Of the file.

        Example:
            >>> row = Example("?", "!", fields={"file": "b.db"}, paths={"file": "/job/b.db"})
            >>> row.fields_at(Path("/job/mended"))["file"]
            '../b.db'
        """
        return {**self.fields, **{name: _from(folder, to) for name, to in self.paths.items()}}

    @classmethod
    def of_conversation(
        cls,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        group: str = "",
    ) -> "Example":
        """Make a row of a conversation; turns after the last answer are left out.

        An answer that is missing is an empty one, so that the checks can name its row. Of answers
        of which some are not learnt, the last that is counts as the last.

        Args:
            messages: Its turns.
            tools: What it may call.
            group: Of the row.

        Example:
            >>> turns = [("user", "ciao"), ("assistant", "Ciao!"), ("user", "?")]
            >>> row = Example.of_conversation([Message(role, text) for role, text in turns])
            >>> row.prompt, row.target, len(row.messages)
            ('ciao', 'Ciao!', 2)
        """
        turns = tuple(messages)
        if not any(message.role == "assistant" for message in turns):
            turns += (Message("assistant", ""),)
        last = max((turn.learnt, i) for i, turn in enumerate(turns) if turn.role == "assistant")[1]
        before = [message.content for message in turns[:last] if message.role != "system"]
        target, calls = turns[last].content, turns[last].tool_calls
        if calls and not target:
            target = json.dumps([dict(call) for call in calls], ensure_ascii=False)
        return cls(
            "\n".join(before), target, group,
            messages=turns[: last + 1], tools=tuple(tools), left_out=turns[last + 1 :],
        )  # fmt: skip

    def after(self, system: str) -> "Example":
        r"""The row with that before what the system says in it; as it is where it says nothing.

        Example:
            >>> turns = [Message("system", "soci(id)"), Message("assistant", "SELECT 1")]
            >>> Example.of_conversation(turns).after("Solo SQL.").messages[0].content
            'Solo SQL.\n\nsoci(id)'
        """
        if not self.messages or self.messages[0].role != "system":
            return self
        first, *rest = self.messages
        said = replace(first, content=f"{system}\n\n{first.content}")
        return replace(self, messages=(said, *rest))


def _from(folder: Path, path: str) -> str:
    """A path as seen from a folder; as it is where they are on different drives."""
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:
        return path


@dataclass(frozen=True)
class Dataset:
    """Examples in the order of the file, under a name that messages can use.

    Attributes:
        name: `train`, `validation`, `test`, or a file's name.
        examples: n of them.
        columns: Field of the task to the column it was read from; empty for chat formats.
        format: How the rows were written: `columns`, or the name of a chat format.
        findings: What reading them noticed and could mend by itself.
    """

    name: str
    examples: tuple[Example, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    format: str = "columns"
    findings: "tuple[Finding, ...]" = ()

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def prompts(self) -> list[str]:
        """The inputs, in order."""
        return [example.prompt for example in self.examples]

    @property
    def targets(self) -> list[str]:
        """The answers, in order."""
        return [example.target for example in self.examples]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over prompts, targets and groups: the same data has the same one.

        Example:
            >>> a = Dataset("a", (Example("ciao", "saluto"),))
            >>> a.fingerprint == Dataset("b", (Example("ciao", "saluto"),)).fingerprint
            True
        """
        digest = hashlib.sha256()
        for example in self.examples:
            for part in _parts(example):
                encoded = part.encode("utf-8", "surrogatepass")
                # The length goes first, so that ("ab", "c") and ("a", "bc") differ.
                digest.update(len(encoded).to_bytes(8, "little") + encoded)
        return digest.hexdigest()

    def take(self, rows: Sequence[int], *, name: str = "") -> "Dataset":
        """The examples at `rows`, in that order."""
        return replace(
            self, name=name or self.name, examples=tuple(self.examples[row] for row in rows)
        )


def _parts(example: Example) -> list[str]:
    """All that a model can see of a row, as texts."""
    parts = [example.prompt, example.target, example.group]
    if example.messages:
        seen = [[asdict(message) for message in example.messages], list(example.tools)]
        parts.append(json.dumps(seen, sort_keys=True, default=dict))
    if example.facts:
        parts.append(json.dumps(dict(example.facts), sort_keys=True))
    if example.spans:
        parts.append(json.dumps([asdict(span) for span in example.spans]))
    if example.odds:
        parts.append(json.dumps(example.odds))
    return parts


@dataclass(frozen=True)
class Finding:
    """Something a check noticed about the data.

    Attributes:
        check: Name of the check.
        severity: `error` stops a run, `warning` may spoil it, `note` is good to know.
        message: One sentence with the numbers.
        fix: What to do.
        rows: Origins of the rows it is about, the worst first.
        evidence: What was seen in each of `rows`, in the same order.
        repairs: What a safe repair makes of rows: origin to the new text, to the new turns of a
            conversation, to the new fields, or to None to drop the row.
    """

    check: str
    severity: Literal["error", "warning", "note"]
    message: str
    fix: str = ""
    rows: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    repairs: Mapping[str, str | tuple[Message, ...] | Mapping[str, Any] | None] = field(
        default_factory=dict
    )


@dataclass(frozen=True)
class Repair:
    """What was done to one row.

    Attributes:
        row: Its origin.
        action: What happened to it.
        why: The check that proposed it.
        before: Its text.
        after: Its new text; empty when it was dropped.
    """

    row: str
    action: Literal["dropped", "rewritten"]
    why: str
    before: str
    after: str = ""
