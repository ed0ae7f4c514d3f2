"""The official measures of Spider: exact set match without values, and the levels of difficulty.

The rules are those of the public scorer, its quirks included, so that numbers compare with those
of papers: values and DISTINCT do not count, columns of one foreign key are one column, conditions
are a set, and a query is hard because of its clauses, not because of what it asks.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fucina.tasks.text_to_sql.database import Schema
from fucina.tasks.text_to_sql.parts import Parts, Unit, Value, queries

__all__ = ["LEVELS", "level", "matches_parts"]

LEVELS = ("easy", "medium", "hard", "extra")


def matches_parts(answered: Parts | None, gold: Parts, schema: Schema) -> bool:
    """Whether every part of a query is that of the true one, by the rules of exact set match.

    Args:
        answered: What was answered; None where it does not parse.
        gold: The truth.
        schema: For the foreign keys.

    Example:
        >>> from fucina.tasks.text_to_sql.components import parts_of
        >>> schema = Schema({"soci": ("id", "nome", "eta")})
        >>> gold = parts_of("SELECT nome FROM soci WHERE eta > 30", schema)
        >>> other = parts_of("SELECT T1.nome FROM soci AS T1 WHERE T1.eta > 5", schema)
        >>> matches_parts(other, gold, schema)
        True
        >>> matches_parts(parts_of("SELECT nome FROM soci WHERE eta < 30", schema), gold, schema)
        False
    """
    if answered is None or any(query.unknown for query in queries(answered)):
        return False
    same = _representatives(schema)
    return _equal(_comparable(answered, same), _comparable(gold, same))


def level(gold: Parts) -> str:
    """How hard a query is: easy, medium, hard or extra.

    Example:
        >>> from fucina.tasks.text_to_sql.components import parts_of
        >>> schema = Schema({"soci": ("id", "nome")})
        >>> level(parts_of("SELECT count(*) FROM soci", schema))
        'easy'
        >>> level(parts_of("SELECT nome FROM soci WHERE id NOT IN (SELECT id FROM soci)", schema))
        'hard'
    """
    clauses, nested, others = _clauses(gold), len(list(_nested(gold))), _others(gold)
    if clauses <= 1 and others == 0 and nested == 0:
        return "easy"
    if nested == 0 and ((others <= 2 and clauses <= 1) or (clauses <= 2 and others < 2)):
        return "medium"
    if nested == 0 and ((others > 2 and clauses <= 2) or (2 < clauses <= 3 and others <= 2)):
        return "hard"
    return "hard" if clauses <= 1 and others == 0 and nested <= 1 else "extra"


def _conditions(parts: Parts) -> list[Any]:
    return [*parts.joined[::2], *parts.where[::2], *parts.having[::2]]


def _between(parts: Parts) -> list[str]:
    """The words that join conditions."""
    return [*parts.joined[1::2], *parts.where[1::2], *parts.having[1::2]]


def _clauses(parts: Parts) -> int:
    given = (parts.where, parts.group, parts.order, parts.limit)
    count = sum(bool(clause) for clause in given) + max(len(parts.tables) - 1, 0)
    count += _between(parts).count("or")
    return count + sum(condition[1] == "like" for condition in _conditions(parts))


def _nested(parts: Parts) -> Iterator[Parts]:
    for condition in _conditions(parts):
        yield from (side for side in condition[3:] if isinstance(side, Parts))
    if parts.combined is not None:
        yield parts.combined[1]


def _others(parts: Parts) -> int:
    """More than one: aggregate, column of the result, condition, key of groups."""
    keys = parts.order[1] if parts.order else ()
    units = [unit for _, *pair in keys for unit in pair if unit is not None]
    aggregates = sum(bool(aggregate) for aggregate, _ in parts.select)
    aggregates += sum(bool(unit[0]) for unit in (*parts.group, *units))
    # The scorer counts a condition with NOT, and each word between those of HAVING, as one too.
    aggregates += sum(bool(condition[0]) for condition in parts.where[::2])
    aggregates += sum(isinstance(c, str) or bool(c[0]) for c in parts.having)
    several = (aggregates, len(parts.select), len(parts.where), len(parts.group))
    return sum(count > 1 for count in several)


def _representatives(schema: Schema) -> dict[str, str]:
    """Column to the first of the columns that foreign keys make one with it."""
    places = {
        f"{table}.{column}": place
        for place, (table, column) in enumerate(
            (table, column) for table, columns in schema.columns.items() for column in columns
        )
    }
    groups: list[set[str]] = []
    for pair in schema.keys:
        mine, theirs = (f"{table}.{column}" for table, column in pair)
        # Into the first group that has either; groups that meet later stay apart, as in the scorer.
        group = next((g for g in groups if mine in g or theirs in g), None)
        if group is None:
            group = set()
            groups.append(group)
        group |= {mine, theirs}
    found = {}
    for group in groups:
        first = min(group, key=lambda name: places.get(name, len(places)))
        found |= dict.fromkeys(group, first)
    return found


def _comparable(parts: Parts, same: Mapping[str, str]) -> Parts:
    """The parts without values and DISTINCT, and with one name for the columns of a foreign key."""
    parts = _without_values(parts)
    tables = {name for kind, name in parts.tables if kind == "table"}
    return _renamed(parts, {c: first for c, first in same.items() if c.partition(".")[0] in tables})


def _without_values(parts: Parts) -> Parts:
    def blank(side: Any) -> Any:
        return _without_values(side) if isinstance(side, Parts) else None

    def blanked(conditions: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(
            c if isinstance(c, str) else (*c[:3], *(blank(side) for side in c[3:]))
            for c in _seen(conditions)
        )

    def limited(inside: Parts) -> Parts:
        # The scorer keeps the values of a subquery in FROM, but reads every LIMIT as 1.
        return replace(inside, limit=inside.limit and "1")

    combined = parts.combined and (parts.combined[0], _without_values(parts.combined[1]))
    return replace(
        limited(parts),
        tables=tuple((kind, limited(n) if kind == "query" else n) for kind, n in parts.tables),
        joined=blanked(parts.joined),
        where=blanked(parts.where),
        having=blanked(parts.having),
        combined=combined,
    )


def _seen(conditions: Sequence[Any]) -> list[Any]:
    """The conditions that the scorer reads: it skips an OR after one that compares columns."""
    found: list[Any] = []
    skipping = False
    for part in conditions:
        if isinstance(part, str):
            skipping = part == "or" and (skipping or isinstance(found[-1][3], tuple))
        if not skipping:
            found.append(part)
    return found


def _renamed(parts: Parts, names: Mapping[str, str]) -> Parts:
    def unit(given: Unit) -> Unit:
        return given[0], names.get(given[1], given[1]), False

    def value(given: Value) -> Value:
        operator, *pair = given
        first, second = (one and unit(one) for one in pair)
        return operator, first, second

    def renamed(conditions: Sequence[Any]) -> tuple[Any, ...]:
        # Not in subqueries: the scorer leaves those as they are.
        return tuple(
            c if isinstance(c, str) or len(c) < 5 else (*c[:2], c[2] and value(c[2]), *c[3:])
            for c in conditions
        )

    combined = parts.combined and (parts.combined[0], _renamed(parts.combined[1], names))
    return replace(
        parts,
        select=tuple((aggregate, value(given)) for aggregate, given in parts.select),
        joined=renamed(parts.joined),
        where=renamed(parts.where),
        group=tuple(unit(given) for given in parts.group),
        having=renamed(parts.having),
        order=parts.order and (parts.order[0], tuple(value(key) for key in parts.order[1])),
        combined=combined,
    )


def _equal(answered: Parts, gold: Parts) -> bool:
    limited = [parts.limit is not None for parts in (answered, gold)]
    return (
        Counter(answered.select) == Counter(gold.select)
        and Counter(answered.where[::2]) == Counter(gold.where[::2])
        and set(answered.where[1::2]) == set(gold.where[1::2])
        and [unit[1] for unit in answered.group] == [unit[1] for unit in gold.group]
        and (not gold.group or answered.having == gold.having)
        and answered.order == gold.order
        and (not gold.order or limited[0] == limited[1])
        and _words(answered) == _words(gold)
        and _same_rest(answered, gold)
        and (not gold.tables or Counter(answered.tables) == Counter(gold.tables))
    )


def _same_rest(answered: Parts, gold: Parts) -> bool:
    if answered.combined is None or gold.combined is None:
        return answered.combined is gold.combined
    (one, mine), (other, theirs) = answered.combined, gold.combined
    return one == other and _equal(mine, theirs)


def _words(parts: Parts) -> set[str]:
    """The keywords that a query uses."""
    conditions = _conditions(parts)
    found = {condition[1] for condition in conditions if condition[1] in {"in", "like"}}
    found |= {"not"} if any(condition[0] for condition in conditions) else set()
    found |= {"or"} if "or" in _between(parts) else set()
    found |= {parts.order[0]} if parts.order else set()
    found |= {parts.combined[0]} if parts.combined else set()
    given = {
        "where": parts.where, "group": parts.group, "having": parts.having,
        "order": parts.order, "limit": parts.limit,
    }  # fmt: skip
    return found | {word for word, clause in given.items() if clause}
