"""The variations of one case or row: each new, none like a held-out row, all of one group."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fucina.errors import DataError
from fucina.prepare import pattern as patterns
from fucina.prepare.case import Base, asking, filled, question
from fucina.prepare.marks import moved
from fucina.prepare.surface import SURFACES
from fucina.records import Dataset, Example
from fucina.tasks import Task

if TYPE_CHECKING:
    from fucina.config import AugmentConfig

__all__ = ["Near", "Variations"]

Near = Callable[[Example], Example | None]
"""Gives the held-out row that a row equals or nearly equals."""


class Variations:
    """Remembers which questions are there, which were left out, and which groups are one.

    Args:
        train: The rows there are.
        config: Slots and limits.
        task: Says what is asked and answered.
        near: Finds the held-out row that a row nearly equals; such a row is never varied.
        seed: Same seed, same variations.

    Attributes:
        given: Origin of a case or row to how many variations it gave.
        held_out: What was left out, to the origin of the held-out row that it nearly equals.
        contradicting: Variations that train has with another answer.
    """

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
        self._answer = {_same(_asked(e)): self._said(e) for e in train.examples}
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
        for sentence in drawn:
            yield self.task.read(filled(base, self.task, sentence), base.case.origin)

    def _typed(self, base: Example) -> Iterator[Example]:
        text = question(base.fields, self.task)
        for name in self.config.surface:
            if self.given[base.origin] >= self.config.max_per_case:
                return
            rng = random.Random(f"{self.seed}:{name}:{text}")
            letters = SURFACES[name](text, rng)
            typed = "".join(letters)
            if not typed.strip():
                continue
            fields = asking(base.fields, self.task, typed)
            if self.task.marks:
                fields[self.task.answered] = moved(base.spans, letters)
            try:
                row = self.task.read(fields, base.origin)
            except DataError:
                continue
            if self._keeps(row, base):
                yield from self._offer(row, base, name)

    def _keeps(self, typed: Example, base: Example) -> bool:
        """Whether a row has its answer still; one made of words of the question may break."""
        if self.task.marks:
            return [span.label for span in typed.spans] == [span.label for span in base.spans]
        return typed.target == base.target

    def _offer(self, example: Example, base: Example, how: str) -> Iterator[Example]:
        """The variation, unless it is there already or must not be."""
        asked = _asked(example)
        answer = self._answer.setdefault(_same(asked), self._said(example))
        if answer != self._said(example):
            self.contradicting.append(example.prompt)
        elif asked not in self._there and not self._is_held_out(example, example.prompt):
            self._there.add(asked)
            self.given[base.origin] += 1
            group = self._root(base.group or base.origin)
            self._group.setdefault(group, group)
            origin = f"{base.origin} ({how})" if how else base.origin
            yield replace(example, group=group, origin=origin)

    def _said(self, example: Example) -> str:
        """The answer; one that repeats words of the question is as they are typed."""
        return _same(example.target) if self.task.marks else example.target

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
