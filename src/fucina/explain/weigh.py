"""From a model and a text to which words decided, and whether that is true."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from fucina.errors import DataError
from fucina.explain import faithfulness
from fucina.explain.gradients import Path, require_captum
from fucina.explain.labels import ask_label, label_gradients
from fucina.explain.occlusion import occlude
from fucina.explain.question import Question, Reading
from fucina.explain.spans import ask_spans, span_gradients
from fucina.explain.written import ask_text, text_gradients, text_of
from fucina.models.ensemble import Ensemble
from fucina.models.marker import Marker
from fucina.models.threads import across_cores
from fucina.records import Example, Explanation, Progress, Weight, silent

if TYPE_CHECKING:
    from fucina.models.writer import Writer

    Model = Ensemble | Marker | Writer

__all__ = ["Wanted", "explain"]

Weighed = tuple[np.ndarray, float, Path, str]
# Parameters. A smaller network is quick on one core, and on a busy machine several cores that wait
# for one another were slower than one.
LARGE = 100_000_000
NATS = "log-probability of the answer that is lost without the word, in nats"


@dataclass(frozen=True)
class Wanted:
    """What is to be explained, and how.

    Attributes:
        method: `occlusion` leaves words out; `gradients` follows integrated gradients.
        label: The label, type or answer; None for what the model answers.
        span: Of a model that marks, the words; None for all that it marks.
        members: Which members answer, for people.
        tested: Also say whether the weights are faithful.
        seed: Draws the orders that they are held against.
    """

    method: Literal["occlusion", "gradients"] = "occlusion"
    label: str | None = None
    span: str | None = None
    members: str = "all"
    tested: bool = True
    seed: int = 0


def explain(
    model: "Model",
    row: Example,
    wanted: Wanted,
    *,
    threads: ThreadPoolExecutor,
    text: str | None = None,
    progress: Progress = silent,
) -> list[Explanation]:
    """Say which words of a text decided its answer; of a model that marks, for each span.

    Args:
        model: One that labels, marks or writes.
        row: What is asked.
        wanted: What is to be explained.
        threads: Where it computes.
        text: The part of the row whose words are weighed; None for its last question.
        progress: Told after each chunk.

    Raises:
        DataError: The text is empty, or what is wanted is not there.
        ModelError: The method does not suit the model.
        MissingExtraError: captum is not installed.
    """
    if wanted.method == "gradients":
        require_captum()
    text = (text_of(row) if text is None else text).strip()
    if not text:
        raise DataError("the text is empty.", fix="Give a text with words in it.")
    if wanted.span is not None and not isinstance(model, Marker):
        raise DataError(
            "--span is for models that mark spans.", fix="Leave it out, or give --label."
        )
    found = []
    for question, shown in _questions(model, row, text, wanted, threads):
        weights, said = _weigh(model, question, shown, wanted, threads, progress)
        test = None
        if wanted.tested:
            test = faithfulness.measure(question, weights, seed=wanted.seed, progress=progress)
        found.append(
            replace(_explained(text, question, weights, wanted), **said, faithfulness=test)
        )
    return found


def _questions(
    model: "Model", row: Example, text: str, wanted: Wanted, threads: ThreadPoolExecutor
) -> Sequence[tuple[Question, Example]]:
    """What is asked, each with the row as the model reads it."""
    if isinstance(model, Ensemble):
        return [(ask_label(model, text, wanted.label, threads=threads), row)]
    if isinstance(model, Marker):
        asked = ask_spans(model, text, wanted.label, wanted.span, threads=threads)
        return [(question, row) for question in asked]
    return [ask_text(model, row, text, wanted.label, threads=threads)]


def _weigh(
    model: "Model",
    question: Question,
    row: Example,
    wanted: Wanted,
    threads: ThreadPoolExecutor,
    progress: Progress,
) -> tuple[np.ndarray, dict]:
    """The weights of words, and what is to be said of how they were found."""
    if wanted.method == "occlusion":
        return occlude(question, progress=progress), {"unit": NATS}

    def follow() -> Weighed:
        if isinstance(model, Ensemble):
            return label_gradients(model, question, progress=progress)
        if isinstance(model, Marker):
            return span_gradients(model, question, progress=progress)
        return text_gradients(model, row, question, progress=progress)

    if sum(part.numel() for part in model.base.network.parameters()) < LARGE:
        found = threads.submit(follow).result()
    else:
        with across_cores(threads):
            found = follow()
    return found[0], _told(*found)


def _told(weights: np.ndarray, rest: float, path: Path, unit: str) -> dict:
    return {
        "unit": unit,
        "steps": path.steps,
        "delta": path.delta,
        "total": float(weights.sum()) + rest - path.delta,
        "rest": rest,
        "converged": path.converged,
    }


def _explained(text: str, question: Question, weights: np.ndarray, wanted: Wanted) -> Explanation:
    reading = question.reading
    return Explanation(
        text=text,
        kind=question.kind,
        answer=question.answer,
        answered=question.answered,
        confidence=question.confidence,
        words=_words(reading, weights),
        method=wanted.method,
        unit="",
        members=wanted.members,
        span=question.span,
        notes=(*_unread(reading), *question.notes),
    )


def _words(reading: Reading, weights: np.ndarray) -> tuple[Weight, ...]:
    values = [None] * len(reading.whole)
    values[reading.first : reading.first + len(weights)] = weights.tolist()
    return tuple(
        Weight(begin, end, value) for (begin, end), value in zip(reading.whole, values, strict=True)
    )


def _unread(reading: Reading) -> list[str]:
    if not reading.unread:
        return []
    where = "end" if reading.first == 0 else "beginning"
    return [
        f"The model reads {len(reading.words)} of {len(reading.whole)} words: the {where} of the "
        "text has no weight."
    ]
