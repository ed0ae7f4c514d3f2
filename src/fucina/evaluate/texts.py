"""Judge a model that answers with text: how likely the true answers are, and what it writes."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.errors import RunError
from fucina.metrics import bootstrap, paired_bootstrap, sign_flips, wilson
from fucina.models.memory import peak_memory_mib
from fucina.models.writer import Writer
from fucina.records import (
    Comparison,
    Dataset,
    Evaluation,
    Interval,
    Outcome,
    Progress,
    Split,
    Texts,
    silent,
)

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig, Recipe

__all__ = ["compare_texts", "judge_texts", "measure_texts", "text_errors", "text_outcome"]

TIMED = 8  # answers that are written one by one
SHOWN = 30


def judge_texts(
    texts: Texts,
    config: "EvaluationConfig",
    *,
    name: str,
    seed: int,
    cost: Mapping[str, float] | None = None,
) -> Evaluation:
    """Score texts against their targets.

    The loss is the mean over learnt tokens (the words of the true answer and the token that ends
    it), given what truly stood before each; perplexity is e to that, so 1 is perfect and the size
    of the vocabulary is knowing nothing.

    Args:
        texts: n rows.
        config: Confidence and resamples of the intervals.
        name: What is judged.
        seed: Of the resamples.
        cost: Latency and memory to carry along.
    """
    losses, tokens = texts.losses, np.maximum(texts.tokens, 1e-9)
    loss = bootstrap(
        lambda picks: losses[picks].sum() / tokens[picks].sum(),
        len(losses),
        samples=config.bootstrap_samples,
        seed=seed,
        confidence=config.confidence,
    )
    scores = {"perplexity": _exponential(loss), "token_loss": loss}
    if texts.answers:
        pairs = zip(texts.answers, texts.targets, strict=True)
        same = sum(_words(answer) == _words(target) for answer, target in pairs)
        scores["exact_match"] = wilson(same, len(losses), config.confidence)
        scores["ended"] = wilson(int(texts.ended.sum()), len(losses), config.confidence)
    return Evaluation(
        name=name,
        scores=scores,
        per_label={},
        confusion=(),
        labels=(),
        rows=len(losses),
        cost=dict(cost or {}),
    )


def _words(text: str) -> str:
    return " ".join(text.split())


def _exponential(loss: Interval) -> Interval:
    value, low, high = np.exp(np.minimum([loss.value, loss.low, loss.high], 700.0)).tolist()
    return Interval(value, low, high)


def compare_texts(
    first: tuple[str, Texts],
    second: tuple[str, Texts],
    config: "EvaluationConfig",
    *,
    seed: int,
) -> Comparison:
    """Compare how likely two models find the same answers.

    The p value is of a test that flips the sign of each row's difference of losses: were the
    models alike, each sign would be as likely as the other.

    Raises:
        RunError: The rows differ.
    """
    (first_name, one), (second_name, two) = first, second
    if one.prompts != two.prompts or one.targets != two.targets:
        raise RunError(
            f"{first_name} and {second_name} were judged on different rows.",
            fix="Judge both on one file: fucina evaluate RUN --data FILE.",
        )
    if not np.allclose(one.tokens, two.tokens):
        raise RunError(
            f"{first_name} and {second_name} cut the answers into different tokens, so their "
            "losses a token cannot be compared.",
            fix="Compare runs whose base models share a tokenizer.",
        )
    tokens = np.maximum(one.tokens, 1e-9)

    def losses(picks: np.ndarray) -> tuple[float, float]:
        total = tokens[picks].sum()
        return one.losses[picks].sum() / total, two.losses[picks].sum() / total

    difference = paired_bootstrap(
        losses,
        len(tokens),
        samples=config.bootstrap_samples,
        seed=seed,
        confidence=config.confidence,
    )
    p_value = sign_flips(two.losses - one.losses, seed=seed)
    sure = p_value < 1 - config.confidence and (difference.low > 0 or difference.high < 0)
    if not sure:
        verdict = f"no measurable difference between {first_name} and {second_name}"
    else:
        word = "better" if difference.value < 0 else "worse"
        verdict = f"{second_name} is {word} than {first_name}"
    details = {"rows": len(tokens)}
    ends = [texts.ended.astype(float) for texts in (one, two)]
    ended = paired_bootstrap(
        lambda picks: (ends[0][picks].mean(), ends[1][picks].mean()),
        len(tokens),
        samples=config.bootstrap_samples,
        seed=seed,
        confidence=config.confidence,
    )
    differences = {"token_loss": difference, "ended": ended}
    return Comparison(first_name, second_name, differences, p_value, verdict, details)


def measure_texts(
    model: Writer,
    rows: Dataset,
    config: "EvaluationConfig",
    *,
    seed: int,
    threads: ThreadPoolExecutor,
    name: str,
    progress: Progress = silent,
) -> tuple[Evaluation, Texts]:
    """Write and judge the answers to all rows, and time some one by one."""
    texts = model.predict(rows.examples, threads=threads, progress=progress)
    times = []
    for example in rows.examples[:TIMED]:
        began = time.perf_counter()
        model.predict([example], threads=threads, foretell=False)
        times.append(1000 * (time.perf_counter() - began))
    cost = {
        "latency_mean_ms": float(np.mean(times)),
        "latency_p50_ms": float(np.quantile(times, 0.5)),
        "latency_p95_ms": float(np.quantile(times, 0.95)),
        "peak_memory_mib": peak_memory_mib(),
    }
    return judge_texts(texts, config, name=name, seed=seed, cost=cost), texts


def text_outcome(
    model: Writer,
    plain: Writer | None,
    split: Split,
    out_of_fold: Texts,
    recipe: "Recipe",
    *,
    threads: ThreadPoolExecutor,
    progress: Progress = silent,
    lap: Callable[[str], None] = silent,
) -> Outcome:
    """Judge the saved model beside its base, which was asked the same without training.

    Args:
        model: As it was saved and loaded again, so that what is judged is what is kept.
        plain: The base alone; None to leave it out.
        split: With the test rows.
        out_of_fold: Losses of members on rows they held out.
        recipe: For the evaluation section.
        threads: Where answers are written.
        progress: Told after each chunk.
        lap: Told that a stage ended.
    """
    config, seed = recipe.evaluation, recipe.seed
    judged, texts = measure_texts(
        model, split.test, config, seed=seed, threads=threads, name="model", progress=progress
    )
    lap("answering")
    baselines, against = [], []
    if plain is not None:
        answered = plain.predict(split.test.examples, threads=threads, progress=progress)
        baselines.append(judge_texts(answered, config, name="base", seed=seed))
        against.append(compare_texts(("base", answered), ("model", texts), config, seed=seed))
    lap("baselines")
    return Outcome(
        folder="",
        model=judged,
        predictions=texts,
        out_of_fold=judge_texts(out_of_fold, config, name="out of fold", seed=seed),
        calibration=None,
        folds=_each_fold(out_of_fold, split) if len(split.folds) > 1 else {},
        baselines=tuple(baselines),
        against=tuple(against),
        verdict=_verdict(judged, baselines, against),
    )


def _each_fold(texts: Texts, split: Split) -> dict[str, tuple[float, ...]]:
    """The loss of each member on its own fold; `texts` holds them one after the other."""
    ends = np.cumsum([len(fold.held_out) for fold in split.folds])
    parts = np.split(np.arange(len(texts.losses)), ends[:-1])
    losses = [float(texts.losses[part].sum() / texts.tokens[part].sum()) for part in parts]
    return {
        "perplexity": tuple(float(np.exp(min(loss, 700.0))) for loss in losses),
        "token_loss": tuple(losses),
    }


def _verdict(model: Evaluation, baselines: list[Evaluation], against: list[Comparison]) -> str:
    """The first line of a report: how good, and whether fine-tuning was worth it."""
    score = model.scores["perplexity"]
    said = (
        f"perplexity {score.value:.2f} (between {score.low:.2f} and {score.high:.2f}) on "
        f"{model.rows} conversations never seen"
    )
    if not baselines:
        return f"The model has {said}."
    before = f"{baselines[0].scores['perplexity'].value:.2f}"
    if "is better than" in against[0].verdict:
        return f"The model has {said}; its base alone has {before}."
    word = "better" if "is worse than" in against[0].verdict else "as good, within chance"
    return f"The base alone is {word}: perplexity {before}. The model has {said}."


def text_errors(texts: Texts) -> list[Mapping[str, Any]]:
    """The rows whose true answers the model found least likely."""
    each = texts.losses / np.maximum(texts.tokens, 1e-9)
    return [
        {
            "prompt": texts.prompts[row],
            "target": texts.targets[row],
            "answer": texts.answers[row],
            "token_loss": float(each[row]),
            "ended": bool(texts.ended[row]),
        }
        for row in np.argsort(-each, kind="stable")[:SHOWN].tolist()
    ]
