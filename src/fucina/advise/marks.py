"""Scores of answers that any model may have given, with whichever tokens."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fucina import evaluate
from fucina.errors import RecipeError, nearest
from fucina.metrics import mean_of
from fucina.records import Example, Ratio, Texts
from fucina.retrieval.judging import Known, overlap

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.tasks import Task

__all__ = ["deciding", "known_metrics", "marked"]

OF_LABELS = ("accuracy", "balanced_accuracy")
OF_WORDS = ("word_f1",)


def marked(
    texts: Texts, rows: Sequence[Example], task: "Task", persona: evaluate.Persona | None
) -> Texts:
    """Answers with the scores that any model can be held to.

    Of labels these are accuracy and balanced accuracy; of spans and texts those of the task; of
    conversations the constitution and the voice, and `word_f1`: the F1 of the words of answer and
    true answer, as questions about documents are scored (Rajpurkar et al., 2016,
    https://arxiv.org/abs/1606.05250).

    Args:
        texts: n answers.
        rows: The n rows.
        task: Of the rows.
        persona: What answers are held against.
    """
    if task.answer == "label":
        return replace(texts, marks=_of_labels(texts.answers, rows))
    own = evaluate.marked(texts, rows, _written(task), persona)
    if _written(task).judging.scores:
        return own
    pairs = zip(texts.answers, rows, strict=True)
    words = [overlap(answer, Known("", (row.target,), frozenset())) for answer, row in pairs]
    return replace(own, marks={"word_f1": mean_of(words), **own.marks})


def _written(task: "Task") -> "Task":
    """The task whose scores are of what is written: of spans its form that writes them."""
    return task.choices.forms["text"] if task.answer == "spans" else task


def _of_labels(answers: Sequence[str], rows: Sequence[Example]) -> Mapping[str, Ratio]:
    right = np.array([a == row.target for a, row in zip(answers, rows, strict=True)], dtype=float)
    counts = Counter(row.target for row in rows)
    # Each label weighs the same, however many rows it has.
    weights = np.array([1 / counts[row.target] for row in rows])
    return {"accuracy": mean_of(right), "balanced_accuracy": Ratio(right * weights, weights)}


def known_metrics(task: "Task", recipe: "Recipe") -> tuple[str, ...]:
    """The scores that can decide, the task's own first."""
    if task.answer == "label":
        return OF_LABELS[::-1]
    judging = _written(task).judging
    own = [name for name in judging.metrics if name not in judging.descriptive]
    if judging.headline in own:
        own = [judging.headline, *(name for name in own if name != judging.headline)]
    rules = recipe.chat.constitution is not None
    voice = rules or recipe.chat.others is not None
    persona = (*("all_rules",) * rules, *("sounds_like",) * voice)
    return (*(own or OF_WORDS), *persona)


def deciding(metric: str | None, task: "Task", recipe: "Recipe") -> str:
    """The score that decides.

    Raises:
        RecipeError: It is not one that answers of any model have.
    """
    known = known_metrics(task, recipe)
    if metric is None:
        return known[0]
    if metric in known or (metric.startswith("rule:") and recipe.chat.constitution):
        return metric
    if metric in {"perplexity", "token_loss"}:
        raise RecipeError(
            f"advise.metric: {metric} cannot be compared between models that cut texts into "
            "different tokens, nor is it known behind an endpoint.",
            fix=f"Set one of {', '.join(known)}.",
        )
    raise RecipeError(f"advise.metric: no score {metric!r}.", fix=nearest(metric, known))
