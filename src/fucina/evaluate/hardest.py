"""The answers of a model that writes that were worst, with what their task shows beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fucina.records import Example, Ratio, Texts
from fucina.tasks import Task

__all__ = ["evidence", "text_errors"]

SHOWN = 30
SHOWN_EVIDENCE = 12


def text_errors(
    texts: Texts, headline: str, evidence: Mapping[int, Mapping[str, str]]
) -> list[Mapping[str, Any]]:
    """The rows with the lowest headline, or whose true answers were found least likely.

    Args:
        texts: n answers.
        headline: Of the task.
        evidence: Row to what is shown beside its answer.
    """
    loss, mark = _token_loss(texts), texts.marks.get(headline)
    return [
        {
            "prompt": texts.prompts[row],
            "target": texts.targets[row],
            "answer": texts.answers[row],
            "token_loss": float(loss[row]),
            "score": None if mark is None else float(_each(mark)[row]),
            "ended": bool(texts.ended[row]),
            "evidence": dict(evidence.get(row, {})),
        }
        for row in _hardest(texts, headline)[:SHOWN]
    ]


def evidence(texts: Texts, rows: Sequence[Example], task: Task) -> dict[int, Mapping[str, str]]:
    """What a task shows beside the hardest answers, by row."""
    if task.judging.evidence is None:
        return {}
    hardest = _hardest(texts, task.judging.headline)[:SHOWN_EVIDENCE]
    return {row: task.judging.evidence(texts.answers[row], rows[row]) for row in hardest}


def _hardest(texts: Texts, headline: str) -> list[int]:
    """The rows, the worst answered first; of those answered alike the least likely."""
    loss, mark = _token_loss(texts), texts.marks.get(headline)
    return np.lexsort((-loss, -loss if mark is None else _each(mark))).tolist()


def _token_loss(texts: Texts) -> np.ndarray:
    return texts.losses / np.maximum(texts.tokens, 1e-9)


def _each(mark: Ratio) -> np.ndarray:
    """The score of each row."""
    return mark.gained / np.maximum(mark.possible, 1e-9)
