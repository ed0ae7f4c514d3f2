"""Rows, what was noticed about them, and how they are divided."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Dataset", "Example", "Finding", "Fold", "Repair", "Split"]


@dataclass(frozen=True)
class Example:
    """One row as the model sees it.

    Attributes:
        prompt: What goes in.
        target: What must come out; for a label task the label's name.
        group: Rows of one group never stand on both sides of a split; empty is "its own group".
        origin: File and row it was read from, for messages: `train.csv:17`.
    """

    prompt: str
    target: str
    group: str = ""
    origin: str = ""


@dataclass(frozen=True)
class Dataset:
    """Examples in the order of the file, under a name that messages can use.

    Attributes:
        name: `train`, `validation`, `test`, or a file's name.
        examples: n of them.
        columns: Field of the task to the column it was read from; empty for chat formats.
    """

    name: str
    examples: tuple[Example, ...]
    columns: Mapping[str, str] = field(default_factory=dict)

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
            for part in (example.prompt, example.target, example.group):
                encoded = part.encode("utf-8", "surrogatepass")
                # The length goes first, so that ("ab", "c") and ("a", "bc") differ.
                digest.update(len(encoded).to_bytes(8, "little") + encoded)
        return digest.hexdigest()

    def take(self, rows: Sequence[int], *, name: str = "") -> "Dataset":
        """The examples at `rows`, in that order."""
        return Dataset(name or self.name, tuple(self.examples[row] for row in rows), self.columns)


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
        repairs: What a safe repair makes of rows: origin to the new text, or None to drop the row.
    """

    check: str
    severity: Literal["error", "warning", "note"]
    message: str
    fix: str = ""
    rows: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    repairs: Mapping[str, str | None] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Fold:
    """Which development rows one member learns from, and which are held out for it."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """Rows for development, divided into folds, and rows that no training ever sees.

    A plain run is one fold whose `held_out` is the validation set; K-fold is K of them.
    """

    development: Dataset
    test: Dataset
    folds: tuple[Fold, ...]
    labels: tuple[str, ...]
