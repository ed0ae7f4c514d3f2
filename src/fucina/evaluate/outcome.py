"""Judge a finished run: the model, its members out of fold, and the free baselines."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.evaluate.baselines import baseline
from fucina.evaluate.compare import compare
from fucina.evaluate.hardest import text_errors
from fucina.evaluate.judge import codes, judge
from fucina.evaluate.measure import measure
from fucina.evaluate.span_trust import whether_right
from fucina.evaluate.spans import span_errors
from fucina.evaluate.summary import verdict
from fucina.metrics import (
    apply_temperature,
    expected_calibration_error,
    log_loss,
    reliability,
    scores,
    wilson,
)
from fucina.models import features
from fucina.models.ensemble import Ensemble
from fucina.records import (
    Calibration,
    Outcome,
    Predictions,
    Progress,
    Spans,
    Split,
    Texts,
    silent,
)
from fucina.rules import Rules
from fucina.tasks.settings import baselines as chosen_baselines

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["facts", "outcome"]

ERRORS_SHOWN = 30


def outcome(
    model: Ensemble,
    split: Split,
    out_of_fold: Predictions,
    calibration: Calibration,
    recipe: "Recipe",
    *,
    rules: Rules | None,
    threads: ThreadPoolExecutor,
    progress: Progress = silent,
    lap: Callable[[str], None] = silent,
) -> Outcome:
    """Judge the saved model beside baselines that learnt from the same rows.

    Args:
        model: As it was saved and loaded again, so that what is judged is what is kept.
        split: With the test rows.
        out_of_fold: Answers of members on rows they held out.
        calibration: What was learnt from them about confidence.
        recipe: For the evaluation section.
        rules: The user's rules, judged as one more baseline.
        threads: Where answers are computed.
        progress: Told before each baseline.
        lap: Told that a stage ended.
    """
    config, seed = recipe.evaluation, recipe.seed
    judged, predictions = measure(
        model, split.test, config, seed=seed, threads=threads, name="model", progress=progress
    )
    lap("answering")
    rows = sorted({row for fold in split.folds for row in fold.train})
    learned = split.development.take(rows)
    vectors = features.maker(model.base, threads)
    names = [*chosen_baselines(recipe), *(["rules"] if rules else [])]
    found = []
    for number, name in enumerate(names):
        progress(f"baseline {name}", number, len(names))
        answers = baseline(
            name,
            learned,
            split.test,
            split.labels,
            features=vectors,
            rules=rules,
        )
        found.append(
            (
                judge(answers, config, name=name, seed=seed),
                compare((name, answers), ("model", predictions), config, seed=seed),
            )
        )
    lap("baselines")
    found.sort(key=lambda pair: -pair[0].scores["accuracy"].value)
    baselines, against = tuple(e for e, _ in found), tuple(c for _, c in found)
    return Outcome(
        folder="",
        model=judged,
        predictions=predictions,
        out_of_fold=judge(out_of_fold, config, name="out of fold", seed=seed),
        calibration=calibration,
        folds=_each_fold(out_of_fold, split) if len(split.folds) > 1 else {},
        baselines=baselines,
        against=against,
        verdict=verdict(judged, baselines, against),
    )


def facts(outcome: Outcome) -> dict[str, Any]:
    """All numbers of an outcome as JSON can hold them."""
    predictions = outcome.predictions
    found: dict[str, Any] = {
        "verdict": outcome.verdict,
        "headline": outcome.headline,
        "model": asdict(outcome.model),
        "out_of_fold": asdict(outcome.out_of_fold),
        "folds": {
            name: {"mean": float(np.mean(values)), "std": float(np.std(values)), "values": values}
            for name, values in outcome.folds.items()
        },
        "baselines": [asdict(baseline) for baseline in outcome.baselines],
        "against": [asdict(comparison) for comparison in outcome.against],
        "must_fix": [asdict(case) for case in outcome.must_fix],
    }
    if outcome.parts:
        found["parts"] = {part: facts(own) for part, own in outcome.parts.items()}
    if isinstance(predictions, Texts):
        errors = text_errors(predictions, outcome.headline, outcome.evidence)
        return {**found, "errors": errors}
    if isinstance(predictions, Spans):
        found |= {"answer": "spans", "errors": span_errors(predictions)}
        predictions = whether_right(predictions)
    else:
        found["errors"] = _errors(predictions)
    if not predictions.targets:
        return found  # no span was marked in the test
    bins = reliability(predictions.probabilities, codes(predictions))
    found["reliability"] = [asdict(bin) for bin in bins]
    if outcome.calibration is not None:
        trusted = _trusted(predictions, outcome.calibration)
        found["calibration"] = {**asdict(outcome.calibration), "test": trusted}
    return found


def _trusted(predictions: Predictions, calibration: Calibration) -> dict[str, Any]:
    """What calibration and abstention came to on the test rows, which had no part in them."""
    temperature = calibration.temperature
    targets, given = codes(predictions), predictions.probabilities
    # Scaling is undone by scaling back: softmax(log p / T) at 1 / T gives p again.
    raw = apply_temperature(given, 1 / temperature) if temperature != 1 else given
    answered = predictions.answered
    wrong = answered & (given.argmax(axis=1) != targets)
    return {
        "ece_before": expected_calibration_error(raw, targets),
        "ece_after": expected_calibration_error(given, targets),
        "log_loss_before": log_loss(raw, targets),
        "log_loss_after": log_loss(given, targets),
        "reliability_before": [asdict(bin) for bin in reliability(raw, targets)],
        "answered": int(answered.sum()),
        "wrong": int(wrong.sum()),
        "risk": asdict(wilson(int(wrong.sum()), int(answered.sum()))) if answered.any() else None,
    }


def _each_fold(out_of_fold: Predictions, split: Split) -> dict[str, tuple[float, ...]]:
    """Scores of each member on its own fold; `out_of_fold` holds them one after the other."""
    each: dict[str, list[float]] = {}
    begin = 0
    for fold in split.folds:
        part = slice(begin, begin + len(fold.held_out))
        begin += len(fold.held_out)
        own = Predictions(split.labels, out_of_fold.probabilities[part], out_of_fold.targets[part])
        targets, answers = codes(own), own.probabilities.argmax(axis=1)
        found = scores(targets, answers, len(split.labels))
        found["log_loss"] = log_loss(own.probabilities, targets)
        found["ece"] = expected_calibration_error(own.probabilities, targets)
        for name, value in found.items():
            each.setdefault(name, []).append(float(value))
    return {name: tuple(values) for name, values in each.items()}


def _errors(predictions: Predictions) -> list[Mapping[str, Any]]:
    """The wrong answers the model was surest of."""
    answers = predictions.answers
    order = np.argsort(-predictions.confidences, kind="stable")
    wrong = [int(row) for row in order if answers[row] != predictions.targets[row]]
    return [
        {
            "prompt": predictions.prompts[row],
            "target": predictions.targets[row],
            "answer": answers[row],
            "confidence": float(predictions.confidences[row]),
        }
        for row in wrong[:ERRORS_SHOWN]
    ]
