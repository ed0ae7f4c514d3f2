"""Run a query that nobody trusts: it can read and do nothing else, for a while and not too much.

SQLite asks an authorizer about every action of a statement before it runs, and a progress handler
while it runs; limits of the connection bound what one step of its machine can make.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Literal

from fucina.tasks.text_to_sql.database import Database
from fucina.tasks.text_to_sql.settings import TextToSqlConfig

__all__ = ["Problem", "Result", "run_query"]

Problem = Literal[
    "", "syntax", "no such table", "no such column", "not allowed", "too slow", "too many rows",
    "too much memory", "fails",
]  # fmt: skip
ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
UNSAFE = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}
# One step can make a value of LENGTH bytes, and a row COLUMN of them, before the handler looks.
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 500_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}
STEPS = 1000  # of the machine between two looks at clock and memory: some microseconds
LOOKS = 16  # at the clock for one at memory, which costs ten times as much
MIB = 2**20
REMEMBERED = 256  # results; scores, parts and the report ask for the same ones


@dataclass(frozen=True)
class Result:
    """What a query came to.

    Attributes:
        columns: Names of the columns.
        rows: The rows, in order; none where there was a problem.
        problem: What kind of problem; empty where it ran.
        message: What SQLite says about it.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple, ...] = ()
    problem: Problem = ""
    message: str = ""


@lru_cache(maxsize=REMEMBERED)
def run_query(database: Database, sql: str, limits: TextToSqlConfig) -> Result:
    """Run one query, with all its limits, and say what came of it.

    Args:
        database: Where.
        sql: One statement.
        limits: Its longest time, most rows and most memory.

    Example:
        >>> from fucina.tasks.text_to_sql.database import open_schema
        >>> empty = open_schema("CREATE TABLE a (b)")
        >>> run_query(empty, "SELECT count(*) FROM a", TextToSqlConfig()).rows
        ((0,),)
        >>> run_query(empty, "DROP TABLE a", TextToSqlConfig()).problem
        'not allowed'
    """
    with database.lock:
        connection = database.connection
        usual = {which: connection.setlimit(which, most) for which, most in LIMITS.items()}
        watch = _Watch(limits)
        connection.set_authorizer(_while_querying)
        connection.set_progress_handler(watch.stops, STEPS)
        try:
            return _fetched(connection, sql, limits, watch)
        finally:
            connection.set_progress_handler(None, 0)
            connection.set_authorizer(None)
            for which, most in usual.items():
                connection.setlimit(which, most)


class _Watch:
    """Remembers when a query began and how large the process was, and says when it must stop."""

    def __init__(self, limits: TextToSqlConfig) -> None:
        self.end = monotonic() + limits.time_limit_s
        self.resident = _resident()
        self.most = self.resident() + limits.memory_limit_mib * MIB
        self.looks, self.why = 0, ""

    def stops(self) -> bool:
        """Whether the query has used up what it may use."""
        if monotonic() > self.end:
            self.why = "too slow"
        self.looks += 1
        if self.looks % LOOKS == 0 and self.resident() > self.most:
            self.why = "too much memory"
        return bool(self.why)


def _resident() -> Callable[[], int]:
    import psutil

    process = psutil.Process()
    return lambda: process.memory_info().rss


def _fetched(
    connection: sqlite3.Connection, sql: str, limits: TextToSqlConfig, watch: _Watch
) -> Result:
    rows: list[tuple] = []
    held = 0
    try:
        cursor = connection.execute(sql)
        if cursor.description is None:
            return Result(problem="syntax", message="it is no query")
        for row in cursor:
            rows.append(row)
            held += sum(len(cell) for cell in row if isinstance(cell, str | bytes))
            if len(rows) > limits.row_limit:
                return Result(problem="too many rows", message=f"more than {limits.row_limit:,}")
            if held > limits.memory_limit_mib * MIB:
                return Result(problem="too much memory", message="its rows are too large")
        return Result(tuple(column[0] for column in cursor.description), tuple(rows))
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        message = str(error)
        return Result(problem=watch.why or _problem(message), message=message)
    except MemoryError:
        return Result(problem="too much memory", message="out of memory")


def _problem(message: str) -> Problem:
    kinds: tuple[tuple[str, Problem], ...] = (
        ("no such table", "no such table"),
        ("no such column", "no such column"),
        ("ambiguous column", "no such column"),
        ("not authorized", "not allowed"),
        ("prohibited", "not allowed"),
        ("readonly", "not allowed"),
        ("string or blob too big", "too much memory"),
        ("out of memory", "too much memory"),
        ("syntax error", "syntax"),
        ("incomplete input", "syntax"),
        ("unrecognized token", "syntax"),
        ("one statement at a time", "syntax"),
    )
    return next((kind for part, kind in kinds if part in message), "fails")


def _while_querying(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    unsafe = action == sqlite3.SQLITE_FUNCTION and {first, second} & UNSAFE
    return sqlite3.SQLITE_OK if action in ALLOWED and not unsafe else sqlite3.SQLITE_DENY
