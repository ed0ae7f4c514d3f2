"""Several tasks that one model learnt: the rows of each by themselves, and all scores together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fucina.records import Evaluation, Example, Fold, Outcome, Split, Texts
from fucina.tasks import Part

__all__ = [
    "alone",
    "baselines_of_parts",
    "lifted",
    "outside",
    "rows_of",
    "split_of",
    "texts_of",
    "without_parts",
]


def rows_of(part: Part, rows: Sequence[Example]) -> list[int]:
    """Which rows are of a part."""
    return [place for place, row in enumerate(rows) if row.facts["part"] == part.name]


def texts_of(part: Part, texts: Texts, rows: Sequence[Example]) -> Texts:
    """The answers to the rows of a part, with the scores that its task has.

    Args:
        part: The part.
        texts: n answers.
        rows: The n rows.
    """
    own = texts.take(rows_of(part, rows))
    return replace(own, marks=_under(part.name, own.marks))


def split_of(part: Part, split: Split) -> Split:
    """The rows of a part, divided as they were."""
    own = rows_of(part, split.development.examples)
    new = {place: number for number, place in enumerate(own)}
    folds = tuple(
        Fold(*(tuple(new[row] for row in side if row in new) for side in (f.train, f.held_out)))
        for f in split.folds
    )
    test = split.test.take(rows_of(part, split.test.examples))
    return Split(split.development.take(own), test, folds, split.labels)


def lifted(whole: Evaluation, parts: Mapping[str, Evaluation]) -> Evaluation:
    """An evaluation of all rows with the scores of each part, under the name of the part.

    Example:
        >>> from fucina.records import Interval
        >>> def judged(**scores: Interval) -> Evaluation:
        ...     return Evaluation("model", scores, {}, (), (), rows=2)
        >>> loss, f1 = Interval(2.0, 1.5, 2.5), Interval(0.4, 0.3, 0.5)
        >>> list(lifted(judged(token_loss=loss), {"tags": judged(f1=f1)}).scores)
        ['token_loss', 'tags/f1']
    """
    scores, slices, beside = dict(whole.scores), dict(whole.slices), dict(whole.beside)
    for part, judged in parts.items():
        scores |= {f"{part}/{name}": score for name, score in judged.scores.items()}
        slices |= {f"{part}/{way}": own for way, own in judged.slices.items()}
        for who, traits in judged.beside.items():
            own = {f"{part}/{name}": score for name, score in traits.items()}
            beside[who] = {**beside.get(who, {}), **own}
    return replace(whole, scores=scores, slices=slices, beside=beside)


def alone(part: Part, whole: Evaluation, rows: int) -> Evaluation:
    """What an evaluation of all rows says of one part, under the names that its task has."""
    return replace(
        whole,
        scores=_under(part.name, whole.scores),
        slices=_under(part.name, whole.slices),
        beside={who: own for who in whole.beside if (own := _under(part.name, whole.beside[who]))},
        rows=rows,
        cost={},
    )


def _under(part: str, named: Mapping[str, Any]) -> dict[str, Any]:
    """What is known under the name of a part."""
    before = f"{part}/"
    return {
        name.removeprefix(before): own for name, own in named.items() if name.startswith(before)
    }


def without_parts(whole: Evaluation, parts: Collection[str]) -> Evaluation:
    """What an evaluation says of all rows together."""
    beside = {who: own for who in whole.beside if (own := outside(parts, whole.beside[who]))}
    scores, slices = outside(parts, whole.scores), outside(parts, whole.slices)
    return replace(whole, scores=scores, slices=slices, beside=beside)


def outside(parts: Collection[str], named: Mapping[str, Any]) -> dict[str, Any]:
    """What is known under the name of no part.

    Example:
        >>> outside({"tags"}, {"perplexity": 3.2, "tags/f1": 0.4})
        {'perplexity': 3.2}
    """
    return {name: own for name, own in named.items() if name.rpartition("/")[0] not in parts}


def baselines_of_parts(outcome: Outcome) -> list[Evaluation]:
    """The baselines that only one part has, with their scores under its name."""
    known = {baseline.name for baseline in outcome.baselines}
    return [
        lifted(replace(baseline, scores={}, slices={}, beside={}), {part: baseline})
        for part, own in outcome.parts.items()
        for baseline in own.baselines
        if baseline.name not in known
    ]
