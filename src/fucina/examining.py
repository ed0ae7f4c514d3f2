"""Judge an index by questions of which the answer or its place is known, and calibrate it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fucina.answering import Answered, Told, ask, find, tell_found
from fucina.config import AnswerConfig, SearchConfig
from fucina.evaluate import Judge
from fucina.library import Library
from fucina.metrics.proportions import wilson
from fucina.records import Hit, Interval, Progress, silent
from fucina.retrieval import calibrated
from fucina.retrieval.faithfulness import held, matter_of
from fucina.retrieval.judging import (
    Known,
    holds,
    mean_of,
    overlap,
    ranking_scores,
    read_known,
    same,
)
from fucina.speaking import Speaker

__all__ = ["Examined", "examine", "read_known"]

DEPTH = 50  # chunks that are ranked: several may be of one file
AT_ONCE = 16  # questions that an endpoint is asked before progress is told


@dataclass(frozen=True)
class Examined:
    """How good an index is on some questions.

    Attributes:
        questions: How many.
        answerable: How many of them the documents answer.
        scores: Of the ranking, and of the answers, each with its interval.
        latency_ms: Of one search: p50 and p95.
        answer_ms: Of one answer that a model wrote, likewise; None where none did.
        tokens: Mean of each part of a prompt, and of `answer`, where a model answered.
    """

    questions: int
    answerable: int
    scores: dict[str, Interval]
    latency_ms: tuple[float, float]
    answer_ms: tuple[float, float] | None = None
    tokens: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Row:
    """A question and what became of it.

    Attributes:
        known: What is right.
        found: Chunks, deeper than an answer looks.
        taken_ms: By the search.
        told: What is said.
        held: Share of its words that its sources have; None where nothing is said.
        supported: Whether the judge finds it so; None without an opinion.
    """

    known: Known
    found: Sequence[Hit]
    taken_ms: float
    told: Told
    held: float | None = None
    supported: bool | None = None


def examine(
    library: Library,
    known: Sequence[Known],
    config: SearchConfig,
    *,
    answer: AnswerConfig | None = None,
    speaker: Speaker | None = None,
    judge: Judge | None = None,
    calibrate: bool = False,
    progress: Progress = silent,
) -> dict[str, Examined]:
    """Ask an index every question and judge what it finds and says.

    Args:
        library: The index.
        known: Questions.
        config: How to look; `top` chunks are what an answer is made of.
        answer: How sure it must be to answer, and what a model reads beside.
        speaker: Who answers; None to quote.
        judge: Decides whether documents support an answer; None to leave that out.
        calibrate: Learn from these questions how sure the index may be, and keep that in it. What
            is told is then of the same questions, so other ones are the judges.
        progress: Shows steps.

    Returns:
        Under `all`, and under each group of questions where there are several.

    Raises:
        DataError: There are too few questions of either kind to calibrate with.
        EndpointError: An endpoint that answers cannot be used; a judge that cannot says so itself.
    """
    answer = answer or AnswerConfig()
    found, taken = _searched(library, known, config, progress)
    given = [hits[: config.top] for hits in found]
    if calibrate:
        library = _calibrated(library, given, known)
    if speaker is None:
        said = [
            Told(ask(library, one.question, config, least=answer.sure, hits=hits))
            for hits, one in zip(given, known, strict=True)
        ]
    else:
        asked = [
            find(library, one.question, config, least=answer.sure, hits=hits)
            for hits, one in zip(given, known, strict=True)
        ]
        said = list(_written(asked, speaker, answer, progress))
    rows = [_Row(*facts) for facts in zip(known, found, taken, said, strict=True)]
    rows = _trusted(rows, library, judge)
    groups = sorted({one.group for one in known})
    parts = {"all": rows}
    if len(groups) > 1:
        parts |= {name or "(none)": [r for r in rows if r.known.group == name] for name in groups}
    return {name: _examined(part) for name, part in parts.items()}


def _searched(
    library: Library, known: Sequence[Known], config: SearchConfig, progress: Progress
) -> tuple[list[list[Hit]], list[float]]:
    """What is found for each question, and the milliseconds it took."""
    deep = config.model_copy(update={"top": max(DEPTH, config.top)})
    found, taken = [], []
    for done, one in enumerate(known, start=1):
        progress("asking", done, len(known))
        began = time.perf_counter()
        found.append(library.searcher.search(one.question, deep))
        taken.append((time.perf_counter() - began) * 1000)
    return found, taken


def _calibrated(
    library: Library, given: Sequence[Sequence[Hit]], known: Sequence[Known]
) -> Library:
    answered = [one.answerable and any(holds(hit, one) for hit in hits)
                for hits, one in zip(given, known, strict=True)]  # fmt: skip
    trust = calibrated(given, answered)
    library.store.note({"trust": trust.dump()})
    return replace(library, trust=trust)


def _written(
    asked: Sequence[Answered], speaker: Speaker, answer: AnswerConfig, progress: Progress
) -> Iterator[Told]:
    """Answers of a model; one at a time where it runs here, so that each has its own time."""
    step = AT_ONCE if answer.url is not None else 1
    for begin in range(0, len(asked), step):
        progress("answering", begin, len(asked))
        yield from tell_found(asked[begin : begin + step], speaker, answer)
    progress("answering", len(asked), len(asked))


def _trusted(rows: Sequence[_Row], library: Library, judge: Judge | None) -> list[_Row]:
    """Rows with what documents hold of each answer."""
    rows = [
        replace(row, held=held(row.told.text, row.told.sources, library.searcher))
        if row.told.answered
        else row
        for row in rows
    ]
    said = [place for place, row in enumerate(rows) if row.told.answered]
    if judge is None or not said:
        return rows
    matters = [
        matter_of(told.asked.question, told.sources, told.text)
        for told in (rows[place].told for place in said)
    ]
    for place, supported in zip(said, judge.decide(matters), strict=True):
        rows[place] = replace(rows[place], supported=supported)
    return rows


def _examined(rows: Sequence[_Row]) -> Examined:
    inside = [row for row in rows if row.known.answerable]
    scores: dict[str, Interval] = {}
    if inside:
        ranked = ranking_scores([row.found for row in inside], [row.known for row in inside])
        scores = {name: mean_of(values) for name, values in ranked.items()}
    scores |= _answer_scores(rows) | _trust_scores(rows)
    prompts = [row.told.prompt for row in rows if row.told.prompt is not None]
    replies = [row.told.reply for row in rows if row.told.reply is not None]
    tokens = {
        part: float(np.mean([prompt.tokens[part] for prompt in prompts]))
        for part in (prompts[0].tokens if prompts else ())
    }
    if replies:
        tokens["answer"] = float(np.mean([reply.answer_tokens for reply in replies]))
    return Examined(
        len(rows),
        len(inside),
        scores,
        _p50_p95([row.taken_ms for row in rows]),
        _p50_p95([reply.seconds * 1000 for reply in replies]) if replies else None,
        tokens,
    )


def _p50_p95(taken: Sequence[float]) -> tuple[float, float]:
    p50, p95 = np.quantile(taken, [0.5, 0.95]).tolist()
    return p50, p95


def _answer_scores(rows: Sequence[_Row]) -> dict[str, Interval]:
    """Scores of what was said, as shares of questions of one kind."""
    scores: dict[str, Interval] = {}
    inside = [row for row in rows if row.known.answerable]
    if inside:
        scores["answered"] = _share([row.told.answered for row in inside])
    said = [row for row in inside if row.told.answered]
    if said:
        scores["citation has it"] = _share(
            [any(holds(hit, row.known) for hit in _cited(row.told)) for row in said]
        )
    worded = [(row.told.text, row.known) for row in said if row.known.answers]
    if worded:
        written = any(row.told.cited is not None for row in said)
        scores["answer has it" if written else "quote has it"] = _share(
            [any(x in text for x in k.answers) for text, k in worded]
        )
        scores["exact match"] = _share([same(text, k) for text, k in worded])
        scores["F1 of words"] = mean_of(np.array([overlap(text, k) for text, k in worded]))
    outside = [row.told.told_so for row in rows if not row.known.answerable]
    if outside:
        scores["not in the documents, told so"] = _share(outside)
    return scores


def _cited(told: Told) -> Sequence[Hit]:
    """The chunks that are cited; none where a model cited none."""
    return () if told.cited is not None and not told.cited.numbers else told.sources


def _trust_scores(rows: Sequence[_Row]) -> dict[str, Interval]:
    """Scores of all answers, to questions that documents do not answer too."""
    scores: dict[str, Interval] = {}
    written = [row.told.cited for row in rows if row.told.cited and row.told.answered]
    if written:
        scores["cites nothing"] = _share([not one.numbers for one in written])
        scores["citation invented"] = _share([bool(one.invented) for one in written])
    shares = [row.held for row in rows if row.held is not None]
    if shares:
        scores["faithful by words"] = mean_of(np.array(shares))
    opinions = [row.supported for row in rows if row.supported is not None]
    if opinions:
        scores["faithful by the judge"] = _share(opinions)
    return scores


def _share(right: Sequence[bool]) -> Interval:
    return wilson(sum(right), len(right))
