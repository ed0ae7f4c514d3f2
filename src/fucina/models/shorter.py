"""Conversations that are too long: the oldest exchanges go first, then the middle."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fucina.models.opening import cut_middle, opening
from fucina.models.template import Rendered, Template
from fucina.records import Example

if TYPE_CHECKING:
    from fucina.models.pairing import Pairing

__all__ = ["asked", "ever_shorter", "shorter"]


def shorter(example: Example, template: Template, most: int) -> Rendered:
    """The row without its oldest exchanges, as many as must go."""
    rendered = None
    for rest in ever_shorter(example, template):
        rendered = template.render(rest)
        if len(rendered.ids) <= most:
            break
    return rendered or template.render(example)


def ever_shorter(example: Example, template: "Template | Pairing") -> Iterator[Example]:
    """The row without its oldest exchange, without the two oldest, and so on to the last one."""
    turns = template.conversation(example)
    first = turns[:1] if turns[0].role == "system" else ()
    starts = [i for i, turn in enumerate(turns) if turn.role == "user" and i > len(first)]
    for start in starts:
        yield replace(example, messages=(*first, *turns[start:]))


def asked(example: Example, template: Template, *, most: int) -> np.ndarray:
    """What a model is given to answer a row, cut as `write` cuts it.

    Args:
        example: The row; its last answer is not given.
        template: How the model wants turns.
        most: Tokens that the model reads.
    """
    tokens = template.asked(example)
    for rest in ever_shorter(example, template):
        if len(tokens) <= most:
            break
        tokens = template.asked(rest)
    if len(tokens) <= most:
        return tokens
    kept = min(opening(example, template), most // 2)
    return cut_middle(tokens, kept, most)
