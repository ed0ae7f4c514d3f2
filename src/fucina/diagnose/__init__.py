"""Stage 5: why is it not better, and what next."""

from fucina.diagnose.case import Case, Curves, Reference
from fucina.diagnose.causes import CHECKS
from fucina.diagnose.reference import refer
from fucina.diagnose.slices import errors, slices
from fucina.diagnose.symptom import symptom
from fucina.records import Cause

__all__ = ["Case", "Curves", "Reference", "errors", "rank_causes", "refer", "slices", "symptom"]

WORTH_SAYING = 0.15


def rank_causes(case: Case) -> list[Cause]:
    """Look for every cause; those that hold come ranked, the weightiest first."""
    found = [cause for check in CHECKS if (cause := check(case)) is not None]
    found = [cause for cause in found if cause.weight >= WORTH_SAYING]
    return sorted(found, key=lambda cause: -cause.weight)
