"""What a diagnosis looks at: the rows, the curves and the answers of one run."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.records import Dataset, Epoch, Finding, Interval, Predictions

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["Case", "Curves", "Reference"]


@dataclass(frozen=True)
class Reference:
    """What linear models on frozen features and n-grams make of the same rows.

    Attributes:
        answers: Out-of-fold answers for all development rows, calibrated, in their order.
        half: Out-of-fold accuracy when each model learns from half as many rows.
        domain_auc: How well such a model tells test rows from development rows: 0.5 not at all,
            1 always.
        neighbors: For each test row the nearest development rows, t x 3.
        likeness: How like it is to each of them: cosine of frozen vectors, t x 3.
    """

    answers: Predictions
    half: float
    domain_auc: float
    neighbors: np.ndarray
    likeness: np.ndarray


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

    @property
    def rose(self) -> float:
        """How many times its lowest value the held-out loss was in the end."""
        return self.held[-1] / min(self.held) if min(self.held) > 0 else 1.0


@dataclass(frozen=True)
class Case:
    """Everything known about one run.

    Attributes:
        recipe: What was asked.
        facts: The content of metrics.json.
        epochs: Of all members.
        development: The n rows that members learned from or were chosen on.
        fold: n numbers: the member that held the row out, -1 for none.
        held_out: Answers on held-out rows by the members that did not learn from them.
        test: The model's answers on the test rows.
        findings: What the audit says of both.
        reference: Linear models on the same rows.
    """

    recipe: "Recipe"
    facts: Mapping[str, Any]
    epochs: tuple[Epoch, ...]
    development: Dataset
    fold: np.ndarray
    held_out: Predictions
    test: Predictions
    findings: tuple[Finding, ...]
    reference: Reference

    @cached_property
    def curves(self) -> Curves:
        """How training went."""
        return Curves.of(self.epochs)

    @cached_property
    def train_rows(self) -> int:
        """Rows that one member learned from, on average."""
        members = max(1, int(self.fold.max()) + 1)
        return round(len(self.fold) - (self.fold >= 0).sum() / members)

    @cached_property
    def counts(self) -> Counter[str]:
        """Training rows of each label, for one member."""
        share = self.train_rows / max(1, len(self.development))
        return Counter(
            {label: round(n * share) for label, n in Counter(self.development.targets).items()}
        )

    @cached_property
    def steps(self) -> int:
        """Optimizer steps that a member planned to take."""
        training = self.recipe.training
        a_step = training.batch_size * training.accumulation
        return training.epochs * math.ceil(self.train_rows / a_step)

    @cached_property
    def chance(self) -> float:
        """The loss of a model that knows nothing, nats."""
        return math.log(max(2, len(self.test.labels)))

    @cached_property
    def underfit(self) -> float:
        """How much is left to learn of the training rows: 0 nothing, 1 nearly all."""
        last = self.curves.train[-1] if self.curves.train else self.curves.held[-1]
        if not math.isfinite(last):
            return 1.0
        return float(np.clip((last / self.chance - 0.25) / 0.4, 0, 1))

    @property
    def held_out_accuracy(self) -> float:
        """Accuracy of the members on rows they held out."""
        return self.facts["out_of_fold"]["scores"]["accuracy"]["value"]

    @property
    def test_accuracy(self) -> float:
        """Accuracy of the model on the test rows."""
        return self.facts["model"]["scores"]["accuracy"]["value"]

    def baseline(self, name: str) -> float | None:
        """Test accuracy of a free baseline; None where it was not judged."""
        found = self.interval(name)
        return None if found is None else found.value

    def interval(self, name: str) -> Interval | None:
        """The same with its interval."""
        found = [b for b in self.facts["baselines"] if b["name"] == name]
        return Interval(**found[0]["scores"]["accuracy"]) if found else None

    def finding(self, check: str) -> Finding | None:
        """The first finding of a check."""
        return next((f for f in self.findings if f.check == check), None)
