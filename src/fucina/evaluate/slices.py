"""How good a model is on the parts of the rows that its task tells apart, such as levels."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fucina.metrics import ratio_interval
from fucina.records import Example, Ratio, Texts
from fucina.tasks import Task

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["slice_scores"]


def slice_scores(
    texts: Texts, rows: Sequence[Example], task: Task, config: "EvaluationConfig", *, seed: int
) -> dict[str, dict[str, Mapping[str, float]]]:
    """The headline of a task on each part of its rows, the best part first.

    Args:
        texts: n answers with their scores.
        rows: The n rows.
        task: Divides them; nothing comes of one that does not, or has no score of its own.
        config: Confidence and resamples of the intervals.
        seed: Of the resamples.
    """
    mark = texts.marks.get(task.judging.headline)
    if task.judging.slices is None or mark is None:
        return {}
    found: dict[str, dict[str, Mapping[str, float]]] = {}
    for way, names in task.judging.slices(texts.answers, rows).items():
        parts = {}
        for name in dict.fromkeys(names):
            own = np.array([other == name for other in names])
            score = ratio_interval(
                Ratio(mark.gained[own], mark.possible[own]), samples=config.bootstrap_samples,
                seed=seed, confidence=config.confidence,
            )  # fmt: skip
            parts[name] = {
                "rows": int(own.sum()), "value": score.value, "low": score.low, "high": score.high,
            }  # fmt: skip
        best = sorted(parts, key=lambda name: (-parts[name]["value"], -parts[name]["rows"], name))
        found[way] = {name: parts[name] for name in best}
    return found
