"""What a model answered while it was trained and afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fucina.records.rows import Span

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Epoch", "Predictions", "Ratio", "Spans", "Texts"]


@dataclass(frozen=True)
class Epoch:
    """What one member did in one epoch; epoch 0 is the state before training.

    Losses are means in nats over rows, or over learnt tokens of texts; `scores` are those of the
    held-out rows by name, `seconds` is wall time shared by all members of the stack.
    """

    member: int
    epoch: int
    train_loss: float
    validation_loss: float
    scores: Mapping[str, float]
    gradient_norm: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Predictions:
    """Answers of a model with the probability of each label.

    Attributes:
        labels: The c label names, in the order of the columns.
        probabilities: n x c, rows sum to 1.
        targets: The n true labels; empty when unknown.
        prompts: The n inputs.
        threshold: Below this confidence the model abstains; 0 to answer all.
    """

    labels: tuple[str, ...]
    probabilities: "np.ndarray"
    targets: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    threshold: float = 0.0

    @property
    def answers(self) -> list[str]:
        """The most probable label of each row."""
        return [self.labels[i] for i in self.probabilities.argmax(axis=1)]

    @property
    def confidences(self) -> "np.ndarray":
        """The probability of each answer, n values in 0..1."""
        return self.probabilities.max(axis=1)

    @property
    def answered(self) -> "np.ndarray":
        """Whether the model is sure enough to answer, n booleans."""
        return self.confidences >= self.threshold


@dataclass(frozen=True)
class Ratio:
    """A score of n rows that is one sum divided by another; of a mean each row is divided by 1.

    Attributes:
        gained: n numbers.
        possible: n numbers; the score is the sum of `gained` over the sum of these.
        descriptive: It says what answers are like, such as long; neither high nor low is better.
    """

    gained: "np.ndarray"
    possible: "np.ndarray"
    descriptive: bool = False

    def take(self, rows: "Sequence[int]") -> "Ratio":
        """The score of some rows, in that order."""
        picked = list(rows)
        return replace(self, gained=self.gained[picked], possible=self.possible[picked])


@dataclass(frozen=True)
class Texts:
    """Answers of a model that are texts.

    Attributes:
        prompts: The n inputs.
        targets: The n true answers.
        answers: What the model wrote, n; none where it was not asked to write.
        losses: n sums over the learnt tokens of a row, in nats, given what truly stood before.
        tokens: n counts of learnt tokens.
        ended: n booleans: the model ended its answer itself.
        marks: Metric of the task to its score of the n rows; empty where a task has none.
        read: n counts of tokens that were read to answer; none where nobody counted.
        written: n counts of tokens that were written, the one that ends an answer too; as `read`.
        cut: Rows whose prompt was too long to be read whole.
    """

    prompts: tuple[str, ...]
    targets: tuple[str, ...]
    answers: tuple[str, ...]
    losses: "np.ndarray"
    tokens: "np.ndarray"
    ended: "np.ndarray"
    marks: Mapping[str, Ratio] = field(default_factory=dict)
    read: tuple[int, ...] = ()
    written: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()

    def take(self, rows: "Sequence[int]") -> "Texts":
        """The answers to some rows, in that order; what is not known stays unknown.

        Example:
            >>> import numpy as np
            >>> texts = Texts(("a", "b"), ("x", "y"), (), np.array([1.0, 2.0]), np.ones(2),
            ...               np.zeros(0, bool), cut=(1,))
            >>> one = texts.take([1])
            >>> one.prompts, one.losses.tolist(), one.answers, len(one.ended), one.cut
            (('b',), [2.0], (), 0, (0,))
        """
        picked = list(rows)
        names = ("prompts", "targets", "answers", "read", "written")
        lists = {name: getattr(self, name) for name in names}
        return Texts(
            **{
                name: tuple(own[row] for row in picked) if own else ()
                for name, own in lists.items()
            },
            losses=self.losses[picked],
            tokens=self.tokens[picked],
            ended=self.ended[picked] if len(self.ended) else self.ended,
            marks={name: mark.take(picked) for name, mark in self.marks.items()},
            cut=tuple(place for place, row in enumerate(picked) if row in self.cut),
        )


@dataclass(frozen=True)
class Spans:
    """Answers of a model that are stretches of the texts it read.

    Attributes:
        prompts: The n inputs.
        targets: What is truly marked in each of them; empty when unknown.
        answers: What the model marks in each, in order, none within another.
        confidences: How sure it is of each span of `answers`, in 0..1.
        read: n counts of characters; what a text holds behind them was cut off.
        types: What a span can be.
    """

    prompts: tuple[str, ...]
    targets: tuple[tuple[Span, ...], ...]
    answers: tuple[tuple[Span, ...], ...]
    confidences: tuple[tuple[float, ...], ...]
    read: tuple[int, ...]
    types: tuple[str, ...]
