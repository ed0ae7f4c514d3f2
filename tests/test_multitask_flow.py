"""One model for several tasks: trained, judged part by part, asked, compared, diagnosed and mended."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from fucina import diagnosing, exporting, flow, mending, reading, run, tasks, using
from fucina.asking import questions
from fucina.errors import DataError
from fucina.evaluate import missed_goals
from fucina.metrics import value_of
from fucina.recipe import load
from fucina.repaired import write_repaired

FOLDER = tasks.folder("multitask")
TEST = 6  # rows of each part


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """The shipped recipe with few rows of each part."""
    folder = tmp_path_factory.mktemp("multitask")
    shutil.copy(FOLDER / "recipe.yaml", folder)
    shutil.copytree(FOLDER.parent / "text_to_sql" / "databases", folder / "text_to_sql/databases")
    for task in ("hashtags", "summarization", "text_to_sql"):
        (folder / task).mkdir(exist_ok=True)
        for side, count in (("sample", 20), ("test", TEST)):
            rows = (FOLDER.parent / task / f"{side}.jsonl").read_text("utf-8").splitlines()
            (folder / task / f"{side}.jsonl").write_text("\n".join(rows[:count]), "utf-8")
    text = (folder / "recipe.yaml").read_text("utf-8").replace("../", "")
    (folder / "recipe.yaml").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def outcome(make_decoder, job):
    """A run of it with two folds, one epoch and goals."""
    recipe, _ = load(job / "recipe.yaml", [
        f"model.base={make_decoder('llama')}", f"output={job}/runs", "chat.max_new_tokens=8",
        "training.epochs=1", "adapter.kind=lora", "adapter.rank=2", "folds.count=2",
        "evaluation.bootstrap_samples=100", "evaluation.goals={tags/f1: 0.9, sql/token_loss: 90}",
    ])  # fmt: skip
    return flow.train(recipe, job)


def test_each_part_is_judged_on_its_rows_by_its_task(outcome):
    assert list(outcome.parts) == ["tags", "summary", "sql"]
    assert sum(part.model.rows for part in outcome.parts.values()) == outcome.model.rows == 3 * TEST
    for name, part in outcome.parts.items():
        own = next(p for p in tasks.of(run.read_recipe(Path(outcome.folder))).choices.parts
                   if p.name == name)  # fmt: skip
        assert part.headline == own.task.judging.headline
        assert {b.name for b in part.baselines} == {*own.task.judging.baselines, "base"}
        assert len(part.against) == len(part.baselines)
        assert set(part.folds) == {"perplexity", "token_loss"}
        for metric, score in part.model.scores.items():
            assert outcome.model.scores[f"{name}/{metric}"] == score
    assert outcome.headline == "perplexity"
    assert "level" in outcome.parts["sql"].model.slices
    assert outcome.parts["sql"].evidence


def test_losses_of_parts_add_up_to_those_of_all(outcome):
    texts = outcome.predictions
    whole = texts.losses.sum() / texts.tokens.sum()
    assert outcome.model.scores["token_loss"].value == pytest.approx(whole)
    parts = [part.predictions for part in outcome.parts.values()]
    assert sum(part.losses.sum() for part in parts) == pytest.approx(texts.losses.sum())
    for part in outcome.parts.values():
        own = part.predictions
        assert part.model.scores["token_loss"].value == pytest.approx(
            own.losses.sum() / own.tokens.sum()
        )


def test_goals_of_parts_are_checked(outcome):
    config = run.read_recipe(Path(outcome.folder)).evaluation
    missed = missed_goals(outcome, config)
    assert [sentence.split()[0] for sentence in missed] == ["tags/f1"]


def test_the_run_folder_holds_every_part(outcome):
    folder = Path(outcome.folder)
    rows = list(csv.DictReader((folder / "metrics.csv").read_text("utf-8").splitlines()))
    by = {(row["model"], row["metric"]): float(row["value"]) for row in rows}
    best = {b.name: b for b in outcome.parts["tags"].baselines}["nearest"]
    assert by["nearest", "tags/f1"] == pytest.approx(best.scores["f1"].value, abs=1e-6)
    assert ("nearest", "summary/rougeL") not in by
    page = (folder / "report.html").read_text(encoding="utf-8")
    for name, part in outcome.parts.items():
        assert f"<h1>{name}</h1>" in page
        assert part.verdict.split(".")[0] in page
    assert page.count("Hardest answers") == len(outcome.parts)  # each by its own scores
    facts = run.read_json(folder / "metrics.json")
    assert set(facts["parts"]) == {"tags", "summary", "sql"}
    _, texts = run.read_texts(folder / "predictions.parquet")
    assert value_of(texts.marks["tags/f1"]) == outcome.model.scores["tags/f1"].value


def test_judging_again_gives_the_same_scores_of_parts(outcome):
    folder = Path(outcome.folder)
    assert using.judge(folder).scores == outcome.model.scores
    compared = using.compare(folder, folder)
    assert compared.p_value == 1
    assert {"tags/f1", "summary/rougeL", "sql/execution"} <= set(compared.differences)


def test_a_file_of_one_part_is_judged_as_that_part(outcome, tmp_path):
    row = {"part": "tags", "prompt": "Oggi si inforna.", "answer": "#pane"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    found = using.judge(Path(outcome.folder), tmp_path / "a.jsonl")
    assert "tags/f1" in found.scores
    assert not any(name.startswith(("sql/", "summary/")) for name in found.scores)


def test_a_question_says_its_part(outcome):
    folder = Path(outcome.folder)
    [row] = questions(folder, ["Oggi si inforna."], {"part": "tags"})
    assert row.messages[0].content.startswith("Scrivi gli hashtag")
    assert len(using.predict(folder, [row]).answers) == 1
    with pytest.raises(DataError, match="which part asks"):
        using.predict(folder, ["Oggi si inforna."])
    with pytest.raises(DataError, match="which database"):  # rows of this part have several
        questions(folder, ["Quanti libri?"], {"part": "sql"})


def test_a_diagnosis_tells_the_parts_apart(outcome):
    found = diagnosing.diagnose_run(Path(outcome.folder))
    parts = {part.name: part for part in found.slices if part.kind == "part"}
    assert set(parts) == {"tags", "summary", "sql"}
    for name, part in parts.items():
        own = outcome.parts[name].model
        assert part.rows == own.rows
        assert part.score.value == pytest.approx(own.scores["token_loss"].value)


@pytest.mark.long
def test_mended_rows_train_again_with_their_parts(outcome):
    found = diagnosing.diagnose_run(Path(outcome.folder))
    cause = next(cause for cause in found.causes if cause.changes or cause.repairs)
    mended = mending.apply(Path(outcome.folder), [cause])
    again = run.read_json(Path(mended.folder) / "metrics.json")
    assert set(again["parts"]) == {"tags", "summary", "sql"}
    assert mended.before.prompts == mended.after.prompts


def test_repaired_files_are_read_in_the_place_of_the_parts(tmp_path):
    recipe, _ = load(FOLDER / "recipe.yaml")
    subject = reading.read_subject(recipe, FOLDER)
    write_repaired(subject, [], tmp_path / "fixed")
    files = [f"data.{side}={tmp_path}/fixed/{side}.jsonl" for side in ("train", "test")]
    again = reading.read_subject(load(FOLDER / "recipe.yaml", files)[0], FOLDER)
    assert again.train.fingerprint == subject.train.fingerprint
    assert again.test.fingerprint == subject.test.fingerprint


def test_other_tools_get_the_conversations_of_all_parts(outcome, tmp_path):
    done = exporting.export_recipe(Path(outcome.folder), "llamafactory", tmp_path / "there")
    assert any("behind the words of its part" in sentence for sentence in done.lost)
    lines = (tmp_path / "there" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == done.rows["test"] == 3 * TEST
    assert "Scrivi gli hashtag" in lines[0]
