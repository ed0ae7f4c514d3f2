"""The process that runs queries nobody trusts: `sandbox` starts it, asks it, and may kill it.

It imports nothing of Fucina, so that it starts in a moment and holds nothing worth stealing. A
message is its length in 8 bytes and then marshal's form of it. Asked are `(key, uri, image)`, a
database by the uri of its file or by its bytes, and `(key, sql, seconds, rows, bytes)`; answered is
`(problem, message, columns, rows)`.
"""

import marshal
import sqlite3
import sys
import time
from typing import IO, Any

__all__ = ["main", "receive", "send"]

ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
UNSAFE = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}
STEPS = 1000  # of SQLite's machine between two looks at the clock: some microseconds
ROOM = 3  # times the memory of a query that may be addressed: more than is used at once


def send(stream: IO[bytes], content: Any) -> None:
    """Write one message."""
    written = marshal.dumps(content)
    stream.write(len(written).to_bytes(8, "little") + written)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message.

    Raises:
        EOFError: The other side is gone.
    """
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    size = int.from_bytes(head, "little")
    body = stream.read(size)
    if len(body) < size:
        raise EOFError
    return marshal.loads(body)


def main() -> None:
    """Answer until the other side is gone."""
    databases: dict[str, sqlite3.Connection] = {}
    while True:
        try:
            asked = receive(sys.stdin.buffer)
        except EOFError:
            return
        if len(asked) == 3:
            key, uri, image = asked
            databases[key] = _opened(uri, image)
        else:
            key, sql, seconds, rows, held = asked
            _bound(held)
            send(sys.stdout.buffer, _answer(databases[key], sql, seconds, rows, held))


def _opened(uri: str, image: bytes) -> sqlite3.Connection:
    # No statement is remembered: each is shown to the authorizer again.
    connection = sqlite3.connect(uri, uri=True, cached_statements=0)
    if image:
        connection.deserialize(image)
    connection.execute("PRAGMA query_only = ON")
    # What a query sorts or groups stays in memory, where it is bounded, and never fills a disk.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    for which, most in LIMITS.items():
        connection.setlimit(which, most)
    connection.set_authorizer(_allows)
    return connection


def _allows(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    unsafe = action == sqlite3.SQLITE_FUNCTION and {first, second} & UNSAFE
    return sqlite3.SQLITE_OK if action in ALLOWED and not unsafe else sqlite3.SQLITE_DENY


def _bound(held: int) -> None:
    """Bound the memory of this process, where the system can."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  pathlib is slow
            used = int(file.read().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM * held, hard))


def _answer(
    connection: sqlite3.Connection, sql: str, seconds: float, most: int, held: int
) -> tuple[str, str, tuple, tuple]:
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    rows: list[tuple] = []
    try:
        cursor = connection.execute(sql)
        if cursor.description is None:
            return ("not allowed" if sql.strip() else "syntax"), "it is no query", (), ()
        for row in cursor:
            rows.append(row)
            held -= sum(8 + len(cell) for cell in row if isinstance(cell, str | bytes))
            if len(rows) > most:
                return "too many rows", f"more than {most:,}", (), ()
            if held < 0:
                return "too much memory", "its rows are too large", (), ()
        return "", "", tuple(column[0] for column in cursor.description), tuple(rows)
    except MemoryError:
        return "too much memory", "out of memory", (), ()
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        return ("too slow" if time.monotonic() > end else ""), str(error), (), ()


if __name__ == "__main__":
    main()
