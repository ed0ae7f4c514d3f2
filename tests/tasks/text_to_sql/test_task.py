"""Text-to-SQL as a task: databases, prompts, answers, scores, mistakes, checks and its sample."""

import json
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from fucina import data, reading, tasks
from fucina.errors import DataError, RecipeError
from fucina.recipe import dump, load, parse
from fucina.records import Dataset, Example
from fucina.tasks.text_to_sql import TASK
from fucina.tasks.text_to_sql.database import open_database, open_schema
from fucina.tasks.text_to_sql.prompt import shown_schema
from fucina.tasks.text_to_sql.reading import read_sql
from fucina.tasks.text_to_sql.settings import TextToSqlConfig

FOLDER = tasks.folder("text_to_sql")
SCRIPT = """CREATE TABLE soci (id INTEGER PRIMARY KEY, nome TEXT, eta INTEGER);
CREATE TABLE prestiti (id_socio INTEGER REFERENCES soci(id), giorni INTEGER);
INSERT INTO soci VALUES (1, 'Ada', 36), (2, 'Ivo', NULL), (3, 'Eva', 20);
INSERT INTO prestiti VALUES (1, 5), (1, 9), (3, 2);
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "soci.sql").write_text(SCRIPT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def ask(folder):
    def row(sql, question="Chi?"):
        return TASK.at(folder).read({"question": question, "sql": sql, "database": "soci.sql"})

    return row


def _judged(answer, row):
    marks = TASK.judging.scores([answer], [row])
    return {name: mark.gained[0] for name, mark in marks.items()}


def test_a_question_comes_after_the_schema_with_its_rows(ask):
    row = ask("SELECT nome FROM soci;", "Come si chiamano i soci?")
    assert [turn.role for turn in row.messages] == ["system", "user", "assistant"]
    assert "CREATE TABLE soci" in row.messages[0].content
    assert "1 | Ada | 36" in row.messages[0].content
    assert "2 | Ivo | NULL" in row.messages[0].content
    assert (row.prompt, row.target) == ("Come si chiamano i soci?", "SELECT nome FROM soci")


def test_a_schema_that_is_too_long_loses_rows_then_tables_and_says_which(folder):
    database = open_database(str(folder / "soci.sql"))
    whole = shown_schema(database, "prestiti?", TextToSqlConfig())
    rows = TextToSqlConfig(schema_characters=len(whole) - 1)
    fewer = shown_schema(database, "prestiti?", rows)
    assert "CREATE TABLE soci" in fewer
    assert "CREATE TABLE prestiti" in fewer
    assert len(fewer.splitlines()) < len(whole.splitlines())
    short = shown_schema(
        database, "quanti giorni di prestiti?", TextToSqlConfig(schema_characters=100)
    )
    assert "CREATE TABLE prestiti" in short
    assert short.endswith("-- other tables: soci")
    assert len(short) <= 100
    one = open_schema(f"CREATE TABLE lang ({', '.join(f'colonna_{n}' for n in range(99))})")
    assert len(shown_schema(one, "?", TextToSqlConfig(schema_characters=100))) == 100


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("SELECT 1", "SELECT 1"),
        ("select 1 ;", "select 1"),
        ("```sql\nSELECT a\nFROM b;\n```", "SELECT a\nFROM b"),
        ("Ecco:\n```\nSELECT 1\n", "SELECT 1"),
        ("I would select the name.\nSELECT nome FROM soci\n\nIt works.", "SELECT nome FROM soci"),
        ("SQL: SELECT 1", "SELECT 1"),
        ("La risposta è SELECT 1", "SELECT 1"),
        ("With this query:\nWITH a AS (SELECT 1) SELECT * FROM a; DROP TABLE a",
         "WITH a AS (SELECT 1) SELECT * FROM a"),
        ("SELECT 'a;b' FROM c; SELECT 2", "SELECT 'a;b' FROM c"),
        ("Non lo so.", "Non lo so."),
        ("", ""),
    ],
)  # fmt: skip
def test_the_query_is_found_in_what_a_model_writes(text, sql):
    assert read_sql(text) == sql


def test_scores_of_one_answer(ask):
    row = ask("SELECT nome FROM soci WHERE eta > 30")
    every = {"execution": 1, "query_match": 1, "component_match": 1, "runs": 1}
    assert _judged("select s.nome from soci as s where (s.ETA > 30);", row) == every
    same_result = _judged("SELECT nome FROM soci WHERE eta = 36", row)
    assert same_result == {"execution": 1, "query_match": 0, "component_match": 0, "runs": 1}
    other_value = _judged("SELECT nome FROM soci WHERE eta > 10", row)
    assert other_value == {"execution": 0, "query_match": 0, "component_match": 1, "runs": 1}
    assert sum(_judged("DROP TABLE soci", row).values()) == 0


def test_the_order_of_rows_counts_where_the_truth_has_one(ask):
    up = "SELECT nome FROM soci ORDER BY id"
    assert _judged("SELECT nome FROM soci ORDER BY id DESC", ask(up))["execution"] == 0
    assert _judged("SELECT nome FROM soci ORDER BY id DESC", ask("SELECT nome FROM soci"))[
        "execution"
    ]


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("SELECT s.nome, giorni FROM soci AS s JOIN prestiti ON id_socio = s.id WHERE eta > 30",
         "right"),
        ("Non lo so.", "no query"),
        ("SELECT nome FROM soci WHERE", "syntax"),
        ("DELETE FROM soci", "not allowed"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n",
         "over a limit"),
        ("SELECT nome FROM sozi", "no such table"),
        ("SELECT cognome FROM soci", "no such column"),
        ("SELECT mediana(eta) FROM soci", "fails"),
        ("SELECT nome FROM soci WHERE eta > 30", "wrong join"),
        ("SELECT nome, giorni FROM soci JOIN prestiti WHERE eta > 30", "wrong join"),
        ("SELECT nome, max(giorni) FROM soci JOIN prestiti ON id_socio = id WHERE eta > 30",
         "wrong aggregation"),
        ("SELECT nome, eta FROM soci JOIN prestiti ON id_socio = id WHERE eta > 30", "wrong column"),
        ("SELECT nome, giorni FROM soci JOIN prestiti ON id_socio = id WHERE eta > 90",
         "empty result"),
        ("SELECT nome, giorni FROM soci JOIN prestiti ON id_socio = id WHERE eta > 3",
         "wrong condition"),
        ("SELECT nome, giorni FROM soci JOIN prestiti ON id_socio = id WHERE eta > 30 LIMIT 1",
         "wrong order"),
    ],
)  # fmt: skip
def test_a_wrong_answer_has_the_first_mistake_that_applies(ask, answer, name):
    row = ask("SELECT nome, giorni FROM soci JOIN prestiti ON id_socio = id WHERE eta > 30")
    assert TASK.judging.slices([answer], [row])["mistake"] == [name]


def test_another_table_is_a_wrong_table(ask):
    row = ask("SELECT count(*) FROM soci WHERE eta > 30")
    assert TASK.judging.slices(["SELECT count(*) FROM prestiti"], [row])["mistake"] == [
        "wrong table"
    ]


def test_the_report_shows_both_results(ask):
    shown = TASK.judging.evidence(
        "SELECT nome FROM soci", ask("SELECT nome, eta FROM soci WHERE eta > 30")
    )
    assert shown["true result"].splitlines() == ["nome | eta", "Ada  | 36"]
    assert shown["result"].splitlines() == ["nome", "Ada", "Ivo", "Eva"]
    assert shown["mistake"] == "wrong column"


def test_a_row_with_a_schema_alone_is_compared_and_not_run():
    given = {
        "question": "Chi?",
        "sql": "SELECT nome FROM soci",
        "schema": "CREATE TABLE soci (nome)",
    }
    row = TASK.to_example(given)
    marks = TASK.judging.scores(["SELECT s.nome FROM soci s"], [row])
    assert marks["execution"].possible.sum() == 0
    assert marks["query_match"].gained.sum() == 1
    assert [f.check for check in TASK.judging.checks for f in check(Dataset("train", (row,)))] == [
        "no_database"
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"sql": "SELECT 1"}, "which database"),
        ({"sql": "SELECT 1", "database": "nix.sql"}, "no database"),
        ({"sql": "SELECT 1", "database": "."}, "folder"),
        ({"sql": "SELECT 1", "database": "rows.jsonl"}, "no SQLite database"),
        ({"sql": "SELECT 1", "database": "wrong.sql"}, "the statement in line 3"),
        ({"sql": "SELECT 1", "database": "attach.sql"}, "not authorized"),
        ({"sql": "SELECT 1", "database": "locked.sqlite"}, "locked"),
        ({"sql": "SELECT 1", "schema": "CREATE TABEL soci (id)"}, "syntax error"),
        ({"sql": "SELECT 1", "schema": "SELECT 1"}, "no table"),
        ({"sql": "SELECT 1; SELECT 2", "database": "soci.sql"}, "2 statements"),
    ],
)
def test_a_bad_row_is_named_with_its_fix(folder, row, said):
    (folder / "wrong.sql").write_text("CREATE TABLE a (b);\n\nINSERT INTO a VALUES (1, 2);\n")
    (folder / "attach.sql").write_text("ATTACH 'evil.db' AS e;\nCREATE TABLE e.a (b);\n")
    locker = sqlite3.connect(folder / "locked.sqlite", isolation_level=None)
    locker.execute("CREATE TABLE a (b)")
    locker.execute("BEGIN EXCLUSIVE")
    rows = [{"question": "a", "sql": "SELECT 1", "database": "soci.sql"}, {"question": "b", **row}]
    rows = [{"database": "", "schema": "", **one} for one in rows]
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    try:
        with pytest.raises(DataError) as caught:
            data.load(path, TASK, {})
    finally:
        locker.close()
    assert said in caught.value.problem
    assert "line 2" in caught.value.problem
    assert caught.value.fix
    assert not (folder / "evil.db").exists()


@pytest.mark.parametrize(("place", "suffix"), [
    ("database", "sqlite"), ("dev_databases", "sqlite"), ("databases", "sql"),
])  # fmt: skip
def test_spiders_files_are_read_as_they_are(tmp_path, place, suffix):
    """Beside each query its parts, as an object; the database by its name."""
    file = tmp_path / place / "club" / f"club.{suffix}"
    file.parent.mkdir(parents=True)
    if suffix == "sql":
        file.write_text(SCRIPT, encoding="utf-8")
    else:
        with closing(sqlite3.connect(file)) as made:
            made.executescript(SCRIPT)
    row = {"db_id": "club", "question": "Chi?", "query": "SELECT nome FROM soci", "sql": {"a": []}}
    (tmp_path / "train_spider.json").write_text(json.dumps([row]), encoding="utf-8")
    dataset = data.load(tmp_path / "train_spider.json", TASK, {})
    (example,) = dataset.examples
    assert (example.target, example.facts["database"]) == (row["query"], str(file))
    assert _judged("SELECT nome FROM soci", example)["execution"] == 1
    # Written elsewhere, it leads to the same file.
    (tmp_path / "out").mkdir()
    written = data.to_rows(dataset, dataset.columns, tmp_path / "out")
    (tmp_path / "out" / "rows.json").write_text(json.dumps(written), encoding="utf-8")
    (again,) = data.load(tmp_path / "out" / "rows.json", TASK, {}).examples
    assert again.facts["database"] == str(file)


def test_a_name_of_two_databases_is_refused(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place / "club").mkdir(parents=True)
        (tmp_path / place / "club" / "club.sql").write_text(SCRIPT, encoding="utf-8")
    with pytest.raises(DataError, match=r"in several folders: a/club/club\.sql, b/club/club\.sql"):
        TASK.at(tmp_path).read({"question": "Chi?", "sql": "SELECT 1", "database": "club"})
    with pytest.raises(DataError, match=r"no database .*none, nor \*/none/none\.sqlite"):
        TASK.at(tmp_path).read({"question": "Chi?", "sql": "SELECT 1", "database": "none"})


def test_checks_find_queries_that_fail_say_nothing_or_contradict(ask):
    rows = [
        ask("SELECT nome FROM soci", "Chi?"),
        ask("SELECT s.nome FROM soci AS s", "chi? "),
        ask("SELECT eta FROM soci", "CHI?"),
        ask("SELECT nomi FROM soci", "Quali nomi?"),
        ask("SELECT nome FROM soci WHERE eta > 99", "Chi ha più di 99 anni?"),
    ]
    numbered = [Example(**{**vars(r), "origin": f"a:{n}"}) for n, r in enumerate(rows, 1)]
    found = [f for check in TASK.judging.checks for f in check(Dataset("train", tuple(numbered)))]
    said = {f.check: (f.severity, f.rows) for f in found}
    assert said == {
        "query_fails": ("error", ("a:4",)),
        "empty_result": ("warning", ("a:5",)),
        "two_queries": ("warning", ("a:3",)),
    }
    assert set(found[0].repairs) == {"a:4"}


def test_a_true_query_that_fails_stops_the_judgment_with_its_row(ask):
    with pytest.raises(DataError) as caught:
        TASK.judging.scores(["SELECT 1"], [ask("SELECT nomi FROM soci")])
    assert "no such column" in caught.value.problem


def test_the_nearest_query_moves_to_another_database(ask):
    other = "CREATE TABLE membri (codice INTEGER, nome_membro TEXT)"
    row = TASK.to_example({"question": "Come si chiamano?", "sql": "", "schema": other})
    train = [ask("SELECT nome FROM soci", "Come si chiamano i soci?"), ask("SELECT 1", "Altro?")]
    [answer] = TASK.judging.baselines["nearest"](train, [row])
    assert answer == "SELECT nome_membro FROM membri"
    assert TASK.judging.baselines["nearest"](train, [ask("", "come si chiamano?")]) == [
        "SELECT nome FROM soci"
    ]


def test_settings_reach_the_task_and_are_kept_in_the_run(ask):
    text = "{task: text_to_sql, name: a, data: {train: a.jsonl}}"
    recipe, _ = parse(text, ["text_to_sql.time_limit_s=0.2", "text_to_sql.row_limit=2"])
    assert parse(dump(recipe))[0] == recipe
    limited = tasks.of(recipe)
    row = ask("SELECT nome FROM soci LIMIT 1")
    assert limited.judging.slices(["SELECT nome FROM soci"], [row])["mistake"] == ["over a limit"]
    with pytest.raises(RecipeError) as caught:
        parse(text, ["text_to_sql.time_limit=1"])
    assert "time_limit_s" in caught.value.fix
    with pytest.raises(RecipeError, match="text_to_sql"):
        parse("{task: chat, name: a, data: {train: a}, text_to_sql: {sample_rows: 1}}")


def _sample(name):
    recipe, _ = load(FOLDER / "recipe.yaml")
    return reading.read_file(recipe, FOLDER / name).examples


def test_the_sample_is_what_its_card_says():
    parts = {name: _sample(name) for name in ("sample.jsonl", "test.jsonl")}
    for name, rows, each in (("sample.jsonl", 84, 28), ("test.jsonl", 36, 12)):
        assert len(parts[name]) == rows
        assert set(Counter(row.facts["database"] for row in parts[name]).values()) == {each}
    rows = [*parts["sample.jsonl"], *parts["test.jsonl"]]
    assert len({" ".join(row.prompt.lower().split()) for row in rows}) == 120
    assert len({row.target for row in rows}) == 120
    answers = [row.target for row in rows]
    assert set(TASK.judging.slices(answers, rows)["mistake"]) == {"right"}
    levels = Counter(TASK.judging.slices(answers, rows)["level"])
    card = (FOLDER / "DATA_CARD.md").read_text(encoding="utf-8")
    told = [levels[name] for name in ("easy", "medium", "hard", "extra")]
    assert f"| both | 120 | 100 | 20 | {' | '.join(map(str, told))} |" in card
    for path in {row.facts["database"] for row in rows}:
        connection = open_database(path).connection
        assert not connection.execute("PRAGMA foreign_key_check").fetchall()
    assert not [f for check in TASK.judging.checks for f in check(Dataset("all", tuple(rows)))]
