"""Scores that need no true answer, such as rules kept or words copied: true answers have them."""

from dataclasses import replace
from typing import TYPE_CHECKING

from fucina.config import metric_name
from fucina.evaluate.persona import Persona
from fucina.metrics import ratio_interval
from fucina.records import Dataset, Evaluation, Interval
from fucina.tasks import Task

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["TRUE", "beside", "of_true_answers", "trait_name"]

TRUE = "true answers"


def of_true_answers(
    rows: Dataset, task: Task, persona: Persona | None, config: "EvaluationConfig", *, seed: int
) -> dict[str, Interval]:
    """The scores that need no true answer, of the true answers themselves."""
    found = task.judging.scores(rows.targets, rows.examples) if task.judging.scores else {}
    marks = {name: mark for name, mark in found.items() if mark.descriptive}
    marks |= persona.marks(rows.targets, rows.examples) if persona is not None else {}
    return {
        name: ratio_interval(
            mark, samples=config.bootstrap_samples, seed=seed, confidence=config.confidence
        )
        for name, mark in marks.items()
    }


def beside(judged: Evaluation, name: str, other: Evaluation) -> Evaluation:
    """An evaluation with the scores of another one that need no true answer."""
    names = judged.beside[TRUE]
    scores = {score: other.scores[score] for score in names if score in other.scores}
    return replace(judged, beside={**judged.beside, name: scores}) if scores else judged


def trait_name(metric: str) -> str:
    """What people call a score of answers alone.

    Example:
        >>> trait_name("rule:few words"), trait_name("copy_rate")
        ('few words', 'copy rate')
    """
    return metric.removeprefix("rule:") if metric.startswith("rule:") else metric_name(metric)
