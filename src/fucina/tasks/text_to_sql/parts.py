"""A query in the parts that the Spider benchmark compares, whatever its aliases.

The parts are those of the public scorer: a column is (aggregate, table.column, distinct), a value
(operator, column, column), a condition (not, operator, value, compared to, and to). What its
grammar does not know (CASE, functions…) is kept as text, so that every query has parts.
Source: Yu et al., 2018, https://arxiv.org/abs/1809.08887, section 5; rules of Spider's repository.
"""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Parts", "Unit", "Value", "queries"]

Unit = tuple[str, str, bool]
Value = tuple[str, Unit | None, Unit | None]


@dataclass(frozen=True)
class Parts:
    """A query in parts.

    Attributes:
        select: (aggregate, value) of each column of the result.
        tables: ("table", name) or ("query", parts) of each source, in their order.
        joined: Conditions of joins, with "and" or "or" between them.
        where: Conditions, likewise.
        group: Columns.
        having: Conditions, likewise.
        order: Direction of the last key and the keys; None without.
        limit: Its number as text; None without.
        combined: (operator, parts) of what follows UNION, INTERSECT or EXCEPT; None without.
        unknown: Its own tables and columns that the schema does not have.
    """

    select: tuple[tuple[str, Value], ...] = ()
    tables: tuple[tuple[str, Any], ...] = ()
    joined: tuple[Any, ...] = ()
    where: tuple[Any, ...] = ()
    group: tuple[Unit, ...] = ()
    having: tuple[Any, ...] = ()
    order: tuple[str, tuple[Value, ...]] | None = None
    limit: str | None = None
    combined: "tuple[str, Parts] | None" = None
    unknown: frozenset[str] = field(default=frozenset(), compare=False)


def queries(parts: Parts) -> list[Parts]:
    """A query and all queries within it."""
    inside = [held for kind, held in parts.tables if kind == "query"]
    conditions = (*parts.joined, *parts.where, *parts.having)
    inside += [side for c in conditions for side in c if isinstance(side, Parts)]
    inside += [parts.combined[1]] if parts.combined else []
    return [parts, *(deeper for part in inside for deeper in queries(part))]
