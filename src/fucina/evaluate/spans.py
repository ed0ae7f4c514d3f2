"""Judge a model that marks spans, beside what names cost nothing."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import tasks
from fucina.errors import RunError
from fucina.evaluate.text_outcome import text_verdict
from fucina.evaluate.timing import cost_of
from fucina.metrics import (
    SpanCounts,
    bootstrap,
    count_spans,
    macro_scores,
    paired_bootstrap,
    paired_ratio,
    per_type,
    ratio_interval,
    span_confusion,
    span_marks,
    swaps,
    value_of,
)
from fucina.models.marker import Marker
from fucina.records import (
    Comparison,
    Dataset,
    Evaluation,
    Outcome,
    Progress,
    Span,
    Spans,
    Split,
    silent,
)
from fucina.tasks.settings import baselines

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig, Recipe

__all__ = ["compare_spans", "judge_spans", "measure_spans", "span_errors", "span_outcome"]

NOTHING = "nothing"  # the column of spans that were not found, and the row of invented ones
SHOWN = 30
MACRO = ("macro_precision", "macro_recall", "macro_f1")


def judge_spans(
    spans: Spans,
    config: "EvaluationConfig",
    *,
    name: str,
    seed: int,
    cost: Mapping[str, float] | None = None,
) -> Evaluation:
    """Score spans against the true ones: strict, and with half a point for an overlap.

    Args:
        spans: n rows with targets.
        config: Confidence and resamples of the intervals.
        name: What is judged.
        seed: Of the resamples.
        cost: Latency and memory to carry along.
    """
    counts = count_spans(spans.answers, spans.targets)
    drawn: Any = {
        "samples": config.bootstrap_samples, "seed": seed, "confidence": config.confidence
    }  # fmt: skip
    marks = span_marks(counts)
    micro = {metric: ratio_interval(mark, **drawn) for metric, mark in marks.items()}
    macro = {
        metric: bootstrap(_macro(counts, place), len(spans.prompts), **drawn)
        for place, metric in enumerate(MACRO)
    }
    scores = {name: micro[name] for name in ("f1", "precision", "recall")}
    scores |= {"macro_f1": macro["macro_f1"], "partial_f1": micro["partial_f1"], **macro}
    return Evaluation(
        name=name,
        scores=scores,
        per_label=per_type(counts),
        confusion=span_confusion(spans.answers, spans.targets, counts.types),
        labels=(*counts.types, NOTHING),
        rows=len(spans.prompts),
        cost=dict(cost or {}),
    )


def _macro(counts: SpanCounts, place: int) -> Callable[[np.ndarray], float]:
    return lambda picks: macro_scores(counts, picks)[place]


def measure_spans(
    model: Marker,
    rows: Dataset,
    config: "EvaluationConfig",
    *,
    seed: int,
    threads: ThreadPoolExecutor,
    name: str,
    progress: Progress = silent,
) -> tuple[Evaluation, Spans]:
    """Mark and judge all rows, and time single texts."""
    spans = model.predict(rows.examples, threads=threads, progress=progress)
    cost = cost_of(lambda row: model.predict([row], threads=threads), rows.examples)
    return judge_spans(spans, config, name=name, seed=seed, cost=cost), spans


def span_outcome(
    model: Marker,
    split: Split,
    out_of_fold: Spans,
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    progress: Progress = silent,
    lap: Callable[[str], None] = silent,
) -> Outcome[Spans]:
    """Judge the saved model beside baselines that learnt from the same rows.

    Args:
        model: As it was saved and loaded again, so that what is judged is what is kept.
        split: With the test rows.
        out_of_fold: Answers of members on rows they held out.
        recipe: For the evaluation section.
        threads: Where answers are computed.
        progress: Told before each baseline.
        lap: Told that a stage ended.
    """
    config, seed, task = recipe.evaluation, recipe.seed, tasks.get(recipe.task)
    judged, spans = measure_spans(
        model, split.test, config, seed=seed, threads=threads, name="model", progress=progress
    )
    lap("answering")
    rows = sorted({row for fold in split.folds for row in fold.train})
    learned = split.development.take(rows).examples
    found = []
    for name in baselines(recipe):
        progress(f"baseline {name}", 0, 0)
        free = _free(
            task.judging.baselines[name](learned, split.test.examples), split.test, split.labels
        )
        found.append((
            judge_spans(free, config, name=name, seed=seed),
            compare_spans((name, free), ("model", spans), config, seed=seed),
        ))  # fmt: skip
    lap("baselines")
    found.sort(key=lambda pair: -pair[0].scores[task.judging.headline].value)
    return Outcome(
        folder="",
        model=judged,
        predictions=spans,
        out_of_fold=judge_spans(out_of_fold, config, name="out of fold", seed=seed),
        calibration=None,
        folds=_each_fold(out_of_fold, split) if len(split.folds) > 1 else {},
        baselines=tuple(baseline for baseline, _ in found),
        against=tuple(comparison for _, comparison in found),
        verdict=text_verdict(judged, found, task.judging.headline),
        headline=task.judging.headline,
    )


def _free(answers: Sequence[Sequence[Span]], rows: Dataset, types: tuple[str, ...]) -> Spans:
    """Answers that no model gave: nothing is known of how sure they are."""
    marked = tuple(tuple(own) for own in answers)
    return Spans(
        tuple(rows.prompts),
        tuple(row.spans for row in rows.examples),
        marked,
        tuple((1.0,) * len(own) for own in marked),
        tuple(len(prompt) for prompt in rows.prompts),
        types,
    )


def _each_fold(spans: Spans, split: Split) -> dict[str, tuple[float, ...]]:
    """Scores of each member on its own fold; `spans` holds them one after the other."""
    counts = count_spans(spans.answers, spans.targets)
    marks = span_marks(counts)
    ends = np.cumsum([len(fold.held_out) for fold in split.folds])
    parts = np.split(np.arange(len(spans.prompts)), ends[:-1])
    found = {name: tuple(value_of(mark, part) for part in parts) for name, mark in marks.items()}
    return found | {"macro_f1": tuple(macro_scores(counts, part)[2] for part in parts)}


def compare_spans(
    first: tuple[str, Spans],
    second: tuple[str, Spans],
    config: "EvaluationConfig",
    *,
    seed: int,
) -> Comparison:
    """Compare two models on the same rows.

    The p value is of the strict F1: how often models that swap their answers at random differ as
    much. A verdict needs an interval without zero, too.

    Raises:
        RunError: The rows differ.
    """
    (first_name, one), (second_name, two) = first, second
    if one.prompts != two.prompts or one.targets != two.targets:
        raise RunError(
            f"{first_name} and {second_name} were judged on different rows.",
            fix="Judge both on one file: fucina evaluate RUN --data FILE.",
        )
    drawn: Any = {
        "samples": config.bootstrap_samples, "seed": seed, "confidence": config.confidence
    }  # fmt: skip
    counts = [count_spans(side.answers, side.targets) for side in (one, two)]
    marks = [span_marks(side) for side in counts]
    differences = {name: paired_ratio(marks[0][name], marks[1][name], **drawn) for name in marks[0]}
    differences["macro_f1"] = paired_bootstrap(
        lambda picks: (macro_scores(counts[0], picks)[2], macro_scores(counts[1], picks)[2]),
        len(one.prompts), **drawn,
    )  # fmt: skip
    p_value, gain = swaps(marks[0]["f1"], marks[1]["f1"], seed=seed), differences["f1"]
    if p_value >= 1 - config.confidence or gain.low <= 0 <= gain.high:
        verdict = f"no measurable difference between {first_name} and {second_name}"
    else:
        word = "better" if gain.value > 0 else "worse"
        verdict = f"{second_name} is {word} than {first_name}"
    details = {"rows": len(one.prompts)}
    return Comparison(first_name, second_name, differences, p_value, verdict, details, "swaps")


def span_errors(spans: Spans) -> list[Mapping[str, Any]]:
    """The spans that a model was surest of and that are not true, and what is true there."""
    wrong = [
        (sure, row, span)
        for row, own in enumerate(spans.answers)
        for sure, span in zip(spans.confidences[row], own, strict=True)
        if span not in spans.targets[row]
    ]
    wrong.sort(key=lambda item: (-item[0], item[1]))
    return [
        {
            "prompt": spans.prompts[row],
            "answer": f"{span.label}: {spans.prompts[row][span.start : span.end]}",
            "target": "; ".join(
                f"{true.label}: {spans.prompts[row][true.start : true.end]}"
                for true in spans.targets[row]
                if true.start < span.end and span.start < true.end
            ),
            "confidence": float(sure),
        }
        for sure, row, span in wrong[:SHOWN]
    ]
