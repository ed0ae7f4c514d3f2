"""Summaries that cost nothing: the first three turns of a dialogue, and its three longest."""

from collections.abc import Sequence

from fucina.records import Example

__all__ = ["lead_3", "longest_3"]

TURNS = 3


def lead_3(train: Sequence[Example], rows: Sequence[Example]) -> list[str]:  # noqa: ARG001
    r"""The first three turns of each dialogue, with who speaks.

    Example:
        >>> lead_3([], [Example("A: uno\nB: due\nA: tre\nB: quattro", "")])
        ['A: uno\nB: due\nA: tre']
    """
    return ["\n".join(row.prompt.split("\n")[:TURNS]) for row in rows]


def longest_3(train: Sequence[Example], rows: Sequence[Example]) -> list[str]:  # noqa: ARG001
    r"""The three turns with the most words of each dialogue, in their order.

    Example:
        >>> longest_3([], [Example("A: sì\nB: io no\nA: e tu che fai\nB: vado via", "")])
        ['B: io no\nA: e tu che fai\nB: vado via']
    """
    return ["\n".join(_longest(row.prompt.split("\n"))) for row in rows]


def _longest(turns: Sequence[str]) -> list[str]:
    order = sorted(range(len(turns)), key=lambda place: -len(turns[place].split()))
    return [turns[place] for place in sorted(order[:TURNS])]
