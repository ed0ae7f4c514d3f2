"""How training went, whatever the kind of answer: what the causes in settings look at."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.records import Epoch

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["BLANK", "Curves", "Training"]

BLANK = 0.8  # of the loss of knowing nothing
LEARNED = 0.6  # of the perplexity of the start: below this much was learnt
HELPED = 0.9  # of the held-out loss, or perplexity, of the start: below this training did good


@dataclass(frozen=True)
class Curves:
    """Means over the members at each epoch; epoch 0 is the state before training.

    Attributes:
        train: Training loss of epochs 1, 2, ...
        held: Held-out loss of epochs 0, 1, ...
        accuracy: The first held-out score, balanced accuracy or that of tokens, of epochs 0, 1, ...
        norms: Gradient norm of epochs 1, 2, ...
        not_a_number: Epochs of single members whose loss was not a number.
    """

    train: tuple[float, ...]
    held: tuple[float, ...]
    accuracy: tuple[float, ...]
    norms: tuple[float, ...]
    not_a_number: int

    @classmethod
    def of(cls, epochs: Sequence[Epoch]) -> "Curves":
        """Average over the members that were still training."""
        last = max((epoch.epoch for epoch in epochs), default=0)

        def mean(value: Callable[[Epoch], float], first: int) -> tuple[float, ...]:
            each = [[value(e) for e in epochs if e.epoch == n] for n in range(last + 1)]
            return tuple(
                float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
                for values in each[first:]
            )

        broken = sum(not math.isfinite(e.train_loss) for e in epochs if e.epoch)
        return cls(
            mean(lambda e: e.train_loss, 1), mean(lambda e: e.validation_loss, 0),
            mean(lambda e: next(iter(e.scores.values()), math.nan), 0),
            mean(lambda e: e.gradient_norm, 1), broken,
        )  # fmt: skip

    @property
    def idle(self) -> bool:
        """Whether training changed next to nothing."""
        still = abs(self.held[-1] / self.held[0] - 1) < 0.05 if self.held[0] else True
        if len(self.train) < 2:
            return still
        return still and self.train[-1] > 0.93 * self.train[0]

    @property
    def falling(self) -> bool:
        """Whether the lowest held-out loss is that of the last epoch, and still well below."""
        before = self.held[:-1]
        return bool(before) and self.held[-1] < 0.98 * min(before)


@dataclass(frozen=True)
class Training:
    """What was asked of the optimizer, and what it did.

    Attributes:
        recipe: What was asked.
        members: Of metrics.json: which epoch each kept, and why it ended.
        epochs: Of all members.
        rows: That one member learned from, on average.
        ignorance: The loss of a model that knows nothing of these rows, nats; of names of labels
            that of the base.
        ahead: How far models that need no training are ahead on held-out rows; 0 where none is.
        reference: Their accuracy.
        of_labels: How many labels there are; 0 for texts.
    """

    recipe: "Recipe"
    members: Sequence[Mapping[str, Any]]
    epochs: tuple[Epoch, ...]
    rows: int
    ignorance: float
    ahead: float = 0.0
    reference: float = 0.0
    of_labels: int = 0

    @cached_property
    def curves(self) -> Curves:
        """How training went."""
        return Curves.of(self.epochs)

    @property
    def blank(self) -> bool:
        """Whether the base knew next to nothing: its weights are random, or of another language."""
        return not self.of_labels and self.curves.held[0] > BLANK * self.ignorance

    @property
    def helped(self) -> bool:
        """Whether the model was clearly better on held-out rows in the end than at the start."""
        return self.times(self.curves.held[-1], self.curves.held[0]) < HELPED

    @property
    def measure(self) -> str:
        """What `times` compares."""
        return "loss" if self.of_labels else "perplexity"

    @property
    def rose(self) -> float:
        """How many times as bad as at its best the model was on held-out rows in the end."""
        return self.times(self.curves.held[-1], min(self.curves.held))

    def times(self, loss: float, before: float) -> float:
        """How many times as bad a held-out loss is as another: the loss, of texts the perplexity.

        The loss of a text never comes near zero, so that shares of it say little.
        """
        if not self.of_labels:
            return math.exp(min(loss - before, 700.0))
        return loss / before if before > 0 else 1.0

    @cached_property
    def steps(self) -> int:
        """Optimizer steps that a member planned to take."""
        training = self.recipe.training
        a_step = training.batch_size * training.accumulation
        return training.epochs * math.ceil(self.rows / a_step)

    @cached_property
    def underfit(self) -> float:
        """How much is left to learn of the training rows: 0 nothing, 1 nearly all.

        Of texts a trained base knows much before it begins, so that its own loss is the measure
        too: where perplexity has hardly fallen below it, hardly anything was learnt.
        """
        last = self.curves.train[-1] if self.curves.train else self.curves.held[-1]
        if not math.isfinite(last):
            return 1.0
        left = float(np.clip((last / self.ignorance - 0.25) / 0.4, 0, 1))
        if self.of_labels:
            return left
        kept = self.times(last, self.curves.held[0])
        return max(left, float(np.clip((kept - LEARNED) / (HELPED - LEARNED), 0, 1)))

    @property
    def before(self) -> str:
        """What the training loss is to be read beside."""
        if self.of_labels or self.blank:
            return f"{self.ignorance:.3f} is knowing nothing"
        return f"{self.curves.held[0]:.3f} was that of the base on held-out rows"
