"""What a sentence with slots is made of, and where its letters come from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Choice", "Parts", "Sentence", "Slot", "Text", "written"]

SPACES = re.compile(r"[ \t]+")
RUNS = re.compile(r"[ \t]+|[^ \t]+")


@dataclass(frozen=True)
class Slot:
    """A slot where a pattern has it.

    Attributes:
        name: Between its braces.
        begin: Of its opening brace, in letters from 0.
        end: Behind its closing one.
    """

    name: str
    begin: int
    end: int


@dataclass(frozen=True)
class Text:
    """Letters that stand there, and where the pattern has the first of them."""

    text: str
    begin: int


@dataclass(frozen=True)
class Choice:
    """One of these."""

    options: "tuple[Parts, ...]"


Parts = tuple[Text | Slot | Choice, ...]


@dataclass(frozen=True)
class Sentence:
    """One of the things that a pattern can become.

    Attributes:
        text: The sentence.
        values: Of all slots in it and beside it.
        parts: What it is made of.
    """

    text: str
    values: Mapping[str, str]
    parts: tuple[Text | Slot, ...]

    def places(self) -> list[int]:
        """Where in its pattern each letter was written; the value of a slot where that begins.

        Example:
            >>> parts = Slot("chi", 0, 5), Text(" c'è", 5)
            >>> Sentence("Ada c'è", {"chi": "Ada"}, parts).places()
            [0, 0, 0, 5, 6, 7, 8]
        """
        letters = [
            (letter, part.begin + (0 if isinstance(part, Slot) else place))
            for part in self.parts
            for place, letter in enumerate(_said(part, self.values))
        ]
        whole = "".join(letter for letter, _ in letters)
        # As `written` does: of spaces in a row the first stays, none at the ends.
        kept = [
            place
            for run in RUNS.finditer(whole)
            for place in range(*run.span())[: 1 if SPACES.match(run.group()) else None]
        ]
        closed = SPACES.sub(" ", whole)
        first = len(closed) - len(closed.lstrip())
        return [letters[place][1] for place in kept[first : first + len(self.text)]]


def written(parts: Sequence[Text | Slot], values: Mapping[str, str]) -> str:
    """The sentence that some parts are, spaces closed up."""
    return SPACES.sub(" ", "".join(_said(part, values) for part in parts)).strip()


def _said(part: Text | Slot, values: Mapping[str, str]) -> str:
    return values[part.name] if isinstance(part, Slot) else part.text
