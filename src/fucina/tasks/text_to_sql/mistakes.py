"""What is wrong with a wrong answer: the first of a list of mistakes that applies."""

from collections import Counter
from typing import Any

from fucina.tasks.text_to_sql.parts import Parts, queries
from fucina.tasks.text_to_sql.sandbox import Result

__all__ = ["MISTAKES", "RIGHT", "UNKNOWN", "mistake"]

RIGHT = "right"
UNKNOWN = "not run"  # a row without a database: nobody knows
# In the order in which they are looked for.
MISTAKES = (
    "no query", "syntax", "not allowed", "over a limit", "no such table", "no such column",
    "fails", "wrong table", "wrong join", "wrong aggregation", "wrong column", "empty result",
    "wrong condition", "wrong order", "other",
)  # fmt: skip
LIMITS = {"too slow", "too many rows", "too much memory"}


def mistake(sql: str, said: Result, parts: Parts | None, gold: Parts | None, true: Result) -> str:
    """The name of the first mistake of `MISTAKES` that a wrong query makes.

    What does not run is told by SQLite; of what runs, the parts are compared with the true ones,
    those of joins and subqueries included. It is one way to be right that it is compared with:
    the names say where to look, not what must be mended.

    Args:
        sql: The answered query.
        said: What came of it.
        parts: Its parts; None where it does not parse.
        gold: The parts of the true query.
        true: What came of that.
    """
    if said.problem:
        return _not_run(sql, said)
    if parts is None or gold is None:
        return "empty result" if not said.rows and true.rows else "other"
    answered, wanted = queries(parts), queries(gold)
    if _outside(answered, wanted):
        return "wrong table"
    for name, keys in (
        ("wrong join", (_tables, _joins)),
        ("wrong aggregation", (_aggregates,)),
        ("wrong column", (_columns,)),
    ):
        if any(_differ(key, answered, wanted) for key in keys):
            return name
    if not said.rows and true.rows:
        return "empty result"
    if _differ(_conditions, answered, wanted):
        return "wrong condition"
    return "wrong order" if _differ(_ends, answered, wanted) else "other"


def _not_run(sql: str, said: Result) -> str:
    if not any(word in sql.upper() for word in ("SELECT", "WITH")):
        return "not allowed" if said.problem == "not allowed" else "no query"
    return "over a limit" if said.problem in LIMITS else said.problem


def _differ(key: Any, answered: list[Parts], wanted: list[Parts]) -> bool:
    one, two = (Counter(k for parts in heap for k in key(parts)) for heap in (answered, wanted))
    return one != two


def _outside(answered: list[Parts], wanted: list[Parts]) -> bool:
    """A table too many and one too few; one of the two alone is a join that is wrong."""
    one, two = ({t for parts in heap for t in _tables(parts)} for heap in (answered, wanted))
    return bool(one - two and two - one) or not (one & two or one == two)


def _tables(parts: Parts) -> list[Any]:
    return [name for kind, name in parts.tables if kind != "query"]


def _joins(parts: Parts) -> list[Any]:
    """Conditions of joins, whichever side stands first."""
    return [_turned(c) for c in parts.joined[::2]]


def _turned(condition: Any) -> Any:
    if len(condition) == 5 and condition[1] == "=" and isinstance(condition[3], tuple):
        sides = sorted([repr(condition[2][1]), repr(condition[3])])
        return ("=", *sides)
    return condition


def _aggregates(parts: Parts) -> list[Any]:
    found: list[Any] = [("select", aggregate) for aggregate, _ in parts.select if aggregate]
    found += [("group", unit) for unit in parts.group]
    return found + [("having", repr(c)) for c in parts.having]


def _columns(parts: Parts) -> list[Any]:
    return [value for _, value in parts.select]


def _conditions(parts: Parts) -> list[Any]:
    """Conditions without the queries within them, whose own are compared for themselves."""
    found: list[Any] = []
    for c in parts.where:
        found.append(c if isinstance(c, str) else tuple(_flat(side) for side in c))
    return found + ([parts.combined[0]] if parts.combined else [])


def _flat(side: Any) -> Any:
    return "query" if isinstance(side, Parts) else side


def _ends(parts: Parts) -> list[Any]:
    return [("order", parts.order), ("limit", parts.limit)]
