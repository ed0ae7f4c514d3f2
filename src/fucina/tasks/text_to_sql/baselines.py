"""What queries cost nothing: that of the most similar question, moved to the database asked."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from fucina.records import Example
from fucina.tasks.text_to_sql.database import Schema, name_key
from fucina.tasks.text_to_sql.scores import database_of, require_parser

__all__ = ["nearest"]


def nearest(train: Sequence[Example], rows: Sequence[Example]) -> list[str]:
    """The query of the training question with the most similar characters.

    Questions about the same database go before all others. Where there is none, tables and columns
    of the query become those with the most similar names in the database that is asked.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    maker: Any = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    learned = maker.fit_transform([row.prompt for row in train])
    likeness = (maker.transform([row.prompt for row in rows]) @ learned.T).toarray()
    answers = []
    for row, alike in zip(rows, likeness, strict=True):
        same = [place for place, other in enumerate(train) if other.facts == row.facts]
        place = max(same or range(len(train)), key=lambda place: alike[place])
        query = train[place].target
        if not same:
            query = _moved(query, database_of(train[place]).schema, database_of(row).schema)
        answers.append(query)
    return answers


def _moved(query: str, known: Schema, wanted: Schema) -> str:
    """A query with the names of another database in the place of its own."""
    require_parser()
    from sqlglot import exp

    from fucina.tasks.text_to_sql.scopes import parse

    tree = parse(query)
    if tree is None or not wanted.columns:
        return query
    tree = tree.copy()
    tables = {name: _closest(name, list(wanted.columns)) for name in known.columns}
    for column in list(tree.find_all(exp.Column)):
        owner = next((t for t, own in known.columns.items() if name_key(column.name) in own), None)
        names = wanted.columns[tables[owner]] if owner else ()
        if names:
            column.this.replace(exp.to_identifier(_closest(name_key(column.name), list(names))))
    for table in tree.find_all(exp.Table):
        if name_key(table.name) in tables:
            table.this.replace(exp.to_identifier(tables[name_key(table.name)]))
    return tree.sql("sqlite")


def _closest(name: str, names: Sequence[str]) -> str:
    return max(names, key=lambda other: SequenceMatcher(None, name, other).ratio())
