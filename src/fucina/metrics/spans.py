"""Spans against the true ones: strict (same bounds, same type), and partly right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fucina.metrics.ratios import matches
from fucina.records import Ratio, Span

__all__ = [
    "SpanCounts",
    "count_spans",
    "macro_scores",
    "per_type",
    "span_confusion",
    "span_marks",
]

HALF = 0.5  # what an overlap counts where bounds differ, as in MUC

Marked = Sequence[Sequence[Span]]


@dataclass(frozen=True)
class SpanCounts:
    """How many spans of each of t types each of n rows has; all n x t.

    Attributes:
        types: The t types that occur, sorted.
        hits: Answered and true: same first and last character, same type.
        overlaps: The same, and half for each that only overlaps a true one of its type; a span is
            paired once.
        answered: What was answered.
        true: What is true.
    """

    types: tuple[str, ...]
    hits: np.ndarray
    overlaps: np.ndarray
    answered: np.ndarray
    true: np.ndarray


def count_spans(answers: Marked, targets: Marked) -> SpanCounts:
    """Count hits row by row.

    Args:
        answers: What a model marked in each of n texts.
        targets: What is truly marked.

    Example:
        >>> said, true = [[Span(0, 6, "PER"), Span(9, 12, "LOC")]], [[Span(0, 12, "PER")]]
        >>> found = count_spans(said, true)
        >>> found.types, found.hits.tolist(), found.overlaps.tolist()
        (('LOC', 'PER'), [[0.0, 0.0]], [[0.0, 0.5]])
    """
    types = tuple(
        sorted({span.label for side in (answers, targets) for row in side for span in row})
    )
    code = {name: number for number, name in enumerate(types)}
    table = np.zeros((4, len(targets), len(types)))
    for row, (said, true) in enumerate(zip(answers, targets, strict=True)):
        same = set(said) & set(true)
        for place, spans in ((0, same), (2, said), (3, true)):
            for span in spans:
                table[place, row, code[span.label]] += 1
        table[1, row] = table[0, row]
        for label in _touching(
            [s for s in said if s not in same], [t for t in true if t not in same]
        ):
            table[1, row, code[label]] += HALF
    return SpanCounts(types, *table)


def _touching(said: Sequence[Span], true: Sequence[Span]) -> list[str]:
    """The types of pairs that overlap, first come first; no span is in two pairs."""
    free, found = sorted(true), []
    for span in sorted(said):
        for other in free:
            if other.label == span.label and other.start < span.end and span.start < other.end:
                free.remove(other)
                found.append(span.label)
                break
    return found


def span_marks(counts: SpanCounts) -> dict[str, Ratio]:
    """Scores of all spans together, whatever their type (micro averages).

    Strict ones are those of conlleval and seqeval; the partial F1 counts an overlap half.

    Example:
        >>> from fucina.metrics.ratios import value_of
        >>> true = [[Span(0, 6, "PER"), Span(9, 12, "LOC")], [Span(4, 6, "LOC")]]
        >>> found = span_marks(count_spans([[Span(0, 6, "PER")], [Span(2, 6, "LOC")]], true))
        >>> {name: round(value_of(ratio), 2) for name, ratio in found.items()}
        {'f1': 0.4, 'precision': 0.5, 'recall': 0.33, 'partial_f1': 0.6}
    """
    hits, overlaps = counts.hits.sum(axis=1), counts.overlaps.sum(axis=1)
    answered, true = counts.answered.sum(axis=1), counts.true.sum(axis=1)
    strict = matches(hits, answered, true)
    named = {name: strict[name] for name in ("f1", "precision", "recall")}
    return named | {"partial_f1": matches(overlaps, answered, true)["f1"]}


def macro_scores(
    counts: SpanCounts, picks: np.ndarray | slice = slice(None)
) -> tuple[float, float, float]:
    """Precision, recall and F1, each the mean over the types that occur in some rows.

    A type that is answered or true there occurs; what has nothing to divide by is 0. This is
    seqeval's macro average.

    Example:
        >>> said, true = [[Span(0, 6, "PER")]], [[Span(0, 6, "PER"), Span(8, 9, "LOC")]]
        >>> macro_scores(count_spans(said, true))
        (0.5, 0.5, 0.5)
    """
    hits = counts.hits[picks].sum(axis=0)
    answered, true = counts.answered[picks].sum(axis=0), counts.true[picks].sum(axis=0)
    occurs = answered + true > 0
    if not occurs.any():
        return 0.0, 0.0, 0.0
    precision, recall, f1 = (rates[occurs].mean() for rates in _rates(hits, answered, true))
    return float(precision), float(recall), float(f1)


def per_type(counts: SpanCounts) -> dict[str, dict[str, float]]:
    """Strict precision, recall, F1 and support of each type.

    Example:
        >>> per_type(count_spans([[Span(0, 6, "PER")]], [[Span(0, 6, "PER")]]))
        {'PER': {'precision': 1.0, 'recall': 1.0, 'f1': 1.0, 'support': 1}}
    """
    hits, answered, true = (c.sum(axis=0) for c in (counts.hits, counts.answered, counts.true))
    precision, recall, f1 = _rates(hits, answered, true)
    return {
        name: {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": int(true[i]),
        }
        for i, name in enumerate(counts.types)
    }


def _rates(hits: np.ndarray, answered: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, ...]:
    precision = hits / np.maximum(answered, 1)
    recall = hits / np.maximum(true, 1)
    return precision, recall, 2 * hits / np.maximum(answered + true, 1)


def span_confusion(
    answers: Marked, targets: Marked, types: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Which types are taken for which, where bounds are right; (t + 1) x (t + 1) counts.

    The last row holds what was answered where nothing has these bounds, the last column what is
    true and was not found.

    Example:
        >>> span_confusion([[Span(0, 6, "LOC")]], [[Span(0, 6, "PER"), Span(8, 9, "PER")]],
        ...                ["LOC", "PER"])
        ((0, 0, 0), (1, 0, 1), (0, 0, 0))
    """
    code = {name: number for number, name in enumerate(types)}
    table = np.zeros((len(types) + 1, len(types) + 1), dtype=int)
    for said, true in zip(answers, targets, strict=True):
        left: Mapping[tuple[int, int], Span] = {(s.start, s.end): s for s in said}
        for span in true:
            own = left.get((span.start, span.end))
            table[code[span.label], len(types) if own is None else code[own.label]] += 1
        places = {(span.start, span.end) for span in true}
        for place, span in left.items():
            if place not in places:
                table[len(types), code[span.label]] += 1
    return tuple(tuple(int(cell) for cell in row) for row in table)
