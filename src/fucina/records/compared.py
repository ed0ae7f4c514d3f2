"""Runs side by side: what a second one changed, and who of many is best at which task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fucina.records.judgment import Comparison, Interval

__all__ = ["Change", "Contest", "Leaderboard", "Standing"]


@dataclass(frozen=True)
class Change:
    """What a second run changed against a first, on the same test rows.

    Attributes:
        before: Metric to the score of the first.
        after: Metric to the score of the second.
        comparison: Whether the difference is beyond chance.
        settings: Setting to its value in both, where they differ; None where a run had none.
        rows: Training rows of both.
    """

    before: Mapping[str, Interval]
    after: Mapping[str, Interval]
    comparison: Comparison
    settings: Mapping[str, tuple[Any, Any]]
    rows: tuple[int, int]

    def relative(self, metric: str) -> float | None:
        """The change of a metric as a share of what it was; None where that was nothing."""
        old, new = self.before[metric].value, self.after[metric].value
        return (new - old) / abs(old) if old else None


@dataclass(frozen=True)
class Standing:
    """One run in a contest.

    Attributes:
        run: Its name and time.
        model: Its base, and how that was trained.
        score: The headline on the test rows.
        cost: `latency_p50_ms`, `prompt_tokens_mean`, `answer_tokens_mean`, `peak_memory_mib`,
            `training_s` and `adapter_mib`, those known.
        p_value: Of the paired test against the best run; None for the best, and where losses
            cannot be compared.
        level: No measurable difference from the best.
    """

    run: str
    model: str
    score: Interval
    cost: Mapping[str, float] = field(default_factory=dict)
    p_value: float | None = None
    level: bool = False


@dataclass(frozen=True)
class Contest:
    """Runs of one task on the same test rows.

    Attributes:
        task: Its name.
        metric: The headline of the task.
        rows: How many test rows.
        test: The beginning of their fingerprint.
        standings: The best first.
        verdict: Who wins, or that nobody does measurably.
        winner: The run that wins; empty where the runner-up is level, or there is none.
    """

    task: str
    metric: str
    rows: int
    test: str
    standings: tuple[Standing, ...]
    verdict: str
    winner: str = ""


@dataclass(frozen=True)
class Leaderboard:
    """All contests of some runs, by task."""

    contests: tuple[Contest, ...]
