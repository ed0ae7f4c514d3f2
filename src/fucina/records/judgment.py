"""How good a model is, beside others, and how far its confidence can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fucina.records.answers import Predictions, Spans, Texts
from fucina.records.rows import Example

__all__ = [
    "Calibration",
    "Case",
    "Comparison",
    "Evaluation",
    "Interval",
    "LearningCurve",
    "MustFix",
    "Outcome",
]


@dataclass(frozen=True)
class Interval:
    """A score with the bounds that a repeat would likely fall in."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


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
        slices: Way to divide the rows, such as level, to the name of each part to its rows and the
            headline of its rows with its interval: rows, value, low, high; best part first.
        beside: Of scores that need no true answer: `true answers` and `base` to theirs.
        persona: How answers were held against a constitution and a voice; empty without them.
    """

    name: str
    scores: Mapping[str, Interval]
    per_label: Mapping[str, Mapping[str, float]]
    confusion: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    rows: int
    cost: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    beside: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    persona: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same rows.

    Attributes:
        first: Name of the model compared from.
        second: Name of the model compared to.
        differences: Metric to second minus first, with a paired bootstrap interval.
        p_value: Of `test`.
        verdict: One sentence: better, worse, or no measurable difference.
        details: Counts behind it.
        test: McNemar's exact one of right and wrong answers; of texts sign flips of losses, or
            swaps of answers.
    """

    first: str
    second: str
    differences: Mapping[str, Interval]
    p_value: float
    verdict: str
    details: Mapping[str, Any] = field(default_factory=dict)
    test: str = "McNemar"


@dataclass(frozen=True)
class Calibration:
    """How far confidence can be trusted, learnt from rows that no member trained on.

    Attributes:
        temperature: Divides the log of the probabilities; 1 where scaling did not help.
        before: Expected calibration error of the held-out rows as the model gave them.
        after: The same under a temperature fitted on other held-out rows.
        rows: How many held-out rows there were.
        curve: Threshold, coverage, risk and bound, from the surest answers to all.
        target: Largest share of wrong answers that was asked for; None for no target.
        threshold: No answer is given below this confidence; None to answer all.
        proved: The bound at the threshold is below the target, not the observed share alone.
    """

    temperature: float
    before: "Interval"
    after: "Interval"
    rows: int
    curve: tuple[Any, ...]
    target: float | None
    threshold: float | None
    proved: bool


@dataclass(frozen=True)
class LearningCurve:
    """How a score changes with rows, and what more of them should give.

    Attributes:
        rows: Training rows of each point, from few to all.
        scores: On the same test rows each time.
        gain: Expected gain of twice the rows, with its interval: of accuracy or F1, or the fall of
            the loss a token.
        advice: Whether to label more, in a sentence.
        metric: What the scores are: `accuracy`, `token_loss` of texts, or `f1` of spans.
    """

    rows: tuple[int, ...]
    scores: "tuple[Interval, ...]"
    gain: "Interval"
    advice: str
    metric: str = "accuracy"


@dataclass(frozen=True)
class MustFix:
    """A case that must be right, whatever the scores say.

    Attributes:
        prompt: Its text.
        target: Its label; of a text what is asked of the answer.
        answer: What the model says.
        confidence: How sure it is; None of a text.
        right: Whether both agree.
        seen: Whether the text is among the training rows.
    """

    prompt: str
    target: str
    answer: str
    confidence: float | None
    right: bool
    seen: bool


@dataclass(frozen=True)
class Case:
    """What an answer in words must be.

    Attributes:
        example: What is asked; its target is empty where no exact answer is wanted.
        must: Regular expressions that must each match the answer.
        must_not: Regular expressions of which none may match.
    """

    example: Example
    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()


Answers = TypeVar("Answers", Predictions, Texts, Spans)


@dataclass(frozen=True)
class Outcome(Generic[Answers]):
    """What a run came to.

    Attributes:
        folder: The run folder, as text; empty until the run is kept.
        model: The model on the test set.
        predictions: Its answers there.
        out_of_fold: The members on the rows they held out.
        calibration: How far confidence can be trusted; None for texts, which have none.
        folds: Metric to the score of each member on its fold; empty without folds.
        baselines: The free baselines on the test set, best first.
        against: The model against each baseline, in the same order.
        verdict: The first line of the report.
        must_fix: The cases that must be right, each with what was answered.
        headline: The score that decides which model is best.
        evidence: Test row to what its task shows beside its answer; only of the hardest rows.
        parts: Name to what the run came to on the rows of one of several tasks.
    """

    folder: str
    model: Evaluation
    predictions: Answers
    out_of_fold: Evaluation
    calibration: Calibration | None
    folds: Mapping[str, tuple[float, ...]]
    baselines: tuple[Evaluation, ...]
    against: tuple[Comparison, ...]
    verdict: str
    must_fix: tuple[MustFix, ...] = ()
    headline: str = "accuracy"
    evidence: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    parts: "Mapping[str, Outcome[Answers]]" = field(default_factory=dict)
