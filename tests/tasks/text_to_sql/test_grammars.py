"""Queries held to a grammar: every true one fits, none over an unknown table can be written."""

import random
import sqlite3

import numpy as np
import pytest

from fucina import tasks
from fucina.config import AdapterConfig
from fucina.models.build import build
from fucina.models.constrain import Held
from fucina.models.scratch import tokenizer_of
from fucina.models.template import open_template
from fucina.models.writer import Writer
from fucina.reading import read_file
from fucina.recipe import load
from fucina.records import Example
from fucina.tasks.text_to_sql.grammars import any_query, known_query
from fucina.tasks.text_to_sql.scopes import parse
from fucina.tasks.text_to_sql.scores import database_of

pytest.importorskip("llguidance")

FOLDER = tasks.folder("text_to_sql")
SCHEMA = """CREATE TABLE soci (id INTEGER, nome TEXT, "età (anni)" INTEGER, "order" TEXT);
CREATE TABLE "città/paesi" ("a""b" TEXT, "#x & y~" INTEGER, è TEXT);"""
TRAIN = [
    Example("", said, facts={"schema": SCHEMA})
    for said in ("WITH primi AS (SELECT id AS n FROM soci) SELECT n FROM primi",
                 "SELECT p.nome FROM soci AS p")
]  # fmt: skip
GOOD = [
    "SELECT 1", "select * from soci", "SELECT p.*, P.NOME FROM soci p, \"città/paesi\" AS T2",
    'SELECT "età (anni)", [order], `NOME` FROM "SOCI"', 'SELECT "a""b", "#x & y~" FROM [città/paesi]',
    "SELECT DISTINCT(nome) FROM soci", "SELECT count(DISTINCT id), COUNT ( * ), sum(all id) FROM soci",
    "SELECT id FROM soci WHERE nome LIKE 'L''A%' ESCAPE '!' AND NOT id IN (1, 2) OR id IS NOT NULL",
    "SELECT id FROM soci WHERE id BETWEEN 1 + 1 AND 3 AND nome NOT IN (SELECT è FROM `città/paesi`)",
    "SELECT -1 - -id, id-1, 2*-id FROM soci ORDER BY 1 DESC, nome COLLATE NOCASE NULLS LAST LIMIT -1",
    "SELECT CASE WHEN id = 1 THEN 'a' ELSE \"b\" END, CASE id WHEN 1 THEN 2 END FROM soci",
    "SELECT CAST(id AS REAL), coalesce(nome, 'x'), julianday('now') FROM soci LIMIT 3 OFFSET 2",
    "SELECT rank() OVER (PARTITION BY nome ORDER BY id) FROM soci",
    "SELECT T2.nome FROM soci LEFT JOIN soci AS T2 USING (id) WHERE EXISTS (SELECT 1 FROM soci T3)",
    "SELECT nome AS tutto FROM (SELECT nome FROM soci) AS T1 GROUP BY nome HAVING COUNT(*) > 1",
    "SELECT nome FROM soci UNION ALL SELECT è FROM \"città/paesi\" EXCEPT SELECT nome FROM soci",
    "WITH primi AS (SELECT id AS n FROM soci) SELECT MAX(n) FROM primi",
    "SELECT nome\nFROM soci\n  WHERE id = 1",
]  # fmt: skip
UNKNOWN = [
    "SELECT x FROM libri", "SELECT nome FROM soci JOIN libri ON 1", "SELECT libri.nome FROM soci",
    "SELECT titolo FROM soci", "SELECT soci.è FROM soci", "SELECT nome FROM soci ORDER BY altro",
    "SELECT nome FROM sqlite_master",
]  # fmt: skip
WRONG = [
    "DELETE FROM soci", "SELECT nome FROM soci; DROP TABLE soci", "SELECT", "SELECT nome FROM soci WHERE",
    "SELECTnome FROM soci", "SELECT id--nome FROM soci", "SELECT abs(1, 2)", "SELECT sum(*) FROM soci",
    "SELECT id FROM soci LIMIT id", "\u017fELECT id FROM soci", "Non lo so.",
]  # fmt: skip


@pytest.fixture(scope="module")
def template():
    return open_template(tokenizer_of([*GOOD, *WRONG, *UNKNOWN]))


