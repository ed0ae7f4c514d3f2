"""Sentences with slots: read them, count what they can become, and draw some of it."""

import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from fucina.errors import RecipeError, nearest
from fucina.prepare.sentence import Choice, Parts, Sentence, Slot, Text, written

__all__ = ["Pattern", "always", "draw", "parse", "values_of"]

ESCAPE = "\\"
LISTED = 50_000  # combinations that are shuffled whole; of more, some are drawn
SIGNS = re.compile(r"\\.|[{}\[\]()|]", re.DOTALL)

Slots = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Pattern:
    """A sentence with slots.

    Attributes:
        parts: Text, slots and choices, in order.
        written: Its slots, in order.
    """

    parts: Parts
    written: tuple[Slot, ...]

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of its slots, each once."""
        return tuple(dict.fromkeys(slot.name for slot in self.written))


def values_of(name: str, slots: Slots) -> Sequence[str]:
    """What may stand for a slot: its own values, or those of the name before its dot.

    Example:
        >>> values_of("citta.2", {"citta": ["Forlì"]}), values_of("paese", {"citta": ["Forlì"]})
        (['Forlì'], ())
    """
    return slots.get(name) or slots.get(name.partition(".")[0], ())


def parse(text: str, slots: Slots, *, where: str) -> Pattern:
    r"""Read a sentence with `{slot}`, `[what may be left out]` and `(one|or|other)`.

    Parentheses without a bar are text. A backslash makes the next sign text: `\[`. `{slot.2}` is
    another of the values of `{slot}`, unless it has its own.

    Args:
        text: The sentence.
        slots: Slot name to its values.
        where: What the sentence is called, for messages.

    Raises:
        RecipeError: A sign is never closed, or a slot is not known.

    Example:
        >>> slots = {"cosa": ["porta"]}
        >>> pattern = parse("[dai, ](apri|chiudi) la {cosa} (subito)", slots, where="case 1")
        >>> sorted(one.text for one in draw(pattern, slots, random.Random(0)))[0]
        'apri la porta (subito)'
    """
    reader = _Reader(text, where)
    parts = reader.options("")[0]
    pattern = Pattern(parts, tuple(reader.slots))
    for name in pattern.slots:
        if not values_of(name, slots):
            hint = nearest(name, slots) if slots else "none is written yet."
            raise RecipeError(
                f"{where}: no slot {name!r} in {text!r}.",
                fix=f"Write its values in augment.slots.{name}, or mend its name: {hint}",
            )
    return pattern


def always(pattern: Pattern) -> set[str]:
    """The slots that every sentence of a pattern has.

    Example:
        >>> slots = {"a": ["1"], "b": ["2"]}
        >>> sorted(always(parse("(x {a}|{a} y)[ {b}]", slots, where="case 1")))
        ['a']
    """
    return _always(pattern.parts)


def _always(parts: Parts) -> set[str]:
    own = {part.name for part in parts if isinstance(part, Slot)}
    chosen = [[_always(option) for option in p.options] for p in parts if isinstance(p, Choice)]
    return own.union(*(set.intersection(*options) for options in chosen))


def draw(
    pattern: Pattern, slots: Slots, rng: random.Random, *, beside: Collection[str] = ()
) -> Iterator[Sentence]:
    """Give what a pattern can become, in random order, each sentence once.

    A slot that a sentence has twice has the same value in both places, `{slot}` and `{slot.2}`
    have two. Spaces that an empty part leaves are closed up. Of more than 50,000 combinations the
    same number are drawn.

    Args:
        pattern: A sentence with slots.
        slots: Slot name to its values.
        rng: Shuffles.
        beside: Slots whose values are wanted too: a sentence comes once for each of these.
    """
    names = tuple(dict.fromkeys((*pattern.slots, *beside)))
    own = [values_of(name, slots) for name in names]
    sizes = [len(values) for values in own]
    total = _count(pattern.parts) * prod(sizes)
    numbers: Iterator[int] = (
        iter(rng.sample(range(total), total))
        if total <= LISTED
        else (rng.randrange(total) for _ in range(LISTED))
    )
    seen: set[tuple[str, ...]] = set()
    for number in numbers:
        values = {}
        for name, size, choice in zip(names, sizes, own, strict=True):
            number, place = divmod(number, size)
            values[name] = choice[place]
        if len({(name.partition(".")[0], value) for name, value in values.items()}) < len(values):
            continue
        parts = tuple(_chosen(pattern.parts, number))
        sentence = Sentence(written(parts, values), values, parts)
        once = (sentence.text, *(values[name] for name in beside))
        if sentence.text and once not in seen:
            seen.add(once)
            yield sentence


def _count(parts: Parts) -> int:
    """How many ways there are to choose, slots apart."""
    return prod(
        sum(_count(option) for option in part.options) for part in parts if isinstance(part, Choice)
    )


def _chosen(parts: Parts, number: int) -> Iterator[Text | Slot]:
    """What one of the ways to choose consists of, counted from 0."""
    for part in parts:
        if not isinstance(part, Choice):
            yield part
            continue
        sizes = [_count(option) for option in part.options]
        number, place = divmod(number, sum(sizes))
        for option, size in zip(part.options, sizes, strict=True):
            if place < size:
                yield from _chosen(option, place)
                break
            place -= size


class _Reader:
    """Remembers where it is in a sentence."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.place = 0
        self.slots: list[Slot] = []

    def options(self, closing: str) -> tuple[Parts, ...]:
        """Sequences between bars, up to the sign that closes them or else the end of the text."""
        begin = self.place
        options: list[list[Text | Slot | Choice]] = [[]]
        while True:
            sign = SIGNS.search(self.text, self.place)
            plain = self.text[self.place : sign.start() if sign else len(self.text)]
            options[-1] += [Text(plain, self.place)] if plain else []
            if sign is None:
                if closing:
                    raise self._open(begin - 1, closing)
                break
            self.place = sign.end()
            found = sign.group()
            if found == closing:
                break
            if found == "|" and closing:
                options.append([])
            else:
                options[-1].extend(self.part(found))
        return tuple(map(tuple, options))

    def part(self, sign: str) -> Parts:
        """What begins with a sign that was just read."""
        begin = self.place - 1
        if sign.startswith(ESCAPE):
            return (Text(sign[1:], begin),)
        if sign == "{":
            return (self.slot(),)
        if sign == "[":
            return (Choice(((), *self.options("]"))),)
        if sign == "(":
            options = self.options(")")
            if len(options) > 1:
                return (Choice(options),)
            return (Text("(", begin), *options[0], Text(")", self.place - 1))
        if sign in "}]":
            raise RecipeError(
                f"{self.where}: {sign!r} closes nothing at letter {self.place} of {self.text!r}.",
                fix=f"Take it out, or write \\{sign} if it is text.",
            )
        return (Text(sign, begin),)

    def slot(self) -> Slot:
        """The name up to the closing brace."""
        begin = self.place - 1
        end = self.text.find("}", self.place)
        if end < 0:
            raise self._open(begin, "}")
        name = self.text[self.place : end].strip()
        if not name or SIGNS.search(name):
            raise RecipeError(
                f"{self.where}: {self.text[begin : end + 1]!r} is no slot in {self.text!r}.",
                fix="Write the name of a slot between the braces, or \\{ if it is text.",
            )
        self.place = end + 1
        self.slots.append(Slot(name, begin, self.place))
        return self.slots[-1]

    def _open(self, begin: int, closing: str) -> RecipeError:
        return RecipeError(
            f"{self.where}: {self.text[begin]!r} at letter {begin + 1} of {self.text!r} is never "
            "closed.",
            fix=f"Write the missing {closing!r}, or \\{self.text[begin]} if it is text.",
        )
