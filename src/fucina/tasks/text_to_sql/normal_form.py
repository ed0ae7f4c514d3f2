"""Exact match with values: two ways to write one query have one form, however they are written.

What does not count: case and quotes of names, aliases, parentheses, `!=` or `<>`, which side of a
comparison stands where, BETWEEN or two comparisons, ON or WHERE for inner joins, a column's number
or alias in ORDER BY and GROUP BY, and the order of conditions, of lists after IN, of inner joins,
of keys of GROUP BY, of the sides of UNION and INTERSECT, and of the columns of the result, as in
Spider's rule. What counts: values with their case, DISTINCT, LIMIT, the keys of ORDER BY in their
order, and outer joins as they are written.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import permutations, product
from typing import Any

from sqlglot import exp

from fucina.tasks.text_to_sql.database import Schema, name_key
from fucina.tasks.text_to_sql.scopes import Scope, Source, bare, chain, open_scope, parse

__all__ = ["normal_form"]

Form = tuple[Any, ...]

SWAPPED: Mapping[type, str] = {exp.GT: "lt", exp.GTE: "lte"}
AS_WRITTEN: Mapping[type, str] = {exp.LT: "lt", exp.LTE: "lte"}
COMMUTATIVE: Mapping[type, str] = {exp.EQ: "eq", exp.NEQ: "neq"}
CHAINS: Mapping[type, str] = {exp.And: "and", exp.Or: "or", exp.Add: "add", exp.Mul: "mul"}
OPPOSITE = {"eq": "neq", "neq": "eq", "lt": "not lt", "lte": "not lte"}
MOST_WAYS = 720  # to call the same table when it is joined with itself


@lru_cache(maxsize=1024)
def normal_form(sql: str, schema: Schema) -> Form | None:
    """What all ways to write a query have in common; None where it does not parse.

    Example:
        >>> schema = Schema({"soci": ("id", "nome"), "prestiti": ("id_socio", "anno")})
        >>> one = "SELECT s.nome FROM soci s JOIN prestiti p ON p.id_socio = s.id WHERE anno <> 2"
        >>> two = 'select "NOME" from Prestiti, Soci where ((2 != anno) and (id = id_socio))'
        >>> normal_form(one, schema) == normal_form(two, schema)
        True
        >>> normal_form(one.replace("2", "3"), schema) == normal_form(two, schema)
        False
    """
    tree = parse(sql)
    try:
        return None if tree is None else _query(tree, Scope(schema), {}, whole=True)
    except RecursionError:
        return None  # nested so deeply that nobody means it


Labels = Mapping[int, Form]  # of a source, by its identity


def _query(node: exp.Expr, outer: Scope, labels: Labels, *, whole: bool = False) -> Form:
    """The form of a query; of the whole one the order of the columns does not count."""
    node = bare(node)
    if isinstance(node, exp.Subquery):
        node = node.this
    if isinstance(node, exp.SetOperation):
        return _combined(node, outer, labels)
    if not isinstance(node, exp.Select):
        return ("text", node.sql("sqlite", normalize=True))
    scope = open_scope(node, outer)
    ways = [_Select(node, scope, {**labels, **own}) for own in _namings(scope, labels)]
    return min((way.form(whole=whole) for way in ways), key=repr)


def _combined(node: exp.SetOperation, outer: Scope, labels: Labels) -> Form:
    kind, distinct = type(node).__name__.lower(), bool(node.args.get("distinct", True))
    parts = [node.this, node.expression]
    if kind != "except":
        while isinstance(first := bare(parts[0]), type(node)) and _plain(first, distinct):
            parts[:1] = [first.this, first.expression]
    forms = [_query(part, outer, labels) for part in parts]
    first = bare(parts[0])
    ends: Form = ()
    if isinstance(first, exp.Select):
        ends = _Select(first, open_scope(first, outer), labels).ends(node)
    sorted_forms = forms if kind == "except" else sorted(forms, key=repr)
    return (kind, distinct, tuple(sorted_forms), ends)


def _plain(node: exp.Expr, distinct: bool) -> bool:
    same = bool(node.args.get("distinct", True)) == distinct
    return same and not (node.args.get("order") or node.args.get("limit"))


def _namings(scope: Scope, labels: Labels) -> Iterator[dict[int, Form]]:
    """Every way to number the sources of one table; a table that is there once has one."""
    groups: dict[Form, list[Source]] = {}
    for source in scope.sources:
        made: Form = (
            (source.table,) if source.table else _query(source.node, scope.within(source), labels)
        )
        groups.setdefault(made, []).append(source)
    orders = [list(permutations(range(len(own)))) for own in groups.values()]
    for count, chosen in enumerate(product(*orders)):
        if count == MOST_WAYS:
            return
        yield {
            id(source): (*made, number)
            for (made, own), numbers in zip(groups.items(), chosen, strict=True)
            for source, number in zip(own, numbers, strict=True)
        }


class _Select:
    """One SELECT with its names settled; writes the form of each of its expressions."""

    def __init__(self, node: exp.Select, scope: Scope, labels: Labels) -> None:
        self.node, self.scope, self.labels = node, scope, labels
        self.aliases = {name_key(i.alias): i.this for i in node.expressions if i.alias}

    def form(self, *, whole: bool) -> Form:
        sources, conditions = self.sources()
        where, group, having = (self.node.args.get(n) for n in ("where", "group", "having"))
        conditions += self.parts(where.this) if where else []
        keys = [self.of(self.meant(key)) for key in group.expressions] if group else []
        columns = tuple(form for item in self.node.expressions for form in self.columns(item))
        return (
            "select",
            bool(self.node.args.get("distinct")),
            _sorted(columns) if whole else columns,
            sources,
            _sorted(set(conditions)),
            _sorted(set(keys)),
            _sorted(set(self.parts(having.this))) if having else (),
            self.ends(self.node),
        )

    def sources(self) -> tuple[Form, list[Form]]:
        """The sources, and the conditions of inner joins, which may as well stand in WHERE."""
        labels = [self.labels[id(source)] for source in self.scope.sources]
        joins = self.node.args.get("joins") or []
        if any(join.side or join.method for join in joins):
            kinds = [" ".join((j.method, j.side, j.kind)).lower().split() for j in joins]
            each = zip(labels[1:], kinds, joins, strict=True)
            written = [(label, tuple(kind), _sorted(self.joined(j))) for label, kind, j in each]
            return ("in this order", tuple(labels[:1]), tuple(written)), []
        return _sorted(labels), [form for join in joins for form in self.joined(join)]

    def joined(self, join: exp.Join) -> list[Form]:
        found = self.parts(join.args["on"]) if join.args.get("on") is not None else []
        place = next(i for i, s in enumerate(self.scope.sources) if _stands(s, join.this))
        right = self.scope.sources[place]
        for name in join.args.get("using") or []:
            column = name_key(name.name)
            left = next(
                (s for s in self.scope.sources[:place] if s.columns and column in s.columns),
                self.scope.sources[0],
            )
            pair = [("column", self.labels[id(source)], column) for source in (left, right)]
            found.append(("eq", _sorted(pair)))
        return found

    def columns(self, item: exp.Expr) -> list[Form]:
        """The forms of a column of the result; a star is all columns where they are known."""
        node = bare(item.this if isinstance(item, exp.Alias) else item)
        table = name_key(node.table) if isinstance(node, exp.Column) else ""
        inside = node.this if isinstance(node, exp.Column) else node
        if not isinstance(inside, exp.Star):
            return [self.of(node)]
        sources = [s for s in self.scope.sources if table in {"", s.name}]
        if any(source.columns is None for source in sources):
            return [("all", *(self.labels[id(source)] for source in sources))]
        return [("column", self.labels[id(s)], name) for s in sources for name in s.columns or ()]

    def ends(self, node: exp.Expr) -> Form:
        order, limit, offset = (node.args.get(name) for name in ("order", "limit", "offset"))
        keys = [
            (self.of(self.meant(key.this)), bool(key.args.get("desc")))
            for key in (order.expressions if order else [])
        ]
        counts = [part.expression.sql("sqlite") if part else "" for part in (limit, offset)]
        return (tuple(keys), *counts)

    def meant(self, node: exp.Expr) -> exp.Expr:
        """What a key stands for: the alias or the number of a column of the result."""
        node = bare(node)
        items = self.node.expressions
        if isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit():
            place = int(node.this) - 1
            if 0 <= place < len(items):
                return items[place].this if isinstance(items[place], exp.Alias) else items[place]
        return node

    def parts(self, node: exp.Expr) -> list[Form]:
        """The forms of the parts of a condition that must all hold."""
        found: list[Form] = []
        for part in chain(node, exp.And):
            form = self.of(part)
            found += form[1] if form[0] == "and" else [form]
        return found

    def of(self, node: exp.Expr) -> Form:
        node = bare(node)
        for kind, name in CHAINS.items():
            if isinstance(node, kind):
                parts = [self.of(part) for part in chain(node, kind)]
                return (name, _sorted(set(parts) if name in {"and", "or"} else parts))
        for kind, name in COMMUTATIVE.items():
            if isinstance(node, kind):
                return (name, _sorted((self.of(node.this), self.of(node.expression))))
        for kinds, sides in ((AS_WRITTEN, (0, 1)), (SWAPPED, (1, 0))):
            if name := kinds.get(type(node)):
                pair = (self.of(node.this), self.of(node.expression))
                return (name, tuple(pair[side] for side in sides))
        writer = getattr(self, f"_{type(node).__name__.lower()}", None)
        return writer(node) if writer else self.other(node)

    def other(self, node: exp.Expr) -> Form:
        """Whatever has no rule of its own: its kind, and the forms of what is in it."""
        found: list[Any] = []
        for name, value in sorted(node.args.items()):
            if value is None or value is False or value == [] or name == "big_int":
                continue
            if isinstance(value, list):
                found.append((name, *(self.inner(part) for part in value)))
            else:
                found.append((name, self.inner(value)))
        return (type(node).__name__.lower(), *found)

    def inner(self, value: Any) -> Any:
        if isinstance(value, exp.Expr):
            return self.of(value)
        return value.lower() if isinstance(value, str) else repr(value)

    def _column(self, node: exp.Column) -> Form:
        found = self.scope.find(node)
        if found is not None:
            return ("column", self.labels[id(found[1])], name_key(node.name))
        alias = None if node.table else self.aliases.get(name_key(node.name))
        if alias is not None:
            return self.of(alias)
        if self.scope.is_text(node):
            return ("text", node.name)
        return ("column", name_key(node.table), name_key(node.name))

    def _literal(self, node: exp.Literal) -> Form:
        return ("text", node.this) if node.is_string else ("number", float(node.this))

    def _neg(self, node: exp.Neg) -> Form:
        form = self.of(node.this)
        return ("number", -form[1]) if form[0] == "number" else ("neg", form)

    def _not(self, node: exp.Not) -> Form:
        form = self.of(node.this)
        if form[0] == "not":
            return form[1]
        return (OPPOSITE[form[0]], *form[1:]) if form[0] in OPPOSITE else ("not", form)

    def _between(self, node: exp.Between) -> Form:
        value, low, high = (self.of(node.args[name]) for name in ("this", "low", "high"))
        form: Form = ("and", _sorted((("lte", (low, value)), ("lte", (value, high)))))
        return ("not", form) if node.args.get("negate") else form

    def _in(self, node: exp.In) -> Form:
        value, query = self.of(node.this), node.args.get("query")
        if query is not None:
            form: Form = ("in", value, _query(query, self.scope, self.labels))
        else:
            listed = {self.of(item) for item in node.expressions}
            one = len(listed) == 1
            form = ("eq", _sorted((value, *listed))) if one else ("in", value, _sorted(listed))
        if not node.args.get("negate"):
            return form
        return (OPPOSITE[form[0]], *form[1:]) if form[0] in OPPOSITE else ("not", form)

    def _like(self, node: exp.Like) -> Form:
        form: Form = ("like", self.of(node.this), self.of(node.expression))
        return ("not", form) if node.args.get("negate") else form

    def _count(self, node: exp.Count) -> Form:
        inside = bare(node.this)
        every = isinstance(inside, exp.Star | exp.Literal)
        return ("count",) if every else ("count", self.of(inside))

    def _exists(self, node: exp.Exists) -> Form:
        return ("exists", _query(node.this, self.scope, self.labels))

    def _select(self, node: exp.Expr) -> Form:
        return _query(node, self.scope, self.labels)

    _subquery = _union = _intersect = _except = _select


def _stands(source: Source, node: exp.Expr) -> bool:
    return source.name == name_key(node.alias_or_name)


def _sorted(forms: Any) -> Form:
    return tuple(sorted(forms, key=repr))
