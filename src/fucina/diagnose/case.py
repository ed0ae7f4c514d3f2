"""What a diagnosis looks at: the rows, the curves and the answers of one run."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.diagnose.training import Training
from fucina.records import Dataset, Epoch, Finding, Interval, Predictions
from fucina.tasks.settings import learnt_as

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["Case", "Reference"]


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

    @property
    def by_words(self) -> bool:
        """Whether labels are answered by their names, so that no head of classes is trained."""
        return learnt_as(self.recipe) == "text"

    @cached_property
    def training(self) -> Training:
        """How training went."""
        start = next((epoch.validation_loss for epoch in self.epochs if epoch.epoch == 0), 0.0)
        return Training(
            recipe=self.recipe,
            members=self.facts["members"],
            epochs=self.epochs,
            rows=self.train_rows,
            # The loss of names is one a token, which no count of labels foretells.
            ignorance=max(start, 1e-9)
            if self.by_words
            else math.log(max(2, len(self.test.labels))),
            ahead=self.reference_accuracy - self.held_out_accuracy,
            reference=self.reference_accuracy,
            of_labels=len(self.test.labels),
        )

    @property
    def reference_accuracy(self) -> float:
        """Accuracy of linear models on the frozen base, out of fold."""
        answers = self.reference.answers
        pairs = zip(answers.answers, answers.targets, strict=True)
        return sum(a == t for a, t in pairs) / max(1, len(answers.targets))

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
