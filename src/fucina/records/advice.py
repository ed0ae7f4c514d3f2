"""Which way to an assistant is worth it: what was tried, what it costs, and what follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fucina.records.judgment import Comparison, Interval

__all__ = ["Advice", "Arm", "Component", "Cost", "Trigger"]


@dataclass(frozen=True)
class Cost:
    """What a way costs, in USD; None where a price is not known.

    Attributes:
        training: Once.
        hosting: A month of the machines that the volume needs; 0 behind an endpoint.
        each: One more query, beside hosting.
        month: All of it at the volume asked for, training in equal parts.
        per_query: The same for one query.
        capacity: Queries a month that one machine can answer; None behind an endpoint.
        machine: A month of one machine; 0 behind an endpoint.
    """

    training: float | None
    hosting: float | None
    each: float | None
    month: float | None
    per_query: float | None
    capacity: float | None = None
    machine: float = 0.0


@dataclass(frozen=True)
class Arm:
    """One way with one model, tried on the test rows.

    Attributes:
        way: prompt, few_shot, retrieval, fine_tune or fine_tune_retrieval.
        model: What answered; `none` where documents or training rows answered by themselves.
        scores: Metric to its interval.
        latency_ms: Of one answer, looking up included: p50 and p95.
        timed: Answers behind the latency, asked one by one.
        read: Tokens that were read for an answer, mean.
        written: Tokens that were written, mean.
        memory_mib: The most that the process held meanwhile; None behind an endpoint.
        training_s: Seconds of training; 0 without.
        cost: In USD.
        notes: What is to be known about it, a sentence each.
        parts: What rows are about, to the scores of those rows; empty where that is not known.
    """

    way: str
    model: str
    scores: Mapping[str, Interval]
    latency_ms: tuple[float, float]
    timed: int
    read: float
    written: float
    memory_mib: float | None
    training_s: float
    cost: Cost
    notes: tuple[str, ...] = ()
    parts: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How tables call it.

        Example:
            >>> Arm("few_shot", "strong", {}, (0, 0), 0, 0, 0, None, 0, None).name
            'few_shot strong'
        """
        return f"{self.way} {self.model}"


@dataclass(frozen=True)
class Trigger:
    """A reason to fine-tune, and whether it holds.

    Attributes:
        name: Short.
        holds: None where it cannot be known.
        said: The numbers behind it, in a sentence.
    """

    name: str
    holds: bool | None
    said: str


@dataclass(frozen=True)
class Component:
    """A component of an assistant in the decision matrix.

    Attributes:
        name: As the recipe calls it.
        tokens: How long it is.
        changes: How often.
        approach: prompt, retrieval, session or fine_tune.
        why: The reason.
        chosen: By the recipe; else by the matrix.
    """

    name: str
    tokens: int
    changes: str
    approach: str
    why: str
    chosen: bool


@dataclass(frozen=True)
class Advice:
    """What was found.

    Attributes:
        task: Of the recipe.
        rows: Test rows that every arm answered.
        test: Fingerprint of these rows.
        metric: The score that decides.
        arms: Best first.
        left_out: Arms that could not be tried, with the reason: name to sentence.
        against: The chosen arm compared with each other one.
        chosen: Name of the arm that is recommended.
        reason: Why, in sentences.
        triggers: Reasons to fine-tune.
        matrix: The components.
        break_even: Pairs of arms to the queries a month from which the second one is cheaper;
            None where it never is.
        missed: Goals of the recipe that the chosen arm misses, a sentence each.
        met: Goals that it reaches, likewise.
        unknown: Goals of which nothing is known for it, likewise.
        assumed: What the costs rest on, a sentence each.
        queries_per_month: What costs are for.
        folder: Where all this was kept.
    """

    task: str
    rows: int
    test: str
    metric: str
    arms: tuple[Arm, ...]
    left_out: Mapping[str, str]
    against: tuple[Comparison, ...]
    chosen: str
    reason: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    matrix: tuple[Component, ...]
    break_even: Mapping[str, float | None]
    missed: tuple[str, ...]
    met: tuple[str, ...]
    unknown: tuple[str, ...]
    assumed: tuple[str, ...]
    queries_per_month: int
    folder: str = ""
