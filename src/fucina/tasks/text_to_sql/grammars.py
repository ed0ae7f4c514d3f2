"""What a query may be: any that SQLite reads, or one over the tables of the row's own database."""

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from fucina.records import Example, Grammar
from fucina.tasks.text_to_sql.database import Database, name_key
from fucina.tasks.text_to_sql.scores import database_of

__all__ = ["any_query", "known_query"]

# What SQLite takes for no name without quotes.
RESERVED = (
    "add", "all", "alter", "and", "as", "between", "case", "check", "collate", "commit",
    "constraint", "create", "cross", "default", "delete", "distinct", "drop", "else", "end",
    "escape", "except", "exists", "foreign", "from", "full", "group", "having", "in", "index",
    "inner", "insert", "intersect", "into", "is", "isnull", "join", "left", "like", "limit",
    "natural", "not", "notnull", "null", "on", "or", "order", "outer", "primary", "references",
    "right", "select", "set", "table", "then", "to", "transaction", "union", "unique", "update",
    "using", "values", "when", "where", "with",
)  # fmt: skip
PLAIN = r"[^\W\d]\w*"
WITH = """
start: (WITH cte (COMMA cte)* GAP)? query
cte: made (LEFT named (COMMA named)* RIGHT)? AS LEFT query RIGHT
"""
ANY = rf"""{WITH}
made: NAME
table: NAME
column: NAME ("." NAME)?
named: NAME
owner: NAME
aliased: ALIASED
called: ALIASED
ALIASED: GAP ("as"i GAP)? NAME
NAME: BARE | /"([^"\n]|"")+"/ | /`[^`\n]+`/ | /\[[^\]\n]+\]/
"""
BARE = rf"""
BARE: /{PLAIN}/ & ~RESERVED
RESERVED: {" | ".join(f'"{word}"i' for word in RESERVED)}
"""
MadeUp = tuple[frozenset[str], frozenset[str], frozenset[str]]


def any_query(train: Sequence[Example], rows: Sequence[Example]) -> list[Grammar]:
    """A query that reads, over tables and columns of any name.

    Example:
        >>> any_query([], [Example("Quanti soci?", "")])[0].kind
        'lark'
    """
    del train  # nothing is to be learnt of them
    return [_grammar(ANY)] * len(rows)


def known_query(train: Sequence[Example], rows: Sequence[Example]) -> list[Grammar]:
    """A query over the tables and columns that the row's own database has, and no other.

    A column behind the name of a table is one of that table; behind an alias it is one of any.
    Aliases, and what WITH names, are those of training rows, and T1 to T9. A result may be called
    anything, but only names of training rows can be asked for again. A row without a database may
    have any query.

    Example:
        >>> schema = {"schema": "CREATE TABLE soci (id INTEGER, nome TEXT)"}
        >>> grammar = known_query([], [Example("Quanti soci?", "", facts=schema)])[0]
        >>> "soci" in grammar.text, "libri" in grammar.text
        (True, False)
    """
    made = _made_up(tuple(row.target for row in train))
    return [_grammar(_names(database_of(row), made) if row.facts else ANY) for row in rows]


@lru_cache(maxsize=512)
def _grammar(names: str) -> Grammar:
    rules = (Path(__file__).parent / "sql.lark").read_text(encoding="utf-8")
    text = "\n".join((names, rules, BARE))
    return Grammar("lark", re.sub(r'("(?:[^"\\\n]|\\.)+")i\b', _in_any_case, text))


def _in_any_case(word: re.Match[str]) -> str:
    """SQLite knows a to z in any case, and no other letter; Lark's "…"i takes ſ for s too."""
    letters = re.escape(json.loads(word[1])).replace("/", r"\/")
    return f"/(?i-u:{letters})/"


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
        f"SOURCE: {_choice(aliases | withs | {f'T{n}' for n in range(1, 10)})}",
        *([f"RESULT: {_choice(results)}"] if results else []),
        f"TABLE: {' | '.join(f'TABLE_{n}' for n in range(len(tables)))}",
        *(f"TABLE_{n}: {_choice([table])}" for n, table in enumerate(tables)),
        f"COLUMN: {' | '.join(f'OF_{n}' for n, own in enumerate(columns) if own)}",
        *(f"OF_{n}: {_choice(own)}" for n, own in enumerate(columns) if own),
    ]
    return "\n".join(lines)


def _choice(names: Iterable[str]) -> str:
    """Names as a query may write them, in any case, with quotes or without, in Lark."""
    ways = []
    for name in sorted({name.lower() for name in names}):
        doubled = name.replace('"', '""')
        ways += [f'"{doubled}"', f"`{name}`", f"[{name}]"]
        if re.fullmatch(PLAIN, name) and name not in RESERVED:
            ways.append(name)
    return " | ".join(f"{json.dumps(way, ensure_ascii=False)}i" for way in ways)
