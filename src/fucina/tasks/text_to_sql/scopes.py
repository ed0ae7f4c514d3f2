"""Which table a name of a query means: the sources of a SELECT and of those around it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import sqlglot
from sqlglot import exp

from fucina.tasks.text_to_sql.database import Schema, name_key
from fucina.tasks.text_to_sql.reading import statements

__all__ = ["Scope", "Source", "bare", "chain", "open_scope", "parse"]

EVERYWHERE = {"*", "rowid", "oid", "_rowid_"}  # what every table has


@lru_cache(maxsize=4096)
def parse(sql: str) -> exp.Query | None:
    """The tree of one query in SQLite's dialect; None where it is none.

    Example:
        >>> parse("SELECT a FROM b").sql(), parse("SELECT FROM WHERE"), parse("DROP TABLE a")
        ('SELECT a FROM b', None, None)
    """
    if len(statements(sql)) != 1:
        return None
    try:
        tree = sqlglot.parse_one(sql, read="sqlite")
    except (sqlglot.errors.SqlglotError, RecursionError, ValueError):
        return None
    return tree if isinstance(tree, exp.Query) else None


def bare(node: exp.Expr) -> exp.Expr:
    """A part of a query without the parentheses around it; an alias of a subquery keeps them."""
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Subquery) and not node.alias):
        if isinstance(node, exp.Subquery) and (node.args.get("order") or node.args.get("limit")):
            break
        node = node.this
    return node


def chain(node: exp.Expr, kind: type[exp.Expr]) -> list[exp.Expr]:
    """The parts of `a AND b AND c`, or another chain, in their order, without parentheses."""
    node = bare(node)
    if isinstance(node, kind):
        return [*chain(node.this, kind), *chain(node.expression, kind)]
    return [node]


@dataclass(frozen=True)
class Source:
    """A table or subquery that a SELECT reads.

    Attributes:
        name: Its alias, or the table's name, in lower case.
        table: The table; empty for a subquery.
        columns: In lower case; None where nobody knows.
        node: As it stands in the query; of a name of WITH what that stands for.
        named: That name; empty where it is none.
    """

    name: str
    table: str
    columns: tuple[str, ...] | None
    node: exp.Expr
    named: str = ""


@dataclass(frozen=True)
class Scope:
    """What names mean within a SELECT.

    Attributes:
        schema: Of the database.
        sources: Of this SELECT, in their order.
        outer: What they mean around it.
        named: The queries of WITH, by name.
    """

    schema: Schema
    sources: tuple[Source, ...] = ()
    outer: "Scope | None" = None
    named: Mapping[str, exp.Expr] = field(default_factory=dict)

    def find(self, column: exp.Column) -> tuple["Scope", Source] | None:
        """Where a column comes from: the first source that has it, from the inside out."""
        table, name = name_key(column.table), name_key(column.name)
        scope: Scope | None = self
        while scope is not None:
            for source in scope.sources:
                if table in {"", source.name, source.table} and _holds(source, name):
                    return scope, source
            scope = scope.outer
        return None

    def within(self, source: Source) -> "Scope":
        """What names mean within a source; a query of WITH that asks itself ends there."""
        if not source.named:
            return self
        return replace(self, named={**self.named, source.named: exp.Var(this="itself")})

    def is_text(self, column: exp.Column) -> bool:
        """Whether it is no column but a text in double quotes, which SQLite accepts."""
        quoted = isinstance(column.this, exp.Identifier) and column.this.quoted
        return bool(quoted and not column.table and self.find(column) is None)


def _holds(source: Source, column: str) -> bool:
    # Of what nobody knows the columns of, any may be one.
    own = source.columns
    return own is None or column in own or column in EVERYWHERE


def open_scope(select: exp.Select, outer: Scope) -> Scope:
    """What names mean within a SELECT, WITH included.

    Args:
        select: The SELECT.
        outer: What they mean around it; at the top one without sources.
    """
    with_ = select.args.get("with_")
    own = {name_key(part.alias): part.this for part in with_.expressions} if with_ else {}
    scope = replace(outer, named={**outer.named, **own})
    from_ = select.args.get("from_")
    nodes = [from_.this] if from_ else []
    nodes += [join.this for join in select.args.get("joins") or []]
    sources = tuple(_source(node, scope) for node in nodes)
    return Scope(outer.schema, sources, outer if outer.sources else None, scope.named)


def _source(node: exp.Expr, scope: Scope) -> Source:
    alias = name_key(node.alias) if node.alias else ""
    if isinstance(node, exp.Table):
        table = name_key(node.name)
        if table in scope.named:
            node = scope.named[table]
            return Source(alias or table, "", _names(node), node, table)
        return Source(alias or table, table, scope.schema.columns.get(table), node)
    return Source(alias, "", _names(node), node)


def _names(node: exp.Expr) -> tuple[str, ...] | None:
    """What the columns of a subquery are called; None where it takes all of a table's."""
    query = node.this if isinstance(node, exp.Subquery) else node
    if not isinstance(query, exp.Query):
        return None
    names = tuple(name_key(name) for name in query.named_selects)
    return None if "*" in names or not names else names
