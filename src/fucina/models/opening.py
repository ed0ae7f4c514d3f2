"""What must stay of a conversation that is cut: all before the words of its last question."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fucina.errors import FucinaError

if TYPE_CHECKING:
    from fucina.models.template import Template
    from fucina.records import Example

__all__ = ["cut_middle", "opening"]


def opening(example: "Example", template: "Template") -> int:
    """How many tokens stand before the words of the last question where it is all that is left.

    Args:
        example: The row.
        template: How the model wants turns.
    """
    turns = template.conversation(example)
    users = [place for place, turn in enumerate(turns[:-1]) if turn.role == "user"]
    if not users:
        return 0
    system = turns[:1] if turns[0].role == "system" else ()
    question, rest = turns[users[-1]], turns[users[-1] + 1 :]
    tokens = template.asked(replace(example, messages=(*system, question, *rest)))
    silent = replace(question, content="")
    try:
        without = template.asked(replace(example, messages=(*system, silent, *rest)))
    except FucinaError:  # a template that wants words in each turn
        return 0
    length = min(len(tokens), len(without))
    return int(np.argmin(np.append(tokens[:length] == without[:length], False)))


def cut_middle(tokens: np.ndarray, kept: int, most: int) -> np.ndarray:
    """The first `kept` tokens and the last ones, `most` in all.

    Example:
        >>> cut_middle(np.arange(10), 2, 5).tolist(), cut_middle(np.arange(3), 2, 5).tolist()
        ([0, 1, 7, 8, 9], [0, 1, 2])
    """
    if len(tokens) <= most:
        return tokens
    return np.concatenate([tokens[:kept], tokens[len(tokens) - (most - kept) :]])
