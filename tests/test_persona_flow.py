"""A persona from the recipe to the report: rules, a judge behind a real server, a voice, cases."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fucina import diagnosing, flow, run, using
from fucina.cli.app import app
from fucina.errors import DataError, RecipeError
from fucina.evaluate import TRUE, missed_goals
from fucina.recipe import parse

QUESTIONS = [f"{asked} {when}?" for when in ("oggi", "domani", "stasera", "a maggio")
             for asked in ("com'è il mare", "posso uscire in barca", "che luce è quella", "quando accendi")]  # fmt: skip
RULES = """
rules:
  - {name: few words, max_words: 6}
  - {name: never out, must: resta, when: barca}
  - {name: snow, must: neve, when: neve}
  - {name: 'calm, kind', judge: She never shouts.}
"""


def _lines(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")


@pytest.fixture
def folder(tmp_path):
    """Sixteen questions with short answers, the last four for the test, and other answers."""
    rows = [
        {"prompt": asked, "answer": f"figliolo, resta a riva {n}"}
        for n, asked in enumerate(QUESTIONS)
    ]
    _lines(tmp_path / "train.jsonl", rows[:12])
    _lines(tmp_path / "test.jsonl", rows[12:])
    others = [
        {"prompt": asked, "answer": f"Certo! Ecco {n} cose da sapere"}
        for n, asked in enumerate(QUESTIONS)
    ]
    _lines(tmp_path / "others.jsonl", others)
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    return tmp_path


@pytest.fixture
def recipe(make_decoder, folder):
    def make(*overrides, chat="constitution: rules.yaml, others: others.jsonl"):
        text = (
            f"{{task: chat, name: a, output: '{folder}/runs', data: {{train: train.jsonl, test: test.jsonl}},"
            f" model: {{base: '{make_decoder('llama')}'}}, adapter: {{rank: 2}},"
            f" chat: {{max_new_tokens: 6, {chat}}}, evaluation: {{bootstrap_samples: 100}},"
            " training: {epochs: 1, batch_size: 4, precision: float32}}"
        )
        return parse(text, overrides)[0]

    return make


def _judged(folder, endpoint):
    """The rules with a judge that minds exclamation marks."""
    with (folder / "rules.yaml").open("a", encoding="utf-8") as file:
        file.write(f"judge: {{url: '{endpoint.url}', model: giudice, retries: 0}}\n")
    endpoint.judge = lambda said: json.dumps({"keeps": "!" not in said["answer"]})


def test_rules_and_voice_are_scored_beside_the_true_answers_and_the_base(recipe, folder):
    outcome = flow.train(recipe(), folder)
    model = outcome.model
    assert list(model.beside) == [TRUE, "base"]
    true = model.beside[TRUE]
    assert set(true) == {"all_rules", "rule:few words", "rule:never out", "sounds_like"}
    assert true["all_rules"].value == true["rule:never out"].value == true["sounds_like"].value == 1
    assert set(model.scores) >= set(true)
    assert set(model.beside["base"]) <= set(true)
    notes = " ".join(model.persona["notes"])
    assert "No row asks for 1 rule(s): snow" in notes
    assert "1 rule(s) in words are left out: the constitution has no section judge" in notes
    voice = model.persona["voice"]
    # Other answers to questions of the test are not learnt from.
    assert (voice["hers"], voice["others"], voice["both"], voice["from"]) == (
        12,
        12,
        12,
        "others.jsonl",
    )
    page = (run.find(folder / "runs" / "a") / "report.html").read_text("utf-8")
    assert page.count("never out") == 1
    assert "left out" in page


def test_a_run_is_judged_again_from_its_folder_alone(recipe, folder):
    trained = flow.train(recipe(), folder).model
    for name in ("rules.yaml", "others.jsonl", "train.jsonl", "test.jsonl"):
        (folder / name).unlink()
    judged = using.judge(folder / "runs" / "a")
    assert judged.beside == trained.beside
    assert {name: judged.scores[name] for name in judged.beside[TRUE]} == {
        name: trained.scores[name] for name in trained.beside[TRUE]
    }


def test_a_judge_is_asked_once_and_the_second_evaluation_asks_nothing(endpoint, recipe, folder):
    _judged(folder, endpoint)
    model = flow.train(recipe(), folder).model
    assert model.beside[TRUE]["rule:calm, kind"].value == 1
    asked = len(endpoint.requests)
    assert asked >= 4
    assert model.persona["judge"] == {
        "model": "giudice",
        "asked": asked,
        "not_judged": 0,
        "problem": "",
    }
    judged = using.judge(folder / "runs" / "a")
    assert len(endpoint.requests) == asked
    assert judged.beside[TRUE] == model.beside[TRUE]
    csv = (run.find(folder / "runs" / "a") / "metrics.csv").read_text("utf-8")
    assert '"rule:calm, kind"' in csv


def test_a_judge_that_refuses_spoils_no_training(endpoint, recipe, folder):
    _judged(folder, endpoint)
    endpoint.judge = lambda said: (403, {}, {"error": {"message": "not you"}})
    model = flow.train(recipe(), folder).model
    assert "rule:calm, kind" not in model.scores
    assert model.persona["judge"]["not_judged"] >= 4
    assert "403" in model.persona["judge"]["problem"]
    endpoint.judge = lambda said: json.dumps({"keeps": True})
    assert using.judge(folder / "runs" / "a").beside[TRUE]["rule:calm, kind"].value == 1


def test_a_judge_elsewhere_needs_a_key(recipe, folder):
    text = RULES + "judge: {url: 'https://judge.invalid/v1', model: g, key_variable: JUDGE_KEY}\n"
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    model = flow.train(recipe(), folder).model
    assert "1 rule(s) in words are left out: the variable JUDGE_KEY is not set" in " ".join(
        model.persona["notes"]
    )


def test_without_other_answers_those_of_the_base_are_kept_in_the_run(recipe, folder):
    model = flow.train(recipe(chat="constitution: rules.yaml"), folder).model
    kept = (run.find(folder / "runs" / "a") / "others.jsonl").read_text("utf-8").splitlines()
    assert 0 < len(kept) <= 12
    if "voice" in model.persona:  # a random base may write too little
        assert model.persona["voice"]["from"] == "the base alone"
    else:
        assert "are too few" in " ".join(model.persona["notes"])


def test_goals_on_rules_and_voice_count(recipe, folder):
    goals = {"all_rules": 0.5, "rule:few words": 0.1, "sounds_like": 1.0, "rule:snow": 0.5}
    asked = recipe(f"evaluation.goals={json.dumps(goals)}")
    missed = missed_goals(flow.train(asked, folder), asked.evaluation)
    assert "rule:snow could not be judged, 0.5 was asked." in missed
    with pytest.raises(RecipeError) as caught:
        flow.train(recipe('evaluation.goals={"rule:few word": 1}'), folder)
    assert "rule:few words" in caught.value.fix
    with pytest.raises(RecipeError, match="sounds_like"):
        flow.train(recipe("evaluation.goals.sounds_like=1", chat=""), folder)


@pytest.mark.parametrize(("change", "error", "problem"), [
    (("rules.yaml", RULES + "judge: {url: boh, model: g}\n"), RecipeError, "judge.url: 'boh' is no address"),
    (("others.jsonl", '{"prompt": "a", "answer": "b"}\n'), DataError, "has 1 answers"),
    (("rules.yaml", "rules: [{name: a, judge: ''}]"), RecipeError, "judge"),
])  # fmt: skip
def test_mistakes_show_before_training(change, error, problem, recipe, folder):
    name, text = change
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(error) as caught:
        flow.train(recipe(), folder)
    assert problem in caught.value.problem
    assert not (folder / "runs" / "a").exists()


def test_must_fix_cases_of_texts_are_reported_apart_and_count_as_goals(recipe, folder):
    _lines(folder / "cases.jsonl", [
        {"prompt": QUESTIONS[0], "must_not": "."}, {"prompt": "com'è il mare?", "must": "^.*$", "must_not": "zzz"},
        {"prompt": "chi sei?", "answer": "Nerina."},
    ])  # fmt: skip
    asked = recipe("evaluation.must_fix=cases.jsonl", chat="")
    outcome = flow.train(asked, folder)
    # Where nothing is written at all the first is right too; the tiny model writes something.
    assert [(case.right, case.seen) for case in outcome.must_fix] == [
        (False, True),
        (True, False),
        (False, False),
    ]
    assert [case.target for case in outcome.must_fix][1:] == [
        "match ^.*$, not match zzz",
        "«Nerina.»",
    ]
    missed = missed_goals(outcome, asked.evaluation)
    assert len(missed) == 2
    assert "must be «Nerina.»" in missed[1]
    facts = run.read_json(run.find(folder / "runs" / "a") / "metrics.json")
    assert [case["confidence"] for case in facts["must_fix"]] == [None] * 3
    assert using.judge_all(folder / "runs" / "a")[1] == outcome.must_fix
    assert len(diagnosing.diagnose_run(folder / "runs" / "a").must_fix) == 3
    for verb in ("evaluate", "diagnose"):
        shown = CliRunner().invoke(app, [verb, str(folder / "runs" / "a")]).output
        assert "must-fix cases: 1 of 3 right" in shown
        assert "✗ chi sei?: «Nerina.», answered" in " ".join(shown.split())
    (folder / "cases.jsonl").unlink()
    shown = CliRunner().invoke(app, ["evaluate", str(folder / "runs" / "a")])
    assert shown.exit_code == 0
    assert "cases.jsonl is not where it was, none was tried" in shown.output
    page = using.report(folder / "runs" / "a").read_text("utf-8")
    assert "Must-fix cases" in page
    assert ">sure<" not in page


def test_a_broken_case_is_refused_before_training(recipe, folder):
    _lines(folder / "cases.jsonl", [{"prompt": "a", "must": "("}])
    with pytest.raises(DataError, match="no regular expression"):
        flow.train(recipe("evaluation.must_fix=cases.jsonl", chat=""), folder)
    assert not (folder / "runs" / "a").exists()


def test_the_command_line_takes_the_key_from_its_variable_and_shows_the_table(
    endpoint, recipe, folder
):
    _judged(folder, endpoint)
    flow.train(recipe(), folder)
    environment = {**os.environ, "FUCINA_API_KEY": "s3gr3t0", "COLUMNS": "80"}
    before = len(endpoint.requests)
    (run.find(folder / "runs" / "a") / "opinions.jsonl").unlink()
    command = [sys.executable, "-m", "fucina", "evaluate", str(folder / "runs" / "a")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert len(endpoint.requests) > before
    assert endpoint.headers[-1]["Authorization"] == "Bearer s3gr3t0"
    table = done.stdout.split("What the answers are like")[1]
    assert all(
        name in table
        for name in ("model", "true answers", "base", "calm, kind", "sounds like", "Sounds like:")
    )
    assert max(map(len, done.stdout.splitlines())) <= 80 or len(str(folder)) > 60
    found = json.loads(
        subprocess.run(
            [*command, "--json"], env=environment, capture_output=True, text=True, check=True
        ).stdout
    )
    assert found["beside"]["true answers"]["all_rules"]["value"] == 1
