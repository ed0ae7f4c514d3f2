"""Several tasks in one recipe: what is read, divided, refused, and how each part is judged."""

import json
from collections import Counter

import pytest

from fucina import data, evaluate, reading, tasks
from fucina.errors import DataError, FucinaError, RecipeError
from fucina.metrics import value_of
from fucina.recipe import dump, parse
from fucina.records import Example
from fucina.repaired import write_repaired

SHOPS = ("del forno", "della latteria", "del ferramenta", "della libreria", "del vivaio", "del fioraio",
         "della merceria", "del barbiere", "della pescheria", "dell'edicola")  # fmt: skip
NEWS = (
    "Oggi si inforna",
    "Domani si chiude presto",
    "Arriva la merce nuova",
    "Sconti fino a sabato",
)
POSTS = [
    {"testo": f"{news} {shop}.", "hashtags": f"#{shop.split()[-1]} #{news.split()[0].lower()}"}
    for shop in SHOPS
    for news in NEWS
]
ASKED = ("Quanti sono", "Chi manca tra", "Dove stanno", "Quando arrivano")
THINGS = ("i libri", "i soci", "i prestiti", "le riviste", "gli atlanti")
QUERIES = [
    {
        "question": f"{asked} {thing}?",
        "sql": f"SELECT count(*) FROM soci WHERE nome = '{asked} {thing}'",
        "schema": "CREATE TABLE soci(nome TEXT)",
    }
    for asked in ASKED
    for thing in THINGS
]
MOODS = [
    {"text": f"{how} {what}", "label": label}
    for label, how in (("gioia", "che bello"), ("rabbia", "basta con"))
    for what in ("il mare", "la pioggia", "il treno delle sei", "questa coda", "la domenica", "l'orto",
                 "il vento forte", "la scuola", "il cantiere", "la musica del bar")
]  # fmt: skip


def _write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def job(tmp_path):
    """A folder with the rows of three parts."""
    for name, rows in (("posts", POSTS), ("queries", QUERIES), ("moods", MOODS)):
        _write(tmp_path / f"{name}.jsonl", rows)
    return tmp_path


TAGS = "{name: tags, task: hashtags, train: posts.jsonl, columns: {text: testo}, system: Tag.}"
SQL = "{name: sql, task: text_to_sql, train: queries.jsonl, settings: {sample_rows: 0}}"
MOOD = "{name: mood, task: classification, train: moods.jsonl, system: Umore.}"


def _recipe(*parts, more="", overrides=()):
    text = f"{{task: multitask, name: a, multitask: {{parts: [{', '.join(parts)}]}}{more}}}"
    return parse(text, overrides)[0]


def _read(job, *parts, more="", overrides=()):
    return reading.read(_recipe(*parts, more=more, overrides=overrides), job)


def _parts(rows):
    return Counter(row.facts["part"] for row in rows.examples)


def test_rows_begin_with_the_words_of_their_part_and_know_it(job):
    split, findings = _read(job, TAGS, SQL, MOOD)
    assert [finding.check for finding in findings] == ["no_database"]
    rows = {row.facts["part"]: row for row in split.development.examples}
    assert [turn.role for turn in rows["tags"].messages] == ["system", "user", "assistant"]
    assert rows["tags"].messages[0].content == "Tag."
    assert "CREATE TABLE soci" in rows["sql"].messages[0].content
    assert rows["sql"].facts["schema"]
    assert rows["mood"].target in {"gioia", "rabbia"}


@pytest.mark.parametrize("folds", [0, 3])
def test_every_side_has_its_share_of_every_part(job, folds):
    split, _ = _read(job, TAGS, SQL, MOOD, overrides=[f"folds.count={folds}"])
    whole = {"tags": len(POSTS), "sql": len(QUERIES), "mood": len(MOODS)}
    assert _parts(split.test) == {name: round(0.2 * rows) for name, rows in whole.items()}
    left = _parts(split.development)
    for fold in split.folds:
        held = _parts(split.development.take(fold.held_out))
        wanted = 1 / folds if folds else 0.15
        for name, rows in left.items():
            assert abs(held[name] - wanted * rows) <= 1, (name, held)


def test_a_text_of_two_parts_stays_on_one_side(job):
    _write(job / "shared.jsonl", [{"text": row["testo"], "label": "bottega"} for row in POSTS])
    shared = "{name: shop, task: classification, train: shared.jsonl, system: Che cosa?}"
    split, _ = _read(job, TAGS, shared, overrides=["folds.count=4"])
    sides = [set(split.test.prompts)]
    sides += [set(split.development.take(fold.held_out).prompts) for fold in split.folds]
    for place, one in enumerate(sides):
        assert not any(one & other for other in sides[place + 1 :])
    assert len(_parts(split.test)) == 2


