"""Variations of labelled base cases, balanced over the labels and kept away from held-out rows."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from fucina.errors import RecipeError, nearest
from fucina.prepare import pattern as patterns
from fucina.prepare.surface import SURFACES
from fucina.records import Dataset, Example

if TYPE_CHECKING:
    from fucina.config import AugmentConfig

__all__ = ["Augmentation", "LabelGrowth", "augment"]

Near = Callable[[str], Example | None]
"""Gives the held-out row that a text equals or nearly equals."""


@dataclass(frozen=True)
class LabelGrowth:
    """What one label got.

    Attributes:
        label: Its name.
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
        growth: What each label got, by name.
        held_out: Text of a case, of a way to type it, or origin of a row of train, that was left
            out, to the origin of the held-out row that says nearly the same as it or one of its
            variations.
        contradicting: Variations left out as train has the same text with another label.
    """

    rows: Dataset
    growth: tuple[LabelGrowth, ...]
    held_out: Mapping[str, str]
    contradicting: tuple[str, ...]


@dataclass(frozen=True)
class _Base:
    """What is varied: a case of the recipe, or a row of train."""

    example: Example
    pattern: patterns.Pattern


def augment(
    train: Dataset,
    cases: Sequence[Example],
    config: "AugmentConfig",
    *,
    near: Near,
    seed: int,
) -> Augmentation:
    """Add variations of base cases to the rows of train.

    A variation belongs to the group of its base, so that a split never divides them. With a target
    the cases of a label give one variation each in turn; rows of train are varied after them.

    Args:
        train: The rows there are.
        cases: Base cases, with slots in their prompts; origins name them in messages.
        config: Slots and limits.
        near: Finds the held-out row that a text nearly equals; such a text is never varied.
        seed: Same seed, same variations.

    Raises:
        RecipeError: There is nothing to vary, a case is no pattern, or has an unknown label.
    """
    if not cases and not config.surface:
        raise RecipeError(
            "augment: there is nothing to vary.",
            fix="Write augment.cases or a cases_file, or set augment.surface=[typo].",
        )
    bases = [_base(case, train, config) for case in cases]
    maker = _Maker(train, config, near, seed)
    turns: dict[str, list[Iterator[Example]]] = {}
    for base in bases:
        maker.join(base)
        turns.setdefault(base.example.target, []).append(maker.variations(base))
    spare: dict[str, list[Iterator[Example]]] = {}
    for row in train.examples if config.surface else ():
        spare.setdefault(row.target, []).append(maker.typed(row))
    counts = Counter(train.targets)
    made: dict[str, list[Example]] = {}
    for label, before in sorted(counts.items()):
        offered = chain(_in_turn(turns.get(label, [])), _in_turn(spare.get(label, [])))
        target = config.rows_per_label
        wanted = None if target is None else max(0, target - before)
        made[label] = list(islice(offered, wanted))
    growth = [
        _growth(label, before, len(made[label]), [b for b in bases if b.example.target == label],
                maker, config)
        for label, before in sorted(counts.items())
    ]  # fmt: skip
    added = [example for label in sorted(made) for example in made[label]]
    rows = tuple(maker.grouped(example) for example in (*train.examples, *added))
    return Augmentation(
        Dataset(train.name, rows, train.columns),
        tuple(growth),
        maker.held_out,
        tuple(maker.contradicting),
    )


def _base(case: Example, train: Dataset, config: "AugmentConfig") -> _Base:
    labels = set(train.targets)
    if case.target not in labels:
        raise RecipeError(
            f"{case.origin}: no row of train has the label {case.target!r}.",
            fix=f"Mend the label, or add rows of it to train first; {nearest(case.target, labels)}",
        )
    return _Base(case, patterns.parse(case.prompt, config.slots, where=case.origin))


def _growth(
    label: str,
    before: int,
    added: int,
    bases: Sequence[_Base],
    maker: "_Maker",
    config: "AugmentConfig",
) -> LabelGrowth:
    slots = {name for base in bases for name in base.pattern.slots}
    return LabelGrowth(
        label,
        before,
        added,
        config.rows_per_label,
        tuple(sorted(slots, key=lambda name: (len(config.slots[name]), name))),
        any(maker.given[base.example.origin] >= config.max_per_case for base in bases),
    )


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
    """Remembers which texts are there, which were left out, and which groups are one."""

    def __init__(self, train: Dataset, config: "AugmentConfig", near: Near, seed: int) -> None:
        self.config = config
        self.near = near
        self.seed = seed
        self.given: Counter[str] = Counter()
        self.held_out: dict[str, str] = {}
        self.contradicting: list[str] = []
        self._label: dict[str, str] = {_same(e.prompt): e.target for e in train.examples}
        self._texts = set(train.prompts)
        self._rows: Mapping[str, Example] = {_same(e.prompt): e for e in train.examples}
        self._group: dict[str, str] = {}

    def variations(self, base: _Base) -> Iterator[Example]:
        """What a case becomes, each text new, then the ways people type it."""
        case = base.example
        rng = random.Random(f"{self.seed}:{case.origin}:{case.prompt}")
        drawn = list(patterns.draw(base.pattern, self.config.slots, rng))
        # One variation among the held-out rows makes the case a held-out one: no variation of one
        # base case may stand on both sides of a split.
        if any(self._is_held_out(text, case.prompt) for text in drawn):
            return
        plain: list[str] = []
        for text in drawn:
            if self.given[case.origin] >= self.config.max_per_case:
                return
            plain.append(text)
            yield from self._offer(text, case, "")
        for text in plain:
            yield from self._typed(text, case)

    def typed(self, row: Example) -> Iterator[Example]:
        """The ways people type a row of train."""
        if not self._is_held_out(row.prompt, row.origin):
            yield from self._typed(row.prompt, row)

    def join(self, base: _Base) -> None:
        """A case that becomes a row of train is of that row's group."""
        rng = random.Random(self.seed)
        for text in patterns.draw(base.pattern, self.config.slots, rng):
            row = self._rows.get(_same(text))
            if row is not None:
                self._one(base.example, row)

    def grouped(self, example: Example) -> Example:
        """The example in the group that all it belongs with have."""
        own = example.group or example.origin
        return replace(example, group=self._root(own)) if own in self._group else example

    def _typed(self, text: str, base: Example) -> Iterator[Example]:
        for name in self.config.surface:
            if self.given[base.origin] >= self.config.max_per_case:
                return
            rng = random.Random(f"{self.seed}:{name}:{text}")
            yield from self._offer(SURFACES[name](text, rng), base, name)

    def _offer(self, text: str, base: Example, how: str) -> Iterator[Example]:
        """The variation, unless it is there already or must not be."""
        label = self._label.setdefault(_same(text), base.target)
        if label != base.target:
            self.contradicting.append(text)
        elif text not in self._texts and text.strip() and not self._is_held_out(text, text):
            self._texts.add(text)
            self.given[base.origin] += 1
            group = self._root(base.group or base.origin)
            self._group.setdefault(group, group)
            origin = f"{base.origin} ({how})" if how else base.origin
            yield Example(text, base.target, group, origin)

    def _is_held_out(self, text: str, what: str) -> bool:
        row = self.near(text)
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


def _same(text: str) -> str:
    return " ".join(text.casefold().split())
