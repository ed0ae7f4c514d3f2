"""Run a query that nobody trusts: it can read and do nothing else, for a while and not too much.

Queries run in a process of their own (`worker`), which is killed where a query takes more time or
memory than it may: SQLite looks at the clock between its steps only, and one step can be long.
"""

import atexit
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import IO, Any, Literal, cast

from fucina.tasks.text_to_sql import worker
from fucina.tasks.text_to_sql.database import Database
from fucina.tasks.text_to_sql.settings import TextToSqlConfig

__all__ = ["Problem", "Result", "run_query"]

Problem = Literal[
    "", "syntax", "no such table", "no such column", "not allowed", "too slow", "too many rows",
    "too much memory", "fails",
]  # fmt: skip
MIB = 2**20
LOOK_S = 0.02  # between two looks at the memory of the worker
GRACE_S = 0.5  # beyond the limit, for SQLite to stop by itself: a new worker costs a moment
# Some wait for results of scores, parts and the report; a few large ones may be held at once.
REMEMBERED = 256


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

    @property
    def told(self) -> str:
        """The problem with what SQLite says, said once."""
        return self.message if self.problem in self.message else f"{self.problem}: {self.message}"


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
    problem, message, columns, rows = _RUNNER.ask(database, sql, limits)
    return Result(columns, rows, problem or (_kind(message) if message else ""), message)


def _kind(message: str) -> Problem:
    kinds: tuple[tuple[str, Problem], ...] = (
        ("no such table", "no such table"),
        ("no such column", "no such column"),
        ("ambiguous column", "no such column"),
        ("not authorized", "not allowed"),
        ("prohibited", "not allowed"),
        ("readonly", "not allowed"),
        ("too big", "too much memory"),
        ("out of memory", "too much memory"),
        ("syntax error", "syntax"),
        ("incomplete input", "syntax"),
        ("unrecognized token", "syntax"),
        ("one statement at a time", "syntax"),
    )
    return next((kind for part, kind in kinds if part in message), "fails")


class _Runner:
    """Holds the worker, starts it when it is needed, and kills it when it must be."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.answers: SimpleQueue[Any] = SimpleQueue()
        self.opened: set[str] = set()

    def ask(
        self, database: Database, sql: str, limits: TextToSqlConfig
    ) -> tuple[Problem, str, tuple, tuple]:
        held = limits.memory_limit_mib * MIB
        asked = (database.key, sql, limits.time_limit_s, limits.row_limit, held)
        with self.lock:
            process = self._ready(database)
            try:
                worker.send(_pipe(process.stdin), asked)
                return self._wait(process, limits.time_limit_s + GRACE_S, held)
            except OSError:
                self.stop()
                return "fails", "SQLite came to a sudden end", (), ()

    def _ready(self, database: Database) -> "subprocess.Popen[bytes]":
        if self.process is None or self.process.poll() is not None:
            self.stop()
            # -I and -S: nothing of the user's environment runs in it, and it starts at once.
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(worker.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self.answers = SimpleQueue()
            Thread(target=_listen, args=(self.process, self.answers), daemon=True).start()
        if database.key not in self.opened:
            worker.send(_pipe(self.process.stdin), (database.key, *database.source))
            self.opened.add(database.key)
        return self.process

    def _wait(
        self, process: "subprocess.Popen[bytes]", seconds: float, held: int
    ) -> tuple[Problem, str, tuple, tuple]:
        import psutil

        end, told = monotonic() + seconds, psutil.Process(process.pid)
        before = None
        while True:
            try:
                answer = self.answers.get(timeout=LOOK_S)
            except Empty:
                used = told.memory_info().rss
                before = used if before is None else before
                if monotonic() < end and used - before < held:
                    continue
                self.stop()
                if monotonic() < end:
                    return "too much memory", "it was stopped", (), ()
                return "too slow", "it was stopped", (), ()
            if answer is None:
                self.stop()
                return "fails", "SQLite came to a sudden end", (), ()
            return answer

    def stop(self) -> None:
        """Kill the worker; the next query starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    stream.close()
        self.process, self.opened = None, set()


def _listen(process: "subprocess.Popen[bytes]", answers: "SimpleQueue[Any]") -> None:
    try:
        while True:
            answers.put(worker.receive(_pipe(process.stdout)))
    except (EOFError, OSError, ValueError):
        answers.put(None)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """One end of a pipe, which a process that was started with pipes has."""
    return cast("IO[bytes]", stream)


_RUNNER = _Runner()
atexit.register(_RUNNER.stop)
