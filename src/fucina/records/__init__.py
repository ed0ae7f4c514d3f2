"""What passes between stages: small frozen records, and nothing that computes.

Arrays are numpy; shapes are written beside them (n rows, c labels, k members of an ensemble).
"""

from fucina.records.advice import Advice, Arm, Component, Cost, Trigger
from fucina.records.answers import Epoch, Predictions, Ratio, Spans, Texts
from fucina.records.compared import Change, Contest, Leaderboard, Standing
from fucina.records.diagnosis import Cause, Diagnosis, Slice, WorstError
from fucina.records.documents import Chunk, Document, Hit, Section
from fucina.records.explanation import Curve, Explanation, Faithfulness, Neighbor, Weight
from fucina.records.grammar import Grammar
from fucina.records.judgment import (
    Calibration,
    Case,
    Comparison,
    Evaluation,
    Interval,
    LearningCurve,
    MustFix,
    Outcome,
)
from fucina.records.progress import Progress, silent
from fucina.records.proof import Check, Proof
from fucina.records.rows import (
    Answer,
    Dataset,
    Example,
    Finding,
    Message,
    Repair,
    Role,
    Span,
)
from fucina.records.split import Fold, Split

__all__ = [
    "Advice",
    "Answer",
    "Arm",
    "Calibration",
    "Case",
    "Cause",
    "Change",
    "Check",
    "Chunk",
    "Comparison",
    "Component",
    "Contest",
    "Cost",
    "Curve",
    "Dataset",
    "Diagnosis",
    "Document",
    "Epoch",
    "Evaluation",
    "Example",
    "Explanation",
    "Faithfulness",
    "Finding",
    "Fold",
    "Grammar",
    "Hit",
    "Interval",
    "Leaderboard",
    "LearningCurve",
    "Message",
    "MustFix",
    "Neighbor",
    "Outcome",
    "Predictions",
    "Progress",
    "Proof",
    "Ratio",
    "Repair",
    "Role",
    "Section",
    "Slice",
    "Span",
    "Spans",
    "Split",
    "Standing",
    "Texts",
    "Trigger",
    "Weight",
    "WorstError",
    "silent",
]
