"""Variations of base cases, balanced over the labels and kept away from held-out rows."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from fucina.errors import DataError, RecipeError, nearest
from fucina.prepare import pattern as patterns
from fucina.prepare.case import Base, Case, asking, filled, question, read_case
from fucina.prepare.surface import SURFACES
from fucina.records import Dataset, Example
from fucina.tasks import Task

if TYPE_CHECKING:
    from fucina.config import AugmentConfig

__all__ = ["Augmentation", "Growth", "augment"]

Near = Callable[[Example], Example | None]
"""Gives the held-out row that a row equals or nearly equals."""


@dataclass(frozen=True)
class Growth:
    """What one label got, or all rows where they answer with text.

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
        growth: What each label got, by name; of texts what all rows got.
        held_out: Question of a case, of a way to type it, or origin of a row of train, that was
            left out, to the origin of the held-out row that says nearly the same as it or one of
            its variations.
        contradicting: Variations left out as train has the same text with another label or answer.
    """

    rows: Dataset
    growth: tuple[Growth, ...]
    held_out: Mapping[str, str]
    contradicting: tuple[str, ...]

    @property
    def labelled(self) -> bool:
        """Whether rows have labels, rather than answer with text."""
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
    Rows that answer with text are all of one kind, as if they had one label.

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
    labelled = task.answer == "label"
    kinds = train.targets if labelled else [""] * len(train)
    maker = _Maker(train, config, task, near, seed)
    bases: dict[str, list[Base]] = {}
    for case in cases:
        kind = _label(case, task, kinds) if labelled else ""
        base = read_case(case, task, config.slots)
        bases.setdefault(kind, []).append(base)
        maker.join(base)
    spare: dict[str, list[Iterator[Example]]] = {}
    for row, kind in zip(train.examples, kinds, strict=True) if config.surface else ():
        spare.setdefault(kind, []).append(maker.typed(row))
    target = config.rows_per_label if labelled else config.rows
    growth, added = [], []
    for kind, before in sorted(Counter(kinds).items()):
        own = bases.get(kind, [])
        turns = [maker.variations(base) for base in own]
        offered = chain(_in_turn(turns), _in_turn(spare.get(kind, [])))
        made = list(islice(offered, None if target is None else max(0, target - before)))
        slots = sorted(set().union(*(base.slots for base in own)), key=_fewest(config))
        capped = any(maker.given[base.case.origin] >= config.max_per_case for base in own)
        growth.append(Growth(kind, before, len(made), target, tuple(slots), capped))
        added += made
    rows = tuple(maker.grouped(example) for example in (*train.examples, *added))
    return Augmentation(
        replace(train, examples=rows), tuple(growth), maker.held_out, tuple(maker.contradicting)
    )


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
    return lambda name: (len(config.slots[name]), name)


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


class _Maker:
    """Remembers which questions are there, which were left out, and which groups are one."""

    def __init__(
        self, train: Dataset, config: "AugmentConfig", task: Task, near: Near, seed: int
    ) -> None:
        self.config = config
        self.task = task
        self.near = near
        self.seed = seed
        self.given: Counter[str] = Counter()
        self.held_out: dict[str, str] = {}
        self.contradicting: list[str] = []
        self._answer: dict[str, str] = {_same(_asked(e)): e.target for e in train.examples}
        self._there = {_asked(example) for example in train.examples}
        self._rows: Mapping[str, Example] = {_same(_asked(e)): e for e in train.examples}
        self._group: dict[str, str] = {}

    def variations(self, base: Base) -> Iterator[Example]:
        """What a case becomes, each question new, then the ways people type it."""
        rng = random.Random(f"{self.seed}:{base.case.origin}:{base.question}")
        drawn = list(self._drawn(base, rng))
        # One variation among the held-out rows makes the case a held-out one: no variation of one
        # base case may stand on both sides of a split.
        if any(self._is_held_out(example, base.question) for example in drawn):
            return
        plain: list[Example] = []
        for example in drawn:
            if self.given[example.origin] >= self.config.max_per_case:
                return
            plain.append(example)
            yield from self._offer(example, example, "")
        for example in plain:
            yield from self._typed(example)

    def typed(self, row: Example) -> Iterator[Example]:
        """The ways people type a row of train."""
        if not self._is_held_out(row, row.origin):
            yield from self._typed(row)

    def join(self, base: Base) -> None:
        """A case that becomes a row of train is of that row's group."""
        for example in self._drawn(base, random.Random(self.seed)):
            row = self._rows.get(_same(_asked(example)))
            if row is not None:
                self._one(example, row)

    def grouped(self, example: Example) -> Example:
        """The example in the group that all it belongs with have."""
        own = example.group or example.origin
        return replace(example, group=self._root(own)) if own in self._group else example

    def _drawn(self, base: Base, rng: random.Random) -> Iterator[Example]:
        """All that the slots and brackets of a case allow."""
        drawn = patterns.draw(base.pattern, self.config.slots, rng, beside=base.beside)
        for text, values in drawn:
            yield self.task.read(filled(base, self.task, text, values), base.case.origin)

    def _typed(self, base: Example) -> Iterator[Example]:
        text = question(base.fields, self.task)
        for name in self.config.surface:
            if self.given[base.origin] >= self.config.max_per_case:
                return
            rng = random.Random(f"{self.seed}:{name}:{text}")
            typed = SURFACES[name](text, rng)
            if not typed.strip():
                continue
            try:
                row = self.task.read(asking(base.fields, self.task, typed), base.origin)
            except DataError:
                continue
            if row.target == base.target:  # an answer made of words of the question may break
                yield from self._offer(row, base, name)

    def _offer(self, example: Example, base: Example, how: str) -> Iterator[Example]:
        """The variation, unless it is there already or must not be."""
        asked = _asked(example)
        answer = self._answer.setdefault(_same(asked), example.target)
        if answer != example.target:
            self.contradicting.append(example.prompt)
        elif asked not in self._there and not self._is_held_out(example, example.prompt):
            self._there.add(asked)
            self.given[base.origin] += 1
            group = self._root(base.group or base.origin)
            self._group.setdefault(group, group)
            origin = f"{base.origin} ({how})" if how else base.origin
            yield replace(example, group=group, origin=origin)

    def _is_held_out(self, example: Example, what: str) -> bool:
        row = self.near(example)
        if row is not None:
            self.held_out[what] = row.origin
        return row is not None

    def _one(self, one: Example, other: Example) -> None:
        first = self._root(one.group or one.origin)
        second = self._root(other.group or other.origin)
        self._group[second] = second
        self._group[first] = second

    def _root(self, name: str) -> str:
        while self._group.get(name, name) != name:
            name = self._group[name]
        return name


def _asked(example: Example) -> str:
    """All that is said before the last answer, by the system too."""
    return "\n".join(turn.content for turn in example.messages[:-1]) or example.prompt


def _same(text: str) -> str:
    return " ".join(text.casefold().split())
