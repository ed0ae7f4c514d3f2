"""Entities as a text that a model writes, and that text as spans again."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fucina.errors import DataError
from fucina.metrics import count_spans, mean_of, span_marks
from fucina.models.tags import word_bounds
from fucina.records import Example, Ratio, Span
from fucina.tasks import Baseline
from fucina.tasks.entities.spans import has_places, read_spans

__all__ = [
    "Form",
    "as_json",
    "as_text",
    "baselines_of",
    "examples_of",
    "locate",
    "scores_of",
    "spans_of",
]

Named = list[tuple[str, str]]  # type and surface, in order of appearance
NONE = "-"  # an answer must say something, and end
ENTRY = re.compile(r"([^\s:;]+): *(\S(?:.*\S)?)")


@dataclass(frozen=True)
class Form:
    """A way to write entities.

    Attributes:
        put: Types and surfaces to a text.
        read: The text to types and surfaces, and whether all of it is in this form.
    """

    put: Callable[[Named], str]
    read: Callable[[str], tuple[Named, bool]]

    def write(self, text: str, spans: Sequence[Span]) -> str:
        """The spans of a text as an answer."""
        return self.put([(span.label, text[span.start : span.end]) for span in spans])


def _put_text(named: Named) -> str:
    return "; ".join(f"{label}: {surface}" for label, surface in named) or NONE


def _read_text(answer: str) -> tuple[Named, bool]:
    """Entries apart by `;`; of a name that holds one, the parts without a type belong to it."""
    named: Named = []
    valid = True
    for part in answer.split(";") if answer.strip() not in {"", NONE} else []:
        match = ENTRY.fullmatch(part.strip())
        if match:
            named.append((match[1], match[2]))
        elif named and part.strip():
            named[-1] = (named[-1][0], f"{named[-1][1]};{part.rstrip()}")
        else:
            valid = False
    return named, valid


def _put_json(named: Named) -> str:
    return json.dumps([{label: surface} for label, surface in named], ensure_ascii=False)


def _read_json(answer: str) -> tuple[Named, bool]:
    """A list of objects; of one that was broken off, what is whole."""
    try:
        found, valid = json.loads(answer), True
    except (json.JSONDecodeError, RecursionError):
        found, valid = _pieces(answer), False
    if not isinstance(found, list):
        return [], False
    named: Named = []
    for item in found:
        pairs = list(item.items()) if isinstance(item, dict) else []
        good = [(label, text) for label, text in pairs if isinstance(text, str) and text.strip()]
        named += good
        valid &= bool(pairs) and len(good) == len(pairs)
    return named, valid


def _pieces(answer: str) -> list[dict[str, object]]:
    found = []
    for match in re.finditer(r"\{[^{}]*\}", answer):
        try:
            found.append(json.loads(match.group()))
        except json.JSONDecodeError:
            continue
    return found


as_text = Form(_put_text, _read_text)
as_json = Form(_put_json, _read_json)


def locate(text: str, named: Named) -> list[Span | None]:
    """Find surfaces in a text, in the order in which they are named; None for what is not there.

    Each is looked for behind the one before it, as whole words if it can be; one that is not there
    is looked for from the beginning, where nothing is marked yet.

    Example:
        >>> named = [("PER", "Rossi"), ("PER", "Rossi"), ("LOC", "Bari")]
        >>> locate("Rossi vede Rossini e Rossi", named)
        [Span(start=0, end=5, label='PER'), Span(start=21, end=26, label='PER'), None]
    """
    starts = {start for start, _ in word_bounds(text)}
    ends = {end for _, end in word_bounds(text)}
    found: list[Span | None] = []
    behind = 0
    for label, surface in named:
        taken = [span for span in found if span is not None]
        places = [
            place
            for place in _everywhere(text, surface)
            if all(place >= span.end or place + len(surface) <= span.start for span in taken)
        ]
        whole = [p for p in places if p in starts and p + len(surface) in ends]
        places = whole or places
        later = [place for place in places if place >= behind]
        if not places:
            found.append(None)
            continue
        place = (later or places)[0]
        found.append(Span(place, place + len(surface), label))
        behind = place + len(surface)
    return found


def _everywhere(text: str, surface: str) -> list[int]:
    places, place = [], text.find(surface)
    while place >= 0:
        places.append(place)
        place = text.find(surface, place + 1)
    return places


def spans_of(value: Any, text: str) -> tuple[Span, ...]:
    """What is marked in a text, given with its places, or in words as chat files have it.

    Raises:
        DataError: It is written in no known way, or names what does not stand in the text.

    Example:
        >>> spans_of("PER: Anna; LOC: Bari", "Anna va a Bari")
        (Span(start=0, end=4, label='PER'), Span(start=10, end=14, label='LOC'))
    """
    if has_places(value) or not value.strip():
        return read_spans(value, text)
    form = as_json if value.lstrip()[0] in "[{" else as_text
    named, valid = form.read(value)
    if not valid:
        return read_spans(value, text)
    found = locate(text, named)
    lost = [surface for (_, surface), span in zip(named, found, strict=True) if span is None]
    if lost:
        raise DataError(
            f"{lost[0]!r} does not stand in the text.", fix="Write names as the text has them."
        )
    return tuple(sorted(span for span in found if span is not None))


def examples_of(form: Form) -> Callable[[Mapping[str, Any]], Example]:
    """Rows to examples whose answer is written in a form."""

    def to_example(row: Mapping[str, Any]) -> Example:
        spans = spans_of(row["spans"], row["text"])
        target = form.write(row["text"], spans)
        return Example(row["text"], target, row.get("group", ""), spans=spans)

    return to_example


def scores_of(form: Form) -> Callable[[Sequence[str], Sequence[Example]], Mapping[str, Ratio]]:
    """The scores of answers in a form: strict ones of the spans, and how well it was kept."""

    def scores(answers: Sequence[str], rows: Sequence[Example]) -> Mapping[str, Ratio]:
        read = [form.read(answer) for answer in answers]
        placed = [locate(row.prompt, named) for (named, _), row in zip(read, rows, strict=True)]
        # What is not in the text is answered all the same: a span that nothing can equal.
        said = [
            [span or Span(-1 - number, -1 - number, "?") for number, span in enumerate(own)]
            for own in placed
        ]
        marks = span_marks(count_spans(said, [row.spans for row in rows]))
        there = np.array([sum(span is not None for span in own) for own in placed], dtype=float)
        answered = np.array([len(own) for own in placed], dtype=float)
        return marks | {
            "valid_form": mean_of([float(valid) for _, valid in read]),
            "in_text": Ratio(there, answered),
        }

    return scores


def baselines_of(form: Form, baselines: Mapping[str, Baseline]) -> dict[str, Baseline]:
    """Baselines that mark, as such that write."""

    def writing(baseline: Baseline) -> Baseline:
        def write(train: Sequence[Example], rows: Sequence[Example]) -> list[str]:
            marked = baseline(train, rows)
            return [form.write(row.prompt, own) for row, own in zip(rows, marked, strict=True)]

        return write

    return {name: writing(baseline) for name, baseline in baselines.items()}
