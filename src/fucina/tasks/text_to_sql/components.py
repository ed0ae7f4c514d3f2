"""Take a query apart: from the tree of a parser to the parts that Spider compares."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sqlglot import exp

from fucina.tasks.text_to_sql.database import Schema, name_key
from fucina.tasks.text_to_sql.parts import Parts, Unit, Value
from fucina.tasks.text_to_sql.scopes import Scope, bare, open_scope, parse

__all__ = ["parts_of"]

AGGREGATES: Mapping[type, str] = {
    exp.Max: "max", exp.Min: "min", exp.Count: "count", exp.Sum: "sum", exp.Avg: "avg",
}  # fmt: skip
ARITHMETIC: Mapping[type, str] = {exp.Sub: "-", exp.Add: "+", exp.Mul: "*", exp.Div: "/"}
COMPARED: Mapping[type, str] = {
    exp.EQ: "=", exp.NEQ: "!=", exp.GT: ">", exp.LT: "<", exp.GTE: ">=", exp.LTE: "<=",
    exp.Like: "like", exp.Is: "is", exp.Glob: "glob",
}  # fmt: skip
SET_OPERATIONS: Mapping[type, str] = {
    exp.Union: "union", exp.Intersect: "intersect", exp.Except: "except",
}  # fmt: skip
STAR = "*"


@lru_cache(maxsize=1024)
def parts_of(sql: str, schema: Schema) -> Parts | None:
    """The parts of a query; None where it does not parse.

    Example:
        >>> schema = Schema({"soci": ("id", "nome")})
        >>> found = parts_of("SELECT count(*) FROM soci AS s WHERE s.nome = 'Ada'", schema)
        >>> found.select, found.where
        ((('count', ('', ('', '*', False), None)),), ((False, '=', ('', ('', 'soci.nome', False), \
None), "'Ada'", None),))
    """
    tree = parse(sql)
    try:
        return None if tree is None else _query(tree, Scope(schema))
    except RecursionError:
        return None  # nested so deeply that nobody means it


def _query(node: exp.Expr, outer: Scope) -> Parts:
    node = bare(node)
    if isinstance(node, exp.Subquery):
        node = node.this
    if isinstance(node, exp.SetOperation):
        return _combined(node, outer)
    if not isinstance(node, exp.Select):
        return Parts(tables=(("text", node.sql("sqlite").lower()),))
    scope = open_scope(node, outer)
    writer = _Writer(node, scope)
    joins = node.args.get("joins") or []
    joined: list[Any] = []
    for join in joins:
        on = join.args.get("on")
        using = [("using", name_key(name.name)) for name in join.args.get("using") or []]
        for found in ([writer.conditions(on)] if on is not None else []) + [[u] for u in using]:
            joined += ["and", *found] if joined else found
    where, having, group = (node.args.get(name) for name in ("where", "having", "group"))
    parts = Parts(
        select=tuple(writer.selected(item) for item in node.expressions),
        tables=tuple(writer.tables()),
        joined=tuple(joined),
        where=tuple(writer.conditions(where.this)) if where else (),
        group=tuple(writer.unit(writer.meant(key)) for key in group.expressions) if group else (),
        having=tuple(writer.conditions(having.this)) if having else (),
        order=writer.order(node.args.get("order")),
        limit=_limit(node),
    )
    return replace(parts, unknown=frozenset(writer.unknown()))


def _combined(node: exp.SetOperation, outer: Scope) -> Parts:
    """The first query, with what follows it; an order at the end belongs to the last one."""
    first, rest = _query(node.this, outer), _query(node.expression, outer)
    last = _Writer(_last_select(node), Scope(outer.schema))
    order, limit = node.args.get("order"), _limit(node)
    if order is not None or limit is not None:
        rest = replace(rest, order=last.order(order) or rest.order, limit=limit or rest.limit)
    return _appended(first, (SET_OPERATIONS.get(type(node), "union"), rest))


def _last_select(node: exp.Expr) -> exp.Expr:
    while isinstance(node := bare(node), exp.SetOperation):
        node = node.expression
    return node


def _appended(first: Parts, more: tuple[str, Parts]) -> Parts:
    if first.combined is None:
        return replace(first, combined=more)
    operator, rest = first.combined
    return replace(first, combined=(operator, _appended(rest, more)))


def _limit(node: exp.Expr) -> str | None:
    limit, offset = node.args.get("limit"), node.args.get("offset")
    if limit is None:
        return None
    told = limit.expression.sql("sqlite") if limit.expression is not None else ""
    return f"{told} offset {offset.expression.sql('sqlite')}" if offset is not None else told


class _Writer:
    """Writes the expressions of one SELECT; remembers what its names mean."""

    def __init__(self, select: exp.Expr, scope: Scope) -> None:
        if not scope.sources and isinstance(select, exp.Select):
            scope = open_scope(select, scope)
        self.scope, self.select = scope, select
        items = select.expressions if isinstance(select, exp.Select) else []
        self.aliases = {name_key(i.alias): i.this for i in items if isinstance(i, exp.Alias)}
        self.items = [item.this if isinstance(item, exp.Alias) else item for item in items]

    def unknown(self) -> set[str]:
        """Names in it that mean nothing; what subqueries do not know, they ask for here."""
        names = {s.table for s in self.scope.sources if s.table and s.columns is None}
        for column in self.select.find_all(exp.Column):
            inside = column.find_ancestor(exp.Select)
            if inside is self.select and self.scope.find(column) is None:
                alias = not column.table and name_key(column.name) in self.aliases
                if not (alias or self.scope.is_text(column) or isinstance(column.this, exp.Star)):
                    names.add(column.sql("sqlite"))
        return names

    def tables(self) -> list[tuple[str, Any]]:
        return [
            ("table", source.table)
            if source.table
            else ("query", _query(source.node, self.scope.within(source)))
            for source in self.scope.sources
        ]

    def meant(self, node: exp.Expr) -> exp.Expr:
        """What a key of GROUP BY, HAVING or ORDER BY stands for: an alias, or a column's number."""
        node = bare(node)
        if isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit():
            place = int(node.this) - 1
            return bare(self.items[place]) if 0 <= place < len(self.items) else node
        if isinstance(node, exp.Column) and not node.table:
            alias = self.aliases.get(name_key(node.name))
            if alias is not None and self.scope.find(node) is None:
                return bare(alias)
        return node

    def selected(self, item: exp.Expr) -> tuple[str, Value]:
        node = bare(item.this if isinstance(item, exp.Alias) else item)
        aggregate = AGGREGATES.get(type(node))
        if aggregate is None or node.args.get("expressions"):
            return "", self.value(node)
        inside = bare(node.this)
        if isinstance(inside, exp.Distinct) and len(inside.expressions) == 1:
            _, name, _ = self.unit(inside.expressions[0])
            return aggregate, ("", ("", name, True), None)
        return aggregate, self.value(inside)

    def value(self, node: exp.Expr) -> Value:
        node = self.meant_alias(node)
        operator = ARITHMETIC.get(type(node))
        if operator is not None:
            return operator, self.unit(node.this), self.unit(node.expression)
        return "", self.unit(node), None

    def meant_alias(self, node: exp.Expr) -> exp.Expr:
        return self.meant(node) if isinstance(bare(node), exp.Column) else bare(node)

    def unit(self, node: exp.Expr) -> Unit:
        node = self.meant_alias(node)
        aggregate = AGGREGATES.get(type(node), "")
        if aggregate and not node.args.get("expressions"):
            inside = bare(node.this)
            distinct = isinstance(inside, exp.Distinct) and len(inside.expressions) == 1
            if distinct:
                inside = inside.expressions[0]
            return aggregate, self.name(inside), distinct
        return "", self.name(node), False

    def name(self, node: exp.Expr) -> str:
        """A column as table.column; all else as text, in which columns are written so too."""
        node = bare(node)
        if isinstance(node, exp.Star) or (
            isinstance(node, exp.Column) and isinstance(node.this, exp.Star)
        ):
            return STAR
        if not isinstance(node, exp.Column):
            return self.text(node)
        found = self.scope.find(node)
        if found is None:
            return self.text(node)
        _, source = found
        return f"{source.table or source.name}.{name_key(node.name)}"

    def text(self, node: exp.Expr) -> str:
        copy = node.copy()
        for column in list(copy.find_all(exp.Column)):
            found = self.scope.find(column)
            if found is not None and column is not copy:
                named = f"{found[1].table or found[1].name}.{name_key(column.name)}"
                column.replace(exp.Var(this=named))
            elif self.scope.is_text(column):
                literal = exp.Literal.string(column.name)
                if column is copy:
                    copy = literal
                else:
                    column.replace(literal)
        return copy.sql("sqlite")

    def order(self, order: exp.Expr | None) -> tuple[str, tuple[Value, ...]] | None:
        if order is None:
            return None
        keys = order.expressions
        direction = "desc" if keys[-1].args.get("desc") else "asc"
        return direction, tuple(self.value(self.meant(key.this)) for key in keys)

    def conditions(self, node: exp.Expr) -> list[Any]:
        """Conditions in their order with "and" or "or" between them; parentheses are not told."""
        node = bare(node)
        for kind, word in ((exp.And, "and"), (exp.Or, "or")):
            if isinstance(node, kind):
                return [*self.conditions(node.this), word, *self.conditions(node.expression)]
        return [self.condition(node)]

    def condition(self, node: exp.Expr) -> tuple[Any, ...]:
        negated = False
        while isinstance(node, exp.Not):
            negated, node = not negated, bare(node.this)
        negated ^= bool(node.args.get("negate"))
        if isinstance(node, exp.Between):
            low, high = (self.compared(node.args[name]) for name in ("low", "high"))
            return negated, "between", self.value(node.this), low, high
        if isinstance(node, exp.In):
            query = node.args.get("query")
            inside = (
                _query(query, self.scope)
                if query is not None
                else ", ".join(sorted(self.text(item) for item in node.expressions))
            )
            return negated, "in", self.value(node.this), inside, None
        if isinstance(node, exp.Exists):
            return negated, "exists", None, _query(node.this, self.scope), None
        operator = COMPARED.get(type(node))
        if operator is None:
            return negated, "text", None, self.text(node), None
        return negated, operator, self.value(node.this), self.compared(node.expression), None

    def compared(self, node: exp.Expr) -> "Parts | Unit | str":
        node = bare(node)
        if isinstance(node, exp.Query):
            return _query(node, self.scope)
        if isinstance(node, exp.Column) and not self.scope.is_text(node):
            return self.unit(node)
        return self.text(node)
