"""Rows that name files still find them wherever they are written, and wherever the job is moved."""

import json
import shutil
from pathlib import Path

import pytest

from fucina import flow, mending, reading, synthesized, tasks
from fucina.augmented import augment
from fucina.recipe import load, parse
from fucina.records import Cause
from fucina.repaired import write_repaired

SCRIPT = "CREATE TABLE soci (nome TEXT);\nINSERT INTO soci VALUES ('Ada'), ('Ivo');\n"
ASKED = [
    ("Chi c'è?", "SELECT nome FROM soci"),
    ("Quanti soci ci sono?", "SELECT COUNT(*) FROM soci"),
    ("Chi  è il primo in ordine di nome?", "SELECT MIN(nome) FROM soci"),
    ("Chi c'è?", "SELECT nome FROM soci"),  # twice, so that a repair has work
]
TEST = [("Dammi l'ultimo nome della lista", "SELECT MAX(nome) FROM soci")]


def _write(path, rows, database):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"question": q, "sql": sql, "database": database} for q, sql in rows]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def job(tmp_path):
    """Rows in one folder, their database in another, and nothing of either beside the recipe."""
    root = tmp_path / "job"
    _write(root / "rows" / "train.jsonl", ASKED, "../basi/soci.sql")
    _write(root / "rows" / "test.jsonl", TEST, "../basi/soci.sql")
    (root / "basi").mkdir()
    (root / "basi" / "soci.sql").write_text(SCRIPT, encoding="utf-8")
    return root


def _recipe(*overrides, **sections):
    data = {"train": "rows/train.jsonl", "test": "rows/test.jsonl"}
    return parse(
        json.dumps({"task": "text_to_sql", "name": "a", "data": data, **sections}), overrides
    )[0]


def _lead(path):
    """Where the databases of a file of rows are, as its own task finds them."""
    rows = reading.read_file(_recipe(), path)
    return {row.facts["database"] for row in rows.examples}


def _lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _moved(job):
    """The job in another place, and nothing where it was."""
    return Path(shutil.move(job, job.with_name("elsewhere")))


def test_repaired_copies_in_a_new_folder(job, make_decoder):
    with (job / "rows" / "train.jsonl").open("a", encoding="utf-8") as file:
        broken = {"question": "PerchÃ© Ada?", "sql": "SELECT 1", "database": "../basi/soci.sql"}
        file.write(json.dumps(broken) + "\n")
    subject, findings = reading.audit(_recipe(f"model.base={make_decoder('llama')}"), job)
    report = write_repaired(subject, findings, job / "out" / "mended")
    assert report["files"][0]["dropped"]
    assert report["files"][0]["rewritten"]
    new = job / "out" / "mended" / "train.jsonl"
    assert {line["database"] for line in _lines(new)} == {"../../basi/soci.sql"}
    assert _lead(new) == _lead(new.with_name("test.jsonl")) == {str(job / "basi" / "soci.sql")}
    there = _moved(job)
    assert _lead(there / "out" / "mended" / "train.jsonl") == {str(there / "basi" / "soci.sql")}


def test_variations_of_rows_and_of_cases_from_another_folder(job):
    _write(job / "cases" / "more" / "own.jsonl", [("Quanti sono[, scusa]?", "SELECT 1")], "../../basi/soci.sql")  # fmt: skip
    section = {
        "slots": {"n": ["Ada", "Ivo"]},
        "cases": [{"question": "C'è {n}?", "sql": "SELECT 1 FROM soci WHERE nome = '{n}'",
                   "database": "../basi/soci.sql"}],
        "cases_file": "cases/more/own.jsonl",
    }  # fmt: skip
    found = augment(_recipe(augment=section), job, job / "new.jsonl")
    assert found.added == 4
    assert {line["database"] for line in _lines(job / "new.jsonl")} == {"basi/soci.sql"}
    there = _moved(job)
    assert _lead(there / "new.jsonl") == {str(there / "basi" / "soci.sql")}


def test_what_a_model_wrote_waits_and_is_accepted_beside_the_recipe(job, endpoint):
    section = {"url": endpoint.url, "model": "m", "prompts": [
        {"prompt": "Domande sui soci", "rows": 1, "given": {"database": "../basi/soci.sql"}},
    ]}  # fmt: skip
    new = {"question": "Come si chiamano tutti i soci iscritti?", "sql": "SELECT nome FROM soci"}
    endpoint.texts = [new]
    recipe = _recipe(synthesis=section)
    synthesized.write_examples(recipe, job, "")
    (waiting,) = _lines(job / "a.review.jsonl")
    assert (waiting["status"], waiting["database"]) == ("waiting", "basi/soci.sql")
    done = synthesized.accept(recipe, job)
    assert (done.train, done.accepted) == (4, 1)
    assert {line["database"] for line in _lines(done.path)} == {"basi/soci.sql"}
    there = _moved(job)
    assert _lead(there / done.path.name) == {str(there / "basi" / "soci.sql")}


def test_a_path_that_was_whole_stays_so(job, tmp_path):
    whole = tmp_path / "stays.sql"
    shutil.copy(job / "basi" / "soci.sql", whole)
    _write(job / "rows" / "train.jsonl", ASKED, str(whole))
    section = {"cases": [{"question": "E[, dunque], quanti?", "sql": "SELECT 1",
                          "database": str(whole)}]}  # fmt: skip
    augment(_recipe(augment=section), job, job / "deep" / "new.jsonl")
    assert {line["database"] for line in _lines(job / "deep" / "new.jsonl")} == {str(whole)}
    assert _lead(_moved(job) / "deep" / "new.jsonl") == {str(whole)}


@pytest.mark.long
def test_a_mended_run_finds_its_databases_again(make_decoder, tmp_path):
    sample = tasks.folder("text_to_sql")
    recipe, _ = load(
        sample / "recipe.yaml",
        [f"model.base={make_decoder('llama')}", f"output={tmp_path}", "training.epochs=1",
         "chat.max_new_tokens=4", "evaluation.bootstrap_samples=100", "adapter.kind=lora"],
    )  # fmt: skip
    outcome = flow.train(recipe, sample)
    cause = Cause("too_few_epochs", 0.5, "", (), "", "", {"training.epochs": 2})
    done = mending.apply(Path(outcome.folder), [cause])
    assert len(done.after.answers) == len(done.before.answers)
