"""Sentences with slots: read them, count what they can become, and draw some of it."""

import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from fucina.errors import RecipeError, nearest

__all__ = ["Pattern", "always", "draw", "parse"]

ESCAPE = "\\"
LISTED = 50_000  # combinations that are shuffled whole; of more, some are drawn
SPACES = re.compile(r"[ \t]+")
SIGNS = re.compile(r"\\.|[{}\[\]()|]", re.DOTALL)


@dataclass(frozen=True)
class _Slot:
    name: str


@dataclass(frozen=True)
class _Choice:
    options: "tuple[_Parts, ...]"


_Parts = tuple[str | _Slot | _Choice, ...]


@dataclass(frozen=True)
class Pattern:
    """A sentence with slots.

    Attributes:
        parts: Text, slots and choices, in order.
        slots: The names of its slots, each once.
    """

    parts: _Parts
    slots: tuple[str, ...]


def parse(text: str, slots: Mapping[str, Sequence[str]], *, where: str) -> Pattern:
    r"""Read a sentence with `{slot}`, `[what may be left out]` and `(one|or|other)`.

    Parentheses without a bar are text. A backslash makes the next sign text: `\[`.

    Args:
        text: The sentence.
        slots: Slot name to its values.
        where: What the sentence is called, for messages.

    Raises:
        RecipeError: A sign is never closed, or a slot is not known.

    Example:
        >>> slots = {"cosa": ["porta"]}
        >>> pattern = parse("[dai, ](apri|chiudi) la {cosa} (subito)", slots, where="case 1")
        >>> sorted(text for text, _ in draw(pattern, slots, random.Random(0)))[0]
        'apri la porta (subito)'
    """
    reader = _Reader(text, where)
    parts = reader.options("")[0]
    used = tuple(dict.fromkeys(reader.slots))
    for name in used:
        if name not in slots:
            hint = nearest(name, slots) if slots else "none is written yet."
            raise RecipeError(
                f"{where}: no slot {name!r} in {text!r}.",
                fix=f"Write its values in augment.slots.{name}, or mend its name: {hint}",
            )
    return Pattern(parts, used)


def always(pattern: Pattern) -> set[str]:
    """The slots that every sentence of a pattern has.

    Example:
        >>> slots = {"a": ["1"], "b": ["2"]}
        >>> sorted(always(parse("(x {a}|{a} y)[ {b}]", slots, where="case 1")))
        ['a']
    """
    return _always(pattern.parts)


def _always(parts: _Parts) -> set[str]:
    own = {part.name for part in parts if isinstance(part, _Slot)}
    chosen = [[_always(option) for option in p.options] for p in parts if isinstance(p, _Choice)]
    return own.union(*(set.intersection(*options) for options in chosen))


def draw(
    pattern: Pattern,
    slots: Mapping[str, Sequence[str]],
    rng: random.Random,
    *,
    beside: Collection[str] = (),
) -> Iterator[tuple[str, dict[str, str]]]:
    """Give what a pattern can become, in random order, each sentence once.

    A slot that a sentence has twice has the same value in both places. Spaces that an empty part
    leaves are closed up. Of more than 50,000 combinations the same number are drawn.

    Args:
        pattern: A sentence with slots.
        slots: Slot name to its values.
        rng: Shuffles.
        beside: Slots whose values are wanted too: a sentence comes once for each of these.

    Returns:
        Sentences, each with the values of all slots in it and beside it.
    """
    names = tuple(dict.fromkeys((*pattern.slots, *beside)))
    sizes = [len(slots[name]) for name in names]
    total = _count(pattern.parts) * prod(sizes)
    numbers: Iterator[int] = (
        iter(rng.sample(range(total), total))
        if total <= LISTED
        else (rng.randrange(total) for _ in range(LISTED))
    )
    seen: set[tuple[str, ...]] = set()
    for number in numbers:
        values = {}
        for name, size in zip(names, sizes, strict=True):
            number, place = divmod(number, size)
            values[name] = slots[name][place]
        text = SPACES.sub(" ", _written(pattern.parts, number, values)).strip()
        once = (text, *(values[name] for name in beside))
        if text and once not in seen:
            seen.add(once)
            yield text, values


def _count(parts: _Parts) -> int:
    """How many ways there are to choose, slots apart."""
    return prod(
        sum(_count(option) for option in part.options)
        for part in parts
        if isinstance(part, _Choice)
    )


def _written(parts: _Parts, number: int, values: Mapping[str, str]) -> str:
    """The sentence of one of the ways to choose, counted from 0."""
    written = []
    for part in parts:
        if isinstance(part, str):
            written.append(part)
        elif isinstance(part, _Slot):
            written.append(values[part.name])
        else:
            sizes = [_count(option) for option in part.options]
            number, place = divmod(number, sum(sizes))
            for option, size in zip(part.options, sizes, strict=True):
                if place < size:
                    written.append(_written(option, place, values))
                    break
                place -= size
    return "".join(written)


class _Reader:
    """Remembers where it is in a sentence."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.place = 0
        self.slots: list[str] = []

    def options(self, closing: str) -> tuple[_Parts, ...]:
        """Sequences between bars, up to the sign that closes them or else the end of the text."""
        begin = self.place
        options: list[list[str | _Slot | _Choice]] = [[]]
        while True:
            sign = SIGNS.search(self.text, self.place)
            options[-1].append(self.text[self.place : sign.start() if sign else len(self.text)])
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
        return tuple(tuple(part for part in option if part != "") for option in options)

    def part(self, sign: str) -> _Parts:
        """What begins with a sign."""
        if sign.startswith(ESCAPE):
            return (sign[1:],)
        if sign == "{":
            return (self.slot(),)
        if sign == "[":
            return (_Choice(((), *self.options("]"))),)
        if sign == "(":
            options = self.options(")")
            return ("(", *options[0], ")") if len(options) == 1 else (_Choice(options),)
        if sign in "}]":
            raise RecipeError(
                f"{self.where}: {sign!r} closes nothing at letter {self.place} of {self.text!r}.",
                fix=f"Take it out, or write \\{sign} if it is text.",
            )
        return (sign,)

    def slot(self) -> _Slot:
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
        self.slots.append(name)
        return _Slot(name)

    def _open(self, begin: int, closing: str) -> RecipeError:
        return RecipeError(
            f"{self.where}: {self.text[begin]!r} at letter {begin + 1} of {self.text!r} is never "
            "closed.",
            fix=f"Write the missing {closing!r}, or \\{self.text[begin]} if it is text.",
        )
