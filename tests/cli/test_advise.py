"""fucina advise as people type it."""

import json

import pytest

from command import run


@pytest.fixture
def typed(labelled, make_base):
    base = make_base("bert")
    (labelled / "r.yaml").write_text(f"""
task: classification
name: lab
data: {{train: train.jsonl, test: test.jsonl}}
model: {{base: '{base}'}}
training: {{epochs: 1}}
evaluation: {{bootstrap_samples: 200, baselines: [], goals: {{latency_p50_ms: 0.0001}}}}
advise:
  ways: [retrieval, fine_tune]
  index: {{embedder: '{base}'}}
""", encoding="utf-8")  # fmt: skip
    return lambda *words: run("advise", "r.yaml", *words, cwd=labelled)


def test_tables_fit_and_say_what_is_recommended(typed):
    done = typed("--strict")
    assert done.returncode == 1, done.stderr  # the goal is missed
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "15 test rows, the same for every way" in done.stdout
    assert "Reasons to fine-tune" in done.stdout
    assert "goal missed: latency_p50_ms is" in done.stdout
    assert "Recommended: " in done.stdout
    assert "left out, retrieval base:" in done.stdout


def test_json_is_one_document(typed):
    done = typed("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {arm["way"] for arm in found["arms"]} == {"retrieval", "fine_tune"}
    assert found["chosen"]


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        (["advise.way=[prompt]"], "unknown setting advise.way", "ways"),
        (["--run", "nowhere"], "nowhere is not a run folder", "fucina train"),
        (["advise.ways=[prompt]"], "no way could be tried", "advise.models"),
    ],
)
def test_what_is_wrong_is_told_with_the_fix(typed, words, problem, fix):
    done = typed(*words)
    assert done.returncode == 2
    assert problem in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr
