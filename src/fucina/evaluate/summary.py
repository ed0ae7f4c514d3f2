"""What an evaluation says, as a table and in one sentence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fucina.config import LOW_IS_GOOD
from fucina.records import Comparison, Evaluation, Outcome

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["as_csv", "missed_goals", "verdict"]


def verdict(
    model: Evaluation, baselines: Sequence[Evaluation], against: Sequence[Comparison]
) -> str:
    """The first line of a report: how good, and whether fine-tuning was worth it.

    A baseline that is as good is named first: it costs nothing.
    """
    score = model.scores["accuracy"]
    said = (
        f"accuracy {score.value:.1%} (between {score.low:.1%} and {score.high:.1%}) "
        f"on {model.rows} rows never seen"
    )
    if not baselines:
        return f"The model has {said}."
    equal = [
        (baseline, comparison)
        for baseline, comparison in zip(baselines, against, strict=True)
        if "is better than" not in comparison.verdict
    ]
    if not equal:
        best = baselines[0]
        return (
            f"The model has {said}; it beats every free baseline, the best of which "
            f"({best.name}) has {best.scores['accuracy'].value:.1%}."
        )
    names = ", ".join(f"{b.name} ({b.scores['accuracy'].value:.1%})" for b, _ in equal)
    worse = any("is worse than" in comparison.verdict for _, comparison in equal)
    word = "as good or better" if worse else "as good, within chance"
    return f"A free baseline is {word}: {names}. The model has {said}."


def as_csv(model: Evaluation, baselines: Sequence[Evaluation]) -> str:
    """One line a model and metric: model,metric,value,low,high."""
    lines = ["model,metric,value,low,high"]
    for evaluation in (model, *baselines):
        lines += [
            f"{evaluation.name},{name},{score.value:.6f},{score.low:.6f},{score.high:.6f}"
            for name, score in evaluation.scores.items()
        ]
    return "\n".join(lines) + "\n"


def missed_goals(outcome: Outcome, config: "EvaluationConfig") -> list[str]:
    """The goals and must-fix cases of the recipe that the model missed, a sentence each."""
    missed = []
    for name, goal in config.goals.items():
        score = outcome.model.scores[name]
        low_is_good = name in LOW_IS_GOOD
        if score.value > goal if low_is_good else score.value < goal:
            word = "at most" if low_is_good else "at least"
            missed.append(f"{name} is {score}, {word} {goal:g} was asked.")
    missed += [
        f"must-fix case {case.prompt!r} is {case.target}, answered {case.answer} "
        f"({case.confidence:.0%})."
        for case in outcome.must_fix
        if not case.right
    ]
    return missed
