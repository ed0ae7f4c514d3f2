"""What is marked in a case, and where that stands in the sentences which the case becomes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from itertools import accumulate
from typing import Any

from fucina.errors import DataError, RecipeError, nearest
from fucina.prepare.pattern import Pattern
from fucina.prepare.sentence import Sentence, Slot
from fucina.records import Span
from fucina.tasks import Task

__all__ = ["marked", "marks_of", "moved"]

ALIKE = 0.75  # of a slot's name and a type's: nearer ones are taken for a slip


def marks_of(
    fields: Mapping[str, Any],
    task: Task,
    pattern: Pattern,
    types: Collection[str],
    *,
    where: str,
) -> tuple[Span, ...]:
    """The stretches of a written case that are marked, in order.

    A slot that is called like a type marks what stands in it, alone or with a dot and a name
    behind. What the row itself marks comes first: its spans are places in the text as it is
    written, braces and all.

    Args:
        fields: The row.
        task: It answers with spans.
        pattern: Its text.
        types: Those that rows of train have.
        where: What the case is called, for messages.

    Raises:
        RecipeError: There is no such type, or a span begins or ends inside a slot.
    """
    try:
        given = task.read({task.answered: "", **fields}).spans
    except DataError as error:
        raise RecipeError(f"{where}: {error.problem}", fix=error.fix) from error
    for span in given:
        if span.label not in types:
            raise _unknown(span.label, types, where)
        for slot in pattern.written:
            if any(slot.begin < place < slot.end for place in (span.start, span.end)):
                raise RecipeError(
                    f"{where}: {span.label} begins or ends inside {{{slot.name}}}.",
                    fix="Mark the slot with its braces, or leave the braces out.",
                )
    own = [span for slot in pattern.written for span in _called(slot, types, where)]
    free = [s for s in own if all(s.end <= g.start or g.end <= s.start for g in given)]
    return tuple(sorted((*given, *free)))


def _called(slot: Slot, types: Collection[str], where: str) -> list[Span]:
    """What a slot marks by its name."""
    name, dot, _ = slot.name.partition(".")
    if name in types:
        return [Span(slot.begin, slot.end, name)]
    upper = {kind.upper(): kind for kind in types}
    near = get_close_matches(name.upper(), upper, n=1, cutoff=ALIKE)
    if near:
        raise RecipeError(
            f"{where}: {{{slot.name}}} marks nothing, for there is no type {name!r}.",
            fix=f"Write {{{upper[near[0]]}{dot}{slot.name[len(name) + 1 :]}}}, or call the slot "
            "otherwise if nothing is to be marked.",
        )
    return []


def _unknown(label: str, types: Collection[str], where: str) -> RecipeError:
    return RecipeError(
        f"{where}: no row of train has the type {label!r}.",
        fix=f"Mend the type, or mark some of it in train first; {nearest(label, set(types))}",
    )


def marked(sentence: Sentence, marks: Sequence[Span]) -> list[dict[str, Any]]:
    """The spans of a sentence; what it leaves out is not marked.

    Example:
        >>> from fucina.prepare.sentence import Text
        >>> parts = Text("Ieri ", 0), Slot("PER", 5, 10)
        >>> marked(Sentence("Ieri Niccolò", {"PER": "Niccolò"}, parts), [Span(5, 10, "PER")])
        [{'start': 5, 'end': 12, 'label': 'PER'}]
    """
    places = sentence.places()
    found = []
    for mark in marks:
        inside = [
            n for n, place in enumerate(places)
            if mark.start <= place < mark.end and not sentence.text[n].isspace()
        ]  # fmt: skip
        if inside:
            found.append(asdict(Span(inside[0], inside[-1] + 1, mark.label)))
    return found


def moved(spans: Sequence[Span], letters: Sequence[str]) -> list[dict[str, Any]]:
    """Spans of a text of which each letter became something else.

    Args:
        spans: Of the text.
        letters: What became of each of its letters.

    Example:
        >>> moved([Span(0, 4, "LOC")], ["F", "o", "r", "li'", "!"])
        [{'start': 0, 'end': 6, 'label': 'LOC'}]
    """
    ends = [0, *accumulate(map(len, letters))]
    placed = [Span(ends[span.start], ends[span.end], span.label) for span in spans]
    return [asdict(span) for span in placed if span.start < span.end]
