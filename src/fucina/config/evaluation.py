"""How a model is judged."""

from typing import Annotated

from pydantic import Field

from fucina.config.settings import Settings

__all__ = [
    "COST_GOALS",
    "LABEL_BASELINES",
    "LABEL_METRICS",
    "LOW_IS_GOOD",
    "SPAN_METRICS",
    "TEXT_METRICS",
    "EvaluationConfig",
    "metric_name",
]


_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "partial_f1": "partial F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
    "log_loss": "log loss (lower is better)",
    "ece": "calibration error (lower is better)",
    "perplexity": "perplexity (lower is better)",
    "token_loss": "loss a token, nats (lower is better)",
    "exact_match": "answers equal word for word",
    "word_f1": "F1 of words",
    "ended": "answers that end by themselves",
}
LABEL_METRICS = (
    "accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "log_loss",
    "ece",
)  # fmt: skip
LABEL_BASELINES = ("majority", "words", "characters", "frozen")
SPAN_METRICS = (
    "f1", "precision", "recall", "macro_f1", "macro_precision", "macro_recall", "partial_f1",
)  # fmt: skip
TEXT_METRICS = ("perplexity", "token_loss", "exact_match", "ended")
# What an answer costs; of all of them less is better.
COST_GOALS = ("latency_p50_ms", "latency_p95_ms", "peak_memory_mib", "cost_per_query_usd")
LOW_IS_GOOD = frozenset({"log_loss", "ece", "perplexity", "token_loss"})


def metric_name(metric: str) -> str:
    """What people call a metric; those of a task are called by their name, of a part behind its.

    Example:
        >>> metric_name("macro_f1"), metric_name("copy_rate"), metric_name("tags/f1")
        ('macro F1', 'copy rate', 'tags: F1')
    """
    part, slash, own = metric.rpartition("/")
    return f"{part}{': ' * bool(slash)}{_NAMES.get(own, own.replace('_', ' '))}"


class EvaluationConfig(Settings):
    """How the model is judged."""

    confidence: Annotated[
        float, Field(gt=0.5, lt=1, description="Confidence level of the intervals.")
    ] = 0.95
    bootstrap_samples: Annotated[
        int, Field(ge=100, le=100_000, description="Resamples behind each interval.")
    ] = 1000
    baselines: Annotated[
        tuple[str, ...] | None,
        Field(
            description="Free baselines on the same test rows: of labels majority, words, "
            "characters, frozen; of texts base and those of the task; of spans those of the task. "
            "Default: all; [] for none."
        ),
    ] = None
    rules: Annotated[
        str | None, Field(description="YAML file of rules to judge as a baseline.")
    ] = None
    must_fix: Annotated[
        str | None,
        Field(description="File of cases that must be right, reported apart; read like data."),
    ] = None
    calibrate: Annotated[
        bool,
        Field(description="Scale confidence by a temperature fitted on held-out rows."),
    ] = True
    max_error: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Largest share of wrong answers; below a confidence none is given.",
        ),
    ] = None
    goals: Annotated[
        dict[str, float],
        Field(
            default_factory=dict,
            description="What the model must reach on test: metric: value; of what an answer costs "
            "latency_p50_ms, latency_p95_ms, peak_memory_mib and cost_per_query_usd.",
        ),
    ]
