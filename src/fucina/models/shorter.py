"""Conversations that are too long: the oldest exchanges go first, then the middle."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fucina.models.opening import cut_middle, opening
from fucina.models.template import Rendered, Template
from fucina.records import Example

if TYPE_CHECKING:
    from fucina.models.pairing import Pairing

__all__ = ["asked", "shorter", "without_oldest"]


def shorter(example: Example, template: Template, most: int) -> Rendered:
    """The row without its oldest exchanges, as many as must go."""
    rest = without_oldest(example, template, lambda row: len(template.render(row).ids) <= most)
    return template.render(rest)


def without_oldest(
    example: Example, template: "Template | Pairing", fits: Callable[[Example], bool]
) -> Example:
    """The row without as many of its oldest exchanges as must go for it to fit; the last one stays.

    Found by halving, as conversations of thousands of turns are sent to servers.

    Args:
        example: The row, which does not fit.
        template: How the model wants turns.
        fits: Whether a shorter one does; one that is shorter still does then too.
    """
    turns = template.conversation(example)
    first = turns[:1] if turns[0].role == "system" else ()
    starts = [i for i, turn in enumerate(turns) if turn.role == "user" and i > len(first)]
    if not starts:
        return example

    def rest(place: int) -> Example:
        return replace(example, messages=(*first, *turns[starts[place] :]))

    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(rest(middle)) else (middle + 1, high)
    return rest(low)


def asked(example: Example, template: Template, *, most: int) -> np.ndarray:
    """What a model is given to answer a row, cut as `write` cuts it.

    Args:
        example: The row; its last answer is not given.
        template: How the model wants turns.
        most: Tokens that the model reads.
    """
    tokens = template.asked(example)
    if len(tokens) <= most:
        return tokens
    rest = without_oldest(example, template, lambda row: len(template.asked(row)) <= most)
    tokens = template.asked(rest)
    if len(tokens) <= most:
        return tokens
    kept = min(opening(example, template), most // 2)
    return cut_middle(tokens, kept, most)
