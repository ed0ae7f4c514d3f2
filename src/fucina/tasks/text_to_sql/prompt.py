"""A database as the model is shown it: its tables, a few of their rows, and never too long."""

import re
from collections.abc import Sequence

from fucina.tasks.text_to_sql.database import Database, name_key
from fucina.tasks.text_to_sql.settings import TextToSqlConfig

__all__ = ["shown_schema"]

CELL = 40  # characters of a value that are shown
OVERLAP = 4  # letters that two words must share at the beginning to be alike: socio, soci


def shown_schema(database: Database, question: str, config: TextToSqlConfig) -> str:
    """The tables of a database as text, cut to `schema_characters` in a stated order.

    First rows are left out, the last of each table before the first; then whole tables, those
    whose names and columns share the fewest words with the question, which are listed by name.
    A single table that is still too long loses its end. The question is never cut.

    Args:
        database: Of the question.
        question: Decides which tables stay.
        config: Form, rows and characters.

    Example:
        >>> from fucina.tasks.text_to_sql.database import open_schema
        >>> made = open_schema("CREATE TABLE soci (id INTEGER, nome TEXT); CREATE TABLE libri (x)")
        >>> print(shown_schema(made, "Quanti soci?", TextToSqlConfig(schema_form="short")))
        soci(id, nome)
        libri(x)
    """
    tables, parts, text = list(database.schema.tables), {}, ""
    for rows in range(config.sample_rows, -1, -1):
        parts = {table: _table(database, table, rows, config) for table in tables}
        text = _joined(list(parts.values()), [], config)
        if len(text) <= config.schema_characters:
            return text
    words = _words(question)
    worth = {
        table: _likeness(words, _words(" ".join((table, *_columns(database, table)))))
        for table in tables
    }
    dropped: list[str] = []
    # Of tables alike, later ones go first: the first are mostly those that others point to.
    for table in sorted(reversed(tables), key=lambda name: worth[name])[: len(tables) - 1]:
        dropped.append(table)
        del parts[table]
        text = _joined(list(parts.values()), dropped, config)
        if len(text) <= config.schema_characters:
            return text
    return text[: config.schema_characters]


def _columns(database: Database, table: str) -> tuple[str, ...]:
    return database.schema.columns[name_key(table)]


def _joined(parts: Sequence[str], dropped: Sequence[str], config: TextToSqlConfig) -> str:
    between = "\n" if config.schema_form == "short" and not config.sample_rows else "\n\n"
    if config.schema_form == "short" and not any("\n" in part for part in parts):
        between = "\n"
    more = [f"-- other tables: {', '.join(sorted(dropped))}"] if dropped else []
    return between.join([*parts, *more])


def _table(database: Database, table: str, rows: int, config: TextToSqlConfig) -> str:
    if config.schema_form == "ddl":
        text = re.sub(r"[ \t]+\n", "\n", database.schema.tables[table].strip())
    else:
        text = f"{table}({', '.join(_columns(database, table))})"
    if not rows:
        return text
    names, found = database.sample(table, rows)
    if not found:
        return text
    listed = [" | ".join(map(_cell, row)) for row in found]
    return "\n".join((text, f"/* {' | '.join(names)}", *listed, "*/"))


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    text = f"<{len(value)} bytes>" if isinstance(value, bytes) else " ".join(str(value).split())
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) >= OVERLAP - 1}


def _likeness(asked: set[str], named: set[str]) -> int:
    """How many words of a question begin like a word of a table."""
    beginnings = {word[:OVERLAP] for word in named}
    return sum(word[:OVERLAP] in beginnings for word in asked)
