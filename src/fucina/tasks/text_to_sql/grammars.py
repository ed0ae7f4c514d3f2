"""What a query may be: any that SQLite reads, or one over the tables of the row's own database."""

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path


from fucina.records import Example, Grammar
from fucina.tasks.text_to_sql.database import Database, name_key
from fucina.tasks.text_to_sql.scores import database_of

__all__ = ["any_query", "known_query"]

# What SQLite takes for no name without quotes.
RESERVED = (
    "add all alter and as between case check collate commit constraint create cross default delete "
    "distinct drop else end escape except exists foreign from full group having in index inner "
    "insert intersect into is isnull join left like limit natural not notnull null on or order "
    "outer primary references right select set table then to transaction union unique update using "
    "values when where with"
).split()
ANY = r"""
table: NAME
column: NAME ("." NAME)?
named: NAME
owner: NAME
aliased: ALIAS
called: ALIAS
ALIAS: GAP ("as"i GAP)? NAME
NAME: BARE | /"([^"\n]|"")+"/ | /`[^`\n]+`/ | /\[[^\]\n]+\]/
"""
WITH = """
start: (WITH cte (COMMA cte)* GAP)? query
cte: made (LEFT named (COMMA named)* RIGHT)? AS LEFT query RIGHT
"""
BARE = rf"""
BARE: /[^\W\d]\w*/ & ~RESERVED
RESERVED: {" | ".join(f'"{word}"i' for word in RESERVED)}
"""


def any_query(train: Sequence[Example], rows: Sequence[Example]) -> list[Grammar]:
    """A query that reads, over tables and columns of any name.

    Example:
        >>> any_query([], [Example("Quanti soci?", "")])[0].kind
        'lark'
    """
    return [Grammar("lark", f"{_rules()}{WITH}made: NAME\n{ANY}{BARE}")] * len(rows)


def known_query(train: Sequence[Example], rows: Sequence[Example]) -> list[Grammar]:
    """A query over the tables and columns that the row's own database has, and no other.

    A column behind the name of a table is one of that table; behind an alias it is one of any.
    Aliases, and what WITH names, are those of training rows, and T1 to T9; a result may be called
    anything, but only names of training rows can be asked for again. A row without a database may
    have any query.
    """
    made = _made_up(tuple(row.target for row in train))
    return [
        Grammar("lark", _rules() + _names(database_of(row), made) + BARE)
        if row.facts
        else any_query(train, [row])[0]
        for row in rows
    ]


@cache
def _rules() -> str:
    return (Path(__file__).parent / "sql.lark").read_text(encoding="utf-8")


MadeUp = tuple[frozenset[str], frozenset[str], frozenset[str]]


@lru_cache(maxsize=8)
def _made_up(queries: tuple[str, ...]) -> MadeUp:
    """The names that queries give to tables, to results, and to other queries by WITH."""
    from sqlglot import exp

    from fucina.tasks.text_to_sql.scopes import parse

    trees = [tree for query in queries if (tree := parse(query)) is not None]
    aliases, results, withs = (
        frozenset(
            node.alias.lower() for tree in trees for node in tree.find_all(*kinds) if node.alias
        )
        for kinds in ((exp.Table, exp.Subquery), (exp.Alias,), (exp.CTE,))
    )
    return aliases, results, withs


@lru_cache(maxsize=512)
def _names(database: Database, made: MadeUp) -> str:
    """Where a query begins and what names may be, in Lark."""
    aliases, results, withs = made
    tables = list(database.schema.tables)
    columns = [database.schema.columns[name_key(table)] for table in tables]
    owned = "".join(f' | TABLE_{n} "." OF_{n}' for n, own in enumerate(columns) if own)
    lines = [
        f"{WITH}made: MADE\nMADE: {_choice(withs)}" if withs else "start: query",
        f"table: TABLE{' | MADE' if withs else ''}",
        f'column: named | SOURCE "." named{owned}',
        f"named: COLUMN{' | RESULT' if results else ''}",
        "owner: TABLE | SOURCE",
        "aliased: ALIASED",
        'ALIASED: GAP ("as"i GAP)? SOURCE',
        "called: CALLED",
        f'CALLED: GAP "as"i GAP BARE{" | GAP RESULT" if results else ""}',
        f"TABLE: {_choice(tables)}",
        f"SOURCE: /T[1-9]/i{''.join(f' | {_quotable(name)}' for name in sorted(aliases | withs))}",
        f"COLUMN: {_choice(column for own in columns for column in own)}",
        *([f"RESULT: {_choice(results)}"] if results else []),
        *(f"TABLE_{n}: {_choice([table])}" for n, table in enumerate(tables)),
        *(f"OF_{n}: {_choice(own)}" for n, own in enumerate(columns) if own),
    ]
    return "\n".join(lines)


def _choice(names: Iterable[str]) -> str:
    return " | ".join(map(_quotable, sorted(set(names))))


def _quotable(name: str) -> str:
    """A name of a database as a query may write it, in any case, with quotes or without."""
    ways = [f'"{name.replace(chr(34), chr(34) * 2)}"', f"`{name}`", f"[{name}]"]
    if re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in RESERVED:
        ways.append(name)
    return " | ".join(f"{json.dumps(way, ensure_ascii=False)}i" for way in ways)
