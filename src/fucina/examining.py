"""Judge an index by questions of which the answer or its place is known, and calibrate it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fucina.answering import Answered, ask
from fucina.config import SearchConfig
from fucina.library import Library
from fucina.metrics.proportions import wilson
from fucina.records import Interval, Progress, silent
from fucina.retrieval import calibrated
from fucina.retrieval.judging import (
    Known,
    holds,
    mean_of,
    overlap,
    ranking_scores,
    read_known,
    same,
)

__all__ = ["Examined", "examine", "read_known"]

DEPTH = 50  # chunks that are ranked: several may be of one file


@dataclass(frozen=True)
class Examined:
    """How good an index is on some questions.

    Attributes:
        questions: How many.
        answerable: How many of them the documents answer.
        scores: Of the ranking, and of the answers, each with its interval.
        latency_ms: Of one question: p50 and p95.
    """

    questions: int
    answerable: int
    scores: dict[str, Interval]
    latency_ms: tuple[float, float]


def examine(
    library: Library,
    known: Sequence[Known],
    config: SearchConfig,
    *,
    least: float = 0.5,
    calibrate: bool = False,
    progress: Progress = silent,
) -> dict[str, Examined]:
    """Ask an index every question and judge what it finds and says.

    Args:
        library: The index.
        known: Questions.
        config: How to look; `top` chunks are what an answer is made of.
        least: Probability below which it does not answer.
        calibrate: Learn from these questions how sure the index may be, and keep that in it. What
            is told is then of the same questions, so other ones are the judges.
        progress: Shows steps.

    Returns:
        Under `all`, and under each group of questions where there are several.

    Raises:
        DataError: There are too few questions of either kind to calibrate with.
    """
    deep = config.model_copy(update={"top": max(DEPTH, config.top)})
    found, taken = [], []
    for done, one in enumerate(known, start=1):
        progress("asking", done, len(known))
        began = time.perf_counter()
        found.append(library.searcher.search(one.question, deep))
        taken.append((time.perf_counter() - began) * 1000)
    given = [hits[: config.top] for hits in found]
    if calibrate:
        held = [one.answerable and any(holds(hit, one) for hit in hits)
                for hits, one in zip(given, known, strict=True)]  # fmt: skip
        trust = calibrated(given, held)
        library.store.note({"trust": trust.dump()})
        library = replace(library, trust=trust)
    answered = [
        ask(library, one.question, config, least=least, hits=hits)
        for hits, one in zip(given, known, strict=True)
    ]
    groups = sorted({one.group for one in known})
    parts = {"all": list(range(len(known)))}
    if len(groups) > 1:
        for group in groups:
            parts[group or "(none)"] = [i for i, one in enumerate(known) if one.group == group]
    return {
        name: _examined(
            [found[i] for i in rows], [answered[i] for i in rows], [known[i] for i in rows],
            [taken[i] for i in rows],
        )
        for name, rows in parts.items()
    }  # fmt: skip


def _examined(
    found: Sequence[Sequence], answered: Sequence[Answered], known: Sequence[Known],
    taken: Sequence[float],
) -> Examined:  # fmt: skip
    rows = [i for i, one in enumerate(known) if one.answerable]
    scores: dict[str, Interval] = {}
    if rows:
        ranked = ranking_scores([found[i] for i in rows], [known[i] for i in rows])
        scores = {name: mean_of(values) for name, values in ranked.items()}
    scores |= _answer_scores([(answered[i], known[i]) for i in range(len(known))])
    p50, p95 = np.quantile(taken, [0.5, 0.95]).tolist()
    return Examined(len(known), len(rows), scores, (p50, p95))


def _answer_scores(pairs: Sequence[tuple[Answered, Known]]) -> dict[str, Interval]:
    """Scores of what was said, as shares of questions of one kind."""
    scores: dict[str, Interval] = {}
    told = [(a, k) for a, k in pairs if k.answerable]
    if told:
        scores["answered"] = _share([not a.weak for a, _ in told])
    said = [(a, k) for a, k in told if not a.weak]
    if said:
        cited = [any(holds(a.hits[q.hit], k) for q in a.quotes) for a, k in said]
        scores["citation has it"] = _share(cited)
    worded = [(" ".join(q.text for q in a.quotes), k) for a, k in said if k.answers]
    if worded:
        scores["quote has it"] = _share([any(x in text for x in k.answers) for text, k in worded])
        scores["exact match"] = _share([same(text, k) for text, k in worded])
        scores["F1 of words"] = mean_of(np.array([overlap(text, k) for text, k in worded]))
    outside = [a.weak for a, k in pairs if not k.answerable]
    if outside:
        scores["not in the documents, told so"] = _share(outside)
    return scores


def _share(right: Sequence[bool]) -> Interval:
    return wilson(sum(right), len(right))
