"""The persona example: its rows, its decision matrix, and a short advice."""

import json
from pathlib import Path

import pytest

from fucina import advising, data, tasks
from fucina.components import read_components
from fucina.recipe import load

EXAMPLE = Path(__file__).parents[1] / "examples/persona"
CHAT = Path(__file__).parents[1] / "src/fucina/tasks/chat"


def _rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_what_is_asked_is_of_the_two_test_sets_alone():
    """No row of training, and no question of those that thresholds are learnt from."""
    task = tasks.get("chat")
    asked = data.load(EXAMPLE / "asked.jsonl", task, {}).examples  # ShareGPT
    about = [row["component"] for row in _rows(EXAMPLE / "asked.jsonl")]
    talks = data.load(CHAT / "test.jsonl", task, {}).examples  # messages
    found = [row for row, component in zip(asked, about, strict=True) if component == "voice"]
    assert [_said(row) for row in found] == [_said(row) for row in talks]
    assert [row.tools for row in found] == [row.tools for row in talks]
    questions = {
        row["question"]: row.get("answer") for row in _rows(EXAMPLE / "questions_test.jsonl")
    }
    learnt = {row["question"] for row in _rows(EXAMPLE / "questions_learn.jsonl")}
    others = [row for row, component in zip(asked, about, strict=True) if component != "voice"]
    assert len(others) == 42
    for row in others:
        assert questions[row.prompt] == row.target
        assert row.prompt not in learnt


def _said(row):
    """What is said and called; how calls are numbered differs between the formats."""
    return [
        (turn.role, turn.content, [call["function"]["name"] for call in turn.tool_calls])
        for turn in row.messages
    ]


def test_the_matrix_is_that_of_the_document():
    recipe, _ = load(EXAMPLE / "advise.yaml", ["model.base=favilla"])
    found = read_components(recipe, recipe.advise, EXAMPLE)
    assert {part.name: part.approach for part in found.matrix} == {
        "voice": "prompt", "family": "retrieval", "memory": "retrieval",
        "decisions": "retrieval", "session": "session",
    }  # fmt: skip
    assert {part.name for part in found.matrix if part.chosen} == {"family"}
    assert "few words" in found.text({"prompt"})
    assert len(found.documents) == 4


@pytest.mark.long
def test_advice_for_the_persona(tmp_path):
    overrides = [f"output={tmp_path}", "training.epochs=1", "advise.ways=[retrieval, fine_tune]"]
    recipe, _ = load(EXAMPLE / "advise.yaml", overrides)
    found = advising.advise_recipe(recipe, EXAMPLE)
    arms = {arm.name: arm for arm in found.arms}
    quotes = arms["retrieval none"]
    # Only what reads her decisions knows them.
    assert quotes.parts["decisions"]["word_f1"].value > 0.05
    assert quotes.parts["decisions"]["word_f1"].value > (
        arms["fine_tune base"].parts["decisions"]["word_f1"].value
    )
    assert {said.split()[0] for said in (*found.missed, *found.met, *found.unknown)} == set(
        recipe.evaluation.goals
    )
