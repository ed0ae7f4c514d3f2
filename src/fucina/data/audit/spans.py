"""Spans that cannot be learnt or answered as they are marked, and types with few of them."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from fucina.data.audit.subject import Subject, brief, shown
from fucina.models.tags import word_bounds
from fucina.records import Dataset, Example, Finding, Span

__all__ = ["check", "consistent", "marked_names", "unmarked"]

FEW_SPANS = 10
OFTEN = 3  # times a name must be marked before leaving it unmarked looks like a slip
UNMARKED = 0.2  # of the times it stands there; above this the name is a common word


def check(subject: Subject) -> list[Finding]:
    """Count the types, and look for spans that begin or end inside a word."""
    found = [finding for rows in subject.sides for finding in rows.findings]
    counts = Counter(span.label for row in subject.train.examples for span in row.spans)
    if not counts:
        return [
            *found,
            Finding(
                "no_spans", "error", "no row of train has a span.",
                "Mark what is to be found; is data.columns.spans the right column?",
            ),
        ]  # fmt: skip
    found += _empty(subject.train) + _few(subject.train, counts)
    for rows in subject.sides:
        found += _inside(rows)
    for rows in subject.sides[1:]:
        found += _new(counts, rows)
    return found


def _empty(train: Dataset) -> list[Finding]:
    hits = [row for row in train.examples if not row.prompt.strip()]
    if not hits:
        return []
    origins = tuple(row.origin for row in hits)
    return [
        Finding(
            "empty", "error", f"{len(hits)} row(s) have no text ({shown(origins)}).",
            "Fill them in or delete these rows.",
            origins, ("",) * len(hits), dict.fromkeys(origins),
        )
    ]  # fmt: skip


def _few(train: Dataset, counts: Counter[str]) -> list[Finding]:
    few = {label: n for label, n in counts.items() if n < FEW_SPANS}
    if not few:
        return []
    hits = [(row, span) for row in train.examples for span in row.spans if span.label in few]
    told = shown([f"{label} ({n})" for label, n in sorted(few.items(), key=lambda i: i[1])])
    return [
        Finding(
            "few_spans", "warning",
            f"{len(few)} of {len(counts)} types have fewer than {FEW_SPANS} spans: {told}.",
            "Mark more of them; 100 a type is a good start.",
            tuple(row.origin for row, _ in hits), tuple(_told(row, span) for row, span in hits),
        )
    ]  # fmt: skip


def _new(counts: Counter[str], rows: Dataset) -> list[Finding]:
    hits = [(row, span) for row in rows.examples for span in row.spans if span.label not in counts]
    if not hits:
        return []
    types = sorted({span.label for _, span in hits})
    return [
        Finding(
            "new_type", "warning",
            f"{len(hits)} {rows.name} span(s) have types never seen in train: {shown(types)}; they "
            "count as missed.",
            "Mark such spans in train too, or mend the spelling of the type.",
            tuple(row.origin for row, _ in hits), tuple(_told(row, span) for row, span in hits),
        )
    ]  # fmt: skip


def _inside(rows: Dataset) -> list[Finding]:
    """Answers are whole words: what begins or ends inside one cannot be answered exactly."""
    hits: list[tuple[Example, Span]] = []
    for row in rows.examples:
        if row.spans:
            starts, ends = (set(side) for side in zip(*word_bounds(row.prompt), strict=True))
            hits += [(row, s) for s in row.spans if s.start not in starts or s.end not in ends]
    if not hits:
        return []
    origins = tuple(row.origin for row, _ in hits)
    return [
        Finding(
            "inside_word", "warning",
            f"{len(hits)} {rows.name} span(s) begin or end inside a word ({shown(origins)}); whole "
            "words are answered, so these count as missed.",
            "Look whether the offsets are right; else mark the whole word.",
            origins, tuple(_told(row, span) for row, span in hits),
        )
    ]  # fmt: skip


def _told(row: Example, span: Span) -> str:
    before, after = row.prompt[max(0, span.start - 15) : span.start], row.prompt[span.end :][:15]
    return brief(f"{span.label}: {before}[{row.prompt[span.start : span.end]}]{after}", 100)


def consistent(subject: Subject) -> list[Finding]:
    """Names that are marked nearly everywhere, and here not; or marked with two types."""
    rows = subject.train.examples
    types = _often(rows)
    if not types:
        return []
    missed, surely = _missed(rows, types), marked_names(rows)
    slips = [
        (name, row)
        for name, own in sorted(missed.items(), key=lambda item: -types[item[0]].total())
        if name in surely
        for row in own
    ]
    two = [
        (name, own)
        for name, own in types.items()
        if len(own) > 1 and min(own.values()) <= UNMARKED * own.total()
    ]
    return [*_slips(slips, types), *_two(two)]


def marked_names(rows: Sequence[Example]) -> dict[str, Counter[str]]:
    """Names that are marked nearly wherever they stand, to how often they have which type."""
    types = _often(rows)
    missed = _missed(rows, types)
    return {
        name: own
        for name, own in types.items()
        if len(missed.get(name, ())) <= UNMARKED * (own.total() + len(missed.get(name, ())))
    }


def unmarked(row: Example, names: Mapping[str, Counter[str]]) -> list[str]:
    """Which of some names stand in a row and are not marked, each with what it else is."""
    return [_usual(name, names[name]) for name in _missed([row], names)]


def _often(rows: Sequence[Example]) -> dict[str, Counter[str]]:
    types: dict[str, Counter[str]] = {}
    for row in rows:
        for span in row.spans:
            name = row.prompt[span.start : span.end]
            types.setdefault(name, Counter())[span.label] += 1
    return {name: own for name, own in types.items() if own.total() >= OFTEN}


def _missed(rows: Sequence[Example], names: Collection[str]) -> dict[str, list[Example]]:
    """Names to the rows where they stand outside of what is marked."""
    missed: dict[str, list[Example]] = {}
    if not names:
        return missed
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")
    for row in rows:
        for match in pattern.finditer(row.prompt):
            if not any(s.start < match.end() and match.start() < s.end for s in row.spans):
                missed.setdefault(match.group(), []).append(row)
    return missed


def _usual(name: str, types: Counter[str]) -> str:
    return f"{name} is {types.most_common(1)[0][0]} {types.total()} times"


def _slips(slips: list[tuple[str, Example]], types: dict[str, Counter[str]]) -> list[Finding]:
    if not slips:
        return []
    names = list(dict.fromkeys(name for name, _ in slips))
    return [
        Finding(
            "unmarked", "note",
            f"{len(slips)} time(s) a name is not marked that nearly always is "
            f"({shown(names)}).",
            "Look whether it was forgotten: the model learns that it is none.",
            tuple(row.origin for _, row in slips),
            tuple(f"{_usual(name, types[name])}: {row.prompt}" for name, row in slips),
        )
    ]  # fmt: skip


def _two(two: list[tuple[str, Counter[str]]]) -> list[Finding]:
    if not two:
        return []
    told = [
        f"{name}: {', '.join(f'{label} {n}' for label, n in own.most_common())}"
        for name, own in two
    ]
    return [
        Finding(
            "two_types", "note",
            f"{len(two)} name(s) nearly always have one type and now and then another "
            f"({shown(told, '; ')}).",
            "Look whether the rare one is meant.",
        )
    ]  # fmt: skip
