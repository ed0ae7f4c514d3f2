"""Why a model is not better, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fucina.records.judgment import Interval
from fucina.records.rows import Answer, Message

__all__ = ["Cause", "Diagnosis", "Slice", "WorstError"]

HIGH, MEDIUM = 0.6, 0.3  # weights from which a cause counts as such


@dataclass(frozen=True)
class Cause:
    """One reason why a model is not as good as it could be, or as good as it seems.

    Attributes:
        name: A short name, the same in every run.
        weight: How surely and how strongly it holds here, 0 to 1; causes are ranked by it.
        message: One sentence with the numbers of this run.
        evidence: What was seen, a sentence each.
        fix: What to do.
        gain: What the fix should give, and how that was reckoned.
        changes: The fix as recipe settings, `section.key` to value; empty where it is in the data.
        repairs: The fix to training rows: origin to the new text or turns, or None to
            leave the row out.
    """

    name: str
    weight: float
    message: str
    evidence: tuple[str, ...]
    fix: str
    gain: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    repairs: Mapping[str, "str | tuple[Message, ...] | None"] = field(default_factory=dict)

    @property
    def severity(self) -> Literal["high", "medium", "low"]:
        """`high` from a weight of 0.6, `medium` from 0.3."""
        if self.weight >= HIGH:
            return "high"
        return "medium" if self.weight >= MEDIUM else "low"


@dataclass(frozen=True)
class Slice:
    """Some of the test rows, and how many of them are answered rightly.

    Attributes:
        kind: What divides the rows: `label`, `length`, `likeness`, of spans also `type`, `name`,
            of several tasks `part`.
        name: Which part.
        rows: How many rows it has.
        score: With its interval.
        weak: The interval is worse than the score of all rows.
        metric: What the score is: `accuracy`, `token_loss` of texts, or `recall` of spans, which
            are counted as rows.
    """

    kind: str
    name: str
    rows: int
    score: Interval
    weak: bool
    metric: str = "accuracy"


@dataclass(frozen=True)
class WorstError:
    """A wrong answer the model was sure of, or a true one it found unlikely; and like rows.

    Attributes:
        prompt: The text.
        target: Its true label or answer.
        answer: What the model said.
        confidence: How sure it was; of a text, how likely the true tokens were (their mean).
        neighbors: Similarity, label or answer, and text of training rows, the nearest first.
    """

    prompt: str
    target: str
    answer: str
    confidence: float
    neighbors: tuple[tuple[float, str, str], ...]


@dataclass(frozen=True)
class Diagnosis:
    """All that was found about a run.

    Attributes:
        folder: The run.
        symptom: How good the model is, and beside what, in a sentence.
        causes: Ranked, the first explains most.
        slices: Parts of the test rows, the weakest first.
        errors: The surest wrong answers; of texts, the true ones that were found least likely.
        must_fix: Cases that the recipe demands, each with whether it is right.
        answer: What the task answers with.
    """

    folder: str
    symptom: str
    causes: tuple[Cause, ...]
    slices: tuple[Slice, ...]
    errors: tuple[WorstError, ...]
    must_fix: tuple[Mapping[str, Any], ...]
    answer: Answer = "label"