def _misfits(make, queries, template):
    held = Held(lambda rows: make(TRAIN, rows), template)
    rows = [Example("", query, facts={"schema": SCHEMA}) for query in queries]
    return [row.target for row in held.misfits(rows)]


def test_what_sqlite_reads_fits_both_grammars(template):
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    for query in GOOD:
        connection.execute(query)
    for make in (any_query, known_query):
        assert _misfits(make, GOOD, template) == []
        assert _misfits(make, WRONG, template) == WRONG


def test_no_query_over_an_unknown_table_or_column_can_be_written(template):
    assert _misfits(known_query, UNKNOWN, template) == UNKNOWN
    assert _misfits(any_query, UNKNOWN, template) == []


def test_a_row_without_a_database_may_have_any_query():
    assert known_query(TRAIN, [Example("Quanti?", "")]) == any_query(TRAIN, [Example("", "")])


def test_rows_of_one_database_share_a_grammar():
    first, second = known_query(TRAIN, TRAIN)
    assert first is second


def test_true_queries_of_the_sample_fit():
    """One of the held-out ones asks again for the name of a result that no training row has."""
    recipe, _ = load(FOLDER / "recipe.yaml")
    train, test = (
        read_file(recipe, FOLDER / name).examples for name in (recipe.data.train, recipe.data.test)
    )
    template = open_template(tokenizer_of([row.target for row in train]))
    for make, lost in ((any_query, []), (known_query, ["valore"])):
        held = Held(lambda rows, make=make: make(train, rows), template)
        assert held.misfits(train) == []
        assert [row.target.split()[-2] for row in held.misfits(test)] == lost


def _walk(held, row, template, seed):
    """A query of random tokens that are allowed; None where it does not end in time."""
    matcher, rng, said = held._matcher(held._grammars([row])[0]), random.Random(seed), []
    tokens = np.array([len(template.tokenizer.decode([n])) for n in range(len(template.tokenizer))])
    for _ in range(150):
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little")[: len(tokens)])
        if template.end_id in allowed and rng.random() < 0.5:
            return template.tokenizer.decode(said)
        going = allowed[allowed != template.end_id].tolist()
        if not going:
            return template.tokenizer.decode(said)
        said.append(rng.choices(going, 0.1 + tokens[going] ** 2)[0])
        matcher.consume_token(said[-1])
    return None


@pytest.mark.parametrize("make", [any_query, known_query])
def test_whatever_is_allowed_is_read_by_sqlite(make):
    recipe, _ = load(FOLDER / "recipe.yaml")
    rows = read_file(recipe, FOLDER / recipe.data.train).examples
    template = open_template(tokenizer_of([row.target for row in rows]))
    held = Held(lambda asked: make(rows, asked), template)
    ended = 0
    for seed in range(150):
        query = _walk(held, rows[seed % 3], template, seed)
        if query is None:
            continue
        ended += 1
        assert parse(query) is not None, query
        with database_of(rows[seed % 3]).lock:
            try:
                database_of(rows[seed % 3]).connection.execute(f"EXPLAIN {query}")
            except sqlite3.OperationalError as error:
                told = str(error)
                assert "syntax" not in told, query
                assert "token" not in told, query
                if make is known_query:  # but an alias may have no table
                    table = told.partition("no such table: ")[2].lower()
                    assert not table or f"{table}.*" in query.lower()
    assert ended > 60


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_what_a_random_model_writes_parses_only_where_it_is_held(kind, load_decoder, pool):
    base = load_decoder(kind)
    rows = [Example(f"Domanda {n}?", "", facts={"schema": SCHEMA}) for n in range(6)]
    held = Held(lambda asked: known_query(TRAIN, asked), base.template)
    stack = build(
        base, AdapterConfig(kind="head"), members=1, labels=0, seed=0, workers=2, whole=True
    )
    free = Writer(base, (stack,), 40).predict(rows, threads=pool, foretell=False)
    assert not any(map(parse, free.answers))
    said = Writer(base, (stack,), 80, held).predict(rows, threads=pool, foretell=False)
    for answer, ended, length in zip(said.answers, said.ended, said.written, strict=True):
        assert parse(answer) is not None if ended else length == 80