def test_scores_count_only_the_rows_of_their_part(job):
    task = tasks.of(_recipe(TAGS, SQL, MOOD))
    subject = reading.read_subject(_recipe(TAGS, SQL, MOOD), job)
    rows = subject.train.examples
    answers = [row.target if row.facts["part"] != "mood" else "gioia" for row in rows]
    found = {name: value_of(mark) for name, mark in task.judging.scores(answers, rows).items()}
    assert found["tags/f1"] == 1
    assert found["sql/execution"] == 0  # there is a schema, and no database to run it on
    assert found["sql/query_match"] == 1
    assert found["mood/accuracy"] == found["mood/balanced_accuracy"] == 0.5
    alone = tasks.get("hashtags").judging.scores(
        [a for a, row in zip(answers, rows, strict=True) if row.facts["part"] == "tags"],
        [row for row in rows if row.facts["part"] == "tags"],
    )
    assert found["tags/f1"] == value_of(alone["f1"])


def test_balanced_accuracy_of_written_labels_weighs_each_label_alike():
    task = tasks.of(_recipe(MOOD))
    rows = [Example(f"{n}", "rabbia" if n else "gioia", facts={"part": "mood"}) for n in range(5)]
    found = task.judging.scores(["rabbia"] * 5, rows)
    assert value_of(found["mood/balanced_accuracy"]) == pytest.approx(0.5)
    assert value_of(found["mood/accuracy"]) == pytest.approx(0.8)


def test_written_labels_have_the_free_baselines_of_labels(job):
    task = tasks.of(_recipe(MOOD))
    rows = reading.read_subject(_recipe(MOOD), job).train.examples
    words = task.judging.baselines["mood/words"](rows, rows)
    assert words == [row.target for row in rows]
    assert len(set(task.judging.baselines["mood/majority"](rows, rows))) == 1


def test_each_answer_is_held_to_what_its_part_knows(job):
    task = tasks.of(_recipe(TAGS, SQL, MOOD))
    rows = reading.read_subject(_recipe(TAGS, SQL, MOOD), job).train.examples
    found = task.choices.grammars["parts"](rows, rows)
    by_part = {row.facts["part"]: grammar for row, grammar in zip(rows, found, strict=True)}
    assert by_part["mood"].text == 'start: "gioia" | "rabbia"'
    assert by_part["tags"].text.startswith("#")
    assert by_part["sql"] != by_part["tags"]


def test_goals_and_baselines_are_named_by_part():
    more = ", evaluation: {goals: {tags/f1: 0.5, sql/perplexity: 3}, baselines: [tags/nearest]}"
    recipe = _recipe(TAGS, SQL, more=more)
    assert parse(dump(recipe))[0] == recipe
    from fucina.tasks.settings import baselines, refuse_idle

    refuse_idle(recipe)
    assert baselines(recipe) == ("tags/nearest",)
    assert {"tags/frequent", "sql/nearest", "base"} <= set(baselines(_recipe(TAGS, SQL)))
    with pytest.raises(RecipeError, match="tags/f2") as caught:
        refuse_idle(_recipe(TAGS, SQL, more=", evaluation: {goals: {tags/f2: 0.5}}"))
    assert "tags/f1" in caught.value.fix


