"""Conversations that are too long: the oldest exchanges go first, then the middle."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fucina.models.opening import cut_middle, opening
from fucina.models.template import Rendered, Template
from fucina.records import Example

if TYPE_CHECKING:
    from fucina.models.pairing import Pairing

__all__ = ["asked", "fitting", "shorter"]


def shorter(example: Example, template: Template, most: int) -> Rendered:
    """The row without its oldest exchanges, as many as must go."""
    return template.render(
        fitting(example, template, lambda row: len(template.render(row).ids), most)
    )


def asked(example: Example, template: Template, *, most: int) -> np.ndarray:
    """What a model is given to answer a row, cut as `write` cuts it.

    Args:
        example: The row; its last answer is not given.
        template: How the model wants turns.
        most: Tokens that the model reads.
    """
    tokens = template.asked(example)
    if len(tokens) > most:
        rest = fitting(example, template, lambda row: len(template.asked(row)), most)
        tokens = template.asked(rest)
    if len(tokens) <= most:
        return tokens
    kept = min(opening(example, template), most // 2)
    return cut_middle(tokens, kept, most)


def fitting(
    example: Example, template: "Template | Pairing", size: Callable[[Example], int], most: int
) -> Example:
    """The row without as many exchanges as must go: one at least, and never the last.

    Each exchange less is fewer tokens, so that halving finds the place: of a conversation of
    thousands of turns, each is written a dozen times and not thousands of times.
    """
    starts = _starts(example, template)
    if not starts:
        return example
    place = bisect_left(
        starts, True, key=lambda start: size(_from(example, template, start)) <= most
    )
    return _from(example, template, starts[min(place, len(starts) - 1)])


def _starts(example: Example, template: "Template | Pairing") -> list[int]:
    """Where the exchanges behind the first begin."""
    turns = template.conversation(example)
    first = 1 if turns[0].role == "system" else 0
    return [i for i, turn in enumerate(turns) if turn.role == "user" and i > first]


def _from(example: Example, template: "Template | Pairing", start: int) -> Example:
    turns = template.conversation(example)
    first = turns[:1] if turns[0].role == "system" else ()
    return replace(example, messages=(*first, *turns[start:]))
