"""Variations of base cases, balanced over labels or types and kept away from held-out rows."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from fucina.errors import RecipeError, nearest
from fucina.prepare.case import Base, Case, read_case
from fucina.prepare.pattern import values_of
from fucina.prepare.variations import Near, Variations
from fucina.records import Dataset, Example
from fucina.tasks import Task

if TYPE_CHECKING:
    from fucina.config import AugmentConfig

__all__ = ["NONE", "Augmentation", "Growth", "augment"]

NONE = "(none)"  # the kind of rows in which nothing is marked


@dataclass(frozen=True)
class Growth:
    """What one label or type of spans got, or all rows where they answer with text.

    Attributes:
        label: Its name; empty where rows answer with text.
        before: Rows of train.
        added: Variations.
        target: Rows wanted; None when all variations are.
        slots: The slots of its cases, those with the fewest values first.
        capped: A case of it gave as many variations as `augment.max_per_case` lets it.
    """

    label: str
    before: int
    added: int
    target: int | None
    slots: tuple[str, ...] = ()
    capped: bool = False

    @property
    def lacks(self) -> int:
        """Rows missing to the target."""
        return max(0, (self.target or 0) - self.before - self.added)


@dataclass(frozen=True)
class Augmentation:
    """The rows of train with their variations.

    Attributes:
        rows: Those of train first, each in its group.
        growth: What each label or type got, by name; of texts what all rows got.
        held_out: Question of a case, of a way to type it, or origin of a row of train, that was
            left out, to the origin of the held-out row that says nearly the same as it or one of
            its variations.
        contradicting: Variations left out as train has the same text with another label or answer.
        added: How many variations there are, the last of the rows.
    """

    rows: Dataset
    growth: tuple[Growth, ...]
    held_out: Mapping[str, str]
    contradicting: tuple[str, ...]
    added: int

    @property
    def labelled(self) -> bool:
        """Whether rows have labels or types, rather than answer with text."""
        return any(growth.label for growth in self.growth)


def augment(
    train: Dataset,
    cases: Sequence[Case],
    config: "AugmentConfig",
    task: Task,
    *,
    near: Near,
    seed: int,
) -> Augmentation:
    """Add variations of base cases to the rows of train.

    A variation belongs to the group of its base, so that a split never divides them. With a target
    the cases of a label give one variation each in turn; rows of train are varied after them.
    Rows that answer with text are all of one kind, as if they had one label. Of spans a row counts
    for each type in it, and the types with the fewest rows are served first.

    Args:
        train: The rows there are.
        cases: Base cases, with slots.
        config: Slots and limits.
        task: Says what is asked and answered; with labels, only what is asked has slots.
        near: Finds the held-out row that a row nearly equals; such a row is never varied.
        seed: Same seed, same variations.

    Raises:
        RecipeError: There is nothing to vary, a case is no pattern, or has an unknown label.
    """
    if not cases and not config.surface:
        raise RecipeError(
            "augment: there is nothing to vary.",
            fix="Write augment.cases or a cases_file, or set augment.surface=[typo].",
        )
    kinds = [_kinds(row, task) for row in train.examples]
    have = Counter(kind for own in kinds for kind in own)
    before = dict(have)
    types = {span.label for row in train.examples for span in row.spans}
    maker = Variations(train, config, task, near, seed)
    bases: dict[str, list[Base]] = {}
    offers: dict[str, list[Iterator[Example]]] = {}
    for case in cases:
        base = read_case(case, task, config.slots, types)
        maker.join(base)
        offer = maker.variations(base)  # one for all types in it: no sentence comes twice
        for kind in _kinds_of_case(base, task, before):
            bases.setdefault(kind, []).append(base)
            offers.setdefault(kind, []).append(offer)
    typed: dict[str, list[Iterator[Example]]] = {}
    for row, own in zip(train.examples, kinds, strict=True) if config.surface else ():
        offer = maker.typed(row)
        for kind in own:
            typed.setdefault(kind, []).append(offer)
    target = config.rows if task.answer == "text" else config.rows_per_label
    growth, added = [], []
    for kind in sorted({**before, **bases}, key=lambda kind: (have[kind], kind)):
        offered = chain(_in_turn(offers.get(kind, [])), _in_turn(typed.get(kind, [])))
        while target is None or have[kind] < target:
            example = next(offered, None)
            if example is None:
                break
            added.append(example)
            have.update(_kinds(example, task))
    for kind in sorted(have):
        own_bases = bases.get(kind, [])
        slots = sorted(set().union(*(base.slots for base in own_bases)), key=_fewest(config))
        capped = any(maker.given[base.case.origin] >= config.max_per_case for base in own_bases)
        old = before.get(kind, 0)
        growth.append(Growth(kind, old, have[kind] - old, target, tuple(slots), capped))
    rows = tuple(maker.grouped(example) for example in (*train.examples, *added))
    return Augmentation(
        replace(train, examples=rows), tuple(growth), maker.held_out, tuple(maker.contradicting),
        len(added),
    )  # fmt: skip


def _kinds(row: Example, task: Task) -> tuple[str, ...]:
    """What a row counts for: its label, the types in it, or all rows."""
    if task.answer == "text":
        return ("",)
    if task.answer == "label":
        return (row.target,)
    return tuple(sorted({span.label for span in row.spans})) or (NONE,)


def _kinds_of_case(base: Base, task: Task, known: Mapping[str, int]) -> tuple[str, ...]:
    """What the variations of a case count for."""
    if task.answer == "label":
        return (_label(base.case, task, list(known)),)
    if task.answer == "text":
        return ("",)
    return tuple(sorted({mark.label for mark in base.marks})) or (NONE,)


def _label(case: Case, task: Task, labels: Sequence[str]) -> str:
    """The label of a case."""
    label = task.read(case.fields).target
    if label not in labels:
        raise RecipeError(
            f"{case.origin}: no row of train has the label {label!r}.",
            fix=f"Mend the label, or add rows of it to train first; {nearest(label, set(labels))}",
        )
    return label


def _fewest(config: "AugmentConfig") -> Callable[[str], tuple[int, str]]:
    """Orders slots: those with the fewest values first."""
    return lambda name: (len(values_of(name, config.slots)), name)


def _in_turn(sources: Sequence[Iterator[Example]]) -> Iterator[Example]:
    """One of each source, then the next of each, until all are empty."""
    left = list(sources)
    while left:
        for source in list(left):
            example = next(source, None)
            if example is None:
                left.remove(source)
            else:
                yield example
