"""Stage 5: why is it not better, and what next."""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = [
    "Case",
    "Curves",
    "Likeness",
    "Reference",
    "SpanCase",
    "TextCase",
    "Training",
    "errors",
    "fresh",
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
    found = [*(check(case.training) for check in SETTINGS), *(c(case) for c in LABELS)]
    return _ranked(found, case.recipe)


def rank_text_causes(case: TextCase) -> list[Cause]:
    """The same for a run that answers with text."""
    found = [*(check(case.training) for check in SETTINGS), *(c(case) for c in TEXTS)]
    return _ranked(found, case.recipe)


def rank_span_causes(case: SpanCase) -> list[Cause]:
    """The same for a run that marks spans."""
    found = [*(check(case.training) for check in SETTINGS), *(c(case) for c in SPANS)]
    return _ranked(found, case.recipe)


def _ranked(found: Sequence[Cause | None], recipe: "Recipe") -> list[Cause]:
    worth = [cause for cause in found if cause is not None and cause.weight >= WORTH_SAYING]
    return [fresh(cause, recipe) for cause in sorted(worth, key=lambda cause: -cause.weight)]


def fresh(cause: Cause, recipe: "Recipe") -> Cause:
    """The cause with those of its changes that a recipe does not have already."""
    own = {name: attrgetter(name)(recipe) for name in cause.changes}
    return replace(cause, changes={k: v for k, v in cause.changes.items() if v != own[k]})
