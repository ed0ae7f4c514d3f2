"""Stage 5: why is it not better, and what next."""

from collections.abc import Sequence

from fucina.diagnose.case import Case, Reference
from fucina.diagnose.causes import LABELS, SETTINGS, SPANS, TEXTS
from fucina.diagnose.reference import refer
from fucina.diagnose.slices import errors, slices
from fucina.diagnose.span_case import SpanCase, span_errors, span_slices, span_symptom
from fucina.diagnose.symptom import symptom
from fucina.diagnose.text_case import (
    Likeness,
    TextCase,
    liken,
    text_errors,
    text_slices,
    text_symptom,
)
from fucina.diagnose.training import Curves, Training
from fucina.records import Cause

__all__ = [
    "Case",
    "Curves",
    "Likeness",
    "Reference",
    "SpanCase",
    "TextCase",
    "Training",
    "errors",
    "liken",
    "rank_causes",
    "rank_span_causes",
    "rank_text_causes",
    "refer",
    "slices",
    "span_errors",
    "span_slices",
    "span_symptom",
    "symptom",
    "text_errors",
    "text_slices",
    "text_symptom",
]

WORTH_SAYING = 0.15


def rank_causes(case: Case) -> list[Cause]:
    """Look for every cause; those that hold come ranked, the weightiest first."""
    return _ranked([*(check(case.training) for check in SETTINGS), *(c(case) for c in LABELS)])


def rank_text_causes(case: TextCase) -> list[Cause]:
    """The same for a run that answers with text."""
    return _ranked([*(check(case.training) for check in SETTINGS), *(c(case) for c in TEXTS)])


def rank_span_causes(case: SpanCase) -> list[Cause]:
    """The same for a run that marks spans."""
    return _ranked([*(check(case.training) for check in SETTINGS), *(c(case) for c in SPANS)])


def _ranked(found: Sequence[Cause | None]) -> list[Cause]:
    worth = [cause for cause in found if cause is not None and cause.weight >= WORTH_SAYING]
    return sorted(worth, key=lambda cause: -cause.weight)
