"""Judge a model that answers with text: how likely the true answers are, and what it writes."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fucina import tasks
from fucina.config import metric_name
from fucina.evaluate.compare_texts import compare_texts
from fucina.evaluate.hardest import evidence
from fucina.evaluate.persona import Persona
from fucina.evaluate.slices import slice_scores
from fucina.evaluate.true_answers import TRUE, beside, of_true_answers
from fucina.metrics import bootstrap, ratio_interval, wilson
from fucina.models.memory import peak_memory_mib
from fucina.models.writer import Writer
from fucina.records import (
    Comparison,
    Dataset,
    Evaluation,
    Example,
    Interval,
    Outcome,
    Progress,
    Split,
    Texts,
    silent,
)
from fucina.tasks import Task
from fucina.tasks.grammars import FREE
from fucina.tasks.settings import BASE, baselines

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig, Recipe

__all__ = ["judge_texts", "measure_texts", "text_outcome"]

TIMED = 8  # answers that are written one by one


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
    rows, samples, confidence = len(texts.prompts), config.bootstrap_samples, config.confidence
    scores = {
        name: ratio_interval(mark, samples=samples, seed=seed, confidence=confidence)
        for name, mark in texts.marks.items()
        if mark.possible.any() or not mark.descriptive  # of no words nothing can be said
    }
    if texts.tokens.any():  # a baseline that only writes says nothing of how likely an answer is
        losses, tokens = texts.losses, np.maximum(texts.tokens, 1e-9)
        loss = bootstrap(
            lambda picks: losses[picks].sum() / tokens[picks].sum(), rows, samples=samples,
            seed=seed, confidence=confidence,
        )  # fmt: skip
        scores |= {"perplexity": _exponential(loss), "token_loss": loss}
    if texts.answers:
        pairs = zip(texts.answers, texts.targets, strict=True)
        same = sum(_words(answer) == _words(target) for answer, target in pairs)
        scores["exact_match"] = wilson(same, rows, confidence)
    if texts.answers and len(texts.ended):
        scores["ended"] = wilson(int(texts.ended.sum()), rows, confidence)
    return Evaluation(
        name=name,
        scores=scores,
        per_label={},
        confusion=(),
        labels=(),
        rows=rows,
        cost=dict(cost or {}),
    )


def _words(text: str) -> str:
    return " ".join(text.split())


def _exponential(loss: Interval) -> Interval:
    value, low, high = np.exp(np.minimum([loss.value, loss.low, loss.high], 700.0)).tolist()
    return Interval(value, low, high)


def marked(
    texts: Texts, rows: Sequence[Example], task: Task, persona: Persona | None = None
) -> Texts:
    """Texts with the scores of their task, and of the persona they are held against."""
    marks = task.scores(texts.answers, rows) if task.scores else {}
    own = persona.marks(texts.answers, rows) if persona is not None else {}
    return replace(texts, marks={**marks, **own})


def measure_texts(
    model: Writer,
    rows: Dataset,
    config: "EvaluationConfig",
    *,
    seed: int,
    threads: ThreadPoolExecutor,
    name: str,
    task: Task,
    persona: Persona | None = None,
    progress: Progress = silent,
) -> tuple[Evaluation, Texts]:
    """Write and judge the answers to all rows, and time some one by one."""
    written = model.predict(rows.examples, threads=threads, progress=progress)
    texts = marked(written, rows.examples, task, persona)
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
        "prompt_tokens_mean": float(np.mean(texts.read)),
        "answer_tokens_mean": float(np.mean(texts.written)),
    }
    judged = judge_texts(texts, config, name=name, seed=seed, cost=cost)
    parts = slice_scores(texts, rows.examples, task, config, seed=seed)
    true = of_true_answers(rows, task, persona, config, seed=seed)
    return replace(judged, slices=parts, beside={TRUE: true} if true else {}), texts


def text_outcome(
    model: Writer,
    plain: Writer,
    split: Split,
    out_of_fold: Texts,
    recipe: "Recipe",
    *,
    persona: Persona | None = None,
    threads: ThreadPoolExecutor,
    progress: Progress = silent,
    lap: Callable[[str], None] = silent,
) -> Outcome:
    """Judge the saved model beside its base, which was asked the same without training.

    A model whose answers are held to a grammar is judged beside itself writing freely too.

    Args:
        model: As it was saved and loaded again, so that what is judged is what is kept.
        plain: The base alone.
        split: With the test rows.
        out_of_fold: Losses of members on rows they held out.
        recipe: For the evaluation section.
        persona: What answers are held against.
        threads: Where answers are written.
        progress: Told after each chunk.
        lap: Told that a stage ended.
    """
    config, seed, task = recipe.evaluation, recipe.seed, tasks.of(recipe)
    judged, texts = measure_texts(
        model, split.test, config, seed=seed, threads=threads, name="model", task=task,
        persona=persona, progress=progress,
    )  # fmt: skip
    lap("answering")
    learned = sorted({row for fold in split.folds for row in fold.train})
    learned = split.development.take(learned).examples
    found = []
    free = () if model.held is None else (FREE,)
    for name in (*baselines(recipe), *free):
        progress(f"baseline {name}", 0, 0)
        if name in {BASE, FREE}:
            writer = plain if name == BASE else replace(model, held=None)
            answered = writer.predict(split.test.examples, threads=threads, progress=progress)
        else:
            answered = _free(task.baselines[name](learned, split.test.examples), split.test)
        answered = marked(answered, split.test.examples, task, persona)
        headline = task.headline if task.headline in answered.marks else "perplexity"
        found.append((
            judge_texts(answered, config, name=name, seed=seed),
            compare_texts((name, answered), ("model", texts), config, seed=seed, headline=headline),
        ))  # fmt: skip
    lap("baselines")
    for baseline, _ in found:
        if baseline.name == BASE and judged.beside:
            judged = beside(judged, BASE, baseline)
    if persona is not None:
        judged = replace(judged, persona=persona.facts())
    if task.headline in task.metrics:
        found.sort(key=lambda pair: -pair[0].scores[task.headline].value)
    return Outcome(
        folder="",
        model=judged,
        predictions=texts,
        out_of_fold=judge_texts(out_of_fold, config, name="out of fold", seed=seed),
        calibration=None,
        folds=_each_fold(out_of_fold, split) if len(split.folds) > 1 else {},
        baselines=tuple(baseline for baseline, _ in found),
        against=tuple(comparison for _, comparison in found),
        verdict=text_verdict(judged, found, task.headline),
        headline=task.headline,
        evidence=evidence(texts, split.test.examples, task),
    )


def _free(answers: Sequence[str], rows: Dataset) -> Texts:
    """Answers that no model wrote: nothing is known of how likely they were."""
    nothing = np.zeros(len(rows))
    return Texts(
        tuple(rows.prompts),
        tuple(rows.targets),
        tuple(answers),
        nothing,
        nothing,
        np.zeros(0, bool),
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


def text_verdict(
    model: Evaluation, beside: Sequence[tuple[Evaluation, Comparison]], headline: str
) -> str:
    """The first line of a report: how good, and whether fine-tuning was worth it."""
    score, form = model.scores[headline], ".2f" if headline == "perplexity" else ".3f"
    said = (
        f"{metric_name(headline).partition(' (')[0]} {score.value:{form}} (between "
        f"{score.low:{form}} and {score.high:{form}}) on {model.rows} rows never seen"
    )
    if not beside:
        return f"The model has {said}."
    equal = [pair for pair in beside if "is better than" not in pair[1].verdict]
    if not equal:
        best = beside[0][0]
        return (
            f"The model has {said}; {_called(best.name)} has {best.scores[headline].value:{form}}."
        )
    worse = any("is worse than" in comparison.verdict for _, comparison in equal)
    named = ", ".join(f"{_called(e.name)} ({e.scores[headline].value:{form}})" for e, _ in equal)
    word = "better, or as good" if worse else "as good, within chance"
    return f"{named[0].upper()}{named[1:]} is {word}. The model has {said}."


def _called(baseline: str) -> str:
    own = {BASE: "the base alone", FREE: "the model that writes freely"}
    return own.get(baseline, f"the baseline {baseline}")
