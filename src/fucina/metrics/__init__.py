"""Pure functions that score answers; they know neither models nor files."""

from fucina.metrics.calibration import Bin, expected_calibration_error, log_loss, reliability
from fucina.metrics.labels import balanced_accuracy, confusion, per_label, scores
from fucina.metrics.statistics import bootstrap_scores, mcnemar, paired_bootstrap_scores, wilson

__all__ = [
    "Bin",
    "balanced_accuracy",
    "bootstrap_scores",
    "confusion",
    "expected_calibration_error",
    "log_loss",
    "mcnemar",
    "paired_bootstrap_scores",
    "per_label",
    "reliability",
    "scores",
    "wilson",
]
