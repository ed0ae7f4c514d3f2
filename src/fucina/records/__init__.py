"""What passes between stages: small frozen records, and nothing that computes.

Arrays are numpy; shapes are written beside them (n rows, c labels, k members of an ensemble).
"""

from fucina.records.answers import Epoch, Predictions, Ratio, Texts
from fucina.records.diagnosis import Cause, Diagnosis, Slice, WorstError
from fucina.records.grammar import Grammar
from fucina.records.judgment import (
    Calibration,
    Comparison,
    Evaluation,
    Interval,
    LearningCurve,
    MustFix,
    Outcome,
)
from fucina.records.progress import Progress, silent
from fucina.records.rows import Dataset, Example, Finding, Fold, Message, Repair, Role, Split

__all__ = [
    "Calibration",
    "Cause",
    "Comparison",
    "Dataset",
    "Diagnosis",
    "Epoch",
    "Evaluation",
    "Example",
    "Finding",
    "Fold",
    "Grammar",
    "Interval",
    "LearningCurve",
    "Message",
    "MustFix",
    "Outcome",
    "Predictions",
    "Progress",
    "Ratio",
    "Repair",
    "Role",
    "Slice",
    "Split",
    "Texts",
    "WorstError",
    "silent",
]
