"""Pure functions that score answers; they know neither models nor files."""

from fucina.metrics.calibration import (
    HOTTEST,
    Bin,
    apply_temperature,
    brier,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
)
from fucina.metrics.constitution import applies, broken
from fucina.metrics.label_noise import flipped_share
from fucina.metrics.labels import balanced_accuracy, confusion, per_label, scores
from fucina.metrics.proportions import mcnemar, minimum_detectable_difference, wilson
from fucina.metrics.ratios import matches, mean_of, paired_ratio, ratio_interval, swaps, value_of
from fucina.metrics.selective import Coverage, pick_threshold, risk_coverage
from fucina.metrics.spans import (
    SpanCounts,
    count_spans,
    macro_scores,
    per_type,
    span_confusion,
    span_marks,
)
from fucina.metrics.statistics import (
    bootstrap,
    bootstrap_scores,
    paired_bootstrap,
    paired_bootstrap_scores,
    sign_flips,
)
from fucina.metrics.wording import sentences, words

__all__ = [
    "HOTTEST",
    "Bin",
    "Coverage",
    "SpanCounts",
    "applies",
    "apply_temperature",
    "balanced_accuracy",
    "bootstrap",
    "bootstrap_scores",
    "brier",
    "broken",
    "confusion",
    "count_spans",
    "expected_calibration_error",
    "fit_temperature",
    "flipped_share",
    "log_loss",
    "macro_scores",
    "matches",
    "mcnemar",
    "mean_of",
    "minimum_detectable_difference",
    "paired_bootstrap",
    "paired_bootstrap_scores",
    "paired_ratio",
    "per_label",
    "per_type",
    "pick_threshold",
    "ratio_interval",
    "reliability",
    "risk_coverage",
    "scores",
    "sentences",
    "sign_flips",
    "span_confusion",
    "span_marks",
    "swaps",
    "value_of",
    "wilson",
    "words",
]
