"""Why a stretch of a text was marked: what is asked of models that mark."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from fucina.errors import DataError, nearest
from fucina.explain.gradients import Path, integrate
from fucina.explain.labels import centered
from fucina.explain.ngrams import form_shares
from fucina.explain.question import TINY, Question, read
from fucina.explain.words import replaced, share
from fucina.models.glass import states_of
from fucina.models.marker import Marker
from fucina.models.tags import to_tags, word_bounds
from fucina.models.words import read_words
from fucina.records import Example, Progress, Span

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fucina.models.stack import Stack

__all__ = ["ask_spans", "span_gradients"]

ABOVE = "how far the scores (logits) of the tags of its words stand above the mean of all tags"


def ask_spans(
    model: Marker,
    text: str,
    label: str | None,
    stretch: str | None,
    *,
    threads: ThreadPoolExecutor,
) -> list[Question]:
    """Ask why stretches of a text are marked, one question each.

    Args:
        model: Its members.
        text: The text.
        label: Only those of this type; of a stretch that is given, what it is to be.
        stretch: The words to explain, whether they are marked or not; None for all that are.
        threads: Where it computes.

    Raises:
        DataError: There is no such type, nothing is marked, or the words do not stand in the text.
    """
    if label is not None and label not in model.types:
        raise DataError(f"there is no type {label!r}.", fix=nearest(label, model.types))
    told = model.predict([Example(text, "")], threads=threads)
    marked = dict(zip(told.answers[0], told.confidences[0], strict=True))
    if stretch is None:
        spans = [span for span in marked if label in (None, span.label)]
    else:
        spans = [_given(text, stretch, label, tuple(marked), model.types)]
    if not spans:
        what = "nothing is marked" if label is None else f"no {label} is marked"
        raise DataError(
            f"{what} in the text.",
            fix="Say which words are to be explained, and as what: --span WORDS --label TYPE.",
        )
    return [_question(model, text, span, marked, threads) for span in spans]


def _given(
    text: str, stretch: str, label: str | None, marked: Sequence[Span], types: Sequence[str]
) -> Span:
    begin = text.find(stretch.strip())
    if not stretch.strip() or begin < 0:
        raise DataError(
            f"{stretch!r} does not stand in the text.", fix="Write --span as the text has it."
        )
    end = begin + len(stretch.strip())
    own = next((span for span in marked if (span.start, span.end) == (begin, end)), None)
    if label is None and own is None:
        raise DataError(
            f"{stretch!r} is not marked.",
            fix=f"Say what it is to be: --label {' or '.join(types)}.",
        )
    return Span(begin, end, label or (own.label if own else ""))


def _question(
    model: Marker, text: str, span: Span, marked: dict[Span, float], threads: ThreadPoolExecutor
) -> Question:
    base = model.base
    reading = read(
        text, lambda part: len(base.tokenizer(part)["input_ids"]) <= base.max_length_tokens,
        words=word_bounds,
    )  # fmt: skip
    if span.end > len(reading.text):
        raise DataError(
            f"the model does not read as far as {text[span.start : span.end]!r}.",
            fix="Give a shorter text, or train with a larger model.max_length_tokens.",
        )
    tags = to_tags([span], reading.words, model.types)
    inside = np.flatnonzero(tags)
    over = [
        own.label for own in marked if own.start < span.end and own.end > span.start
    ]  # what the model itself says of these words

    def likely(texts: Sequence[str]) -> np.ndarray:
        words, odds = model.tag_odds(texts, threads=threads)
        sums = []
        for text, bounds, own in zip(texts, words.bounds, odds, strict=True):
            starts = np.array(word_bounds(text))[inside, 0]
            found = {int(begin): place for place, begin in enumerate(bounds[:, 0])}
            chances = [
                own[found[int(start)], tag] if int(start) in found else TINY
                for start, tag in zip(starts, tags[inside], strict=True)
            ]
            sums.append(np.log(np.maximum(chances, TINY)).sum())
        return np.array(sums)

    sure = marked.get(span)
    if sure is None:
        sure = float(np.exp(likely([reading.text])[0] / len(inside)))
    return Question(
        "spans", reading, span.label, ", ".join(over) or "nothing", sure, likely, len(inside),
        span=(span.start, span.end), write=replaced,
    )  # fmt: skip


def span_gradients(
    model: Marker, question: Question, *, progress: Progress
) -> tuple[np.ndarray, float, Path, str]:
    """The weights of words by gradients, with what the forms of words say added exactly.

    Returns:
        A number for each word, what fell to none, the path, and what a weight of 1 is.
    """
    reading, base = question.reading, model.base
    start, end = question.span or (0, 0)
    words = read_words(
        [reading.text], base.tokenizer, max_length_tokens=base.max_length_tokens, last=base.causal
    )
    bounds = words.bounds[0]
    tags = to_tags([Span(start, end, question.answer)], bounds, model.types)
    inside, count = np.flatnonzero(tags), 1 + 2 * len(model.types)
    slopes = np.zeros((len(tags), count))
    slopes[inside] = [centered(count, tag) for tag in tags[inside]]
    places = torch.from_numpy(words.places[0][inside])

    def score(stack: "Stack", network: "nn.Module", rows: "Tensor") -> "Tensor":
        states = states_of(stack, network, rows).float()[:, places.to(rows.device)]
        flat = states.reshape(stack.members, -1, states.shape[-1])
        logits = torch.baddbmm(stack.bias, flat, stack.head)
        each = logits.view(stack.members, len(rows), len(inside), -1)
        return (each * torch.from_numpy(slopes[inside]).to(each)).sum(dim=(-1, -2))

    covers = np.array(base.tokenizer(reading.text, return_offsets_mapping=True)["offset_mapping"])
    moving = covers[:, 0] < covers[:, 1]
    path = integrate(model.stacks, words.encoded.ids[0], moving, score, progress=progress)
    values, rest = share(path.values, covers, reading.words)
    if model.lexicon is not None:
        forms = form_shares(reading.text, bounds, model.lexicon, model.lexical, slopes)
        own, lost = share(forms, bounds, reading.words)
        values, rest = values + own, rest + lost
    return values, rest, path, ABOVE
