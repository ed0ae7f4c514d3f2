"""Open a database so that nobody can write to it: a SQLite file, a script, or a schema alone."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from time import monotonic

from fucina.errors import DataError

__all__ = ["Database", "Schema", "name_key", "open_database", "open_schema"]

BUILD_S = 60  # a script that builds for longer is no small database
MEMORY = "file::memory:"
BUSY_S = 2.0  # how long to wait for somebody who holds the lock
STEPS = 10_000  # of SQLite's machine between two looks at the clock
# What a script may not do: reach other files, or load code.
FORBIDDEN = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}


@dataclass(frozen=True, eq=False)
class Schema:
    """The tables of a database; each is equal to itself alone, so that caches can go by it.

    Attributes:
        columns: Table to its columns, in their order; both in lower case.
        keys: Foreign keys as pairs of (table, column), in lower case, from and to.
        tables: Table, under its own name, to the statement that makes it.
    """

    columns: Mapping[str, tuple[str, ...]]
    keys: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)


class Database:
    """A connection that only reads; remembers its schema.

    Args:
        connection: Is closed to writing here.
        key: Tells it from all others of this process.
        uri: Of its file; that of an empty database where it was built in memory.
    """

    def __init__(self, connection: sqlite3.Connection, key: str, uri: str = MEMORY) -> None:
        self.connection, self.key, self.uri, self.lock = connection, key, uri, Lock()
        connection.execute("PRAGMA query_only = ON")
        connection.text_factory = lambda text: text.decode("utf-8", "replace")

    @cached_property
    def source(self) -> tuple[str, bytes]:
        """What another process opens it by: the uri, and its bytes where it is in memory."""
        with self.lock:
            return self.uri, self.connection.serialize() if self.uri == MEMORY else b""

    @cached_property
    def schema(self) -> Schema:
        """Tables and views, their columns and foreign keys, as the database tells them."""
        with self.lock:
            made = self.connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view') "
                "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
            ).fetchall()
            columns = {name_key(name): self._columns(name) for name, _ in made}
            keys = [key for name, _ in made for key in self._keys(name, columns)]
        return Schema(columns, tuple(keys), {name: sql or "" for name, sql in made})

    def sample(self, table: str, count: int) -> tuple[list[str], list[tuple]]:
        """The names of the columns of a table, and its first rows."""
        with self.lock:
            found = self.connection.execute(f"SELECT * FROM {_quoted(table)} LIMIT ?", (count,))
            return [column[0] for column in found.description], found.fetchall()

    def _columns(self, table: str) -> tuple[str, ...]:
        found = self.connection.execute(f"PRAGMA table_info({_quoted(table)})")
        return tuple(name_key(row[1]) for row in found)

    def _keys(
        self, table: str, columns: Mapping[str, tuple[str, ...]]
    ) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        found = self.connection.execute(f"PRAGMA foreign_key_list({_quoted(table)})").fetchall()
        keys = []
        for _, _, target, mine, theirs, *_ in sorted(found):
            other = name_key(target)
            # A key that names no column means the first of the table it points to.
            named = name_key(theirs) if theirs else next(iter(columns.get(other, ())), "")
            keys.append(((name_key(table), name_key(mine)), (other, named)))
        return keys


def name_key(name: str) -> str:
    """What two ways to write one name have in common.

    Example:
        >>> name_key('"Soci"') == name_key("soci")
        True
    """
    return name.strip('"`[]').lower()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def open_database(path: str) -> Database:
    """Open a SQLite file, or build a database in memory from a script; each is opened once.

    Args:
        path: Of the file; one that ends in .sql is a script.

    Raises:
        DataError: It is missing, locked, no database, or a script that does not run.
    """
    place = Path(path)
    try:
        told = place.stat()
    except OSError as error:
        near = sorted(p.name for p in place.parent.glob(f"*{place.suffix or '.none'}"))[:5]
        beside = f"there are {', '.join(near)}" if near else "paths are relative to the data file"
        also = "" if place.suffix else f", nor */{place.name}/{place.name}.sqlite beside the data"
        raise DataError(
            f"no database {path}{also}.", fix=f"Check the column of databases; {beside}."
        ) from error
    if place.is_dir():
        raise DataError(f"the database {path} is a folder.", fix="Name the file in it.")
    return _opened(path, told.st_mtime_ns, told.st_size)


@lru_cache(maxsize=512)
def _opened(path: str, changed_ns: int, size: int) -> Database:
    if path.lower().endswith(".sql"):
        try:
            script = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}.", fix="Save it as UTF-8.") from error
        return Database(_built(script, path), f"{path} {changed_ns} {size}")
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_S, check_same_thread=False, cached_statements=0
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return Database(connection, f"{path} {changed_ns} {size}", uri)
    except sqlite3.Error as error:
        connection.close()
        if "locked" in str(error) or "busy" in str(error):
            raise DataError(
                f"the database {path} is locked by another program.",
                fix="Close that program, or work on a copy.",
            ) from error
        raise DataError(
            f"{path} is no SQLite database: {error}.",
            fix="Give a SQLite file, or a script of SQL that ends in .sql.",
        ) from error


@lru_cache(maxsize=512)
def open_schema(script: str) -> Database:
    """Build a database without rows from a schema given as text.

    Raises:
        DataError: It is no SQL that SQLite runs, or makes no table.

    Example:
        >>> open_schema("CREATE TABLE Soci (id INTEGER, Nome TEXT)").schema.columns
        {'soci': ('id', 'nome')}
    """
    database = Database(_built(script, "the schema"), script)
    if not database.schema.columns:
        raise DataError(
            "the schema makes no table.", fix="Write CREATE TABLE statements in the column schema."
        )
    return database


def _built(script: str, name: str) -> sqlite3.Connection:
    """Run a script statement by statement, so that the line of a wrong one can be told."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, cached_statements=0)
    connection.set_authorizer(_while_building)
    end = monotonic() + BUILD_S
    connection.set_progress_handler(lambda: monotonic() > end, STEPS)
    began, statement = 1, ""
    lines = script.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if not statement.strip():
            began, statement = number, ""
        statement += line
        if not (sqlite3.complete_statement(statement) or number == len(lines)):
            continue
        try:
            connection.executescript(statement)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            connection.close()
            raise DataError(
                f"{name} does not run in SQLite: the statement in line {began}: {error}.",
                fix="Mend it; dumps of other systems must be written for SQLite first.",
            ) from error
        statement = ""
    connection.commit()
    connection.set_progress_handler(None, 0)
    connection.set_authorizer(None)
    return connection


def _while_building(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    loads = action == sqlite3.SQLITE_FUNCTION and "load_extension" in (first, second)
    return sqlite3.SQLITE_DENY if action in FORBIDDEN or loads else sqlite3.SQLITE_OK
