"""What passes between stages: small frozen records, and nothing that computes.

Arrays are numpy; shapes are written beside them (n rows, c labels, k members of an ensemble).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Comparison",
    "Dataset",
    "Epoch",
    "Evaluation",
    "Example",
    "Finding",
    "Fold",
    "Interval",
    "Outcome",
    "Predictions",
    "Progress",
    "Repair",
    "Split",
    "silent",
]

Progress = Callable[[str, int, int], None]
"""How a stage reports: what it does now, steps done, steps in all (0 when unknown)."""


def silent(*_: object) -> None:
    """Tell nobody: the default of every function that reports or saves."""


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


@dataclass(frozen=True)
class Epoch:
    """What one member did in one epoch; epoch 0 is the state before training.

    Losses are means in nats, `seconds` is wall time shared by all members of the stack.
    """

    member: int
    epoch: int
    train_loss: float
    validation_loss: float
    balanced_accuracy: float
    gradient_norm: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Interval:
    """A score with the bounds that a repeat would likely fall in."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Predictions:
    """Answers of a model with the probability of each label.

    Attributes:
        labels: The c label names, in the order of the columns.
        probabilities: n x c, rows sum to 1.
        targets: The n true labels; empty when unknown.
        prompts: The n inputs.
    """

    labels: tuple[str, ...]
    probabilities: "np.ndarray"
    targets: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()

    @property
    def answers(self) -> list[str]:
        """The most probable label of each row."""
        return [self.labels[i] for i in self.probabilities.argmax(axis=1)]

    @property
    def confidences(self) -> "np.ndarray":
        """The probability of each answer, n values in 0..1."""
        return self.probabilities.max(axis=1)


@dataclass(frozen=True)
class Evaluation:
    """A model judged on rows it never saw.

    Attributes:
        name: What was judged: `model`, or the name of a baseline.
        scores: Metric name to its interval.
        per_label: Label to precision, recall, f1, support.
        confusion: c x c counts, rows are true labels, columns answers, order of `labels`.
        labels: The c label names.
        rows: How many rows were judged.
        cost: Latency in ms (mean, p50, p95) and peak memory in MiB; empty when not measured.
    """

    name: str
    scores: Mapping[str, Interval]
    per_label: Mapping[str, Mapping[str, float]]
    confusion: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    rows: int
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        folder: The run folder, as text.
        model: The model on the test set.
        predictions: Its answers there.
        out_of_fold: The members on the rows they held out.
        folds: Metric to the score of each member on its fold; empty without folds.
        baselines: The free baselines on the test set, best first.
        against: The model against each baseline, in the same order.
        verdict: The first line of the report.
    """

    folder: str
    model: "Evaluation"
    predictions: "Predictions"
    out_of_fold: "Evaluation"
    folds: Mapping[str, tuple[float, ...]]
    baselines: "tuple[Evaluation, ...]"
    against: "tuple[Comparison, ...]"
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """Two models on the same rows.

    Attributes:
        first: Name of the model compared from.
        second: Name of the model compared to.
        differences: Metric to second minus first, with a paired bootstrap interval.
        p_value: Exact McNemar test on right/wrong.
        verdict: One sentence: better, worse, or no measurable difference.
    """

    first: str
    second: str
    differences: Mapping[str, Interval]
    p_value: float
    verdict: str
    details: Mapping[str, Any] = field(default_factory=dict)
