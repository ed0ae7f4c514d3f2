"""Score a model that answers with text: how likely the true answers are, and what it writes."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fucina.evaluate.parts import lifted, rows_of, texts_of
from fucina.evaluate.persona import Persona
from fucina.evaluate.slices import slice_scores
from fucina.evaluate.true_answers import TRUE, of_true_answers
from fucina.metrics import bootstrap, ratio_interval, wilson
from fucina.models.memory import peak_memory_mib
from fucina.models.writer import Writer
from fucina.records import (
    Dataset,
    Evaluation,
    Example,
    Interval,
    Progress,
    Texts,
    silent,
)
from fucina.tasks import Task

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["judge_rows", "judge_texts", "marked", "measure_texts"]

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
    marks = task.judging.scores(texts.answers, rows) if task.judging.scores else {}
    own = persona.marks(texts.answers, rows) if persona is not None else {}
    return replace(texts, marks={**marks, **own})


def judge_rows(
    texts: Texts,
    rows: Dataset,
    task: Task,
    config: "EvaluationConfig",
    *,
    name: str,
    seed: int,
    persona: Persona | None = None,
) -> Evaluation:
    """Score texts with their marks, the parts of their rows, and the true answers beside them.

    Of several tasks learnt together the rows of each are scored by themselves.

    Args:
        texts: n answers, with the scores of their task.
        rows: The n rows.
        task: Divides them.
        config: Confidence and resamples of the intervals.
        name: What is judged.
        seed: Of the resamples.
        persona: What answers are held against.
    """
    if task.choices.parts:
        parts = {
            part.name: judge_rows(
                texts_of(part, texts, rows.examples), rows.take(own), part.task, config, name=name,
                seed=seed,
            )
            for part in task.choices.parts
            if (own := rows_of(part, rows.examples))
        }  # fmt: skip
        return lifted(judge_texts(replace(texts, marks={}), config, name=name, seed=seed), parts)
    judged = judge_texts(texts, config, name=name, seed=seed)
    slices = slice_scores(texts, rows.examples, task, config, seed=seed)
    true = of_true_answers(rows, task, persona, config, seed=seed)
    return replace(judged, slices=slices, beside={TRUE: true} if true else {})


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
    judged = judge_rows(texts, rows, task, config, name=name, seed=seed, persona=persona)
    return replace(judged, cost=cost), texts
