"""What a diagnosis of spans looks at: the rows, the curves and the answers of one run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.diagnose.text_case import LIKENESS, Likeness
from fucina.diagnose.training import Training
from fucina.metrics import wilson
from fucina.models.tags import tag_names, to_tags, word_bounds
from fucina.records import Dataset, Epoch, Finding, Slice, Span, Spans, WorstError

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["SpanCase", "span_errors", "span_slices", "span_symptom"]

FEWEST = 5  # spans a slice must have
SHOWN = 10  # errors


@dataclass(frozen=True)
class SpanCase:
    """Everything known about one run that marks spans.

    Attributes:
        recipe: What was asked.
        facts: The content of metrics.json.
        epochs: Of all members.
        development: The n rows that members learned from or were chosen on.
        fold: n numbers: the member that held the row out, -1 for none.
        rows: The t test rows.
        test: What the model marked in them.
        findings: What the audit says of both.
        beside: How test rows are beside training rows.
        capitals: Whether the base tells capitals from small letters.
    """

    recipe: "Recipe"
    facts: Mapping[str, Any]
    epochs: tuple[Epoch, ...]
    development: Dataset
    fold: np.ndarray
    rows: Dataset
    test: Spans
    findings: tuple[Finding, ...]
    beside: Likeness
    capitals: bool

    @cached_property
    def training(self) -> Training:
        """How training went; knowing nothing is knowing how frequent each tag is."""
        members = max(1, int(self.fold.max()) + 1)
        counts = Counter(
            int(tag)
            for row in self.development.examples
            for tag in to_tags(row.spans, word_bounds(row.prompt), self.test.types)
        )
        shares = np.array(list(counts.values())) / max(1, counts.total())
        return Training(
            recipe=self.recipe,
            members=self.facts["members"],
            epochs=self.epochs,
            rows=round(len(self.fold) - (self.fold >= 0).sum() / members),
            ignorance=max(float(-(shares * np.log(shares)).sum()), 1e-3),
            of_labels=len(tag_names(self.test.types)),
        )

    @cached_property
    def counts(self) -> Counter[str]:
        """Spans of each type in the development rows."""
        return Counter(span.label for row in self.development.examples for span in row.spans)

    @cached_property
    def names(self) -> frozenset[str]:
        """What is marked in the development rows, as it is written."""
        return frozenset(
            row.prompt[span.start : span.end]
            for row in self.development.examples
            for span in row.spans
        )

    @cached_property
    def true(self) -> list[tuple[int, Span, bool]]:
        """Every true span of the test: its row, itself, and whether it was found as it is."""
        return [
            (row, span, span in self.test.answers[row])
            for row, own in enumerate(self.test.targets)
            for span in own
        ]

    def surface(self, row: int, span: Span) -> str:
        """What a span of a test row covers."""
        return self.test.prompts[row][span.start : span.end]

    def seen(self, row: int, span: Span) -> bool:
        """Whether this name was marked in training."""
        return self.surface(row, span) in self.names

    def score(self, name: str) -> Mapping[str, float]:
        """A score of the test rows, with its interval."""
        return self.facts["model"]["scores"][name]

    def finding(self, check: str) -> Finding | None:
        """The first finding of a check."""
        return next((f for f in self.findings if f.check == check), None)


def span_symptom(case: SpanCase) -> str:
    """Say how good the model is, in a sentence, before anybody asks why."""
    score, rows = case.score("f1"), case.facts["model"]["rows"]
    held = case.facts["out_of_fold"]["scores"]["f1"]["value"]
    said = (
        f"F1 {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}] on {rows} test rows "
        f"with {len(case.true)} spans, {held:.3f} on held-out rows; precision "
        f"{case.score('precision')['value']:.2f}, recall {case.score('recall')['value']:.2f}"
    )
    better = [
        f"{b['name']} {b['scores']['f1']['value']:.3f}"
        for b in case.facts["baselines"]
        if b["scores"]["f1"]["value"] > score["value"]
    ]
    return said + (f"; free and better: {', '.join(better)}." if better else ".")


def span_slices(case: SpanCase) -> list[Slice]:
    """How many spans are found, by type, by name, by length and by likeness, the fewest first."""
    if not case.true:
        return []
    found = np.array([hit for _, _, hit in case.true])
    low, high = np.quantile(case.beside.likeness[:, 0], [1 / 3, 2 / 3])
    parts: list[tuple[str, str, list[bool]]] = [
        ("type", name, [span.label == name for _, span, _ in case.true])
        for name in sorted({span.label for _, span, _ in case.true})
    ]
    seen = [case.seen(row, span) for row, span, _ in case.true]
    words = [len(word_bounds(case.surface(row, span))) for row, span, _ in case.true]
    like = [float(case.beside.likeness[row, 0]) for row, _, _ in case.true]
    parts += [
        ("name", "marked in training too", seen),
        ("name", "never marked in training", [not known for known in seen]),
        ("length", "one word", [n == 1 for n in words]),
        ("length", "two or three words", [1 < n < 4 for n in words]),
        ("length", "four words and more", [n > 3 for n in words]),
        ("likeness", LIKENESS[0], [n <= low for n in like]),
        ("likeness", LIKENESS[1], [low < n <= high for n in like]),
        ("likeness", LIKENESS[2], [n > high for n in like]),
    ]
    overall, slices = float(found.mean()), []
    for kind, name, own in parts:
        rows = np.array(own)
        count = int(rows.sum())
        if count >= FEWEST:
            score = wilson(int(found[rows].sum()), count)
            slices.append(Slice(kind, name, count, score, score.high < overall, "recall"))
    return sorted(slices, key=lambda part: part.score.value)


def span_errors(case: SpanCase) -> list[WorstError]:
    """The surest spans that are not true, with the nearest training rows."""
    rows, place = case.development.examples, {p: i for i, p in enumerate(case.test.prompts)}
    found = []
    for error in case.facts.get("errors", [])[:SHOWN]:
        row = place[error["prompt"]]
        near = zip(case.beside.neighbors[row], case.beside.likeness[row], strict=True)
        found.append(
            WorstError(
                error["prompt"], error["target"] or "nothing", error["answer"],
                error["confidence"],
                tuple((float(like), rows[own].target, rows[own].prompt) for own, like in near),
            )
        )  # fmt: skip
    return found
