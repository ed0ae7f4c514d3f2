"""Text-to-SQL from the command line: what users type, and what they are told."""

import json
from pathlib import Path

import pytest

from command import run as _run


@pytest.fixture(scope="module")
def trained(make_decoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sql")
    assert _run("new", folder / "job", "--task", "text_to_sql").returncode == 0
    done = _run(
        "train", folder / "job" / "recipe.yaml", f"model.base={make_decoder('llama')}",
        f"output={folder}/runs", "training.epochs=1", "chat.max_new_tokens=8",
        "evaluation.bootstrap_samples=100",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_terminal_shows_levels_and_mistakes_within_80_columns(trained):
    folder, shown = trained
    assert "By level" in shown
    assert "By mistake" in shown
    assert all(len(line) <= 80 for line in shown.splitlines() if str(folder) not in line)
    evaluated = _run("evaluate", folder / "runs" / "my-queries")
    assert "By mistake" in evaluated.stdout
    page = next((folder / "runs").rglob("report.html")).read_text(encoding="utf-8")
    assert "Answers side by side" in page
    assert "true result" in page


def test_a_question_is_asked_with_its_database(trained):
    run = trained[0] / "runs" / "my-queries"
    databases = trained[0] / "job" / "databases"
    done = _run("predict", run, "Quanti libri?", "--field", f"database={databases}/biblioteca.sql")
    assert done.returncode == 0, done.stderr
    for wrong, said in (
        ((), "which database"),
        (("--field", "databse=a"), "did you mean 'database'"),
        (("--field", "database"), "has no value"),
        (("--field", "database=nix.sql"), "no database"),
    ):
        done = _run("predict", run, "Quanti libri?", *wrong)
        assert done.returncode == 2
        assert said in done.stderr


def test_rows_of_a_file_are_asked_with_their_own_databases(trained):
    run, rows = trained[0] / "runs" / "my-queries", trained[0] / "job" / "ask.jsonl"
    asked = [
        {"question": "Quanti soci?", "database": "databases/biblioteca.sql"},
        {"question": "Quante camere?", "database": "databases/agriturismo.sql"},
    ]
    rows.write_text("\n".join(map(json.dumps, asked)), encoding="utf-8")
    done = _run("predict", run, rows, "--json")
    assert [row["text"] for row in json.loads(done.stdout)] == ["Quanti soci?", "Quante camere?"]
    both = _run("predict", run, rows, "--field", "database=a")
    assert both.returncode == 2
    assert "fields of their own" in both.stderr


def test_a_wrong_setting_of_the_task_is_told_with_its_line(trained):
    recipe = Path(trained[0]) / "job" / "recipe.yaml"
    done = _run("audit", recipe, "text_to_sql.sample_row=2")
    assert done.returncode == 2
    assert "did you mean 'sample_rows'" in done.stderr


def test_the_schema_of_recipes_knows_the_section_of_the_task():
    schema = json.loads(_run("schema").stdout)
    section = schema["$defs"]["TextToSqlConfig"]["properties"]
    assert section["time_limit_s"]["default"] == 5.0
    assert "text_to_sql" in schema["properties"]