SPANS = "{name: who, task: entities, train: posts.jsonl}"
WRONG = {
    "two parts of one name": ((TAGS, TAGS), "2 parts are called 'tags'", "name of its own"),
    "spans": ((TAGS, SPANS), "entities answers with spans", "entities.json"),
    "an unknown task": (("{name: x, task: hashtag}",), "no task 'hashtag'", "hashtags"),
    "a part of parts": (("{name: x, task: multitask}",), "has parts itself", "beside"),
    "no part": ((), "names no part", "parts"),
    "no file": (("{name: x, task: chat}", TAGS), "x has no train file", "train: FILE"),
    "a missing file": (("{name: x, task: hashtags, train: no.jsonl}",), "no.jsonl", ""),
    "settings of none": (
        (TAGS.replace("system", "settings: {sample_rows: 0}, system"),), "no settings", "Leave out",
    ),
    "a misspelt setting": (
        (SQL.replace("sample_rows", "sample_row"),), "sample_row", "sample_rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_part_is_a_message_with_the_fix(job, case):
    parts, problem, fix = WRONG[case]
    with pytest.raises(FucinaError) as caught:
        _read(job, *parts)
    assert problem in caught.value.problem
    assert fix in caught.value.fix


def test_a_test_file_of_some_parts_only_is_refused(job):
    with pytest.raises(RecipeError, match="sql has no test file") as caught:
        _read(job, TAGS.replace("system", "test: posts.jsonl, system"), SQL)
    assert "leave test out of all" in caught.value.fix


@pytest.mark.parametrize("setting", ["augment={surface: [typo]}", "chat.others=a.jsonl"])
def test_what_belongs_to_one_task_is_refused(job, setting):
    with pytest.raises(RecipeError, match="does nothing") as caught:
        _read(job, TAGS, SQL, overrides=[setting])
    assert "by a recipe of its" in caught.value.fix


def test_one_file_of_all_parts_goes_before_their_own(job):
    rows = [{"part": "tags", "prompt": row["testo"], "answer": row["hashtags"]} for row in POSTS]
    rows += [{"part": "sql", "prompt": r["question"], "answer": r["sql"], "schema": r["schema"]}
             for r in QUERIES]  # fmt: skip
    _write(job / "all.jsonl", rows)
    apart, _ = _read(job, TAGS, SQL)
    one, _ = _read(job, TAGS, SQL, overrides=["data.train=all.jsonl"])
    assert one.development.fingerprint == apart.development.fingerprint
    assert one.test.fingerprint == apart.test.fingerprint


def test_conversations_with_a_part_become_the_same_rows(job):
    """As `audit --fix` and `diagnose --apply` write them."""
    recipe = _recipe(TAGS, SQL, MOOD)
    subject = reading.read_subject(recipe, job)
    _write(job / "spoken.jsonl", data.to_rows(subject.train, {}, job))
    again = reading.read_file(recipe, job / "spoken.jsonl")
    assert again.fingerprint == subject.train.fingerprint


def test_a_part_without_rows_is_named(job):
    _write(job / "all.jsonl", [{"part": "tags", "prompt": "Ciao.", "answer": "#ciao"}])
    with pytest.raises(DataError, match="train has no rows of sql"):
        _read(job, TAGS, SQL, overrides=["data.train=all.jsonl"])


@pytest.mark.parametrize(
    ("part", "problem"), [("", "which part asks"), ("tgas", "there is no part 'tgas'")]
)
def test_a_row_without_its_part_names_the_parts(part, problem):
    task = tasks.of(_recipe(TAGS, SQL))
    with pytest.raises(DataError, match=problem) as caught:
        task.to_example({"part": part, "prompt": "Ciao.", "answer": ""})
    assert "Parts: tags, sql" in caught.value.fix
    assert "--field part=NAME" in caught.value.fix


def test_what_an_audit_finds_names_the_part(job):
    _write(job / "posts.jsonl", [*POSTS, *POSTS[:2]])
    subject = reading.read_subject(_recipe(TAGS, SQL), job)
    [found] = [finding for finding in data.audit(subject) if finding.check == "duplicate"]
    assert found.message.startswith("tags: 2 row(s) repeat")
    assert all(row.startswith("posts.jsonl") for row in found.rows)


def test_parts_with_the_same_words_are_warned_of(job):
    _, findings = _read(job, TAGS, MOOD.replace("Umore.", "Tag."))
    assert [finding.check for finding in findings] == ["parts_alike"]
    assert "tags and mood" in findings[0].message


def test_a_test_text_that_another_part_learns_is_warned_of(job):
    _write(job / "test.jsonl", [{"text": POSTS[0]["testo"], "label": "gioia"}])
    _write(job / "new.jsonl", [{"testo": "Tutt'altro, qui nevica.", "hashtags": "#neve"}])
    _, findings = _read(
        job,
        TAGS.replace("system", "test: new.jsonl, system"),
        MOOD.replace("system", "test: test.jsonl, system"),
    )
    [found] = findings
    assert found.check == "part_leak"
    assert found.rows == ("test.jsonl:1",)


def test_scores_of_parts_are_told_apart_from_those_of_all_rows():
    whole = {"perplexity": 1, "tags/f1": 2, "my.part/f1": 3}
    assert evaluate.outside({"tags", "my.part"}, whole) == {"perplexity": 1}


def test_groups_of_one_name_in_two_parts_are_two_groups(job):
    _write(job / "posts.jsonl", [{**row, "day": "1"} for row in POSTS[:4]] + POSTS[4:])
    _write(job / "moods.jsonl", [{**row, "day": "1"} for row in MOODS[:4]] + MOODS[4:])
    day = "group: day, system"
    recipe = _recipe(TAGS.replace("system", day), MOOD.replace("system", day))
    groups = {row.group for row in reading.read_subject(recipe, job).train.examples}
    assert groups == {"tags/1", "mood/1", ""}


def test_broken_letters_are_mended_in_the_row_of_their_part(job, tmp_path):
    pytest.importorskip("ftfy")
    _write(job / "posts.jsonl", [*POSTS, {"testo": "La cittÃ  si sveglia.", "hashtags": "#alba"}])
    recipe = _recipe(TAGS, MOOD)
    subject = reading.read_subject(recipe, job)
    done = write_repaired(subject, data.audit(subject), tmp_path / "fixed")
    assert [row["row"] for row in done["files"][0]["rewritten"]] == ["posts.jsonl:41"]
    again = reading.read_file(recipe, tmp_path / "fixed" / "train.jsonl")
    mended = next(row for row in again.examples if row.target == "#alba")
    assert mended.messages[1].content == "La città si sveglia."
    assert mended.facts["part"] == "tags"


def test_words_that_no_row_says_are_warned_of(job):
    _, findings = _read(job, TAGS, SQL.replace("settings", "system: Scrivi., settings"))
    assert "unsaid_system" in [finding.check for finding in findings]


def test_a_case_that_must_be_right_says_its_part(job):
    _write(
        job / "cases.jsonl", [{"part": "mood", "prompt": "che bello il sole", "answer": "gioia"}]
    )
    task = tasks.of(_recipe(TAGS, MOOD))
    [case] = data.load_cases(job / "cases.jsonl", task, {}, encoding="utf-8")
    assert case.example.messages[0].content == "Umore."
    assert case.example.target == "gioia"
