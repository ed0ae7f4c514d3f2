"""What an evaluation says, as a table and in one sentence."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

from fucina.config import COST_GOALS, LOW_IS_GOOD
from fucina.evaluate.true_answers import TRUE
from fucina.records import Comparison, Evaluation, MustFix, Outcome

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["as_csv", "missed_goals", "verdict"]

SHOWN = 100  # letters of a long text


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
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")  # names of rules may hold commas
    writer.writerow(["model", "metric", "value", "low", "high"])
    true = [replace(model, name=name, scores=scores) for name, scores in model.beside.items()]
    for evaluation in (model, *baselines, *(one for one in true if one.name == TRUE)):
        for name, score in evaluation.scores.items():
            numbers = [f"{number:.6f}" for number in (score.value, score.low, score.high)]
            writer.writerow([evaluation.name, name, *numbers])
    return file.getvalue()


def missed_goals(outcome: Outcome, config: "EvaluationConfig") -> list[str]:
    """The goals and must-fix cases of the recipe that the model missed, a sentence each."""
    missed = []
    for name, goal in config.goals.items():
        if name in COST_GOALS:
            cost = outcome.model.cost.get(name)
            if cost is None or cost > goal:
                said = "could not be measured" if cost is None else f"is {cost:.4g}"
                missed.append(f"{name} {said}, at most {goal:g} was asked.")
            continue
        score = outcome.model.scores.get(name)
        if score is None:
            missed.append(f"{name} could not be judged, {goal:g} was asked.")
            continue
        low_is_good = name.rpartition("/")[2] in LOW_IS_GOOD
        if score.value > goal if low_is_good else score.value < goal:
            word = "at most" if low_is_good else "at least"
            missed.append(f"{name} is {score}, {word} {goal:g} was asked.")
    return [*missed, *(_wrong(case) for case in outcome.must_fix if not case.right)]


def _wrong(case: MustFix) -> str:
    if case.confidence is None:
        return (
            f"must-fix case {_brief(case.prompt)!r} must be {case.target}, answered "
            f"{_brief(case.answer)!r}."
        )
    sure = f"{case.confidence:.0%}"
    return f"must-fix case {case.prompt!r} is {case.target}, answered {case.answer} ({sure})."


def _brief(text: str) -> str:
    said = " ".join(text.split())
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}…"
