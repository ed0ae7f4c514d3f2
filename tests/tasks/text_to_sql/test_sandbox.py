"""Queries that mean harm: each is stopped, soon, and leaves nothing behind."""

import sqlite3
import time

import psutil
import pytest

from fucina.tasks.text_to_sql import sandbox
from fucina.tasks.text_to_sql.database import open_database
from fucina.tasks.text_to_sql.sandbox import run_query
from fucina.tasks.text_to_sql.settings import TextToSqlConfig

LIMITS = TextToSqlConfig(time_limit_s=1, row_limit=1000, memory_limit_mib=64)
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


@pytest.fixture(scope="module", params=["file", "script"])
def database(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    script = "CREATE TABLE soci (id INTEGER PRIMARY KEY, nome TEXT);"
    script += "INSERT INTO soci VALUES (1, 'Ada'), (2, 'Ivo');"
    if request.param == "script":
        path = folder / "soci.sql"
        path.write_text(script, encoding="utf-8")
    else:
        path = folder / "soci.sqlite"
        with sqlite3.connect(path) as connection:
            connection.executescript(script)
        connection.close()
    return open_database(str(path))


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE soci",
        "DELETE FROM soci",
        "UPDATE soci SET nome = 'x'",
        "INSERT INTO soci VALUES (3, 'Eva')",
        "REPLACE INTO soci VALUES (1, 'Eva')",
        "WITH a AS (SELECT 9) INSERT INTO soci SELECT 9, 'Eva' FROM a",
        "CREATE TABLE neu (a)",
        "CREATE TEMP TABLE neu (a)",
        "CREATE TEMP VIEW neu AS SELECT 1",
        "CREATE INDEX neu ON soci (nome)",
        "CREATE TRIGGER neu AFTER INSERT ON soci BEGIN DELETE FROM soci; END",
        "CREATE VIRTUAL TABLE neu USING fts5(a)",
        "ALTER TABLE soci RENAME TO anders",
        "ATTACH DATABASE 'evil.db' AS evil",
        "DETACH DATABASE main",
        "VACUUM",
        "VACUUM INTO 'evil.db'",
        "REINDEX",
        "ANALYZE",
        "BEGIN EXCLUSIVE",
        "SAVEPOINT a",
        "PRAGMA writable_schema = ON",
        "PRAGMA query_only = OFF",
        "PRAGMA query_only = ON",  # was run before: a statement that is remembered is asked again
        "PRAGMA table_info(soci)",
        "SELECT * FROM pragma_table_info('soci')",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('evil.so')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT writefile('evil.db', 'x')",
        "SELECT readfile('/etc/passwd')",
        "SELECT edit('x')",
    ],
)
def test_nothing_but_reading_is_allowed(database, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run_query(database, sql, LIMITS)
    assert found.problem in {"not allowed", "fails"}, found
    assert not found.rows
    assert not list(tmp_path.iterdir())
    assert run_query(database, "SELECT * FROM soci", LIMITS).rows == ((1, "Ada"), (2, "Ivo"))


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        (f"{NUMBERS} SELECT count(*) FROM n", "too slow"),
        (f"{NUMBERS} SELECT i FROM n WHERE i < 0", "too slow"),
        (
            f"SELECT count(*) FROM ({NUMBERS} SELECT i FROM n LIMIT 9999999999) a, soci",
            "too slow or too much memory",
        ),  # whichever comes first on this machine
        (f"{NUMBERS} SELECT i FROM n", "too many rows"),
        (f"{NUMBERS} SELECT group_concat(i) FROM n", "too slow"),
        (f"{NUMBERS} SELECT hex(randomblob(200000)) FROM n", "too much memory"),
        (
            f"SELECT count(*) FROM ({NUMBERS} SELECT DISTINCT randomblob(10000) FROM n)",
            "too much memory",
        ),
        (f"{NUMBERS} SELECT randomblob(10000) AS b FROM n ORDER BY b", "too much memory"),
        (f"{NUMBERS} SELECT count(*) FROM n GROUP BY randomblob(10000)", "too much memory"),
        ("SELECT zeroblob(2000000000)", "too much memory"),
        ("SELECT length(randomblob(900000000))", "too much memory"),
        ("SELECT printf('%.*c', 2000000000, 'x')", "too slow"),
        (
            "SELECT instr(hex(zeroblob(499000)), hex(zeroblob(249000)) || '1') FROM soci a, soci b, soci c",
            "too slow",
        ),
        ("SELECT replace(hex(zeroblob(200000)), '0', hex(zeroblob(1000)))", "too much memory"),
        (f"SELECT {', '.join(['randomblob(400000)'] * 501)}", "fails"),
        (f"SELECT {'(' * 900}1{')' * 900}", "fails"),
        ("SELECT 1 " + "UNION SELECT 1 " * 60, "fails"),
        ("SELECT 'a' LIKE '" + "%a" * 2000 + "'", "fails"),
        ("SELECT 1 -- " + "x" * 200_000, "fails"),
    ],
)
def test_a_query_that_eats_the_machine_is_stopped(database, sql, problem):
    process = psutil.Process()
    before = process.memory_info().rss
    # On a busy machine the memory must be full before the time is over.
    patient = LIMITS.model_copy(update={"time_limit_s": 120})
    found = run_query(database, sql, patient if problem == "too much memory" else LIMITS)
    assert found.problem in problem.split(" or "), found.message
    assert process.memory_info().rss - before < 100 * 2**20
    assert run_query(database, "SELECT count(*) FROM soci", LIMITS).rows == ((2,),)


@pytest.mark.parametrize("middle", ["%a%a%a%a%a%a%a%a%b", "*a*a*a*a*a*a*a*a*b"])
def test_a_pattern_that_could_take_for_ever_does_not(database, middle):
    word = "GLOB" if "*" in middle else "LIKE"
    began = time.monotonic()
    run_query(database, f"SELECT replace(hex(zeroblob(20000)), '0', 'a') {word} '{middle}'", LIMITS)
    assert time.monotonic() - began < 20


def test_two_statements_are_none(database):
    found = run_query(database, "SELECT 1; DROP TABLE soci", LIMITS)
    assert found.problem == "syntax"


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELEC nome FROM soci", "syntax"),
        ("SELECT nome FROM", "syntax"),
        ("SELECT nome FROM soci WHERE nome = 'Ada", "syntax"),
        ("", "syntax"),
        ("SELECT nome FROM sozi", "no such table"),
        ("SELECT nomi FROM soci", "no such column"),
        ("SELECT nosuch(nome) FROM soci", "fails"),
    ],
)
def test_an_error_is_told_by_its_kind(database, sql, problem):
    assert run_query(database, sql, LIMITS).problem == problem


def test_the_limits_are_gone_after_a_query(database):
    assert run_query(database, f"{NUMBERS} SELECT count(*) FROM n", LIMITS).problem == "too slow"
    wide = TextToSqlConfig(row_limit=5000)
    sql = f"{NUMBERS} SELECT i FROM n LIMIT 3000"
    assert len(run_query(database, sql, wide).rows) == 3000


def test_sqlite_that_falls_over_takes_nothing_with_it(database):
    """Whoever kills the worker, the next query has another."""
    assert run_query(database, "SELECT 1", LIMITS).rows == ((1,),)
    sandbox._RUNNER.process.kill()
    sandbox._RUNNER.process.wait()
    assert run_query(database, "SELECT 2", LIMITS).rows == ((2,),)
