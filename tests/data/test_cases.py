"""Cases for a model that writes: read as the task's rows are, with what their answers must be."""

import json

import pytest

from fucina import tasks
from fucina.data import load_cases
from fucina.errors import DataError


def _load(folder, *rows, task="chat", name="cases.jsonl", columns=()):
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return load_cases(folder / name, tasks.get(task), dict(columns), encoding="utf-8")


def test_expressions_and_exact_answers_are_read(tmp_path):
    one, two, three = _load(
        tmp_path,
        {"prompt": "Esco?", "must": "no|resta", "must_not": ["!", "certo"]},
        {"prompt": "Chi sei?", "answer": "Nerina."},
        {"prompt": "E tu?", "system": "Sei Nerina.", "must": ["io"]},
    )
    assert (one.must, one.must_not, one.example.target) == (("no|resta",), ("!", "certo"), "")
    assert (two.must, two.example.target, two.example.origin) == ((), "Nerina.", "cases.jsonl:2")
    assert three.example.messages[0].content == "Sei Nerina."


def test_a_csv_and_columns_of_the_task_work_too(tmp_path):
    (case,) = _load(tmp_path, "prompt,must", "A: ciao,Ada", task="summarization", name="a.csv")
    assert (case.example.prompt, case.must) == ("A: ciao", ("Ada",))
    (case,) = _load(
        tmp_path,
        {"detto": "A: ciao", "must": "Ada"},
        task="summarization",
        columns={"dialogue": "detto"},
    )
    assert case.example.prompt == "A: ciao"
    (case,) = _load(tmp_path, {"prompt": "Pane fresco", "answer": "#pane"}, task="hashtags")
    assert (case.example.prompt, case.example.target) == ("Pane fresco", "#pane")


@pytest.mark.parametrize(("row", "problem", "fix"), [
    ({"prompt": "Esco?"}, "line 2: nothing is demanded", "must"),
    ({"must": "no"}, "line 2: nothing is asked", "prompt"),
    ({"prompt": "Esco?", "must": "("}, "line 2: '(' is no regular expression (must)", "Mend"),
    ({"prompt": "Esco?", "must_not": [3]}, "line 2: 3 is no regular expression (must_not)", "Mend"),
    ("{", "line 2", "JSON"),
])  # fmt: skip
def test_a_case_that_cannot_be_used_is_named_by_its_line(row, problem, fix, tmp_path):
    with pytest.raises(DataError) as caught:
        _load(tmp_path, {"prompt": "Chi sei?", "answer": "Nerina."}, row)
    assert problem in caught.value.problem
    assert fix in caught.value.fix


def test_a_file_without_cases_is_refused(tmp_path):
    with pytest.raises(DataError, match="no rows"):
        _load(tmp_path, "prompt,must", name="a.csv")
